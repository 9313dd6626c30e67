"""The long work of a session, as generators: train and segment, segment, refine, read a model file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from napari.layers import Image

from napari_pu_segment.core.crf import CrfSettings, Refined, refine
from napari_pu_segment.core.fit import FeatureCache
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import Model, load_model
from napari_pu_segment.core.pipeline import Segmentation, segment
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.core.samples import Sample
from napari_pu_segment.core.settings import Settings

from .snapshots import Snapshot


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
    segmentation = yield from segment(model, sample.image, labels=sample.labels, threshold=threshold, name=name)
    return Result(layer, sample, model, segmentation, None, segmentation.threshold, plan)


def refined(result: Result, crf: CrfSettings) -> Work[Refined]:
    """Refine a result; a lazy image is read here, in the job's thread."""
    image, old = np.asarray(result.sample.image), result.segmentation
    return (yield from refine(image, old.probability, crf, labels=result.sample.labels, threshold=old.threshold))


def loaded(path: str | Path) -> Work[Model]:
    """Read a model file; a U-Net's import takes seconds."""
    yield Progress(0, 0, "Reading the model")
    return load_model(path)
