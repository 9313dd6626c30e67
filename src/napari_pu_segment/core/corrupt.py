"""CORRUPTIONS: errors of careless annotation, simulated: to test how well a method learns from rough masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy import ndimage
from skimage import draw, measure, morphology

from .errors import InputError
from .settings import OneOf, Settings


@dataclass(frozen=True)
class Object:
    """One object in a plane.

    Parameters
    ----------
    mask : ndarray of bool, (y, x)
        The object alone, in its bounding box.
    corner : tuple of int
        Row and column of the box's first pixel.
    """

    mask: np.ndarray
    corner: tuple[int, int]


Rule = Callable[[list[Object], tuple[int, ...], "CorruptSettings", np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Corruption:
    """One kind of error.

    Parameters
    ----------
    title : str
    apply : callable
        ``apply(objects, shape, settings, rng) -> ndarray of bool, (Y, X)``
    """

    title: str
    apply: Rule


def _objects(plane: np.ndarray) -> list[Object]:
    labels = plane if plane.dtype != bool and plane.max() > 1 and len(np.unique(plane)) > 2 else plane != 0
    labels = measure.label(labels) if labels.dtype == bool else labels  # type: ignore[no-untyped-call]
    regions = measure.regionprops(labels.astype(np.int64))  # type: ignore[no-untyped-call]
    return [Object(region.image, region.bbox[:2]) for region in regions]


def _placed(mask: np.ndarray, corner: tuple[int, ...], shape: tuple[int, ...], out: np.ndarray) -> None:
    """Add a mask (y, x) to `out` (Y, X) at a corner; what hangs over the edge is cut."""
    rows, columns = np.nonzero(mask)
    rows, columns = rows + corner[0], columns + corner[1]
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    out[rows[inside], columns[inside]] = True


def _each(change: Callable[[np.ndarray, CorruptSettings, np.random.Generator], np.ndarray], margin: bool) -> Rule:
    """A rule that changes every object on its own, with `amount_px` of room around it where it grows."""

    def apply(
        objects: list[Object], shape: tuple[int, ...], settings: CorruptSettings, rng: np.random.Generator
    ) -> np.ndarray:
        out = np.zeros(shape, bool)
        room = settings.amount_px if margin else 1
        for thing in objects:
            changed = change(np.pad(thing.mask, room), settings, rng)
            _placed(changed, tuple(at - room for at in thing.corner), shape, out)
        return out

    return apply


def _polygon(mask: np.ndarray, settings: CorruptSettings, rng: np.random.Generator) -> np.ndarray:
    outline = max(measure.find_contours(mask.astype(float), 0.5), key=len)[:-1]  # type: ignore[no-untyped-call]
    steps = np.arange(settings.vertices) * len(outline) / settings.vertices
    corners = outline[(rng.integers(len(outline)) + steps).astype(int) % len(outline)]
    return np.asarray(draw.polygon2mask(mask.shape, corners))  # type: ignore[no-untyped-call]


def _box(mask: np.ndarray, _settings: CorruptSettings, _rng: np.random.Generator) -> np.ndarray:
    return np.pad(np.ones([n - 2 for n in mask.shape], bool), 1)


def _dilated(mask: np.ndarray, settings: CorruptSettings, _rng: np.random.Generator) -> np.ndarray:
    return np.asarray(morphology.dilation(mask, morphology.disk(settings.amount_px)))  # type: ignore[no-untyped-call]


def _eroded(mask: np.ndarray, settings: CorruptSettings, _rng: np.random.Generator) -> np.ndarray:
    return np.asarray(morphology.erosion(mask, morphology.disk(settings.amount_px)))  # type: ignore[no-untyped-call]


def _shifted(mask: np.ndarray, settings: CorruptSettings, rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = (round(settings.amount_px * part) for part in (np.sin(angle), np.cos(angle)))
    return np.roll(mask, (rows, columns), (0, 1))


def _kept(
    objects: list[Object], shape: tuple[int, ...], settings: CorruptSettings, rng: np.random.Generator
) -> np.ndarray:
    out = np.zeros(shape, bool)
    for thing in objects:
        if rng.random() >= settings.fraction:
            _placed(thing.mask, thing.corner, shape, out)
    return out


def _merged(
    objects: list[Object], shape: tuple[int, ...], settings: CorruptSettings, rng: np.random.Generator
) -> np.ndarray:
    """Objects joined with their nearest neighbour: the convex hull of both."""
    out = np.zeros(shape, bool)
    for thing in objects:
        _placed(thing.mask, thing.corner, shape, out)
    middles = np.array([np.add(thing.corner, ndimage.center_of_mass(thing.mask)) for thing in objects])
    for index, thing in enumerate(objects):
        if len(objects) < 2 or rng.random() >= settings.fraction:
            continue
        far = np.linalg.norm(middles - middles[index], axis=1)
        far[index] = np.inf
        other = objects[int(far.argmin())]
        both = np.concatenate([np.argwhere(part.mask) + part.corner for part in (thing, other)])
        corner = both.min(0)
        box = np.zeros(both.max(0) - corner + 1, bool)
        box[tuple((both - corner).T)] = True
        _placed(morphology.convex_hull_image(box), tuple(corner), shape, out)  # type: ignore[no-untyped-call]
    return out


CORRUPTIONS: dict[str, Corruption] = {
    "polygon": Corruption("Polygons of few vertices", _each(_polygon, False)),
    "box": Corruption("Bounding boxes", _each(_box, False)),
    "dilate": Corruption("Too large", _each(_dilated, True)),
    "erode": Corruption("Too small", _each(_eroded, False)),
    "shift": Corruption("Shifted", _each(_shifted, True)),
    "missing": Corruption("Missing objects", _kept),
    "merged": Corruption("Objects merged with their neighbour", _merged),
}


class CorruptSettings(Settings):
    """Settings of `corrupt`."""

    kind: Annotated[str, OneOf(CORRUPTIONS)] = Field("polygon", title="Kind", description="What goes wrong.")
    vertices: int = Field(3, ge=3, le=1000, title="Vertices", description="Of a polygon, on the object's outline.")
    amount_px: int = Field(
        3, ge=0, le=1000, title="Amount (px)", description="How far a mask is dilated, eroded or shifted."
    )
    fraction: float = Field(
        0.3,
        ge=0,
        le=1,
        title="Fraction of objects",
        description="How many objects are missing, or merged with another.",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, title="Seed", description="Same seed, same errors.")


def corrupt(mask: np.ndarray, settings: CorruptSettings | None = None) -> np.ndarray:
    """A mask with the errors of careless annotation; the same seed makes the same errors.

    Parameters
    ----------
    mask : ndarray of bool or integers, ([T,] [Z,] Y, X)
        Objects are what bears one number; where there is but one number, connected parts. Every plane is on its own.
    settings : CorruptSettings, optional

    Returns
    -------
    ndarray of bool, ([T,] [Z,] Y, X)

    Raises
    ------
    InputError
        If it is no mask.

    Notes
    -----
    Polygons with few vertices are the noise of Mirikharaji, Yan and Hamarneh 2019 (arXiv:1906.03639): the vertices lie
    at equal distances along the outline, from a random start.
    """
    settings = settings or CorruptSettings()
    if mask.ndim < 2 or mask.dtype.kind not in "bui" or 0 in mask.shape:
        raise InputError("Errors are made in a mask of rows and columns: whole numbers, 0 where there is no object.")
    rng, rule = np.random.default_rng(settings.seed), CORRUPTIONS[settings.kind].apply
    planes = mask.reshape(-1, *mask.shape[-2:])
    out = [rule(_objects(plane), plane.shape, settings, rng) for plane in planes]
    return np.stack(out).reshape(mask.shape)
