"""Segmentation from many unreliable masks and few reliable ones: pixel-wise meta-reweighting, and its baselines."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Annotated, Literal, TypeAlias

import numpy as np
import torch
from pydantic import Field
from torch.func import functional_call

from ..compute.runtime import set_threads
from ..errors import InputError
from ..losses.pu import Risk
from ..losses.reweight import (
    GRADIENTS,
    Labelled,
    Parameters,
    doubt_of,
    mean_loss,
    pixel_losses,
    pixel_weights,
    unexplained,
)
from ..model import Model
from ..networks import Network
from ..progress import Progress, Work
from ..samples import NEGATIVE, POSITIVE, Sample
from ..settings import OneOf, advanced
from ..training.building import Basis, prepare_basis
from ..training.fit import FeatureCache, fit
from ..training.labelled import LabelledPixels, LabelledSampler, labelled_sampler
from ..training.network_settings import NetworkSettings
from ..training.patches import find_strokes
from ..training.prior import Estimate

LEARNERS = {
    "reweight": "Weigh every pixel",
    "noisy": "Unreliable masks only",
    "clean": "Reliable labels only",
    "fine_tune": "Unreliable masks, then reliable labels",
    "mixture": "Both alike",
}

WEIGHING = {"estimated": "As far as the masks are doubtful", "full": "Wholly, as published"}
_LOOKS = 16  # batches that the unreliable masks are judged by

Step = Callable[[np.random.Generator], Risk]


class ReweightSettings(NetworkSettings):
    """Settings of training from unreliable masks and a few reliable labels."""

    method: Literal["reweight"] = Field("reweight", title="Method", description="Tag of these settings.")
    n_steps: int = Field(300, ge=1, le=100_000, title="Training steps", description="Optimiser steps; more is slower.")
    learner: Annotated[str, OneOf(LEARNERS)] = Field(
        "reweight", title="Learning", description="How the unreliable masks are used; all but the first are baselines."
    )
    gradient: Annotated[str, OneOf(GRADIENTS)] = advanced(
        default="forward",
        title="Weights by",
        description="forward: exact and fast. unrolled: as published. last_layer: faster for deep networks, rougher.",
    )
    weighing: Annotated[str, OneOf(WEIGHING)] = advanced(
        default="estimated",
        title="Weigh pixels",
        description="Masks that a short training on them alone explains, together with the reliable labels of the same "
        "images, are believed like these.",
    )
    clean_share: float = advanced(
        default=0.2,
        ge=0,
        le=1,
        title="Share of reliable labels",
        description="Of the loss of every step, beside the weighed masks; 0 is as published.",
    )


# Mirikharaji et al. 2019: a U-Net, nothing but weighed pixels, the weights by unrolling.
AS_PUBLISHED = ReweightSettings(network="unet", gradient="unrolled", weighing="full", clean_share=0.0)


def train(
    samples: Sequence[Sample],
    settings: ReweightSettings,
    *,
    start: Model | None = None,
    cache: FeatureCache | None = None,
) -> Work[Model]:
    """Train on unreliable masks (``trust="noisy"``) and reliable labels, masks or strokes (any other trust).

    Parameters
    ----------
    samples : sequence of Sample
        Those without labels are left out. An image with both kinds of labels comes twice, as the same array.
    settings : ReweightSettings
    start : Model, optional
        Continue from this model, in a third of the steps; its intensity statistics and network are kept. Or an encoder
        to look through, in a training from nothing.
    cache : FeatureCache, optional
        Keeps features between trainings.

    Raises
    ------
    InputError
        If the learner asked for lacks one of the two kinds, or images, masks and settings do not fit together.
    """
    set_threads(settings.threads)
    basis = yield from prepare_basis(samples, settings, start)
    network = basis.network()
    yield Progress(0, settings.n_steps, "Reading the masks")
    noisy, clean, beside = yield from _samplers(basis, network, cache)
    _check_needs(settings.learner, noisy, clean)
    seen = [part.rows.features for part in (noisy, clean) if isinstance(part, LabelledPixels)]
    if basis.start is None and seen:
        network.calibrate(torch.cat(seen))
    n_steps = settings.n_steps if basis.start is None else max(1, settings.n_steps // 3)
    doubt, message = 1.0, "Training"
    if settings.learner == "reweight" and settings.weighing == "estimated" and noisy is not None:
        doubt = yield from _doubt(network, settings, noisy, beside, max(1, n_steps // 3))
        message = f"Training, masks doubted by {doubt:.0%}"
    step = _step(network, settings, noisy, clean, doubt)
    yield from fit(network, step, settings, n_steps=n_steps, message=message)
    if settings.learner == "fine_tune":
        gently = settings.changed({"learning_rate": settings.learning_rate / 3})
        step = _step(network, settings.changed({"learner": "clean"}), None, clean)
        yield from fit(network, step, gently, n_steps=max(1, n_steps // 3), message="Fine-tuning")
    strokes = find_strokes([sample for sample in samples if sample.trust == "scribble"])
    counts = {f"n_{kind}_strokes": len(part) for kind, part in strokes.items()}
    return basis.model(network, _prior(samples), **counts)


_Found: TypeAlias = LabelledSampler | None


def _samplers(basis: Basis, network: Network, cache: FeatureCache | None) -> Work[tuple[_Found, _Found, _Found]]:
    """What draws unreliable labels, reliable ones, and of these the ones that lie beside a rough mask of one image."""
    labelled = [i for i, sample in enumerate(basis.samples) if sample.labels is not None]
    noisy = [i for i in labelled if basis.samples[i].trust == "noisy"]
    clean = [i for i in labelled if i not in noisy]
    beside = [i for i in clean if any(basis.samples[i].image is basis.samples[j].image for j in noisy)]
    found: list[_Found] = []
    for kept in (noisy, clean, beside):
        if kept == clean and len(found) == 2:
            found.append(found[1])
            continue
        samples, stats = [basis.samples[i] for i in kept], [basis.stats[i] for i in kept]
        sampling = labelled_sampler(samples, stats, network, basis.spec, basis.settings.seed, cache)
        found.append((yield from sampling) if kept else None)
    return found[0], found[1], found[2]


def _check_needs(learner: str, noisy: LabelledSampler | None, clean: LabelledSampler | None) -> None:
    if noisy is None and learner != "clean":
        raise InputError("There is no unreliable mask to learn from. Give one, or choose to learn from strokes.")
    if clean is None and learner != "noisy":
        raise InputError(
            "There is nothing reliable to judge the masks by. Paint some strokes, or give one mask that can be trusted."
        )


def _doubt(
    network: Network, settings: ReweightSettings, noisy: LabelledSampler, beside: LabelledSampler | None, n_steps: int
) -> Work[float]:
    """How far the unreliable masks must be weighed, by what a model that knows nothing but them leaves unexplained.

    Of themselves: they are wrong here and there. Of reliable labels on the same images: they are wrong everywhere in
    the same way. Reliable labels of other images tell less, as these may just look different.
    """
    trial, alone = copy.deepcopy(network), settings.changed({"learner": "noisy"})
    yield from fit(trial, _step(trial, alone, noisy, None), alone, n_steps=n_steps, message="Judging the masks")
    head, device, parts = _Head(trial), next(trial.parameters()).device, []
    for sampler in (noisy, beside):
        rng = np.random.default_rng(settings.seed)
        batches = [sampler.draw(rng).to(device) for _ in range(_LOOKS)] if sampler else []
        with torch.inference_mode():
            parts.append(unexplained([head(batch.features) for batch in batches], batches))
    return doubt_of(max(parts))


def _step(
    network: Network,
    settings: ReweightSettings,
    noisy: LabelledSampler | None,
    clean: LabelledSampler | None,
    doubt: float = 1.0,
) -> Step:
    device, head = next(network.parameters()).device, _Head(network)
    trained = {name: one for name, one in head.named_parameters() if one.requires_grad}

    def drawn(sampler: LabelledSampler | None, rng: np.random.Generator) -> Labelled:
        assert sampler is not None
        return sampler.draw(rng).to(device)

    def plain(sampler: LabelledSampler | None, rng: np.random.Generator) -> torch.Tensor:
        batch = drawn(sampler, rng)
        return mean_loss(head(batch.features), batch)

    def reweighted(rng: np.random.Generator) -> torch.Tensor:
        rough, sure = drawn(noisy, rng), drawn(clean, rng)
        weights = pixel_weights(head.under, trained, rough, sure, settings.gradient, doubt)
        weighed = (weights * pixel_losses(head(rough.features), rough)).sum()
        share = settings.clean_share
        return weighed if not share else (1 - share) * weighed + share * mean_loss(head(sure.features), sure)

    losses: dict[str, Callable[[np.random.Generator], torch.Tensor]] = {
        "reweight": reweighted,
        "noisy": lambda rng: plain(noisy, rng),
        "fine_tune": lambda rng: plain(noisy, rng),
        "clean": lambda rng: plain(clean, rng),
        "mixture": lambda rng: (plain(noisy, rng) + plain(clean, rng)) / 2,
    }

    def step(rng: np.random.Generator) -> Risk:
        loss = losses[settings.learner](rng)
        return Risk(loss.detach(), loss)

    return step


class _Head(torch.nn.Module):
    """A network's head as a function of its parameters: scores (B, ...) of features (B, F, ...)."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.network.head(features)[:, 0]

    def under(self, parameters: Parameters, features: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = functional_call(self, {**parameters, **dict(self.named_buffers())}, (features,))
        return scores


def _prior(samples: Sequence[Sample]) -> Estimate:
    """The positive fraction of the most reliable masks there are."""
    for trust, source in (("clean", "clean masks"), ("noisy", "unreliable masks"), ("scribble", "strokes")):
        counts = [(s.count(POSITIVE), s.count(NEGATIVE)) for s in samples if s.trust == trust]
        positive, negative = (sum(part) for part in zip(*counts, strict=True)) if counts else (0, 0)
        if positive + negative:
            share = positive / (positive + negative)
            return Estimate(share, (share, share), source)
    raise InputError("No pixel is labelled.")
