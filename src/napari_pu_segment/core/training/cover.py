"""What methods of brush strokes share: the class prior, found by a quick training, and the operating threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from ..losses.pu import RISKS, Risk, RiskOptions, Scores
from ..networks import NETWORKS, Network
from ..progress import Work
from .building import Basis, spec_of
from .fit import FeatureCache, fit
from .patches import Batch, PixelSampler, Sampler
from .prior import PRIORS, Estimate, Evidence, Fold
from .pu_settings import CoverSettings, PuSettings
from .threshold import THRESHOLDS, ThresholdEvidence
from .training_data import TrainingData, make_sampler

_FURTHEST = 12.0  # scores within this keep their probabilities apart in float32


# A generous prior, and no large scales: they would tell the middle of an object, where strokes are, from its rim.
_PRIOR_SETTINGS = PuSettings(
    n_steps=80, class_prior=0.3, sigmas_px=(1.0, 1.6, 3.5), filters=("gaussian", "gradient", "hessian")
)


def make_step(
    network: Network, sampler: Sampler, objective: Callable[[Scores], Risk]
) -> Callable[[np.random.Generator], Risk]:
    """One training step of `fit`."""
    device = next(network.parameters()).device

    def step(rng: np.random.Generator) -> Risk:
        batch = sampler.draw(rng).to(device)
        return objective(batch.scores(network.head(batch.features)))

    return step


def make_objective(settings: PuSettings, prior: float, negatives: bool) -> Callable[[Scores], Risk]:
    """The risk that settings ask for, with or without negative strokes."""
    row = NETWORKS[settings.network]
    balanced = row.balanced if settings.weighting == "auto" else settings.weighting == "balanced"
    risk = ("pnu" if negatives else "nnpu") if settings.risk == "auto" else settings.risk
    options = RiskOptions(
        prior=prior,
        surrogate=row.surrogate if settings.surrogate == "auto" else settings.surrogate,
        target_prior=settings.target_prior if balanced else None,
        beta=settings.beta,
        gamma=settings.gamma,
        eta=settings.eta,
    )
    return lambda scores: RISKS[risk].compute(scores, options)


def scores_of(network: Network, batch: Batch) -> Scores:
    """The network's scores of a batch, without gradients."""
    batch = batch.to(next(network.parameters()).device)
    with torch.inference_mode():
        return batch.scores(network.head(batch.features))


def settle(network: Network, batch: Batch, rule: str, prior: float) -> None:
    """Bring the operating threshold to a score of 0, a probability of one half, and scores to where they stay apart.

    Bounded surrogates drive scores up until their probabilities are all 0 or 1, and no slider could part them.

    Parameters
    ----------
    network : Network
    batch : Batch
        Pixels of strokes, and pixels drawn from the images.
    rule : str
        Row of `THRESHOLDS`.
    prior : float
        The class prior.
    """
    found = scores_of(network, batch)
    groups = (found.unlabelled, found.positive, found.negative)
    scores, *strokes = (np.empty(0) if group is None else group.scores.cpu().numpy() for group in groups)
    settle_at(network, scores, THRESHOLDS[rule].choose(ThresholdEvidence(scores, *strokes), prior))


def settle_at(network: Network, scores: np.ndarray, offset: float) -> None:
    """The same for a threshold that is known, among scores (n,) of pixels of the images."""
    furthest = float(np.quantile(np.abs(scores - offset), 0.999))
    network.rescale(offset, min(1.0, _FURTHEST / max(furthest, 1e-6)))


def find_prior(data: TrainingData, settings: CoverSettings, basis: Basis, cache: FeatureCache | None) -> Work[Estimate]:
    """The class prior and how it was found: with a small pixel network, whichever network is trained.

    A model that is continued from keeps its own, unless the settings fix one.
    """
    if settings.prior == "fixed":
        return Estimate(settings.class_prior, (settings.class_prior, settings.class_prior), "fixed")
    if basis.start is not None:
        card = basis.start.card
        return Estimate(card.class_prior, card.class_prior_interval, card.class_prior_source)
    seed = basis.settings.seed
    quick = _PRIOR_SETTINGS.changed(
        basis.settings.model_dump(include={"seed", "device", "threads", "dimensions", "plane_px"})
    )
    quickly = replace(basis, settings=quick, spec=spec_of(quick, data.samples, basis.spec.ndim), encoder=None)
    samplers = []
    for part in data.halves(seed):
        sampler = yield from make_sampler(part, quickly.network(), quickly.spec, seed, cache)
        assert isinstance(sampler, PixelSampler)
        samplers.append(sampler)

    def folds() -> Work[list[Fold]]:
        found = []
        for seen, unseen in (samplers, samplers[::-1]):
            network = quickly.network()
            network.calibrate(seen.everything(np.random.default_rng(seed)).features)
            objective = make_objective(quick, quick.class_prior, False)
            yield from fit(network, make_step(network, seen, objective), quick, message="Estimating the class prior")
            scores = scores_of(network, unseen.everything(np.random.default_rng(seed)))
            assert scores.unlabelled is not None
            positive = unseen.strokes("positive", scores.positive.scores.cpu().numpy())
            found.append(Fold(positive, scores.unlabelled.scores.cpu().numpy()))
        return found

    estimate = yield from PRIORS[settings.prior].estimate(_evidence(samplers, basis.spec.in_channels, seed, folds))
    return replace(estimate, source=f"{settings.prior}: {estimate.source}")


def _evidence(
    samplers: Sequence[PixelSampler], n_channels: int, seed: int, folds: Callable[[], Work[list[Fold]]]
) -> Evidence:
    """Intensities at the smallest scale of the filter bank: its Gaussian maps come right after the image itself."""
    columns = slice(n_channels, 2 * n_channels)
    found: dict[str, list[np.ndarray]] = {"positive": [], "negative": [], "unlabelled": []}
    for sampler in samplers:
        batch = sampler.everything(np.random.default_rng(seed))
        for kind, part in batch.parts.items():
            rows = batch.features[part, columns].numpy()
            found[kind] += sampler.strokes(kind, rows) if kind == "positive" else [rows]
    negative = np.concatenate(found["negative"] or [np.empty((0, n_channels))])
    return Evidence(found["positive"], negative, np.concatenate(found["unlabelled"]), folds)
