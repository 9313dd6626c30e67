"""Segmentation from strokes on the objects, and on the background where the user likes: PU and PNU learning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from ..building import Basis, prepare_basis, spec_of
from ..fit import FeatureCache, fit
from ..losses.pu import RISKS, Risk, RiskOptions, Scores
from ..model import Model
from ..networks import NETWORKS, Network
from ..patches import KINDS, PixelSampler, Sampler
from ..prior import PRIORS, Estimate, Evidence, Fold
from ..progress import Progress, Work
from ..pu_settings import PuSettings
from ..runtime import set_threads
from ..samples import Sample
from ..threshold import THRESHOLDS, ThresholdEvidence
from ..training_data import TrainingData, make_sampler, prepare

__all__ = ["PuSettings", "train"]

_FURTHEST = 12.0  # scores within this keep their probabilities apart in float32


# A generous prior, and no large scales: they would tell the middle of an object, where strokes are, from its rim.
_PRIOR_SETTINGS = PuSettings(
    n_steps=80, class_prior=0.3, sigmas_px=(1.0, 1.6, 3.5), filters=("gaussian", "gradient", "hessian")
)


def train(
    samples: Sequence[Sample],
    settings: PuSettings,
    *,
    start: Model | None = None,
    cache: FeatureCache | None = None,
) -> Work[Model]:
    """Train on brush strokes.

    Parameters
    ----------
    samples : sequence of Sample
        With positive strokes on at least one; images without strokes serve as unlabelled.
    settings : PuSettings
    start : Model, optional
        Continue from this model, in a third of the steps; its intensity statistics and network are kept.
    cache : FeatureCache, optional
        Keeps features between trainings.

    Yields
    ------
    Progress

    Returns
    -------
    Model

    Raises
    ------
    InputError
        If there are no positive strokes, or images, strokes and settings do not fit together.
    """
    set_threads(settings.threads)
    basis = prepare_basis(samples, settings, start)
    data = prepare(samples, basis.stats)
    network = basis.network()
    kept, held = data.split(settings.seed)
    yield Progress(0, settings.n_steps, "Reading the strokes")
    sampler = yield from make_sampler(kept, network, basis.spec, settings.seed, cache)
    if start is None:
        network.calibrate(sampler.everything(np.random.default_rng(settings.seed)).features)
    estimate = yield from _prior(data, settings, basis, cache)
    odds = settings.generosity * estimate.prior / (1 - estimate.prior)
    objective = _objective(settings, odds / (1 + odds), bool(data.count("negative")))
    check = None
    if held is not None:
        held_sampler = yield from make_sampler(held, network, basis.spec, settings.seed, cache)
        check = _check(network, held_sampler, objective, settings.seed)
    n_steps = settings.n_steps if start is None else max(1, settings.n_steps // 3)
    yield from fit(network, _step(network, sampler, objective), settings, n_steps=n_steps, check=check)
    _settle(network, sampler, settings, estimate.prior)
    n_strokes = {f"n_{kind}_strokes": data.count(kind) for kind in KINDS}
    return basis.model(network, estimate, **n_strokes)


def _step(
    network: Network, sampler: Sampler, objective: Callable[[Scores], Risk]
) -> Callable[[np.random.Generator], Risk]:
    device = next(network.parameters()).device

    def step(rng: np.random.Generator) -> Risk:
        batch = sampler.draw(rng).to(device)
        return objective(batch.scores(network.head(batch.features)))

    return step


def _objective(settings: PuSettings, prior: float, negatives: bool) -> Callable[[Scores], Risk]:
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


def _scores(network: Network, sampler: Sampler, seed: int) -> Scores:
    device = next(network.parameters()).device
    batch = sampler.everything(np.random.default_rng(seed)).to(device)
    with torch.inference_mode():
        return batch.scores(network.head(batch.features))


def _check(network: Network, held: Sampler, objective: Callable[[Scores], Risk], seed: int) -> Callable[[], float]:
    return lambda: float(objective(_scores(network, held, seed)).value)


def _settle(network: Network, sampler: Sampler, settings: PuSettings, prior: float) -> None:
    """Bring the operating threshold to a score of 0, a probability of one half, and scores to where they stay apart.

    Bounded surrogates drive scores up until their probabilities are all 0 or 1, and no slider could part them.
    """
    found = _scores(network, sampler, settings.seed)
    groups = (found.unlabelled, found.positive, found.negative)
    scores, *strokes = (np.empty(0) if group is None else group.scores.cpu().numpy() for group in groups)
    offset = THRESHOLDS[settings.threshold].choose(ThresholdEvidence(scores, *strokes), prior)
    furthest = float(np.quantile(np.abs(scores - offset), 0.999))
    network.rescale(offset, min(1.0, _FURTHEST / max(furthest, 1e-6)))


def _prior(data: TrainingData, settings: PuSettings, basis: Basis, cache: FeatureCache | None) -> Work[Estimate]:
    """The class prior and how it was found: with a small pixel network, whichever network is trained."""
    if settings.prior == "fixed":
        return Estimate(settings.class_prior, (settings.class_prior, settings.class_prior), "fixed")
    if basis.start is not None:
        card = basis.start.card
        return Estimate(card.class_prior, card.class_prior_interval, card.class_prior_source)
    quick = _PRIOR_SETTINGS.changed(
        settings.model_dump(include={"seed", "device", "threads", "dimensions", "plane_px"})
    )
    quickly = replace(basis, settings=quick, spec=spec_of(quick, data.samples, basis.spec.ndim))
    samplers = []
    for part in data.halves(settings.seed):
        sampler = yield from make_sampler(part, quickly.network(), quickly.spec, settings.seed, cache)
        assert isinstance(sampler, PixelSampler)
        samplers.append(sampler)

    def folds() -> Work[list[Fold]]:
        found = []
        for seen, unseen in (samplers, samplers[::-1]):
            network = quickly.network()
            network.calibrate(seen.everything(np.random.default_rng(settings.seed)).features)
            objective = _objective(quick, quick.class_prior, False)
            yield from fit(network, _step(network, seen, objective), quick, message="Estimating the class prior")
            scores = _scores(network, unseen, settings.seed)
            assert scores.unlabelled is not None
            positive = unseen.strokes("positive", scores.positive.scores.cpu().numpy())
            found.append(Fold(positive, scores.unlabelled.scores.cpu().numpy()))
        return found

    estimate = yield from PRIORS[settings.prior].estimate(
        _evidence(samplers, basis.spec.in_channels, settings.seed, folds)
    )
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
