"""Outputs that are written block by block: whole or absent, resumable, the same bytes each time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaozarrs
import zarr

from napari_pu_segment.core.errors import InputError, OutputError, PuSegmentError
from napari_pu_segment.io import (
    create_output,
    open_part,
    read_image,
    read_levels,
    tiff_write,
    write_image,
)
from napari_pu_segment.io.zarr_write import CHUNK_PX

RNG = np.random.default_rng(0)
CHANCES = RNG.random((1500, 2300)).astype(np.float32)
SIZE = {"pixel_size": (0.5, 0.25), "pixel_unit": "um"}


def fill(output, pixels: np.ndarray) -> None:
    """Write an output in blocks that fit its chunks."""
    steps = [range(0, n, b) for n, b in zip(output.shape, output.block_px, strict=True)]
    for index in np.ndindex(*map(len, steps)):
        box = tuple(slice(s[i], s[i] + b) for i, s, b in zip(index, steps, output.block_px, strict=True))
        output[box] = pixels[box]


def digest(path: Path) -> str:
    """Of a file, or of all files of a folder and their names."""
    sums = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            sums.update(f"{file.relative_to(path.parent)}".encode() + file.read_bytes())
    return sums.hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["x.tif", "x.ome.zarr", "x.zarr"])
def test_an_output_appears_whole_at_the_end(tmp_path, name):
    output = create_output(tmp_path / name, CHANCES.shape, "float32", **SIZE)
    assert (output.shape, output.dtype, output.block_px) == (CHANCES.shape, np.float32, (CHUNK_PX, CHUNK_PX))
    assert not output[900:1100, 7].any()
    fill(output, CHANCES)
    assert np.array_equal(output[900:1100, 7], CHANCES[900:1100, 7])
    assert not (tmp_path / name).exists()
    assert output.finish() == tmp_path / name
    assert names(tmp_path) == [name]
    got = read_image(tmp_path / name)
    assert np.array_equal(got.image[0], CHANCES)
    assert (got.pixel_size, got.pixel_unit) == ((0.5, 0.25), "um")


@pytest.mark.parametrize("name", ["x.tif", "x.ome.zarr"])
def test_blocks_of_any_place_and_size(tmp_path, name):
    pixels = RNG.integers(0, 200, (3, 1100, 40)).astype(np.uint8)
    output = create_output(tmp_path / name, pixels.shape, np.uint8, labels=True)
    for y in range(0, 1100, 333):
        output[:, y : y + 333] = pixels[:, y : y + 333]
    output[1, 5] = 7
    pixels[1, 5] = 7
    output[-1, 1000:1090, 3] = pixels[-1, 1000:1090, 3]
    assert np.array_equal(output[..., ::2], pixels[..., ::2])
    with pytest.raises(TypeError, match="steps"):
        output[::2] = 0
    with pytest.raises(IndexError):
        output[3] = 0
    assert np.array_equal(read_image(output.finish()).image[0], pixels)


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [((30, 40), "YX", "CYX"), ((3, 30, 40), "", "CZYX"), ((3, 30, 40), "CTYX", "CTYX"), ((2, 3, 9, 8), "", "CTZYX")],
)
@pytest.mark.parametrize("suffix", [".tif", ".ome.zarr"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "uint32"])
def test_axes_and_types_come_back(tmp_path, shape, axes, expected, suffix, dtype):
    pixels = RNG.integers(0, 99, shape).astype(dtype)
    size = {"pixel_size": (2.0, 0.5, 0.25)[-2 - ("Z" in expected) :], "pixel_unit": "nm"}
    output = create_output(tmp_path / f"x{suffix}", shape, dtype, axes=axes, **size)
    output[...] = pixels
    got = read_image(output.finish())
    assert got.axes == expected
    assert np.array_equal(got.image[0], pixels)
    assert got.pixel_size == pytest.approx(size["pixel_size"])
    assert got.pixel_unit == "nm"


def test_ome_zarr_as_others_see_it(tmp_path):
    output = create_output(tmp_path / "x.ome.zarr", CHANCES.shape, np.float32, **SIZE)
    fill(output, CHANCES)
    path = output.finish()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yaozarrs.validate_zarr_store(str(path))
    group = zarr.open_group(path, mode="r")
    assert np.array_equal(group["0"][:], CHANCES)
    means = CHANCES.reshape(750, 2, 1150, 2).astype(np.float64).mean((1, 3))
    assert np.allclose(group["1"][:], means)
    assert [group[name].shape for name in "012"] == [(1500, 2300), (750, 1150), (375, 575)]
    assert [level.shape[1:] for level in read_levels(path)] == [(1500, 2300), (750, 1150), (375, 575)]
    (scales,) = yaozarrs.open_group(str(path)).ome_metadata().multiscales
    assert [axis.unit for axis in scales.axes] == ["micrometer"] * 2
    assert [d.scale_transform.scale for d in scales.datasets] == [[0.5, 0.25], [1.0, 0.5], [2.0, 1.0]]
    assert scales.datasets[1].translation_transform.translation == [0.25, 0.125]


def test_labels_are_told_and_never_averaged(tmp_path):
    labels = (RNG.random((5, 1201, 30)) > 0.5).astype(np.uint8) * 7
    output = create_output(tmp_path / "x.ome.zarr", labels.shape, np.uint8, labels=True)
    fill(output, labels)
    path = output.finish()
    yaozarrs.validate_zarr_store(str(path))
    assert isinstance(yaozarrs.open_group(str(path)).ome_metadata(), yaozarrs.v05.LabelImage)
    assert np.array_equal(zarr.open_group(path, mode="r")["1"][:], labels[:, ::2, ::2])


@pytest.mark.parametrize("name", ["x.tif", "x.ome.zarr"])
def test_the_same_pixels_give_the_same_bytes(tmp_path, name, monkeypatch):
    monkeypatch.setattr(tiff_write, "LAZY_BYTES", 2**20)  # so that the TIFF is tiled
    sums = []
    for folder, step in (("a", 1024), ("b", 300)):
        (tmp_path / folder).mkdir()
        output = create_output(tmp_path / folder / name, CHANCES.shape, np.float32, **SIZE)
        for y in range(0, 1500, step):
            output[y : y + step] = CHANCES[y : y + step]
        sums.append(digest(output.finish()))
    assert sums[0] == sums[1]
    if name == "x.tif":
        write_image(tmp_path / "x.tif", CHANCES, (0.5, 0.25), "um")
        assert digest(tmp_path / "x.tif") == digest(tmp_path / "a/x.tif")


@pytest.mark.parametrize("dtype", ["uint8", "float32", "int32"])
def test_large_tiffs_are_tiled_and_tell_axes_and_size(tmp_path, dtype, monkeypatch):
    monkeypatch.setattr(tiff_write, "LAZY_BYTES", 2**10)
    pixels = RNG.integers(0, 99, (2, 3, 700, 513)).astype(dtype)
    write_image(tmp_path / "x.tif", pixels, (2.0, 0.5, 0.25), "um", "TZYX")
    with tifffile.TiffFile(tmp_path / "x.tif") as tif:
        assert tif.is_bigtiff
        assert tif.pages.first.is_tiled
    assert np.array_equal(tifffile.imread(tmp_path / "x.tif"), pixels)
    got = read_image(tmp_path / "x.tif")
    assert np.array_equal(got.image[0], pixels)
    assert (got.axes, got.pixel_size, got.pixel_unit) == ("CTZYX", (2.0, 0.5, 0.25), "um")


# --- going on after an end


@pytest.mark.parametrize("name", ["x.tif", "x.ome.zarr"])
def test_an_unfinished_output_is_found_again_by_its_key(tmp_path, name):
    told = {"dtype": np.float32, "key": "model 1", **SIZE}
    first = create_output(tmp_path / name, CHANCES.shape, **told)
    first[:1024, :1024] = CHANCES[:1024, :1024]
    again = create_output(tmp_path / name, CHANCES.shape, **told, resume=True)
    assert again.holds(np.s_[:1024, :1024])
    assert not again.holds(np.s_[:1024, :1025])
    assert np.array_equal(again[:1024, :1024], CHANCES[:1024, :1024])
    assert not create_output(tmp_path / name, CHANCES.shape, **{**told, "key": "2"}, resume=True).holds(np.s_[:9, :9])
    fill(again, CHANCES)
    assert np.array_equal(read_image(again.finish()).image[0], CHANCES)
    fresh = create_output(tmp_path / name, CHANCES.shape, **told, resume=True)
    assert not fresh.holds(np.s_[:9, :9])
    other = create_output(tmp_path / name, (8, 9), **told, resume=True)
    assert other.shape == (8, 9)


def test_damaged_blocks_are_forgotten_on_resuming(tmp_path):
    output = create_output(tmp_path / "x.ome.zarr", (3, 40, 50), np.uint8, key="k")
    output[...] = 5
    chunks = sorted((output.path_of_part / "image/0/c").glob("*/0/0"))
    assert len(chunks) == 3
    chunks[1].write_bytes(chunks[1].read_bytes()[:-3])
    again = create_output(tmp_path / "x.ome.zarr", (3, 40, 50), np.uint8, key="k", resume=True)
    assert [again.holds(z) for z in range(3)] == [True, False, True]
    with pytest.raises(PuSegmentError, match="1 of its blocks"):
        again.finish()
    again[1] = 5
    assert (read_image(again.finish()).image == 5).all()


def test_other_processes_open_the_unfinished_output_by_its_path(tmp_path):
    output = create_output(tmp_path / "x.ome.zarr", (2, 30, 40), np.uint8)
    worker = open_part(output.path_of_part)
    worker[1] = 9
    output[0] = 3
    assert (output[1] == 9).all()
    assert worker.path == tmp_path / "x.ome.zarr"
    output.finish()
    with pytest.raises(OutputError, match="gone"):
        open_part(output.path_of_part)
    with pytest.raises(OutputError):
        worker[1] = 1


def test_discarding_leaves_nothing(tmp_path):
    write_image(tmp_path / "x.tif", CHANCES[:9, :9])
    before = digest(tmp_path / "x.tif")
    output = create_output(tmp_path / "x.tif", (8, 9), np.uint8)
    output[...] = 1
    assert len(names(tmp_path)) == 2
    output.discard()
    assert names(tmp_path) == ["x.tif"]
    assert digest(tmp_path / "x.tif") == before


def test_what_lies_there_is_replaced_and_links_are_not_written_through(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    (tmp_path / "link.ome.zarr").symlink_to(precious)
    for name in ("link.ome.zarr", "file.ome.zarr", "folder.ome.zarr", "x.tif"):
        for value in (1, 2):
            output = create_output(tmp_path / name, (8, 9), np.uint8)
            output[...] = value
            assert (read_image(output.finish()).image == value).all()
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "folder.tif/file").touch()
    output = create_output(tmp_path / "folder.tif", (8, 9), np.uint8)
    output[...] = 1
    with pytest.raises(OutputError, match=r"folder\.tif"):
        output.finish()
    output.discard()
    assert names(tmp_path / "folder.tif") == names(precious) == ["file"]
    assert not (tmp_path / "link.ome.zarr").is_symlink()
    assert not [name for name in names(tmp_path) if name.startswith(".")]


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "says"),
    [
        ("x.png", (3, 4), "uint8", "ends with"),
        ("x.tif", (3, 4), "complex64", "not a result"),
        ("x.tif", (4,), "uint8", "not a result"),
        ("x.tif", (0, 4), "uint8", "not a result"),
        ("x.tif", (1, 1, 1, 3, 4), "uint8", "not a result"),
        ("gone/x.tif", (3, 4), "uint8", "Cannot write"),
        ("file/x.ome.zarr", (3, 4), "uint8", "Cannot write"),
    ],
)
def test_what_cannot_be_written(tmp_path, name, shape, dtype, says):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=says):
        create_output(tmp_path / name, shape, dtype)
    assert names(tmp_path) == ["file"]


# --- a disk that is full, at any moment


class FullDisk:
    """Counts the calls that need the disk, and fails from the n-th one on."""

    def __init__(self, monkeypatch, fails_at: int) -> None:
        self.n_calls, self.fails_at = 0, fails_at
        for place in ("os.replace", "os.fsync", "tempfile.mkstemp", "pathlib.Path.write_text", "tifffile.imwrite"):
            module, _, function = place.rpartition(".")
            owner = {"os": os, "tempfile": tempfile, "tifffile": tifffile, "pathlib.Path": Path}[module]
            monkeypatch.setattr(owner, function, self._wrapped(getattr(owner, function)))

    def _wrapped(self, function):
        def call(*args, **kwargs):
            self.n_calls += 1
            if self.n_calls >= self.fails_at:
                raise OSError(28, "No space left on device")
            return function(*args, **kwargs)

        return call


def make(path: Path) -> Path:
    output = create_output(path, (2, 1100, 30), np.float32, key="k", resume=True)
    for z in range(2):
        for part in (np.s_[z, :1024], np.s_[z, 1024:]):
            if not output.holds(part):
                output[part] = z + 0.5
    return output.finish()


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    FullDisk(monkeypatch, 6)
    with pytest.raises(OutputError, match=r"^Cannot write '.*x\.tif': No space left on device\. [^\n]*\.$"):
        make(tmp_path / "x.tif")


@pytest.mark.parametrize("name", ["x.tif", "x.ome.zarr"])
def test_a_full_disk_tears_nothing_and_the_rest_is_done_later(tmp_path, name):
    (tmp_path / "whole").mkdir()
    expected = digest(make(tmp_path / "whole" / name))
    for n in range(1, 100):
        folder = tmp_path / str(n)
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            disk = FullDisk(patch, n)
            with contextlib.suppress(OutputError):  # anything else fails the test
                make(folder / name)
            finished = disk.n_calls < n
        assert finished == (not [entry for entry in names(folder) if entry.startswith(".")] and n > 5)
        assert digest(make(folder / name)) == expected
        if finished:
            break
    assert n > 10
    assert finished
