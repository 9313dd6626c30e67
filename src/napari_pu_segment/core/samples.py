"""Images and what is known of them: the one place that knows label codes and canonical axes.

Codes of pixels: 0 unlabelled, 1 object, 2 background, 3 ignore. Where objects are of several classes, 1 is the first of
them, and 4, 5, 6 and so on are the second, third, fourth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from .errors import InputError, pick

UNLABELED, POSITIVE, NEGATIVE, IGNORE = 0, 1, 2, 3
ONE_CLASS = ("positive",)
"""Names of the classes where there is a single one that nobody named."""

_NO_CLASSES = ("negative", "ignore")  # names of other strokes
MAX_CLASSES = 50
MAX_NAME = 60  # characters of the name of a class

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
        Codes 0 unlabelled, 1 positive, 2 negative, 3 ignore, and `code_of` of further classes.
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
    classes : tuple of str
        Names of the classes of objects, in the order of their codes.

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
    classes: tuple[str, ...] = ONE_CLASS

    def __post_init__(self) -> None:
        shape, where = tuple(self.image.shape), f"Image {self.name!r}"
        object.__setattr__(self, "axes", checked_axes(self.axes, shape, where))
        if 0 in shape:
            raise InputError(f"{where} is empty: its shape is {shape}. Give an image with at least one pixel.")
        if np.dtype(self.image.dtype).kind not in "buif":
            raise InputError(f"{where} holds {self.image.dtype} values; only real numbers can be segmented.")
        if self.channel_names and len(self.channel_names) != shape[0]:
            raise InputError(f"{where} has {shape[0]} channels but {len(self.channel_names)} channel names.")
        check_classes(self.classes)
        if self.labels is not None:
            object.__setattr__(self, "labels", check_labels(self.labels, shape[1:], where, len(self.classes)))

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


def check_classes(names: Sequence[str]) -> None:
    """Refuse names of classes that are none.

    Raises
    ------
    InputError
        If there is none or too many, two are alike, or one is empty or too long.
    """
    if not 1 <= len(names) <= MAX_CLASSES:
        raise InputError(f"There are {len(names)} classes of objects; there can be 1 to {MAX_CLASSES}.")
    for name in names:
        if not name.strip() or len(name) > MAX_NAME:
            raise InputError(f"A class needs a name of 1 to {MAX_NAME} characters; here is {name[:80]!r}.")
        if names.count(name) > 1:
            raise InputError(f"Two classes are called {name!r}. Give each a name of its own.")
        if name in _NO_CLASSES:
            raise InputError(f"A class of objects cannot be called {name!r}: that is what is no object.")


def code_of(index: int) -> int:
    """Label code of a class of objects, counted from 0."""
    return POSITIVE if index == 0 else IGNORE + index


def classes_among(roles: Iterable[str]) -> tuple[str, ...]:
    """The classes of objects among roles of strokes, in their order; `ONE_CLASS` where there is none."""
    return tuple(role for role in roles if role not in _NO_CLASSES) or ONE_CLASS


def classes_of(labels: np.ndarray) -> np.ndarray:
    """Number of the class, from 1, of every pixel that is painted as an object, 0 elsewhere; uint8, any shape."""
    lookup = np.zeros(256, np.uint8)
    lookup[[code_of(index) for index in range(MAX_CLASSES)]] = np.arange(1, MAX_CLASSES + 1)
    return np.asarray(lookup[labels])


def check_labels(
    labels: np.ndarray, shape: tuple[int, ...], where: str = "The image", n_classes: int = 1
) -> np.ndarray:
    """Label codes as uint8, checked.

    Parameters
    ----------
    labels : ndarray of integers or bool, ([T,] [Z,] Y, X)
    shape : tuple of int
        The spatial shape of the image.
    where : str
        Start of the sentence in an error.
    n_classes : int
        How many classes of objects there may be.

    Raises
    ------
    InputError
        If the shape differs from the image's, or a value is no code.
    """
    labels = np.asarray(labels)
    if labels.shape != shape:
        raise InputError(
            f"{where} measures {shape} pixels but its strokes {labels.shape}. Paint on a layer of the image's shape."
        )
    last = max(IGNORE, code_of(n_classes - 1))
    if labels.dtype.kind not in "bui" or (labels.size and (labels.min() < UNLABELED or labels.max() > last)):
        further = f", 4 to {last} (classes 2 to {n_classes})" if last > IGNORE else ""
        raise InputError(
            f"{where} has label values other than 0 (unlabelled), 1 (positive), 2 (negative), 3 (ignore){further}."
        )
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
    """Label codes ``([T,] [Z,] Y, X)`` uint8 from masks, where non-zero means painted; see `codes_of_strokes`.

    Raises
    ------
    InputError
        If no mask is given or the shapes differ.
    """
    masks = {"positive": positive, "negative": negative, "ignore": ignore}
    return codes_of_strokes({role: mask for role, mask in masks.items() if mask is not None})


def codes_of_strokes(strokes: Mapping[str, np.ndarray], classes: Sequence[str] = ONE_CLASS) -> np.ndarray:
    """Label codes ``([T,] [Z,] Y, X)`` uint8 from masks by role, where non-zero means painted.

    A pixel that is painted in two ways says nothing: it becomes `IGNORE`, and so does every pixel of the ignore mask.

    Parameters
    ----------
    strokes : mapping of str to ndarray, ([T,] [Z,] Y, X)
        By the names of classes, and "negative" and "ignore".
    classes : sequence of str
        In the order of their codes.

    Raises
    ------
    InputError
        If no mask is given, a role is unknown, or the shapes differ.
    """
    code = {**{name: code_of(i) for i, name in enumerate(classes)}, "negative": NEGATIVE, "ignore": IGNORE}
    given = {role: np.asarray(mask) != 0 for role, mask in strokes.items()}
    if not given:
        raise InputError("No strokes were given. Paint at least one stroke on an object.")
    if len({mask.shape for mask in given.values()}) > 1:
        raise InputError(f"The stroke images differ in shape: {', '.join(str(mask.shape) for mask in given.values())}.")
    codes = np.zeros(next(iter(given.values())).shape, np.uint8)
    for role, painted in given.items():
        codes[painted] = np.where(codes[painted] == UNLABELED, pick(code, role, "kind of strokes"), IGNORE)
    return codes


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
