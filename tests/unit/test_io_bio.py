"""Formats of microscopes: read through bioio where it is installed, and a sentence that says how where it is not."""

from __future__ import annotations

import copy
import sys

import numpy as np
import pytest
import tifffile

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.io import bio, formats, probe, read_image

DATA = np.random.default_rng(0).integers(0, 60000, (2, 3, 40, 50), np.uint16)  # (C, Z, Y, X)


@pytest.mark.parametrize(("name", "says"), [("x.nd2", r"\[formats\]"), ("x.lif", r"\[formats\]"), ("x.CZI", "GPL")])
def test_without_a_reader_it_is_said_how_to_get_one(tmp_path, monkeypatch, name, says):
    (tmp_path / name).write_bytes(b"\xda\xce\xbe\x0a" + bytes(100))
    monkeypatch.setitem(sys.modules, "bioio", None)  # as if it were not installed
    for read in (probe, read_image):
        with pytest.raises(InputError, match=says) as caught:
            read(tmp_path / name)
        assert name in str(caught.value)


@pytest.fixture
def through_bioio(tmp_path, monkeypatch):
    """A file that goes the way of the microscopes' formats, and is read by a reader of bioio's that can be fed here."""
    pytest.importorskip("bioio", reason="bioio is not installed: pip install 'napari-pu-segment[formats]'")
    pytest.importorskip("bioio_tifffile", reason="bioio-tifffile is not installed")
    told = {"axes": "CZYX", "unit": "um", "spacing": 2.0}
    tifffile.imwrite(tmp_path / "x.tif", DATA.transpose(1, 0, 2, 3), imagej=True, metadata={**told, "axes": "ZCYX"})
    monkeypatch.setattr(formats, "TIFF_MAGIC", (b"none",))
    monkeypatch.setattr(formats, "BIO_SUFFIXES", (".tif",))
    return tmp_path / "x.tif"


def test_an_image_through_bioio(through_bioio):
    header, got = probe(through_bioio), read_image(through_bioio)
    assert header.format == "bioio"
    assert (header.axes, header.shape, header.dtype) == ("CZYX", DATA.shape, "uint16")
    assert (got.axes, got.pixel_unit) == ("CZYX", header.pixel_unit)
    assert np.array_equal(got.image, DATA)
    assert len(got.channel_names) in (0, 2)


def test_windows_through_bioio_also_after_a_journey(through_bioio):
    source, axes, _, _ = bio.open_bio(through_bioio, "x")
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
