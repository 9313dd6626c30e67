"""The command `segment`: images and strokes in, masks out, no model."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_pu_segment import METHODS, Sample, from_strokes
from napari_pu_segment.core.samples import codes_from_masks
from napari_pu_segment.io import read_image, read_mask, read_probability, write_image


@pytest.fixture
def both(scene):
    return scene / "image.png", "--positive", scene / "positive.png", "--negative", scene / "negative.png"


def test_it_writes_what_python_finds(scene, cli, both, tmp_path, files_in):
    sample = Sample(
        read_image(scene / "image.png").image,
        codes_from_masks(read_mask(scene / "positive.png"), read_mask(scene / "negative.png")),
    )
    for name in ("random_walker", "watershed"):
        done = cli("segment", *both, "--method", name, "--out", tmp_path / name)
        assert (done.code, done.err) == (0, "")
        assert "% positive" in done.out
        assert files_in(tmp_path / name) == {"image_probability.tif", "image_mask.tif"}
        found = from_strokes(sample, METHODS[name].settings())
        assert np.array_equal(read_probability(tmp_path / name / "image_probability.tif"), found.probability)
        assert np.array_equal(read_mask(tmp_path / name / "image_mask.tif"), found.mask != 0)
        assert 0 < found.mask.mean() < 1


def test_the_walker_is_the_default_and_can_be_set_refined_and_told_in_json(scene, cli, both, tmp_path, files_in):
    words = ("--set", "beta=50", "--threshold", "0.3", "--refine", "--json", "--out", tmp_path / "out")
    done = cli("segment", *both, *words)
    assert done.code == 0
    told = json.loads(done.out)
    assert (told["method"], told["threshold"]) == ("random_walker", 0.3)
    (image,) = told["images"]
    assert image["refined"].endswith("image_refined.tif")
    assert image["refined_by"] in ("grid", "pydensecrf")
    assert image["positive_fraction"] == pytest.approx(read_mask(image["refined"]).mean())
    assert files_in(tmp_path / "out") == {"image_probability.tif", "image_mask.tif", "image_refined.tif"}
    plain = cli("segment", *both, "--set", "beta=50", "--json", "--out", tmp_path / "plain")
    assert json.loads(plain.out)["images"][0]["positive_fraction"] < read_mask(image["mask"]).mean()


def test_what_cannot_be_segmented_is_one_sentence(scene, cli, both, tmp_path):
    out = ("--out", tmp_path / "out")
    done = cli("segment", scene / "image.png", "--positive", scene / "positive.png", *out)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "has no negative ones" in done.err
    done = cli("segment", *both, "--method", "pu", *out)
    assert done.code == 1
    assert "'pu' trains a model" in done.err
    done = cli("train", *both, "--method", "watershed", "--out", tmp_path / "m")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "Use the command segment" in done.err
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "m").exists()


def test_a_series_with_strokes_on_one_frame_is_warned_of(cli, tmp_path):
    frames = np.stack([np.where(np.arange(20) < 8, 0, 9) * np.ones((10, 1))] * 2).astype(np.float32)
    codes = np.zeros((2, 10, 20), np.uint8)
    codes[1, 5, 2], codes[1, 5, 17] = 1, 2
    write_image(tmp_path / "s.tif", frames, axes="TYX")
    write_image(tmp_path / "c.tif", codes, axes="TYX")
    done = cli("segment", tmp_path / "s.tif", "--scribbles", tmp_path / "c.tif", "--out", tmp_path / "out")
    assert done.code == 0
    assert "Only 1 of 2 time points" in done.err
    mask = read_mask(tmp_path / "out/s_mask.tif")
    assert mask.reshape(2, 10, 20)[:, 0].tolist() == [[False] * 20, [True] * 8 + [False] * 12]
