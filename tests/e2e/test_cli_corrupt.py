"""The command ``corrupt``."""

from __future__ import annotations

import numpy as np

from napari_pu_segment.io import read_mask, write_image


def test_a_mask_is_made_worse_and_the_original_stays(tmp_path, cli):
    mask = np.zeros((40, 50), np.uint8)
    mask[10:30, 10:30] = 1
    write_image(tmp_path / "mask.tif", mask)
    done = cli(
        "corrupt", tmp_path / "mask.tif", "--kind", "polygon", "--vertices", 3, "--out", tmp_path / "a/worse.tif"
    )
    assert (done.code, done.err) == (0, "")
    worse = read_mask(tmp_path / "a/worse.tif")
    assert 0 < worse.sum() < 300
    share = 2 * worse.sum() / (worse.sum() + 400)
    assert f"Dice {share:.3f}" in done.out
    assert read_mask(tmp_path / "mask.tif").sum() == 400


def test_an_unknown_kind_is_refused_with_those_there_are(tmp_path, cli):
    write_image(tmp_path / "mask.tif", np.ones((4, 4), np.uint8))
    done = cli("corrupt", tmp_path / "mask.tif", "--kind", "magic", "--out", tmp_path / "worse.tif")
    assert done.code == 1
    assert "polygon, box, dilate" in done.err
    assert not (tmp_path / "worse.tif").exists()
