"""From FITS files of several bands, with blank pixels, to a mask and a table."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from napari_pu_segment.io import read_image

fits = pytest.importorskip("astropy.io.fits", reason="pip install 'napari-pu-segment[formats]'")


def test_sources_in_two_bands(tmp_path, cli):
    from napari_pu_segment.synthetic_sky import star_field

    field = star_field(1, 192)
    bands = np.stack([field.image[0], 0.5 * field.image[0] + np.random.default_rng(0).normal(0, 1, (192, 192))])
    bands = bands.astype(np.float32) * 1e-12  # units of astronomy
    bands[:, :20, :30] = np.nan
    parts = [fits.PrimaryHDU(), *(fits.ImageHDU(band, name=name) for band, name in zip(bands, "GR", strict=True))]
    fits.HDUList(parts).writeto(tmp_path / "sky.fits")
    model = tmp_path / "m.safetensors"
    asinh = ["--set", "intensity=asinh", "--set", "sigmas_px=1.6,3.5", "--set", "one_sided=true", "--set", "threads=1"]
    done = cli("train", tmp_path / "sky.fits", "--method", "cluster", *asinh, "--out", model)
    assert (done.code, done.err) == (0, "")
    assert cli("predict", model, tmp_path / "sky.fits", "--out", tmp_path / "out").code == 0
    chance = read_image(tmp_path / "out" / "sky_probability.tif").image[0]
    mask = read_image(tmp_path / "out" / "sky_mask.tif").image[0]
    assert np.isfinite(chance).all()
    assert not mask[:18, :28].any()
    bright = field.magnitude < 21
    inside = bright & ~((field.y < 24) & (field.x < 34))
    assert mask[field.y[inside].round().astype(int), field.x[inside].round().astype(int)].all()
    assert 0 < mask.mean() < 0.3
    table = tmp_path / "t.csv"
    assert cli("measure", tmp_path / "out" / "sky_mask.tif", tmp_path / "sky.fits", "--out", table).code == 0
    with open(table, newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) >= inside.sum() // 2
    assert all(float(row["mean_G"]) > 0 and row["mean_R"] for row in rows)
