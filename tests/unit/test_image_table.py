"""Images drawn by what a table tells of them: for encoders by their weights, for models by a balanced sample."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_pu_segment.cli.main import app
from napari_pu_segment.core.curation import CurateSettings, redrawn
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.model import load_model
from napari_pu_segment.core.progress import run
from napari_pu_segment.image_set import ScanSettings, SetReport, curating, encoding
from napari_pu_segment.io import write_image
from napari_pu_segment.io.image_table import sample_of, weights_of
from tests.helpers import disks


def test_drawn_again_by_hand():
    assert redrawn(np.array([1.0, 1, 2]), 4, 0) == [0, 1, 2, 2]  # a quarter, a quarter, a half of four
    draws = [tuple(redrawn(np.array([1.0, 3]), 2, seed)) for seed in range(40)]
    assert set(draws) == {(0, 1), (1, 1)}  # half a time and one and a half times, rounded up or down
    assert 8 < sum(draw == (0, 1) for draw in draws) < 32
    assert draws[0] == tuple(redrawn(np.array([1.0, 3]), 2, 0))
    counts = Counter(redrawn(np.r_[np.full(90, 1 / 90), np.full(10, 1 / 10)], 256, 0))
    assert sum(counts[i] for i in range(90)) == pytest.approx(128, abs=1)


def test_tables_are_read_and_wrong_ones_refused(tmp_path):
    table = tmp_path / "curation.csv"
    table.write_text("name,weight,balanced_sample\na.tif,0.5,0\n'=b.tif,2,1\n")
    assert weights_of(table) == {"a.tif": 0.5, "=b.tif": 2.0}
    assert sample_of(table) == {"=b.tif"}
    table.write_text("name,weight,balanced_sample\na.tif,0,0\n")
    with pytest.raises(InputError, match="above 0"):
        weights_of(table)
    with pytest.raises(InputError, match="no balanced sample"):
        sample_of(table)
    table.write_text("name,size\na.tif,3\n")
    with pytest.raises(InputError, match="columns name and weight"):
        weights_of(table)
    with pytest.raises(InputError, match="cannot be read"):
        weights_of(tmp_path / "none.csv")


def test_an_encoder_learns_from_images_by_their_weights(tmp_path, monkeypatch):
    folder, table = tmp_path / "images", tmp_path / "curation.csv"
    folder.mkdir()
    for name in "abc":
        write_image(folder / f"{name}.tif", disks(seed=ord(name))[0][0])
    seen = []

    def train(samples, settings, **more):
        seen.append([sample.name for sample in samples])
        raise InputError("enough")
        yield

    monkeypatch.setattr(sys.modules[encoding.__module__], "METHODS", {"pretrain": SimpleNamespace(train=train)})
    table.write_text("name,weight\na.tif,0.5\nb.tif,1.5\n")
    call = ["pretrain", str(folder), "--out", str(tmp_path / "e.safetensors"), "--images", "4"]
    for words in ([], ["--balance", str(table)]):
        assert CliRunner().invoke(app, [*call, *words]).exit_code == 1
    assert seen == [["a.tif", "b.tif", "c.tif"], ["a.tif", "b.tif", "b.tif", "b.tif"]]


def test_a_model_learns_from_the_balanced_sample_of_a_report(tmp_path):
    images, masks, table = tmp_path / "in", tmp_path / "in/clean", tmp_path / "curation.csv"
    masks.mkdir(parents=True)
    for seed in range(4):
        image, truth = disks(seed=seed)
        write_image(images / f"{seed}.tif", np.roll(image, 31 * seed, 1)[0])
        write_image(masks / f"{seed}.tif", np.roll(truth, 31 * seed, 1).astype(np.uint8))
    report: SetReport = run(curating(ScanSettings(images, masks=masks), CurateSettings(n_balanced=2)))
    table.write_text(report.to_csv())
    drawn = sample_of(table)
    assert drawn == {report.names[i] for i in report.curation.balanced()}
    assert len(drawn) == 2
    for name in {f"{seed}.tif" for seed in range(4)} - drawn:
        (masks / name).write_text("no mask")  # whoever read it would fail
    call = ["train", str(images), "--out", str(tmp_path / "m.safetensors"), "--set", "n_steps=5", "--set", "threads=1"]
    assert CliRunner().invoke(app, call).exit_code == 1
    done = CliRunner().invoke(app, [*call, "--images-from", str(table)])
    assert done.exit_code == 0, done.output
    assert load_model(tmp_path / "m.safetensors").classes
    table.write_text(replace(report, curation=replace(report.curation, settings=CurateSettings())).to_csv())
    none = CliRunner().invoke(app, [*call, "--images-from", str(table)])
    assert (none.exit_code, "no balanced sample" in none.output) == (1, True)
