r"""RISKS: objectives for positive, negative and unlabelled pixels.

Notation: score f, class prior pi, surrogate loss l(z) of the margin z. Means over the pixels drawn from the positive,
negative and unlabelled strokes or pixels:

    Rp+ = E_P l(f)    Rp- = E_P l(-f)    Rn- = E_N l(-f)    Rn+ = E_N l(f)    Ru- = E_U l(-f)    Ru+ = E_U l(f)

U is drawn uniformly from the whole image, strokes included, so that it is a mixture pi P + (1 - pi) N, and

    Ru- - pi Rp-  estimates (1 - pi) Rn-,        Ru+ - (1 - pi) Rn+  estimates pi Rp+.

Every risk weighs the positive class by pi' and the negative by 1 - pi'. The classical form has pi' = pi; the imbalanced
form (Su, Chen, Xu 2021) has a target prior, 1/2 for the balanced error, and scales the two estimates by
(1 - pi') / (1 - pi) and pi' / pi.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from ..errors import InputError, pick

Surrogate = Callable[[torch.Tensor], torch.Tensor]

SURROGATES: dict[str, Surrogate] = {
    "sigmoid": lambda margin: torch.sigmoid(-margin),
    "logistic": lambda margin: functional.softplus(-margin),
}


@dataclass(frozen=True)
class Group:
    """Scores (n,) of one kind of pixel, and how much each counts (n,), or None where all count alike."""

    scores: torch.Tensor
    weights: torch.Tensor | None = None

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Weighted mean of values (n,), a scalar."""
        if self.weights is None:
            return values.mean()
        return (values * self.weights).sum() / self.weights.sum()


@dataclass(frozen=True)
class Scores:
    """What a risk is computed from: pixels of no group contribute nothing at all."""

    positive: Group
    unlabelled: Group | None = None
    negative: Group | None = None


@dataclass(frozen=True)
class RiskOptions:
    """Numbers that risks share.

    Parameters
    ----------
    prior : float in (0, 1)
        Class prior pi, the expected positive fraction of the image.
    surrogate : str
        Row of `SURROGATES`.
    target_prior : float in (0, 1), or None
        pi' of the imbalanced form; None means pi' = pi.
    beta : float >= 0
        How far the estimated risk may fall below zero before it is clipped.
    gamma : float in [0, 1]
        Step size of the correction when it is clipped.
    eta : float in [-1, 1]
        PNU: share of the PU risk (>= 0) or of the NU risk (< 0) beside the PN risk.
    """

    prior: float
    surrogate: str = "sigmoid"
    target_prior: float | None = None
    beta: float = 0.0
    gamma: float = 1.0
    eta: float = 0.5

    @property
    def loss(self) -> Surrogate:
        """l(z) of the margin z."""
        return pick(SURROGATES, self.surrogate, "surrogate")

    @property
    def weight(self) -> float:
        """pi', the weight of the positive class."""
        return self.prior if self.target_prior is None else self.target_prior


@dataclass(frozen=True)
class Risk:
    """Two scalars, because a clipped risk reports one quantity and back-propagates another.

    Parameters
    ----------
    value : Tensor
        The risk, for reports and comparisons.
    surrogate : Tensor
        What to call `backward` on.
    """

    value: torch.Tensor
    surrogate: torch.Tensor


@dataclass(frozen=True)
class RiskRow:
    """One risk: a title, the function, which groups it needs, and where it comes from."""

    title: str
    compute: Callable[[Scores, RiskOptions], Risk]
    needs: tuple[str, ...]
    reference: str


def _clipped(kept: torch.Tensor, estimate: torch.Tensor, options: RiskOptions) -> Risk:
    """Kiryo's clipping: an estimate of a risk that cannot be negative is not let below -beta."""
    if float(estimate.detach()) >= -options.beta:
        total = kept + estimate
        return Risk(total.detach(), total)
    return Risk((kept - options.beta).detach(), -options.gamma * estimate)


def _group(group: Group | None, kind: str) -> Group:
    if group is None or group.scores.numel() == 0:
        raise InputError(f"This risk needs {kind} pixels. Paint {kind} strokes, or choose another risk.")
    return group


def _positive_part(scores: Scores, o: RiskOptions) -> torch.Tensor:
    p = _group(scores.positive, "positive")
    return o.weight * p.mean(o.loss(p.scores))


def _negative_part(scores: Scores, o: RiskOptions) -> torch.Tensor:
    n = _group(scores.negative, "negative")
    return (1 - o.weight) * n.mean(o.loss(-n.scores))


def _negative_estimate(scores: Scores, o: RiskOptions) -> torch.Tensor:
    p, u = _group(scores.positive, "positive"), _group(scores.unlabelled, "unlabelled")
    difference = u.mean(o.loss(-u.scores)) - o.prior * p.mean(o.loss(-p.scores))
    return (1 - o.weight) / (1 - o.prior) * difference


def _positive_estimate(scores: Scores, o: RiskOptions) -> torch.Tensor:
    n, u = _group(scores.negative, "negative"), _group(scores.unlabelled, "unlabelled")
    difference = u.mean(o.loss(u.scores)) - (1 - o.prior) * n.mean(o.loss(n.scores))
    return o.weight / o.prior * difference


def _upu(scores: Scores, o: RiskOptions) -> Risk:
    total = _positive_part(scores, o) + _negative_estimate(scores, o)
    return Risk(total.detach(), total)


def _nnpu(scores: Scores, o: RiskOptions) -> Risk:
    return _clipped(_positive_part(scores, o), _negative_estimate(scores, o), o)


def _pn(scores: Scores, o: RiskOptions) -> Risk:
    total = _positive_part(scores, o) + _negative_part(scores, o)
    return Risk(total.detach(), total)


def _nnnu(scores: Scores, o: RiskOptions) -> Risk:
    return _clipped(_negative_part(scores, o), _positive_estimate(scores, o), o)


def _pnu(scores: Scores, o: RiskOptions) -> Risk:
    pn, other = _pn(scores, o), (_nnpu if o.eta >= 0 else _nnnu)(scores, o)
    share = abs(o.eta)
    return Risk((1 - share) * pn.value + share * other.value, (1 - share) * pn.surrogate + share * other.surrogate)


def _pu_naive(scores: Scores, o: RiskOptions) -> Risk:
    p, u = _group(scores.positive, "positive"), _group(scores.unlabelled, "unlabelled")
    total = 0.5 * p.mean(o.loss(p.scores)) + 0.5 * u.mean(o.loss(-u.scores))
    return Risk(total.detach(), total)


RISKS: dict[str, RiskRow] = {
    "nnpu": RiskRow("Non-negative PU", _nnpu, ("positive", "unlabelled"), "Kiryo et al. 2017, arXiv:1703.00593"),
    "upu": RiskRow(
        "Unbiased PU", _upu, ("positive", "unlabelled"), "du Plessis, Niu, Sugiyama 2015, ICML, PMLR 37:1386"
    ),
    "pnu": RiskRow(
        "PNU: positive, negative and unlabelled",
        _pnu,
        ("positive", "negative", "unlabelled"),
        "Sakai et al. 2017, arXiv:1605.06955",
    ),
    "pn": RiskRow("PN: positive and negative only", _pn, ("positive", "negative"), "supervised learning"),
    "pu_naive": RiskRow(
        "Naive: unlabelled taken as negative", _pu_naive, ("positive", "unlabelled"), "baseline for comparisons"
    ),
}
