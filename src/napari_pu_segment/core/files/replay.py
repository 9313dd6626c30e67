"""Replay: make a result again from its record and its image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..compute.runtime import set_threads
from ..crf import CrfSettings, refine
from ..errors import InputError, pick
from ..from_strokes import grow
from ..methods import METHODS
from ..model import Model
from ..objects import ObjectSettings
from ..objects.class_objects import find_objects_of_each
from ..pipeline import Segmentation, segment
from ..progress import Work
from ..samples import IGNORE, Array, Sample, check_labels
from .packing import sha256, unpack, unpack_model
from .record import ImageIdentity, ObjectsStep, Record, RefineStep, SegmentStep, TrainStep

OUTPUTS = ("probability", "mask", "refined", "objects")


@dataclass
class Replayed:
    """What came out of a replay.

    Parameters
    ----------
    outputs : dict of str to ndarray, ([T,] [Z,] Y, X)
        By the names of `OUTPUTS`, those that were made.
    differing : list of str
        What is not as recorded: outputs, or "training 2"; empty where all is the same, to the byte.
    """

    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    differing: list[str] = field(default_factory=list)


def check_image(record: Record, image: Array, *, force: bool = False) -> str:
    """Refuse an image (C, [T,] [Z,] Y, X) that the record is not about.

    Parameters
    ----------
    force : bool
        Let other pixels pass, but no other shape: the strokes would lie nowhere.

    Returns
    -------
    str
        A warning where other pixels were let pass, or "".

    Raises
    ------
    InputError
        If the image is another one.
    """
    known = record.image
    _check_shape(known, image)
    if sha256(image) == known.sha256:
        return ""
    other = f"its type is {image.dtype}, not {known.dtype}" if str(image.dtype) != known.dtype else "its pixels differ"
    if not force:
        raise InputError(
            f"This is not the image of the record, {known.name!r}: {other}. Give that image, or --force to replay the "
            "steps on this one."
        )
    return f"This is not the image of the record, {known.name!r}: {other}."


def _check_shape(known: ImageIdentity, image: Array) -> None:
    if tuple(image.shape) != known.shape:
        raise InputError(
            f"The record is about an image of shape {known.shape} (channels first), but this one has "
            f"{tuple(image.shape)}. Give the image {known.name!r}."
        )


def replay(record: Record, image: Array) -> Work[Replayed]:
    """Do all that a record tells, on its image (C, [T,] [Z,] Y, X); see `check_image`.

    Raises
    ------
    InputError
        If a method, a setting or a backend is not there, or the strokes or the start model are damaged.
    """
    known = record.image
    _check_shape(known, image)
    shape = known.shape[1:]
    n_classes = len(record.classes)
    labels = [
        check_labels(unpack(text, shape, "The record"), shape, "The record", n_classes) for text in record.strokes
    ]
    set_threads(record.threads)
    model = unpack_model(record.start, "The record") if record.start else None
    found, replayed, trainings = None, Replayed(), 0
    for step in record.steps:
        if isinstance(step, TrainStep):
            trainings += 1
            sample = _sample(record, image, labels[step.strokes])
            model = yield from _train(step, sample, model, record.threads)
            if model.card.tensors_sha256 != step.tensors_sha256:
                replayed.differing.append(f"training {trainings}")
        elif isinstance(step, SegmentStep):
            of = None if step.strokes is None else labels[step.strokes]
            found = yield from _segment(step, _sample(record, image, of), model)
            replayed.outputs |= {"probability": found.probability, "mask": found.mask}
        else:
            assert found is not None
            replayed.outputs |= yield from _after(step, found, replayed.outputs, image, of, known, record.classes)
    replayed.differing += differing(record, replayed.outputs)
    return replayed


def _segment(step: SegmentStep, sample: Sample, model: Model | None) -> Work[Segmentation]:
    if step.grown is not None:
        method = pick(METHODS, str(step.grown.get("method")), "method")
        return (yield from grow(sample, method.settings(**step.grown), threshold=step.threshold))
    assert model is not None
    how: dict[str, Any] = {"labels": sample.labels, "name": sample.name, "axes": sample.axes}
    return (yield from segment(model, sample.image, threshold=step.threshold, **how))


def _sample(record: Record, image: Array, labels: np.ndarray | None) -> Sample:
    known = record.image
    return Sample(
        image,
        labels,
        name=known.name,
        channel_names=known.channel_names,
        pixel_size=known.pixel_size,
        pixel_unit=known.pixel_unit,
        axes=known.axes,
        classes=record.classes,
    )


def differing(record: Record, outputs: Mapping[str, np.ndarray]) -> list[str]:
    """Names of the outputs that are not as recorded, to the byte."""
    return [name for name in OUTPUTS if name in record.outputs and sha256(outputs[name]) != record.outputs[name]]


def _train(step: TrainStep, sample: Sample, model: Model | None, threads: int) -> Work[Model]:
    method = pick(METHODS, step.method, "method")
    settings = method.settings(**step.settings)
    if getattr(settings, "threads", None) == 0:
        settings = settings.changed({"threads": threads})
    return (yield from method.train([sample], settings, start=model if step.warm else None))


def _after(
    step: RefineStep | ObjectsStep,
    found: Segmentation,
    outputs: Mapping[str, np.ndarray],
    image: Array,
    labels: np.ndarray | None,
    known: ImageIdentity,
    classes: Sequence[str],
) -> Work[dict[str, np.ndarray]]:
    probability = found.probability
    if isinstance(step, RefineStep):
        crf = CrfSettings(**step.settings)
        refined = yield from refine(image, probability, crf, labels=labels, threshold=step.threshold, axes=known.axes)
        return {"refined": refined.mask}
    objects = yield from find_objects_of_each(
        outputs.get("refined", found.mask),
        ObjectSettings(**step.settings),
        classes,
        probability=probability,
        ignored=None if labels is None else labels == IGNORE,
        pixel_size=known.pixel_size,
        axes=known.axes,
    )
    return {"objects": objects}
