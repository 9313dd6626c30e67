"""The long work of a session, as generators: train and segment, segment, refine, read a model file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QLocale

from napari_pu_segment.core.crf import CrfSettings, Refined, refine
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.fit import FeatureCache
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import Model, load_model
from napari_pu_segment.core.pipeline import Segmentation, covered, segment, threshold_mask
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.core.samples import Sample
from napari_pu_segment.core.settings import Settings
from napari_pu_segment.core.stream import stream

from .numbers import percent
from .snapshots import Snapshot
from .view import Window


@dataclass(frozen=True)
class Plan:
    """What a training shall do.

    Parameters
    ----------
    method : str
        A row of `METHODS`.
    settings : Settings
        Of that method.
    start : Model or None
        Continue from this model.
    """

    method: str
    settings: Settings
    start: Model | None = None


@dataclass(frozen=True, eq=False)
class Result:
    """A segmentation and where it came from.

    Parameters
    ----------
    layer : Image
        The image layer it lies over.
    sample : Sample
        The image and the strokes as they were when the job began.
    model : Model
    segmentation : Segmentation
    crf : CrfSettings or None
        How it was refined.
    refined_at : float
        The threshold it was refined at.
    plan : Plan or None
        How its model was trained on this sample; None where the model was there already.
    preview : bool
        Only a part of it is new so far, and its arrays are still being filled; a complete one follows.
    """

    layer: Image
    sample: Sample
    model: Model
    segmentation: Segmentation
    crf: CrfSettings | None
    refined_at: float
    plan: Plan | None = None
    preview: bool = False


def trained(layer: Image, snapshot: Snapshot, plan: Plan, threshold: float | None, cache: FeatureCache) -> Work[Result]:
    """Train on an image and its strokes, and segment it; `threshold` as in `segmented`."""
    sample = snapshot.sample()
    model = yield from METHODS[plan.method].train([sample], plan.settings, start=plan.start, cache=cache)
    return (yield from segmented(layer, sample, model, threshold, plan))


def applied(layer: Image, snapshot: Snapshot, model: Model, threshold: float | None) -> Work[Result]:
    """Segment an image; `threshold` as in `segmented`."""
    return (yield from segmented(layer, snapshot.sample(), model, threshold))


def segmented(
    layer: Image, sample: Sample, model: Model, threshold: float | None, plan: Plan | None = None
) -> Work[Result]:
    """Segment a sample at a threshold, or at the model's own.

    There is no CRF here: probability and mask are shown as soon as they are known, and refined by a job of its own.
    """
    name = f"The image {sample.name!r}"
    model.check_image(tuple(sample.image.shape), name, sample.channel_names)
    segmentation = yield from segment(model, sample.image, labels=sample.labels, threshold=threshold, name=name)
    return Result(layer, sample, model, segmentation, None, segmentation.threshold, plan)


def followed(
    layer: Image,
    snapshot: Snapshot,
    plan: Plan,
    threshold: float | None,
    cache: FeatureCache,
    window: Window | None,
    old: Result | None,
) -> Work[Result]:
    """A round of live mode: train, and segment from what is on screen outwards, into a copy of the older result.

    A model that cannot be continued from is replaced by a new one. Reports that tell of finished parts carry the
    `Result` so far; its mask is left to whoever shows it, see `fill_mask`.
    """
    sample = snapshot.sample()
    train = METHODS[plan.method].train
    try:
        model = yield from train([sample], plan.settings, start=plan.start, cache=cache)
    except InputError:
        if plan.start is None:
            raise
        plan = replace(plan, start=None)
        model = yield from train([sample], plan.settings, cache=cache)
    yield Progress(0, 0, "Predicting")
    shape = sample.spatial_shape
    probability, mask = np.zeros(shape, np.float32), np.zeros(shape, np.uint8)
    if old is not None and old.layer is layer and old.segmentation.mask.shape == shape:
        probability[:], mask[:] = old.segmentation.probability, old.segmentation.mask
    at = model.card.threshold if threshold is None else threshold
    result = Result(layer, sample, model, Segmentation(probability, mask, at), None, at, plan, preview=True)
    view = None if window is None else window.slices[len(window.slices) - len(shape) :]
    for report in stream(model, sample, probability, window=view, cache=cache):
        yield replace(report, preview=result)
    return result


def fill_mask(result: Result, parts: Iterable[tuple[slice, ...]]) -> None:
    """Bring parts of a result's mask up to date with its probability, in place."""
    old, labels = result.segmentation, result.sample.labels
    for part in parts:
        old.mask[part] = threshold_mask(old.probability[part], old.threshold, None if labels is None else labels[part])


def summary(result: Result) -> str:
    """A sentence on what was found."""
    mask = result.segmentation.mask if result.segmentation.refined is None else result.segmentation.refined
    return f"{percent(covered(mask, result.sample.labels), QLocale())} of {result.layer.name!r} is segmented."


def refined(result: Result, crf: CrfSettings) -> Work[Refined]:
    """Refine a result; a lazy image is read here, in the job's thread."""
    image, old = np.asarray(result.sample.image), result.segmentation
    return (yield from refine(image, old.probability, crf, labels=result.sample.labels, threshold=old.threshold))


def loaded(path: str | Path) -> Work[Model]:
    """Read a model file; a U-Net's import takes seconds."""
    yield Progress(0, 0, "Reading the model")
    return load_model(path)
