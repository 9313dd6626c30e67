"""The command ``curate``: a folder looked through, its report, and what it leaves alone."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from contextlib import redirect_stderr, redirect_stdout
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_pu_segment.cli.main import app
from napari_pu_segment.core.curation import CurateSettings
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.progress import run
from napari_pu_segment.image_set import REPORTS, ScanSettings, scanning

N = 16
EVIL = '=1+1 & <b onload="x">.png'


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Disks on noise, a copy, a copy turned upside down, an empty picture, files that cannot be used, and masks."""
    home = tmp_path_factory.mktemp("curate")
    images, masks = home / "images", home / "masks"
    images.mkdir()
    masks.mkdir()
    y, x = np.mgrid[:64, :64]
    for seed in range(N):
        rng = np.random.default_rng(seed)
        mask = np.zeros((64, 64), bool)
        for _ in range(4):
            row, column = rng.uniform(0, 64, 2)
            mask |= (y - row) ** 2 + (x - column) ** 2 < 81
        picture = np.clip(60 + 100 * mask + rng.normal(0, 12, mask.shape), 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(images / f"a{seed:02}.png")
        Image.fromarray(((~mask if seed == 5 else mask) * 255).astype(np.uint8)).save(masks / f"a{seed:02}_mask.png")
        if seed == 3:
            Image.fromarray(picture).save(images / "copy.bmp")
            Image.fromarray(picture[::-1]).save(images / EVIL)
    Image.fromarray(np.full((64, 64), 60, np.uint8)).save(images / "nothing.png")
    (images / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    (images / "away.png").symlink_to(home / "elsewhere.png")
    (images / "notes.txt").write_text("no image")
    np.save(images / "huge.npy", np.zeros(3))  # one axis: no image
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(masks / "nothing.png")
    return home


def hashes(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def told(folder, tmp_path_factory):
    """The report of the folder with its masks, as JSON, where it lies, and what the command said."""
    before, out, said, complained = (
        hashes(folder),
        tmp_path_factory.mktemp("told") / "out",
        io.StringIO(),
        io.StringIO(),
    )
    words = ["curate", folder / "images", "--out", out, "--masks", folder / "masks", "--set", "n_next=4"]
    words += ["--set", "n_balanced=6", "--set", "balance=classes"]
    with redirect_stdout(said), redirect_stderr(complained), pytest.raises(SystemExit) as left:
        app([str(word) for word in words], prog_name="napari-pu-segment")
    assert left.value.code == 0, complained.getvalue()
    assert hashes(folder) == before  # nothing is moved, changed or deleted
    assert sorted(path.name for path in out.iterdir()) == sorted(REPORTS)
    return json.loads((out / "curation.json").read_text()), out, said.getvalue(), complained.getvalue()


def test_what_is_found(told):
    report, out, said, _ = told
    files = {row["name"]: row for row in report["files"]}
    assert len(files) == N + 3
    assert report["exact_duplicates"] == [["a03.png", "copy.bmp"]]
    assert sorted(report["duplicates"][0]) == sorted([EVIL, "a03.png", "copy.bmp"])
    assert len(report["duplicates"]) == 1
    (pair,) = report["pairs"]
    assert (pair["first"], pair["second"], pair["second_is"]) == (EVIL, "a03.png", "top and bottom exchanged")
    assert "empty" in files["nothing.png"]["findings"]
    assert report["suspected_masks"][0] == "a05.png"
    assert files["a05.png"]["suspected"]
    assert files["a05.png"]["mask"] == "a05_mask.png"
    assert files["copy.bmp"]["suspicion"] is None  # it has no mask
    assert files["a00.png"]["class_0"] + files["a00.png"]["class_1"] == pytest.approx(1)
    assert files["copy.bmp"]["similar"][0] == ["a03.png", 0]
    assert len(set(report["balanced_sample"])) == 6
    assert {name for name, row in files.items() if row["balanced_sample"]} == set(report["balanced_sample"])
    assert all(files[name]["mask"] for name in report["balanced_sample"])  # of others the classes are unknown
    assert report["next"] == []  # each is a copy, has its mask, or is empty
    assert said.startswith(f"{out / 'report.html'}: {N + 3} images, 4 refused, 1 exact duplicates, 2 duplicates")


def test_what_cannot_be_used_is_named(told):
    report, _, _, complained = told
    reasons = {one["name"]: one["reason"] for one in report["refused"]}
    assert set(reasons) == {"away.png", "broken.png", "huge.npy", "nothing.png"}
    assert "leads nowhere" in reasons["away.png"]
    assert "measures (9, 9) pixels, but its image (64, 64)" in reasons["nothing.png"]
    assert complained.count("refused: ") == 4


def test_the_table(told):
    out = told[1]
    with open(out / "curation.csv", newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    names = [row["name"] for row in rows]
    assert names[0] == "'" + EVIL  # a spreadsheet must not run it
    assert names[1:] == sorted(names[1:])
    assert {row["shape"] for row in rows} == {"1x64x64"}
    weights = [float(row["weight"]) for row in rows]
    assert np.mean(weights) == pytest.approx(1)
    copies = [float(row["weight"]) for row in rows if row["duplicates"]]
    assert max(copies) < min(float(row["weight"]) for row in rows if not row["duplicates"] and row["group"] == "1")


def test_the_page_shows_pictures_and_runs_nothing(told):
    out = told[1]
    text = (out / "report.html").read_text("utf-8")

    class Tags(HTMLParser):
        seen: set[str]

        def handle_starttag(self, tag, attrs):
            self.seen = getattr(self, "seen", set()) | {tag} | {name for name, _ in attrs if name.startswith("on")}

    tags = Tags()
    tags.feed(text)
    assert {"img", "table", "h2"} <= tags.seen
    assert not {"script", "onload", "link", "iframe"} & tags.seen
    assert "&lt;b onload" in text
    assert len(re.findall(r'src="data:image/jpeg;base64,[A-Za-z0-9+/]{100}', text)) >= 5
    for title in ("Duplicates", "Odd images", "Masks", "Files that cannot be used", "All images"):
        assert f"<h2>{title}</h2>" in text


def test_the_same_bytes_again_and_similar_images(folder, cli, tmp_path):
    first = [cli("curate", folder / "images", "--out", tmp_path / name, "--seed", 3) for name in "ab"]
    assert [done.code for done in first] == [0, 0]
    assert [hashes(tmp_path / "a")[str(tmp_path / "a" / name)] for name in REPORTS] == [
        hashes(tmp_path / "b")[str(tmp_path / "b" / name)] for name in REPORTS
    ]
    done = cli("curate", folder / "images", "--out", tmp_path / "a", "--like", "copy.bmp", "--set", "n_similar=2")
    assert [line.split("  ")[1] for line in done.out.splitlines()[1:]] == ["a03.png", EVIL]
    assert cli("curate", folder / "images", "--out", tmp_path / "a", "--like", "none.png").code == 1
    report = json.loads(cli("curate", folder / "images", "--out", tmp_path / "a", "--json").out)
    assert report["next"]
    assert "class_1" not in report["files"][0]


def test_a_model_says_what_it_is_unsure_of(folder, cli, model, tmp_path):
    done = cli("curate", folder / "images", "--out", tmp_path, "--model", model, "--pattern", "a*", "--json")
    files = json.loads(done.out)["files"]
    doubts = [row["uncertainty"] for row in files]
    assert len(set(doubts)) > N / 2
    assert all(0 <= doubt <= 1 for doubt in doubts)


def test_the_ranking_leaves_out_what_has_strokes(folder, cli, model, tmp_path):
    words = ("curate", folder / "images", "--model", model, "--pattern", "a*", "--set", "order=cover")
    assert cli(*words, "--out", tmp_path / "a").code == 0
    with open(tmp_path / "a/ranking.csv", newline="", encoding="utf-8") as handle:
        first = list(csv.DictReader(handle))
    assert [row["rank"] for row in first] == [str(rank) for rank in range(1, len(first) + 1)]
    assert {row["order"] for row in first} == {"cover"}
    assert all(0 <= float(row["uncertainty"]) <= 1 for row in first)
    best, second = (row["name"] for row in first[:2])
    strokes = tmp_path / "strokes"
    strokes.mkdir()
    (strokes / best).write_bytes(b"only the name counts")
    (strokes / second.replace(".png", "_strokes.geojson")).write_text("{}")
    report = json.loads(cli(*words, "--out", tmp_path / "b", "--strokes", strokes, "--json").out)
    assert len(report["next"]) == len(first) - 2
    assert not {best, second} & set(report["next"])
    done = cli(*words, "--out", tmp_path / "c", "--strokes", tmp_path / "none")
    assert (done.code, "There is no folder" in done.err) == (1, True)


@pytest.mark.parametrize("out", ["images", "images/report"])
def test_the_folder_of_images_takes_no_report(folder, cli, out):
    before = hashes(folder)
    done = cli("curate", folder / "images", "--out", folder / out)
    assert done.code == 1
    assert "Choose one elsewhere" in done.err
    assert hashes(folder) == before


def test_two_masks_of_one_image_and_a_folder_of_nothing(folder, cli, tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a_mask.png")
    done = cli("curate", folder / "images", "--out", tmp_path / "out", "--masks", tmp_path)
    assert (done.code, "both masks of 'a'" in done.err) == (1, True)
    with pytest.raises(InputError, match="that matches 'z"):
        run(scanning(ScanSettings(folder / "images", pattern="z*"), CurateSettings()))
    with pytest.raises(InputError, match="can be used; 1 cannot"):
        run(scanning(ScanSettings(folder / "images", pattern="broken*"), CurateSettings()))
    assert not (tmp_path / "out").exists()
