"""Large images: read window by window, with bounded memory, the same pixels as read whole."""

from __future__ import annotations

import resource
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.io import (
    lazy,
    probe,
    read,
    read_image,
    read_labels,
    read_levels,
    read_mask,
    read_probability,
    source,
    tiff,
)
from napari_pu_segment.io.lazy import LazyImage
from napari_pu_segment.io.source import basic

RNG = np.random.default_rng(0)
DATA = RNG.integers(0, 60000, (2, 3, 150, 210), np.uint16)  # (T, Z, Y, X) or (C, Z, Y, X)
RGB = RNG.integers(0, 255, (150, 210, 3), np.uint8)


@pytest.fixture
def everything_is_large(monkeypatch):
    """Every image is read lazily."""
    monkeypatch.setattr(read, "LAZY_BYTES", 0)
    monkeypatch.setattr(lazy, "_CHUNK_BYTES", 2**12)


TIFFS = {
    "plain": (DATA, {}),
    "big": (DATA, {"bigtiff": True, "byteorder": ">"}),
    "strips": (DATA, {"rowsperstrip": 7, "compression": "zlib"}),
    "tiles": (DATA, {"tile": (32, 48)}),
    "deflated tiles": (DATA, {"tile": (64, 32), "compression": "zlib", "predictor": True}),
    "floats": (DATA.astype(np.float32), {"tile": (64, 64), "compression": "zlib"}),
    "imagej": (DATA, {"imagej": True, "metadata": {"axes": "TZYX"}}),
    "ome": (DATA, {"ome": True, "metadata": {"axes": "CZYX"}, "tile": (32, 32), "compression": "zlib"}),
    "one page": (DATA[0, 0], {"rowsperstrip": 20}),
    "colour": (RGB, {"photometric": "rgb"}),
    "colour tiles": (RGB, {"photometric": "rgb", "tile": (32, 32), "compression": "zlib"}),
    "colour planes": (np.moveaxis(RGB, -1, 0), {"photometric": "rgb", "planarconfig": "separate", "tile": (48, 32)}),
    "colour strips": (np.moveaxis(RGB, -1, 0), {"photometric": "rgb", "planarconfig": "separate", "rowsperstrip": 9}),
}


@pytest.mark.parametrize("kind", TIFFS)
def test_windows_of_a_tiff_are_those_of_the_whole(tmp_path, kind, everything_is_large):
    data, options = TIFFS[kind]
    tifffile.imwrite(tmp_path / "x.tif", data, **{"photometric": "minisblack", **options})
    got = read_image(tmp_path / "x.tif")
    assert isinstance(got.image, LazyImage)
    expected = tifffile.imread(tmp_path / "x.tif")
    if data is RGB or kind.startswith("colour"):
        expected = expected if expected.shape[0] == 3 else np.moveaxis(expected, -1, 0)
    expected = expected.reshape(got.image.shape)
    assert np.array_equal(np.asarray(got.image), expected)
    for window in (np.s_[..., 33:97, 47:130], np.s_[..., 149:, :1], np.s_[:, ..., ::3, ::-2], np.s_[..., 5, 7]):
        assert np.array_equal(np.asarray(got.image[window]), expected[window])
    header = probe(tmp_path / "x.tif")
    assert (header.axes, header.shape, header.dtype) == (got.axes, got.image.shape, got.image.dtype.name)


def test_packbits(tmp_path, everything_is_large):
    grey = np.repeat(RGB[:, ::7, 0], 7, axis=1)
    Image.fromarray(grey).save(tmp_path / "x.tif", compression="packbits")
    assert np.array_equal(np.asarray(read_image(tmp_path / "x.tif").image[0, 30:99, 5:]), grey[30:99, 5:])


def test_pages_that_lie_apart(tmp_path, everything_is_large):
    with tifffile.TiffWriter(tmp_path / "x.tif") as writer:
        for page in DATA[0]:
            writer.write(page, contiguous=False, metadata=None)
    image = read_image(tmp_path / "x.tif").image
    assert isinstance(image, LazyImage)
    assert np.array_equal(np.asarray(image[0, 1:, 20:40, 7:]), DATA[0, 1:, 20:40, 7:])


def test_a_pyramid_in_a_tiff(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.ome.tif", bigtiff=True) as writer:
        tiles = {"tile": (32, 32), "compression": "zlib"}
        writer.write(DATA[0, 0], subifds=2, **tiles)
        for step in (2, 4):
            writer.write(DATA[0, 0, ::step, ::step], subfiletype=1, **tiles)
    levels = read_levels(tmp_path / "x.ome.tif")
    assert probe(tmp_path / "x.ome.tif").n_levels == 3
    for level, step in zip(levels, (1, 2, 4), strict=True):
        assert np.array_equal(np.asarray(level[0]), DATA[0, 0, ::step, ::step])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<u2", ">u2", "float64"])
def test_npy(tmp_path, order, dtype, everything_is_large):
    data = np.asarray(DATA[0], dtype, order=order)
    np.save(tmp_path / "x.npy", data)
    image = read_image(tmp_path / "x.npy").image
    assert isinstance(image, LazyImage)
    assert np.array_equal(np.asarray(image[0, 1, 20:40, 7:]), data[1, 20:40, 7:])
    assert np.array_equal(np.asarray(image[0]), data)


def test_labels_masks_and_probabilities_are_checked_when_they_are_read(tmp_path, everything_is_large):
    codes = RNG.integers(0, 4, (700, 800), np.uint8)
    np.save(tmp_path / "codes.npy", codes)
    np.save(tmp_path / "chances.npy", codes / np.float32(3))
    for got, expected in (
        (read_labels(tmp_path / "codes.npy"), codes),
        (read_mask(tmp_path / "codes.npy"), codes > 0),
        (read_probability(tmp_path / "chances.npy"), codes / np.float32(3)),
    ):
        assert isinstance(got, LazyImage)
        assert got.dtype == expected.dtype
        assert np.array_equal(np.asarray(got), expected)
    codes[600, 700] = 90
    np.save(tmp_path / "codes.npy", codes)
    np.save(tmp_path / "chances.npy", codes / np.float32(3))
    labels, chances = read_labels(tmp_path / "codes.npy"), read_probability(tmp_path / "chances.npy")
    assert np.array_equal(np.asarray(labels[:20, :20]), codes[:20, :20])
    for pixels, says in (
        (labels, "label values"),
        (chances, "0 to 1"),
        (read_mask(tmp_path / "chances.npy"), "fractions"),
    ):
        with pytest.raises(InputError, match=says):
            np.asarray(pixels)
    with pytest.raises(InputError, match="0 to 1"):
        read_probability(tmp_path / "codes.npy")


def test_a_file_that_shrinks_or_goes_while_it_is_open(tmp_path, everything_is_large):
    kind = {"photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "x.tif", DATA, **kind)
    tifffile.imwrite(tmp_path / "z.tif", DATA, compression="zlib", rowsperstrip=10, **kind)
    np.save(tmp_path / "x.npy", DATA)
    for name in ("x.tif", "z.tif", "x.npy"):
        image = read_image(tmp_path / name).image
        assert np.asarray(image[0, 0]).any()
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InputError, match=rf"{name}.*(cut short|damaged)"):
            np.asarray(image)
        (tmp_path / name).unlink()
        with pytest.raises(InputError, match=rf"{name}.*cannot be read"):
            np.asarray(image)


def test_a_strip_never_becomes_larger_than_its_header_says(tmp_path, everything_is_large):
    data = np.zeros((512, 512), np.uint8)
    tifffile.imwrite(tmp_path / "x.tif", data, compression="zlib", rowsperstrip=512)
    with tifffile.TiffFile(tmp_path / "x.tif") as tif:
        tags = tif.pages.first.tags
        counts, offsets = tags["StripByteCounts"].valueoffset, tags["StripOffsets"].valueoffset
    bomb = zlib.compress(bytes(2**26))
    whole = bytearray((tmp_path / "x.tif").read_bytes())
    assert not np.asarray(read_image(tmp_path / "x.tif").image).any()
    whole[counts : counts + 4] = len(bomb).to_bytes(4, "little")
    whole[offsets : offsets + 4] = len(whole).to_bytes(4, "little")
    (tmp_path / "x.tif").write_bytes(bytes(whole) + bomb)
    with pytest.raises(InputError, match="more than its header says"):
        np.asarray(read_image(tmp_path / "x.tif").image)


def test_what_other_threads_drop_from_the_cache_meanwhile_harms_nothing():
    read = source.Source((8,), np.uint8, (4,), "x")

    class Block:
        """One of which another thread drops all blocks, just when they are counted."""

        @property
        def nbytes(self) -> int:
            read._cache.clear()
            return 2**30

    blocks = [Block(), Block()]
    assert [read._cached(i, lambda i=i: blocks[i]) for i in range(2)] == blocks
    assert not read._cache


def test_compressed_blocks_that_are_too_large_are_refused(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "x.tif", DATA[0, 0], compression="zlib", rowsperstrip=150)
    assert np.array_equal(read_image(tmp_path / "x.tif").image[0], DATA[0, 0])
    monkeypatch.setattr(source, "MAX_BLOCK_BYTES", 1000)
    with pytest.raises(InputError, match="stored in blocks"):
        read_image(tmp_path / "x.tif")


def test_a_large_file_in_a_compression_that_nothing_here_decodes(tmp_path, everything_is_large, monkeypatch):
    Image.fromarray(RGB).save(tmp_path / "x.tif", compression="tiff_lzw")
    monkeypatch.setattr(tiff, "_lacks", lambda page: True)
    with pytest.raises(InputError, match="compressed with LZW"):
        np.asarray(read_image(tmp_path / "x.tif").image)


def test_what_promises_far_more_than_it_stores_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((3000, 3000), np.uint8), compression="zlib", tile=(512, 512))
    assert probe(tmp_path / "x.tif").n_bytes == 9_000_000
    with pytest.raises(InputError, match=r"promises 9\.0 GB"):
        source.check_claim(9 * 10**9, (tmp_path / "x.tif").stat().st_size, "x")
    source.check_claim(9 * 10**9, 9 * 10**7, "x")


@pytest.mark.parametrize(
    ("key", "window", "rest"),
    [
        (..., [(0, 5), (0, 7)], (slice(None, None, 1),) * 2),
        (np.s_[2], [(2, 3), (0, 7)], (0, slice(None, None, 1))),
        (np.s_[..., -1], [(0, 5), (6, 7)], (slice(None, None, 1), 0)),
        (np.s_[1:4:2, ::-3], [(1, 4), (0, 7)], (slice(None, None, 2), slice(None, None, -3))),
        (np.s_[4:1, 99:], [(0, 0), (0, 0)], (slice(None, None, 1),) * 2),
    ],
)
def test_basic_indices(key, window, rest):
    got_window, got_rest = basic(key, (5, 7))
    assert [(w.start, w.stop) for w in got_window] == window
    assert got_rest == rest
    data = np.arange(35).reshape(5, 7)
    assert np.array_equal(data[got_window][got_rest], data[key])


def peak_mb(code: str) -> float:
    """Peak memory of a fresh process that runs some code, in MB."""
    code += "\nimport resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    return float(done.stdout.split()[-1])


@pytest.mark.skipif(not hasattr(resource, "RUSAGE_SELF") or sys.platform != "linux", reason="peak memory as on Linux")
@pytest.mark.parametrize("kind", ["plain", "tiles", "strips", "npy"])
def test_memory_does_not_grow_with_the_image(tmp_path, kind):
    side, path = 13000, Path(tmp_path / ("x.npy" if kind == "npy" else "x.tif"))  # 338 MB
    options = {
        "tiles": {"tile": (512, 512)},
        "strips": {"rowsperstrip": 64, "compression": "zlib", "compressionargs": {"level": 1}},
    }
    row = np.arange(side, dtype=np.uint16)
    if kind == "npy":
        mapped = np.lib.format.open_memmap(path, "w+", np.uint16, (side, side))
        mapped[:] = row
        del mapped
    else:
        data = np.broadcast_to(row, (side, side))
        tifffile.imwrite(path, np.ascontiguousarray(data), **options.get(kind, {}))
    loop = """
import numpy as np
from napari_pu_segment.io import read_image
def tiles(path):
    image = read_image(path).image
    for y in range(0, image.shape[1], 1024):
        for x in range(0, image.shape[2], 1024):
            tile = np.asarray(image[0, y : y + 1024, x : x + 1024])
            assert (tile == np.arange(x, x + tile.shape[1], dtype=np.uint16)).all()
"""
    small = tmp_path / "small.npy"
    np.save(small, np.broadcast_to(row[:1024], (1024, 1024)))
    least = peak_mb(f"{loop}\ntiles({str(small)!r})")
    most = peak_mb(f"{loop}\ntiles({str(path)!r})")
    assert least > 50
    assert most < least + 180, (least, most)
