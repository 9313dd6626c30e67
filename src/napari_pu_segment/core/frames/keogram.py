"""Keograms: one line of every frame, side by side, so that a night can be seen at a glance.

Eather, R. H., Mende, S. B. and Judge, R. J. R., "Plasma injection at synchronous orbit and spatial and temporal auroral
morphology", Journal of Geophysical Research 81, 2805 (1976), who named them after the Eskimo word for aurora.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from ..errors import InputError
from ..progress import Progress, Ticker, Work
from ..samples import Array
from ..settings import Settings


class KeogramSettings(Settings):
    """Along which line of the frames a keogram is made."""

    angle_deg: float = Field(
        default=0.0,
        ge=-360,
        le=360,
        title="Angle (°)",
        description="0 is a column, from the top down: the meridian where north is up. The line's first end turns "
        "to the left with the angle, as azimuths do in a picture of the sky: at 90 it is a row, from the left, an "
        "ewogram.",
    )
    width_px: int = Field(
        default=1,
        ge=1,
        le=10_000,
        title="Width (px)",
        description="Over so many pixels across the line the mean is taken.",
    )
    centre_px: tuple[float, ...] = Field(
        default=(),
        title="Centre (row, column)",
        description="Where the line passes, such as the zenith. Empty: the middle of what is not ignored, which is "
        "the middle of the sky where its rim is.",
    )


@dataclass(frozen=True, eq=False)
class Frame:
    """One time point.

    Parameters
    ----------
    image : array, (C, [Z,] Y, X)
    mask : array, ([Z,] Y, X)
        The segmentation: what is not 0.
    ignored : ndarray of bool, ([Z,] Y, X), or None
        Pixels that do not count.
    name : str
        Of the file it came from, or empty.
    """

    image: Array
    mask: Array
    ignored: np.ndarray | None = None
    name: str = ""


@dataclass(frozen=True, eq=False)
class Keogram:
    """One line of every frame; the line runs down, time to the right.

    Parameters
    ----------
    image : ndarray of float32, (C, L, T)
    mask : ndarray of float32, (L, T)
        Which fraction of the line's width is segmented, 0..1.
    settings : KeogramSettings
    """

    image: np.ndarray
    mask: np.ndarray
    settings: KeogramSettings


class Tracer:
    """Reads the line of frames.

    Parameters
    ----------
    settings : KeogramSettings

    Notes
    -----
    With the angle a, the line passes the points (row, column) = c + s (cos a, sin a), s in whole pixels; those
    within the frame, and within what is not ignored in the first one, are taken; a pixel is the nearest one. Across the
    line there are `width_px` points, a pixel apart, whose mean is taken; values that are not finite do not count.
    """

    def __init__(self, settings: KeogramSettings) -> None:
        if len(settings.centre_px) not in (0, 2):
            raise InputError("The centre of the keogram is a row and a column, such as 120,118.")
        self.settings = settings
        self._shape: tuple[int, ...] = ()
        self._images: list[np.ndarray] = []
        self._masks: list[np.ndarray] = []
        self._rows = self._columns = np.zeros((0, 0), np.intp)

    def add(self, image: np.ndarray, mask: np.ndarray, ignored: np.ndarray | None = None) -> None:
        """Read the line of the next frame: image (C, Y, X), mask (Y, X), ignored (Y, X).

        Raises
        ------
        InputError
            If the frame is a volume, or of another shape than the first one.
        """
        if not self._images:
            self._place(tuple(image.shape), ignored)
        if tuple(image.shape) != self._shape:
            raise InputError(
                f"The frames of a keogram are of one size; this one measures {tuple(image.shape)}, the first one "
                f"{self._shape} (channels, rows, columns)."
            )
        across = image[:, self._rows, self._columns].astype(np.float32)  # (C, L, W)
        good = np.isfinite(across)
        total = np.where(good, across, 0).sum(axis=-1, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            self._images.append((total / good.sum(axis=-1)).astype(np.float32))
        self._masks.append((mask[self._rows, self._columns] != 0).mean(axis=-1, dtype=np.float32))

    def keogram(self) -> Keogram:
        """What was read so far."""
        return Keogram(np.stack(self._images, axis=-1), np.stack(self._masks, axis=-1), self.settings)

    def _place(self, shape: tuple[int, ...], ignored: np.ndarray | None) -> None:
        if len(shape) != 3:
            raise InputError("A keogram is made of frames of one plane; these are volumes.")
        box = bounds(ignored) if ignored is not None else (0, shape[1], 0, shape[2])
        centre = self.settings.centre_px or ((box[0] + box[1]) // 2, (box[2] + box[3]) // 2)
        if not (0 <= centre[0] < shape[1] and 0 <= centre[1] < shape[2]):
            raise InputError(f"The centre {tuple(centre)} of the keogram lies outside of the frames, {shape[1:]}.")
        self._shape = shape
        self._rows, self._columns = _points(centre, self.settings, box)


def bounds(ignored: np.ndarray) -> tuple[int, int, int, int]:
    """First row, row after the last, and the same of the columns, of what is not ignored (Y, X); all if all is."""
    ends: list[int] = []
    for axis in (1, 0):
        found = np.flatnonzero(~np.asarray(ignored, bool).all(axis=axis))
        ends += [int(found[0]), int(found[-1]) + 1] if found.size else [0, ignored.shape[1 - axis]]
    return ends[0], ends[1], ends[2], ends[3]


def trace(frames: Iterable[Frame], n_frames: int, settings: KeogramSettings) -> Work[Keogram]:
    """Make a keogram, one frame at a time.

    Parameters
    ----------
    frames : iterable of Frame
        Of one plane each.
    n_frames : int
        How many there are, for the progress.
    settings : KeogramSettings

    Raises
    ------
    InputError
        If there is no frame, or they do not fit.
    """
    tracer, ticker, done = Tracer(settings), Ticker(), 0
    for frame in frames:
        tracer.add(np.asarray(frame.image), np.asarray(frame.mask), frame.ignored)
        done += 1
        if ticker.due():
            yield Progress(done, n_frames, "Reading the line")
    if not done:
        raise InputError("There are no frames.")
    return tracer.keogram()


def _points(
    centre: Sequence[float], settings: KeogramSettings, box: tuple[int, int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns (L, W) of the pixels along and across the line, those within the box."""
    angle = math.radians(settings.angle_deg)
    down, right = math.cos(angle), math.sin(angle)
    reach = math.ceil(math.hypot(box[1] - box[0], box[3] - box[2])) + 1
    along = np.arange(-reach, reach + 1)[:, None]
    across = np.arange(settings.width_px) - (settings.width_px - 1) / 2
    rows = np.floor(centre[0] + along * down - across * right + 0.5).astype(np.intp)
    columns = np.floor(centre[1] + along * right + across * down + 0.5).astype(np.intp)
    middle_row = np.floor(centre[0] + along[:, 0] * down + 0.5)
    middle_column = np.floor(centre[1] + along[:, 0] * right + 0.5)
    kept = (middle_row >= box[0]) & (middle_row < box[1]) & (middle_column >= box[2]) & (middle_column < box[3])
    return rows[kept].clip(box[0], box[1] - 1), columns[kept].clip(box[2], box[3] - 1)
