"""Images of any axis order, as the package has them: channel, time, plane, row, column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .errors import InputError
from .samples import Array


def to_channels_first(image: Array, axes: str) -> Array:
    """An image in the package's one axis order, ``(C, [T,] [Z,] Y, X)``; `canonical_axes` tells which it has.

    Parameters
    ----------
    image : array
    axes : str
        One letter for each axis of `image`, of C (channel), S (RGB sample), T (time), Z (plane), Y (row) and
        X (column). An alpha sample (a fourth S) is dropped, and so are axes of time, planes and samples of length 1.

    Raises
    ------
    InputError
        If the axes do not fit the image.
    """
    axes, keep = _kept(axes, tuple(image.shape))
    image = image[keep]
    axes = "".join(axis for axis, part in zip(axes, keep, strict=True) if not isinstance(part, int)).replace("S", "C")
    if "C" not in axes:
        image, axes = image[None], "C" + axes
    return image.transpose([axes.index(axis) for axis in "CTZYX" if axis in axes])


def canonical_axes(axes: str, shape: Sequence[int]) -> str:
    """The axes, one of `AXES`, of what `to_channels_first` makes of an image with such axes and such a shape.

    Raises
    ------
    InputError
        If the axes do not fit the shape.
    """
    axes, keep = _kept(axes, tuple(shape))
    left = {axis for axis, part in zip(axes, keep, strict=True) if not isinstance(part, int)}
    return "C" + "".join(axis for axis in "TZYX" if axis in left)


def _kept(axes: str, shape: tuple[int, ...]) -> tuple[str, tuple[Any, ...]]:
    """The axes in capitals, and what of each is kept: all, all but alpha, or the only entry of an axis that goes."""
    axes = axes.upper()
    if len(axes) != len(shape) or len(set(axes)) != len(axes) or not set(axes) <= set("CSTZYX"):
        raise InputError(f"The axes {axes!r} do not describe an image of shape {shape}.")
    if "Y" not in axes or "X" not in axes:
        raise InputError(f"An image needs rows and columns; its axes are {axes!r}.")
    keep: list[Any] = [slice(None)] * len(axes)
    for i, axis in enumerate(axes):
        if axis == "S" and shape[i] in (2, 4):  # grey + alpha, RGB + alpha
            keep[i] = slice(0, shape[i] - 1)
        if axis in "ZTSC" and shape[i] == 1 and not (axis == "C" and "S" not in axes):
            keep[i] = 0
    if {"C", "S"} <= {axis for axis, part in zip(axes, keep, strict=True) if not isinstance(part, int)}:
        raise InputError("The image has both a channel axis and RGB samples; save it with one of them.")
    return axes, tuple(keep)
