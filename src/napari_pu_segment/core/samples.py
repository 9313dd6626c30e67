"""Images and what is known of them: the one place that knows label codes and canonical axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from .errors import InputError

UNLABELED, POSITIVE, NEGATIVE, IGNORE = 0, 1, 2, 3

Trust: TypeAlias = Literal["scribble", "noisy", "clean"]
Array: TypeAlias = Any  # numpy, dask, zarr: anything with shape, dtype and basic slicing

AXES = ("CYX", "CZYX", "CTYX", "CTZYX")  # channel, time, plane, row, column
_DEFAULT_AXES = {3: "CYX", 4: "CZYX", 5: "CTZYX"}


@dataclass(frozen=True, eq=False)
class Sample:
    """One image and what is known of it.

    Parameters
    ----------
    image : array, (C, [T,] [Z,] Y, X)
        Intensities of any real dtype and range; numpy or lazy. See `to_channels_first` for other axis orders.
    labels : ndarray of uint8, ([T,] [Z,] Y, X), or None
        Codes 0 unlabelled, 1 positive, 2 negative, 3 ignore.
    trust : {"scribble", "noisy", "clean"}
        How far the labels may be believed.
    name : str
        Shown in messages.
    channel_names : tuple of str
        One for each channel, or empty.
    pixel_size : tuple of float, ([Z,] Y, X), or ([T,] [Z,] Y, X)
        Size of a pixel in `pixel_unit`, or empty where it is not known. Any length is taken; the last axes count.
    pixel_unit : str
    axes : {"CYX", "CZYX", "CTYX", "CTZYX"}
        What the axes of `image` are. Four axes that nobody names are planes, not time.

    Raises
    ------
    InputError
        If shapes, codes or dtypes do not fit.
    """

    image: Array
    labels: np.ndarray | None = None
    trust: Trust = "scribble"
    name: str = "image"
    channel_names: tuple[str, ...] = ()
    pixel_size: tuple[float, ...] = field(default=())
    pixel_unit: str = "px"
    axes: str = ""

    def __post_init__(self) -> None:
        shape, where = tuple(self.image.shape), f"Image {self.name!r}"
        object.__setattr__(self, "axes", checked_axes(self.axes, shape, where))
        if 0 in shape:
            raise InputError(f"{where} is empty: its shape is {shape}. Give an image with at least one pixel.")
        if np.dtype(self.image.dtype).kind not in "buif":
            raise InputError(f"{where} holds {self.image.dtype} values; only real numbers can be segmented.")
        if self.channel_names and len(self.channel_names) != shape[0]:
            raise InputError(f"{where} has {shape[0]} channels but {len(self.channel_names)} channel names.")
        if self.labels is not None:
            object.__setattr__(self, "labels", check_labels(self.labels, shape[1:], where))

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """Shape without the channels, ``([T,] [Z,] Y, X)``."""
        return tuple(self.image.shape[1:])

    @property
    def plane_px(self) -> float:
        """How many pixels wide the distance between planes is; 0 where there are no planes or it is not known."""
        if "Z" not in self.axes or len(self.pixel_size) < 3:
            return 0.0
        plane, _, width = self.pixel_size[-3:]
        return plane / width if plane > 0 and width > 0 else 0.0

    def count(self, code: int) -> int:
        """Number of pixels with a label code."""
        return 0 if self.labels is None else int(np.count_nonzero(self.labels == code))


def checked_axes(axes: str, shape: tuple[int, ...], where: str = "The image") -> str:
    """The axes of an image that is in the package's order: one of `AXES`; "" means planes where there are four.

    Raises
    ------
    InputError
        If an image of that shape cannot have those axes.
    """
    axes = axes or _DEFAULT_AXES.get(len(shape), "")
    if axes not in AXES or len(axes) != len(shape):
        named = f" and axes {axes!r}" if axes else ""
        raise InputError(
            f"{where} has shape {shape}{named}; it needs axes (channel, [time,] [plane,] row, column): "
            f"{', '.join(AXES)}."
        )
    return axes


def check_labels(labels: np.ndarray, shape: tuple[int, ...], where: str = "The image") -> np.ndarray:
    """Label codes as uint8, checked.

    Parameters
    ----------
    labels : ndarray of integers or bool, ([T,] [Z,] Y, X)
    shape : tuple of int
        The spatial shape of the image.
    where : str
        Start of the sentence in an error.

    Raises
    ------
    InputError
        If the shape differs from the image's, or a value is not one of the four codes.
    """
    labels = np.asarray(labels)
    if labels.shape != shape:
        raise InputError(
            f"{where} measures {shape} pixels but its strokes {labels.shape}. Paint on a layer of the image's shape."
        )
    if labels.dtype.kind not in "bui" or (labels.size and (labels.min() < UNLABELED or labels.max() > IGNORE)):
        raise InputError(f"{where} has label values other than 0 (unlabelled), 1 (positive), 2 (negative), 3 (ignore).")
    return np.ascontiguousarray(labels, dtype=np.uint8)


def check_spatial(name: str, array: np.ndarray, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """An array of real numbers with axes ([T,] [Z,] Y, X), and of the given shape.

    Raises
    ------
    InputError
        If it is not.
    """
    array = np.asarray(array)
    if array.ndim not in (2, 3, 4) or 0 in array.shape or array.dtype.kind not in "buif":
        raise InputError(
            f"The {name} has shape {array.shape} and holds {array.dtype} values; it needs rows and columns, and "
            "planes and time if need be, of real numbers."
        )
    if shape is not None and array.shape != shape:
        raise InputError(f"The {name} measures {array.shape} pixels but the objects {shape}. Give it the same shape.")
    return array


def alone(axes: str, shape: Sequence[int], planewise: bool) -> list[tuple[int, ...]]:
    """Indices of the parts of an array that are each on their own: its time points, and its planes where asked for.

    Parameters
    ----------
    axes : str
        A letter for each axis of the array, without channels: "TZYX" without what is not there.
    """
    n_own = ("T" in axes) + (planewise and "Z" in axes)
    return list(np.ndindex(*shape[:n_own]))


def neighbours(axes: str, *, diagonal: bool) -> np.ndarray:
    """Which pixels around one hang together with it, 3 along each axis but channels: never those of another time.

    Parameters
    ----------
    axes : str
        See `Sample.axes`.
    diagonal : bool
        Whether pixels that touch at corners alone do.
    """
    ndim = len(axes) - 1
    away = np.abs(np.indices((3,) * ndim) - 1)
    joined = away.sum(0) <= (ndim if diagonal else 1)
    if "T" in axes:
        joined[[0, 2]] = False
    return np.asarray(joined)


def codes_from_masks(
    positive: np.ndarray | None = None, negative: np.ndarray | None = None, ignore: np.ndarray | None = None
) -> np.ndarray:
    """Label codes ``([T,] [Z,] Y, X)`` uint8 from masks, where non-zero means painted.

    A pixel that is painted both positive and negative says nothing: it becomes `IGNORE`, and so does every pixel
    of the ignore mask.

    Raises
    ------
    InputError
        If no mask is given or the shapes differ.
    """
    given = [np.asarray(mask) for mask in (positive, negative, ignore) if mask is not None]
    if not given:
        raise InputError("No strokes were given. Paint at least one stroke on an object.")
    if len({mask.shape for mask in given}) > 1:
        raise InputError(f"The stroke images differ in shape: {', '.join(str(mask.shape) for mask in given)}.")
    codes = np.zeros(given[0].shape, np.uint8)
    if positive is not None:
        codes[np.asarray(positive) != 0] = POSITIVE
    if negative is not None:
        painted = np.asarray(negative) != 0
        codes[painted] = np.where(codes[painted] == POSITIVE, IGNORE, NEGATIVE)
    if ignore is not None:
        codes[np.asarray(ignore) != 0] = IGNORE
    return codes


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


def common_axes(samples: Sequence[Sample]) -> str:
    """The axes that all samples share, one of `AXES`.

    Raises
    ------
    InputError
        If there is no sample, or images, stacks and time series, or channel counts, are mixed.
    """
    if not samples:
        raise InputError("There is no image to train on.")
    if len({sample.axes for sample in samples}) > 1:
        kinds = ", ".join(f"{sample.name}: {sample.axes}" for sample in samples)
        raise InputError(f"Single images, stacks and time series are mixed ({kinds}). Train on images of one kind.")
    if len({sample.image.shape[0] for sample in samples}) > 1:
        counts = ", ".join(f"{sample.name}: {sample.image.shape[0]}" for sample in samples)
        raise InputError(f"The images differ in their number of channels ({counts}).")
    return samples[0].axes
