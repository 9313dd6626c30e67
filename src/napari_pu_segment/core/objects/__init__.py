"""From a mask to objects: connected components or a watershed, holes, sizes, borders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import numpy as np
from pydantic import Field
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from ..errors import InputError
from ..progress import Progress, Work
from ..samples import alone, check_spatial, checked_axes
from ..settings import OneOf, Settings, advanced, only_if


@dataclass(frozen=True, eq=False)
class Region:
    """What a splitter works on: one plane, or a whole volume.

    Parameters
    ----------
    mask : ndarray of bool, ([Z,] Y, X)
    probability : ndarray, ([Z,] Y, X), or None
    spacing : tuple of float, ([Z,] Y, X)
        Distance of neighbours along each axis, in pixels of a row; 1 but for stacks with other distances of planes.
    """

    mask: np.ndarray
    probability: np.ndarray | None
    spacing: tuple[float, ...]


Split: TypeAlias = Callable[[Region, "ObjectSettings"], np.ndarray]


@dataclass(frozen=True)
class Splitter:
    """One way to part a mask into objects: a title, the function from `Region` to labels, and where it comes from."""

    title: str
    function: Split
    reference: str


def _connected(region: Region, settings: ObjectSettings) -> np.ndarray:
    return _label(region.mask, settings)


def _by_distance(region: Region, settings: ObjectSettings) -> np.ndarray:
    if region.mask.all():  # nothing is far from a rim that is not there; the border of the image is none
        return np.ones(region.mask.shape, np.int32)
    distance = ndimage.distance_transform_edt(region.mask, sampling=region.spacing)
    return _basins(distance, region.mask, settings.neck_px, settings)


def _by_probability(region: Region, settings: ObjectSettings) -> np.ndarray:
    if region.probability is None:
        raise InputError(
            "There is no probability to split the objects by. Split them by distance, or leave connected ones whole."
        )
    probability = np.nan_to_num(region.probability.astype(np.float64))
    return _basins(probability, region.mask, settings.dip_fraction, settings)


SPLITTERS: dict[str, Splitter] = {
    "connected": Splitter(
        "Not at all",
        _connected,
        "Rosenfeld & Pfaltz 1966, J. ACM 13, 471: connected components",
    ),
    "distance": Splitter(
        "At necks",
        _by_distance,
        "Beucher & Lantuéjoul 1979: watershed; Soille 2003, Morphological Image Analysis, 6.3.3: h-maxima",
    ),
    "probability": Splitter(
        "Where unsure",
        _by_probability,
        "Beucher & Lantuéjoul 1979: watershed; Soille 2003, Morphological Image Analysis, 6.3.3: h-maxima",
    ),
}


class ObjectSettings(Settings):
    """How a mask is parted into objects. Sizes are areas of planes, and volumes where planes are taken together."""

    splitter: Annotated[str, OneOf(SPLITTERS)] = Field(
        default="connected",
        title="Split touching",
        description="How objects that touch are told apart: not at all; at their necks, which suits round objects; or "
        "where the probability between them dips. The latter two are watersheds.",
    )
    neck_px: float = only_if(
        default=1.0,
        other={"splitter": "distance"},
        gt=0,
        le=1000,
        title="Neck depth (px)",
        description="By how much a neck must be narrower than the parts on both its sides, measured from the middle "
        "to the rim. Larger values split less.",
    )
    dip_fraction: float = only_if(
        default=0.1,
        other={"splitter": "probability"},
        gt=0,
        le=1,
        title="Dip depth (0..1)",
        description="By how much the probability between two objects must be lower than in both. Larger values split "
        "less.",
    )
    min_size_px: int = Field(
        default=10,
        ge=1,
        le=2**31 - 1,
        title="Smallest (px)",
        description="Objects with fewer pixels are left out.",
    )
    max_size_px: int = Field(
        default=0,
        ge=0,
        le=2**31 - 1,
        title="Largest (px, 0 = any)",
        description="Objects with more pixels are left out. 0 keeps all.",
    )
    max_hole_px: int = Field(
        default=0,
        ge=0,
        le=2**31 - 1,
        title="Fill holes up to (px)",
        description="Holes in objects of at most so many pixels become part of them. 0 fills none.",
    )
    clear_border: bool = Field(
        default=False,
        title="Leave out cut-off ones",
        description="Objects that touch the border of the image or an ignored region are left out.",
    )
    planewise: bool = advanced(
        default=True,
        title="Plane by plane",
        description="Find the objects of each plane of a stack on their own. Turn off for volumes: objects then "
        "go through planes.",
    )
    diagonal: bool = advanced(
        default=True,
        title="Join at corners",
        description="Pixels that touch at a corner belong to one object.",
    )


def find_objects(
    mask: np.ndarray,
    settings: ObjectSettings,
    *,
    probability: np.ndarray | None = None,
    ignored: np.ndarray | None = None,
    pixel_size: tuple[float, ...] = (),
    axes: str = "",
) -> Work[np.ndarray]:
    """Part a mask into objects.

    Holes are filled, then objects are split, then those of a wrong size or at the border are left out. A watershed
    floods from every maximum of a landscape f (distance to the rim, or probability) that rises by more than h above
    the highest saddle to a higher one: the regional maxima of the reconstruction of f - h under f.

    Parameters
    ----------
    mask : ndarray, ([T,] [Z,] Y, X)
        Non-zero is object; values that are not finite are not.
    settings : ObjectSettings
    probability : ndarray, ([T,] [Z,] Y, X), in [0, 1], optional
        Needed to split at its dips.
    ignored : ndarray, ([T,] [Z,] Y, X), optional
        No object has a pixel where it is non-zero.
    pixel_size : tuple of float, ([Z,] Y, X), optional
        Volumes are split by distances in space; only the ratios count, and the last axes.
    axes : str
        Of the image; see `Sample.axes`. The objects of every time point are found on their own.

    Yields
    ------
    Progress
        One step for each plane and time point.

    Returns
    -------
    ndarray of int32, ([T,] [Z,] Y, X)
        0 is background; objects are 1..n in the order in which their first pixels are read, one time point after
        the other, plane by plane, row by row.

    Raises
    ------
    InputError
        If shapes do not fit, or the probability is missing.
    """
    mask = check_spatial("mask", mask)
    shown = {"probability": probability, "ignored region": ignored}
    given = {name: None if one is None else check_spatial(name, one, mask.shape) for name, one in shown.items()}
    windows = alone(checked_axes(axes, (1, *mask.shape), "The mask")[1:], mask.shape, settings.planewise)
    ndim = mask.ndim - len(windows[0])
    known = pixel_size[-ndim:] if len(pixel_size) >= ndim else (1.0,) * ndim
    spacing = tuple(size / known[-1] for size in known)
    labels, count = np.zeros(mask.shape, np.int32), 0
    for done, window in enumerate(windows):
        yield Progress(done, len(windows), "Finding objects")
        inside, left_out = np.nan_to_num(mask[window]) != 0, np.zeros(mask[window].shape, bool)
        if given["ignored region"] is not None:
            left_out = given["ignored region"][window] != 0
        chances = None if given["probability"] is None else given["probability"][window]
        region = Region(_filled(inside & ~left_out, left_out, settings), chances, spacing)
        found = _kept(SPLITTERS[settings.splitter].function(region, settings), left_out, settings)
        labels[window] = np.where(found, found + count, 0)
        count += int(found.max(initial=0))
    return labels


def touching(labels: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """Sorted labels of the objects that touch the border of the image or a left-out pixel, ([Z,] Y, X) both."""
    rims = [np.take(labels, [0, -1], axis).ravel() for axis in range(labels.ndim)]
    near = ndimage.binary_dilation(left_out, _neighbours(left_out.ndim, True)) if left_out.any() else left_out
    found = np.unique(np.concatenate([*rims, labels[near]]))
    return np.asarray(found[found > 0])


def _neighbours(ndim: int, diagonal: bool) -> np.ndarray:
    return np.asarray(ndimage.generate_binary_structure(ndim, ndim if diagonal else 1))


def _label(mask: np.ndarray, settings: ObjectSettings) -> np.ndarray:
    return np.asarray(label(mask, connectivity=mask.ndim if settings.diagonal else 1))  # type: ignore[no-untyped-call]


def _basins(landscape: np.ndarray, mask: np.ndarray, height: float, settings: ObjectSettings) -> np.ndarray:
    """Watershed of a landscape >= 0 whose peaks are the middles of objects; lower peaks than `height` are one's own."""
    mask = np.pad(mask, 1)  # a plateau is only a peak where something lower is around it
    neighbours = _neighbours(mask.ndim, settings.diagonal)
    deep = -height - 1  # lower than any seed, so that a component whose peak is below `height` keeps it
    under = np.where(mask, np.pad(landscape, 1), deep)
    lowered = np.where(mask, under - height, deep)
    seeds = reconstruction(lowered, under, footprint=neighbours)  # type: ignore[no-untyped-call]
    peaks = local_maxima(seeds, footprint=neighbours) & mask  # type: ignore[no-untyped-call]
    basins = watershed(-under, _label(peaks, settings), neighbours, mask=mask)  # type: ignore[no-untyped-call]
    return np.asarray(basins[(slice(1, -1),) * mask.ndim])


def _filled(mask: np.ndarray, left_out: np.ndarray, settings: ObjectSettings) -> np.ndarray:
    """The mask with its holes filled; what is open to the border or holds ignored pixels is no hole."""
    if settings.max_hole_px == 0 or mask.all():
        return mask
    around = 1 if settings.diagonal else mask.ndim  # the dual of the objects' own
    gaps = np.asarray(label(~mask, connectivity=around))  # type: ignore[no-untyped-call]
    sizes = np.bincount(gaps.ravel())
    fill = sizes <= settings.max_hole_px
    rims = [np.take(gaps, [0, -1], axis).ravel() for axis in range(gaps.ndim)]
    fill[np.unique(np.concatenate([*rims, gaps[left_out]]))] = False
    fill[0] = False
    return np.asarray(mask | fill[gaps])


def _kept(labels: np.ndarray, left_out: np.ndarray, settings: ObjectSettings) -> np.ndarray:
    """Labels 1..n, int32, of the objects that the settings keep, in reading order."""
    sizes = np.bincount(labels.ravel())
    keep = sizes >= settings.min_size_px
    if settings.max_size_px:
        keep &= sizes <= settings.max_size_px
    if settings.clear_border:
        keep[touching(labels, left_out)] = False
    keep[0] = False
    places = np.flatnonzero(labels)
    first = np.full(len(sizes), labels.size)
    first[labels.ravel()[places[::-1]]] = places[::-1]  # the last to be written, the first pixel, stays
    order = np.argsort(np.where(keep, first, labels.size), kind="stable")
    new = np.zeros(len(sizes), np.int32)
    new[order[: keep.sum()]] = np.arange(1, keep.sum() + 1)
    return np.asarray(new[labels])
