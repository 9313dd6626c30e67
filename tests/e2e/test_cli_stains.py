"""The command `stains`, and nuclei by `segment`: images in, files out."""

from __future__ import annotations

import json

import numpy as np
import pytest
from skimage.data import immunohistochemistry

from napari_pu_segment import METHODS, Sample, from_strokes
from napari_pu_segment.core.images.stained import normalise_stains
from napari_pu_segment.core.images.stains import STAINS, check_rgb, measure_macenko, separate
from napari_pu_segment.io import read_image, read_mask, write_image, write_picture


@pytest.fixture
def images(tmp_path):
    """A target, and a tile of the same tissue that is redder."""
    tissue = immunohistochemistry()
    write_picture(tmp_path / "target.png", tissue[:120, :120])
    write_picture(tmp_path / "red.png", (255 * (tissue[:120, 120:240] / 255) ** [0.7, 1.3, 1]).astype(np.uint8))
    return tmp_path


def test_it_normalises_and_separates_what_python_does(images, cli, tmp_path, files_in):
    aim = measure_macenko(check_rgb(read_image(images / "target.png").image))
    expected = normalise_stains(check_rgb(read_image(images / "red.png").image), aim)
    how = ("stains", images / "red.png", "--normalise", "macenko", "--separate")
    done = cli(*how, "--target", images / "target.png", "--out", tmp_path / "out")
    assert (done.code, done.err) == (0, "")
    assert files_in(tmp_path / "out") == {"red_normalised.png", "red_stains.tif", "target.json"}
    picture = read_image(tmp_path / "out" / "red_normalised.png").image
    assert np.array_equal(picture, (expected * 255).round())
    amounts = read_image(tmp_path / "out" / "red_stains.tif")
    assert amounts.channel_names == STAINS
    assert np.array_equal(amounts.image, separate(expected))
    again = cli(*how, "--target", tmp_path / "out" / "target.json", "--out", tmp_path / "again")
    assert again.code == 0
    for name in files_in(tmp_path / "out"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert json.loads((tmp_path / "out" / "target.json").read_text("utf-8"))["method"] == "macenko"


def test_it_refuses_half_a_request_and_images_without_stains(images, cli, tmp_path):
    out = ("--out", tmp_path / "out")
    for words, why, code in (
        ((), "--separate", 2),
        (("--normalise", "macenko"), "go together", 2),
        (("--normalise", "vahadane", "--target", images / "target.png"), "no stain normalisation called 'vahadane'", 1),
    ):
        done = cli("stains", images / "red.png", *words, *out)
        assert done.code == code
        assert why in " ".join(done.err.replace("│", " ").split())
    write_image(images / "grey.tif", np.zeros((9, 9), np.uint8))
    done = cli("stains", images / "grey.tif", "--separate", *out)
    assert done.code == 1
    assert "red, green and blue" in done.err
    assert not (tmp_path / "out" / "grey_stains.tif").exists()


def test_nuclei_need_no_strokes(images, cli, tmp_path):
    done = cli(
        "segment", images / "target.png", "--method", "nuclei", "--set", "contrast=0.08", "--out", tmp_path / "n"
    )
    assert (done.code, done.err) == (0, "")
    found = from_strokes(Sample(read_image(images / "target.png").image), METHODS["nuclei"].settings(contrast=0.08))
    assert found.mask.any()
    assert np.array_equal(read_mask(tmp_path / "n" / "target_mask.tif"), found.mask != 0)
