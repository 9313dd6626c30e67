"""Where the pixels of an image layer lie, which of them are worked on, and the shapes of what belongs to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Layer

from napari_pu_segment.core.errors import InputError

from .axes import Third, lead_axes
from .sparse import SparseLabels

MODEST_PX = 2**34  # the finest level of a multiscale image with at most so many pixels is worked on, unless chosen
RGB_NAMES = ("red", "green", "blue")  # as images on disk have them
BRUSH_PX, BRUSH_SIDE_PX = 10**8, 2**14  # of a plane that napari paints on at once; longer ones exceed a texture
SPARSE_PX = 2**25  # a copy of a brush layer of so many pixels takes 10 ms; larger ones are kept as `SparseLabels`


@dataclass(frozen=True, eq=False)
class Grid:
    """The pixels that are worked on, and where they lie in the world.

    Parameters
    ----------
    image : Image
    channel_axis : bool
        Whether the layer's first axis holds channels.
    third : {"Z", "T"} or None
        What the one axis before rows was chosen to be; None: as its name tells, else planes.
    level : int or None
        Of a multiscale image, the level that was chosen; None: the finest that is not too large.

    Raises
    ------
    InputError
        If the image has an axis besides channels, time, planes, rows, columns and RGB samples, or another order.
    """

    image: Image
    channel_axis: bool = False
    third: Third | None = None
    level: int | None = None

    def __post_init__(self) -> None:
        lead_axes(self.image, int(self.channel_axis), self.third)

    @property
    def lead(self) -> str:
        """The axes before rows and columns: "", "Z", "T" or "TZ"."""
        return lead_axes(self.image, int(self.channel_axis), self.third)

    @property
    def axes(self) -> str:
        """A letter for each axis of `data`; see `core.axes.to_channels_first`."""
        return "C" * self.channel_axis + self.lead + "YX" + "S" * bool(getattr(self.image, "rgb", False))

    @property
    def data(self) -> Any:
        """The array that is worked on: of a multiscale image, one level."""
        return own(self.image.data[self._level]) if self.image.multiscale else self.image.data

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape without channels, ([T,] [Z,] Y, X)."""
        return tuple(self.data.shape[self.channel_axis : self.image.ndim])

    @property
    def brush_factor(self) -> int:
        """How many pixels a pixel of the brush layers is high and wide."""
        factor, (rows, columns) = 1, self.shape[-2:]
        while rows * columns > BRUSH_PX * factor**2 or max(rows, columns) > BRUSH_SIDE_PX * factor:
            factor *= 2
        return factor

    @property
    def brush_shape(self) -> tuple[int, ...]:
        """The shape of the brush layers."""
        return (*self.shape[:-2], *(-(-n // self.brush_factor) for n in self.shape[-2:]))

    @property
    def placement(self) -> dict[str, Any]:
        """Where `data` lies in the world, as keyword arguments of a layer without channels."""
        return self._placed(1)

    @property
    def brush_placement(self) -> dict[str, Any]:
        """The same for the brush layers."""
        return self._placed(self.brush_factor)

    def new_strokes(self) -> Any:
        """An array for a brush layer on which nothing is painted."""
        shape = self.brush_shape
        return SparseLabels(shape) if math.prod(shape) > SPARSE_PX else np.zeros(shape, np.uint8)

    def _placed(self, times: int) -> dict[str, Any]:
        image, first = self.image, int(self.channel_axis)
        rotate, shear, affine = image.rotate, np.array(image.shear), image.affine
        if first:  # an axis of channels is not turned into others
            n = image.ndim - 1
            rotate, affine = rotate[1:, 1:], affine.set_slice(list(range(1, image.ndim)))
            shear = shear[1:, 1:] if shear.ndim == 2 else shear[len(shear) - n * (n - 1) // 2 :]
        scale, translate = np.array(image.scale)[first:], np.array(image.translate)[first:]
        factor = self._factor * np.array([*(1 for _ in self.shape[:-2]), times, times])
        return {
            # a coarse pixel's centre is that of the block it stands for
            "translate": translate + (factor - 1) / 2 * scale,
            "scale": scale * factor,
            "rotate": rotate,
            "shear": shear,
            "affine": affine,
            "units": image.units[first:],
            "axis_labels": image.axis_labels[first:],
        }

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """World coordinates (N, the image layer's axes) of points (N, spatial axes) in pixels."""
        fine: np.ndarray = np.asarray(points, float) * self._factor + (self._factor - 1) / 2
        fine = np.pad(fine, ((0, 0), (int(self.channel_axis), 0)))
        return np.array([self.image.data_to_world(point) for point in fine])

    def from_world(self, points: np.ndarray) -> np.ndarray:
        """Pixels (N, spatial axes) at world coordinates (N, axes of the image layer or more)."""
        found = np.array([self.image.world_to_data(point) for point in points])[:, int(self.channel_axis) :]
        pixels: np.ndarray = (found - (self._factor - 1) / 2) / self._factor
        return pixels

    @property
    def _factor(self) -> np.ndarray:
        image = self.image
        if not image.multiscale:
            return np.ones(image.ndim - self.channel_axis)
        factors: np.ndarray = np.asarray(image.downsample_factors)[self._level]
        return factors[int(self.channel_axis) : image.ndim]

    @property
    def _level(self) -> int:
        image = self.image
        if self.level is not None and self.level < len(image.data):
            return self.level
        sizes = [math.prod(level.shape[: image.ndim]) for level in image.data]
        return next((i for i, size in enumerate(sizes) if size <= MODEST_PX), len(sizes) - 1)


def own(layer: Any) -> Any:
    """A layer or an array out of the proxy in which napari may give it."""
    return getattr(layer, "__wrapped__", layer)


def planes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape as a sample has it, in which a single plane is no stack and a single time point no series."""
    return (*(n for n in shape[:-2] if n > 1), *shape[-2:])


def widened(point: Any, shape: tuple[int, ...]) -> tuple[float, ...]:
    """A point (as many axes as `planes(shape)`, or all) with 0 along the axes of length one."""
    values = [float(value) for value in point]
    if len(values) == len(shape):
        return tuple(values)
    lead = iter(values[:-2])
    return (*(0.0 if n == 1 else next(lead, 0.0) for n in shape[:-2]), *values[-2:])


def check_shape(layer: Layer, shape: tuple[int, ...], image: Image, wanted: tuple[int, ...]) -> None:
    """Refuse a layer whose shape is not the one wanted by its image."""
    if shape != wanted:
        remedy = "Take it out of the channels." if isinstance(layer, Image) else "Delete that layer and add it again."
        raise InputError(
            f"The layer {layer.name!r} measures {shape} pixels, but the image {image.name!r} {wanted}. {remedy}"
        )
