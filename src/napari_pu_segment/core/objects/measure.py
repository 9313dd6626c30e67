"""Region properties of objects: a table with units."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from skimage.measure import perimeter, regionprops

from ..errors import InputError
from ..progress import Progress, Ticker, Work
from ..samples import Array, alone, check_spatial, checked_axes
from ..table import Table
from . import touching

__all__ = ["STATISTICS", "Table", "ascii_unit", "channel_columns", "measure_objects"]

STATISTICS = ("mean", "min", "max", "std")
_WHOLE = {"label", "frame", "plane", "area_px", "volume_px"}
_LEADING = {"T": "frame", "Z": "plane"}
_FLAGS = {"touches_border", "touches_ignored"}


def measure_objects(
    objects: np.ndarray,
    image: Array | None = None,
    *,
    probability: np.ndarray | None = None,
    ignored: np.ndarray | None = None,
    pixel_size: tuple[float, ...] = (),
    pixel_unit: str = "px",
    channel_names: Sequence[str] = (),
    planewise: bool | None = None,
    axes: str = "",
) -> Work[Table]:
    """Measure every object: place, size, shape, and intensities.

    Lengths are in `pixel_unit` where the pixel size is known, else in pixels. Positions count from the middle of the
    first pixel; in pixels they are the array's indices. Axes, eccentricity and orientation are those of the ellipse
    with the same second moments, as in `skimage.measure.regionprops`: with variances v1 >= v2 along its axes, these
    are 4 sqrt(v), for the ellipsoid of a volume 2 sqrt(5 v), and the eccentricity is sqrt(1 - v2 / v1). Orientation is
    in degrees: 0 is a long axis along the columns (up and down), 90 or -90 one along the rows. Perimeters follow
    Benkrid & Crookes (2000), and are in pixels where pixels are not square. Solidity is the area divided by that of
    the convex hull. Objects that go through planes have volumes, and neither perimeter, eccentricity, solidity nor
    orientation.

    Parameters
    ----------
    objects : ndarray of integers, ([T,] [Z,] Y, X)
        Labels; values below 1 are background.
    image : array, (C, [T,] [Z,] Y, X), optional
        Values that are not finite are left out of the intensities.
    probability : ndarray, ([T,] [Z,] Y, X), optional
        Adds the mean probability.
    ignored : ndarray, ([T,] [Z,] Y, X), optional
        Pixels where it is non-zero are no part of an object.
    pixel_size : tuple of float, ([Z,] Y, X), optional
        In `pixel_unit`; the last axes count.
    channel_names : sequence of str, optional
        One for each channel.
    planewise : bool, optional
        Whether each plane of a stack is measured on its own. Default: if no object goes through several planes.
    axes : str
        Of the image; see `Sample.axes`. Every time point is measured on its own.

    Yields
    ------
    Progress
        At most ten times a second; a step is an object.

    Returns
    -------
    Table
        One row for each object (and time point, and plane where planes are measured on their own).

    Raises
    ------
    InputError
        If shapes do not fit.
    """
    objects = check_spatial("labels", objects)
    if objects.dtype.kind == "f":
        raise InputError("The labels are fractions. Objects are whole numbers; make a mask into objects first.")
    looks, names = _channels(objects, image, probability, channel_names)
    left_out = np.zeros(objects.shape, bool)
    if ignored is not None:
        left_out = check_spatial("ignored region", ignored, objects.shape) != 0
        objects = np.where(left_out, 0, objects)
    axes = checked_axes(axes, (1, *objects.shape), "The labels")[1:]
    if planewise is None:
        planewise = "Z" in axes and not any(_through_planes(objects[i]) for i in alone(axes, objects.shape, False))
    windows = alone(axes, objects.shape, planewise)
    leading = tuple(_LEADING[axis] for axis in axes[: len(windows[0])])
    ndim = objects.ndim - len(leading)
    size = pixel_size[-ndim:] if len(pixel_size) >= ndim else ()
    form = _Form(ndim, size, pixel_unit if size else "px", tuple(names), leading)
    rows: list[list[float]] = []
    total, ticker = sum(np.unique(objects[window]).size for window in windows), Ticker()
    for window in windows:
        stack = [np.asarray(one[window]) for one in looks]
        for row in _rows(objects[window], stack, left_out[window], form):
            rows.append([row[0], *window, *row[1:]])
            if ticker.due():
                yield Progress(len(rows), total, "Measuring")
    return form.table(rows)


@dataclass(frozen=True)
class _Form:
    """Which columns there are: for objects of 2 or 3 axes, with a size of pixels or none."""

    ndim: int
    size: tuple[float, ...]
    unit: str
    channels: tuple[str, ...]
    leading: tuple[str, ...]

    @property
    def square(self) -> bool:
        return all(math.isclose(size, self.size[0], rel_tol=1e-6) for size in self.size)

    def columns(self) -> dict[str, str]:
        """Names and units, in the order of `_rows`."""
        axes, extent, power = "zyx"[-self.ndim :], "area" if self.ndim == 2 else "volume", self.ndim
        found = dict.fromkeys(("label", *self.leading), "")
        found |= {f"centroid_{axis}_px": "px" for axis in axes} | {f"{extent}_px": "px"}
        if self.size:
            found |= {f"centroid_{axis}_{ascii_unit(self.unit)}": self.unit for axis in axes}
            found |= {f"{extent}_{ascii_unit(self.unit)}{power}": f"{self.unit}^{power}"}
        lengths = ["equivalent_diameter", "major_axis", "minor_axis"]
        found |= {f"{name}_{ascii_unit(self.unit)}": self.unit for name in lengths}
        if self.ndim == 2:
            unit = self.unit if self.square else "px"
            found |= {f"perimeter_{ascii_unit(unit)}": unit, "eccentricity": "", "solidity": "", "orientation_deg": "°"}
        found |= {"touches_border": "", "touches_ignored": ""}
        statistics = {name: ("mean",) if name == "probability" else STATISTICS for name in self.channels}
        return found | {f"{what}_{name}": "" for name, whats in statistics.items() for what in whats}

    def table(self, rows: Sequence[Sequence[float]]) -> Table:
        units = self.columns()
        values = np.array(rows, np.float64).reshape(len(rows), len(units)).T
        kinds = [np.int64 if name in _WHOLE else bool if name in _FLAGS else np.float64 for name in units]
        columns = {name: column.astype(kind) for name, column, kind in zip(units, values, kinds, strict=True)}
        return Table(columns, units)


def _rows(objects: np.ndarray, looks: list[np.ndarray], left_out: np.ndarray, form: _Form) -> Iterator[list[float]]:
    """Values of the columns of each object, but for its plane."""
    labels = np.unique(objects)
    labels = labels[labels > 0]
    if labels.size == 0:
        return
    small = np.where(objects > 0, np.searchsorted(labels, objects) + 1, 0)  # any numbers, made 1..n
    at_border = set(touching(small, np.zeros_like(left_out)).tolist())
    at_ignored = set(touching(np.pad(small, 1), np.pad(left_out, 1)).tolist())
    for region in regionprops(small):  # type: ignore[no-untyped-call]
        row = [labels[region.label - 1], *_shape(region, form)]
        row += [region.label in at_border, region.label in at_ignored]
        for name, look in zip(form.channels, looks, strict=True):
            values = look[region.slice][region.image].astype(np.float64)
            row += _statistics(values[np.isfinite(values)], only_mean=name == "probability")
        yield row


def _shape(region: Any, form: _Form) -> list[float]:
    n_pixels, middle, spread = _moments(region.image)
    middle += [ends.start for ends in region.slice]
    scale = np.array(form.size or (1.0,) * form.ndim)
    extent = n_pixels * float(scale.prod())
    found = [*middle, n_pixels, *([*(middle * scale), extent] if form.size else [])]
    spread *= np.outer(scale, scale)
    least, *_, most = np.clip(np.linalg.eigvalsh(spread), 0, None)
    if form.ndim == 3:
        return [*found, (6 * extent / math.pi) ** (1 / 3), 2 * math.sqrt(5 * most), 2 * math.sqrt(5 * least)]
    found += [math.sqrt(4 * extent / math.pi), 4 * math.sqrt(most), 4 * math.sqrt(least)]
    around = perimeter(region.image) * (scale[0] if form.square else 1)  # type: ignore[no-untyped-call]
    eccentricity = math.sqrt(1 - least / most) if most else 0.0
    orientation = math.degrees(math.atan2(2 * spread[0, 1], spread[0, 0] - spread[1, 1]) / 2)
    return [*found, around, eccentricity, region.solidity, orientation]


def _moments(image: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """Number, mean and covariance of the places of an object's pixels, without a list of them all."""
    axes, n_pixels = range(image.ndim), int(np.count_nonzero(image))
    along = [image.sum(axis=tuple(other for other in axes if other != axis)) for axis in axes]
    middle = np.array([np.arange(len(counts)) @ counts / n_pixels for counts in along])
    away = [np.arange(len(counts)) - mean for counts, mean in zip(along, middle, strict=True)]
    spread = np.diag([steps**2 @ counts / n_pixels for steps, counts in zip(away, along, strict=True)])
    for i, j in combinations(axes, 2):
        counts = image.sum(axis=tuple(other for other in axes if other not in (i, j)))
        spread[i, j] = spread[j, i] = away[i] @ counts @ away[j] / n_pixels
    return n_pixels, middle, spread


def _statistics(values: np.ndarray, *, only_mean: bool) -> list[float]:
    if values.size == 0:
        return [math.nan] * (1 if only_mean else len(STATISTICS))
    return [values.mean()] if only_mean else [float(getattr(values, what)()) for what in STATISTICS]


def _channels(
    objects: np.ndarray, image: Array | None, probability: np.ndarray | None, names: Sequence[str]
) -> tuple[list[Array], list[str]]:
    """What intensities are taken from, each ([T,] [Z,] Y, X), and the names of their columns."""
    looks: list[Array] = []
    if image is not None:
        if tuple(image.shape[1:]) != objects.shape:
            raise InputError(
                f"The image measures {tuple(image.shape[1:])} pixels but the objects {objects.shape}. "
                "Give the image that they were found in."
            )
        looks = [image[i] for i in range(image.shape[0])]
    unique = channel_columns(names, len(looks))
    if probability is not None:
        looks.append(check_spatial("probability", probability, objects.shape))
        unique.append("probability")
    return looks, unique


def channel_columns(names: Sequence[str], n_channels: int) -> list[str]:
    """What columns of each channel are called: its name where there is one for each, and no two alike."""
    if len(names) != n_channels:
        names = ["intensity"] if n_channels == 1 else [f"channel_{i}" for i in range(n_channels)]
    unique: list[str] = []
    for name in (" ".join(name.split()) or "channel" for name in names):
        taken = {*unique, "probability"}
        unique.append(next(one for one in _numbered(name) if one not in taken))
    return unique


def _numbered(name: str) -> Iterator[str]:
    yield name
    for i in range(2, 10**6):
        yield f"{name}_{i}"


def _through_planes(objects: np.ndarray) -> bool:
    seen: set[int] = set()
    for plane in objects:
        here = {int(one) for one in np.unique(plane) if one > 0}
        if seen & here:
            return True
        seen |= here
    return False


def ascii_unit(unit: str) -> str:
    """A unit as it stands in names of columns: "µm" is "um"."""
    return re.sub(r"[^A-Za-z0-9]+", "_", unit.replace("µ", "u").replace("μ", "u")).strip("_") or "unit"
