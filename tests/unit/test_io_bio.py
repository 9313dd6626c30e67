"""Formats of microscopes: read through bioio where it is installed, and a sentence that says how where it is not."""

from __future__ import annotations

import copy
import sys

import numpy as np
import pytest

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.io import bio, probe, read_image
from tests.microscopes import write_lif, write_nd2

DATA = np.random.default_rng(0).integers(0, 60000, (2, 3, 40, 50), np.uint16)  # (C, Z, Y, X)


@pytest.mark.parametrize(("name", "says"), [("x.nd2", r"\[formats\]"), ("x.lif", r"\[formats\]"), ("x.CZI", "GPL")])
def test_without_a_reader_it_is_said_how_to_get_one(tmp_path, monkeypatch, name, says):
    (tmp_path / name).write_bytes(b"\xda\xce\xbe\x0a" + bytes(100))
    monkeypatch.setitem(sys.modules, "bioio", None)  # as if it were not installed
    for read in (probe, read_image):
        with pytest.raises(InputError, match=says) as caught:
            read(tmp_path / name)
        assert name in str(caught.value)


def test_windows_through_bioio_also_after_a_journey(tmp_path):
    pytest.importorskip("bioio_lif", reason="pip install 'napari-pu-segment[formats]'")
    write_lif(tmp_path / "x.lif", DATA, ("a", "b"), (1.0, 1.0, 1.0))
    source, axes, _, _ = bio.open_bio(tmp_path / "x.lif", "x")
    assert axes == "TCZYX"
    window = np.s_[0, 1, 1:, 5:20, 7]
    assert np.array_equal(source[window], DATA[1, 1:, 5:20, 7])
    again = copy.copy(source)  # by the way that pickling takes
    assert again._image is None
    assert np.array_equal(again[window], DATA[1, 1:, 5:20, 7])


def test_damaged_files_are_one_sentence(tmp_path):
    pytest.importorskip("bioio_nd2", reason="bioio-nd2 is not installed: pip install 'napari-pu-segment[formats]'")
    for name in ("x.nd2", "x.lif"):
        (tmp_path / name).write_bytes(b"\xda\xce\xbe\x0a" + bytes(300))
        with pytest.raises(InputError, match=name) as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)


def _write_czi(path, image, names, voxel_um):
    czi = pytest.importorskip("pylibCZIrw.czi", reason="bioio-czi is not installed; it is under the GPL, so by hand")
    with czi.create_czi(str(path)) as document:
        for channel, plane in np.ndindex(image.shape[:2]):
            document.write(data=image[channel, plane, ..., None], plane={"C": channel, "Z": plane})
        z, y, x = (size * 1e-6 for size in voxel_um)
        document.write_metadata(channel_names=dict(enumerate(names)), scale_x=x, scale_y=y, scale_z=z)


@pytest.mark.parametrize(("name", "write"), [("x.lif", write_lif), ("x.czi", _write_czi)])
def test_a_volume_of_a_microscope(tmp_path, name, write):
    pytest.importorskip(f"bioio_{name[2:]}", reason="bioio's reader of it is not installed")
    path, names = tmp_path / name, ("Green", "Red")
    write(path, DATA, names, (1.0, 0.2, 0.25))
    header, got = probe(path), read_image(path)
    assert (header.format, header.axes, header.shape, header.dtype) == ("bioio", "CZYX", DATA.shape, "uint16")
    assert np.array_equal(got.image, DATA)
    assert got.channel_names == names
    assert (got.pixel_size, got.pixel_unit) == (pytest.approx((1.0, 0.2, 0.25)), "um")


def test_an_image_of_a_nikon_microscope(tmp_path):
    pytest.importorskip("bioio_nd2", reason="bioio-nd2 is not installed: pip install 'napari-pu-segment[formats]'")
    path = tmp_path / "x.nd2"
    write_nd2(path, DATA[:, 0], ("DAPI", "GFP"), 0.2)
    header, got = probe(path), read_image(path)
    assert (header.format, header.axes, header.shape, header.dtype) == ("bioio", "CYX", (2, 40, 50), "uint16")
    assert np.array_equal(got.image, DATA[:, 0])
    assert got.channel_names == ("DAPI", "GFP")
    assert (got.pixel_size, got.pixel_unit) == ((0.2, 0.2), "um")


@pytest.mark.parametrize("name", ["x.lif", "x.nd2"])
def test_files_of_microscopes_that_were_cut_are_one_sentence(tmp_path, name):
    pytest.importorskip(f"bioio_{name[2:]}", reason="pip install 'napari-pu-segment[formats]'")
    path = tmp_path / name
    if name == "x.lif":
        write_lif(path, DATA, ("a", "b"), (1.0, 1.0, 1.0))
    else:
        write_nd2(path, DATA[:, 0], ("a", "b"), 1.0)
    assert read_image(path).image.size > 0
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(InputError, match=name) as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
