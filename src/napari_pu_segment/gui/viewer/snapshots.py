"""Snapshots that a job can work on: an image, its channels and its strokes, as they are now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from napari.layers import Layer

from napari_pu_segment.core.axes import canonical_axes, to_channels_first
from napari_pu_segment.core.samples import Sample
from napari_pu_segment.io import clean_unit

from .grid import Grid, check_shape, planes
from .joined import joined, lazy
from .strokes import codes_of_image, codes_of_rough, same_array, strokes_of_image


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What a job needs of the viewer: the image, and copies of the strokes that later painting cannot change.

    Parameters
    ----------
    images : tuple of array
        The levels worked on, as they lie in the layers: of the image, and of further layers with a channel each.
    axes : tuple of str
        One letter for each axis of each array; see `core.axes.to_channels_first`.
    shape : tuple of int
        The image's, without channels, ([T,] [Z,] Y, X).
    strokes : dict of str to ndarray or SparseLabels
        Copies of the brush layers' data by role.
    classes : dict of str to str
        Names of the classes of objects, by role, in their order.
    factor : int
        How many pixels of the image a pixel of the strokes is high and wide.
    name, channel_names, pixel_size, pixel_unit
        As in `Sample`, but for axes of length one.
    rough : ndarray of bool, or None; an unreliable mask of the image, of its `shape`
    """

    images: tuple[Any, ...]
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    strokes: dict[str, Any]
    classes: dict[str, str]
    factor: int
    name: str
    channel_names: tuple[str, ...]
    pixel_size: tuple[float, ...]
    pixel_unit: str
    rough: np.ndarray | None = None

    def samples(self) -> list[Sample]:
        """What there is to learn from: the image with its strokes, and again with its rough mask where it has one."""
        sample, rough = self.sample(), self.rough_codes()
        return [sample] if rough is None else [sample, replace(sample, labels=rough, trust="noisy")]

    def rough_codes(self) -> np.ndarray | None:
        """Label codes of the rough mask, ([T,] [Z,] Y, X) without axes of length one; see `strokes.codes_of_rough`."""
        if self.rough is None:
            return None
        named = self.named_strokes()
        return codes_of_rough(self.rough, named, self.factor, self.painted_classes).reshape(planes(self.shape))

    def sample(self) -> Sample:
        """The snapshot as a `Sample`; may take long for large images, so it is called inside the job."""
        pairs = zip(self.images, self.axes, strict=True)
        images = [to_channels_first(lazy(image, self.name), axes) for image, axes in pairs]
        image = joined(images)
        labels = None
        if self.strokes:  # axes of length one are gone
            named, classes = self.named_strokes(), self.painted_classes
            labels = codes_of_image(named, self.shape, self.factor, classes).reshape(image.shape[1:])
        return Sample(
            image,
            labels,
            name=self.name,
            channel_names=self.channel_names,
            pixel_size=self.sample_size,
            pixel_unit=self.pixel_unit,
            axes=self.sample_axes,
            classes=self.painted_classes,
        )

    @property
    def painted_classes(self) -> tuple[str, ...]:
        """`Sample.classes`: the names of those that are painted on; of the first where none is."""
        names = tuple(name for role, name in self.classes.items() if self.painted(role))
        return names or tuple(self.classes.values())[:1]

    def named_strokes(self) -> dict[str, Any]:
        """The strokes by the names of classes; those of classes on which nothing is painted are left out."""
        named = {self.classes.get(role, role): data for role, data in self.strokes.items()}
        bare = set(self.classes.values()) - set(self.painted_classes)
        return {name: data for name, data in named.items() if name not in bare}

    @property
    def sample_axes(self) -> str:
        """`Sample.axes`."""
        return canonical_axes(self.axes[0], self.images[0].shape)

    @property
    def sample_size(self) -> tuple[float, ...]:
        """`Sample.pixel_size`: without that of axes of length one."""
        kept = [*(n > 1 for n in self.shape[:-2]), True, True]
        return tuple(size for size, keeps in zip(self.pixel_size, kept, strict=False) if keeps)

    def narrowed(self, slices: Sequence[slice]) -> tuple[slice, ...]:
        """Slices of the image, one for each axis of `shape`, as its sample has them, without axes of length one."""
        return (*(part for part, n in zip(slices[:-2], self.shape[:-2], strict=True) if n > 1), *slices[-2:])

    def painted(self, role: str) -> bool:
        """Whether there are strokes of a role."""
        return role in self.strokes and bool(self.strokes[role].any())

    def masks(self) -> dict[str, np.ndarray]:
        """Where was painted, as bool by name in pixels of the image, ([T,] [Z,] Y, X) without axes of length one."""
        named = {self.classes.get(role, role): data for role, data in self.strokes.items()}
        found = strokes_of_image(named, self.shape, self.factor)
        return {role: mask.reshape(planes(self.shape)) for role, mask in found.items()}

    def same_strokes(self, other: Snapshot) -> bool:
        """Whether the same is painted."""
        mine, its = self.strokes, other.strokes
        return mine.keys() == its.keys() and all(same_array(mine[role], its[role]) for role in mine)


def freeze(
    grids: Sequence[Grid], brushes: Mapping[str, Layer], channel_names: tuple[str, ...], classes: Mapping[str, str]
) -> Snapshot:
    """A snapshot of an image, the first of the grids, with the others for further channels.

    `brushes` are its brush layers by role, `classes` the names of the classes by role.

    Raises
    ------
    InputError
        If a grid or a brush layer has another shape than the image.
    """
    grid = grids[0]
    for other in grids:
        check_shape(other.image, other.shape, grid.image, grid.shape)
    for layer in brushes.values():
        check_shape(layer, tuple(layer.data.shape), grid.image, grid.brush_shape)
    place = grid.placement
    unit = clean_unit(f"{place['units'][-1]:~}")
    known = unit not in ("px", "")
    return Snapshot(
        images=tuple(one.data for one in grids),
        axes=tuple(one.axes for one in grids),
        shape=grid.shape,
        strokes={role: layer.data.copy() for role, layer in brushes.items()},
        classes=dict(classes),
        factor=grid.brush_factor,
        name=grid.image.name,
        channel_names=channel_names,
        pixel_size=tuple(abs(float(step)) for step in place["scale"]) if known else (),
        pixel_unit=unit if known else "px",
    )
