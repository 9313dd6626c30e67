"""Networks of one form, each for one class of objects, as one network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from .base import Network


class OneVsRest(Network):
    """Networks that see the same features, each trained on one class against all else; their scores are then mixed.

    With the scores s of the parts, the score of class k against the background is z_k = sum over j of w_kj s_j + b_k;
    at first it is s_k. See `one_vs_rest.mixed`.

    Parameters
    ----------
    parts : sequence of Network
        Of the K classes, and perhaps of the background; built from one `NetworkSpec`. They share its stem, in which
        nothing is trained.
    n_classes : int
        K.
    """

    def __init__(self, parts: Sequence[Network], n_classes: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        first = self.part(0)
        self.halo_px, self.stride_px, self.window_px = first.halo_px, first.stride_px, first.window_px
        self.planes, self.patch_px, self.patch_planes = first.planes, first.patch_px, first.patch_planes
        self.n_labelled, self.n_unlabelled = first.n_labelled, first.n_unlabelled
        self.weight: torch.Tensor
        self.offset: torch.Tensor
        self.register_buffer("weight", torch.eye(n_classes, len(parts)))
        self.register_buffer("offset", torch.zeros(n_classes))

    def part(self, index: int) -> Network:
        """The network of one class."""
        part = self.parts[index]
        assert isinstance(part, Network)
        return part

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        """Features (N, F, [Z,] Y, X) of a normalised image (N, C, [Z,] Y, X)."""
        return self.part(0).stem(x)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the heads of all parts take."""
        return self.part(0).features(x)

    def scores(self, features: torch.Tensor) -> torch.Tensor:
        """Scores (N, P, [Z,] Y, X) of the P parts, before they are mixed, of features (N, F, [Z,] Y, X)."""
        return torch.cat([self.part(k).head(features) for k in range(len(self.parts))], 1)

    def head(self, features: torch.Tensor) -> torch.Tensor:
        """Scores (N, K, [Z,] Y, X) of features (N, F, [Z,] Y, X)."""
        scores = torch.split(self.scores(features), 1, 1)
        mixed = []
        for weights, offset in zip(self.weight, self.offset, strict=True):
            score = torch.full_like(scores[0], float(offset))
            for weight, one in zip(weights, scores, strict=True):
                score = score + weight * one  # one by one: the rounding of a matrix product depends on its size
            mixed.append(score)
        return torch.cat(mixed, 1)
