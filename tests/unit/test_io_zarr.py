"""OME-Zarr and plain zarr arrays: read as a zarr library wrote them; what is not safe is refused from the JSON."""

from __future__ import annotations

import copy
import json
import os
import time
import tracemalloc
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr
from zarr import codecs

from napari_pu_segment.core.errors import InputError, PuSegmentError
from napari_pu_segment.io import create_output, probe, read_image, read_labels, read_levels, read_mask, read_probability
from napari_pu_segment.io.zarr_codec import decode_chunk
from napari_pu_segment.io.zarr_meta import array_meta
from napari_pu_segment.io.zarr_read import open_zarr

RNG = np.random.default_rng(0)
VOLUME = RNG.integers(0, 60000, (2, 5, 33, 47), np.uint16)  # (C, Z, Y, X)


def plain(path: Path, data: np.ndarray, **options) -> Path:
    """A zarr array without OME metadata, written by the zarr library."""
    array = zarr.create_array(path, shape=data.shape, dtype=data.dtype, **options)
    array[...] = data
    return path


def ome(path: Path, data: np.ndarray, version: str = "0.5", axes: str = "CZYX", n_levels: int = 1, **told) -> Path:
    """An OME-Zarr image, written by the zarr library."""
    group = zarr.create_group(path, zarr_format=3 if version == "0.5" else 2)
    datasets = []
    for level in range(n_levels):
        pixels = data[..., :: 2**level, :: 2**level]
        chunks = (*(1 for _ in data.shape[:-2]), 16, 20)
        group.create_array(str(level), shape=pixels.shape, dtype=pixels.dtype, chunks=chunks)[...] = pixels
        scale = [2.0 if axis == "Z" else 0.5 * 2**level if axis in "YX" else 1.0 for axis in axes]
        datasets.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    kinds = {"C": "channel", "T": "time"}
    named = [{"name": a.lower(), "type": kinds.get(a, "space")} for a in axes]
    for axis in named:
        if axis["type"] == "space":
            axis["unit"] = "micrometer"
    attributes = {"multiscales": [{"axes": named, "datasets": datasets, "version": version}], **told}
    group.attrs.update({"ome": {"version": "0.5", **attributes}} if version == "0.5" else attributes)
    return path


def edited(path: Path, name: str, change) -> Path:
    """Change the JSON of a zarr folder."""
    found = json.loads((path / name).read_text())
    change(found)
    (path / name).write_text(json.dumps(found))
    return path


# --- what is read


@pytest.mark.parametrize(
    "compressor",
    [
        None,
        numcodecs.Blosc("lz4", shuffle=numcodecs.Blosc.SHUFFLE),
        numcodecs.Blosc("zstd", shuffle=numcodecs.Blosc.BITSHUFFLE),
        numcodecs.Blosc("blosclz", shuffle=numcodecs.Blosc.NOSHUFFLE),
        numcodecs.Zstd(),
        numcodecs.Zlib(),
        numcodecs.GZip(),
        numcodecs.LZ4(),
    ],
    ids=str,
)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<u2", ">u2", "|u1", "<f4"])
def test_version_2(tmp_path, compressor, order, dtype):
    data = VOLUME[0].astype(dtype)
    options = {"compressors": compressor, "order": order, "filters": None, "chunks": (2, 16, 20), "zarr_format": 2}
    image = read_image(plain(tmp_path / "x.zarr", data, **options)).image
    assert np.array_equal(image[0], data)
    assert image.dtype.isnative


@pytest.mark.parametrize(
    "options",
    [
        {"compressors": codecs.ZstdCodec(checksum=True)},
        {"compressors": codecs.GzipCodec()},
        {"compressors": codecs.BloscCodec(cname="lz4")},
        {"compressors": [codecs.ZstdCodec(), codecs.Crc32cCodec()]},
        {"compressors": None, "serializer": codecs.BytesCodec(endian="big")},
        {"filters": [codecs.TransposeCodec(order=(2, 0, 1))]},
        {"shards": (4, 32, 40)},
        {"shards": (4, 32, 40), "compressors": codecs.GzipCodec()},
        {"chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}}},
        {"chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}}},
        {"dimension_names": ("t", "y", "x")},
    ],
    ids=lambda options: "+".join(options),
)
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float16", "float64"])
def test_version_3(tmp_path, options, dtype):
    data = (VOLUME[0] % 100).astype(dtype)
    path = plain(tmp_path / "x.zarr", data, chunks=(2, 16, 20), **options)
    got = read_image(path)
    assert np.array_equal(got.image[0], data)
    assert got.axes == ("CTYX" if "dimension_names" in options else "CZYX")


def test_a_shard_whose_index_comes_first_and_missing_inner_chunks(tmp_path):
    sharding = codecs.ShardingCodec(
        chunk_shape=(16, 20), codecs=[codecs.BytesCodec(), codecs.ZstdCodec()], index_location="start"
    )
    data = np.zeros((64, 80), np.float32)
    data[3:9, 30:75] = 5
    path = plain(tmp_path / "x.zarr", data, chunks=(32, 40), serializer=sharding, compressors=None, filters=None)
    assert np.array_equal(read_image(path).image[0], data)


@pytest.mark.parametrize("fill", [7.5, float("nan"), float("-inf")])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_chunks_that_others_never_wrote_hold_the_fill_value(tmp_path, fill, zarr_format):
    options = {"chunks": (8, 8), "fill_value": fill, "dtype": "float32", "zarr_format": zarr_format}
    array = zarr.create_array(tmp_path / "x.zarr", shape=(16, 16), **options)
    array[:8, :8] = 1
    image = read_image(tmp_path / "x.zarr").image[0]
    assert (image[:8, :8] == 1).all()
    assert np.array_equal(image[8:], np.full((8, 16), fill, np.float32), equal_nan=True)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_axes_scale_unit_channels_and_levels(tmp_path, version):
    channels = {"omero": {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}}
    path = ome(tmp_path / "x.ome.zarr", VOLUME, version, n_levels=2, **channels)
    got, header = read_image(path), probe(path)
    assert np.array_equal(got.image, VOLUME)
    assert (got.axes, got.channel_names, got.pixel_size, got.pixel_unit) == (
        "CZYX",
        ("DAPI", "GFP"),
        (2.0, 0.5, 0.5),
        "um",
    )
    assert (header.axes, header.shape, header.dtype, header.n_levels) == ("CZYX", VOLUME.shape, "uint16", 2)
    assert header.pixel_size == got.pixel_size
    coarse = read_image(path, level=1)
    assert np.array_equal(coarse.image, VOLUME[..., ::2, ::2])
    assert coarse.pixel_size == pytest.approx((2.0, 33 / 17 * 0.5, 47 / 24 * 0.5))
    levels = read_levels(path)
    assert [level.shape for level in levels] == [VOLUME.shape, (2, 5, 17, 24)]
    assert np.array_equal(levels[1].compute(), VOLUME[..., ::2, ::2])
    with pytest.raises(InputError, match="no level 2"):
        read_image(path, level=2)


def test_ome_time_and_channels_anywhere(tmp_path):
    path = ome(tmp_path / "x.zarr", VOLUME[:, :3], axes="TCYX")
    got = read_image(path)
    assert got.axes == "CTYX"
    assert np.array_equal(got.image, VOLUME[:, :3].transpose(1, 0, 2, 3))


def test_one_image_of_a_converter_and_many(tmp_path):
    zarr.create_group(tmp_path / "x.zarr", attributes={"bioformats2raw.layout": 3}, zarr_format=2)
    ome(tmp_path / "x.zarr" / "0", VOLUME, "0.4")
    assert np.array_equal(read_image(tmp_path / "x.zarr").image, VOLUME)
    ome(tmp_path / "x.zarr" / "1", VOLUME, "0.4")
    with pytest.raises(InputError, match="several images"):
        read_image(tmp_path / "x.zarr")
    assert np.array_equal(read_image(tmp_path / "x.zarr" / "1").image, VOLUME)
    (tmp_path / "x.zarr" / "1").rename(tmp_path / "secret")
    (tmp_path / "x.zarr" / "0").rename(tmp_path / "x.zarr" / "2")
    (tmp_path / "x.zarr" / "0").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="leads out"):
        read_image(tmp_path / "x.zarr")


def test_labels_masks_and_probabilities(tmp_path):
    codes = RNG.integers(0, 4, (33, 47), np.uint8)
    ome(tmp_path / "codes.zarr", codes, axes="YX")
    ome(tmp_path / "chances.zarr", codes.astype(np.float32) / 4, axes="YX")
    assert np.array_equal(read_labels(tmp_path / "codes.zarr"), codes)
    assert np.array_equal(read_mask(tmp_path / "codes.zarr"), codes > 0)
    assert np.array_equal(read_probability(tmp_path / "chances.zarr"), codes / np.float32(4))
    for read, name, says in ((read_mask, "chances", "fractions"), (read_probability, "codes", "0 to 1")):
        with pytest.raises(InputError, match=says):
            read(tmp_path / f"{name}.zarr")


def test_a_source_travels_without_its_cache(tmp_path):
    source = open_zarr(ome(tmp_path / "x.zarr", VOLUME), "x").levels[0]
    window = (slice(None), 2, slice(3, 20), slice(5, 41, 3))
    assert np.array_equal(source[window], VOLUME[window])
    again = copy.copy(source)  # by the way that pickling takes
    assert source._cache
    assert not again._cache
    assert np.array_equal(again[window], VOLUME[window])


# --- what is refused, from the JSON alone


def set_to(*keys_and_value):
    *keys, last, value = keys_and_value

    def change(found):
        for key in keys:
            found = found[key]
        found[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (set_to("dtype", "|O"), "values of type"),
        (set_to("dtype", [["a", "<u2"]]), "values of type"),
        (set_to("dtype", "<M8[s]"), "values of type"),
        (set_to("dtype", "<c8"), "values of type"),
        (set_to("filters", [{"id": "pickle"}]), "the filter 'pickle'"),
        (set_to("filters", [{"id": "delta", "dtype": "<u2"}]), "the filter 'delta'"),
        (set_to("compressor", {"id": "pickle"}), "the codec 'pickle'"),
        (set_to("compressor", {"id": "bz2"}), "the codec 'bz2'"),
        (set_to("compressor", "zstd\n\x1b[2J"), "the codec"),
        (set_to("chunks", [1, 2**20, 2**20]), "blocks"),
        (set_to("chunks", [0, 2, 2]), "damaged"),
        (set_to("chunks", [2, 2]), "damaged"),
        (set_to("chunks", "all"), "damaged"),
        (set_to("shape", [-1, 2, 2]), "damaged"),
        (set_to("shape", [5, 1e9, 2]), "damaged"),
        (set_to("shape", [True, 2, 2]), "damaged"),
        (set_to("shape", [10**6, 10**6, 10**6]), "promises"),
        (set_to("shape", [0, 33, 47]), "empty"),
        (set_to("shape", [5, 2**41, 47]), "damaged"),
        (set_to("order", "Z"), "damaged"),
        (set_to("zarr_format", 7), "damaged"),
        (set_to("dimension_separator", "../"), "damaged"),
        (set_to("fill_value", "nought"), "damaged"),
        (set_to("fill_value", [0] * 9), "damaged"),
    ],
)
def test_version_2_headers_that_are_refused(tmp_path, change, says):
    path = plain(tmp_path / "x.zarr", VOLUME[0], zarr_format=2, chunks=(2, 16, 20))
    assert read_image(path).image.shape == (1, 5, 33, 47)
    edited(path, ".zarray", change)
    for read in (probe, read_image):
        with pytest.raises(InputError, match=says) as caught:
            read(path)
        assert "x.zarr" in str(caught.value)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (set_to("data_type", "string"), "values of type"),
        (set_to("data_type", {"name": "struct"}), "values of type"),
        (set_to("codecs", [{"name": "bytes"}, {"name": "numcodecs.pickle"}]), "numcodecs.pickle"),
        (set_to("codecs", [{"name": "vlen-utf8"}]), "vlen-utf8"),
        (set_to("codecs", [{"name": "bytes"}, {"name": "gzip"}, {"name": "gzip"}]), "damaged"),
        (set_to("codecs", [{"name": "gzip"}]), "the codec"),
        (set_to("codecs", []), "damaged"),
        (set_to("codecs", 5), "damaged"),
        (set_to("chunk_grid", {"name": "rectilinear"}), "chunk grid"),
        (set_to("chunk_grid", "configuration", "chunk_shape", [5, 2**16, 2**16]), "blocks"),
        (set_to("storage_transformers", [{"name": "x"}]), "extension"),
        (set_to("future", {"must_understand": True}), "the extension 'future'"),
        (set_to("chunk_key_encoding", {"name": "hashed"}), "file names"),
        (set_to("shape", [10**6, 10**6, 10**6]), "promises"),
    ],
)
def test_version_3_headers_that_are_refused(tmp_path, change, says):
    path = plain(tmp_path / "x.zarr", VOLUME[0], chunks=(2, 16, 20))
    assert read_image(path).image.shape == (1, 5, 33, 47)
    edited(path, "zarr.json", change)
    with pytest.raises(InputError, match=says):
        read_image(path)


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({}, "without an image"),
        ({"plate": {}}, "plate"),
        ({"multiscales": [{}, {}]}, "2 images"),
        ({"multiscales": 3}, "damaged"),
        ({"multiscales": [{"datasets": []}]}, "damaged"),
        ({"multiscales": [{"datasets": [{"path": "../y.zarr/0"}]}]}, "outside its folder"),
        ({"multiscales": [{"datasets": [{"path": "/etc"}]}]}, "outside its folder"),
        ({"multiscales": [{"datasets": [{"path": "gone"}]}]}, "lacks its level"),
        ({"multiscales": [{"datasets": [{"path": "0"}], "axes": [{"name": "q"}] * 4}]}, "axes"),
        ({"multiscales": [{"datasets": [{"path": "0"}], "axes": ["c", "z", "y", "y"]}]}, "cannot be used"),
    ],
)
def test_groups_that_are_refused(tmp_path, attributes, says):
    ome(tmp_path / "y.zarr", VOLUME)
    path = ome(tmp_path / "x.zarr", VOLUME, "0.4")
    assert read_image(path).image.shape == VOLUME.shape
    (path / ".zattrs").write_text(json.dumps(attributes))
    with pytest.raises(InputError, match=says):
        read_image(path)


def test_json_that_is_none(tmp_path):
    path = plain(tmp_path / "x.zarr", VOLUME[0])
    for content in (b"{", b"[1]", b"\xff\xfe", b"[" * 10**5, b" " * (2**24 + 1)):
        (path / "zarr.json").write_bytes(content)
        with pytest.raises(InputError, match=r"x\.zarr"):
            read_image(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no links and pipes here")
def test_links_out_of_the_folder_and_pipes_are_not_followed(tmp_path):
    secret = tmp_path / "secret"
    path = plain(tmp_path / "x.zarr", VOLUME[0], chunks=(5, 33, 47), compressors=None)
    chunk = path / "c/0/0/0"
    chunk.rename(secret)
    chunk.symlink_to(secret)
    with pytest.raises(InputError, match="leads out"):
        read_image(path)
    chunk.unlink()
    os.mkfifo(chunk)
    with pytest.raises(InputError, match="not an ordinary file"):
        read_image(path)
    chunk.unlink()
    (path / "inside").write_bytes(secret.read_bytes())
    chunk.symlink_to(path / "inside")
    assert np.array_equal(read_image(path).image[0], VOLUME[0])
    (path / "zarr.json").rename(tmp_path / "json")
    (path / "zarr.json").symlink_to(tmp_path / "json")
    with pytest.raises(InputError, match="leads out"):
        read_image(path)
    group = ome(tmp_path / "g.zarr", VOLUME)
    (group / "0").rename(tmp_path / "level")
    (group / "0").symlink_to(tmp_path / "level")
    with pytest.raises(InputError, match="leads out"):
        probe(group)


# --- damage and bombs in chunks


@pytest.mark.parametrize(
    "compressor", [numcodecs.Zstd(), numcodecs.Zlib(), numcodecs.GZip(), numcodecs.LZ4(), numcodecs.Blosc()], ids=str
)
@pytest.mark.parametrize("n_bytes", [2**24, 100])
def test_a_chunk_never_becomes_larger_than_its_header_says(tmp_path, compressor, n_bytes):
    data = np.zeros((64, 64), np.uint8)
    path = plain(tmp_path / "x.zarr", data, zarr_format=2, chunks=(64, 64), compressors=compressor, fill_value=1)
    assert np.array_equal(read_image(path).image[0], data)
    (path / "0.0").write_bytes(bytes(compressor.encode(bytes(n_bytes))))
    tracemalloc.start()
    with pytest.raises(InputError, match="damaged"):
        read_image(path)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_zstd_without_a_size_is_read_and_checked(tmp_path):
    data = np.arange(100, dtype=np.uint8).reshape(10, 10)
    path = plain(tmp_path / "x.zarr", data, chunks=(10, 10), compressors=codecs.ZstdCodec())
    frame = b"\x28\xb5\x2f\xfd\x00\x58" + (1 | 100 << 3).to_bytes(3, "little") + data.tobytes()
    (path / "c/0/0").write_bytes(frame)
    assert np.array_equal(read_image(path).image[0], data)
    (path / "c/0/0").write_bytes(frame[:6] + (1 | 50 << 3).to_bytes(3, "little") + data.tobytes()[:50])
    with pytest.raises(InputError, match="damaged"):
        read_image(path)


def test_every_flipped_bit_of_our_chunks_is_seen(tmp_path):
    shape = (2, 70, 90)
    chances = np.round(RNG.random(shape), 2).astype(np.float32)
    mask = (chances > 0.9).astype(np.uint8)
    n_flips = 0
    for name, pixels in {"chances.ome.zarr": chances, "mask.ome.zarr": mask}.items():
        output = create_output(tmp_path / name, shape, pixels.dtype)
        output[...] = pixels
        path = output.finish()
        assert np.array_equal(read_image(path).image[0], pixels)
        meta = array_meta(path / "0", "x")
        for chunk in (path / "0" / "c").rglob("*"):
            if chunk.is_file():
                whole = chunk.read_bytes()
                decode_chunk(whole, meta.chunk)
                bits = range(len(whole) * 8) if len(whole) < 500 else RNG.choice(len(whole) * 8, 500, replace=False)
                for bit in [*bits, *range(200)]:  # the header's first bytes are the ones that zstd itself forgives
                    flipped = bytearray(whole)
                    flipped[bit // 8] ^= 1 << bit % 8
                    n_flips += 1
                    with pytest.raises((ValueError, RuntimeError)):
                        decode_chunk(bytes(flipped), meta.chunk)
                chunk.write_bytes(bytes(flipped))
                with pytest.raises(InputError, match="damaged in 0/c"):
                    read_image(path)
                chunk.write_bytes(whole)
    assert n_flips > 2000


def test_a_chunk_that_is_gone_from_our_own_output_is_an_error(tmp_path):
    output = create_output(tmp_path / "x.ome.zarr", (4, 30, 40), np.uint8)
    output[...] = 0
    path = output.finish()
    assert not read_image(path).image.any()
    (path / "0/c/2/0/0").unlink()
    with pytest.raises(InputError, match="lacks a part"):
        read_image(path)


def test_bombs_are_refused_from_the_json_alone(tmp_path):
    path = plain(tmp_path / "x.zarr", np.zeros((64, 64), np.uint8), chunks=(8, 8), config={"write_empty_chunks": True})
    edited(path, "zarr.json", set_to("shape", [10**6, 10**6]))
    start = time.perf_counter()
    tracemalloc.start()
    with pytest.raises(InputError, match="promises"):
        probe(path)
    assert time.perf_counter() - start < 10
    assert tracemalloc.get_traced_memory()[1] < 1e8
    tracemalloc.stop()


def test_mutated_headers_raise_only_our_errors(tmp_path):
    rng, refused = np.random.default_rng(2), 0
    folders = [
        ome(tmp_path / "a.zarr", VOLUME[:1, :2], "0.4"),
        ome(tmp_path / "b.zarr", VOLUME[:1, :2], "0.5"),
        plain(tmp_path / "c.zarr", VOLUME[0], zarr_format=2, chunks=(2, 16, 20)),
        plain(tmp_path / "d.zarr", VOLUME[0], chunks=(2, 16, 20), shards=(4, 32, 40)),
    ]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    start = time.perf_counter()
    for _ in range(600):
        file = files[int(rng.integers(len(files)))]
        whole = file.read_bytes()
        values = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            values[int(rng.integers(len(values)))] = int(rng.integers(32, 127))
        file.write_bytes(bytes(values) if rng.random() < 0.8 else whole[: int(rng.integers(len(whole)))])
        try:
            read_image(next(folder for folder in folders if folder in file.parents))
        except PuSegmentError:  # anything else fails the test
            refused += 1
        file.write_bytes(whole)
    assert 100 < refused < 600
    assert time.perf_counter() - start < 120
