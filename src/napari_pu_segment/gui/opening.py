"""Layers for images as they are in files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_pu_segment.io import ImageFile

from .overview import first_limits

if TYPE_CHECKING:
    from napari.viewer import Viewer

RGB = ("red", "green", "blue")


def is_lazy(file: ImageFile) -> bool:
    """Whether the pixels of a file are read when they are looked at."""
    return not isinstance(file.image, np.ndarray)


def add_image(viewer: Viewer, name: str, file: ImageFile, levels: Sequence[Any]) -> list[Image]:
    """Add the layers of a file, from its levels (C, [T,] [Z,] Y, X)."""
    many, look = len(levels) > 1, placement(file)
    if file.channel_names == RGB:
        moved = [np.moveaxis(level, 0, -1) for level in levels]
        return [viewer.add_image(moved if many else moved[0], name=name, rgb=True, multiscale=many, **look)]
    layers = []
    for i in range(file.image.shape[0]):
        title = f"{name} {file.channel_names[i] if file.channel_names else i}" if file.image.shape[0] > 1 else name
        channel = [level[i] for level in levels]
        limits = {"contrast_limits": first_limits(channel[0])} if is_lazy(file) else {}
        layers.append(viewer.add_image(channel if many else channel[0], name=title, multiscale=many, **limits, **look))
    return layers


def placement(file: ImageFile) -> dict[str, Any]:
    """Scale, units and names of the axes, as keyword arguments of a layer of one channel."""
    letters = file.axes.removeprefix("C") or "ZYX"[-(file.image.ndim - 1) :]
    look: dict[str, Any] = {"axis_labels": tuple(letters.lower())}
    if file.pixel_size:
        missing = len(letters) - len(file.pixel_size)
        look["scale"] = (*(1.0 for _ in range(missing)), *file.pixel_size)
        look["units"] = [*("pixel" for _ in range(missing)), *(file.pixel_unit for _ in file.pixel_size)]
    return look
