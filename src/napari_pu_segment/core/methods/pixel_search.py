"""A search for the best pixel classifier within a budget of time: filters, scales and scikit-learn pipelines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field

from ..card import ClassCard
from ..classes import common_classes, objects_alike
from ..compute.runtime import choose_device, set_threads
from ..errors import InputError
from ..filters import FILTERS
from ..model import Model
from ..networks import NetworkSpec
from ..networks.pipeline import PipelineNetwork
from ..progress import Progress, Work
from ..samples import NEGATIVE, ONE_CLASS, Sample, code_of
from ..search import Bench, Rows
from ..search.bank_cost import filters_cost, rows_side_by_side
from ..search.candidates import Candidate, Tried, bank_of, columns_of, parse_chosen
from ..search.found import Found
from ..search.pipelines import PIPELINES
from ..search.sealed import need_search, seal
from ..search.searching import Clock, Search, SearchTable, Space
from ..search.unlabelled import memberships
from ..settings import OneOf, advanced, slider
from ..training.building import Basis, prepare_basis
from ..training.cover import find_prior
from ..training.fit import FeatureCache
from ..training.network_settings import NetworkSettings, SeeingSettings
from ..training.one_vs_rest import check_start, found_shares
from ..training.patches import Batch, PixelSampler, find_strokes
from ..training.prior import HIGHEST, Estimate
from ..training.pu_settings import CoverSettings
from ..training.threshold import THRESHOLDS, ThresholdEvidence
from ..training.training_data import make_sampler, prepare


class PixelSearchSettings(SeeingSettings, CoverSettings):
    """Settings of the search for a pixel classifier."""

    method: Literal["pixel_search"] = Field("pixel_search", title="Method", description="Tag of these settings.")
    seconds: float = slider(
        5,
        600,
        default=20.0,
        ge=1,
        le=86_400,
        title="Time (s)",
        description="How long to search; the best that was found is kept.",
    )
    pipelines: Annotated[tuple[Annotated[str, OneOf(PIPELINES)], ...], Field(min_length=1)] = advanced(
        default=tuple(PIPELINES)[:-1], title="Classifiers", description="Those to choose from."
    )
    filters: Annotated[tuple[Annotated[str, OneOf(FILTERS)], ...], Field(min_length=1)] = advanced(
        default=("gaussian", "gradient", "hessian", "structure", "opening", "spread"),
        title="Filters",
        description="Those to choose from.",
    )
    sigmas_px: Annotated[tuple[Annotated[float, Field(ge=0.3, le=64)], ...], Field(min_length=1, max_length=16)] = (
        advanced(
            default=(0.7, 1.0, 1.6, 2.5, 4.0, 6.5, 10.0, 16.0), title="Scales (px)", description="Those to choose from."
        )
    )
    n_trials: int = advanced(
        default=0,
        ge=0,
        le=100_000,
        title="Trials",
        description="Search for so many trials instead of a time, so that the same seed gives the same; 0: by time.",
    )
    chosen: str = advanced(
        default="",
        title="Chosen pipeline",
        description="A row of a search's table, in JSON: it is fitted, without a search. Empty: search.",
    )


def train(
    samples: Sequence[Sample],
    settings: PixelSearchSettings,
    *,
    start: Model | None = None,
    cache: FeatureCache | None = None,
) -> Work[Model]:
    """Search for the pipelines that tell held-out strokes best, and fit them to all strokes.

    Parameters
    ----------
    samples : sequence of Sample
        With positive strokes on at least one; images without strokes serve as unlabelled.
    settings : PixelSearchSettings
    start : Model, optional
        Fit the pipelines of this model anew, without a search; its intensity statistics and class prior are kept.
    cache : FeatureCache, optional
        Keeps features between trainings.

    Yields
    ------
    Progress
        While it searches, its preview is a `SearchTable`.

    Returns
    -------
    Model
        Its card's settings hold what was chosen: a training with them gives the same model, without a search.

    Raises
    ------
    InputError
        If scikit-learn, Optuna or skops are not installed, there are no positive strokes, or images, strokes and
        settings do not fit together.
    """
    need_search()
    set_threads(settings.threads)
    began_s, classes = time.monotonic(), common_classes(samples)
    chosen = _chosen(settings, start, classes)
    basis = yield from _basis(samples, settings, () if chosen is None else chosen.members, start)
    known = yield from _known(samples, classes, settings, basis, start, cache)
    bench = Bench(known.rows, basis.spec, known.estimate.prior, settings.seed, filters_cost(samples[0], basis))
    facts: dict[str, Any] = {}
    if chosen is None:
        clock = Clock(began_s, began_s + settings.seconds)
        table = yield from Search(bench, Space(settings.pipelines, settings.seed, settings.n_trials), clock).run()
        chosen = table.rows[0]
        facts = {"n_tried": table.n_tried}
        if table.forest is not None:
            facts |= {"forest_score": table.forest.score, "forest_s_per_mpx": table.forest.s_per_mpx}
    network = yield from _fitted(bench, basis.spec, chosen.members, len(classes))
    features = known.batch.features[:, torch.from_numpy(columns_of(basis.spec, network.spec))]
    shares = _settle(network, replace(known.batch, features=features), settings.threshold, known.estimate.prior)
    done = settings.changed({"chosen": chosen.model_dump_json()})
    if start is not None and not settings.chosen:
        found = start.card.found
    else:
        words = tuple(one.words for one in chosen.members)
        found = Found(pipeline=chosen.title, members=words, score=chosen.score, s_per_mpx=chosen.s_per_mpx, **facts)
    there = replace(basis, settings=done, spec=network.spec)
    told = {"found": found, "classes": () if classes == ONE_CLASS else _class_cards(classes, known, shares)}
    counts = {"n_positive_strokes": sum(known.counts[1:]), "n_negative_strokes": known.counts[0]}
    return there.model(network.to(choose_device(settings.device)), known.estimate, **told, **counts)


def cut_short(preview: object) -> dict[str, Any]:
    """What to change in the settings so that the best of a search's table is fitted, without a search."""
    rows = preview.rows if isinstance(preview, SearchTable) else ()
    return {"chosen": rows[0].model_dump_json()} if rows else {}


def _chosen(settings: PixelSearchSettings, start: Model | None, classes: Sequence[str]) -> Tried | None:
    """What is to be fitted without a search, if anything."""
    if settings.chosen:
        return parse_chosen(settings.chosen)
    if start is None:
        return None
    if start.card.network.name != "pipeline":
        raise InputError(
            f"The current model is a {start.card.network.name!r} network, not a searched pipeline, so training cannot "
            "continue from it. Train anew, or restore its settings."
        )
    check_start(start, classes, len(classes))
    return parse_chosen(str(start.card.settings.get("chosen", "")))


def _basis(
    samples: Sequence[Sample], settings: PixelSearchSettings, members: Sequence[Candidate], start: Model | None
) -> Work[Basis]:
    """What the search stands on: the whole filter bank, or what some candidates see of it."""
    common = settings.model_dump(include=set(SeeingSettings.model_fields))
    names = [name for name in FILTERS if name in settings.filters]
    bank = NetworkSettings(**common, filters=names, sigmas_px=sorted(set(settings.sigmas_px)))
    basis = replace((yield from prepare_basis(samples, bank, start)), start=None)
    return replace(basis, spec=bank_of(members, basis.spec)) if members else basis


@dataclass(frozen=True)
class _Known:
    """What is known of the images.

    Parameters
    ----------
    counts : tuple of int
        Number of strokes on background, and on each class.
    batch : Batch
        Features of their pixels, of the kinds "0", "1" and so on, and of pixels drawn from the images.
    rows : Rows
        The same, stroke by stroke.
    estimate : Estimate
        The class prior of all objects together.
    """

    counts: tuple[int, ...]
    batch: Batch
    rows: Rows
    estimate: Estimate


def _known(
    samples: Sequence[Sample],
    classes: Sequence[str],
    settings: PixelSearchSettings,
    basis: Basis,
    start: Model | None,
    cache: FeatureCache | None,
) -> Work[_Known]:
    """Read strokes, and find the class prior; one that is fixed is that of each class."""
    data, k = prepare(objects_alike(samples), basis.stats), len(classes)
    yield Progress(0, 0, "Reading the strokes")
    kinds = {str(number): code_of(number - 1) for number in range(1, k + 1)} | {"0": NEGATIVE}
    parted = replace(data, strokes=find_strokes(samples, kinds))
    sampler = yield from make_sampler(parted, basis.network(), basis.spec, settings.seed, cache)
    assert isinstance(sampler, PixelSampler)
    batch = sampler.everything(np.random.default_rng(settings.seed))
    strokes = [
        sampler.strokes(kind, batch.features[batch.parts[kind]].numpy()) if kind in batch.parts else []
        for kind in map(str, range(k + 1))
    ]
    rows = Rows(strokes, sampler.unlabelled.numpy(), rows_side_by_side(samples[0], basis))
    whole = settings.changed({"class_prior": min(k * settings.class_prior, HIGHEST)}) if k > 1 else settings
    estimate = yield from find_prior(data, whole, replace(basis, start=start), cache)
    return _Known(tuple(map(len, strokes)), batch, rows, estimate)


def _fitted(bench: Bench, bank: NetworkSpec, members: Sequence[Candidate], n_classes: int) -> Work[PipelineNetwork]:
    """The network of some candidates, fitted to all strokes."""
    spec, fitted = bank_of(members, bank), []
    for number, one in enumerate(members):
        yield Progress(number, len(members), "Fitting the best")
        fitted.append((columns_of(spec, one), bench.fit(one)))
    sealed = seal(fitted)
    network = PipelineNetwork(
        spec.model_copy(update={"name": "pipeline", "width": 4, "n_bytes": len(sealed)}), n_classes
    )
    network.classifiers.copy_(torch.frombuffer(bytearray(sealed), dtype=torch.uint8))
    network.check()
    return network.eval()


def _settle(network: PipelineNetwork, batch: Batch, rule: str, prior: float) -> np.ndarray:
    """Bring the operating threshold to a score of 0, a probability of one half; returns the prior of each class (K,).

    The score of a pixel is that of its likeliest class. Trees give many pixels the same lowest score; what lies between
    it and the next is no gap to put a threshold in.
    """
    with torch.inference_mode():
        odds = network.head(batch.features).numpy()  # (B, K)
    if network.n_classes > 1:
        odds += _balanced(network, odds[batch.parts["unlabelled"]])
    highest = odds.max(axis=1)
    drawn = batch.parts["unlabelled"]
    objects = [highest[part] for kind, part in batch.parts.items() if kind not in ("0", "unlabelled")]
    background = highest[batch.parts["0"]] if "0" in batch.parts else np.empty(0)
    floor = np.quantile(highest[drawn], (1 - prior) / 2)
    evidence = ThresholdEvidence(np.maximum(highest[drawn], floor), np.concatenate(objects), background)
    network.rescale(THRESHOLDS[rule].choose(evidence, prior), 1.0)
    return np.asarray(memberships(odds[drawn], prior).mean(axis=0)[1:])


def _balanced(network: PipelineNetwork, odds: np.ndarray) -> np.ndarray:
    """Tell a network of several classes half of how often each is: strokes do not; see `one_vs_rest.mixed`."""
    shares = found_shares(np.column_stack([np.zeros(len(odds)), odds]))
    offsets = np.asarray(np.log(shares[1:] / shares[0]) / 2, np.float32)
    network.balance(torch.from_numpy(offsets))
    return offsets


def _class_cards(classes: Sequence[str], known: _Known, shares: np.ndarray) -> tuple[ClassCard, ...]:
    low, high = (end / known.estimate.prior for end in known.estimate.interval)
    return tuple(
        ClassCard(
            name=name,
            class_prior=min(share, 1.0),
            class_prior_interval=(min(low * share, 1.0), min(high * share, 1.0)),
            class_prior_source=f"{known.estimate.source}; shared as the classifier shares the pixels",
            threshold=0.5,
            n_strokes=count,
        )
        for name, share, count in zip(classes, map(float, shares), known.counts[1:], strict=True)
    )
