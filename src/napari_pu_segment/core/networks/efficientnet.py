"""The first blocks of EfficientNet-Lite0, whose weights others have published, as an encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import nn
from torch.nn import functional

from ..errors import InputError
from .base import NetworkSpec
from .encoder import MAPS, Hypercolumn, enlarged

_STAGES = ((1, 3, 1, 2, 1), (6, 3, 2, 3, 2), (6, 5, 2, 5, 2))  # expansion, kernel, stride, quarters of width, blocks
_NORM = ("weight", "bias", "running_mean", "running_var")


class EfficientNetLite(Hypercolumn):
    """Stem and three stages, down to an eighth of the side, of EfficientNet-Lite0 (Tan & Le 2019, arXiv:1905.11946).

    That is MobileNetV2's blocks (Sandler et al. 2018, arXiv:1801.04381) with ReLU6, and without squeeze and excitation,
    which would look at all of a tile. Modules are named as in timm. The batch norm behind each convolution is folded
    into it when published weights are taken, so nothing is measured over a tile, in training neither.

    Attributes
    ----------
    late : bool
        Whether a convolution of stride 2 leaves out the edge pixels at the beginning, as TensorFlow's do, and not those
        at the end, as torch's do: its grid lies one pixel further.
    epsilon : float
        What the published norms add to a variance.
    mean, std : tuple of float
        Red, green and blue of 0..1 in the published training.
    """

    stride_px = 8
    window_px = 256
    halo_px = 48  # 1 + 2, 2 + 4, 8 + 16 of the depthwise convolutions, 8 of the interpolation, 3 of the grid
    n_shared = 8
    patch_px = 96
    n_unlabelled = 16
    rate = 0.2
    late = False
    epsilon = 1e-5
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        if spec.ndim == 3:
            raise InputError(
                f"The encoder {spec.name!r} is for planes: set Stacks to planes, or choose another encoder."
            )
        n_in, late = spec.width, self.late
        self.conv_stem = _Convolution(spec.in_channels, n_in, 3, 2, late=late)
        self.blocks, self.n_traits = nn.ModuleList(), 0
        for expansion, kernel, stride, quarters, n in _STAGES:
            stage = nn.ModuleList()
            for number in range(n):
                n_out = max(quarters * spec.width // 4, 1)
                stage.append(_Block(n_in, n_out, expansion, kernel, 1 if number else stride, late=late))
                n_in = n_out
            self.blocks.append(stage)
            self.n_traits += n_in
        self.n_maps = min(MAPS, self.n_traits)
        self.code = nn.Conv2d(self.n_traits, self.n_maps, 1)
        self.centre: torch.Tensor
        self.register_buffer("centre", torch.full((spec.in_channels, 1, 1), 0.5))

    def traits(self, x: torch.Tensor) -> torch.Tensor:
        """See `Encoder.traits`."""
        x = functional.relu6(self.conv_stem(x - self.centre))
        found, side = [], 1
        for stage, (_, _, stride, _, _) in zip(self.blocks, _STAGES, strict=True):
            for block in stage:  # type: ignore[attr-defined]
                x = block(x)
            side *= stride
            found.append(self._full(x, 2 * side))
        return torch.cat(found, 1)

    def _full(self, maps: torch.Tensor, side: int) -> torch.Tensor:
        """Maps of one place in `side` at full side, where they belong: the grid's first place is a pixel of a corner.

        What is left of (side - 1) / 2 pixels is half a pixel.
        """
        found, off = enlarged(maps, side), side // 2 - 1
        if not off:
            return found
        part, room = (slice(None, -off), (off, 0, off, 0)) if self.late else (slice(off, None), (0, off, 0, off))
        return functional.pad(found[..., part, part], room, mode="replicate")

    def _convolutions(self) -> Iterator[tuple[str, str, nn.Conv2d]]:
        """Every published convolution with its name, and that of its norm: the k-th one of a block has norm bn k."""
        count: dict[str, int] = {}
        for name, module in self.named_modules():
            if isinstance(module, _Convolution):
                block = name[: name.rfind(".") + 1]
                count[block] = count.get(block, 0) + 1
                yield name, f"{block}bn{count[block]}", module

    def published(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the published tensors that `take` wants: those of images of three channels."""
        found: dict[str, tuple[int, ...]] = {}
        for name, norm, module in self._convolutions():
            shape = tuple(module.weight.shape)
            found[f"{name}.weight"] = shape if found else (shape[0], 3, *shape[2:])
            found |= {f"{norm}.{part}": shape[:1] for part in _NORM}
        return found

    @torch.no_grad()
    def take(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Begin with published weights, float32.

        Red, green and blue are the three channels of an image. Other numbers of channels take their weights by turns,
        divided so that together they weigh as much; one channel takes the sum (as timm does).
        """
        n = len(self.centre)
        turns = [channel % 3 for channel in range(n)]
        mean, std = torch.tensor(self.mean), torch.tensor(self.std)
        if n == 1:
            mean, std = mean.mean()[None], std.mean()[None]
        self.centre.copy_(mean[turns][:, None, None])
        for name, norm, module in self._convolutions():
            weight = tensors[f"{name}.weight"]
            if name == "conv_stem":
                weight = weight.sum(1, keepdim=True) if n == 1 else weight[:, turns] * (3 / n)
                weight = weight / std[turns][:, None, None]
            gain, offset, running_mean, variance = (tensors[f"{norm}.{part}"] for part in _NORM)
            gain = gain / torch.sqrt(variance + self.epsilon)
            assert module.bias is not None
            module.weight.copy_(weight * gain[:, None, None, None])
            module.bias.copy_(offset - running_mean * gain)


class TfEfficientNetLite(EfficientNetLite):
    """The same, as its weights came from TensorFlow."""

    late = True
    epsilon = 1e-3
    mean = std = (0.5, 0.5, 0.5)


class _Convolution(nn.Conv2d):
    """A convolution that keeps the side or halves it; see `EfficientNetLite.late`."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int = 1, groups: int = 1, *, late: bool) -> None:
        near = kernel // 2
        super().__init__(n_in, n_out, kernel, stride, near if stride == 1 else 0, groups=groups)
        self._room = (near - late, near - (not late)) * 2 if stride > 1 else ()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (N, n_out, Y / stride, X / stride) of maps (N, n_in, Y, X) of even sides."""
        return super().forward(functional.pad(x, self._room) if self._room else x)


class _Block(nn.Module):
    """A depthwise convolution between one that widens, where it does, and one that narrows again."""

    def __init__(self, n_in: int, n_out: int, expansion: int, kernel: int, stride: int, *, late: bool) -> None:
        super().__init__()
        n = n_in * expansion
        if expansion > 1:
            self.conv_pw = _Convolution(n_in, n, 1, late=late)
        self.conv_dw = _Convolution(n, n, kernel, stride, n, late=late)
        narrow = _Convolution(n, n_out, 1, late=late)
        self.add_module("conv_pwl" if expansion > 1 else "conv_pw", narrow)
        self._adds = stride == 1 and n_in == n_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (N, n_out, Y / stride, X / stride) of maps (N, n_in, Y, X)."""
        *layers, last = self.children()
        y = x
        for layer in layers:
            y = functional.relu6(layer(y))
        found: torch.Tensor = last(y)
        return x + found if self._adds else found
