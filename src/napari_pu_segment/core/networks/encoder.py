"""Encoders: networks that learn without labels what tells places of images apart, as maps of features."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .base import ChannelNorm, Network, NetworkSpec, Reach, convolution

MAPS, SHARED = 16, 4  # that a small encoder gives, and that stand beside a filter bank: more of them did harm
_FEWEST = 1e-6  # spread of a map that is the same everywhere


class Encoder(Network):
    """A network that gives maps of features beside, or instead of, scores.

    Attributes
    ----------
    n_traits : int
        Numbers that `traits` tells of a place.
    n_maps, n_shared : int
        Maps that `maps` gives, and how many of them, the first ones, other networks look at.
    """

    n_traits: int
    n_maps: int
    n_shared: int

    def traits(self, x: torch.Tensor) -> torch.Tensor:
        """What is learnt of every place (N, n_traits, [Z,] Y, X) of a normalised image (N, C, [Z,] Y, X)."""
        raise NotImplementedError

    def maps(self, x: torch.Tensor) -> torch.Tensor:
        """The features (N, n_maps, [Z,] Y, X) of a normalised image (N, C, [Z,] Y, X)."""
        return self.traits(x)

    def compress(self, rows: torch.Tensor) -> None:
        """Choose the maps, once the training is over, by the traits (n, n_traits) of many places."""


class Hypercolumn(Encoder):
    """Whose outputs at several sides, all brought to full side, tell about a place (Hariharan et al. 2015).

    Of these traits, standardised, the first `n_maps` principal components are the maps.

    Attributes
    ----------
    code : Module
        The convolution of one pixel that makes the maps of the traits.
    """

    n_maps, n_shared = MAPS, SHARED
    code: nn.Module

    def maps(self, x: torch.Tensor) -> torch.Tensor:
        """See `Encoder.maps`."""
        found: torch.Tensor = self.code(self.traits(x))
        return found

    @torch.no_grad()
    def compress(self, rows: torch.Tensor) -> None:
        """Principal components (Pearson 1901) of the traits in units of their spread, the largest first."""
        seen = rows.double()
        mean, spread = seen.mean(0), seen.std(0, correction=0)
        scale = torch.where(spread > _FEWEST, 1 / spread.clamp_min(_FEWEST), 0.0)
        _, vectors = torch.linalg.eigh(((seen - mean) * scale).T @ ((seen - mean) * scale) / len(seen))
        kept = vectors.flip(1)[:, : self.n_maps]
        kept = kept * kept.gather(0, kept.abs().argmax(0, keepdim=True)).sign()  # else the sign is the library's
        weight = (kept * scale[:, None]).T
        assert isinstance(self.code.weight, torch.Tensor)
        assert isinstance(self.code.bias, torch.Tensor)
        self.code.weight.copy_(weight.reshape(self.code.weight.shape))
        self.code.bias.copy_(-weight @ mean)


class SmallEncoder(Hypercolumn):
    """Six convolutions at full, half and quarter side, of width, 2 width and 4 width channels.

    Planes of a volume are never halved, so that it does not matter how far they are apart.
    """

    stride_px = 4
    window_px = 256
    halo_px = 24  # 1 + 1, 1 + 2, 2 + 4 of the convolutions, 4 of the interpolation, rounded up with room to spare
    patch_px = 48
    n_unlabelled = 16
    rate = 0.2

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        n, w = spec.ndim, spec.width
        self.n_traits = 7 * w
        widths = (spec.in_channels, w, 2 * w, 4 * w)
        self.steps = nn.ModuleList(
            nn.Sequential(
                _convolution(n, widths[i], widths[i + 1], halving=i > 0),
                ChannelNorm(widths[i + 1]),
                nn.ReLU(),
                convolution(n, widths[i + 1], widths[i + 1], 3),
                *([ChannelNorm(widths[i + 1]), nn.ReLU()] if i < 2 else []),
            )
            for i in range(3)
        )
        self.code = convolution(n, self.n_traits, MAPS, 1)
        if n == 3:
            self.patch_px, self.patch_planes, self.n_unlabelled, self.window_px = 32, 8, 8, 64
            self.planes = Reach(6, 1, 32)

    def traits(self, x: torch.Tensor) -> torch.Tensor:
        """See `Encoder.traits`."""
        found = []
        for i, step in enumerate(self.steps):
            x = step(x)
            found.append(enlarged(x, 2**i) if i else x)
        return torch.cat(found, 1)


def _convolution(ndim: int, n_in: int, n_out: int, *, halving: bool) -> nn.Module:
    """A convolution of 3 pixels a side that may halve rows and columns, but never planes."""
    if ndim == 2:
        return nn.Conv2d(n_in, n_out, 3, stride=2 if halving else 1, padding=1)
    return nn.Conv3d(n_in, n_out, 3, stride=(1, 2, 2) if halving else 1, padding=1)


def enlarged(maps: torch.Tensor, factor: int) -> torch.Tensor:
    """Maps (N, C, [Z,] Y, X) with rows and columns enlarged; exact at every position for powers of two."""
    if maps.ndim == 4:
        return functional.interpolate(maps, scale_factor=factor, mode="bilinear", align_corners=False)
    planes = maps.transpose(1, 2)  # each plane on its own
    found = enlarged(planes.flatten(0, 1), factor)
    return found.reshape(*planes.shape[:3], *found.shape[2:]).transpose(1, 2)
