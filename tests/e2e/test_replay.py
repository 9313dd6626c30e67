"""The commands that read what a session left behind: `replay`, and `train` with strokes in GeoJSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_pu_segment.core.crf import CrfSettings
from napari_pu_segment.core.files.packing import pack
from napari_pu_segment.core.files.record import Made, Training, make_record, save_record
from napari_pu_segment.core.methods.pu import PuSettings
from napari_pu_segment.core.model import load_model
from napari_pu_segment.core.pipeline import segment, train
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import Sample
from napari_pu_segment.io import read_image, read_labels, write_strokes

SETTINGS = PuSettings(n_steps=25, prior="fixed", class_prior=0.25, threads=1)


@pytest.fixture
def made(scene) -> Made:
    file = read_image(scene / "image.png")
    sample = Sample(file.image, read_labels(scene / "scribbles.png"), name="image")
    model = train([sample], SETTINGS)
    crf = CrfSettings(steps=2)
    found = run(segment(model, sample.image, labels=sample.labels, crf=crf))
    training = Training("pu", SETTINGS, pack(sample.labels), model.card.tensors_sha256)
    return Made(sample, None, [training], found, crf, found.threshold)


@pytest.fixture
def card(made, tmp_path) -> Path:
    save_record(run(make_record(made)), tmp_path / "card.json")
    return tmp_path / "card.json"


def test_a_record_is_replayed_to_the_byte(scene, cli, card, made, tmp_path, files_in):
    done = cli("replay", card, scene / "image.png", "--out", tmp_path / "new/out")
    assert (done.code, done.err) == (0, "")
    assert "the same as recorded, to the byte (probability, mask, refined)" in done.out
    assert files_in(tmp_path / "new/out") == {f"image_{kind}.tif" for kind in ("probability", "mask", "refined")}
    for kind in ("probability", "mask", "refined"):
        array = tifffile.imread(tmp_path / f"new/out/image_{kind}.tif")
        assert array.dtype == getattr(made.segmentation, kind).dtype
        assert np.array_equal(array, getattr(made.segmentation, kind))


def test_what_is_not_the_same_has_exit_code_1_and_is_named(scene, cli, card, tmp_path):
    content = json.loads(card.read_text())
    content["outputs"]["mask"] = "0" * 64
    card.write_text(json.dumps(content))
    done = cli("replay", card, scene / "image.png", "--out", tmp_path / "out")
    assert (done.code, done.err) == (1, "")
    assert "not the same as recorded: mask. " in done.out
    done = cli("replay", card, scene / "image.png", "--out", tmp_path / "out", "--json")
    assert done.code == 1
    report = json.loads(done.out)
    assert (report["same"], report["differing"]) == (False, ["mask"])
    assert Path(report["refined"]).exists()


@pytest.mark.parametrize(
    ("record", "image", "says"),
    [
        ("missing.json", "image.png", "cannot be read"),
        ("image.png", "image.png", "not a record"),
        ("card.json", "missing.png", "missing.png"),
        ("card.json", "truth.png", "not the image of the record"),
        ("card.json", "small.npy", "shape"),
    ],
)
def test_refusals_are_one_sentence_and_write_nothing(scene, cli, card, tmp_path, record, image, says):
    np.save(tmp_path / "small.npy", np.zeros((9, 9), np.uint8))
    here = {path: folder / path for path in (record, image) for folder in (scene, tmp_path) if (folder / path).exists()}
    args = [here.get(record, tmp_path / record), here.get(image, tmp_path / image)]
    done = cli("replay", *args, "--out", tmp_path / "out")
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert says in done.err
    assert not (tmp_path / "out").exists()


def test_no_input_is_replaced(scene, cli, card, tmp_path):
    image = tmp_path / "image.png"
    image.write_bytes((scene / "image.png").read_bytes())
    (tmp_path / "image_mask.tif").write_bytes(card.read_bytes())
    done = cli("replay", tmp_path / "image_mask.tif", image, "--out", tmp_path)
    assert (done.code, "replace an input" in done.err) == (1, True)
    assert (tmp_path / "image_mask.tif").read_bytes() == card.read_bytes()


def test_usage(cli, card):
    assert cli("replay", card).code == 2
    assert cli("replay", card, "x.png").code == 2
    assert "replay" in cli("--help").out


def test_strokes_in_geojson_train_the_same_model_as_label_codes(scene, cli, quick, tmp_path):
    labels = read_labels(scene / "scribbles.png")
    write_strokes(tmp_path / "s.geojson", {"positive": labels == 1, "negative": labels == 2})
    for name, strokes in {"codes": scene / "scribbles.png", "geojson": tmp_path / "s.geojson"}.items():
        done = cli("train", scene / "image.png", "--scribbles", strokes, *quick, "--out", tmp_path / name)
        assert (done.code, done.err) == (0, "")
    first, second = (load_model(tmp_path / name).card for name in ("codes", "geojson"))
    assert (first.n_positive_strokes, first.n_negative_strokes) == (2, 2)
    assert first.tensors_sha256 == second.tensors_sha256


@pytest.mark.parametrize(
    ("content", "says"),
    [("{", "no valid GeoJSON"), ('{"type":"FeatureCollection","features":[]}', "no positive strokes")],
)
def test_geojson_that_cannot_be_used_is_one_sentence(scene, cli, quick, tmp_path, content, says):
    (tmp_path / "s.geojson").write_text(content)
    for path in (tmp_path / "s.geojson", tmp_path):
        done = cli("train", scene / "image.png", "--scribbles", path, *quick, "--out", tmp_path / "m")
        assert (done.code, done.out) == (1, "")
        assert done.err.count("\n") == 1
    done = cli("train", scene / "image.png", "--scribbles", tmp_path / "s.geojson", *quick, "--out", tmp_path / "m")
    assert says in done.err
