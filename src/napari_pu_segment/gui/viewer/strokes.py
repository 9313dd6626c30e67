"""Strokes of brush layers in the pixels of their image: of large images they are coarser, and mostly empty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from napari_pu_segment.core.samples import IGNORE, NEGATIVE, ONE_CLASS, POSITIVE, UNLABELED, codes_of_strokes

from .boxes import Box
from .sparse import SparseLabels


def codes_of_image(
    strokes: Mapping[str, Any], shape: tuple[int, ...], factor: int, classes: Sequence[str] = ONE_CLASS
) -> np.ndarray:
    """Label codes of an image.

    Parameters
    ----------
    strokes : mapping of str to array
        By the names of classes, "negative" and "ignore"; all of one shape, non-zero where painted.
    shape : tuple of int, ([T,] [Z,] Y, X)
        Of the image.
    factor : int
        How many pixels of the image a pixel of the strokes is high and wide.
    classes : sequence of str
        In the order of their codes.

    Returns
    -------
    ndarray of uint8, ([T,] [Z,] Y, X)
        Memory is taken only where something is painted, as the system gives none to what is never written to.
    """
    if factor == 1 and all(isinstance(data, np.ndarray) for data in strokes.values()):
        return codes_of_strokes(strokes, classes)
    codes = np.zeros(shape, np.uint8)
    boxes = {str(box): box for data in strokes.values() for box in painted_boxes(data)}
    for box in boxes.values():
        block = codes_of_strokes({role: np.asarray(data[box]) for role, data in strokes.items()}, classes)
        _put(codes, box, block, factor)
    return codes


def codes_of_rough(
    rough: np.ndarray, strokes: Mapping[str, Any], factor: int, classes: Sequence[str] = ONE_CLASS
) -> np.ndarray:
    """Label codes ([T,] [Z,] Y, X) of a rough mask, bool, of an image with strokes; see `codes_of_image`.

    It says nothing where there are strokes, which know better; what they ignore is ignored.
    """
    codes = np.where(rough, POSITIVE, NEGATIVE).astype(np.uint8)
    if strokes:
        painted = codes_of_image(strokes, rough.shape, factor, classes)
        codes[painted != UNLABELED] = UNLABELED
        codes[painted == IGNORE] = IGNORE
    return codes


def strokes_of_image(strokes: Mapping[str, Any], shape: tuple[int, ...], factor: int) -> dict[str, np.ndarray]:
    """Where was painted, by role, ([T,] [Z,] Y, X) bool in the pixels of the image; see `codes_of_image`."""
    found = {}
    for role, data in strokes.items():
        found[role] = np.zeros(shape, bool)
        for box in painted_boxes(data):
            _put(found[role], box, np.asarray(data[box]) != 0, factor)
    return found


def coarsened(mask: np.ndarray, box: Box, factor: int) -> np.ndarray:
    """What a box of coarser strokes holds of a mask ([T,] [Z,] Y, X): painted where any of its pixels is."""
    block = np.atleast_1d(np.not_equal(mask[_fine(box, mask.shape, factor)], 0))
    if factor == 1:
        return block
    rows, columns = (part.stop - part.start for part in box[-2:])
    missing = (rows * factor - block.shape[-2], columns * factor - block.shape[-1])
    block = np.pad(block, [*((0, 0) for _ in box[:-2]), *((0, n) for n in missing)])
    blocks = block.reshape(*block.shape[:-2], rows, factor, columns, factor)
    return np.asarray(blocks.any(axis=(-3, -1)))


def painted_boxes(data: Any) -> Iterator[Box]:
    """Boxes that hold all that is painted on a brush layer."""
    if isinstance(data, SparseLabels):
        yield from (box for box, _ in data.blocks())
    else:
        yield tuple(slice(0, n) for n in data.shape)


def same_array(one: Any, other: Any) -> bool:
    """Whether two brush layers hold the same."""
    if isinstance(one, SparseLabels) and isinstance(other, SparseLabels):
        return one.same(other)
    return np.array_equal(one, other)


def _put(out: np.ndarray, box: Box, block: np.ndarray, factor: int) -> None:
    fine = _fine(box, out.shape, factor)
    rows, columns = (part.stop - part.start for part in fine[-2:])
    out[fine] = block.repeat(factor, axis=-2).repeat(factor, axis=-1)[..., :rows, :columns]


def _fine(box: Box, shape: tuple[int, ...], factor: int) -> Box:
    """The pixels of an image that a box of its strokes stands for."""
    parts = zip(box[-2:], shape[-2:], strict=True)
    return (*box[:-2], *(slice(part.start * factor, min(part.stop * factor, n)) for part, n in parts))
