"""Open napari from the command line, with images, brush layers and the widget."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import napari
from napari.layers import Image

from napari_pu_segment.io import ImageFile, read_image, read_levels

from .main_widget import add_brush_layers
from .viewer.opening import add_image, is_lazy
from .viewer.overview import Overview, needs_overview


def open_files(paths: Sequence[Path]) -> None:
    """Open napari with image files, and wait until its window is closed; see `fill`.

    Raises
    ------
    InputError
        If a file cannot be used; no window has been opened then.
    """
    files = [(path.name.removesuffix(".zarr").rsplit(".", 1)[0], read_image(path)) for path in paths]
    pyramids = [read_levels(path) if is_lazy(file) else [] for path, (_, file) in zip(paths, files, strict=True)]
    fill(napari.Viewer(title="PU segment"), files, pyramids)
    napari.run()


def fill(viewer: napari.Viewer, files: Sequence[tuple[str, ImageFile]], pyramids: Sequence[Sequence[Any]] = ()) -> None:
    """Show images in a viewer, with the widget and brush layers for the last of them.

    A lazy image is not read: of a large one without a pyramid, coarse copies are made in the background, and shown as
    they grow.

    Parameters
    ----------
    viewer : napari.Viewer
    files : sequence of (str, ImageFile)
        Images and the names of their layers. RGB images become one layer, other channels a layer each.
    pyramids : sequence of sequences of array, (C, [T,] [Z,] Y, X)
        The levels of each image, the finest first; of one level or none where it has no pyramid.
    """
    grown: list[tuple[Overview, list[Image]]] = []
    for i, (name, file) in enumerate(files):
        levels = list(pyramids[i]) if i < len(pyramids) and len(pyramids[i]) > 1 else [file.image]
        overview = None
        if is_lazy(file) and len(levels) == 1 and needs_overview(file.image.shape):
            overview = Overview(file.image, name)
            levels = overview.levels
        layers = add_image(viewer, name, file, levels)
        if overview is not None:
            grown.append((overview, layers))
    widget = add_brush_layers(viewer)
    for number, (overview, layers) in enumerate(grown):
        job = widget.session.aside(overview.fill(), f"Overview {number}", partial(_finish, overview, layers))
        job.progress.connect(partial(_refresh, layers))


def _refresh(layers: Sequence[Image], _progress: Any = None) -> None:
    for layer in layers:
        layer.refresh(thumbnail=False, highlight=False, extent=False)


def _finish(overview: Overview, layers: Sequence[Image], _result: None) -> None:
    for channel, layer in enumerate(layers):
        if not layer.rgb:
            layer.contrast_limits = overview.limits(channel)
        layer.refresh()
