"""The search for a pixel classifier with several classes of objects: one classifier tells all of them apart."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the extra `search` is not installed")

from napari_pu_segment.core.classes import objects_alike, threshold_mask
from napari_pu_segment.core.compute.tiles import map_tiles
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import load_model, save_model
from napari_pu_segment.core.networks.pipeline import PipelineNetwork
from napari_pu_segment.core.pipeline import predict
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import NEGATIVE
from napari_pu_segment.core.search.candidates import Candidate, Tried
from napari_pu_segment.core.search.classifiers import LIMIT, odds_of
from napari_pu_segment.core.search.export import python_of
from napari_pu_segment.core.search.pipelines import PIPELINES
from napari_pu_segment.core.search.sealed import unseal
from napari_pu_segment.io import read_mask, write_image
from tests.helpers import dice, disk_sample, patchwork

METHOD = METHODS["pixel_search"]
QUICK = METHOD.settings(
    n_trials=2,
    threads=1,
    prior="fixed",
    class_prior=0.17,  # of each of three classes
    pipelines=("logistic", "extra_trees"),
    filters=("gaussian", "gradient"),
    sigmas_px=(1.0, 2.5),
)


def candidate(pipeline: str, unlabelled: str) -> Candidate:
    parameters = dict(PIPELINES[pipeline].default)
    seen = {"filters": ("gaussian",), "sigmas_px": (1.0, 2.5)}
    return Candidate(pipeline=pipeline, parameters=parameters, unlabelled=unlabelled, **seen)


def chosen(*candidates: Candidate) -> str:
    return Tried(members=candidates, score=0.5, s_per_mpx=1).model_dump_json()


def numbers(model, image) -> np.ndarray:
    return threshold_mask(predict(model, image), model.threshold)


@pytest.fixture(scope="module")
def model():
    return run(METHOD.train([patchwork()[0]], QUICK))


def test_all_classes_are_found_by_one_classifier(model, tmp_path):
    sample, truth = patchwork(seed=5)
    assert model.classes == ("dark", "bright", "fine")
    assert isinstance(model.network, PipelineNetwork)
    stored = model.network.classifiers.numpy().tobytes()
    parts = unseal(stored, len(model.network.mean), 4)  # each knows background and three classes
    assert all(one.classes_.tolist() == [0, 1, 2, 3] for _, members in parts for one in members)
    found = numbers(model, sample.image)
    assert [dice(found == k, truth == k) > 0.8 for k in range(4)] == [True] * 4
    assert [one.n_strokes for one in model.card.classes] == [2, 2, 2]
    assert model.card.n_negative_strokes > 0
    assert sum(one.class_prior for one in model.card.classes) == pytest.approx(model.card.class_prior, abs=1e-6)
    save_model(model, tmp_path / "m.pumodel")
    again = load_model(tmp_path / "m.pumodel")
    assert again.card == model.card
    np.testing.assert_array_equal(predict(again, sample.image), predict(model, sample.image))
    np.testing.assert_array_equal(run(map_tiles(again, sample.image, tile_px=23))[0], predict(model, sample.image)[0])


@pytest.mark.parametrize(
    ("name", "unlabelled"),
    [
        *(("logistic", unlabelled) for unlabelled in ("soft", "weak", "bagging", "none")),
        *((name, "soft") for name in ("mlp", "extra_trees", "forest", "boosting")),
    ],
)
def test_every_pipeline_tells_classes_apart(name, unlabelled):
    sample, truth = patchwork()
    model = run(METHOD.train([sample], QUICK.changed({"chosen": chosen(candidate(name, unlabelled))})))
    probability = predict(model, sample.image)
    assert probability.shape == (3, *truth.shape)
    assert probability.sum(0).max() <= 1 + 1e-6
    found = threshold_mask(probability, model.threshold)
    assert (found == truth).mean() > 0.65  # a single quick candidate; half of it is background
    assert dice(found == 1, truth == 1) > 0.9


def test_log_odds_against_the_background_by_hand():
    from sklearn.ensemble import RandomForestClassifier

    rows, classes = np.array([[0.0], [1.0], [2.0], [2.0], [2.0]]), np.array([0, 1, 2, 2, 0])
    forest = RandomForestClassifier(1, bootstrap=False, random_state=0).fit(rows, classes)
    import torch

    odds = odds_of(forest, np.array([0]), 1)(torch.tensor([[0.0, 1.0, 2.0]]))
    least = -2 * LIMIT  # a share of 0 counts as exp(-10); all is cut at +-5
    assert least == -10
    expected = [[-LIMIT, LIMIT, np.clip(least - np.log(1 / 3), -LIMIT, LIMIT)], [-LIMIT, 0.0, np.log(2)]]
    np.testing.assert_allclose(odds.numpy(), expected, rtol=1e-5)


def test_positive_strokes_alone_are_enough():
    sample, truth = patchwork()
    labels = np.where(sample.labels == NEGATIVE, 0, sample.labels).astype(np.uint8)
    settings = QUICK.changed({"chosen": chosen(candidate("logistic", "soft")), "class_prior": 0.15})
    model = run(METHOD.train([replace(sample, labels=labels)], settings))
    assert model.card.n_negative_strokes == 0
    assert model.card.class_prior == pytest.approx(0.45)  # of three classes, each with the fixed one
    found = numbers(model, sample.image)
    assert 0.05 < (found == 0).mean() < 0.8
    assert all(dice(found == k, truth == k) > 0.5 for k in (1, 2, 3))


def test_same_seed_same_bytes_and_only_the_same_classes_go_on(model):
    sample, _ = patchwork()
    assert run(METHOD.train([sample], QUICK)).card.tensors_sha256 == model.card.tensors_sha256
    later = run(METHOD.train([sample], QUICK, start=model))
    assert later.card.found == model.card.found
    assert later.classes == model.classes
    with pytest.raises(InputError, match="knows the classes dark, bright, fine"):
        run(METHOD.train([disk_sample()[0]], QUICK, start=model))


def test_one_class_with_a_name_keeps_it():
    sample = replace(disk_sample()[0], classes=("cells",))
    model = run(METHOD.train([sample], QUICK.changed({"chosen": chosen(candidate("logistic", "soft"))})))
    assert model.classes == ("cells",)
    assert predict(model, sample.image).ndim == 2


def test_objects_of_all_classes_look_alike():
    sample, _ = patchwork()
    (found,) = objects_alike([sample])
    assert found.classes == ("positive",)
    assert set(np.unique(sample.labels)) == {0, 1, 2, 4, 5}
    np.testing.assert_array_equal(found.labels == 1, np.isin(sample.labels, (1, 4, 5)))
    np.testing.assert_array_equal(found.labels == NEGATIVE, sample.labels == NEGATIVE)


def test_the_script_numbers_classes(tmp_path):
    sample, _ = patchwork()
    settings = QUICK.changed({"chosen": chosen(candidate("logistic", "soft"), candidate("extra_trees", "weak"))})
    model = run(METHOD.train([sample], settings))
    script = tmp_path / "stripes.py"
    script.write_text(python_of(model, script.name), "utf-8")
    text = script.read_text("utf-8")
    assert "1 on dark, 4 on bright, 5 on fine" in text
    assert "CODES = (2, 1, 4, 5)" in text
    write_image(tmp_path / "image.tif", sample.image[0])
    write_image(tmp_path / "strokes.tif", sample.labels)
    words = [sys.executable, str(script), *(str(tmp_path / f"{name}.tif") for name in ("image", "strokes", "mask"))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    import tifffile

    mask = tifffile.imread(tmp_path / "mask.tif")
    assert read_mask(tmp_path / "mask.tif").shape == mask.shape
    assert (mask == numbers(model, sample.image)).mean() > 0.95
