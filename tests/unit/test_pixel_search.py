"""The search for a pixel classifier, seen from outside: what it finds, keeps, and how it judges."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from napari_pu_segment.core.compute.tiles import map_tiles
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import Model, load_model, save_model
from napari_pu_segment.core.pipeline import predict
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.search import Bench, Held, Judged, Rows, grouped_folds, score_of
from napari_pu_segment.core.search.candidates import Candidate, Tried, columns_of, parse_chosen
from napari_pu_segment.core.search.classifiers import LIMIT, fit_classifier, log_odds
from napari_pu_segment.core.search.export import python_of
from napari_pu_segment.core.search.pipelines import DEFAULT_FOREST, PIPELINES
from napari_pu_segment.core.search.searching import _SAFE, Clock, Search, SearchTable, Space
from napari_pu_segment.core.search.unlabelled import UNLABELLED, Painted, memberships
from napari_pu_segment.core.training.fit import FeatureCache
from napari_pu_segment.io import read_mask, write_image
from tests.helpers import dice, disk_sample

pytest.importorskip("sklearn", reason="the extra `search` is not installed")
METHOD = METHODS["pixel_search"]
QUICK = METHOD.settings(
    n_trials=2,
    threads=1,
    prior="fixed",
    class_prior=0.16,
    pipelines=("logistic", "extra_trees"),
    filters=("gaussian", "gradient", "hessian"),
    sigmas_px=(1.0, 1.6, 4.0),
)
SEEN = {"filters": ("gaussian",), "sigmas_px": (1.0,)}


def search(settings=QUICK, negative=True, **kwargs) -> Model:
    return run(METHOD.train([disk_sample(negative=negative)[0]], settings, **kwargs))


def candidate(pipeline="logistic", unlabelled="none", **seen) -> Candidate:
    parameters = dict(PIPELINES[pipeline].default)
    return Candidate(pipeline=pipeline, parameters=parameters, unlabelled=unlabelled, **{**SEEN, **seen})


@pytest.fixture(scope="module")
def model() -> Model:
    return search()


@pytest.mark.parametrize(("negative", "least"), [(True, 0.8), (False, 0.7)])
def test_it_finds_disks(negative, least):
    model = search(negative=negative)
    sample, truth = disk_sample(seed=9)
    assert truth.mean() < 0.2
    assert dice(predict(model, sample.image) >= 0.5, truth) > least
    assert 0.5 < model.card.found.score <= 1
    assert model.card.found.n_tried == 2
    assert {words.partition(" (")[0] for words in model.card.found.members} == {"Logistic regression", "Extra trees"}
    assert (model.card.n_positive_strokes, model.card.n_negative_strokes) == (3, 3 if negative else 0)


@pytest.mark.parametrize("name", [name for name in PIPELINES if name != DEFAULT_FOREST])
def test_every_pipeline_is_kept_in_a_file_and_is_the_same_in_tiles(name, tmp_path):
    row = Tried(members=(candidate(name, "weak", filters=("gaussian", "hessian")),), score=0.5, s_per_mpx=1)
    model = search(QUICK.changed({"chosen": row.model_dump_json()}))
    image = disk_sample(seed=5)[0].image
    before = predict(model, image)
    save_model(model, tmp_path / "m.pumodel")
    again = load_model(tmp_path / "m.pumodel")
    assert again.card == model.card
    assert before.std() > 0.1
    np.testing.assert_array_equal(predict(again, image), before)
    np.testing.assert_array_equal(run(map_tiles(again, image, tile_px=37))[0], before)


def test_same_seed_same_bytes_with_a_search_or_without(model):
    again = search(cache=FeatureCache())
    assert again.card.tensors_sha256 == model.card.tensors_sha256
    chosen = METHOD.settings(**model.card.settings)
    assert chosen.chosen
    assert search(chosen).card.tensors_sha256 == model.card.tensors_sha256
    assert search(QUICK.changed({"seed": 1})).card.tensors_sha256 != model.card.tensors_sha256


def test_folds_never_split_a_stroke():
    folds = grouped_folds([4, 7], seed=0)
    assert len(folds) == 3
    for k, n in enumerate((4, 7)):
        for fold in folds:
            assert sorted([*fold.seen[k], *fold.held[k]]) == list(range(n))
        assert sorted(i for fold in folds for i in fold.held[k]) == list(range(n))


def test_a_single_stroke_stands_on_both_sides():
    (fold,) = grouped_folds([0, 1], seed=0)
    assert (fold.seen, fold.held) == ([[], [0]], [[], [0]])
    folds = grouped_folds([1, 2], seed=0)
    assert sorted(fold.held[1] for fold in folds) == [[0], [1]]
    assert all(fold.held[0] == fold.seen[0] == [0] for fold in folds)


def test_the_score_is_the_probability_that_the_right_class_got():
    half, certain = np.zeros((2, 1)), np.full((1, 1), np.log(3))  # probabilities 1/2 and 3/4
    image = np.concatenate([np.full((1, 1), 0.0), -certain])  # -log(1 - p) is log 2 and log 4/3
    assert score_of([Held([[half], [half]], half)], 0.2) == pytest.approx(1 / 2)
    # means of log losses: over the strokes of a class, over classes, over folds; unlabelled pixels count as half of the
    # background, (E_U[-log(1 - p)] - prior E_P[-log(1 - p)]) / (1 - prior), and not below 0
    mixed = Held([[half], [half, certain]], image)
    objects = (np.log(2) + np.log(4)) / 2
    hidden = ((np.log(2) + np.log(4 / 3)) / 2 - 0.1 * objects) / 0.9
    wanted = (np.log(3 / 8) / 2 - (np.log(2) + hidden) / 2) / 2
    assert score_of([mixed], 0.1) == pytest.approx(np.exp(wanted))
    both = (wanted + np.log(1 / 2)) / 2
    assert score_of([mixed, Held([[half], [half]], half)], 0.1) == pytest.approx(np.exp(both))
    # without background strokes
    alone = score_of([Held([[], [certain]], half)], 0.25)
    assert alone == pytest.approx(np.exp((np.log(3 / 4) - (np.log(2) - 0.25 * np.log(4)) / 0.75) / 2))
    assert score_of([Held([[], [certain]], -certain)], 0.9) == pytest.approx(np.sqrt(3 / 4))


def test_unlabelled_pixels_are_shared_so_that_the_prior_holds():
    shares = memberships(np.array([[-1.0], [0.0], [1.0]]), 0.5)
    assert shares[:, 1] == pytest.approx([1 / (1 + np.e), 0.5, np.e / (1 + np.e)])
    several = memberships(np.log([[1.0, 3.0], [1.0, 1.0]]), 0.3)
    assert several[:, 1:].sum(1).mean() == pytest.approx(0.3)
    assert several.sum(1) == pytest.approx([1, 1])
    assert several[:, 2] / several[:, 1] == pytest.approx([3, 1])


@pytest.mark.parametrize("way", UNLABELLED)
@pytest.mark.parametrize("background", [True, False])
def test_what_is_learnt_from(way, background):
    """Every class weighs the same, and what was not painted is background, or both."""
    seen = []
    classes = np.array([0, 1, 1]) if background else np.array([1, 1])
    weights = np.array([1.0, 0.5, 0.5])[-len(classes) :]
    rows = np.float32([[0], [9], [9]])[-len(classes) :]
    known = Painted(rows, classes, weights, np.float32([[1], [2], [8]]), 0.4)

    def learn(rows, classes, weights):
        seen.append((rows, classes, weights))
        return [fit_classifier(PIPELINES["logistic"].make({"C": 1.0}, 0)[0], rows, classes, weights, 0)]

    members = UNLABELLED[way].fit(known, learn)
    assert len(members) == (3 if way == "bagging" else 1)
    rows, classes, weights = seen[-1]
    totals = [weights[classes == k].sum() for k in (0, 1)]
    if way == "soft":
        assert totals == pytest.approx([2, 2] if background else [1, 2])
        assert len(seen) == 3
    else:
        assert totals == pytest.approx([1, 1])
    if way == "weak" and background:
        assert weights[classes == 0] == pytest.approx([1 / 1.3, 0.1 / 1.3, 0.1 / 1.3, 0.1 / 1.3])
    assert len(rows) == (len(known.rows) if way == "none" and background else len(rows))


@pytest.mark.parametrize("name", ["logistic", "mlp", "extra_trees", "boosting"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_log_odds_are_those_of_scikit_learn(name, n_classes):
    rng = np.random.default_rng(0)
    rows = rng.normal(5, 3, (300, 4)).astype(np.float32)
    classes = (rows[:, 0] > 4).astype(int) + (rows[:, 1] > 6) * (n_classes - 2)
    (new,) = PIPELINES[name].make(PIPELINES[name].default, 0)
    one = fit_classifier(new, rows, classes, np.ones(300), 0)
    logs = np.log(one.predict_proba(rows))
    wanted = (logs[:, 1:] - logs[:, :1]).clip(-LIMIT, LIMIT)
    assert wanted.shape == (300, n_classes - 1)
    assert wanted.std() > 0.2
    np.testing.assert_allclose(log_odds([one], rows), wanted, atol=2e-3)
    np.testing.assert_allclose(log_odds([one, one], rows), wanted, atol=2e-3)


def test_columns_are_those_that_a_smaller_bank_computes(model):
    from napari_pu_segment.core.filters import compute

    bank = model.card.network.model_copy(
        update={"filters": ("gaussian", "hessian", "opening"), "sigmas_px": (1.0, 2.0, 3.0), "in_channels": 2}
    )
    image = torch.rand(1, 2, 20, 20, generator=torch.Generator().manual_seed(0))
    whole = compute(image, bank.filters, bank.sigmas_px)
    one = candidate(filters=("hessian", "opening"), sigmas_px=(2.0, 3.0))
    part = compute(image, one.filters, one.sigmas_px)
    assert part.shape[1] < whole.shape[1]
    torch.testing.assert_close(whole[:, columns_of(bank, one)], part, rtol=0, atol=0)


def judged(pipeline: str, score: float, seconds: float) -> Judged:
    held = Held([[np.full((1, 1), -score)], [np.full((1, 1), score)]], np.zeros((1, 1)))
    row = Tried(members=(candidate(pipeline),), score=score_of([held], 0.2), s_per_mpx=seconds)
    return Judged([held], row, seconds)


def test_the_best_few_are_kept_no_more_than_two_alike_and_none_slower_than_the_forest(model):
    zeros = np.zeros((4, 2), np.float32)
    rows = Rows([[zeros[:2]], [zeros[:2] + 1]], zeros, zeros)
    bank = model.card.network.model_copy(update=SEEN)
    bench = Bench(rows, bank, 0.2, 0, lambda members: 1.0)
    found = Search(bench, Space(QUICK.pipelines, 0, 0), Clock(0, 0))
    found._first_ones = [judged("logistic", 3, 0.1), judged("logistic", 2.9, 0.1), judged("logistic", 2.8, 0.1)]
    found._first_ones += [judged("mlp", 2, 0.1), judged("forest", 1, 5.0), judged("boosting", 0.5, 0.1)]
    everything = found._blended().row
    assert [one.pipeline for one in everything.members] == ["logistic", "logistic", "mlp", "forest"]
    found._others = [
        judged("extra_trees", 4 - n, 0.1) for n in range(3)
    ]  # however good, at most two of what came later
    assert [one.pipeline for one in found._blended().row.members] == [
        *("extra_trees", "logistic", "extra_trees", "logistic", "mlp", "forest")
    ]
    found._others = []
    found._forest = Tried(members=(candidate(DEFAULT_FOREST),), score=0.5, s_per_mpx=2.0 / _SAFE)
    kept = found._blended().row
    assert [one.pipeline for one in kept.members] == ["logistic", "logistic", "mlp", "boosting"]
    assert kept.s_per_mpx == pytest.approx(1.4)
    mean = (3 + 2.9 + 2 + 0.5) / 4
    hidden = max(0, (np.log(2) - 0.2 * np.logaddexp(0, mean)) / 0.8)
    loss = (np.logaddexp(0, -mean) * 1.5 + hidden / 2) / 2
    assert kept.score == pytest.approx(np.exp(-loss))
    assert found.table.rows[1].score > kept.score  # the best alone comes after what is kept


def test_the_time_is_kept_and_the_table_grows():
    settings, reports = QUICK.changed({"n_trials": 0, "seconds": 3}), []
    began = time.monotonic()
    model = run(METHOD.train([disk_sample()[0]], settings), reports.append)
    assert time.monotonic() - began < 12  # the machine may be busy
    tables = [report.preview for report in reports if isinstance(report.preview, SearchTable)]
    assert not tables[0].rows
    last = tables[-1]
    assert last.forest is not None
    assert last.n_tried >= max(1, len(last.rows) - 1)
    assert all(0 < row.s_per_mpx <= last.forest.s_per_mpx for row in last.rows[:1] if last.n_tried > 1)
    assert model.card.found.forest_score == last.forest.score
    assert model.card.found.score == last.rows[0].score


def test_closing_keeps_nothing():
    work = METHOD.train([disk_sample()[0]], QUICK.changed({"n_trials": 1000}))
    while not next(work).message.startswith("Searching"):
        pass
    work.close()
    with pytest.raises(StopIteration):
        next(work)


def test_going_on_fits_what_was_found_to_more_strokes(model):
    sample, truth = disk_sample(seed=3)
    later = run(METHOD.train([disk_sample()[0], sample], QUICK, start=model))
    assert later.card.found == model.card.found
    assert later.card.network.filters == model.card.network.filters
    assert later.card.tensors_sha256 != model.card.tensors_sha256
    assert dice(predict(later, sample.image) >= 0.5, truth) > 0.7


def test_only_a_searched_model_can_be_gone_on_from():
    other = run(METHODS["pu"].train([disk_sample()[0]], METHODS["pu"].settings(n_steps=5, threads=1)))
    with pytest.raises(InputError, match="not a searched pipeline"):
        search(start=other)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "cannot be read"),
        ('{"members":[],"score":1,"s_per_mpx":1}', "members"),
        ('{"members":[{"pipeline":"svm"}],"score":1,"s_per_mpx":1}', "choose one of: logistic"),
        (candidate().model_dump_json().replace("0.003", "1e9"), "cannot"),
        (candidate().model_dump_json().replace('"C":0.003', ""), "has the parameters C"),
    ],
)
def test_a_choice_that_cannot_be_made_is_told(text, told):
    whole = text if "members" in text or text == "{" else f'{{"members":[{text}],"score":1,"s_per_mpx":1}}'
    with pytest.raises(InputError, match=told):
        parse_chosen(whole)


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install 'napari-pu-segment\[search\]'"):
        search()


def test_a_model_is_written_as_python_that_does_the_same(tmp_path):
    sample, truth = disk_sample()
    rows = [candidate("logistic", "soft", filters=("gaussian", "hessian")), candidate("extra_trees", "bagging")]
    chosen = Tried(members=tuple(rows), score=0.75, s_per_mpx=1)
    model = search(QUICK.changed({"chosen": chosen.model_dump_json()}))
    script = tmp_path / "disks.py"
    script.write_text(python_of(model, script.name), "utf-8")
    text = script.read_text("utf-8")
    assert "LogisticRegression(C=0.003" in text
    assert "python disks.py IMAGE STROKES MASK" in text
    write_image(tmp_path / "image.tif", sample.image[0])
    write_image(tmp_path / "strokes.tif", sample.labels)
    words = [sys.executable, str(script), *(str(tmp_path / f"{name}.tif") for name in ("image", "strokes", "mask"))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    mask = read_mask(tmp_path / "mask.tif")
    assert mask.shape == truth.shape
    assert dice(mask, predict(model, sample.image) >= 0.5) > 0.9


def test_only_a_searched_model_is_written_as_python():
    other = run(METHODS["pu"].train([disk_sample()[0]], METHODS["pu"].settings(n_steps=5, threads=1)))
    with pytest.raises(InputError, match="Only a searched pipeline"):
        python_of(other)
