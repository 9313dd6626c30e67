"""The window that the command line opens."""

from __future__ import annotations

import napari
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_pu_segment.gui.start import fill, is_lazy
from napari_pu_segment.gui.viewer.layers import LayerBook
from napari_pu_segment.io import create_output, read_image, read_levels


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


# --- large files


@pytest.fixture
def lazily(monkeypatch):
    """Small images of this test are read as large ones are."""
    for place in ("source.LAZY_BYTES", "read.LAZY_BYTES"):
        monkeypatch.setattr(f"napari_pu_segment.io.{place}", 1000, raising=False)
    monkeypatch.setattr("napari_pu_segment.gui.viewer.overview.COARSE_PX", 50)
    monkeypatch.setattr("napari_pu_segment.gui.viewer.stores.COARSE_PX", 50)


def write_pyramid(path, image):
    output = create_output(path, image.shape, image.dtype, pixel_size=(0.5, 0.5), pixel_unit="um")
    output[...] = image
    output.finish()


@pytest.mark.parametrize("suffix", [".tif", ".ome.zarr"])
def test_a_large_file_is_opened_lazily_with_an_overview(make_viewer, qtbot, tmp_path, lazily, monkeypatch, suffix):
    monkeypatch.setattr("napari_pu_segment.io.zarr_write.CHUNK_PX", 64)
    image = np.random.default_rng(0).integers(1, 1000, (300, 260)).astype(np.uint16)
    path = tmp_path / f"big{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, image, tile=(64, 64))
    else:
        write_pyramid(path, image)
    file, levels = read_image(path), read_levels(path)
    assert is_lazy(file)
    assert (len(levels) > 1) is (suffix == ".ome.zarr")
    viewer = make_viewer()
    fill(viewer, [("big", file)], [levels])
    layer = viewer.layers["big"]
    assert layer.multiscale
    assert not isinstance(layer.data[0], np.ndarray), "the pixels are read when they are looked at"
    assert np.array_equal(np.asarray(layer.data[0]), image)
    assert viewer.layers.selection.active.name == "big · positive"
    assert viewer.layers["big · positive"].data.shape == (300, 260)
    if suffix == ".tif":
        qtbot.waitUntil(lambda: bool(np.asarray(layer.data[-1]).all()))
        assert np.array_equal(layer.data[1], image[2::4, 2::4])
    else:
        assert tuple(layer.scale) == (0.5, 0.5)
        assert [level.shape for level in layer.data] == [level.shape[1:] for level in levels]


def test_a_large_series_of_small_frames_is_opened_as_one_layer(make_viewer, tmp_path, lazily):
    frames = np.random.default_rng(0).integers(0, 255, (5, 40, 50)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "x.tif", frames, imagej=True, metadata={"axes": "TYX"})
    file = read_image(tmp_path / "x.tif")
    assert is_lazy(file)
    viewer = make_viewer()
    fill(viewer, [("x", file)], [read_levels(tmp_path / "x.tif")])
    layer = viewer.layers["x"]
    assert not layer.multiscale
    assert layer.axis_labels == ("t", "y", "x")
    assert LayerBook(viewer).snapshot(layer).sample().axes == "CTYX"
