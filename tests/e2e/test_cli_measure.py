"""The command ``measure``: its table, its labels, its words."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from napari_pu_segment.io import read_image, write_image


@pytest.fixture
def files(tmp_path):
    """A mask of three boxes (12, 100 and 4 px), an image of two values in each, 0.5 um a pixel."""
    mask = np.zeros((60, 80), np.uint8)
    mask[10:13, 20:24] = mask[40:50, 60:70] = mask[30:32, 5:7] = 1
    image = np.full((60, 80), 7, np.uint16)
    image[:, 22:] = 9
    write_image(tmp_path / "mask.tif", mask, (0.5, 0.5), "um")
    write_image(tmp_path / "image.tif", image, (0.5, 0.5), "um")
    return tmp_path


def table(path):
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_figures_worked_out_by_hand(files, cli, files_in):
    done = cli("measure", files / "mask.tif", files / "image.tif", "--out", files / "a" / "t.csv")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{files / 'a' / 't.csv'}: 2 objects\n"
    assert files_in(files) == {"mask.tif", "image.tif", "a", "a/t.csv"}
    first, second = table(files / "a" / "t.csv")
    assert (first["label"], first["area_px"], first["area_um2"]) == ("1", "12", "3")
    assert (first["centroid_y_um"], first["centroid_x_px"], first["perimeter_um"]) == ("5.5", "21.5", "5")
    assert [first[f"{what}_intensity"] for what in ("mean", "min", "max", "std")] == ["8", "7", "9", "1"]
    assert (second["area_um2"], second["mean_intensity"], second["touches_border"]) == ("25", "9", "0")


def test_objects_are_written_and_settings_obeyed(files, cli):
    done = cli("measure", files / "mask.tif", "--out", files / "t.csv", "--objects", files / "o.tif")
    assert done.code == 0
    assert np.bincount(read_image(files / "o.tif").image.ravel()).tolist() == [60 * 80 - 112, 12, 100]
    assert read_image(files / "o.tif").pixel_size == (0.5, 0.5)
    assert not any("intensity" in name for name in table(files / "t.csv")[0])
    assert cli("measure", files / "mask.tif", "--out", files / "t.csv", "--set", "min_size_px=1").code == 0
    assert [row["area_px"] for row in table(files / "t.csv")] == ["12", "4", "100"]


def test_objects_of_a_series_stay_a_series(files, cli):
    series = np.zeros((3, 20, 30), np.uint8)
    series[:, 5:15, 5:15] = 1
    write_image(files / "series.tif", series, axes="TYX")
    assert cli("measure", files / "series.tif", "--out", files / "t.csv", "--objects", files / "o.tif").code == 0
    assert (read_image(files / "o.tif").axes, read_image(files / "series.tif").axes) == ("CTYX", "CTYX")


def test_ignored_pixels_and_the_probability(files, cli):
    ignore, probability = np.zeros((60, 80), np.uint8), np.full((60, 80), 0.5, np.float32)
    ignore[:, 65:] = 255
    probability[:, 64] = 0.25
    write_image(files / "ignore.tif", ignore)
    write_image(files / "p.tif", probability)
    base = ("measure", files / "mask.tif", "--out", files / "t.csv", "--ignore", files / "ignore.tif")
    assert cli(*base).code == 0
    assert [(row["area_px"], row["touches_ignored"]) for row in table(files / "t.csv")] == [("12", "0"), ("50", "1")]
    assert cli(*base, "--probability", files / "p.tif").code == 0
    assert [row["mean_probability"] for row in table(files / "t.csv")] == ["0.5", "0.45"]


def test_what_cannot_be_is_one_sentence(files, cli):
    mask = files / "mask.tif"
    done = cli("measure", mask, "--out", files / "t.csv", "--set", "splitter=probability")
    assert done.code == 1
    assert "no probability" in done.err
    assert done.err.count("\n") == 1
    done = cli("measure", mask, "--out", files / "t.csv", "--set", "splitter=magic")
    assert done.code == 1
    assert "connected, distance, probability" in done.err
    write_image(files / "small.tif", np.zeros((5, 5), np.uint8))
    done = cli("measure", mask, files / "small.tif", "--out", files / "t.csv")
    assert done.code == 1
    assert "(5, 5)" in done.err
    assert cli("measure", mask, "--out", mask).code == 1
    assert cli("measure", mask).code == 2
    assert not (files / "t.csv").exists()
