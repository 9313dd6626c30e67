"""How a segmentation changes with time: area, objects and intensity of every frame, one frame in memory at a time."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import numpy as np

from ..errors import InputError
from ..objects import ObjectSettings, find_objects
from ..objects.measure import Table, ascii_unit, channel_columns
from ..progress import Progress, Ticker, Work
from .keogram import Frame, Keogram, KeogramSettings, Tracer

Result = TypeVar("Result")

# Year to second, with or without separators, and fractions of a second; no digit directly before or after.
_STAMP = re.compile(
    r"(?<!\d)((?:19|20)\d\d)([-_.]?)(\d\d)\2(\d\d)[-_ T.]?(\d\d)([-_:.]?)(\d\d)\6(\d\d)(?:[.,](\d{1,6}))?(?!\d)"
)


@dataclass(frozen=True, eq=False)
class Series:
    """A series as it was measured.

    Parameters
    ----------
    table : Table
        One row for each frame, see `measure_series`.
    keogram : Keogram or None
    """

    table: Table
    keogram: Keogram | None = None


def measure_series(
    frames: Iterable[Frame],
    n_frames: int,
    *,
    times: np.ndarray | None = None,
    objects: ObjectSettings | None = None,
    keogram: KeogramSettings | None = None,
    pixel_size: tuple[float, ...] = (),
    pixel_unit: str = "px",
    channel_names: Sequence[str] = (),
) -> Work[Series]:
    """Measure every frame of a series.

    Parameters
    ----------
    frames : iterable of Frame
        In the order of time. They are read one by one, and none is kept.
    n_frames : int
        How many there are.
    times : ndarray, (n_frames,), optional
        When each was taken: datetime64, or seconds. See `times_of`.
    objects : ObjectSettings, optional
        How objects are told apart to be counted.
    keogram : KeogramSettings, optional
        Also make a keogram, of frames of one plane.
    pixel_size : tuple of float, ([Z,] Y, X), optional
        In `pixel_unit`.
    channel_names : sequence of str, optional
        One for each channel.

    Yields
    ------
    Progress
        At most ten times a second; a step is a frame.

    Returns
    -------
    Series
        The columns of its table: "frame" from 0; "file" where frames have names; "time" and "elapsed_s", since the
        first frame, where times are known; "area_fraction", of the pixels that are not ignored, 0..1; "area_px", or
        "volume_px", and the same in units where the pixel size is known; "objects", their number; "mean_..." of each
        channel inside the segmentation, NaN where nothing is segmented. Values that are not finite are left out.

    Raises
    ------
    InputError
        If there is no frame, or frames differ in their axes or channels.
    """
    rows, tracer = _Rows(pixel_size, pixel_unit, channel_names), None if keogram is None else Tracer(keogram)
    ticker = Ticker()
    for frame in frames:
        report, where = (
            Progress(len(rows.values), n_frames, "Measuring frames"),
            frame.name or f"frame {len(rows.values)}",
        )
        if ticker.due():
            yield report
        image, mask, ignored = _read(frame, where)
        rows.check(image, where)
        if tracer is not None:
            tracer.add(image, mask, ignored)
        size = pixel_size if len(pixel_size) == mask.ndim else ()
        finding = find_objects(mask, objects or ObjectSettings(), ignored=ignored, pixel_size=size)
        labels = yield from _reporting(report, ticker, finding)
        rows.add(image, mask, ignored, int(np.count_nonzero(np.unique(labels))), frame.name)
    return Series(rows.table(times), None if tracer is None else tracer.keogram())


def time_of(name: str) -> np.datetime64 | None:
    """When a frame was taken, as its file name tells: a date and a time of day from year to second, in digits.

    Between date and time, and between the parts of each, there may be separators: 20120217_101530, 20120217T101530,
    2012-02-17T10:15:30, 2012.02.17 10-15-30.250, 20120217101530. The first that is a real date counts. A time zone is
    not looked for: times are taken as they are written.

    Returns
    -------
    datetime64 with milliseconds, or None
        None if there is none.
    """
    for found in _STAMP.finditer(name):
        year, month, day, hour, minute, second = (int(found[i]) for i in (1, 3, 4, 5, 7, 8))
        try:
            whole = datetime(year, month, day, hour, minute, second)
        except ValueError:
            continue
        return np.datetime64(whole, "ms") + np.timedelta64(round(1000 * float(f"0.{found[9] or 0}")), "ms")
    return None


def times_of(names: Sequence[str]) -> np.ndarray | None:
    """Times of frames by the names of their files, datetime64 (n,); None if one has none. See `time_of`.

    Raises
    ------
    InputError
        If one is earlier than the one before it.
    """
    found = [time_of(name) for name in names]
    if not found or any(time is None for time in found):
        return None
    times = np.array(found, "datetime64[ms]")
    back = np.flatnonzero(np.diff(times) < np.timedelta64(0))
    if back.size:
        earlier, later = names[back[0] + 1], names[back[0]]
        raise InputError(f"{earlier!r} was taken before {later!r}, as their names say. Give the frames in order.")
    return times


class _Rows:
    """Collects a row for each frame."""

    def __init__(self, size: tuple[float, ...], unit: str, channels: Sequence[str]) -> None:
        self.values: list[list[float]] = []
        self._names: list[str] = []
        self._size, self._unit, self._channels = size, unit, channels
        self._kind = (0, 0)  # axes and channels

    def check(self, image: np.ndarray, where: str) -> None:
        """Refuse a frame of another kind than the first."""
        kind = image.ndim - 1, len(image)
        if self.values and kind != self._kind:
            raise InputError(
                f"{where} has {kind[1]} channel(s) and {kind[0]} axes of space, the first frame {self._kind[1]} and "
                f"{self._kind[0]}. The frames of a series are of one kind."
            )
        self._kind = kind

    def add(self, image: np.ndarray, mask: np.ndarray, ignored: np.ndarray | None, n_objects: int, name: str) -> None:
        """A row of numbers: fraction, pixels, objects, mean of each channel."""
        n_valid = mask.size - (0 if ignored is None else int(np.count_nonzero(ignored)))
        n_pixels = int(np.count_nonzero(mask))
        means = []
        for channel in image:
            inside = channel[mask].astype(np.float64)
            inside = inside[np.isfinite(inside)]
            means.append(float(inside.mean()) if inside.size else math.nan)
        self.values.append([n_pixels / n_valid if n_valid else math.nan, n_pixels, n_objects, *means])
        self._names.append(name)

    def table(self, times: np.ndarray | None) -> Table:
        """All of it, with times where they are known."""
        if not self.values:
            raise InputError("There are no frames.")
        (ndim, n_channels), n, values = self._kind, len(self.values), np.array(self.values, np.float64).T
        columns, units = {"frame": np.arange(n)}, {"elapsed_s": "s"}
        if all(self._names):
            columns["file"] = np.array(self._names)
        if times is not None:
            since = (times - times[0])[:n]
            stamped = np.issubdtype(times.dtype, np.datetime64)
            columns |= {"time": times[:n]} if stamped else {}
            columns["elapsed_s"] = since / np.timedelta64(1, "s") if stamped else since.astype(np.float64)
        extent = "area" if ndim == 2 else "volume"
        columns |= {"area_fraction": values[0], f"{extent}_px": values[1].astype(np.int64)}
        units[f"{extent}_px"] = "px"
        if len(self._size) == ndim:
            name = f"{extent}_{ascii_unit(self._unit)}{ndim}"
            columns[name], units[name] = values[1] * math.prod(self._size), f"{self._unit}^{ndim}"
        columns["objects"] = values[2].astype(np.int64)
        named = [f"mean_{name}" for name in channel_columns(self._channels, n_channels)]
        columns |= dict(zip(named, values[3:], strict=True))
        return Table(columns, {name: units.get(name, "") for name in columns})


def _read(frame: Frame, where: str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Image, mask (bool, without what is ignored) and what is ignored, of one shape."""
    image, mask = np.asarray(frame.image), np.asarray(frame.mask)
    ignored = None if frame.ignored is None else np.asarray(frame.ignored, bool)
    shapes = {mask.shape, *([] if ignored is None else [ignored.shape])}
    if shapes != {image.shape[1:]} or mask.ndim not in (2, 3):
        raise InputError(
            f"The image of {where} measures {image.shape[1:]} pixels but its mask {mask.shape}. Give each frame's own."
        )
    return image, (mask != 0 if ignored is None else (mask != 0) & ~ignored), ignored


def _reporting(report: Progress, ticker: Ticker, work: Work[Result]) -> Work[Result]:
    """Long work that tells of the frame rather than of its own steps."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        if ticker.due():
            yield report
