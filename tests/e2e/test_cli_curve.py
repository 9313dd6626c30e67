"""Curves of sensitivity and purity: `predict --curve` and `evaluate --curve`."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from napari_pu_segment.io import read_mask, read_probability, write_image
from napari_pu_segment.io.lazy import LazyImage


def table(path):
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def at(rows, threshold, source):
    """The first row from a threshold on."""
    return next(row for row in rows if row["source"] == source and float(row["threshold"]) >= threshold)


def test_predict_estimates_a_curve(scene, model, cli, files_in, tmp_path, monkeypatch):
    done = cli("predict", model, scene / "image.png", "--out", tmp_path / "a", "--curve", "--json")
    assert (done.code, done.err) == (0, "")
    assert files_in(tmp_path / "a") == {"image_probability.tif", "image_mask.tif", "image_curve.csv"}
    told = json.loads(done.out)
    assert told["images"][0]["curve"] == str(tmp_path / "a" / "image_curve.csv")
    rows = table(tmp_path / "a" / "image_curve.csv")
    assert {row["source"] for row in rows} == {"estimated"}
    own = at(rows, told["threshold"], "estimated")
    assert float(own["sensitivity"]) == pytest.approx(float(own["purity"]), abs=0.05)  # as much missed as false
    assert cli("predict", model, scene / "image.png", "--out", tmp_path / "b").code == 0
    assert files_in(tmp_path / "b") == {"image_probability.tif", "image_mask.tif"}

    for module in ("read", "source"):
        monkeypatch.setattr(f"napari_pu_segment.io.{module}.LAZY_BYTES", 0)
    assert cli("predict", model, scene / "image.png", "--out", tmp_path / "c", "--curve").code == 0
    assert isinstance(read_probability(tmp_path / "c" / "image_probability.tif"), LazyImage)
    assert table(tmp_path / "c" / "image_curve.csv") == rows, "large files are lazy"


def test_evaluate_measures_one(scene, model, cli, tmp_path):
    assert cli("predict", model, scene / "image.png", "--out", tmp_path).code == 0
    mask, chances = tmp_path / "image_mask.tif", tmp_path / "image_probability.tif"
    given = ("evaluate", mask, scene / "truth.png", "--probability", chances)
    done = cli(*given, "--curve", tmp_path / "c" / "curve.csv")
    assert (done.code, done.err) == (0, "")
    rows = table(tmp_path / "c" / "curve.csv")
    assert {row["source"] for row in rows} == {"pixels"}
    row = at(rows, 0.4, "pixels")
    found, true = np.asarray(read_probability(chances)) >= float(row["threshold"]), read_mask(scene / "truth.png")
    assert float(row["sensitivity"]) == pytest.approx((found & true).sum() / true.sum(), abs=0.01)
    assert float(row["purity"]) == pytest.approx((found & true).sum() / found.sum(), abs=0.01)
    assert cli(*given, "--curve", tmp_path / "o.csv", "--objects", "--set", "min_size_px=30").code == 0
    both = table(tmp_path / "o.csv")
    assert [row for row in both if row["source"] == "pixels"] == rows
    row = at(both, 0.5, "objects")
    assert (row["sensitivity"], row["purity"]) == ("1", "1"), "two discs, and nothing else so large"


def test_a_curve_of_each_class(cli, tmp_path, monkeypatch):
    truth = np.zeros((20, 20), np.uint8)
    truth[:, :5], truth[:, 15:] = 1, 2
    chances = np.stack([np.where(truth == 1, 0.9, 0.05), np.where(truth == 2, 0.4, 0.05)]).astype(np.float32)
    write_image(tmp_path / "truth.tif", truth)
    np.save(tmp_path / "chances.npy", chances)
    given = ("evaluate", tmp_path / "truth.tif", tmp_path / "truth.tif", "--classes", "--curve", tmp_path / "c.csv")
    assert "--probability" in cli(*given).err
    done = cli(*given, "--probability", tmp_path / "chances.npy")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["mean_dice"] == 1
    rows = table(tmp_path / "c.csv")
    assert [row["class"] for row in rows] == ["1"] * 203 + ["2"] * 203
    second = [row for row in rows if row["class"] == "2"]
    assert at(second, 0.39, "pixels")["sensitivity"] == "1"  # 0.4 against 0.55 of the background is 0.42
    assert at(second, 0.44, "pixels")["sensitivity"] == "0"
    with monkeypatch.context() as changed:
        changed.setattr("napari_pu_segment.io.read.LAZY_BYTES", 0)
        changed.setattr("napari_pu_segment.io.source.LAZY_BYTES", 0)
        assert isinstance(read_probability(tmp_path / "chances.npy"), LazyImage)
        assert cli(*given, "--objects", "--probability", tmp_path / "chances.npy").code == 0
    assert [row for row in table(tmp_path / "c.csv") if row["source"] == "pixels"] == rows, "large files are lazy"
    write_image(tmp_path / "second.tif", np.where(truth == 2, truth, 0).astype(np.uint8))
    given = (*given[:2], tmp_path / "second.tif", *given[3:], "--probability", tmp_path / "chances.npy")
    assert cli(*given).code == 0
    assert table(tmp_path / "c.csv") == second, "the truth has nothing of class 1"
    (tmp_path / "c.csv").unlink()
    write_image(tmp_path / "second.tif", np.zeros_like(truth))
    assert "no object" in cli(*given).err
    assert not (tmp_path / "c.csv").exists()


def test_what_does_not_fit_is_told(scene, model, cli, tmp_path):
    assert cli("predict", model, scene / "image.png", "--out", tmp_path).code == 0
    mask, chances = tmp_path / "image_mask.tif", tmp_path / "image_probability.tif"
    done = cli("evaluate", mask, scene / "truth.png", "--curve", tmp_path / "c.csv")
    assert done.code == 1
    assert "--probability" in done.err
    done = cli("evaluate", mask, mask, "--classes", "--probability", chances, "--curve", tmp_path / "c.csv")
    assert done.code == 1
    assert "several classes" in done.err
    for more in (("--objects",), ("--curve", tmp_path / "c.csv", "--set", "min_size_px=5")):
        done = cli("evaluate", mask, scene / "truth.png", "--probability", chances, *more)
        assert done.code == 1
        assert "--objects" in done.err
    assert not (tmp_path / "c.csv").exists()
    done = cli("evaluate", mask, scene / "truth.png", "--probability", chances, "--curve", chances)
    assert done.code == 1
    assert chances.read_bytes()[:4] == b"II*\0"
