"""The judging of a round: models trained without some of the strokes are asked about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ..classes import Thresholds, threshold_mask
from ..compute.tiles import map_tiles
from ..errors import pick
from ..filters.features import gather
from ..images.sampling import draw_pixels
from ..methods import METHODS
from ..model import Model
from ..progress import Progress, Work
from ..samples import NEGATIVE, UNLABELED, Sample, code_of
from .building import encoder_of
from .fit import FeatureCache
from .patches import Stroke, find_strokes
from .prior import LOWEST
from .rounds import HeldStroke, Judgement, kappa

N_FOLDS = 3
_POOL_PX = 20_000  # pixels that stand for the images
_STEPS_DIVISOR = 3  # a fold trains for a third of the steps, as a retrain from the current model does


def judge(
    samples: Sequence[Sample],
    model: Model,
    *,
    threshold: Thresholds | None = None,
    cache: FeatureCache | None = None,
) -> Work[Judgement]:
    """Judge a model by strokes that models trained like it did not see.

    The strokes of each kind are dealt at random to at most `N_FOLDS` folds. For each fold a model is trained on all
    other strokes: from new weights (the judged model's have seen everything), with its settings, a third of its steps
    and its class prior. Its threshold is where its mask covers as much as the judged model's mask does; of several
    classes the thresholds are the judged model's, as they are weighed against each other anew.

    Parameters
    ----------
    samples : sequence of Sample
        What the model was trained on. Judged are the strokes; masks (any other trust) are learnt from in every fold.
    model : Model
    threshold : float in 0..1, or a tuple of K, optional
        The operating threshold, instead of the model's own.
    cache : FeatureCache, optional
        The one that the model was trained with.

    Raises
    ------
    InputError
        If samples and model do not fit together.
    """
    method = pick(METHODS, model.card.method, "method")
    settings = method.settings(**model.card.settings)
    n_classes, at = len(model.classes), model.threshold if threshold is None else threshold
    values: dict[str, Any] = {"prior": "fixed", "class_prior": max(model.card.class_prior / n_classes, LOWEST)}
    values["statistics"] = model.card.statistics
    if "n_steps" in model.card.settings:
        values["n_steps"] = max(1, int(model.card.settings["n_steps"]) // _STEPS_DIVISOR)
    settings = settings.changed({name: values[name] for name in values.keys() & method.settings.model_fields.keys()})
    masks = [sample for sample in samples if sample.trust != "scribble"]
    samples = [sample for sample in samples if sample.trust == "scribble"]
    rng = np.random.default_rng(int(model.card.settings["seed"]))
    pool = yield from draw_pixels(samples, _POOL_PX, rng)
    own = np.concatenate([part[0] for part in (yield from _at(model, samples, [[p] for p in pool], cache))], axis=1)
    mask = _numbers(own, at)
    strokes: list[HeldStroke] = []
    steadiness: list[float] = []
    kinds = {str(number): code_of(number - 1) for number in range(1, n_classes + 1)} | {"0": NEGATIVE}
    folds = _deal(find_strokes(samples, kinds), rng)
    for number, held in enumerate(folds):
        yield Progress(number, len(folds), "Judging")
        fold = yield from method.train(
            [*_without(samples, held), *masks], settings, start=encoder_of(model), cache=cache
        )
        asked = [[s.pixels for _, s in held if s.sample == i] + [pool[i]] for i in range(len(samples))]
        found = yield from _at(fold, samples, asked, cache)
        drawn = np.concatenate([part[-1] for part in found], axis=1)
        limit = at if n_classes > 1 else float(np.quantile(drawn, 1 - (mask > 0).mean()))
        steadiness.append(_steadiness(_numbers(drawn, limit), mask, n_classes))
        rest = [iter(part) for part in found]
        for told, stroke in held:
            right = _numbers(next(rest[stroke.sample]), limit) == int(told)
            kind = "positive" if int(told) else "negative"
            strokes.append(HeldStroke(stroke.sample, kind, stroke.pixels, float(right.mean())))
    return Judgement(tuple(strokes), tuple(steadiness), float((mask > 0).mean()), model.card.class_prior)


def _numbers(probability: np.ndarray, threshold: Thresholds) -> np.ndarray:
    """Number of the class of pixels (n,), 0 for background, from probabilities (K, n)."""
    if isinstance(threshold, tuple):
        return threshold_mask(probability, threshold)
    return np.asarray(probability[0] >= threshold, np.uint8)


def _steadiness(one: np.ndarray, other: np.ndarray, n_classes: int) -> float:
    """Mean of `kappa` over the classes, of two masks (n,) of their numbers."""
    return float(np.mean([kappa(one == number, other == number) for number in range(1, n_classes + 1)]))


def _probabilities(scores: torch.Tensor) -> torch.Tensor:
    """Probabilities (K, n) of scores (K, n): those of several classes are against the background's, which is 0."""
    if len(scores) == 1:
        return torch.sigmoid(scores)
    return torch.cat([torch.zeros_like(scores[:1]), scores]).softmax(0)[1:]


def _deal(strokes: Mapping[str, Sequence[Stroke]], rng: np.random.Generator) -> list[list[tuple[str, Stroke]]]:
    """Strokes to hold out together, fold by fold; a kind with one stroke could not be learnt without it."""
    folds: list[list[tuple[str, Stroke]]] = [[] for _ in range(N_FOLDS)]
    for kind, part in strokes.items():
        if len(part) > 1:
            for place, index in enumerate(rng.permutation(len(part))):
                folds[place % N_FOLDS].append((kind, part[index]))
    return [fold for fold in folds if fold]


def _without(samples: Sequence[Sample], held: Sequence[tuple[str, Stroke]]) -> list[Sample]:
    """The samples with some strokes taken back to unlabelled."""
    seen = list(samples)
    for index, sample in enumerate(samples):
        pixels = [stroke.pixels for _, stroke in held if stroke.sample == index]
        if pixels and sample.labels is not None:
            labels = sample.labels.copy()
            labels.reshape(-1)[np.concatenate(pixels)] = UNLABELED
            seen[index] = replace(sample, labels=labels)
    return seen


def _at(
    model: Model, samples: Sequence[Sample], asked: Sequence[Sequence[np.ndarray]], cache: FeatureCache | None
) -> Work[list[list[np.ndarray]]]:
    """Probabilities (K, n) at chosen pixels of each sample: from kept features, or else from whole images."""
    found, network, spec = [], model.network, model.card.network
    for sample, wanted in zip(samples, asked, strict=True):
        if not spec.filters:
            name = f"Image {sample.name!r}"
            everywhere = yield from map_tiles(model, sample.image, name=name, axes=sample.axes)
            found.append([everywhere.reshape(len(everywhere), -1)[:, pixels] for pixels in wanted])
            continue
        stats = (yield from model.for_image(sample.image)).card.intensity
        rows = yield from gather(sample, wanted, network, spec, stats, spec.n_features, cache)
        with torch.inference_mode():
            scores = [network.head(part.to(model.device)).T.double() for part in rows]  # (K, n)
        found.append([_probabilities(part).cpu().numpy() for part in scores])
    return found
