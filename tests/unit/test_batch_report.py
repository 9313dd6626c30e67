"""What a report tells: outliers, plots, pictures, and names that are made to break a page."""

from __future__ import annotations

import base64
import io
import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from napari_pu_segment.batch.page import page, write_report
from napari_pu_segment.batch.pictures import SIDE_PX, histogram, outliers, thumbnail
from napari_pu_segment.batch.plans import BatchPlan
from napari_pu_segment.batch.report import BatchReport
from napari_pu_segment.batch.settings import BatchSettings, Facts, FileReport
from napari_pu_segment.core.progress import run
from napari_pu_segment.figures import OUTLINE_RGB

EVIL = "<script>alert(1)</script>\"'&\udcff\n.tif"


@pytest.fixture
def report_of(tmp_path):
    """A function that makes a report of files with certain area fractions, one of them refused."""

    def make(fractions: list[float]) -> BatchReport:
        settings = BatchSettings(model=tmp_path / "m", folder=tmp_path / "in", out=tmp_path)
        plan = BatchPlan(settings, "k" * 64, "f" * 64, (), (), 0, 0, 0, 0, 0, 0.0)
        files = [
            FileReport(
                f"image{i:02}.tif",
                "ok",
                facts=Facts(axes="CYX", shape=(1, 8, 8), dtype="uint8", threshold=0.5, positive_fraction=x),
            )
            for i, x in enumerate(fractions)
        ]
        return BatchReport(plan, (*files, FileReport(EVIL, "refused", f"Image file {EVIL!r} is bad.")), 2, 1.5)

    return make


def test_values_that_stand_apart():
    values = [*np.random.default_rng(0).normal(0.3, 0.02, 60), 0.9, 0.0]
    assert [i for i, apart in enumerate(outliers(values)) if apart] == [60, 61]
    assert not any(outliers([0.3] * 20))
    assert outliers([*[0.3] * 20, 0.4])[-1]  # no spread but for this one
    assert not any(outliers([0, 0, 0, 0, 0, 1, 1]))  # too few to tell
    assert outliers([]) == []


def test_outliers_do_not_hide_one_another():
    values = [*np.random.default_rng(1).normal(0.3, 0.01, 40), *[0.9] * 8]
    assert np.abs(np.array(values) - np.mean(values)).max() < 3 * np.std(values)  # three sigmas would find none
    assert [i for i, apart in enumerate(outliers(values)) if apart] == list(range(40, 48))


def test_a_histogram_is_a_whole_picture_of_all_values():
    svg = ElementTree.fromstring(histogram([0.1, 0.2, 0.2, 0.9], "Area", marked=[0.9]))
    bars = [bar for bar in svg.iter("rect") if bar.get("class") == "bar" and float(bar.get("height")) > 0]
    assert len(bars) == 3
    assert len([mark for mark in svg.iter("rect") if mark.get("class") == "mark"]) == 1
    for values in ([], [0.0], [7.0, 7.0]):
        ElementTree.fromstring(histogram(values, "Area"))


@pytest.mark.parametrize("shape", [(1, 40, 60), (3, 400, 900), (2, 5, 30, 30), (1, 4, 3, 2000, 10), (1, 1, 1)])
def test_thumbnails_are_small_and_outline_the_mask(shape):
    image, mask = np.random.default_rng(0).normal(100, 5, shape), np.zeros(shape[1:], np.uint8)
    mask[..., shape[-2] // 4 : -(shape[-2] // 4) or None, shape[-1] // 4 : -(shape[-1] // 4) or None] = 1
    pictures = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(run(thumbnail(image, which)))))).astype(int)
        for which in (mask, np.zeros_like(mask))
    ]
    assert max(pictures[0].shape[:2]) <= SIDE_PX
    if min(shape[-2:]) > 20:
        near = [(abs(picture - OUTLINE_RGB).sum(axis=-1) < 120).mean() for picture in pictures]
        assert near[0] > 0.01 > near[1]


def test_thumbnails_of_odd_values():
    for image in (np.full((1, 9, 9), np.nan), np.full((1, 9, 9), 7), np.full((1, 9, 9), np.inf)):
        assert run(thumbnail(image, np.ones((9, 9), np.uint8)))


def test_the_report_counts_files_and_flags_outliers(report_of):
    report = report_of([*np.random.default_rng(0).normal(0.3, 0.01, 20), 0.8])
    assert report.counts == {"ok": 21, "skipped": 0, "refused": 1, "failed": 0}
    assert report.outliers() == {"image20.tif": ("area fraction",)}
    assert not report.all_good
    row = report.to_dict()["files"][20]
    assert (row["name"], row["outlier_in"], row["positive_fraction"]) == ("image20.tif", ["area fraction"], 0.8)


def test_the_page_stands_alone_and_nothing_in_it_runs(report_of, tmp_path):
    report = report_of([0.2, 0.3])
    write_report(report)
    text = (tmp_path / "report.html").read_text("utf-8")
    assert text == page(report)
    assert "image00.tif" in text
    assert "&lt;script&gt;" in text
    assert "<script" not in text
    assert "default-src 'none'" in text
    sources = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]*)""", text)
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert "http" not in text.replace("http-equiv", "")
    body = re.sub(r"<!doctype html>|<meta[^>]*>|<img[^>]*>|<br>", "", text)
    ElementTree.fromstring(body)  # every tag is closed: no name has broken out


def test_the_report_for_programs_is_json_whatever_the_names(report_of, tmp_path):
    write_report(report_of([0.2]))
    told = json.loads((tmp_path / "report.json").read_bytes())
    assert told["counts"] == {"ok": 1, "skipped": 0, "refused": 1, "failed": 0}
    assert told["n_left"] == 2
    assert [file["state"] for file in told["files"]] == ["ok", "refused"]
    assert "\\udcff" in told["files"][1]["name"]
