"""Outlines of masks, found fast: napari takes 50 ms for 1024 x 1024 pixels, each time that a mask is drawn."""

from __future__ import annotations

import weakref
from functools import partial

import numpy as np
from napari.layers import Labels

_ALL, _HERE, _NEXT = slice(None), slice(None, -1), slice(1, None)
_NEIGHBOURS = [((_HERE, _ALL), (_NEXT, _ALL)), ((_ALL, _HERE), (_ALL, _NEXT))]


def outline(layer: Labels, thickness_px: int) -> None:
    """Draw a labels layer as outlines, and find them by `contours` from now on; the user may change their thickness.

    A napari that finds outlines in another way does so as it did.
    """
    layer.contour = thickness_px
    layer._calculate_contour = partial(_seen, weakref.ref(layer))  # looked up on the layer at every drawing


def contours(labels: np.ndarray, thickness_px: int) -> np.ndarray:
    """The rims of labelled areas, 0 elsewhere: pixels no farther than `thickness_px` steps from one of another value.

    Parameters
    ----------
    labels : ndarray of int, (Y, X)
        0 is background, which has no rim. A step leads to one of the four neighbours; areas end at the border of the
        array without a rim.
    thickness_px : int
        1 or more.
    """
    near = np.zeros(labels.shape, bool)
    for one, other in _NEIGHBOURS:
        differs = labels[one] != labels[other]
        near[one] |= differs
        near[other] |= differs
    for _ in range(thickness_px - 1):
        last = near.copy()
        for one, other in _NEIGHBOURS:
            near[one] |= last[other]
            near[other] |= last[one]
    return np.where(near, labels, labels.dtype.type(0))


def _seen(ref: weakref.ref[Labels], labels: np.ndarray, data_slice: tuple[slice, ...]) -> np.ndarray | None:
    """What napari asks for: the outlines of a part of a plane."""
    layer = ref()
    if layer is None or layer.contour < 1 or labels.ndim != 2 or layer.colormap.background_value != 0:
        return None if layer is None else Labels._calculate_contour(layer, labels, data_slice)
    margin = int(layer.contour)
    grown = tuple(slice(max(0, s.start - margin), s.stop + margin) for s in data_slice)
    inner = tuple(slice(s.start - g.start, s.stop - g.start) for s, g in zip(data_slice, grown, strict=True))
    return contours(np.asarray(labels[grown]), margin)[inner]
