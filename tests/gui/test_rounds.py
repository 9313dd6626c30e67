"""Rounds: judged beside the session's work, the better one kept, the other one a click away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("napari")

from qtpy.QtCore import QLocale, Qt

from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.progress import Progress
from napari_pu_segment.core.training.judge import judge as real_judge
from napari_pu_segment.core.training.rounds import HeldStroke, Judgement
from napari_pu_segment.gui.paint import rounds as rounds_module
from napari_pu_segment.gui.paint.live import Live
from napari_pu_segment.gui.paint.rounds_panel import MARK, RoundsPanel
from napari_pu_segment.gui.session import Session
from napari_pu_segment.gui.viewer.layers import LayerBook

QUICK = METHODS["pu"].settings(n_steps=20, prior="fixed", class_prior=0.1, threads=1)
GOOD, POOR, UNKNOWN = (1.0, 0.9), (0.4, 0.2), None


@pytest.fixture
def viewer(make_viewer):
    return make_viewer()


@pytest.fixture
def session(viewer):
    """A session on a bright square, with two strokes on it and two beside it."""
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
    session.method, session.settings = "pu", QUICK
    yield session
    session.close()


@pytest.fixture
def panel(session, qtbot):
    panel = RoundsPanel(session)
    qtbot.addWidget(panel)
    panel.show()
    return panel


@pytest.fixture
def verdicts(monkeypatch):
    """What the rounds are judged to be, one after the other; the results themselves need no judging then."""
    told = []

    def judge(samples, model, *, threshold=None, cache=None):
        yield Progress(0, 1, "Judging")
        found = told.pop(0)
        if found is UNKNOWN:
            return Judgement((), (), 0.1, 0.1)
        agreement, steadiness = found
        pixels = np.flatnonzero(samples[0].labels == 1)
        strokes = [HeldStroke(0, kind, pixels[:5], agreement) for kind in ("positive", "positive", "negative")]
        return Judgement(strokes, (steadiness, steadiness), 0.2, 0.1)

    monkeypatch.setattr(rounds_module, "judge", judge)
    return told


def add_stroke(session, row):
    layer = session.book.member(session.image, "positive")
    mask = np.asarray(layer.data) != 0
    mask[row, 14:20] = True
    session.book.put_strokes(session.image, "positive", mask)


def train(qtbot, panel, session):
    """A round from training to verdict; returns its result."""
    before = len(panel.rounds.track.rounds)
    session.train("pu", QUICK, warm=False)
    qtbot.waitUntil(lambda: len(panel.rounds.track.rounds) == before + 1)
    new = panel.rounds.track.new
    settle(qtbot, panel, session)
    return new


def settle(qtbot, panel, session):
    rounds = panel.rounds
    qtbot.waitUntil(lambda: rounds.track.judged and not rounds.judging and not session.busy and not session.showing)


def click(qtbot, button):
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def column(panel, number):
    return [panel.table.item(row, number).text() for row in range(panel.table.rowCount())]


def shown_mask(qtbot, session):
    qtbot.waitUntil(lambda: not session.showing)
    return np.array(session.book.member(session.image, "mask").data)


def test_a_round_is_judged_and_told(qtbot, session, panel):
    assert not panel.table.isVisible()
    assert not any(b.isEnabled() for b in (panel.peek_button, panel.revert_button, panel.keep_button))
    train(qtbot, panel, session)
    (one,) = panel.rounds.track.rounds
    assert (one.n_positive, one.n_negative) == (2, 2)
    assert one.judgement.recall > 0.9
    assert one.seconds > 0
    assert panel.table.isVisible()
    assert column(panel, 0) == [f"1 {MARK}"]
    assert column(panel, 1) == ["2+2"]
    assert column(panel, 6) == ["–"]
    assert "next round" in panel.verdict_label.text()
    add_stroke(session, 20)
    train(qtbot, panel, session)
    last = panel.rounds.track.rounds[-1]
    assert last.n_positive == 3
    assert last.new_strokes
    assert 0 <= last.change < 0.5
    assert last.verdict.keep
    assert column(panel, 0) == ["1", f"2 {MARK}"]
    assert panel.peek_button.isEnabled()


def test_judging_is_beside_the_sessions_work(qtbot, session, panel, monkeypatch):
    titles = []
    session.job_started.connect(lambda job: titles.append(job.title))

    def judge(samples, model, *, threshold=None, cache=None):
        assert cache is session.cache
        while True:
            yield Progress(0, 1, "Judging")

    monkeypatch.setattr(rounds_module, "judge", judge)
    session.train("pu", QUICK, warm=False)
    qtbot.waitUntil(lambda: panel.rounds.judging)
    assert not session.busy
    assert "Judging round 1" in panel.verdict_label.text()
    monkeypatch.setattr(rounds_module, "judge", real_judge)
    session.train("pu", QUICK, warm=False)
    assert not panel.rounds.judging, "a training comes first"
    settle(qtbot, panel, session)
    assert titles == ["Training", "Training"]
    assert len(panel.rounds.track.rounds) == 2
    assert all(one.judgement is not None for one in panel.rounds.track.rounds), "the first is judged together with it"


def test_a_worse_round_is_offered_not_taken(qtbot, session, panel, verdicts):
    verdicts += [GOOD, POOR]
    heard = []
    session.said.connect(lambda text, failed: heard.append(text))
    first = train(qtbot, panel, session)
    add_stroke(session, 50)
    second = train(qtbot, panel, session)
    assert heard[-1] == "Round 2 looks worse, so the result before is kept."
    assert second is not first
    assert session.model is first.model
    assert np.array_equal(shown_mask(qtbot, session), first.segmentation.mask)
    assert column(panel, 0) == [f"1 {MARK}", "2"]
    text = panel.verdict_label.text()
    assert "looks worse, so round 1 is kept" in text
    assert "40\N{NO-BREAK SPACE}%" in text
    assert panel.keep_button.isEnabled()
    assert not panel.revert_button.isEnabled()
    click(qtbot, panel.keep_button)
    assert session.model is second.model
    assert np.array_equal(shown_mask(qtbot, session), second.segmentation.mask)
    assert column(panel, 0) == ["1", f"2 {MARK}"]
    click(qtbot, panel.revert_button)
    assert session.model is first.model
    assert column(panel, 0) == [f"1 {MARK}", "2"]


def test_a_better_round_is_taken_and_can_be_reverted(qtbot, session, panel, verdicts):
    verdicts += [POOR, GOOD]
    first = train(qtbot, panel, session)
    second = train(qtbot, panel, session)
    assert session.model is second.model
    assert "Round 2 agrees at least as well" in panel.verdict_label.text()
    told = []
    session.said.connect(lambda text, _failed: told.append(text))
    click(qtbot, panel.revert_button)
    assert session.model is first.model
    assert "Round 1 is in use." in told
    click(qtbot, panel.keep_button)
    assert session.model is second.model
    assert "Round 2 is in use." in told


def test_a_fall_too_small_to_be_shown_is_not_told(qtbot, session, panel, verdicts):
    verdicts += [GOOD, GOOD]
    train(qtbot, panel, session)
    train(qtbot, panel, session)
    rounds = panel.rounds.track.rounds
    assert rounds[1].verdict.agreement == 0
    rounds[1] = replace(rounds[1], verdict=replace(rounds[1].verdict, agreement=-0.002, agreement_spread=0.01))
    panel.rounds.changed.emit()
    assert (
        "Round 2 agrees at least as well: held-out strokes 100\N{NO-BREAK SPACE}% (before 100\N{NO-BREAK SPACE}%)"
        in panel.verdict_label.text()
    )


def test_without_the_box_the_verdict_is_only_told(qtbot, session, panel, verdicts):
    verdicts += [GOOD, POOR]
    assert panel.keep_box.isChecked()
    panel.keep_box.click()
    train(qtbot, panel, session)
    second = train(qtbot, panel, session)
    assert session.model is second.model
    assert panel.verdict_label.text().startswith("Round 2 looks worse: ")


def test_the_previous_result_is_shown_while_the_button_is_pressed(qtbot, session, panel, verdicts):
    verdicts += [GOOD, GOOD]
    first = train(qtbot, panel, session)
    add_stroke(session, 50)
    second = train(qtbot, panel, session)
    assert panel.peek_button.text() == "Show previous"
    click(qtbot, panel.peek_button)
    assert panel.peek_button.isChecked()
    assert session.result.model is first.model
    assert np.array_equal(shown_mask(qtbot, session), first.segmentation.mask)
    assert column(panel, 0) == ["1", f"2 {MARK}"], "looking decides nothing"
    assert len(verdicts) == 0
    click(qtbot, panel.peek_button)
    assert session.result.model is second.model
    assert len(panel.rounds.track.rounds) == 2
    click(qtbot, panel.revert_button)
    assert panel.peek_button.text() == "Show new"


def test_the_next_round_is_compared_with_the_one_in_use(qtbot, session, panel, verdicts):
    verdicts += [GOOD, POOR, GOOD]
    first = train(qtbot, panel, session)
    train(qtbot, panel, session)
    third = train(qtbot, panel, session)
    track = panel.rounds.track
    assert track.old.model is first.model
    assert track.rounds[-1].verdict.agreement == 0
    assert session.model is third.model
    assert column(panel, 0) == ["1", "2", f"3 {MARK}"]


def test_only_two_results_are_kept(qtbot, session, panel, verdicts):
    verdicts += [GOOD] * 4
    results = [train(qtbot, panel, session) for _ in range(4)]
    track = panel.rounds.track
    assert len(track.rounds) == 4
    assert [track.old.model, track.new.model] == [results[2].model, results[3].model]


def test_the_threshold_of_the_user_goes_along(qtbot, session, panel, verdicts):
    verdicts += [GOOD, GOOD]
    first = train(qtbot, panel, session)
    train(qtbot, panel, session)
    session.set_threshold(0.9)
    assert len(panel.rounds.track.rounds) == 2, "no round"
    assert panel.rounds.track.new.segmentation.threshold == 0.9
    click(qtbot, panel.revert_button)
    assert session.result.model is first.model
    assert session.result.segmentation.threshold == 0.9


def test_stop_is_said_after_two_calm_rounds(qtbot, session, panel, verdicts, monkeypatch):
    verdicts += [GOOD] * 5
    monkeypatch.setattr(rounds_module, "mask_change", lambda old, new: 0.004)
    train(qtbot, panel, session)
    add_stroke(session, 17)
    train(qtbot, panel, session)
    assert "stop" not in panel.verdict_label.text()
    train(qtbot, panel, session)
    assert "stop" not in panel.verdict_label.text(), "there was no new stroke"
    add_stroke(session, 21)
    train(qtbot, panel, session)
    assert "stop" not in panel.verdict_label.text()
    add_stroke(session, 23)
    train(qtbot, panel, session)
    assert panel.verdict_label.text().startswith(
        "You can stop: new strokes changed the mask by 0.4\N{NO-BREAK SPACE}% and 0.4\N{NO-BREAK SPACE}%"
    )


def test_too_few_strokes_are_said(qtbot, session, panel, verdicts):
    verdicts += [UNKNOWN, GOOD]
    train(qtbot, panel, session)
    assert "two strokes" in panel.verdict_label.text()
    assert column(panel, 3) == ["–"]
    second = train(qtbot, panel, session)
    assert "too few strokes" in panel.verdict_label.text()
    assert session.model is second.model


def test_a_stroke_without_support_is_shown(qtbot, viewer, session, panel, verdicts):
    verdicts += [GOOD, POOR]
    train(qtbot, panel, session)
    assert not panel.stroke_button.isVisible()
    train(qtbot, panel, session)
    assert panel.stroke_button.isVisible()
    viewer.scene.camera.center = (0, 60, 60)
    click(qtbot, panel.stroke_button)
    assert np.allclose(viewer.scene.camera.center[-2:], (14, 14))


def test_live_mode_is_judged_when_the_strokes_rest(qtbot, session, panel, verdicts, monkeypatch):
    monkeypatch.setattr(rounds_module, "REST_MS", 50)
    verdicts += [GOOD, GOOD]
    live, models, merged = Live(session), [], []
    session.result_changed.connect(lambda result: models.append(result.model))
    session.set_live(True)
    qtbot.waitUntil(lambda: len(panel.rounds.track.rounds) == 1 and panel.rounds.track.judged)
    monkeypatch.setattr(rounds_module, "REST_MS", 10**6)
    panel.rounds.changed.connect(lambda: merged.append(len(panel.rounds.track.rounds)))
    add_stroke(session, 18)
    qtbot.waitUntil(lambda: len(panel.rounds.track.rounds) == 2)
    assert not panel.rounds.track.judged
    trained = panel.rounds.track.new.model
    add_stroke(session, 22)
    qtbot.waitUntil(lambda: panel.rounds.track.new.model is not trained)
    qtbot.waitUntil(lambda: not session.busy and not live.waiting)
    monkeypatch.setattr(rounds_module, "REST_MS", 50)
    panel.rounds._soon.start(0)
    settle(qtbot, panel, session)
    assert len(panel.rounds.track.rounds) == 2, "what nobody judged is one round with what came next"
    assert panel.rounds.track.rounds[-1].n_positive == 4
    assert verdicts == []


def test_each_image_has_its_rounds_and_takes_them_along(qtbot, viewer, session, panel, verdicts):
    verdicts += [GOOD]
    train(qtbot, panel, session)
    first = session.image
    second = viewer.add_image(np.zeros((9, 9)), name="second")
    session.choose_image(second)
    assert panel.rounds.track.rounds == []
    assert not panel.table.isVisible()
    session.choose_image(first)
    assert len(panel.rounds.track.rounds) == 1
    assert panel.table.isVisible()
    viewer.layers.remove(first)
    session.choose_image(second)
    assert not any(panel.rounds._tracks)


def test_a_model_applied_elsewhere_is_no_round(qtbot, viewer, session, panel, verdicts):
    verdicts += [GOOD]
    train(qtbot, panel, session)
    other = viewer.add_image(np.asarray(session.image.data), name="other")
    session.apply(other)
    qtbot.waitUntil(lambda: not session.busy)
    session.choose_image(other)
    assert panel.rounds.track.rounds == []


def test_nothing_begins_after_the_session_is_closed(qtbot, session, panel, monkeypatch):
    begun = []
    monkeypatch.setattr(session, "aside", lambda *args: begun.append(args))
    session.train("pu", QUICK, warm=False)
    qtbot.waitUntil(lambda: len(panel.rounds.track.rounds) == 1)
    assert panel.rounds._soon.isActive()
    session.close()
    assert not panel.rounds._soon.isActive()
    assert begun == []


def test_numbers_are_written_as_the_locale_does(qtbot, session, panel, verdicts):
    verdicts += [GOOD]
    panel.setLocale(QLocale("fr_FR"))
    train(qtbot, panel, session)
    track = panel.rounds.track
    track.rounds[0] = replace(track.rounds[0], seconds=1.25, change=0.0123)
    panel.rounds.changed.emit()
    assert column(panel, 2) == ["1,2"]
    assert column(panel, 6) == ["1,2"]


def test_the_mark_of_the_round_in_use_is_drawn(qtbot, session, panel, verdicts):
    verdicts += [GOOD]
    train(qtbot, panel, session)
    item = panel.table.item(0, 0)
    place = panel.table.visualItemRect(item)
    marked = panel.table.viewport().grab(place).toImage()
    assert item.text() == f"1 {MARK}"
    item.setText("1")
    alone = panel.table.viewport().grab(place).toImage()
    assert marked != alone


def test_every_cell_can_be_read_in_a_narrow_dock(qtbot, session, panel, verdicts):
    verdicts += [(1.0, 1.0), (1.0, 1.0)]
    train(qtbot, panel, session)
    train(qtbot, panel, session)
    panel.setFixedWidth(284)  # what a dock of 300 px leaves
    qtbot.waitUntil(lambda: panel.width() == 284)
    assert column(panel, 3) == ["100/100"] * 2
    table, metrics = panel.table, panel.table.fontMetrics()
    for index in range(table.columnCount()):
        texts = [*table.horizontalHeaderItem(index).text().splitlines(), *column(panel, index)]
        assert max(metrics.horizontalAdvance(text) for text in texts) <= table.columnWidth(index)
    assert sum(table.columnWidth(index) for index in range(table.columnCount())) <= table.viewport().width()
