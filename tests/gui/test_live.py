"""Live mode, by events: what a mouse stroke, an undo, an erased stroke and a closed window set off."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("napari")

from qtpy.QtGui import QKeySequence

from napari_pu_segment.core.crf import CRF_PRESETS
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.progress import Progress
from napari_pu_segment.gui.main_widget import MainWidget
from napari_pu_segment.gui.paint import live as live_module
from napari_pu_segment.gui.viewer.layers import RESULTS
from tests.mouse import canvas_of, paint
from tests.patience import SOON_S

QUICK = METHODS["pu"].settings(n_steps=30, prior="fixed", class_prior=0.2, threads=1)
SQUARES = [(slice(20, 60), slice(20, 60)), (slice(70, 110), slice(70, 110))]
ON_OBJECT = np.array([(40, 25), (40, 40), (40, 55)])
ON_OTHER = np.array([(90, 75), (90, 90), (90, 105)])
ON_GROUND = np.array([(20, 80), (20, 100), (20, 120)])


@pytest.fixture
def make_widget(make_viewer):
    """A shown viewer with two bright squares, brush layers and a live panel; training is quick, without a CRF."""

    def make():
        viewer = make_viewer(show=True)
        viewer.window.resize(900, 700)
        image = np.random.default_rng(0).normal(0, 0.1, (128, 128)).astype(np.float32)
        for square in SQUARES:
            image[square] += 1
        viewer.add_image(image, name="squares")
        widget = MainWidget(viewer)
        viewer.window.add_dock_widget(widget, name="Paint and segment")
        widget.train_panel.add_brushes()
        widget.train_panel.form.set_value(QUICK)
        widget.session.settings = QUICK
        widget.session.crf = None
        widget.rounds_panel.rounds.keep_if_better = False  # or it may show an older round in between
        widget.live_panel.live._rest.setInterval(10**6)  # the strokes never rest, unless a test says so
        return viewer, widget

    return make


@pytest.fixture
def opened(make_widget):
    return make_widget()


@pytest.fixture
def held(monkeypatch):
    """Training that can be held up: `begun` counts trainings with their start; they go on while `go` is set."""
    begun, go, train = [], threading.Event(), METHODS["pu"].train
    go.set()

    def slow(samples, settings, *, start=None, cache=None):
        begun.append(start)
        yield Progress(0, 0, "Held up")
        while not go.wait(0.005):
            yield Progress(0, 0, "Held up")
        return (yield from train(samples, settings, start=start, cache=cache))

    monkeypatch.setitem(METHODS, "pu", replace(METHODS["pu"], train=slow))
    return begun, go


def stroke(viewer, widget, path, role="positive"):
    assert widget.session.book.paint(widget.session.image, role)
    paint(viewer, canvas_of(viewer, widget), path)


def complete(widget):
    return widget.session.result if widget.session.result and not widget.session.result.preview else None


def next_round(qtbot, widget, action):
    """Do something, and wait for a complete result of another model, and until all of a slow stroke is followed."""
    before, soon = widget.session.model, widget.live_panel.live._soon
    action()
    qtbot.waitUntil(lambda: complete(widget) is not None and complete(widget).model is not before)
    qtbot.waitUntil(lambda: at_rest(widget) and not soon.isActive() and complete(widget) is not None)
    return complete(widget)


def at_rest(widget):
    return widget.session.runner.current is None and not widget.session.showing


def timers(widget):
    live = widget.live_panel.live
    return [timer for timer in (live._soon, live._rest) if timer.isActive()]


def hashes(viewer):
    return {
        id(layer): hashlib.sha256(np.ascontiguousarray(layer.data)).hexdigest()
        for layer in viewer.layers
        if layer.metadata.get("napari_pu_segment", {}).get("role") not in RESULTS
    }


def test_while_it_is_off_painting_does_nothing(opened, qtbot):
    viewer, widget = opened
    heard = []
    widget.session.book.painted.connect(heard.append)
    widget.session.job_started.connect(lambda job: pytest.fail("nothing was to be trained"))
    stroke(viewer, widget, ON_OBJECT)
    qtbot.waitUntil(lambda: bool(heard))
    assert not widget.session.live
    assert widget.live_panel.live.state == live_module.OFF
    assert not timers(widget), "nothing is planned either"
    assert widget.session.result is None


def test_a_stroke_is_followed_by_a_result_and_the_next_by_another(opened, qtbot):
    viewer, widget = opened
    said, states = [], []
    widget.session.said.connect(lambda text, failed: said.append((text, failed)))
    widget.live_panel.live.state_changed.connect(states.append)
    widget.live_panel.button.click()
    assert widget.session.live
    assert said[-1] == ("Live: paint a stroke on an object, and the result follows.", False)
    first = next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OBJECT))
    assert first.plan.start is None
    qtbot.waitUntil(lambda: at_rest(widget))
    mask = widget.session.book.member(widget.session.image, "mask")
    before = mask.data.copy()
    assert before[SQUARES[0]].mean() > 0.8
    second = next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_GROUND, "negative"))
    assert second.plan.start is first.model, "it continues from where the model stands"
    assert second.sample.count(2) > 0
    qtbot.waitUntil(lambda: at_rest(widget))
    assert np.array_equal(mask.data, second.segmentation.mask)
    probability = widget.session.book.member(widget.session.image, "probability")
    assert np.array_equal(probability.data, second.segmentation.probability)
    assert not np.array_equal(probability.data, first.segmentation.probability)
    assert states[:4] == [live_module.WAITS, live_module.LEARNS, live_module.LOOKS, live_module.DONE]
    assert not any(failed for _, failed in said)


def test_a_live_result_has_the_bits_of_training_and_predicting(opened, qtbot):
    from napari_pu_segment.core.pipeline import predict
    from napari_pu_segment.core.progress import run

    viewer, widget = opened
    widget.live_panel.button.click()
    result = next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OBJECT))
    model = run(METHODS["pu"].train([result.sample], QUICK))
    assert predict(model, result.sample.image).tobytes() == result.segmentation.probability.tobytes()


def test_undo_and_redo_bring_a_training(opened, qtbot):
    viewer, widget = opened
    widget.live_panel.button.click()
    next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OBJECT))
    both = next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OTHER))
    positive = widget.session.book.member(widget.session.image, "positive")
    undone = next_round(qtbot, widget, positive.undo)
    assert 0 < undone.sample.count(1) < both.sample.count(1)
    redone = next_round(qtbot, widget, positive.redo)
    assert redone.sample.count(1) == both.sample.count(1)


def test_a_stroke_during_a_training_begins_it_anew_from_the_current_model(opened, qtbot, held):
    viewer, widget = opened
    begun, go = held
    session = widget.session
    widget.live_panel.button.click()
    first = next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OBJECT))
    go.clear()
    stroke(viewer, widget, ON_GROUND, "negative")
    qtbot.waitUntil(lambda: len(begun) == 2)
    job = session.runner.current
    assert begun == [None, first.model]
    assert session.result.model is first.model, "what was there stays meanwhile"
    with qtbot.waitSignal(job.cancelled):
        stroke(viewer, widget, ON_OTHER)
    qtbot.waitUntil(lambda: len(begun) == 3)
    assert begun[2] is first.model
    final = next_round(qtbot, widget, go.set)
    assert final.sample.count(1) > first.sample.count(1)
    assert final.sample.count(2) > 0


def test_a_stroke_that_is_still_being_drawn_restarts_nothing(opened, qtbot, held, monkeypatch):
    monkeypatch.setattr(live_module, "FEW", 1)  # or a training might begin anew when the strokes rest
    viewer, widget = opened
    begun, go = held
    session, soon = widget.session, widget.live_panel.live._soon
    widget.live_panel.button.click()
    next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OBJECT))
    go.clear()
    stroke(viewer, widget, ON_GROUND, "negative")
    qtbot.waitUntil(lambda: len(begun) == 2)
    stroke(viewer, widget, ON_OTHER)  # the training gives way
    qtbot.waitUntil(lambda: len(begun) == 3)
    session.book.member(session.image, "positive").data[5:9, 5:9] = 1  # napari has not told of this part yet
    qtbot.wait(3 * live_module.DEBOUNCE_MS)
    assert len(begun) == 3
    go.set()
    qtbot.waitUntil(lambda: at_rest(widget) and not soon.isActive())
    assert len(begun) == 3, "nor does the end of the round"
    session.load("nowhere")
    with qtbot.waitSignal(session.runner.current.finished):
        pass
    qtbot.wait(3 * live_module.DEBOUNCE_MS)
    assert len(begun) == 3, "nor that of another job"
    stroke(viewer, widget, ON_GROUND + 10, "negative")
    qtbot.waitUntil(lambda: len(begun) == 4)


def test_erased_strokes_are_said_quietly_and_waited_for(opened, qtbot):
    viewer, widget = opened
    said = []
    widget.live_panel.button.click()
    first = next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OBJECT))
    widget.session.said.connect(lambda text, failed: said.append((text, failed)))
    positive = widget.session.book.member(widget.session.image, "positive")
    with qtbot.waitSignal(widget.session.said):
        positive.undo()
    assert said == [("Live: paint a stroke on an object, and the result follows.", False)]
    assert widget.live_panel.live.state == live_module.WAITS
    assert complete(widget) is first, "the last result stays"
    with qtbot.waitSignal(widget.live_panel.live._soon.timeout):
        stroke(viewer, widget, ON_GROUND, "negative")  # still nothing to learn from
    assert widget.session.runner.current is None
    assert next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OTHER)).sample.count(1) > 0


def test_the_prior_is_estimated_anew_when_the_strokes_have_doubled_and_rest(opened, qtbot, held, monkeypatch):
    viewer, widget = opened
    begun, _ = held
    widget.live_panel.live._rest.setInterval(300)
    widget.live_panel.button.click()
    next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OBJECT))
    stroke(viewer, widget, ON_OTHER)  # on a slow machine it may be followed in two parts
    qtbot.waitUntil(lambda: len(begun) > 1 and begun[-1] is None)
    qtbot.waitUntil(lambda: at_rest(widget) and complete(widget).plan.start is None)
    assert [start is None for start in begun] == [True, *[False] * (len(begun) - 2), True]
    assert len(begun) >= 3


def test_a_prior_from_enough_strokes_is_kept(opened, qtbot, held, monkeypatch):
    monkeypatch.setattr(live_module, "FEW", 1)
    viewer, widget = opened
    begun, _ = held
    live = widget.live_panel.live
    live._rest.setInterval(100)
    widget.live_panel.button.click()
    next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OBJECT))
    with qtbot.waitSignal(live._rest.timeout):
        next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OTHER))
    assert len(begun) >= 2
    assert all(start is not None for start in begun[1:]), "the strokes have doubled, and nothing begins anew"


def test_the_crf_waits_until_the_strokes_rest(opened, qtbot):
    viewer, widget = opened
    session, titles = widget.session, []
    session.job_started.connect(lambda job: titles.append(job.title))
    session.crf = CRF_PRESETS["default"]
    widget.live_panel.button.click()
    result = next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OBJECT))
    assert result.segmentation.refined is None
    assert titles == ["Live training"]
    widget.live_panel.live._rest.start(0)
    qtbot.waitUntil(lambda: session.result.segmentation.refined is not None)
    assert titles == ["Live training", "Refining"]
    assert session.result.model is result.model


def test_a_threshold_moved_by_the_user_stays_and_moves_at_once(opened, qtbot, held):
    viewer, widget = opened
    _, go = held
    session = widget.session
    widget.live_panel.button.click()
    first = next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OBJECT))
    assert first.segmentation.threshold == first.model.card.threshold
    go.clear()
    stroke(viewer, widget, ON_GROUND, "negative")
    qtbot.waitUntil(lambda: session.runner.current is not None)
    session.set_threshold(0.125)
    assert session.result.segmentation.threshold == 0.125
    final = next_round(qtbot, widget, go.set)
    assert final.model is not first.model
    assert final.segmentation.threshold == 0.125
    expected = final.segmentation.probability >= np.float32(0.125)
    assert np.array_equal(final.segmentation.mask, expected)


def test_the_button_train_goes_before_and_live_mode_goes_on(opened, qtbot, held):
    viewer, widget = opened
    begun, go = held
    widget.live_panel.button.click()
    next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OBJECT))
    go.clear()
    stroke(viewer, widget, ON_GROUND, "negative")
    qtbot.waitUntil(lambda: len(begun) == 2)
    assert widget.train_panel.train_button.text() == "Train"
    widget.train_panel.train_button.click()
    assert widget.session.runner.current.title == "Training"
    trained = next_round(qtbot, widget, go.set)
    assert trained.plan.start is None
    assert begun[2:] == [None]
    live = next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OTHER))
    assert live.plan.start is trained.model


def test_a_failing_training_is_said_and_the_next_stroke_tries_again(opened, qtbot, monkeypatch):
    viewer, widget = opened
    said, train = [], METHODS["pu"].train
    widget.live_panel.button.click()
    first = next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OBJECT))
    widget.session.said.connect(lambda text, failed: said.append((text, failed)))
    for error, failed in ((InputError("Paint more."), False), (RuntimeError("of torch"), True)):

        def fail(samples, settings, *, start=None, cache=None, error=error):
            yield Progress(0, 1, "About to fail")
            raise error

        monkeypatch.setitem(METHODS, "pu", replace(METHODS["pu"], train=fail))
        with qtbot.waitSignal(widget.session.said):
            stroke(viewer, widget, ON_GROUND + len(said), "negative")
        assert said[-1][1] is failed
        assert complete(widget) is first
    monkeypatch.setitem(METHODS, "pu", replace(METHODS["pu"], train=train))
    assert next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OTHER)).plan.start is first.model


def test_cancel_ends_live_mode_and_brings_back_what_was_before_the_preview(opened, qtbot, monkeypatch):
    viewer, widget = opened
    session = widget.session
    widget.live_panel.button.click()
    first = next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OBJECT))
    before, hold = hashes(viewer), threading.Event()

    def stuck(model, sample, out, **kwargs):
        out[:64] = 1
        yield Progress(1, 2, "Predicting", parts=((slice(0, 64), slice(0, 128)),))
        while not hold.wait(0.005):
            yield Progress(1, 2, "Predicting")

    monkeypatch.setattr("napari_pu_segment.gui.work.stream", stuck)
    stroke(viewer, widget, ON_GROUND, "negative")
    qtbot.waitUntil(lambda: session.result.preview)
    assert session.model is not first.model
    assert session.result.segmentation.mask[:64].all()
    assert np.array_equal(session.result.segmentation.mask[64:], first.segmentation.mask[64:])
    assert first.segmentation.mask[:64].mean() < 0.9, "the complete result was not written to"
    painted = hashes(viewer)
    assert painted != before
    begin = time.monotonic()
    session.cancel()
    assert session.runner.current is None
    assert time.monotonic() - begin < SOON_S
    hold.set()
    assert not session.live
    assert not widget.live_panel.button.isChecked()
    assert session.model is first.model
    assert session.result is first
    qtbot.waitUntil(lambda: not session.showing)
    assert np.array_equal(session.book.member(session.image, "mask").data, first.segmentation.mask)
    assert hashes(viewer) == painted


def meddle_rename(viewer, widget):
    widget.session.image.name = "renamed"
    widget.session.book.member(widget.session.image, "mask").name = "mine"


def meddle_reorder(viewer, widget):
    viewer.layers.reverse()


def meddle_delete_results(viewer, widget):
    for role in ("probability", "mask"):
        viewer.layers.remove(widget.session.book.member(widget.session.image, role))


def meddle_duplicate(viewer, widget):
    viewer.layers.append(type(widget.session.image)(np.ones((128, 128)), name="squares"))


def meddle_3d(viewer, widget):
    viewer.dims.ndisplay = 3


@pytest.mark.parametrize("meddle", [meddle_rename, meddle_reorder, meddle_delete_results, meddle_duplicate, meddle_3d])
def test_layers_may_change_during_a_training(opened, qtbot, held, meddle):
    viewer, widget = opened
    session, (begun, go), said = widget.session, held, []
    widget.live_panel.button.click()
    next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OBJECT))
    qtbot.waitUntil(lambda: at_rest(widget))
    session.said.connect(lambda text, failed: said.append((text, failed)))
    go.clear()
    stroke(viewer, widget, ON_GROUND, "negative")
    qtbot.waitUntil(lambda: len(begun) == 2)
    meddle(viewer, widget)
    before = hashes(viewer)
    result = next_round(qtbot, widget, go.set)
    qtbot.waitUntil(lambda: at_rest(widget))
    assert hashes(viewer) == before
    assert not any(failed for _, failed in said), said
    mask = session.book.member(session.image, "mask")
    assert np.array_equal(mask.data, result.segmentation.mask)


@pytest.mark.parametrize("what", ["removed", "resized", "brush removed"])
def test_what_a_training_needs_may_vanish(opened, qtbot, held, what):
    viewer, widget = opened
    session, (begun, go), said = widget.session, held, []
    widget.live_panel.button.click()
    next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OBJECT))
    session.said.connect(lambda text, failed: said.append(text))
    go.clear()
    stroke(viewer, widget, ON_GROUND, "negative")
    qtbot.waitUntil(lambda: len(begun) == 2)
    image = session.image
    if what == "removed":
        viewer.layers.remove(image)
    elif what == "resized":
        image.data = image.data[:90, :100]
    else:
        viewer.layers.remove(session.book.member(image, "positive"))
    before = hashes(viewer)
    go.set()
    if what == "brush removed":
        qtbot.waitUntil(lambda: any(text.startswith("Live: ") for text in said))
        assert complete(widget) is not None
    else:
        qtbot.waitUntil(lambda: any("was removed or changed its shape" in text for text in said))
        assert session.result is None
    qtbot.waitUntil(lambda: session.runner.current is None)
    assert hashes(viewer) == before


def test_two_widgets_in_two_viewers_do_not_meet(make_widget, qtbot):
    (viewer, widget), (other_viewer, other) = make_widget(), make_widget()
    widget.live_panel.button.click()
    assert not other.session.live
    next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OBJECT))
    assert other.session.result is None
    other.live_panel.button.click()
    both = next_round(qtbot, other, lambda: stroke(other_viewer, other, ON_OTHER))
    assert both.layer is other.session.image
    assert complete(widget).layer is widget.session.image
    other_viewer.window.remove_dock_widget(other)
    assert not other.session.live
    assert next_round(qtbot, widget, lambda: stroke(viewer, widget, ON_OTHER)).layer is widget.session.image


@pytest.mark.parametrize("moment", ["waiting", "debouncing", "learning", "predicting", "done"])
def test_closing_at_any_moment_leaves_nothing_behind(opened, qtbot, held, moment):
    viewer, widget = opened
    session, (begun, go) = widget.session, held
    before = len(viewer.keymap)
    widget.live_panel.button.click()
    if moment in ("learning", "debouncing"):
        go.clear()
    if moment != "waiting":
        stroke(viewer, widget, ON_OBJECT)
    if moment == "learning":
        qtbot.waitUntil(lambda: bool(begun))
    if moment == "predicting":
        qtbot.waitUntil(lambda: session.result is not None)
    if moment == "done":
        qtbot.waitUntil(lambda: complete(widget) is not None)
    job = session.runner.current
    begin = time.monotonic()
    viewer.window.remove_dock_widget(widget)
    assert time.monotonic() - begin < SOON_S
    assert session.runner.current is None
    assert job is None or not job.alive
    assert not session.live
    assert len(viewer.keymap) == before - len(widget.keys())
    n = len(begun)
    stroked = session.book.member(session.image, "positive")
    stroked.data_setitem((np.array([1]), np.array([1])), 1)
    assert not timers(widget), "nothing follows any more"
    assert len(begun) == n


def test_live_mode_has_a_key_and_the_keys_are_listed(opened, qtbot):
    viewer, widget = opened
    key = widget.live_keys.keys["live"]
    assert f"Key {key}." in widget.live_panel.button.toolTip()
    pressed, canvas = QKeySequence(key.replace("-", "+"))[0], canvas_of(viewer, widget)
    assert not widget.session.live
    qtbot.keyClick(canvas, pressed.key(), pressed.keyboardModifiers())  # as a hand does it: no menu is in the way
    assert widget.session.live
    assert widget.live_panel.button.isChecked()
    widget.keys_button.refresh()
    listed = widget.keys_button.label.text()
    assert widget.keys()
    assert all(f"<b>{key}</b>" in listed and text in listed for key, text in widget.keys().items())
    qtbot.keyClick(canvas, pressed.key(), pressed.keyboardModifiers())
    assert not widget.session.live
