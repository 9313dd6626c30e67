"""What a batch is told to do, and the plain data that go to its workers and come back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from ..core.crf import CrfSettings
from ..core.objects import ObjectSettings
from ..core.settings import OneOf, Settings, advanced

Fraction = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Kind:
    """One kind of result: its title, and about how many bytes it takes for each pixel."""

    title: str
    bytes_per_px: float


OUTPUTS: dict[str, Kind] = {
    "probability": Kind("Probability", 4),
    "mask": Kind("Mask", 1),
    "refined": Kind("Refined mask", 1),
    "instances": Kind("Objects", 4),
    "measurements": Kind("Measurements (CSV)", 0.2),
}
FORMATS: dict[str, str] = {"tiff": ".tif", "ome-zarr": ".ome.zarr"}
"""Suffixes of images by format; measurements are always CSV."""


class BatchSettings(Settings):
    """What a batch does: which files, with which model, to which results."""

    model: Path = Field(title="Model", description="The model file.")
    folder: Path = Field(title="Folder", description="Where the images are.")
    out: Path = Field(title="Results", description="Folder for the results; neither the folder of images nor in it.")
    recursive: bool = Field(default=False, title="With subfolders", description="Also the images in folders below.")
    pattern: str = Field(
        default="*",
        min_length=1,
        max_length=1000,
        title="Pattern",
        description="Only images whose names match, as *_dapi.tif; with a slash, whose path below the folder matches.",
    )
    outputs: tuple[Annotated[str, OneOf(OUTPUTS)], ...] = Field(
        default=("probability", "mask"),
        min_length=1,
        title="Outputs",
        description="What is written of each image. Objects are those of the refined mask where that is written, else "
        "of the mask.",
    )
    format: Annotated[str, OneOf(FORMATS)] = Field(
        default="tiff", title="Format", description="File format of the images that are written."
    )
    threshold: Fraction | tuple[Fraction, ...] | None = Field(
        default=None, title="Threshold", description="Instead of the model's own; one for each of several classes."
    )
    crf: CrfSettings = Field(default=CrfSettings(), title="Refinement", description="How masks are refined.")
    objects: ObjectSettings = Field(default=ObjectSettings(), title="Objects", description="How objects are found.")
    overwrite: bool = Field(
        default=False,
        title="Replace other results",
        description="Replace what another model, other settings or another program wrote. What this batch has done "
        "already is not done again.",
    )
    threads: int = advanced(
        default=1,
        ge=1,
        le=256,
        title="Threads of a process",
        description="How many threads the model uses in each process. The last bits of a probability depend on it, so "
        "that it does not follow the computer: results are the same wherever they are made, and in however many "
        "processes. To use all cores, use several processes.",
    )

    @property
    def refine(self) -> bool:
        """Whether masks are refined."""
        return "refined" in self.outputs

    @property
    def wants_objects(self) -> bool:
        """Whether objects are looked for."""
        return bool({"instances", "measurements"} & set(self.outputs))


@dataclass(frozen=True)
class FileTask:
    """One file to be done: all that a worker must know; plain data.

    Parameters
    ----------
    settings : BatchSettings
    key : str
        sha256 of all that the bytes of the results depend on, but for the image.
    model_sha256 : str
        Of the model file.
    name : str
        Path of the image below the folder, with slashes.
    stem : str
        Path of its results below their folder, without "_mask.tif" and the like.
    """

    settings: BatchSettings
    key: str
    model_sha256: str
    name: str
    stem: str

    @property
    def path(self) -> Path:
        """The image."""
        return self.settings.folder / self.name

    def outputs(self) -> dict[str, Path]:
        """Where each output goes, by kind, in the order of `OUTPUTS`."""
        return {kind: self.place(kind, self.settings.format) for kind in OUTPUTS if kind in self.settings.outputs}

    def place(self, kind: str, form: str) -> Path:
        """Where an output of a kind goes in a format."""
        suffix = ".csv" if kind == "measurements" else FORMATS[form]
        return self.settings.out / f"{self.stem}_{kind}{suffix}"


class Strict(BaseModel):
    """Parent of what is read back from a results folder: anybody could have changed it there."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Stored(Strict):
    """An output as it was written: its size, and the sha256 of its bytes (of a folder: of all its files)."""

    n_bytes: int
    sha256: str


class Facts(Strict):
    """What was seen of an image and its segmentation.

    Parameters
    ----------
    axes : str
        Such as "CZYX".
    shape : tuple of int
        Along these axes.
    dtype : str
    positive_fraction : float
        Of the pixels, 0..1, that the refined mask covers, or else the mask.
    threshold : float, or a tuple of K for several classes
    n_objects : int or None
    refined_by : str
        The backend that refined, or "".
    warnings : tuple of str
        What speaks against the result; see `doubts`.
    """

    axes: str
    shape: tuple[int, ...]
    dtype: str
    positive_fraction: Fraction
    threshold: Fraction | tuple[Fraction, ...]
    n_objects: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    refined_by: str = ""
    warnings: tuple[str, ...] = ()


State: TypeAlias = Literal["ok", "skipped", "refused", "failed"]
STATES: dict[State, str] = {
    "ok": "done in this run",
    "skipped": "done before",
    "refused": "the file cannot be used",
    "failed": "something went wrong",
}


@dataclass(frozen=True)
class FileReport:
    """How a file ended.

    Parameters
    ----------
    name : str
        Path of the image below the folder, with slashes.
    state : str
        A key of `STATES`.
    reason : str
        Why it is not "ok"; one or two sentences.
    stem : str
        Of its results; see `FileTask`.
    outputs : dict of str to Stored
        What was written, by kind.
    facts : Facts or None
    seconds : float
        What it took; the only field that differs from run to run.
    stops : bool
        Whether nothing more can be done: the disk is full or gone, or the model has changed.
    """

    name: str
    state: State
    reason: str = ""
    stem: str = ""
    outputs: dict[str, Stored] = field(default_factory=dict)
    facts: Facts | None = None
    seconds: float = 0.0
    stops: bool = False


def shown(name: str) -> str:
    """The name of a file as text that can be written anywhere; bytes that are no letters are told by number."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in name)
