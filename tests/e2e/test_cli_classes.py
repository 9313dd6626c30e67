"""Several classes of objects on the command line, from strokes to Dice."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_pu_segment.core.files.record import Made, make_record, save_record
from napari_pu_segment.core.model import load_model
from napari_pu_segment.core.pipeline import segment
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import NEGATIVE, code_of
from napari_pu_segment.io import read_image, read_probability, write_image
from tests.helpers import patchwork

QUICK = ("--set", "n_steps=40", "--set", "threads=1", "--set", "sigmas_px=1,2", "--set", "prior=fixed")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    sample, truth = patchwork()
    write_image(folder / "x.tif", sample.image[0], (0.5, 0.5), "um")
    write_image(folder / "truth.tif", truth)
    write_image(folder / "codes.tif", sample.labels)
    write_image(folder / "background.tif", sample.labels == NEGATIVE)
    for index, name in enumerate(sample.classes):
        write_image(folder / f"{name}.tif", sample.labels == code_of(index))
    return folder


@pytest.fixture
def model(files, cli):
    path = files / "model.safetensors"
    if not path.exists():
        named = [word for name in ("dark", "bright", "fine") for word in ("--class", f"{name}={files / name}.tif")]
        done = cli("train", files / "x.tif", *named, "--negative", files / "background.tif", *QUICK, "--out", path)
        assert (done.code, done.err) == (0, "")
        assert "fine: 2 strokes" in done.out
    return path


def test_from_strokes_to_dice(files, cli, model, tmp_path):
    done = cli("predict", model, files / "x.tif", "--refine", "--json", "--curve", "--out", tmp_path)
    assert json.loads(done.out)["threshold"] == [0.5, 0.5, 0.5]
    lines = (tmp_path / "x_curve.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[::201]] == ["class", "dark", "bright", "fine"]
    found = read_image(tmp_path / "x_probability.tif")
    assert (found.image.shape, found.channel_names) == ((3, 64, 64), ("dark", "bright", "fine"))
    assert found.pixel_size == (0.5, 0.5)
    for kind in ("mask", "refined"):
        told = json.loads(cli("evaluate", tmp_path / f"x_{kind}.tif", files / "truth.tif", "--classes").out)
        assert list(told["dice"]) == ["0", "1", "2", "3"]
        assert told["mean_dice"] == pytest.approx(np.mean(list(told["dice"].values())))
        assert min(told["dice"].values()) > 0.8
    told = json.loads(cli("info", model, "--json").out)
    assert [one["name"] for one in told["classes"]] == ["dark", "bright", "fine"]
    assert "'name': 'fine'" in cli("info", model).out


def test_codes_are_the_same_strokes(files, cli, model, tmp_path):
    done = cli("train", files / "x.tif", "--scribbles", files / "codes.tif", *QUICK, "--out", tmp_path / "m")
    assert (done.code, done.err) == (0, "")
    by_codes, by_name = load_model(tmp_path / "m"), load_model(model)
    assert by_codes.classes == ("positive", "class 2", "class 3")
    assert by_codes.card.tensors_sha256 == by_name.card.tensors_sha256


def test_a_probability_is_refined_as_predict_refines_it(files, cli, model, tmp_path):
    assert cli("predict", model, files / "x.tif", "--refine", "--out", tmp_path).code == 0
    given = (files / "x.tif", tmp_path / "x_probability.tif")
    assert cli("refine", *given, "--out", tmp_path / "again.tif").code == 0
    assert (tmp_path / "again.tif").read_bytes() == (tmp_path / "x_refined.tif").read_bytes()


@pytest.mark.parametrize("suffix", ["tiff", "ome-zarr"])
def test_a_batch_finds_objects_of_every_class(files, cli, model, tmp_path, suffix):
    folder = tmp_path / "images"
    folder.mkdir()
    stack = np.repeat(read_image(files / "x.tif").image, 2, 0)
    write_image(folder / "x.tif", stack, axes="TYX")
    out, outputs = tmp_path / "out", "probability,instances,measurements"
    done = cli("batch", model, folder, "--out", out, "--format", suffix, "--outputs", outputs)
    assert done.code == 0, done.err
    rows = (out / "x_measurements.csv").read_text().splitlines()
    assert "class" in rows[0].split(",")
    assert {"dark", "bright", "fine"} <= {cell for row in rows[1:] for cell in row.split(",")}
    end = ".tif" if suffix == "tiff" else ".ome.zarr"
    probability = read_probability(out / f"x_probability{end}")
    assert probability.shape == (3, 2, 64, 64)
    assert np.array_equal(probability[:, 0], probability[:, 1])
    assert read_image(out / f"x_probability{end}").axes == "CTYX"


def test_a_record_is_replayed_into_the_files_that_predict_writes(files, cli, model, tmp_path):
    loaded = load_model(model)
    sample = replace(read_image(files / "x.tif").sample("x"), classes=loaded.classes)
    found = run(segment(loaded, sample.image))
    save_record(run(make_record(Made(sample, loaded, (), found, refined_at=found.threshold))), tmp_path / "card.json")
    done = cli("replay", tmp_path / "card.json", files / "x.tif", "--out", tmp_path / "again")
    assert (done.code, done.err) == (0, "")
    cli("predict", model, files / "x.tif", "--no-refine", "--out", tmp_path)
    for name in ("x_probability.tif", "x_mask.tif"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--class", "a.png"), 2, "NAME=FILE"),
        (("--class", "a=dark.tif", "--class", "a=fine.tif"), 2, "twice"),
        (("--class", "a=dark.tif", "--positive", "fine.tif"), 2, "each class by --class"),
        (("--class", "a=dark.tif", "--clean-mask", "fine.tif"), 2, "but no classes"),
        (("--class", "negative=dark.tif"), 1, "no object"),
        (("--class", "a=dark.tif", "--class", "b=truth0.tif"), 1, "no strokes of class 'b'"),
    ],
)
def test_what_does_not_fit_is_told(files, cli, tmp_path, words, code, says):
    write_image(files / "truth0.tif", np.zeros((64, 64), np.uint8))
    given = [word.replace("=", f"={files}/") if "=" in word else word for word in words]
    given = [str(files / word) if word.endswith(".tif") and "=" not in word else word for word in given]
    done = cli("train", files / "x.tif", *given, *QUICK, "--out", tmp_path / "m")
    assert done.code == code
    assert says in " ".join(done.err.replace("│", " ").split())
