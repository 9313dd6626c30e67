"""The default network: a fixed multi-scale filter bank, then a small network on each pixel's features."""

from __future__ import annotations

import torch
from torch import nn

from .base import NetworkSpec
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
        super().__init__(spec, encoder)
        n_features = len(self.mean)
        self.layers = nn.ModuleList(
            [nn.Linear(n_features, spec.width), nn.Linear(spec.width, spec.width), nn.Linear(spec.width, 1)]
        )

    def _score(self, x: torch.Tensor) -> torch.Tensor:
        *hidden, last = self.layers
        for layer in hidden:
            x = torch.addmm(layer.bias[:, None], layer.weight, x).relu_()  # type: ignore[index, arg-type]
        return torch.addmm(last.bias[:, None], last.weight, x)  # type: ignore[index, arg-type]
