"""Segmentation from strokes on the objects, and on the background where the user likes: PU and PNU learning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from ..doubts import SCALE_LIMIT
from ..errors import InputError
from ..fit import FeatureCache, Sampler, fit
from ..intensity import ChannelStats, measure
from ..losses.pu import RISKS, Risk, RiskOptions, Scores
from ..model import Model, make_card
from ..networks import NETWORKS, Network, NetworkSpec, build_network
from ..patches import PixelSampler
from ..prior import PRIORS, Estimate, Evidence, Fold
from ..progress import Progress, Work
from ..pu_settings import PuSettings
from ..runtime import choose_device, set_threads
from ..samples import Sample, common_axes
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
    ndim = _ndim(settings, common_axes(samples))
    if start is not None:
        for sample in samples:
            start.check_image(sample.image.shape, f"Image {sample.name!r}", sample.channel_names, sample.axes)
    intensity, stats = _statistics(samples, settings, start)
    data = prepare(samples, stats)
    spec = _spec(settings, samples, ndim)
    network = _network(spec, settings, start)
    kept, held = data.split(settings.seed)
    yield Progress(0, settings.n_steps, "Reading the strokes")
    sampler = yield from make_sampler(kept, network, spec, settings.seed, cache)
    if start is None:
        network.calibrate(sampler.everything(np.random.default_rng(settings.seed)).features)
    estimate = yield from _prior(data, settings, start, cache)
    odds = settings.generosity * estimate.prior / (1 - estimate.prior)
    objective = _objective(settings, odds / (1 + odds), bool(data.count("negative")))
    check = None
    if held is not None:
        held_sampler = yield from make_sampler(held, network, spec, settings.seed, cache)
        check = _check(network, held_sampler, objective, settings.seed)
    n_steps = settings.n_steps if start is None else max(1, settings.n_steps // 3)
    yield from fit(network, sampler, objective, settings, n_steps=n_steps, check=check)
    _settle(network, sampler, settings, estimate.prior)
    return _model(network, spec, data, settings, estimate, intensity)


def _ndim(settings: PuSettings, axes: str) -> int:
    """Spatial axes of the network: time is never one of them."""
    if settings.dimensions == "planes" or axes == "CYX":
        return 2
    if "Z" not in axes:
        raise InputError(
            "The images are time series of single planes, so there are no volumes to train on. Time points are each on "
            "their own: set Stacks to planes."
        )
    return 3


def _statistics(
    samples: Sequence[Sample], settings: PuSettings, start: Model | None
) -> tuple[tuple[ChannelStats, ...], tuple[tuple[ChannelStats, ...], ...]]:
    """Statistics of all samples together, and those that each of them is seen with."""
    everywhere = start.card.intensity if start else measure(samples, settings.intensity)
    if settings.statistics == "training":
        return everywhere, (everywhere,) * len(samples)
    # as `Model.for_image` will measure them: what is ignored makes no difference there
    return everywhere, tuple(measure([Sample(sample.image)], everywhere[0].transform) for sample in samples)


def _plane_px(settings: PuSettings, samples: Sequence[Sample], ndim: int) -> float:
    if ndim == 2 or not NETWORKS[settings.network].heeds_planes:
        return 1.0
    known = [sample.plane_px for sample in samples if sample.plane_px]
    if settings.plane_px or not known:
        return settings.plane_px or 1.0
    if max(known) > SCALE_LIMIT * min(known):
        raise InputError(
            f"The stacks differ in how far their planes are apart: from {min(known):.3g} to {max(known):.3g} px. Give "
            "the distance of planes that shall hold for all, or train on stacks of one kind."
        )
    return min(max(round(known[0], 3), 0.01), 100.0)


def _spec(settings: PuSettings, samples: Sequence[Sample], ndim: int) -> NetworkSpec:
    bank = settings.network == "pixel"
    return NetworkSpec(
        name=settings.network,
        in_channels=samples[0].image.shape[0],
        ndim=3 if ndim == 3 else 2,
        width=max(settings.width, 4) if settings.width else NETWORKS[settings.network].width,
        filters=settings.filters if bank else (),
        sigmas_px=settings.sigmas_px if bank else (),
        plane_px=_plane_px(settings, samples, ndim),
    )


def _network(spec: NetworkSpec, settings: PuSettings, start: Model | None) -> Network:
    device = choose_device(settings.device)
    network = build_network(spec, settings.seed)
    if start is not None:
        if start.card.network != spec or start.card.statistics != settings.statistics:
            raise InputError(
                f"The current model is a {start.card.network.name!r} network of another shape, or it "
                "sees intensities otherwise, so training cannot continue from it. Train anew, or restore its settings."
            )
        network.load_state_dict(start.network.state_dict())
    return network.to(device)


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


def _prior(data: TrainingData, settings: PuSettings, start: Model | None, cache: FeatureCache | None) -> Work[Estimate]:
    """The class prior and how it was found: with a small pixel network, whichever network is trained."""
    if settings.prior == "fixed":
        return Estimate(settings.class_prior, (settings.class_prior, settings.class_prior), "fixed")
    if start is not None:
        return Estimate(start.card.class_prior, start.card.class_prior_interval, start.card.class_prior_source)
    quick = _PRIOR_SETTINGS.changed(
        settings.model_dump(include={"seed", "device", "threads", "dimensions", "plane_px"})
    )
    spec = _spec(quick, data.samples, _ndim(settings, data.samples[0].axes))
    samplers = []
    for part in data.halves(settings.seed):
        sampler = yield from make_sampler(part, _network(spec, quick, None), spec, settings.seed, cache)
        assert isinstance(sampler, PixelSampler)
        samplers.append(sampler)

    def folds() -> Work[list[Fold]]:
        found = []
        for seen, unseen in (samplers, samplers[::-1]):
            network = _network(spec, quick, None)
            network.calibrate(seen.everything(np.random.default_rng(settings.seed)).features)
            objective = _objective(quick, quick.class_prior, False)
            yield from fit(network, seen, objective, quick, message="Estimating the class prior")
            scores = _scores(network, unseen, settings.seed)
            assert scores.unlabelled is not None
            positive = unseen.strokes("positive", scores.positive.scores.cpu().numpy())
            found.append(Fold(positive, scores.unlabelled.scores.cpu().numpy()))
        return found

    estimate = yield from PRIORS[settings.prior].estimate(_evidence(samplers, spec.in_channels, settings.seed, folds))
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


def _model(
    network: Network,
    spec: NetworkSpec,
    data: TrainingData,
    settings: PuSettings,
    estimate: Estimate,
    intensity: tuple[ChannelStats, ...],
) -> Model:
    first = data.samples[0]
    card = make_card(
        network.state_dict(),
        method=settings.method,
        settings=settings.to_dict(),
        network=spec,
        axes=first.axes,
        channel_names=first.channel_names,
        intensity=intensity,
        statistics=settings.statistics,
        class_prior=estimate.prior,
        class_prior_interval=estimate.interval,
        class_prior_source=estimate.source,
        threshold=0.5,  # see `_settle`
        pixel_size=first.pixel_size,
        pixel_unit=first.pixel_unit,
        n_positive_strokes=data.count("positive"),
        n_negative_strokes=data.count("negative"),
    )
    return Model(network, card)
