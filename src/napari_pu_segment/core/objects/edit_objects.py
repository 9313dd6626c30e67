"""Objects corrected by a stroke: one cut into several, or several made one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.segmentation import watershed

from ..errors import InputError
from ..progress import Progress, Work


@dataclass(frozen=True, eq=False)
class Edit:
    """Pixels of a label image that get another label.

    Parameters
    ----------
    places : tuple of ndarray of int, each (n,)
        Index of the pixels along each axis ([Z,] Y, X).
    before, after : ndarray, (n,), of the label image's dtype
    old, new : tuple of int
        The labels that go, and those that come or, where objects were made one, stay.
    """

    places: tuple[np.ndarray, ...]
    before: np.ndarray
    after: np.ndarray
    old: tuple[int, ...]
    new: tuple[int, ...]


def split(labels: np.ndarray, stroke: np.ndarray, *, through: Sequence[int] = (), min_size_px: int = 1) -> Work[Edit]:
    """Cut every object that a stroke parts; the pixels under the stroke go to the part that they are nearest to.

    What of an object is left beside the stroke is parted into what hangs together, at corners too. Parts smaller than
    `min_size_px` are none: they go to their neighbours as the stroke's pixels do, by a flood from the others within the
    object. Each part gets a new label, above all that there are. Pieces of an object that the stroke does not touch
    keep its label.

    Parameters
    ----------
    labels : ndarray of integers, ([Z,] Y, X)
        0 is background.
    stroke : ndarray of int, (n, D)
        Places of the pixels that were drawn, all in one plane of two axes.
    through : sequence of int
        The other axes: the cut goes straight through all that the object has along them.
    min_size_px : int
        Pixels that each part has at least.

    Returns
    -------
    Edit

    Raises
    ------
    InputError
        If nothing is parted, or the dtype has no room for new labels.
    """
    yield Progress(0, 0, "Cutting")
    stroke = np.asarray(stroke)
    highest = int(labels.max(initial=0))
    new: list[int] = []
    cuts: list[tuple[int, np.ndarray, np.ndarray]] = []
    for old in _under(labels, stroke):
        box, mine = _box(labels, old)
        parts = _parts(mine, _barrier(box, mine.shape, stroke, through), min_size_px)
        if parts.any():
            places = np.argwhere(parts)
            cuts.append((old, places + [part.start for part in box], highest + len(new) + parts[tuple(places.T)]))
            new += range(highest + len(new) + 1, highest + len(new) + 1 + int(parts.max()))
    if not cuts:
        raise InputError(
            "The stroke parts no object: draw it right across one, from outside to outside. "
            f"Each part needs at least {min_size_px} px."
        )
    _check_room(labels, highest + len(new))
    places = np.concatenate([places for _, places, _ in cuts])
    return _edit(labels, places, np.concatenate([after for *_, after in cuts]), [old for old, *_ in cuts], new)


def merge(labels: np.ndarray, stroke: np.ndarray) -> Work[Edit]:
    """Make all objects that a stroke touches one, with the lowest of their labels; no pixel between them is filled.

    Parameters
    ----------
    labels : ndarray of integers, ([Z,] Y, X)
    stroke : ndarray of int, (n, D)

    Raises
    ------
    InputError
        If the stroke touches fewer than two objects.
    """
    yield Progress(0, 0, "Merging")
    touched = _under(labels, np.asarray(stroke))
    if len(touched) < 2:
        raise InputError("The stroke touches fewer than two objects: draw it from one to the next.")
    places = np.argwhere(np.isin(labels, touched[1:]))
    return _edit(labels, places, np.full(len(places), touched[0]), touched[1:], touched[:1])


def _under(labels: np.ndarray, stroke: np.ndarray) -> list[int]:
    found = np.unique(labels[tuple(stroke.T)])
    return [int(one) for one in found[found > 0]]


def _box(labels: np.ndarray, one: int) -> tuple[tuple[slice, ...], np.ndarray]:
    """The bounding box of an object, and where it is in there."""
    mine = labels == one
    box = ndimage.find_objects(mine, 1)[0]
    return box, mine[box]


def _barrier(box: Sequence[slice], shape: Sequence[int], stroke: np.ndarray, through: Sequence[int]) -> np.ndarray:
    """Where the stroke is in a box, made so that nothing slips through it at a corner; axes of length 1 go through."""
    drawn = [axis for axis in range(len(shape)) if axis not in through]
    plane = np.zeros([shape[axis] for axis in drawn], bool)
    own = stroke[:, drawn] - [box[axis].start for axis in drawn]
    own = own[((own >= 0) & (own < plane.shape)).all(1)]
    plane[tuple(own.T)] = True
    falling, rising = plane[:-1, :-1] & plane[1:, 1:], plane[:-1, 1:] & plane[1:, :-1]
    plane[:-1, 1:] |= falling
    plane[:-1, :-1] |= rising
    return np.expand_dims(plane, tuple(through))


def _parts(mine: np.ndarray, barrier: np.ndarray, min_size_px: int) -> np.ndarray:
    """Parts 1..n in reading order of the pieces of an object that a barrier parts; 0 where it parts nothing."""
    pieces, rest = _label(mine), _label(mine & ~barrier)
    sizes = np.bincount(rest.ravel())
    keep = sizes >= min_size_px
    keep[0] = False
    seeds = np.where(keep[rest], rest, 0)
    n_parts = [len(np.unique(seeds[(pieces == piece) & (seeds > 0)])) for piece in range(1, int(pieces.max()) + 1)]
    cut = np.isin(pieces, 1 + np.flatnonzero(np.array(n_parts) > 1))
    around = ndimage.generate_binary_structure(mine.ndim, mine.ndim)
    parts = watershed(np.zeros(mine.shape, np.uint8), np.where(cut, seeds, 0), around, mask=cut)  # type: ignore[no-untyped-call]
    found = np.unique(parts)
    return np.asarray(np.where(parts > 0, np.searchsorted(found[found > 0], parts) + 1, 0))


def _label(mask: np.ndarray) -> np.ndarray:
    return np.asarray(label(mask, connectivity=mask.ndim))  # type: ignore[no-untyped-call]


def _check_room(labels: np.ndarray, highest: int) -> None:
    most = np.iinfo(labels.dtype).max
    if highest > most:
        raise InputError(
            f"The layer's labels go up to {most} ({labels.dtype}), and there is no room for new ones. Convert its data "
            "type first: right click on the layer, Convert data type."
        )


def _edit(labels: np.ndarray, places: np.ndarray, after: np.ndarray, old: Sequence[int], new: Sequence[int]) -> Edit:
    where = tuple(places.T)
    return Edit(where, labels[where], after.astype(labels.dtype), tuple(old), tuple(new))
