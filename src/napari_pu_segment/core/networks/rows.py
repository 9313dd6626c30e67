"""Networks that look at the features of each pixel on their own."""

from __future__ import annotations

import torch
from torch.nn import functional

from .. import filters
from .base import Network, NetworkSpec, Reach
from .encoder import Encoder

_CHUNK = 2048  # pixels in one matrix product: always the same size, so that its rounding is always the same
_CLIP = 10.0  # standard deviations; one hot pixel must not outweigh an image


class RowNetwork(Network):
    """A stem, then the same function of every pixel's features: what `standardised` columns become is up to `_score`.

    Parameters
    ----------
    n_features : int
        Maps that the stem makes.
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.mean: torch.Tensor
        self.scale: torch.Tensor
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Features (N, F, [Z,] Y, X) of a normalised image (N, C, [Z,] Y, X): float16 numbers, as in training."""
        return self.stem(x).half()

    def calibrate(self, features: torch.Tensor) -> None:
        """Take mean and standard deviation of every feature from (N, F, ...)."""
        rows = features.movedim(1, -1).flatten(0, -2).double()
        self.mean.copy_(rows.mean(0))
        self.scale.copy_(1 / rows.std(0, correction=0).clamp_min(1e-6))

    def head(self, features: torch.Tensor) -> torch.Tensor:
        """Scores (N, 1, [Z,] Y, X) of features (N, F, [Z,] Y, X), of float16 or float32."""
        columns = features.movedim(1, 0).flatten(1)  # (F, pixels)
        if self.training:
            scores = self._columns(columns)
        else:
            scores = torch.cat([self._chunk(columns[:, i : i + _CHUNK]) for i in range(0, columns.shape[1], _CHUNK)], 1)
        return scores.reshape(1, features.shape[0], *features.shape[2:]).movedim(0, 1)

    def standardised(self, columns: torch.Tensor) -> torch.Tensor:
        """Features (F, n) in standard deviations from their mean, clipped."""
        return (columns - self.mean[:, None]).mul_(self.scale[:, None]).clamp_(-_CLIP, _CLIP)

    def _chunk(self, columns: torch.Tensor) -> torch.Tensor:
        n = columns.shape[1]
        return self._columns(functional.pad(columns.float(), (0, _CHUNK - n)))[:, :n]

    def _columns(self, columns: torch.Tensor) -> torch.Tensor:
        return self._score(self.standardised(columns))

    def _score(self, x: torch.Tensor) -> torch.Tensor:
        """Scores (1, n) of standardised features (F, n)."""
        raise NotImplementedError


class BankNetwork(RowNetwork):
    """Whose features are the filter bank (`filters.FILTERS`), and an encoder's maps where there is one.

    Parameters
    ----------
    spec : NetworkSpec
    encoder : Encoder, optional
        It is part of the network, and not trained.
    """

    def __init__(self, spec: NetworkSpec, encoder: Encoder | None = None) -> None:
        super().__init__(spec.n_features)
        self.filters, self.sigmas_px = spec.filters, spec.sigmas_px
        self.halo_px = filters.halo_px(spec.filters, spec.sigmas_px)
        self.plane_px = spec.plane_px
        self.planes = Reach(filters.halo_px(spec.filters, [sigma / spec.plane_px for sigma in spec.sigmas_px]))
        self.encoder, self._n_shared = encoder, spec.encoder.n_maps if spec.encoder else 0
        if encoder is not None:
            planes, row, _ = encoder.along(3, 0)
            self.planes = _both(self.planes, planes)
            both = _both(Reach(self.halo_px), row)
            self.halo_px, self.stride_px, self.window_px = both.halo_px, both.stride_px, both.window_px

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        """Filter bank, float16, and maps of the encoder, (N, F, [Z,] Y, X) of a normalised image (N, C, [Z,] Y, X)."""
        bank = filters.compute(x, self.filters, self.sigmas_px, self.plane_px, torch.float16)
        return bank if self.encoder is None else torch.cat([bank, self.encoder.maps(x)[:, : self._n_shared]], 1)


def _both(bank: Reach, encoder: Reach) -> Reach:
    """What both ask of a tile along an axis."""
    halo = -(-max(bank.halo_px, encoder.halo_px) // encoder.stride_px) * encoder.stride_px
    return Reach(halo, encoder.stride_px, encoder.window_px)
