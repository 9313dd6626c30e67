"""Layers for images as they are in files."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.image_set import SetReport, read_values
from napari_pu_segment.io import ImageFile, read_image, read_levels

from ..looks import CLASS_COLOURS, COLOURS, many_colours
from .brushes import StrokeWatch
from .grid import own
from .layers import SHOWN, LayerBook
from .overview import first_limits, needs_overview

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


@dataclass(frozen=True, eq=False)
class Finding:
    """An image and a result of it, read from files.

    Parameters
    ----------
    name : str
    file : ImageFile
    levels : sequence of array, (C, [T,] [Z,] Y, X)
    kind : str
        What the result is, a key of `batch.OUTPUTS`; empty where there is none.
    result : sequence of array, (K, [T,] [Z,] Y, X)
        Its levels; K is 1 but for the probability of several classes.
    """

    name: str
    file: ImageFile
    levels: Sequence[Any]
    kind: str = ""
    result: Sequence[Any] = ()


class Showcase:
    """Shows a finding in the place of the one before; what was worked on stays.

    Parameters
    ----------
    book : LayerBook
    """

    def __init__(self, book: LayerBook) -> None:
        self._book = book
        self._layers: weakref.WeakSet[Layer] = weakref.WeakSet()
        self._watch: StrokeWatch | None = None
        self._kept = False  # its labels were painted on

    def show(self, found: Finding) -> None:
        """Show this one."""
        self._clear()
        viewer, look = self._book.viewer, placement(found.file)
        layers: list[Layer] = [*add_image(viewer, found.name, found.file, found.levels)]
        if found.kind:
            title, many = f"{found.name} {found.kind}", len(found.result) > 1
            classes = [[level[k] for level in found.result] for k in range(found.result[0].shape[0])]
            data = classes[0] if many else classes[0][0]
            if found.kind == "probability":
                more: dict[str, Any] = {"contrast_limits": (0, 1), "opacity": 0.5, "multiscale": many}
                for levels in classes:
                    layers.append(viewer.add_image(levels if many else levels[0], name=title, **more, **look))
            else:
                shades = many_colours((COLOURS[found.kind], *CLASS_COLOURS[1:])) if found.kind in COLOURS else None
                colours = {} if shades is None else {"colormap": shades}
                labels = viewer.add_labels(data, name=title, opacity=0.6, multiscale=many, **colours, **look)
                layers.append(labels)
                if isinstance(data, np.ndarray):
                    self._watch = StrokeWatch(own(labels), self._keep)
        self._layers.update(own(layer) for layer in layers)
        viewer.reset_view()

    def _keep(self) -> None:
        self._kept = True

    def _clear(self) -> None:
        """Take the last one away, unless something was painted on it, or made of it."""
        layers = [layer for layer in self._layers if self._book.contains(layer)]
        roles = (*self._book.classes.brushes, *SHOWN)
        used = any(self._book.member(layer, role) is not None for layer in layers for role in roles)
        if self._watch is not None:
            self._watch.stop()
        for layer in () if self._kept or used else layers:
            self._book.viewer.layers.remove(layer)
        self._layers, self._watch, self._kept = weakref.WeakSet(), None, False


def read_to_look(path: Path) -> tuple[ImageFile, Sequence[Any]]:
    """An image file, and its levels where it is too large to be shown without.

    Raises
    ------
    InputError
        If it cannot be used, or is too large and has no pyramid.
    """
    file = read_image(path)
    levels = read_levels(path) if is_lazy(file) else [file.image]
    if is_lazy(file) and len(levels) == 1 and needs_overview(file.image.shape):
        raise InputError(
            f"{path.name!r} is too large to be shown at once, and has no pyramid. OME-Zarr has one; an image alone is "
            "opened by the command napari-pu-segment gui."
        )
    return file, levels


def finding_of(report: SetReport, number: int) -> Work[Finding]:
    """An image of a report, with its mask where that is asked for.

    Raises
    ------
    InputError
        If a file is gone or damaged, or too large to be looked at.
    """
    yield Progress(0, 0, "Reading")
    name = report.names[number]
    file, levels = read_to_look(report.scan.path(name))
    mask = report.scan.mask_path(name)
    if mask is None:
        return Finding(Path(name).stem, file, levels)
    return Finding(Path(name).stem, file, levels, "mask", [read_values(mask)[None]])
