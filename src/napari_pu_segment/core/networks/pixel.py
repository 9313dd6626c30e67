"""The default network: a fixed multi-scale filter bank, then a small network on each pixel's features."""

from __future__ import annotations

import torch
from torch import nn

from .base import NetworkSpec, Reach
from .encoder import Encoder
from .rows import BankNetwork


class PixelNetwork(BankNetwork):
    """Filter bank (`filters.FILTERS`) followed by 1 x 1 layers: features -> width -> width -> score.

    It learns from single pixels in about a second, cannot memorise strokes by their place, and retrains from cached
    features.

    Parameters
    ----------
    spec : NetworkSpec
    encoder : Encoder, optional
        Its maps are further features; it is part of the network, and not trained.
    """

    def __init__(self, spec: NetworkSpec, encoder: Encoder | None = None) -> None:
        super().__init__(spec)
        self.encoder, self._n_shared = encoder, spec.encoder.n_maps if spec.encoder else 0
        if encoder is not None:
            planes, row, _ = encoder.along(3, 0)
            self.planes = _both(self.planes or Reach(0), planes)
            both = _both(Reach(self.halo_px), row)
            self.halo_px, self.stride_px, self.window_px = both.halo_px, both.stride_px, both.window_px
        n_features = len(self.mean)
        self.layers = nn.ModuleList(
            [nn.Linear(n_features, spec.width), nn.Linear(spec.width, spec.width), nn.Linear(spec.width, 1)]
        )

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        """Filter bank, and maps of the encoder, (N, F, [Z,] Y, X) of a normalised image (N, C, [Z,] Y, X)."""
        bank = super().stem(x)
        return bank if self.encoder is None else torch.cat([bank, self.encoder.maps(x)[:, : self._n_shared]], 1)

    def _score(self, x: torch.Tensor) -> torch.Tensor:
        *hidden, last = self.layers
        for layer in hidden:
            x = torch.addmm(layer.bias[:, None], layer.weight, x).relu_()  # type: ignore[index, arg-type]
        return torch.addmm(last.bias[:, None], last.weight, x)  # type: ignore[index, arg-type]


def _both(bank: Reach, encoder: Reach) -> Reach:
    """What both ask of a tile along an axis."""
    halo = -(-max(bank.halo_px, encoder.halo_px) // encoder.stride_px) * encoder.stride_px
    return Reach(halo, encoder.stride_px, encoder.window_px)
