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


@dataclass(frozen=True, eq=False)
class Sample:
    """One image and what is known of it.

    Parameters
    ----------
    image : array, (C, [Z,] Y, X)
        Intensities of any real dtype and range; numpy or lazy. See `to_channels_first` for other axis orders.
    labels : ndarray of uint8, ([Z,] Y, X), or None
        Codes 0 unlabelled, 1 positive, 2 negative, 3 ignore.
    trust : {"scribble", "noisy", "clean"}
        How far the labels may be believed.
    name : str
        Shown in messages.
    channel_names : tuple of str
        One for each channel, or empty.
    pixel_size : tuple of float, ([Z,] Y, X)
        Size of a pixel in `pixel_unit`, or empty where it is not known.
    pixel_unit : str

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

    def __post_init__(self) -> None:
        shape, where = tuple(self.image.shape), f"Image {self.name!r}"
        if len(shape) not in (3, 4):
            raise InputError(f"{where} has shape {shape}; a sample needs axes (channel, [plane,] row, column).")
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
        """Shape without the channels, ([Z,] Y, X)."""
        return tuple(self.image.shape[1:])

    def count(self, code: int) -> int:
        """Number of pixels with a label code."""
        return 0 if self.labels is None else int(np.count_nonzero(self.labels == code))


def check_labels(labels: np.ndarray, shape: tuple[int, ...], where: str = "The image") -> np.ndarray:
    """Label codes as uint8, checked.

    Parameters
    ----------
    labels : ndarray of integers or bool, ([Z,] Y, X)
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


def codes_from_masks(
    positive: np.ndarray | None = None, negative: np.ndarray | None = None, ignore: np.ndarray | None = None
) -> np.ndarray:
    """Label codes ([Z,] Y, X) uint8 from masks, where non-zero means painted.

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
    """An image in the package's one axis order, (C, [Z,] Y, X).

    Parameters
    ----------
    image : array
    axes : str
        One letter for each axis of `image`, of C (channel), S (RGB sample), Z (plane), T (time), Y (row) and
        X (column). Time is treated as planes where there are no planes. An alpha sample (a fourth S) is dropped.

    Raises
    ------
    InputError
        If the axes do not fit the image, or it has planes and time at once.
    """
    axes = axes.upper()
    if len(axes) != len(image.shape) or len(set(axes)) != len(axes) or not set(axes) <= set("CSZTYX"):
        raise InputError(f"The axes {axes!r} do not describe an image of shape {tuple(image.shape)}.")
    if "Y" not in axes or "X" not in axes:
        raise InputError(f"An image needs rows and columns; its axes are {axes!r}.")
    keep: list[Any] = [slice(None)] * len(axes)
    for i, axis in enumerate(axes):
        if axis == "S" and image.shape[i] in (2, 4):  # grey + alpha, RGB + alpha
            keep[i] = slice(0, image.shape[i] - 1)
        if axis in "ZTSC" and image.shape[i] == 1 and not (axis == "C" and "S" not in axes):
            keep[i] = 0
    image = image[tuple(keep)]
    axes = "".join(axis for axis, k in zip(axes, keep, strict=True) if not isinstance(k, int))
    if {"C", "S"} <= set(axes):
        raise InputError("The image has both a channel axis and RGB samples; save it with one of them.")
    if {"Z", "T"} <= set(axes):
        raise InputError("The image has both planes and time; segment one time point or one plane at a time.")
    axes = axes.replace("S", "C").replace("T", "Z")
    if "C" not in axes:
        image, axes = image[None], "C" + axes
    order = [axes.index(axis) for axis in "CZYX" if axis in axes]
    return image.transpose(order)


def spatial_ndim(samples: Sequence[Sample]) -> int:
    """2 or 3: the number of spatial axes that all samples share.

    Raises
    ------
    InputError
        If there is no sample, or images and stacks, or channel counts, are mixed.
    """
    if not samples:
        raise InputError("There is no image to train on.")
    if len({len(sample.image.shape) for sample in samples}) > 1:
        raise InputError("Single images and stacks are mixed. Train on images of one kind.")
    if len({sample.image.shape[0] for sample in samples}) > 1:
        counts = ", ".join(f"{sample.name}: {sample.image.shape[0]}" for sample in samples)
        raise InputError(f"The images differ in their number of channels ({counts}).")
    return len(samples[0].image.shape) - 1
