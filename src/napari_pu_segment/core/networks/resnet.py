"""The first stages of ResNet-18, whose weights others have published, as an encoder."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from .base import NetworkSpec
from .published import Published


class ResNetStages(Published):
    """Stem and two stages, down to an eighth of the side, of ResNet-18 (He et al. 2015, arXiv:1512.03385).

    Modules are named as in torchvision and timm.
    """

    halo_px = 64  # 3 + 2 of the stem, 4 * 4, 4 + 3 * 8 of the stages, 8 of the interpolation, 3 of the grid

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        w = spec.width
        self.conv1, self.pool = nn.Conv2d(spec.in_channels, w, 7, 2, 3), nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(_Residual(w, w), _Residual(w, w))
        self.layer2 = nn.Sequential(_Residual(w, 2 * w, 2), _Residual(2 * w, 2 * w))
        self._give(4 * w)

    def traits(self, x: torch.Tensor) -> torch.Tensor:
        """See `Encoder.traits`."""
        stem = functional.relu(self.conv1(x - self.centre))
        first = self.layer1(self.pool(stem))
        return torch.cat([self.full(stem, 2), self.full(first, 4), self.full(self.layer2(first), 8)], 1)

    def convolutions(self) -> Iterator[tuple[str, str, nn.Conv2d]]:
        """See `Published.convolutions`."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d) and module is not self.code:
                yield name, name.replace("conv", "bn").replace("downsample.0", "downsample.1"), module


class _Residual(nn.Module):
    """Two convolutions, and a way past them."""

    def __init__(self, n_in: int, n_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1)
        self.downsample = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride)) if stride > 1 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (N, n_out, Y / stride, X / stride) of maps (N, n_in, Y, X)."""
        return functional.relu(self.downsample(x) + self.conv2(functional.relu(self.conv1(x))))
