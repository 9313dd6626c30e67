"""Encoders whose weights others have published: what is the same for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import nn
from torch.nn import functional

from ..errors import InputError
from .base import NetworkSpec
from .encoder import MAPS, Hypercolumn, enlarged

_NORM = ("weight", "bias", "running_mean", "running_var")


class Published(Hypercolumn):
    """The first stages of a classifier of photographs, down to an eighth of the side, for planes.

    The batch norm behind each convolution is folded into it when published weights are taken, so nothing is measured
    over a tile, in training neither.

    Attributes
    ----------
    late : bool
        Whether a convolution of stride 2 leaves out the edge pixels at the beginning, as TensorFlow's do, and not those
        at the end, as torch's do: its grid lies one pixel further.
    epsilon : float
        What the published norms add to a variance.
    mean, std : tuple of float
        Red, green and blue of 0..1 in the published training.
    centre : Tensor, (C, 1, 1)
        What is taken from each channel of an image first.
    """

    stride_px = 8
    window_px = 256
    n_shared = 8
    patch_px = 96
    n_unlabelled = 16
    rate = 0.2
    late = False
    epsilon = 1e-5
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    centre: torch.Tensor

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        if spec.ndim == 3:
            raise InputError(
                f"The encoder {spec.name!r} is for planes: set Stacks to planes, or choose another encoder."
            )
        self.register_buffer("centre", torch.full((spec.in_channels, 1, 1), 0.5))

    def _give(self, n_traits: int) -> None:
        """Make maps of so many traits."""
        self.n_traits, self.n_maps = n_traits, min(MAPS, n_traits)
        self.code = nn.Conv2d(n_traits, self.n_maps, 1)

    def convolutions(self) -> Iterator[tuple[str, str, nn.Conv2d]]:
        """Every published convolution with its name, and that of its norm; the first one sees the image."""
        raise NotImplementedError

    def full(self, maps: torch.Tensor, side: int) -> torch.Tensor:
        """Maps of one place in `side` at full side, where they belong: the grid's first place is a pixel of a corner.

        What is left of (side - 1) / 2 pixels is half a pixel.
        """
        found, off = enlarged(maps, side), side // 2 - 1
        if not off:
            return found
        part, room = (slice(None, -off), (off, 0, off, 0)) if self.late else (slice(off, None), (0, off, 0, off))
        return functional.pad(found[..., part, part], room, mode="replicate")

    def published(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the published tensors that `take` wants: those of images of three channels."""
        found: dict[str, tuple[int, ...]] = {}
        for name, norm, module in self.convolutions():
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
        for number, (name, norm, module) in enumerate(self.convolutions()):
            weight = tensors[f"{name}.weight"]
            if not number:
                weight = weight.sum(1, keepdim=True) if n == 1 else weight[:, turns] * (3 / n)
                weight = weight / std[turns][:, None, None]
            gain, offset, running_mean, variance = (tensors[f"{norm}.{part}"] for part in _NORM)
            gain = gain / torch.sqrt(variance + self.epsilon)
            assert module.bias is not None
            module.weight.copy_(weight * gain[:, None, None, None])
            module.bias.copy_(offset - running_mean * gain)
