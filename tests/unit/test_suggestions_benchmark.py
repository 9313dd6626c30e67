"""The benchmark of suggestions: same start and same kind of answer for every arm, and honest sums."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from skimage.measure import label

from benchmarks import suggestions
from benchmarks.cases import Case
from napari_pu_segment.core.methods.pu import PuSettings, train
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import IGNORE, NEGATIVE, POSITIVE, UNLABELED, Sample
from tests.helpers import disks, strokes


@pytest.fixture
def case() -> Case:
    image, truth = disks()
    valid = np.ones(truth.shape, bool)
    valid[:, 75:] = False
    return Case("disks", "one", 0, image, strokes(), truth, valid)


def test_every_arm_starts_from_two_strokes_of_each_kind(case):
    codes = suggestions.first_strokes(case)
    for code in (POSITIVE, NEGATIVE):
        assert label(case.strokes == code).max() == 3
        assert label(codes == code).max() == 2
        assert ((case.strokes == code) | (codes != code)).all()
    assert (codes[~case.valid] == IGNORE).all()


def test_an_answer_is_a_whole_dab_of_the_class_at_its_centre(case):
    blank = np.full(case.truth.shape, UNLABELED, np.uint8)
    rim = (20, 28)  # the last pixel of a disk
    assert case.truth[rim]
    assert not case.truth[20, 29]
    codes = suggestions.answered(blank, case.truth, rim, 1)
    assert (codes == POSITIVE).sum() == 5
    assert codes[20, 29] == POSITIVE, "not clipped to the object"
    both = suggestions.answered(codes, case.truth, (20, 30), 1)
    assert both[20, 29] == IGNORE, "painted with both brushes"
    assert both[20, 30] == NEGATIVE


@pytest.mark.parametrize("arm", ["mixed", *suggestions.CONTROLS])
def test_arms_ask_where_nothing_is_painted(case, arm):
    sample = Sample(case.image, suggestions.first_strokes(case))
    model = run(train([sample], PuSettings(n_steps=20, prior="fixed", class_prior=0.15, threads=1)))
    probability = np.roll(case.truth, 5, axis=1).astype(np.float32)  # wrong at both sides of the objects
    threshold = model.card.threshold
    asked = [suggestions.place_of(arm, sample, case.truth, probability, None, model, 0, step) for step in range(6)]
    assert all(sample.labels[place] == UNLABELED for place in asked)
    if arm == "random_half":
        assert [bool(probability[place] >= threshold) for place in asked] == [True, False] * 3
    if arm == "mistakes":
        assert all(case.truth[place] != (probability[place] >= threshold) for place in asked)


def test_it_runs_and_sums_up(case, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(suggestions, "SETTINGS", PuSettings(n_steps=20, prior="fixed", class_prior=0.15, threads=1))
    monkeypatch.setattr(suggestions, "N_ANSWERS", 3)
    monkeypatch.setattr(suggestions, "find_cases", lambda folder, plan: iter([case]))
    target, plot = tmp_path / "s.csv", tmp_path / "s.png"
    suggestions.main([str(tmp_path), "--arms", "mixed", "random", "--csv", str(target), "--plot", str(plot)])
    rows = list(csv.DictReader(target.open()))
    assert len(rows) == 2 * (suggestions.N_ANSWERS + 2)
    starts = [row for row in rows if row["answers"] == "0"]
    assert len({row["dice"] for row in starts}) == 1, "the same start"
    assert {row["retrain"] for row in rows} == {"warm", "cold"}
    assert plot.stat().st_size > 1000
    said = capsys.readouterr().out
    assert "mixed" in said
    assert f"{float(starts[0]['dice']):.3f}" in said


def test_every_case_counts_once():
    rows = [{"case": "a", "dice": 0.2}, {"case": "a", "dice": 0.4}, {"case": "b", "dice": 0.9}]
    assert suggestions.over_cases(rows, "dice") == pytest.approx(0.6)
