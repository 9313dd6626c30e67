"""A record: all that is needed to make a result again from its image, to the byte; one JSON file."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from ..classes import Thresholds
from ..compute.runtime import thread_count
from ..crf import CrfSettings
from ..errors import InputError
from ..model import Model
from ..objects import ObjectSettings
from ..pipeline import Segmentation
from ..progress import Progress, Work
from ..samples import MAX_CLASSES, ONE_CLASS, Sample
from ..settings import Settings
from . import write_atomically
from .packing import pack, pack_model, sha256

FORMAT_VERSION = 1
MAX_BYTES = 2**28

Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Output: TypeAlias = Literal["probability", "mask", "refined", "objects"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ImageIdentity(_Strict):
    """The image (C, [T,] [Z,] Y, X) that a record is about; `sha256` as `packing.sha256` computes it."""

    name: str
    shape: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=3, max_length=5)]
    axes: str = ""
    dtype: str
    sha256: Hash
    channel_names: tuple[str, ...] = ()
    pixel_size: tuple[float, ...] = ()
    pixel_unit: str = "px"


class TrainStep(_Strict):
    """A training, from nothing or (`warm`) from the model so far, on the strokes of that number."""

    kind: Literal["train"] = "train"
    method: str
    settings: dict[str, Any]
    strokes: Count
    warm: bool
    tensors_sha256: Hash


class SegmentStep(_Strict):
    """Probability and mask of the image, with the ignored pixels of the strokes of that number.

    `grown` holds the settings of the method that grew them from these strokes without a model, where one did.
    """

    kind: Literal["segment"] = "segment"
    strokes: Count | None
    threshold: Fraction | tuple[Fraction, ...]
    grown: dict[str, Any] | None = None


class RefineStep(_Strict):
    """The dense CRF; `settings` names the backend that was used."""

    kind: Literal["refine"] = "refine"
    settings: dict[str, Any]
    threshold: Fraction | tuple[Fraction, ...]


class ObjectsStep(_Strict):
    """Objects of the refined mask, or of the mask where there is none."""

    kind: Literal["objects"] = "objects"
    settings: dict[str, Any]


Step = Annotated[TrainStep | SegmentStep | RefineStep | ObjectsStep, Field(discriminator="kind")]


class Record(_Strict):
    """What was done to an image, step by step, and the sha256 of what came out.

    `strokes` holds label codes ([T,] [Z,] Y, X), packed by `packing.pack`; steps name them by number. `start` is a
    model file in base64: the model that the first training continued from, or that was used as it was; empty where all
    began with nothing. `classes` are those of the strokes' codes. `threads` is what the settings of the trainings meant
    by automatic.
    """

    format_version: Literal[1] = 1
    plugin_version: str
    created: str
    software: dict[str, str]
    threads: Annotated[int, Field(ge=1, le=4096)]
    image: ImageIdentity
    strokes: Annotated[tuple[str, ...], Field(max_length=1000)]
    start: str = ""
    steps: Annotated[tuple[Step, ...], Field(max_length=1000)]
    outputs: dict[Output, Hash]
    classes: Annotated[tuple[str, ...], Field(min_length=1, max_length=MAX_CLASSES)] = ONE_CLASS

    @model_serializer(mode="wrap")
    def _serialise(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `classes` where there is but one, as records were before there could be several."""
        values: dict[str, Any] = handler(self)
        return {name: value for name, value in values.items() if name != "classes" or self.classes != ONE_CLASS}


@dataclass(frozen=True)
class Training:
    """A training that was done on an image.

    Parameters
    ----------
    method : str
    settings : Settings
    strokes : str
        The label codes ([T,] [Z,] Y, X), packed.
    tensors_sha256 : str
        Of the model that came out; its card tells it.
    """

    method: str
    settings: Settings
    strokes: str
    tensors_sha256: str


@dataclass(frozen=True, eq=False)
class Made:
    """A result, and how it came about.

    Parameters
    ----------
    sample : Sample
        The image, and the labels that the segmentation used.
    start : Model or None
        Where the trainings began, or what was used as it was.
    trainings : sequence of Training
        All but the first continued from the one before; the first from `start`, if there is one.
    segmentation : Segmentation
    crf : CrfSettings or None
        How it was refined, at the threshold `refined_at`.
    objects : tuple of ObjectSettings and ndarray, or None
        How objects were found in the refined mask, or else in the mask, and these objects.
    grown : Settings or None
        Of the method that grew the segmentation from the sample's strokes; there are no trainings then, and no start.
    """

    sample: Sample
    start: Model | None
    trainings: Sequence[Training]
    segmentation: Segmentation
    crf: CrfSettings | None = None
    refined_at: Thresholds = 0.5
    objects: tuple[ObjectSettings, np.ndarray] | None = None
    grown: Settings | None = None


def make_record(made: Made) -> Work[Record]:
    """The record of a result; it takes a while, as it hashes the image and what came out."""
    from napari_pu_segment import __version__

    yield Progress(0, 2, "Reading the image")
    sample, found = made.sample, made.segmentation
    image = ImageIdentity(
        name=sample.name,
        shape=tuple(sample.image.shape),
        axes=sample.axes,
        dtype=str(sample.image.dtype),
        sha256=sha256(sample.image),
        channel_names=sample.channel_names,
        pixel_size=sample.pixel_size,
        pixel_unit=sample.pixel_unit,
    )
    yield Progress(1, 2, "Packing the strokes")
    labels = None if sample.labels is None else pack(sample.labels)
    texts = list(dict.fromkeys([*(training.strokes for training in made.trainings), *([labels] if labels else [])]))
    outputs: dict[Output, np.ndarray] = {"probability": found.probability, "mask": found.mask}
    if found.refined is not None:
        outputs["refined"] = found.refined
    if made.objects is not None:
        outputs["objects"] = made.objects[1].astype(np.int32, copy=False)  # as they are found, however they are shown
    return Record(
        plugin_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        software={"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__},
        threads=thread_count(),
        image=image,
        strokes=tuple(texts),
        start="" if made.start is None else pack_model(made.start),
        steps=tuple(_steps(made, texts, labels)),
        outputs={name: sha256(array) for name, array in outputs.items()},
        classes=sample.classes,
    )


def _steps(made: Made, texts: list[str], labels: str | None) -> Iterator[Step]:
    warm = made.start is not None
    for one in made.trainings:
        yield TrainStep(
            method=one.method,
            settings=one.settings.to_dict(),
            strokes=texts.index(one.strokes),
            warm=warm,
            tensors_sha256=one.tensors_sha256,
        )
        warm = True
    found, grown = made.segmentation, None if made.grown is None else made.grown.to_dict()
    number = None if labels is None else texts.index(labels)
    yield SegmentStep(strokes=number, threshold=found.threshold, grown=grown)
    if found.refined is not None and made.crf is not None:
        crf = made.crf.changed({"backend": found.refined_by})
        yield RefineStep(settings=crf.to_dict(), threshold=made.refined_at)
    if made.objects is not None:
        yield ObjectsStep(settings=made.objects[0].to_dict())


def save_record(record: Record, path: str | Path) -> None:
    """Write a record, whole or not at all.

    Raises
    ------
    InputError
        If the file cannot be written, or the record is too large to be read again.
    """
    content = json.dumps(record.model_dump(mode="json"), allow_nan=False, indent=1).encode()
    if len(content) > MAX_BYTES:
        raise InputError(f"The record would be larger than {MAX_BYTES // 2**20} MB. Save the model instead.")
    write_atomically(path, content)


def load_record(path: str | Path) -> Record:
    """Read a record. Nothing in it is run.

    Raises
    ------
    InputError
        If the file is missing, damaged, foreign, or from a newer version.
    """
    where = f"Record {str(path)!r}"
    try:
        if Path(path).stat().st_size > MAX_BYTES or not Path(path).is_file():
            raise InputError(f"{where} is not a record of this plugin, or it is too large.")
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"{where} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    try:
        version = json.loads(content).get("format_version")
    except (ValueError, RecursionError, AttributeError):
        raise InputError(f"{where} is not a record of this plugin, or it is damaged.") from None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise InputError(f"{where} was written by a newer version of the plugin. Update the plugin to replay it.")
    try:
        record = Record.model_validate_json(content)
    except (ValidationError, RecursionError) as error:
        problem = error.errors()[0] if isinstance(error, ValidationError) else {"loc": ("record",)}
        place = ".".join(map(str, problem["loc"]))[:80]
        raise InputError(f"{where} is not a record of this plugin, or it is damaged (at {place!r}).") from None
    _check_order(record, where)
    return record


def _check_order(record: Record, where: str) -> None:
    """Steps that build on each other, and strokes that are there."""
    kinds = [step.kind for step in record.steps]
    trainings = kinds.count("train")
    order = [*["train"] * trainings, "segment", *(kind for kind in ("refine", "objects") if kind in kinds)]
    first = record.steps[0] if record.steps else None
    cold = isinstance(first, TrainStep) and not first.warm
    warm = [step.warm for step in record.steps if isinstance(step, TrainStep)]
    numbers = [n for step in record.steps if (n := getattr(step, "strokes", None)) is not None]
    made = {"probability", "mask", *({"refined", "objects"} & {"refined" if k == "refine" else k for k in kinds})}
    grown = any(isinstance(step, SegmentStep) and step.grown is not None for step in record.steps)
    begins = trainings == 0 and not record.start if grown else cold != bool(record.start)
    fits = kinds == order and all(warm[1:]) and begins and set(record.outputs) == made
    if not fits or any(n >= len(record.strokes) for n in numbers):
        raise InputError(f"{where} contradicts itself: its steps do not build on each other.")
