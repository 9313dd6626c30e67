"""The card: what a model file tells about its model."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from .images.intensity import ChannelStats, Statistics
from .networks import NetworkSpec
from .samples import MAX_CLASSES, MAX_NAME, ONE_CLASS
from .search.found import Found

FORMAT_VERSION = 1
CITATION = "napari-pu-segment: positive-unlabelled segmentation from brush strokes (see CITATION.cff)"

Fraction = Annotated[float, Field(ge=0, le=1)]


class ClassCard(BaseModel):
    """What is known of one class of objects, where there are several, or where it has a name."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    class_prior: Fraction
    class_prior_interval: tuple[Fraction, Fraction]
    class_prior_source: str
    threshold: Fraction
    n_strokes: Annotated[int, Field(ge=0)]


class Origin(BaseModel):
    """Published weights that an encoder began with: what they are called, and the sha256 of their file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    source: Annotated[str, Field(min_length=1, max_length=1000)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Card(BaseModel):
    """All that a person or a program must know to use a model again; stored as JSON in the model file.

    Where there are several `classes`, class prior, interval and positive strokes are those of all objects together.
    `weights` are the published ones of an encoder, or of the one that the model looks through.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    format_version: Literal[1] = 1
    plugin_version: str
    method: str
    settings: dict[str, Any]
    network: NetworkSpec
    axes: Literal["CYX", "CZYX", "CTYX", "CTZYX"]
    channel_names: tuple[str, ...]
    intensity: tuple[ChannelStats, ...]
    statistics: Statistics = "training"
    class_prior: Fraction
    class_prior_interval: tuple[Fraction, Fraction]
    class_prior_source: str
    threshold: Fraction
    pixel_size: tuple[float, ...]
    pixel_unit: str
    n_positive_strokes: Annotated[int, Field(ge=0)]
    n_negative_strokes: Annotated[int, Field(ge=0)]
    tensors_sha256: str
    created: str
    citation: str = CITATION
    classes: Annotated[tuple[ClassCard, ...], Field(max_length=MAX_CLASSES)] = ()
    found: Found | None = None
    weights: Origin | None = None

    @model_serializer(mode="wrap")
    def _serialise(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `classes`, `found` and `weights` where there are none, as files were before there could be any."""
        values: dict[str, Any] = handler(self)
        absent = {name for name in ("classes", "found", "weights") if not getattr(self, name)}
        return {name: value for name, value in values.items() if name not in absent}

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes of objects."""
        return tuple(one.name for one in self.classes) or ONE_CLASS

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Operating threshold of each of the K classes."""
        return tuple(one.threshold for one in self.classes) or (self.threshold,)

    @property
    def n_parts(self) -> int:
        """How many networks were trained one by one: for each class, and for the background where that was painted."""
        several = len(self.class_names) > 1
        return len(self.class_names) + (several and self.n_negative_strokes > 0)

    def to_json(self) -> str:
        """The card as one line of JSON."""
        return json.dumps(self.model_dump(mode="json"), allow_nan=False)


def make_card(tensors: dict[str, torch.Tensor], **fields: Any) -> Card:
    """A card for a state dict, with the hash, the version and the time filled in.

    The time is SOURCE_DATE_EPOCH where that variable is set, so that model files can be made reproducible to the byte.
    """
    from napari_pu_segment import __version__

    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    now = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    created = now.isoformat(timespec="seconds")
    return Card(plugin_version=__version__, created=created, tensors_sha256=tensors_hash(tensors), **fields)


def tensors_hash(tensors: dict[str, torch.Tensor]) -> str:
    """sha256 over names, dtypes, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
