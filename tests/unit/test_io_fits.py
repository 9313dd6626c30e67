"""FITS: bands, scaled numbers, blanks, windows; what is refused; and the layers that napari gets."""

from __future__ import annotations

import copy
import sys

import numpy as np
import pytest

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.io import probe, read_image, read_levels

fits = pytest.importorskip("astropy.io.fits", reason="pip install 'napari-pu-segment[formats]'")

RNG = np.random.default_rng(0)
BANDS = RNG.normal(0, 1e-12, (3, 40, 50)).astype(np.float32)


def write(path, *arrays, **header):
    parts = [fits.PrimaryHDU(), *(fits.ImageHDU(array) for array in arrays)]
    for part, name in zip(parts[1:], header.pop("names", ()), strict=False):
        part.header["EXTNAME"] = name
    fits.HDUList(parts).writeto(path)
    return path


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8", "f4", "f8", "u2", "u4"])
def test_types_keep_their_values(tmp_path, dtype):
    high = min(np.iinfo(dtype).max if dtype[0] in "ui" else 10**6, 2**40)
    low = 0 if dtype[0] == "u" else -high
    image = RNG.integers(low, high, (40, 50), endpoint=True).astype(dtype)
    fits.PrimaryHDU(image).writeto(tmp_path / "x.fits")
    header, file = probe(tmp_path / "x.fits"), read_image(tmp_path / "x.fits")
    assert (header.format, header.axes, header.shape, header.dtype) == ("fits", "CYX", (1, 40, 50), image.dtype.name)
    assert file.image.dtype == image.dtype
    assert np.array_equal(file.image[0], image)


def test_bands_of_several_parts_and_of_a_third_axis(tmp_path):
    bands = BANDS.copy()
    bands[0, 3, 4] = np.nan
    file = read_image(write(tmp_path / "a.fits", *bands, names=("g", "r", "i")))
    assert (file.axes, file.channel_names) == ("CYX", ("g", "r", "i"))
    assert np.array_equal(file.image, bands, equal_nan=True)
    assert np.array_equal(read_image(write(tmp_path / "b.fits", bands)).image, bands, equal_nan=True)
    science = write(tmp_path / "c.fits", bands[0], np.abs(bands[1]), names=("SCI", "ERR"))
    assert np.array_equal(read_image(science).image, bands[:1], equal_nan=True)
    many = np.zeros((33, 8, 9), np.int16)
    assert probe(write(tmp_path / "d.fits", many)).axes == "CZYX"
    assert probe(write(tmp_path / "e.fits", many[None, :1])).shape == (1, 8, 9)


def test_scale_zero_and_blank(tmp_path):
    cards = [("SIMPLE", True), ("BITPIX", 16), ("NAXIS", 2), ("NAXIS1", 2), ("NAXIS2", 2)]
    header = fits.Header([*cards, ("BSCALE", 0.5), ("BZERO", 10.0), ("BLANK", -9)]).tostring().encode()
    pixels = np.array([[1, 2], [-9, 4]], ">i2").tobytes()
    (tmp_path / "x.fits").write_bytes(header + pixels.ljust(2880, b"\0"))
    image = read_image(tmp_path / "x.fits").image
    assert image.dtype == np.float32
    assert np.array_equal(image[0], [[10.5, 11], [np.nan, 12]], equal_nan=True)


def test_windows_are_read_also_after_a_journey(tmp_path):
    (lazy,) = read_levels(write(tmp_path / "x.fits", *BANDS))
    again = copy.copy(lazy)  # by the way that pickling takes
    for one in (lazy, again):
        assert np.array_equal(np.asarray(one[1:, 5:20, 7]), BANDS[1:, 5:20, 7])


def test_what_cannot_be_used_is_one_sentence(tmp_path, monkeypatch):
    whole = write(tmp_path / "x.fits", BANDS[0]).read_bytes()
    (tmp_path / "cut.fits").write_bytes(whole[:-2880])
    (tmp_path / "endless.fits").write_bytes(b"SIMPLE  =                    T".ljust(80) * 50_000)
    promise = fits.Header([("SIMPLE", True), ("BITPIX", -64), ("NAXIS", 2), ("NAXIS1", 10**9), ("NAXIS2", 10**9)])
    (tmp_path / "bomb.fits").write_bytes(promise.tostring().encode())
    less = fits.Header([("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 2), ("NAXIS1", -5), ("NAXIS2", 4)])
    (tmp_path / "less.fits").write_bytes(less.tostring().encode())
    strange = fits.Header([("SIMPLE", True), ("BITPIX", 12), ("NAXIS", 2), ("NAXIS1", 5), ("NAXIS2", 4)])
    (tmp_path / "strange.fits").write_bytes(strange.tostring().encode() + bytes(2880))
    write(tmp_path / "sizes.fits", BANDS[0], BANDS[0, :9])
    write(tmp_path / "types.fits", BANDS[0], BANDS[0].astype(np.float64))
    write(tmp_path / "four.fits", np.zeros((2, 2, 8, 9), np.float32))
    fits.HDUList([fits.PrimaryHDU()]).writeto(tmp_path / "none.fits")
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(BANDS[0])]).writeto(tmp_path / "packed.fits")
    told = {
        "cut": "cut short",
        "endless": "without an end",
        "bomb": "beyond its end",
        "less": "cannot be",
        "strange": "does not know",
        "sizes": "several sizes",
        "types": "several types",
        "four": "4 axes",
        "none": "Give a file",
        "packed": "funpack",
    }
    for name, words in told.items():
        with pytest.raises(InputError, match=words) as caught:
            probe(tmp_path / f"{name}.fits")
        assert f"{name}.fits" in str(caught.value)
    monkeypatch.setitem(sys.modules, "astropy.io", None)  # as if it were not installed
    with pytest.raises(InputError, match=r"\[formats\]"):
        probe(tmp_path / "x.fits")


def test_napari_gets_a_layer_for_each_band(tmp_path):
    pytest.importorskip("napari")
    from napari_pu_segment.gui.reader import get_reader

    bands = BANDS.copy()
    bands[0, 0, 0], bands[2] = np.nan, 7
    path = str(write(tmp_path / "x.FITS", *bands, names=("g", "r", "i")))
    assert get_reader(str(tmp_path / "x.tif")) is None
    read = get_reader([path])
    assert read is not None
    layers = read([path])
    assert [(look["name"], kind) for _, look, kind in layers] == [(f"x {band}", "image") for band in "gri"]
    assert np.array_equal(layers[0][0], bands[0], equal_nan=True)
    assert layers[0][1]["contrast_limits"] == pytest.approx(np.nanpercentile(bands[0], (1, 99.8)))
    assert "contrast_limits" not in layers[2][1], "a flat band has none"
