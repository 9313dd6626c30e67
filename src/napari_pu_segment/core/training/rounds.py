"""Rounds of painting and training: is a new model better than the one before, from strokes alone.

There is no ground truth in an interactive session, only strokes. So strokes are held out whole (neighbouring pixels of
one stroke know each other), and each is judged by a model that was trained on the others. Two things are measured:
how far the held-out strokes agree with those models (agreement), and how far the masks of those models are the mask of
the whole (steadiness: does the result hang on single strokes?).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .patches import KINDS

STOP_BELOW = 0.02  # change of the mask, relative to the objects
_WOBBLE = 0.03  # a fall of the agreement that says nothing
_ONE_SIDED_90 = 1.28  # standard errors


@dataclass(frozen=True, eq=False)
class HeldStroke:
    """A stroke, and what a model that did not see it says of it.

    Parameters
    ----------
    sample : int
        Number of the image.
    kind : {"positive", "negative"}
    pixels : ndarray of int, (n,)
        Flat indices into the image.
    agreement : float
        Share of its pixels that are on the side it was painted for, 0..1.
    """

    sample: int
    kind: str
    pixels: np.ndarray
    agreement: float

    def centre(self, shape: tuple[int, ...]) -> tuple[float, ...]:
        """A pixel of the stroke near its middle, ([Z,] Y, X), in an image of spatial `shape`."""
        places = np.stack(np.unravel_index(self.pixels, shape), axis=1)
        nearest = np.square(places - places.mean(0)).sum(1).argmin()
        return tuple(float(value) for value in places[nearest])


@dataclass(frozen=True, eq=False)
class Judgement:
    """How a way of training bears being judged by strokes that it did not see.

    All of it is for comparing rounds, not for reporting quality: strokes keep to the middle of objects and to places
    that a person is sure of, so recall and specificity are optimistic.

    Parameters
    ----------
    strokes : sequence of HeldStroke
        A kind that has one stroke only is not held out.
    steadiness_of_folds : sequence of float, at most 1
        `kappa` of each fold's mask and the judged model's, over pixels drawn uniformly from the images.
    coverage, class_prior : float in 0..1
        Fraction of the images in the mask, and the expected positive fraction.
    """

    strokes: Sequence[HeldStroke]
    steadiness_of_folds: Sequence[float]
    coverage: float
    class_prior: float

    def agreements(self, kind: str) -> np.ndarray:
        """Agreement of each held-out stroke of a kind, (n,)."""
        return np.array([stroke.agreement for stroke in self.strokes if stroke.kind == kind])

    @property
    def recall(self) -> float | None:
        """Mean share of a held-out positive stroke that is found; long or short, each counts alike."""
        return _mean(self.agreements("positive"))

    @property
    def specificity(self) -> float | None:
        """Mean share of a held-out negative stroke that is left out."""
        return _mean(self.agreements("negative"))

    @property
    def agreement(self) -> float | None:
        """Mean of recall and specificity, or the one that is known; None where no stroke could be held out."""
        return _mean([value for value in (self.recall, self.specificity) if value is not None])

    @property
    def steadiness(self) -> float | None:
        """Mean of `steadiness_of_folds`."""
        return _mean(self.steadiness_of_folds)

    @property
    def precision(self) -> float | None:
        """See `pu_precision`."""
        return None if self.recall is None else pu_precision(self.recall, self.class_prior, self.coverage)

    @property
    def loners(self) -> list[HeldStroke]:
        """Strokes that the others do not bear out: less than half of each agrees. The worst comes first."""
        return sorted((one for one in self.strokes if one.agreement < 0.5), key=lambda one: one.agreement)


@dataclass(frozen=True)
class Verdict:
    """Whether a new round is at least as good as the old one.

    Parameters
    ----------
    agreement, agreement_spread : float
        Change of the held-out agreement, and the standard error of that change over the strokes; NaN where unknown.
    steadiness, steadiness_spread : float
        Change of the steadiness, and its standard error over the folds; NaN where unknown.
    """

    agreement: float
    agreement_spread: float
    steadiness: float
    steadiness_spread: float

    @property
    def known(self) -> bool:
        """Whether there were strokes enough to hold out, in both rounds."""
        return not (math.isnan(self.agreement) or math.isnan(self.steadiness))

    @property
    def keep(self) -> bool:
        """Whether to take the new model: unless agreement and steadiness both fell, the latter by more than its spread.

        A fall of the agreement is enough alone where it is beyond nine tenths of what chance does (one-sided, normal).
        A single stroke without support, a wrong one or the first on a new kind of object, is never so: it alone makes a
        fall of just one standard error. Falls of 3 % and less are not: outlines wobble, and where all strokes agreed in
        full, their spread is zero.
        """
        fall = -self.agreement
        both = fall > 0 and self.steadiness < -self.steadiness_spread
        return not (self.known and (both or fall > max(_WOBBLE, _ONE_SIDED_90 * self.agreement_spread)))

    @property
    def fell(self) -> bool:
        """Whether the agreement is not known, or fell by more than its spread."""
        return not self.agreement >= -self.agreement_spread


@dataclass(frozen=True)
class Round:
    """One round of painting and training.

    Parameters
    ----------
    number : int
        From 1 on.
    n_positive, n_negative : int
        Strokes of each kind.
    seconds : float
        From the start of the training to its result.
    new_strokes : bool
        Whether the strokes differ from those of the round before.
    change : float or None
        `mask_change` since the model that was in use before; None for the first round.
    judgement : Judgement or None
        None where it has not been judged yet.
    verdict : Verdict or None
        None where it, or the model before, has not been judged.
    """

    number: int
    n_positive: int
    n_negative: int
    seconds: float
    new_strokes: bool = True
    change: float | None = None
    judgement: Judgement | None = None
    verdict: Verdict | None = None


def compare(old: Judgement, new: Judgement) -> Verdict:
    """Compare two rounds by their held-out strokes.

    The change of agreement is the mean, over the kinds of strokes that were held out in both, of the change of the mean
    agreement of a stroke. All strokes of a round count, those that are new since then too: a wrong stroke shows itself
    most of all by not being borne out by the others. (To compare only on strokes that both rounds have, and new ones
    with what the old model said of them, sounds fairer; but where the truth was known, it told spoiled rounds from good
    ones hardly better than chance.)
    """
    changes, errors = [], []
    for kind in KINDS:
        before, after = old.agreements(kind), new.agreements(kind)
        if len(before) and len(after):
            changes.append(float(after.mean() - before.mean()))
            errors.append(math.hypot(_standard_error(before), _standard_error(after)))
    folds = [np.asarray(one.steadiness_of_folds, float) for one in (old, new)]
    steady = float(folds[1].mean() - folds[0].mean()) if all(len(part) for part in folds) else math.nan
    return Verdict(
        agreement=_mean(changes) if changes else math.nan,  # type: ignore[arg-type]
        agreement_spread=math.hypot(*errors) / len(errors) if errors else math.nan,
        steadiness=steady,
        steadiness_spread=math.hypot(*map(_standard_error, folds)),
    )


def may_stop(rounds: Sequence[Round]) -> bool:
    """Whether painting more is unlikely to change much.

    In each of the last two rounds there were new strokes, the mask changed by less than `STOP_BELOW` of the objects,
    and the held-out agreement did not fall. It cannot know about places where nobody has painted yet.
    """
    last = rounds[-2:]
    return len(last) == 2 and all(
        one.new_strokes
        and one.change is not None
        and one.change < STOP_BELOW
        and one.verdict is not None
        and not one.verdict.fell
        for one in last
    )


def pu_precision(recall: float, class_prior: float, coverage: float) -> float:
    """Precision as far as positive and unlabelled pixels tell it: recall * class_prior / coverage, at most 1.

    By Bayes' rule P(y=1 | f=1) = P(f=1 | y=1) P(y=1) / P(f=1). Claesen et al. 2015, arXiv:1504.06837; Topaz reports
    precision adjusted by the prior in the same way (Bepler et al. 2019, Nature Methods 16:1153).

    It is no better than its three parts. Strokes keep to the middle of objects, so recall is optimistic; the class
    prior is itself an estimate; and where the threshold makes the mask cover just the class prior, which is the rule,
    precision equals recall by construction. It tells something once the threshold or the prior has been moved.

    Parameters
    ----------
    recall, class_prior, coverage : float in 0..1
        Coverage is P(f=1), the fraction of all pixels in the mask. Where it is 0, the precision is 0.
    """
    return min(1.0, recall * class_prior / coverage) if coverage > 0 else 0.0


def kappa(one: np.ndarray, other: np.ndarray) -> float:
    """Cohen's kappa of two masks of bool: agreement beyond chance (Cohen 1960, Educ. Psychol. Meas. 20:37).

    With p the fraction of equal pixels and c that of masks that are independent but cover as much, (p - c) / (1 - c).
    1 for equal masks, 0 for independent ones; unlike Dice it does not grow with what the masks cover.
    """
    equal, a, b = float((one == other).mean()), float(one.mean()), float(other.mean())
    chance = a * b + (1 - a) * (1 - b)
    return (equal - chance) / (1 - chance) if chance < 1 else 1.0


def mask_change(old: np.ndarray, new: np.ndarray) -> float:
    """Change between two masks ([Z,] Y, X), relative to the objects: pixels that differ / pixels of either, 0..1.

    Masks of several classes hold their numbers; a pixel that changes from one class to another differs.

    It is 1 - IoU. Relative to the image, a change of all of a sparse image's objects would look like nothing.
    Two empty masks differ by 0.
    """
    old, new = np.asarray(old), np.asarray(new)
    either = int(np.count_nonzero((old != 0) | (new != 0)))
    return int(np.count_nonzero(old != new)) / either if either else 0.0


def _mean(values: np.ndarray | Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _standard_error(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0
