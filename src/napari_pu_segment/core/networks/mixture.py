"""Networks that need no labels: clusters in the space of features, made into one score for each pixel."""

from __future__ import annotations

import torch
from torch import nn

from ..errors import ModelFileError
from . import autoencoder
from .autoencoder import LATENT
from .base import NetworkSpec, enlarge
from .encoder import Encoder
from .rows import BankNetwork, RowNetwork

MAX_COMPONENTS = 8  # principal components of the features in which clusters are looked for


class Mixture(nn.Module):
    """Gaussian components, some of which are objects; a cluster is one of them, or several.

    The score is g(log sum over objects of w_k N(x; m_k, S_k) - log sum over the others of w_k N(x; m_k, S_k)) with
    g(s) = sign(s) sqrt|s|: where both are Gaussians alike, it grows with the distance from where they are equally
    likely, as a number of standard deviations does, and no bright pixel is beyond all others. A linear layer whitens
    each component, so that log w_k N(x; m_k, S_k) = constant_k - |A_k x - b_k|^2 / 2.

    Where objects lie to one side of background alone, the score above that of the background's middle is multiplied by
    side . x - level, cut to -1..1: what differs from background to the other side is then the less an object.

    Parameters
    ----------
    n_features : int
    n_components : int
        K.
    n_dims : int
        Dimensions D of the components.
    joined : bool
        Whether a cluster may be several components.
    """

    def __init__(self, n_features: int, n_components: int, n_dims: int, *, joined: bool = False) -> None:
        super().__init__()
        self.n_components = n_components
        self.whiten = nn.Linear(n_features, n_components * n_dims)
        self.constants: torch.Tensor
        self.objects: torch.Tensor
        self.side: torch.Tensor
        self.level: torch.Tensor
        self.floor: torch.Tensor
        self.offset: torch.Tensor
        self.factor: torch.Tensor
        self.groups: torch.Tensor
        self.register_buffer("constants", torch.zeros(n_components))
        self.register_buffer("objects", torch.arange(n_components) == 0)
        self.register_buffer("groups", torch.arange(n_components), persistent=joined)
        self.register_buffer("side", torch.zeros(n_features))
        self.register_buffer("level", -torch.ones(()))
        self.register_buffer("floor", torch.zeros(()))
        self.register_buffer("offset", torch.zeros(()))
        self.register_buffer("factor", torch.ones(()))

    def log_densities(self, x: torch.Tensor) -> torch.Tensor:
        """log w_k N(x; m_k, S_k) of every component (K, n), but for a common constant, of features (F, n)."""
        white = torch.addmm(self.whiten.bias[:, None], self.whiten.weight, x)
        parts: torch.Tensor = white.reshape(self.n_components, -1, x.shape[1])
        return self.constants[:, None] - parts.square().sum(1) / 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores (1, n) of standardised features (F, n)."""
        found = self.log_densities(x)
        odds = found[self.objects].logsumexp(0, keepdim=True) - found[~self.objects].logsumexp(0, keepdim=True)
        scores = odds.sign() * odds.abs().sqrt()
        side = (torch.mv(x.T, self.side)[None] - self.level).clamp(-1, 1)
        return (self.floor + (scores - self.floor) * side - self.offset) * self.factor

    def shares(self, x: torch.Tensor) -> torch.Tensor:
        """How likely features (F, n) are of each of the G clusters, (G, n)."""
        likely = self.log_densities(x).softmax(0)
        return torch.stack([likely[self.groups == k].sum(0) for k in range(self.n_clusters)])

    @property
    def n_clusters(self) -> int:
        """G: how many clusters the components make."""
        return int(self.groups.max()) + 1

    @torch.no_grad()
    def set_clusters(
        self, weight: torch.Tensor, bias: torch.Tensor, constants: torch.Tensor, groups: torch.Tensor
    ) -> None:
        """Take the components: the whitening layer, (K D, F) and (K D), log w_k N(m_k; m_k, S_k), (K,), and clusters.

        `groups` (K,) says which cluster, 0..G - 1, each of them belongs to.
        """
        self.whiten.weight.copy_(weight)
        assert self.whiten.bias is not None
        self.whiten.bias.copy_(bias)
        self.constants.copy_(constants)
        self.groups.copy_(groups)

    def set_objects(self, objects: torch.Tensor) -> None:
        """Say which clusters (G,) are objects, to whatever side; a score of 0 comes to mean as likely as not again."""
        self.objects.copy_(objects[self.groups])
        self.side.zero_()
        self.level.fill_(-1)
        self.offset.zero_()
        self.factor.fill_(1)

    def set_side(self, background: torch.Tensor, found: torch.Tensor, deviation: torch.Tensor) -> None:
        """Say that objects lie to one side alone: from the background's middle (F,) to theirs (F,).

        `deviation` is that of the background along the line between the two.
        """
        side = (found - background) / (found - background).norm() / deviation
        self.floor.copy_(self.forward(background[:, None])[0, 0])
        self.side.copy_(side)
        self.level.copy_(side @ background)

    def check(self) -> None:
        """Refuse clusters that are not numbered 0, 1, 2 ...; raises `ModelFileError`."""
        found = set(self.groups.tolist())
        if found != set(range(len(found))):
            raise ModelFileError("The model file contradicts itself: its clusters are not numbered from 0 on.")

    @torch.no_grad()
    def rescale(self, offset: float, factor: float) -> None:
        """Turn every score s into (s - offset) * factor."""
        self.offset.add_(offset / self.factor)
        self.factor.mul_(factor)


class BankMixture(BankNetwork):
    """Clusters of the filter bank's features, but for its first maps, the image itself, whose noise tells nothing."""

    def __init__(self, spec: NetworkSpec, encoder: Encoder | None = None) -> None:
        super().__init__(spec, encoder)
        self.n_left_out = spec.in_channels
        n_dims = min(len(self.mean) - self.n_left_out, MAX_COMPONENTS)
        self.mixture = _mixture(len(self.mean), spec, n_dims)

    def check(self) -> None:
        """See `Mixture.check`."""
        self.mixture.check()

    def rescale(self, offset: float, factor: float) -> None:
        """See `Mixture.rescale`."""
        self.mixture.rescale(offset, factor)

    def _score(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.mixture(x)
        return scores


class EncoderMixture(RowNetwork):
    """Clusters of the intensities and of an autoencoder's code.

    Parameters
    ----------
    spec : NetworkSpec
    hypercolumn : bool
        Whether the finer levels of the autoencoder, too, tell about a place (Hariharan et al. 2015).
    """

    halo_px = autoencoder.Encoder.halo_px
    stride_px = autoencoder.Encoder.stride_px
    window_px = 256
    n_left_out = 0

    def __init__(self, spec: NetworkSpec, *, hypercolumn: bool = False) -> None:
        super().__init__(spec.in_channels + LATENT + (3 * spec.width if hypercolumn else 0))
        self.encoder, self._hypercolumn = autoencoder.Encoder(spec), hypercolumn
        self.mixture = _mixture(len(self.mean), spec, min(len(self.mean), MAX_COMPONENTS))
        if spec.ndim == 3:
            self.window_px = 64

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        """The normalised image and its code, all at full side, (N, C + LATENT, [Z,] Y, X), of (N, C, ...).

        With a hypercolumn, three levels of as many maps as the encoder is wide lie between the two.
        """
        *levels, code = self.encoder.levels(x)
        finer = [levels[0], enlarge(levels[1], 2), enlarge(levels[2], 4)] if self._hypercolumn else []
        return torch.cat([x, *finer, enlarge(code[:, :LATENT], self.stride_px)], 1)

    def check(self) -> None:
        """See `Mixture.check`."""
        self.mixture.check()

    def rescale(self, offset: float, factor: float) -> None:
        """See `Mixture.rescale`."""
        self.mixture.rescale(offset, factor)

    def _score(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.mixture(x)
        return scores


def _mixture(n_features: int, spec: NetworkSpec, n_dims: int) -> Mixture:
    n_components = spec.landmarks or max(spec.clusters, 2)
    return Mixture(n_features, n_components, n_dims, joined=spec.landmarks > 0)
