"""Open napari from the command line, with images, brush layers and the widget."""

from __future__ import annotations

from collections.abc import Sequence

import napari
import numpy as np

from napari_pu_segment.io import ImageFile

from .main_widget import add_brush_layers


def open_viewer(files: Sequence[tuple[str, ImageFile]]) -> None:
    """Open napari and wait until its window is closed; see `fill`."""
    fill(napari.Viewer(title="PU segment"), files)
    napari.run()


def fill(viewer: napari.Viewer, files: Sequence[tuple[str, ImageFile]]) -> None:
    """Show images in a viewer, with the widget and brush layers for the last of them.

    Parameters
    ----------
    viewer : napari.Viewer
    files : sequence of (str, ImageFile)
        Images and the names of their layers. RGB images become one layer, other channels a layer each.
    """
    for name, file in files:
        _add_image(viewer, name, file)
    add_brush_layers(viewer)


def _add_image(viewer: napari.Viewer, name: str, file: ImageFile) -> None:
    placement = {"scale": file.pixel_size, "units": [file.pixel_unit] * len(file.pixel_size)} if file.pixel_size else {}
    if file.channel_names == ("red", "green", "blue"):
        viewer.add_image(np.moveaxis(file.image, 0, -1), name=name, rgb=True, **placement)
        return
    for i, channel in enumerate(file.image):
        title = f"{name} {file.channel_names[i] if file.channel_names else i}" if len(file.image) > 1 else name
        viewer.add_image(channel, name=title, **placement)
