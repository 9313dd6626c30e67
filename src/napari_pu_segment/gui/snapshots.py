"""Where the pixels of an image layer lie, and snapshots that a job can work on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Layer

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.samples import Sample, codes_from_masks, to_channels_first

MODEST_PX = 2**26  # the finest level of a multiscale image with at most so many pixels is worked on
CHANNEL_LABELS = ("c", "ch", "channel", "channels")  # names of an axis, in any case
RGB_NAMES = ("red", "green", "blue")  # as images on disk have them


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What a job needs of the viewer: the image, and copies of the strokes that later painting cannot change.

    Parameters
    ----------
    images : tuple of array
        The levels worked on, as they lie in the layers: of the image, and of further layers with a channel each.
    axes : tuple of str
        One letter for each axis of each array; see `core.samples.to_channels_first`.
    strokes : dict of str to ndarray
        Copies of the brush layers' data by role.
    name, channel_names, pixel_size, pixel_unit
        As in `Sample`.
    """

    images: tuple[Any, ...]
    axes: tuple[str, ...]
    strokes: dict[str, np.ndarray]
    name: str
    channel_names: tuple[str, ...]
    pixel_size: tuple[float, ...]
    pixel_unit: str

    def sample(self) -> Sample:
        """The snapshot as a `Sample`; may take long for large images, so it is called inside the job."""
        images = [_channels_first(image, axes) for image, axes in zip(self.images, self.axes, strict=True)]
        image = images[0] if len(images) == 1 else np.concatenate(images)  # lazy arrays stay lazy
        labels = None
        if self.strokes:
            shape = image.shape[1:]  # axes of length one are gone
            labels = codes_from_masks(**{role: data.reshape(shape) for role, data in self.strokes.items()})
        size = self.pixel_size[len(self.pixel_size) - (image.ndim - 1) :]
        return Sample(
            image,
            labels,
            name=self.name,
            channel_names=self.channel_names,
            pixel_size=size,
            pixel_unit=self.pixel_unit,
        )


@dataclass(frozen=True, eq=False)
class Grid:
    """The pixels that are worked on, and where they lie in the world.

    Parameters
    ----------
    image : Image
    channel_axis : bool
        Whether the layer's first axis holds channels.

    Raises
    ------
    InputError
        If the image has an axis besides channels, planes, rows, columns and RGB samples.
    """

    image: Image
    channel_axis: bool = False

    def __post_init__(self) -> None:
        image, spatial = self.image, self.image.ndim - self.channel_axis
        if not 2 <= spatial <= 3:
            named = [str(label).lower() for label in image.axis_labels]
            names = "" if named[0].startswith("-") else f" ({', '.join(named)})"  # napari numbers those without a name
            raise InputError(
                f"The image {image.name!r} has {image.ndim} axes{names}. Choose an image with rows and columns, planes "
                "if need be, and channels as the first axis; split the others with Layers > Data > Split Stack."
            )

    @property
    def axes(self) -> str:
        """A letter for each axis of `data`; see `core.samples.to_channels_first`."""
        spatial = "ZYX"[3 - len(self.shape) :]
        return "C" * self.channel_axis + spatial + "S" * bool(self.image.rgb)

    @property
    def data(self) -> Any:
        """The array that is worked on: of a multiscale image, one level."""
        return own(self.image.data[_level(self.image)]) if self.image.multiscale else self.image.data

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape without channels, ([Z,] Y, X)."""
        return tuple(self.data.shape[self.channel_axis : self.image.ndim])

    @property
    def placement(self) -> dict[str, Any]:
        """Where `data` lies in the world, as keyword arguments of a layer without channels."""
        image, first = self.image, int(self.channel_axis)
        rotate, shear, affine = image.rotate, np.array(image.shear), image.affine
        if first:  # an axis of channels is not turned into others
            n = image.ndim - 1
            rotate, affine = rotate[1:, 1:], affine.set_slice(list(range(1, image.ndim)))
            shear = shear[1:, 1:] if shear.ndim == 2 else shear[len(shear) - n * (n - 1) // 2 :]
        scale, translate = np.array(image.scale)[first:], np.array(image.translate)[first:]
        factor = self._factor
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
        factors: np.ndarray = np.asarray(image.downsample_factors)[_level(image)]
        return factors[int(self.channel_axis) : image.ndim]


def has_channel_label(image: Image) -> bool:
    """Whether the first of an image's axes is named as one of channels."""
    return image.ndim > 2 and str(image.axis_labels[0]).lower() in CHANNEL_LABELS


def own(layer: Any) -> Any:
    """A layer or an array out of the proxy in which napari may give it."""
    return getattr(layer, "__wrapped__", layer)


def planes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape as a sample has it, in which a single plane is no stack."""
    return shape[1:] if len(shape) == 3 and shape[0] == 1 else shape


def check_shape(layer: Layer, shape: tuple[int, ...], image: Image, wanted: tuple[int, ...]) -> None:
    """Refuse a layer whose shape is not the one wanted by its image."""
    if shape != wanted:
        remedy = "Take it out of the channels." if isinstance(layer, Image) else "Delete that layer and add it again."
        raise InputError(
            f"The layer {layer.name!r} measures {shape} pixels, but the image {image.name!r} {wanted}. {remedy}"
        )


def _level(image: Image) -> int:
    sizes = [int(np.prod(level.shape[: image.ndim])) for level in image.data]
    return next((i for i, size in enumerate(sizes) if size <= MODEST_PX), len(sizes) - 1)


def _channels_first(image: Any, axes: str) -> Any:
    return to_channels_first(image if hasattr(image, "transpose") else np.asarray(image), axes)
