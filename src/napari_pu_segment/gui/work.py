"""The long work of a session, as generators: train and segment, segment, refine, read a model file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image

from napari_pu_segment.core.classes import Thresholds, leading, recoded, threshold_mask, united
from napari_pu_segment.core.compute.stream import SIDE_PX, stream
from napari_pu_segment.core.crf import CrfSettings, Refined, refine
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.from_strokes import grow
from napari_pu_segment.core.images.doubts import training_doubts
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import Model, load_model
from napari_pu_segment.core.pipeline import Segmentation, segment
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.core.samples import Sample
from napari_pu_segment.core.settings import Settings
from napari_pu_segment.core.training.fit import FeatureCache

from .viewer.masks import LargeMask
from .viewer.snapshots import Snapshot
from .viewer.stores import LargeArray, Stacked, is_large
from .viewer.view import Window


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
        Continue from this model, or begin with this encoder.
    also : tuple of str
        Names of what else it learns from: further images with their strokes, and rough masks.
    """

    method: str
    settings: Settings
    start: Model | None = None
    also: tuple[str, ...] = ()

    @property
    def anew(self) -> bool:
        """Whether the training begins with new weights."""
        return self.start is None or self.start.is_encoder


@dataclass(frozen=True, eq=False)
class Result:
    """A segmentation and where it came from.

    Parameters
    ----------
    layer : Image
        The image layer it lies over.
    sample : Sample
        The image and the strokes as they were when the job began.
    model : Model or None
        None where a method grew it from the strokes and trained nothing.
    segmentation : Segmentation
    crf : CrfSettings or None
        How it was refined.
    refined_at : float, or a tuple of K for several classes
        The threshold it was refined at.
    plan : Plan or None
        How its model was trained on this sample, or how it grew; None where the model was there already.
    preview : bool
        Only a part of it is new so far, and its arrays are still being filled; a complete one follows, unless that is
        cancelled.
    others : tuple of Sample
        What else its model was trained on.
    doubts : tuple of str
        Sentences on what speaks against what it was trained on.
    """

    layer: Image
    sample: Sample
    model: Model | None
    segmentation: Segmentation
    crf: CrfSettings | None
    refined_at: Thresholds
    plan: Plan | None = None
    preview: bool = False
    others: tuple[Sample, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def own_threshold(self) -> Thresholds:
        """The operating threshold that its model found, or one half."""
        return 0.5 if self.model is None else self.model.threshold

    @property
    def large(self) -> bool:
        """Whether it is on disk, and looked at in parts only; see `stores.LargeArray`."""
        return isinstance(self.segmentation.probability, LargeArray | Stacked)


@dataclass(frozen=True)
class Scene:
    """Where a result is wanted, and how.

    Parameters
    ----------
    layer : Image
    snapshots : sequence of Snapshot
        Of that image, and of further ones to train on.
    threshold : float, a tuple of K for several classes, or None
        None: the model's own.
    window : Window or None
        What of the image is on screen.
    """

    layer: Image
    snapshots: Sequence[Snapshot]
    threshold: Thresholds | None
    window: Window | None

    def at(self, model: Model | None) -> Thresholds:
        """The threshold for a model, or for what needs none: what was chosen for other classes is not for it."""
        own = 0.5 if model is None else model.threshold
        chosen = own if self.threshold is None else self.threshold
        alike = np.shape(chosen) == np.shape(own)
        return chosen if alike else own

    def result(
        self, samples: Sequence[Sample], model: Model | None, plan: Plan | None, segmentation: Segmentation
    ) -> Result:
        """What came out."""
        at, others = segmentation.threshold, tuple(samples[1:])
        return Result(self.layer, samples[0], model, segmentation, None, at, plan, others=others)


def trained(scene: Scene, plan: Plan, cache: FeatureCache) -> Work[Result]:
    """Train on images and their strokes, and segment the first of them; see `segmented` and `grown`."""
    if METHODS[plan.method].segment is not None:
        return (yield from grown(scene, plan))
    samples = learnt_from(scene)
    model = yield from METHODS[plan.method].train(samples, plan.settings, start=plan.start, cache=cache)
    result = yield from segmented(scene, samples, model, _done(plan, model))
    return replace(result, doubts=(yield from training_doubts(samples)))


def grown(scene: Scene, plan: Plan) -> Work[Result]:
    """Segment an image by a method that trains nothing."""
    sample = scene.snapshots[0].sample()
    found = yield from grow(
        sample, plan.settings, threshold=scene.threshold if isinstance(scene.threshold, float) else None
    )
    return replace(scene.result([sample], None, plan, found), doubts=found.doubts)


def learnt_from(scene: Scene) -> list[Sample]:
    """The samples of a scene, with the classes of all of them."""
    return united([sample for snapshot in scene.snapshots for sample in snapshot.samples()])


def applied(scene: Scene, model: Model) -> Work[Result]:
    """Segment an image; see `segmented`. Strokes of classes that the model does not know say nothing."""
    return (yield from segmented(scene, [recoded(scene.snapshots[0].sample(), model.classes)], model, None))


def segmented(scene: Scene, samples: Sequence[Sample], model: Model, plan: Plan | None) -> Work[Result]:
    """Segment the first of some samples; a large one as in `followed`.

    There is no CRF here: probability and mask are shown as soon as they are known, and refined by a job of its own.
    """
    sample = samples[0]
    name = f"The image {sample.name!r}"
    model.check_image(tuple(sample.image.shape), name, sample.channel_names, sample.axes)
    if is_large(sample.spatial_shape):
        return (yield from _streamed(scene, samples, model, plan))
    threshold, axes = scene.at(model), sample.axes
    found = yield from segment(model, sample.image, labels=sample.labels, threshold=threshold, name=name, axes=axes)
    return scene.result(samples, model, plan, found)


def followed(scene: Scene, plan: Plan, cache: FeatureCache, old: Result | None) -> Work[Result]:
    """A round of live mode: train, and segment from what is on screen outwards, into a copy of the older result.

    A model that cannot be continued from is replaced by a new one. Reports that tell of finished parts carry the
    `Result` so far; its mask is left to whoever shows it, see `fill_mask`. A large result begins empty. What grows is
    there at once; see `grown`.
    """
    if METHODS[plan.method].segment is not None:
        return (yield from grown(scene, plan))
    samples = learnt_from(scene)
    method = METHODS[plan.method]
    brief = replace(plan, start=None, settings=plan.settings.changed(method.briefly))
    plan = brief if plan.start is None else plan
    try:
        model = yield from method.train(samples, plan.settings, start=plan.start, cache=cache)
    except InputError:
        if plan.anew:
            raise
        plan = brief
        model = yield from method.train(samples, plan.settings, cache=cache)
    return (yield from _streamed(scene, samples, model, _done(plan, model), cache, old))


def _done(plan: Plan, model: Model) -> Plan:
    """A plan with the settings by which the model can be made again: a search tells there what it chose."""
    return replace(plan, settings=METHODS[plan.method].settings(**model.card.settings))


def _streamed(
    scene: Scene,
    samples: Sequence[Sample],
    model: Model,
    plan: Plan | None,
    cache: FeatureCache | None = None,
    old: Result | None = None,
) -> Work[Result]:
    yield Progress(0, 0, "Predicting")
    sample, shape = samples[0], samples[0].spatial_shape
    large = is_large(shape)
    at, n_classes = scene.at(model), len(model.classes)
    what = f"The result of {sample.name!r}"
    wanted = (n_classes, *shape) if n_classes > 1 else shape
    if large:
        parts = [LargeArray(shape, np.float32, what) for _ in range(n_classes)]
        probability: Any = Stacked(parts) if n_classes > 1 else parts[0]
        mask: Any = LargeMask(probability, at, sample.labels)
    else:
        probability, mask = np.zeros(wanted, np.float32), np.zeros(shape, np.uint8)
    if not large and old is not None and old.layer is scene.layer and old.segmentation.probability.shape == wanted:
        probability[:], mask[:] = old.segmentation.probability, old.segmentation.mask
    result = replace(scene.result(samples, model, plan, Segmentation(probability, mask, at)), preview=True)
    view = None if scene.window is None else scene.snapshots[0].narrowed(scene.window.slices)
    side_px = probability.chunks[-1] if large else SIDE_PX  # whole chunks are written at once
    for report in stream(model, sample, probability, window=view, cache=cache, side_px=side_px):
        yield replace(report, preview=result)
    return result


def moved(result: Result, threshold: Thresholds | None) -> Result | None:
    """A result at another threshold (None: the model's own); None where it is at that, or it is for other classes.

    The mask of a large image is found when it is looked at.
    """
    old = result.segmentation
    value = result.own_threshold if threshold is None else threshold
    if value == old.threshold or isinstance(value, tuple) != isinstance(old.threshold, tuple):
        return None
    if isinstance(old.mask, LargeMask):
        mask: Any = old.mask.at(value)
    else:
        mask = threshold_mask(old.probability, value, result.sample.labels)
    return replace(result, segmentation=replace(old, mask=mask, threshold=value))


def fill_mask(result: Result, parts: Iterable[tuple[slice, ...]]) -> None:
    """Bring parts of a result's mask up to date with its probability, in place."""
    old, labels = result.segmentation, result.sample.labels
    for part in () if result.large else parts:
        values = old.probability[(*leading(old.threshold), *part)]
        old.mask[part] = threshold_mask(values, old.threshold, None if labels is None else labels[part])


def refined(result: Result, crf: CrfSettings) -> Work[Refined]:
    """Refine a result; reports on a large one carry the `Result` so far."""
    sample, old = result.sample, result.segmentation
    how: dict[str, Any] = {"labels": sample.labels, "threshold": old.threshold, "axes": sample.axes}
    if not result.large:
        return (yield from refine(np.asarray(sample.image), old.probability, crf, **how))
    out: Any = LargeArray(sample.spatial_shape, np.uint8, f"The refined mask of {sample.name!r}")
    so_far = replace(result, segmentation=replace(old, refined=out), preview=True)
    refining = refine(sample.image, old.probability, crf, **how, out=out)
    while True:
        try:
            report = next(refining)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        yield replace(report, preview=so_far)


def loaded(path: str | Path) -> Work[Model]:
    """Read a model file; a U-Net's import takes seconds."""
    yield Progress(0, 0, "Reading the model")
    model = load_model(path)
    if model.is_encoder:
        raise InputError(f"Model file {str(path)!r} is an encoder. Load it as such, under Encoder.")
    return model
