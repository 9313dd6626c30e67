"""The network of a searched pipeline: the filter bank, then scikit-learn classifiers of each pixel's features."""

from __future__ import annotations

import torch
from torch import nn

from ..search.classifiers import Odds, odds_of
from ..search.sealed import unseal
from .base import NetworkSpec
from .rows import BankNetwork

_CHUNK = 8192  # pixels that are classified together: always as many, so that rounding is always the same


class PipelineNetwork(BankNetwork):
    """Filter bank (`filters.FILTERS`) followed by classifiers, which are kept as bytes among the tensors.

    The scores are the log odds of each class of objects against the background, the mean over candidates of the mean
    over the classifiers of each, shifted by `rescale`. It is trained by scikit-learn, never by steps; a single
    classifier tells all classes apart.

    Parameters
    ----------
    spec : NetworkSpec
    n_classes : int
        K, of objects.
    """

    def __init__(self, spec: NetworkSpec, n_classes: int = 1) -> None:
        super().__init__(spec)
        self.spec, self.n_classes = spec, n_classes
        self.classifiers: torch.Tensor
        self.register_buffer("classifiers", torch.zeros(spec.n_bytes, dtype=torch.uint8))
        self.offset = nn.Parameter(torch.zeros(n_classes), requires_grad=False)
        self.factor = nn.Parameter(torch.ones(1), requires_grad=False)
        self._groups: list[list[Odds]] = []

    def check(self) -> None:
        """Read the classifiers, which are refused where they are not trusted."""
        n_features = len(self.mean)
        found = unseal(self.classifiers.cpu().numpy().tobytes(), n_features, self.n_classes + 1)
        self._groups = [[odds_of(one, columns, n_features) for one in members] for columns, members in found]

    @torch.no_grad()
    def balance(self, offsets: torch.Tensor) -> None:
        """Add offsets (K,) to the scores of the classes."""
        self.offset.sub_(offsets / self.factor)

    @torch.no_grad()
    def rescale(self, offset: float, factor: float) -> None:
        """Turn every score s, of whichever class, into (s - offset) * factor."""
        self.offset.add_(offset / self.factor)
        self.factor.mul_(factor)

    def head(self, features: torch.Tensor) -> torch.Tensor:
        """Scores (N, K, [Z,] Y, X) of features (N, F, [Z,] Y, X), of float16 or float32."""
        if not self._groups:  # when they are first asked for
            self.check()
        columns = features.movedim(1, 0).flatten(1).cpu()  # (F, pixels)
        odds = torch.cat([self._chunk(columns[:, i : i + _CHUNK]) for i in range(0, columns.shape[1], _CHUNK)], 1)
        scores = (odds.to(self.offset.device) - self.offset[:, None]) * self.factor
        return scores.reshape(-1, features.shape[0], *features.shape[2:]).movedim(0, 1)

    def _chunk(self, columns: torch.Tensor) -> torch.Tensor:
        n = columns.shape[1]
        filled = torch.zeros(len(columns), _CHUNK)
        filled[:, :n] = columns
        total = torch.zeros(self.n_classes, _CHUNK)
        for group in self._groups:
            for odds in group:
                total = total + odds(filled) / len(group)
        return (total / len(self._groups))[:, :n]
