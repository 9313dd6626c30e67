"""What methods share that segment one image from its strokes alone: they train nothing, and keep no model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NoReturn

import numpy as np
from pydantic import Field

from ..compute.child_process import Child
from ..errors import InputError
from ..images.intensity import measure
from ..progress import Progress, Work, shifted
from ..samples import NEGATIVE, POSITIVE, Sample, alone
from ..settings import Settings, advanced, only_if

_CODES = {"positive": POSITIVE, "negative": NEGATIVE}


@dataclass(frozen=True, eq=False)
class Seeded:
    """What grew from the strokes of an image.

    Parameters
    ----------
    probability : ndarray, ([T,] [Z,] Y, X), float32 in [0, 1]
    doubts : tuple of str
        Sentences on what was left empty.
    """

    probability: np.ndarray
    doubts: tuple[str, ...] = ()


class SeededSettings(Settings):
    """Settings of every method that grows a result from strokes."""

    smooth_px: float = Field(
        0.0,
        ge=0,
        le=50,
        title="Smoothing (px)",
        description="Sigma of the Gaussian that the image is smoothed by before its edges count; 0 leaves it as it is. "
        "More for noisy images.",
    )
    dimensions: Literal["volume", "planes"] = advanced(
        default="volume",
        title="Stacks",
        description="Strokes spread through the planes of a volume, or stay in theirs, and planes without strokes of "
        "both kinds stay empty. Time points are always on their own.",
    )
    plane_px: float = only_if(
        other={"dimensions": "volume"},
        folded=True,
        default=0.0,
        ge=0,
        le=100,
        title="Distance of planes (px)",
        description="How many pixels wide the distance between two planes is. 0 takes it from the image's pixel size, "
        "or 1 where that is not known.",
    )


def no_model(samples: object, settings: Settings, **_: object) -> NoReturn:
    """Stands for the training of a method that has none.

    Raises
    ------
    InputError
        Always; it tells what to do instead.
    """
    raise InputError(
        f"The method {settings.to_dict()['method']!r} makes a result of one image alone, and no model that "
        "could be saved or used on another image. Use the command segment instead of train, or another method."
    )


def grow(sample: Sample, settings: SeededSettings, title: str, max_px: int, **parameters: float) -> Work[Seeded]:
    """Let strokes of both kinds spread over an image, in a child process; closing the generator ends it at once.

    Parameters
    ----------
    sample : Sample
        Ignored pixels neither spread anything nor get anything.
    settings : SeededSettings
    title : str
        Of the method, as the beginning of a sentence.
    max_px : int
        How many pixels of a plane or volume it can hold in memory at a time.
    **parameters
        Further parameters of `compute.compute`.

    Raises
    ------
    InputError
        If a kind of stroke is missing, or the image is too large.
    """
    windows = alone(sample.axes[1:], sample.spatial_shape, settings.dimensions == "planes")
    ndim = len(sample.spatial_shape) - len(windows[0])
    yield Progress(0, 0, "Reading the strokes")
    _check_size(sample, ndim, title, max_px)
    labels, seeded = _seeds(sample, windows, title)
    spacing = _spacing(sample, settings, ndim)
    stats = [one.model_dump() for one in (yield from measure([sample]))]
    asked = {"method": settings.to_dict()["method"], "smooth_px": settings.smooth_px, **parameters}
    probability = np.zeros(sample.spatial_shape, np.float32)
    with Child("napari_pu_segment.core.seeded.compute") as child:
        for i, window in enumerate(seeded):
            arrays = {"image": np.asarray(sample.image[(slice(None), *window)]), "labels": labels[window]}
            work = child.ask(arrays, {**asked, "intensity": stats, "spacing": spacing})
            probability[window] = yield from shifted(work, i, len(seeded))
    what = "planes" if "Z" in sample.axes and settings.dimensions == "planes" else "time points"
    n_seeded = f"Only {len(seeded)} of {len(windows)} {what} of {sample.name!r} have strokes of both kinds"
    return Seeded(probability, () if len(seeded) == len(windows) else (f"{n_seeded}; the others stay empty.",))


def _seeds(sample: Sample, windows: list[tuple[int, ...]], title: str) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """The labels, and which parts that are each on their own have strokes of both kinds."""
    needs = f"{title} needs strokes on objects and strokes on background"
    missing = [kind for kind, code in _CODES.items() if not sample.count(code)]
    if missing or sample.labels is None:
        raise InputError(f"{needs}; {sample.name!r} has no {' and no '.join(missing)} ones. Paint a few short ones.")
    labels = sample.labels
    found = [window for window in windows if all((labels[window] == code).any() for code in _CODES.values())]
    if not found:
        raise InputError(
            f"{needs} in the same plane, volume or time point; in {sample.name!r} none has both. Paint the other kind "
            "there, too."
        )
    return labels, found


def _check_size(sample: Sample, ndim: int, title: str, max_px: int) -> None:
    shape = sample.spatial_shape[-ndim:]
    if math.prod(shape) > max_px:
        what = "volumes" if ndim == 3 else "planes"
        raise InputError(
            f"{title} holds all of an image in memory, and takes {what} of at most {max_px / 1e6:.0f} million pixels; "
            f"{sample.name!r} has {math.prod(shape) / 1e6:.0f} million. Crop it, or choose a method that trains a "
            "model: those work in tiles."
        )


def _spacing(sample: Sample, settings: SeededSettings, ndim: int) -> list[float]:
    """Distance of neighbours along each axis ([Z,] Y, X), in pixels of a row."""
    known = sample.pixel_size[-ndim:] if len(sample.pixel_size) >= ndim else sample.pixel_size[-2:]
    spacing = [size / known[-1] if size > 0 and known[-1] > 0 else 1.0 for size in known]
    spacing = [1.0] * (ndim - len(spacing)) + spacing
    if ndim == 3 and settings.plane_px:
        spacing[0] = settings.plane_px
    return spacing
