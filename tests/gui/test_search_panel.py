"""The table of a search grows while it runs; a click takes a row, and cancelling keeps the best."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("optuna", reason="the extra `search` is not installed")

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.progress import Progress
from napari_pu_segment.core.search.candidates import Tried
from napari_pu_segment.core.search.searching import SearchTable
from napari_pu_segment.core.training.rounds import HeldStroke, Judgement
from napari_pu_segment.gui.model.model_panel import ModelPanel
from napari_pu_segment.gui.paint import rounds as rounds_module
from napari_pu_segment.gui.paint.search_panel import MARK, SearchPanel
from napari_pu_segment.gui.parts.number_box import SliderBox
from napari_pu_segment.gui.parts.settings_form import SettingsForm
from napari_pu_segment.gui.session import Session
from napari_pu_segment.gui.viewer.layers import LayerBook

METHOD = "pixel_search"
QUICK = METHODS[METHOD].settings(
    n_trials=3, prior="fixed", class_prior=0.1, threads=1, filters=("gaussian", "gradient"), sigmas_px=(1, 4)
)


@pytest.fixture
def session(make_viewer):
    """A session on a bright square, with two strokes on it and two beside it."""
    viewer = make_viewer()
    image = np.random.default_rng(0).normal(0, 0.1, (64, 64)).astype(np.float32)
    image[10:30, 10:30] += 1
    session = Session(LayerBook(viewer))
    session.choose_image(viewer.add_image(image, name="square"))
    session.book.add_brushes(session.image)
    positive, negative = np.zeros((2, 64, 64), bool)
    positive[[14, 25], 12:28] = True
    negative[[40, 50], 12:48] = True
    session.book.put_strokes(session.image, "positive", positive)
    session.book.put_strokes(session.image, "negative", negative)
    session.crf = None
    session.method, session.settings = METHOD, QUICK
    yield session
    session.close()


@pytest.fixture
def panel(session, qtbot):
    panel = SearchPanel(session)
    qtbot.addWidget(panel)
    return panel


def click(qtbot, panel, row):
    table = panel.table
    place = table.visualItemRect(table.item(row, 0)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)


def done(qtbot, session):
    qtbot.waitUntil(lambda: session.runner.current is None)


def marked(panel):
    return [row for row in range(panel.table.rowCount()) if panel.table.item(row, 0).text().startswith(MARK)]


def test_a_search_fills_the_table_and_a_click_takes_another_row(panel, session, qtbot):
    assert panel.isHidden()
    session.train(METHOD, QUICK, warm=False)
    qtbot.waitUntil(lambda: panel.table.rowCount() > 0)
    assert not panel.isHidden()
    done(qtbot, session)
    assert panel.label.text().startswith("3 tried.")
    found = panel.follower.table
    assert panel.table.rowCount() == len(found.rows) == 4  # the mean of all comes first
    assert marked(panel) == [0]
    assert session.result is not None
    first = session.model
    assert first.card.found.score == found.rows[0].score

    panel.show()
    click(qtbot, panel, 0)  # in use already
    assert session.runner.current is None
    click(qtbot, panel, 2)
    assert session.busy
    done(qtbot, session)
    assert marked(panel) == [2]
    assert session.model is not first
    assert session.model.card.found.pipeline == found.rows[2].title
    assert session.result.model is session.model
    assert panel.table.rowCount() == 4  # there is more to choose from


def test_cancelling_keeps_the_best_so_far(panel, session, qtbot):
    session.train(METHOD, QUICK.changed({"n_trials": 10_000}), warm=False)
    qtbot.waitUntil(lambda: panel.follower.table is not None and len(panel.follower.table.rows) > 2)
    assert session.model is None
    assert "so far" in panel.label.text()
    session.cancel()
    best = panel.follower.table.rows[0]
    assert session.busy
    done(qtbot, session)
    assert session.model.card.found.pipeline == best.title
    assert Tried.model_validate_json(session.model.card.settings["chosen"]) == best
    assert marked(panel) == [0]


def test_a_row_is_taken_while_the_search_runs(panel, session, qtbot):
    panel.show()
    session.train(METHOD, QUICK.changed({"n_trials": 10_000}), warm=False)
    qtbot.waitUntil(lambda: panel.follower.table is not None and len(panel.follower.table.rows) > 2)
    wanted = panel._shown[1]
    click(qtbot, panel, 1)
    assert not panel.follower.searching
    done(qtbot, session)
    assert session.model.card.settings["chosen"] == wanted.model_dump_json()


def test_a_row_that_was_picked_stays_though_it_is_judged_worse(panel, session, qtbot, monkeypatch):
    told = [(1.0, 0.9), (0.4, 0.2)]

    def judge(samples, model, *, threshold=None, cache=None):
        yield Progress(0, 1, "Judging")
        agreement, steadiness = told.pop(0)
        kinds = ("positive", "positive", "negative")
        strokes = [HeldStroke(0, kind, np.arange(5), agreement) for kind in kinds]
        return Judgement(strokes, (steadiness, steadiness), 0.2, 0.1)

    monkeypatch.setattr(rounds_module, "judge", judge)
    rounds = rounds_module.Rounds(session)

    def judged(n):
        done = len(rounds.track.rounds) == n and rounds.track.judged and not rounds.judging
        return done and session.runner.current is None and not session.showing

    session.train(METHOD, QUICK, warm=False)
    qtbot.waitUntil(lambda: judged(1))
    assert panel.follower.in_use == 0
    panel.show()
    click(qtbot, panel, 2)
    qtbot.waitUntil(lambda: judged(2))
    assert not rounds.track.rounds[-1].verdict.keep
    assert panel.follower.in_use == 2


def test_pipelines_are_exported(session, qtbot, monkeypatch, tmp_path):
    panel = ModelPanel(session)
    qtbot.addWidget(panel)
    panel.show()
    assert not panel.export_button.isVisible()
    session.train(METHOD, QUICK, warm=False)
    done(qtbot, session)
    qtbot.waitUntil(panel.export_button.isVisible)
    path = tmp_path / "p.py"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(path), ""))
    qtbot.mouseClick(panel.export_button, Qt.MouseButton.LeftButton)
    text = path.read_text("utf-8")
    compile(text, str(path), "exec")
    assert session.model.card.found.pipeline in text


def test_closing_ends_the_search_and_nothing_begins_anew(panel, session, qtbot):
    session.train(METHOD, QUICK.changed({"n_trials": 10_000}), warm=False)
    qtbot.waitUntil(lambda: panel.follower.table is not None and len(panel.follower.table.rows) > 0)
    session.close()
    assert session.runner.current is None
    assert session.model is None


def test_a_record_tells_what_was_chosen(session, qtbot):
    session.train(METHOD, QUICK, warm=False)
    done(qtbot, session)
    plan = session.result.plan
    assert plan.settings.chosen == session.model.card.settings["chosen"] != ""


def test_live_mode_does_not_search_for_long(panel, session, qtbot):
    session.train(METHOD, QUICK.changed({"n_trials": 0}), warm=False, live=session.book.snapshot(session.image))
    done(qtbot, session)
    assert session.model.card.settings["n_trials"] == METHODS[METHOD].briefly["n_trials"]
    assert isinstance(panel.follower.table, SearchTable | None)


def test_the_time_has_a_slider(qtbot):
    form = SettingsForm(METHODS[METHOD].settings)
    qtbot.addWidget(form)
    row = form.findChild(SliderBox, "seconds")
    assert (row.value(), row.box.text()) == (20, "20")
    at_20 = row.slider.value()
    assert 0 < at_20 < row.slider.maximum()
    with qtbot.waitSignal(form.changed):
        row.slider.setValue(0)
    assert form.value().seconds == 5
    row.slider.setValue(row.slider.maximum())
    assert form.value().seconds == 600
    row.setValue(3600)  # beyond the slider
    assert form.value().seconds == 3600
    assert row.slider.value() == row.slider.maximum()
    row.setValue(20)
    assert row.slider.value() == at_20
