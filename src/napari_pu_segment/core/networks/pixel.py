"""The default network: a fixed multi-scale filter bank, then a small network on each pixel's features."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .. import filters
from .base import Network, NetworkSpec, Reach

_CHUNK = 2048  # pixels in one matrix product: always the same size, so that its rounding is always the same
_CLIP = 10.0  # standard deviations; one hot pixel must not outweigh an image


class PixelNetwork(Network):
    """Filter bank (`filters.FILTERS`) followed by 1 x 1 layers: features -> width -> width -> score.

    It learns from single pixels in about a second, cannot memorise strokes by their place, and retrains from cached
    features.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.filters, self.sigmas_px = spec.filters, spec.sigmas_px
        self.halo_px = filters.halo_px(spec.filters, spec.sigmas_px)
        self.plane_px = spec.plane_px
        self.planes = Reach(filters.halo_px(spec.filters, [sigma / spec.plane_px for sigma in spec.sigmas_px]))
        n_features = filters.count(spec.in_channels, spec.ndim, spec.filters, spec.sigmas_px)
        self.mean: torch.Tensor
        self.scale: torch.Tensor
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))
        self.layers = nn.ModuleList(
            [nn.Linear(n_features, spec.width), nn.Linear(spec.width, spec.width), nn.Linear(spec.width, 1)]
        )

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        """Filter bank (N, F, [Z,] Y, X) of a normalised image (N, C, [Z,] Y, X)."""
        return filters.compute(x, self.filters, self.sigmas_px, self.plane_px)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores (N, 1, [Z,] Y, X) of a normalised image; its features are float16 numbers, as in training."""
        return self.head(self.stem(x).half().float())

    def calibrate(self, features: torch.Tensor) -> None:
        """Take mean and standard deviation of every feature from (N, F, ...)."""
        rows = features.movedim(1, -1).flatten(0, -2).double()
        self.mean.copy_(rows.mean(0))
        self.scale.copy_(1 / rows.std(0, correction=0).clamp_min(1e-6))

    def head(self, features: torch.Tensor) -> torch.Tensor:
        """Scores (N, 1, [Z,] Y, X) of features (N, F, [Z,] Y, X)."""
        columns = features.movedim(1, 0).flatten(1)  # (F, pixels)
        if self.training:
            scores = self._columns(columns)
        else:
            scores = torch.cat([self._chunk(columns[:, i : i + _CHUNK]) for i in range(0, columns.shape[1], _CHUNK)], 1)
        return scores.reshape(1, features.shape[0], *features.shape[2:]).movedim(0, 1)

    def _chunk(self, columns: torch.Tensor) -> torch.Tensor:
        n = columns.shape[1]
        return self._columns(functional.pad(columns, (0, _CHUNK - n)))[:, :n]

    def _columns(self, x: torch.Tensor) -> torch.Tensor:
        x = (x - self.mean[:, None]).mul_(self.scale[:, None]).clamp_(-_CLIP, _CLIP)
        *hidden, last = self.layers
        for layer in hidden:
            x = torch.addmm(layer.bias[:, None], layer.weight, x).relu_()  # type: ignore[index, arg-type]
        return torch.addmm(last.bias[:, None], last.weight, x)  # type: ignore[index, arg-type]
