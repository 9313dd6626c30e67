"""The first blocks of EfficientNet-Lite0, whose weights others have published, as an encoder."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from .base import NetworkSpec
from .published import Published

_STAGES = ((1, 3, 1, 2, 1), (6, 3, 2, 3, 2), (6, 5, 2, 5, 2))  # expansion, kernel, stride, quarters of width, blocks


class EfficientNetLite(Published):
    """Stem and three stages, down to an eighth of the side, of EfficientNet-Lite0 (Tan & Le 2019, arXiv:1905.11946).

    That is MobileNetV2's blocks (Sandler et al. 2018, arXiv:1801.04381) with ReLU6, and without squeeze and excitation,
    which would look at all of a tile. Modules are named as in timm.
    """

    halo_px = 48  # 1 + 2, 2 + 4, 8 + 16 of the depthwise convolutions, 8 of the interpolation, 3 of the grid

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
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
        self._give(self.n_traits)

    def traits(self, x: torch.Tensor) -> torch.Tensor:
        """See `Encoder.traits`."""
        x = functional.relu6(self.conv_stem(x - self.centre))
        found, side = [], 1
        for stage, (_, _, stride, _, _) in zip(self.blocks, _STAGES, strict=True):
            for block in stage:  # type: ignore[attr-defined]
                x = block(x)
            side *= stride
            found.append(self.full(x, 2 * side))
        return torch.cat(found, 1)

    def convolutions(self) -> Iterator[tuple[str, str, nn.Conv2d]]:
        """See `Published.convolutions`: the k-th one of a block has norm bn k."""
        count: dict[str, int] = {}
        for name, module in self.named_modules():
            if isinstance(module, _Convolution):
                block = name[: name.rfind(".") + 1]
                count[block] = count.get(block, 0) + 1
                yield name, f"{block}bn{count[block]}", module


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
