"""The window that the command line opens."""

from __future__ import annotations

import napari
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_pu_segment.gui.start import fill
from napari_pu_segment.io import read_image


@pytest.fixture
def opened(make_viewer):
    """A function that opens image files in a viewer, as the command line does."""

    def open_files(*paths):
        viewer = make_viewer()
        fill(viewer, [(path.stem, read_image(path)) for path in paths])
        return viewer

    return open_files


def test_images_brush_layers_and_the_widget(opened, tmp_path):
    colours = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    Image.fromarray(colours).save(tmp_path / "sky.png")
    viewer = opened(tmp_path / "sky.png")
    assert [layer.name for layer in viewer.layers] == ["sky", "sky · negative", "sky · positive"]
    assert viewer.layers["sky"].rgb
    assert np.array_equal(viewer.layers["sky"].data, colours)
    assert viewer.layers.selection.active.name == "sky · positive"
    assert viewer.layers.selection.active.mode == "paint"


def test_stacks_channels_scale_and_units(opened, tmp_path):
    stack = np.random.default_rng(0).integers(0, 255, (4, 2, 20, 30)).astype(np.uint16)
    metadata = {"axes": "ZCYX", "unit": "um", "spacing": 2.0}
    tifffile.imwrite(tmp_path / "x.tif", stack, imagej=True, resolution=(4, 4), metadata=metadata)
    viewer = opened(tmp_path / "x.tif")
    images = [layer for layer in viewer.layers if isinstance(layer, napari.layers.Image)]
    assert [layer.name for layer in images] == ["x 0", "x 1"]
    assert np.array_equal(images[1].data, stack[:, 1])
    assert tuple(images[0].scale) == (2.0, 0.25, 0.25)
    assert {str(unit) for unit in images[0].units} == {"micrometer"}


def test_no_image(opened):
    viewer = opened()
    assert len(viewer.layers) == 0
