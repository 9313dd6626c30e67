"""Images, strokes and results on disk: formats, axes, pixel size, names; and what is refused, from the header alone."""

from __future__ import annotations

import io
import os
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_pu_segment.core.errors import InputError, PuSegmentError
from napari_pu_segment.io import (
    list_images,
    probe,
    read_image,
    read_labels,
    read_mask,
    read_probability,
    sanitise_name,
    write_image,
    write_picture,
    write_strokes,
)
from napari_pu_segment.io import tiff as io_tiff

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 255, (11, 13), np.uint8)
RGB = RNG.integers(0, 255, (11, 13, 3), np.uint8)
STACK = RNG.integers(0, 60000, (5, 11, 13), np.uint16)


def picture(path: Path, array: np.ndarray, **options) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


# --- pictures


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg"])
def test_pictures(tmp_path, suffix):
    grey = read_image(picture(tmp_path / f"grey{suffix}", GREY))
    colour = read_image(picture(tmp_path / f"colour{suffix}", RGB))
    assert grey.image.shape == (1, 11, 13)
    assert colour.image.shape == (3, 11, 13)
    assert colour.channel_names == ("red", "green", "blue")
    if suffix != ".jpg":
        assert np.array_equal(grey.image[0], GREY)
        assert np.array_equal(colour.image, np.moveaxis(RGB, -1, 0))


def test_png_variants(tmp_path):
    deep = picture(tmp_path / "16.png", STACK[0])
    alpha = picture(tmp_path / "a.png", np.dstack([RGB, GREY]))
    bilevel = tmp_path / "1.png"
    Image.fromarray(GREY > 100).save(bilevel)
    palette = tmp_path / "p.png"
    Image.fromarray(RGB).quantize(4).save(palette)
    assert np.array_equal(read_image(deep).image[0], STACK[0])
    assert np.array_equal(read_image(alpha).image, np.moveaxis(RGB, -1, 0))
    assert np.array_equal(read_image(bilevel).image[0], GREY > 100)
    assert read_image(palette).image.shape == (3, 11, 13)


def png_of(width: int, height: int, depth: int, colour: int, pixels: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def test_sixteen_bits_per_colour_are_not_cut_silently(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(png_of(2, 1, 16, 2, b"\0" + bytes(12)))
    with pytest.raises(InputError, match="16 bits per colour"):
        read_image(path)


def test_the_format_is_known_from_the_content_not_from_the_name(tmp_path):
    path = tmp_path / "really_a_png.tif"
    picture(tmp_path / "x.png", GREY).rename(path)
    assert np.array_equal(read_image(path).image[0], GREY)


# --- TIFF


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float16", "float32", "float64", "bool", ">u2"])
def test_tiff_types(tmp_path, dtype):
    array = (GREY > 100) if dtype == "bool" else GREY.astype(dtype)
    tifffile.imwrite(tmp_path / "x.tif", array)
    image = read_image(tmp_path / "x.tif").image
    assert np.array_equal(image[0], array)
    assert image.dtype.isnative


def test_imagej_hyperstack_with_size_unit_and_labels(tmp_path):
    data = RNG.integers(0, 999, (4, 2, 11, 13)).astype(np.uint16)  # (Z, C, Y, X)
    metadata = {"axes": "ZCYX", "unit": "\\u00B5m", "spacing": 2.0}
    tifffile.imwrite(tmp_path / "x.tif", data, imagej=True, resolution=(4.0, 2.0), metadata=metadata)
    got = read_image(tmp_path / "x.tif")
    assert np.array_equal(got.image, data.transpose(1, 0, 2, 3))
    assert got.pixel_size == pytest.approx((2.0, 0.5, 0.25))
    assert got.pixel_unit == "um"
    flat = {"axes": "CYX", "Labels": ["DAPI", "GFP"]}
    tifffile.imwrite(tmp_path / "y.tif", data[0], imagej=True, metadata=flat)
    assert read_image(tmp_path / "y.tif").channel_names == ("DAPI", "GFP")
    assert read_image(tmp_path / "y.tif").pixel_size == ()


def test_ome_axes_size_unit_and_channels(tmp_path):
    data = RNG.random((2, 3, 11, 13)).astype(np.float32)  # (C, Z, Y, X)
    metadata = {
        "axes": "CZYX",
        "Channel": {"Name": ["membrane", "nuclei"]},
        "PhysicalSizeX": 0.1,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": 0.2,
        "PhysicalSizeYUnit": "µm",
        "PhysicalSizeZ": 0.5,
        "PhysicalSizeZUnit": "µm",
    }
    tifffile.imwrite(tmp_path / "x.ome.tif", data, metadata=metadata)
    got = read_image(tmp_path / "x.ome.tif")
    assert np.array_equal(got.image, data)
    assert got.channel_names == ("membrane", "nuclei")
    assert got.pixel_size == (0.5, 0.2, 0.1)
    assert got.pixel_unit == "um"


def test_time_is_an_axis_of_its_own(tmp_path):
    tifffile.imwrite(tmp_path / "t.tif", STACK, imagej=True, metadata={"axes": "TYX"})
    assert np.array_equal(read_image(tmp_path / "t.tif").image[0], STACK)
    assert read_image(tmp_path / "t.tif").axes == "CTYX"
    both = np.stack([STACK, STACK + 1])
    tifffile.imwrite(tmp_path / "tz.tif", both, imagej=True, metadata={"axes": "TZYX"})
    assert read_image(tmp_path / "tz.tif").axes == "CTZYX"
    assert np.array_equal(read_image(tmp_path / "tz.tif").image[0], both)


def test_tiff_samples(tmp_path):
    tifffile.imwrite(tmp_path / "rgb.tif", RGB, photometric="rgb")
    tifffile.imwrite(tmp_path / "rgba.tif", np.dstack([RGB, GREY]), photometric="rgb", extrasamples=["unassalpha"])
    four = np.dstack([RGB, GREY])
    tifffile.imwrite(tmp_path / "four.tif", four, photometric="minisblack", extrasamples=["unspecified"] * 3)
    tifffile.imwrite(tmp_path / "planes.tif", STACK, photometric="minisblack")
    tifffile.imwrite(tmp_path / "planar.tif", np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate")
    expected = np.moveaxis(RGB, -1, 0)
    assert np.array_equal(read_image(tmp_path / "rgb.tif").image, expected)
    assert np.array_equal(read_image(tmp_path / "rgba.tif").image, expected)
    assert np.array_equal(read_image(tmp_path / "planar.tif").image, expected)
    assert np.array_equal(read_image(tmp_path / "four.tif").image, np.moveaxis(four, -1, 0))
    assert np.array_equal(read_image(tmp_path / "planes.tif").image, STACK[None])


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiff(tmp_path, compression):
    for name, array in {"grey": GREY, "deep": STACK[0], "colour": RGB}.items():
        path = picture(tmp_path / f"{name}.tif", array, compression=compression)
        expected = np.moveaxis(array, -1, 0) if array.ndim == 3 else array[None]
        assert np.array_equal(read_image(path).image, expected)


def test_only_pages_of_the_image_are_decoded_whole(tmp_path, monkeypatch):
    path = tmp_path / "x.tif"
    pages = [Image.fromarray(np.zeros((n, n), np.uint8)) for n in (20, 400)]
    pages[1].encoderinfo = {"compression": "tiff_lzw", "tiffinfo": {254: 1}}  # a reduced image, it says
    pages[0].save(path, compression="tiff_lzw", save_all=True, append_images=pages[1:])
    with tifffile.TiffFile(path) as tif:
        assert [series.shape for series in tif.series] == [(20, 20), (400, 400)]
        assert tif.series[1].keyframe.is_reduced
    monkeypatch.setattr(io_tiff, "_lacks", lambda page: True)
    monkeypatch.setattr(io_tiff, "_decoded", lambda *_: pytest.fail("a page was decoded"))
    with pytest.raises(InputError, match="imagecodecs"):
        read_image(path)


def test_several_images_in_one_tiff_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif") as writer:
        writer.write(GREY)
        writer.write(GREY[:5])
    with pytest.raises(InputError, match="2 separate images"):
        read_image(tmp_path / "x.tif")


# --- .npy


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        ((7, 9), "float32", (1, 7, 9)),
        ((7, 9, 3), "uint8", (3, 7, 9)),
        ((7, 9, 4), "uint16", (3, 7, 9)),
        ((7, 9, 3), "float32", (1, 7, 9, 3)),
        ((3, 7, 9), "uint8", (1, 3, 7, 9)),
        ((5, 7, 9, 3), "uint8", (3, 5, 7, 9)),
        ((2, 5, 7, 9), "float64", (2, 5, 7, 9)),
        ((1, 1), "int64", (1, 1, 1)),
    ],
)
def test_axes_of_plain_arrays(tmp_path, shape, dtype, expected):
    array = RNG.integers(0, 100, shape).astype(dtype)
    np.save(tmp_path / "x.npy", array)
    got = read_image(tmp_path / "x.npy").image
    assert got.shape == expected
    assert got.dtype == dtype


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint32", "int64", "uint64", "float16", "longdouble", ">f4"])
def test_any_real_type(tmp_path, dtype):
    array = (GREY % 100).astype(dtype)
    np.save(tmp_path / "x.npy", array)
    image = read_image(tmp_path / "x.npy").image
    assert np.array_equal(image[0], array)
    assert image.dtype.isnative
    assert image.dtype.itemsize <= 8


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((4, 4), complex), "complex"),
        (np.zeros((4, 4), [("a", "u1"), ("b", "u1")]), "real numbers"),
        (np.full((4, 4), "text"), "real numbers"),
        (np.zeros((4, 4), "datetime64[s]"), "real numbers"),
        (np.array(3.0), "shape"),
        (np.zeros(5), "shape"),
        (np.zeros((2, 2, 2, 2, 2)), "shape"),
        (np.zeros((0, 5)), "empty"),
        (np.full((4, 4), np.nan), "no finite value"),
        (np.full((4, 4), np.inf), "no finite value"),
    ],
)
def test_arrays_that_are_no_image_are_refused_by_name(tmp_path, array, says):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(InputError, match=says) as caught:
        read_image(tmp_path / "x.npy")
    assert "x.npy" in str(caught.value)


def test_objects_are_not_unpickled(tmp_path):
    marker = tmp_path / "marker"

    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(marker),)

    np.save(tmp_path / "x.npy", np.array([Hostile(), None]), allow_pickle=True)
    with pytest.raises(InputError, match=r"x\.npy"):
        read_image(tmp_path / "x.npy")
    assert not marker.exists()


# --- what is refused


def test_missing_folder_empty_foreign_and_cut_short(tmp_path):
    (tmp_path / "empty.tif").touch()
    (tmp_path / "text.png").write_text("not an image, whatever its name says")
    whole = picture(tmp_path / "whole.png", RGB).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:-60])
    tifffile.imwrite(tmp_path / "whole.tif", STACK)
    (tmp_path / "cut.tif").write_bytes((tmp_path / "whole.tif").read_bytes()[:-200])
    tifffile.imwrite(tmp_path / "zip.tif", STACK, compression="zlib")
    (tmp_path / "cutzip.tif").write_bytes((tmp_path / "zip.tif").read_bytes()[:-200])
    np.save(tmp_path / "whole.npy", STACK)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "whole.npy").read_bytes()[:-10])
    (tmp_path / "folder").mkdir()
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone.png")
    assert read_image(tmp_path / "whole.png").image.shape == (3, 11, 13)
    names = ["gone.png", "nowhere", "folder", "empty.tif", "text.png", "cut.png", "cut.tif", "cutzip.tif", "cut.npy"]
    for name in names:
        with pytest.raises(InputError) as caught:
            read_image(tmp_path / name)
        text = str(caught.value)
        assert name in text
        assert "\n" not in text
        assert text.endswith(".")


@pytest.mark.parametrize("name", ["x\0y.png", "x" * 5000 + ".png"])
def test_impossible_paths(name):
    with pytest.raises(InputError, match="cannot be read"):
        read_image(name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputError, match="ordinary file"):
        read_image(tmp_path / "pipe.png")


def bombs(folder: Path) -> list[Path]:
    """Files of a few kilobytes that promise gigabytes."""
    paths = [folder / name for name in ("bomb.png", "bomb.tif", "bomb_pages.tif", "bomb.npy")]
    paths[0].write_bytes(png_of(60000, 60000, 8, 2, bytes(1000)))
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((64, 64), np.uint8), compression="zlib")
    data = buffer.getvalue()
    with tifffile.TiffFile(io.BytesIO(data)) as tif:
        tags = [tif.pages.first.tags[name] for name in ("ImageWidth", "ImageLength")]
    for tag in tags:
        data = data[: tag.valueoffset] + struct.pack("<H", 65000) + data[tag.valueoffset + 2 :]
    paths[1].write_bytes(data)
    with tifffile.TiffWriter(paths[2]) as writer:
        page = zlib.compress(bytes(2 * 1024**2))
        kind = {"dtype": "uint16", "compression": "zlib", "rowsperstrip": 1024}
        writer.write((page for _ in range(1100)), shape=(1100, 1024, 1024), **kind)
    header = np.lib.format.magic(1, 0)
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000, 100000), }\n".rjust(118)
    paths[3].write_bytes(header + struct.pack("<H", len(text)) + text)
    return paths


def test_bombs_are_refused_from_the_header_alone(tmp_path):
    for path in bombs(tmp_path):
        assert path.stat().st_size < 10_000_000
        tracemalloc.start()
        start = time.perf_counter()
        with pytest.raises(InputError, match=path.name):
            read_image(path)
        seconds, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert seconds < 30
        assert peak < 100e6


def pages(n_pages: int, *, n_strips: int = 1, loop: bool = False) -> bytes:
    """A TIFF of small pages that share their pixels."""
    tags = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8, 279: 64}
    start, size, data = 72, 2 + 12 * len(tags) + 4, b"II*\0" + struct.pack("<I", 72) + bytes(64)
    for i in range(n_pages):
        counts = [n_strips if tag in (273, 279) else 1 for tag in tags]
        entries = [struct.pack("<HHII", tag, 4, n, v) for (tag, v), n in zip(tags.items(), counts, strict=True)]
        following = start + (i + 1) * size if i < n_pages - 1 else start if loop else 0
        data += struct.pack("<H", len(tags)) + b"".join(entries) + struct.pack("<I", following)
    return data


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (pages(50, loop=True), "circle"),
        (pages(50)[:-30], "cut short"),
        (pages(1, n_strips=2**21) + bytes(2**24), "tiles"),
        (pages(1, n_strips=2**31), "tiles"),
    ],
    ids=["loop", "cut", "many strips", "promised strips"],
)
def test_chains_of_pages_that_never_end_or_fill_the_memory(tmp_path, data, says):
    (tmp_path / "x.tif").write_bytes(pages(50))
    assert probe(tmp_path / "x.tif").shape == (1, 50, 8, 8)
    (tmp_path / "x.tif").write_bytes(data)
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(InputError, match=says):
        probe(tmp_path / "x.tif")
    assert time.process_time() - start < 1
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()


def test_ome_headers_name_no_other_file_and_define_nothing(tmp_path):
    tifffile.imwrite(tmp_path / "secret.ome.tif", np.full((8, 8), 77, np.uint8))
    image = '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="8" SizeY="8" '
    image += 'SizeZ="2" SizeC="1" SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData IFD="0" '
    image += 'PlaneCount="1"/><TiffData FirstZ="1" IFD="0" PlaneCount="1"><UUID FileName="secret.ome.tif">urn:uuid:1'
    image += "</UUID></TiffData></Pixels></Image></OME>"
    for name, head in {"other": "", "entity": '<!DOCTYPE x [<!ENTITY a "b">]>'}.items():
        text = f'<?xml version="1.0"?>{head}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{image}'
        tifffile.imwrite(tmp_path / f"{name}.ome.tif", np.zeros((8, 8), np.uint8), description=text, metadata=None)
    try:
        assert not read_image(tmp_path / "other.ome.tif").image.any()
    except InputError as error:
        assert "other.ome.tif" in str(error)  # noqa: PT017 - either is right, as long as nothing else is opened
    with pytest.raises(InputError, match=r"entity\.ome\.tif"):
        read_image(tmp_path / "entity.ome.tif")


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    values = bytearray(data)
    for _ in range(rng.integers(1, 8)):
        at = int(rng.integers(min(len(values), 400)) if rng.random() < 0.7 else rng.integers(len(values)))
        values[at] = int(rng.integers(256))
    if rng.random() < 0.2:
        del values[int(rng.integers(len(values))) :]
    return bytes(values)


def seeds(folder: Path) -> list[bytes]:
    """Small whole files of every kind."""
    picture(folder / "a.png", RGB)
    picture(folder / "b.jpg", RGB)
    picture(folder / "c.bmp", GREY)
    np.save(folder / "d.npy", GREY)
    tifffile.imwrite(folder / "e.tif", STACK, imagej=True, metadata={"axes": "ZYX", "unit": "um", "spacing": 2})
    tifffile.imwrite(folder / "f.tif", STACK, compression="zlib", metadata={"axes": "ZYX"})
    tifffile.imwrite(folder / "g.ome.tif", STACK, metadata={"axes": "ZYX", "PhysicalSizeX": 2.0})
    picture(folder / "h.tif", RGB, compression="tiff_lzw")
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def test_mutated_files_raise_only_our_errors(tmp_path):
    (tmp_path / "whole").mkdir()
    rng, refused, path = np.random.default_rng(1), 0, tmp_path / "x"
    whole = seeds(tmp_path / "whole")
    start = time.perf_counter()
    for i in range(400):
        path.write_bytes(mutated(whole[i % len(whole)], rng))
        try:
            assert read_image(path).image.ndim in (3, 4)
        except PuSegmentError:  # anything else fails the test
            refused += 1
    assert 50 < refused < 400
    assert time.perf_counter() - start < 120


# --- labels, masks, probabilities


def test_labels(tmp_path):
    codes = RNG.integers(0, 4, (11, 13), np.uint8)
    grey_as_rgb = picture(tmp_path / "rgb.png", np.dstack([codes] * 3))
    palette = Image.fromarray(codes)
    palette.putpalette([0, 0, 0, 0, 0, 255, 255, 128, 0, 90, 90, 90])
    palette.save(tmp_path / "p.png")
    tifffile.imwrite(tmp_path / "z.tif", np.stack([codes] * 4), photometric="minisblack")
    for path in (picture(tmp_path / "grey.png", codes), grey_as_rgb, tmp_path / "p.png"):
        assert np.array_equal(read_labels(path), codes)
        assert read_labels(path).dtype == np.uint8
    assert read_labels(tmp_path / "z.tif").shape == (4, 11, 13)
    for bad, says in ((codes * 85, "label values"), (RGB, "channels that differ")):
        with pytest.raises(InputError, match=says):
            read_labels(picture(tmp_path / "bad.png", bad))


def test_masks(tmp_path):
    mask = GREY > 200
    assert 0 < mask.sum() < mask.size
    blue = np.zeros((11, 13, 3), np.uint8)
    blue[mask, 2] = 9
    hidden = np.dstack([np.full((11, 13, 3), 255, np.uint8), np.where(mask, 255, 0).astype(np.uint8)])
    tifffile.imwrite(tmp_path / "f.tif", mask.astype(np.float32) * 7)
    paths = [
        picture(tmp_path / "255.png", mask.astype(np.uint8) * 255),
        picture(tmp_path / "1.bmp", mask.astype(np.uint8)),
        picture(tmp_path / "blue.png", blue),
        picture(tmp_path / "hidden.png", hidden),  # white all over, transparent where nothing is painted
        tmp_path / "f.tif",
    ]
    for path in paths:
        assert np.array_equal(read_mask(path), mask), path.name
        assert read_mask(path).dtype == bool


@pytest.mark.parametrize("read", [read_mask, read_labels])
def test_lossy_files_hold_no_labels(tmp_path, read):
    with pytest.raises(InputError, match="JPEG"):
        read(picture(tmp_path / "x.jpg", GREY))


def test_a_probability_is_no_mask(tmp_path):
    write_image(tmp_path / "p.tif", np.full((4, 4), 0.25, np.float32))
    assert read_probability(tmp_path / "p.tif").max() == 0.25
    with pytest.raises(InputError, match="fractions"):
        read_mask(tmp_path / "p.tif")


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.01, 1.01])
def test_a_probability_lies_between_0_and_1(tmp_path, value):
    probability = np.full((4, 4), 0.5, np.float32)
    write_image(tmp_path / "p.tif", probability)
    assert np.array_equal(read_probability(tmp_path / "p.tif"), probability)
    probability[1, 2] = value
    write_image(tmp_path / "p.tif", probability)
    with pytest.raises(InputError, match="0 to 1"):
        read_probability(tmp_path / "p.tif")
    with pytest.raises(InputError, match="0 to 1"):
        read_probability(picture(tmp_path / "x.png", GREY))


# --- outputs


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "float32"])
@pytest.mark.parametrize("shape", [(1, 1), (11, 13), (4, 11, 13), (3, 11, 3), (1, 5, 4)])
def test_written_images_come_back(tmp_path, dtype, shape):
    array = RNG.integers(0, 2, shape).astype(dtype)
    size = (2.0, 0.5, 0.25)[-len(shape) :]
    write_image(tmp_path / "x.tif", array, size, "um")
    got = read_image(tmp_path / "x.tif")
    assert np.array_equal(got.image.reshape(shape), array)
    assert got.image.shape[-2:] == shape[-2:]
    assert got.pixel_size[-2:] == pytest.approx((0.5, 0.25))
    assert got.pixel_unit == "um"


def test_the_same_array_gives_the_same_bytes(tmp_path):
    write_image(tmp_path / "a.tif", STACK, (1.0, 0.3, 0.3), "nm")
    time.sleep(1.1)  # a time stamp would tick
    write_image(tmp_path / "b.tif", STACK, (1.0, 0.3, 0.3), "nm")
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path):
    (tmp_path / "file").touch()
    for path, array in [
        (tmp_path / "x.png", GREY),
        (tmp_path / "x.tif", GREY.astype(complex)),
        (tmp_path / "x.tif", np.zeros(5, np.uint8)),
        (tmp_path / "gone" / "x.tif", GREY),
        (tmp_path / "file" / "x.tif", GREY),
    ]:
        with pytest.raises(InputError, match="Cannot write"):
            write_image(path, array)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_strokes_of_a_series_stay_a_series(tmp_path):
    painted = np.zeros((3, 7, 9), bool)
    painted[1, 2:4] = True
    write_strokes(tmp_path / "s.tif", {"positive": painted}, axes="CTYX")
    assert read_image(tmp_path / "s.tif").axes == "CTYX"
    assert np.array_equal(read_labels(tmp_path / "s.tif") == 1, painted)


def test_pictures_come_back(tmp_path):
    write_picture(tmp_path / "x.png", RGB)
    assert np.array_equal(np.moveaxis(read_image(tmp_path / "x.png").image, 0, -1), RGB)


def test_names_that_are_not_ascii(tmp_path):
    folder = tmp_path / "Größe 図 é"
    folder.mkdir()
    write_image(folder / "ядро 🌌.tif", GREY)
    assert np.array_equal(read_image(folder / "ядро 🌌.tif").image[0], GREY)
    assert np.array_equal(read_image(picture(folder / "ñ.png", GREY)).image[0], GREY)


def test_list_images(tmp_path):
    folder = tmp_path / "in"
    (folder / "sub.png").mkdir(parents=True)
    outside = picture(tmp_path / "outside.png", GREY)
    for name in ("b.PNG", "a.tif", ".hidden.png", "notes.txt", "sub.png/c.tif"):
        (folder / name).touch()
    (folder / "x.ome.zarr" / "0").mkdir(parents=True)
    (folder / "inside.png").symlink_to(folder / "b.PNG")
    (folder / "leads_out.png").symlink_to(outside)
    (folder / "dangling.png").symlink_to(tmp_path / "gone.png")
    (folder / "loop").symlink_to(folder)

    assert [path.name for path in list_images(folder)] == ["a.tif", "b.PNG", "inside.png", "x.ome.zarr"]
    for bad, says in ((folder / "loop/x.ome.zarr/0", "no images"), (tmp_path / "gone", "cannot be read")):
        with pytest.raises(InputError, match=says):
            list_images(bad)


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("cell 01", "cell 01"),
        ("größe_図", "größe_図"),
        ("../x", "_x"),
        ("/etc/x", "_etc_x"),
        ("..\\..\\x", "_.._x"),
        ("con", "_con"),
        ("LPT1.old", "_LPT1.old"),
        ("a\0b\nc", "a_b_c"),
        ("C:x?", "C_x_"),
        ("name. . ", "name"),
        ("", "unnamed"),
        ("...", "unnamed"),
        ("\udc80", "_"),
    ],
)
def test_sanitised_names(name, clean):
    assert sanitise_name(name) == clean


def test_long_names_are_cut_and_stay_different(tmp_path):
    first, second = sanitise_name("图" * 300), sanitise_name("图" * 299 + "x")
    assert first != second
    for name in (first, second):
        assert len(name.encode()) < 170
        write_image(tmp_path / f"{name}_probability.tif", GREY)
    assert len(list(tmp_path.iterdir())) == 2
