"""`predict` and `refine` of large images and OME-Zarr: formats, the same bytes in all of them, no rests of failures."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_pu_segment.core.compute import regions
from napari_pu_segment.core.errors import OutputError
from napari_pu_segment.io import Output, create_output, read_image, read_levels, source

KINDS = ("probability", "mask", "refined")


@pytest.fixture
def zarr_scene(scene, tmp_path):
    """The scene's image as OME-Zarr, with pixels of 0.5 um."""
    image = read_image(scene / "image.png").image[0]
    (tmp_path / "in").mkdir()
    size = {"pixel_size": (0.5, 0.5), "pixel_unit": "um"}
    output = create_output(tmp_path / "in/sky.ome.zarr", image.shape, image.dtype, **size)
    output[:, :] = image
    return output.finish()


@pytest.fixture
def lazy(monkeypatch):
    """Every image counts as large: it is read lazily, and done in blocks of 32 px."""
    monkeypatch.setattr(source, "LAZY_BYTES", 0)
    monkeypatch.setattr("napari_pu_segment.io.read.LAZY_BYTES", 0)
    monkeypatch.setattr(regions, "PLANE_BLOCK_PX", (32, 32))


def test_ome_zarr_is_answered_with_ome_zarr_and_all_else_with_tiff(scene, zarr_scene, cli, model, tmp_path):
    done = cli("predict", model, zarr_scene, scene / "image.png", "--out", tmp_path / "out", "--refine", "--json")
    assert done.code == 0, done.err
    first, second = json.loads(done.out)["images"]
    assert [first[kind] for kind in KINDS] == [str(tmp_path / f"out/sky_{kind}.ome.zarr") for kind in KINDS]
    assert [second[kind] for kind in KINDS] == [str(tmp_path / f"out/image_{kind}.tif") for kind in KINDS]
    assert first["positive_fraction"] == second["positive_fraction"]
    for kind in KINDS:
        written, other = read_image(first[kind]), read_image(second[kind])
        np.testing.assert_array_equal(written.image, other.image)
        assert (written.pixel_size, written.pixel_unit) == ((0.5, 0.5), "um")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        [f"sky_{kind}.ome.zarr" for kind in KINDS] + [f"image_{kind}.tif" for kind in KINDS]
    )


@pytest.mark.parametrize(("form", "suffix"), [("tiff", ".tif"), ("ome-zarr", ".ome.zarr")])
def test_the_format_can_be_asked_for(scene, zarr_scene, cli, model, tmp_path, form, suffix):
    for image in (scene / "image.png", zarr_scene):
        done = cli("predict", model, image, "--out", tmp_path / "out", "--format", form)
        assert done.code == 0, done.err
        assert f"_*{suffix}:" in done.out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {f"{stem}_{kind}{suffix}" for stem in ("sky", "image") for kind in KINDS[:2]}


def test_an_unknown_format_is_a_usage_error(scene, cli, model, tmp_path):
    done = cli("predict", model, scene / "image.png", "--out", tmp_path, "--format", "jpeg")
    assert done.code == 2
    assert "ome-zarr" in done.err


@pytest.mark.parametrize("suffix", [".tif", ".ome.zarr"])
def test_blocks_of_a_lazy_image_are_the_bytes_of_the_whole(scene, cli, model, tmp_path, suffix, request):
    ignore = tmp_path / "ignore.npy"
    np.save(ignore, np.pad(np.ones((9, 9), np.uint8), (20, 35)))
    image = tmp_path / "image.npy"
    np.save(image, read_image(scene / "image.png").image[0])
    form = ("--refine", "--ignore", ignore, "--format", "tiff" if suffix == ".tif" else "ome-zarr")
    assert cli("predict", model, image, "--out", tmp_path / "whole", *form).code == 0
    request.getfixturevalue("lazy")
    assert not isinstance(read_image(image).image, np.ndarray)
    done = cli("predict", model, image, "--out", tmp_path / "blocks", *form)
    assert done.code == 0, done.err
    for kind in KINDS:
        whole, blocks = (read_levels(tmp_path / name / f"image_{kind}{suffix}")[0] for name in ("whole", "blocks"))
        np.testing.assert_array_equal(np.asarray(blocks), np.asarray(whole))
    assert not np.asarray(whole)[0, 20:29, 20:29].any()
    again = tmp_path / f"again{suffix}"
    done = cli("refine", image, tmp_path / f"blocks/image_probability{suffix}", "--out", again)
    assert done.code == 0, done.err
    assert np.mean(np.asarray(read_levels(again)[0]) == np.asarray(whole)) > 0.9  # here nothing is ignored


def test_results_can_be_written_again_but_no_other_folder_is_replaced(zarr_scene, cli, model, tmp_path):
    for _ in range(2):
        assert cli("predict", model, zarr_scene, "--out", tmp_path / "out").code == 0
    (tmp_path / "own.ome.zarr").mkdir()
    (tmp_path / "own.ome.zarr/thesis.txt").write_text("years of work")
    done = cli("refine", zarr_scene, tmp_path / "out/sky_probability.ome.zarr", "--out", tmp_path / "own.ome.zarr")
    assert done.code == 1
    assert "it is a folder" in done.err
    assert (tmp_path / "own.ome.zarr/thesis.txt").read_text() == "years of work"
    done = cli("refine", zarr_scene, tmp_path / "out/sky_probability.ome.zarr", "--out", zarr_scene)
    assert done.code == 1
    assert "replace an input" in done.err


def test_nothing_is_written_into_an_image(zarr_scene, cli, model, files_in):
    before = files_in(zarr_scene)
    for out in (zarr_scene, zarr_scene / "0"):
        done = cli("predict", model, zarr_scene, "--out", out)
        assert (done.code, "lie in an image" in done.err) == (1, True)
    assert files_in(zarr_scene) == before


def test_a_full_disk_leaves_one_sentence_and_no_file(scene, cli, model, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    real = Output.__setitem__

    def full(self, key, block):
        if "refined" in self.path.name:
            raise OutputError(f"Cannot write {str(self.path)!r}: No space left on device. Choose another folder.")
        real(self, key, block)

    monkeypatch.setattr(Output, "__setitem__", full)
    done = cli("predict", model, scene / "image.png", "--out", tmp_path / "out", "--refine")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "No space left" in done.err
    assert list((tmp_path / "out").iterdir()) == []


def test_an_ignore_mask_of_another_size_is_refused_by_name(scene, cli, model, tmp_path):
    np.save(tmp_path / "ignore.npy", np.zeros((9, 9), np.uint8))
    done = cli("predict", model, scene / "image.png", "--ignore", tmp_path / "ignore.npy", "--out", tmp_path / "out")
    assert done.code == 1
    assert "(9, 9)" in done.err
    assert "ignore.npy" in done.err
