"""Methods that train nothing, in the window: a result of one image, and no model."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("napari")

from napari_pu_segment.core import seeded
from napari_pu_segment.core.files.record import load_record
from napari_pu_segment.core.files.replay import replay
from napari_pu_segment.core.from_strokes import from_strokes
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.progress import run
from napari_pu_segment.gui.main_widget import MainWidget
from napari_pu_segment.gui.model.model_panel import NONE_KEPT, NONE_YET
from napari_pu_segment.gui.paint.live import DONE, LEARNS, LOOKS
from tests.helpers import SeededHere
from tests.mouse import canvas_of, paint

ON_OBJECT = np.array([(40, 25), (40, 40), (40, 55)])
ON_GROUND = np.array([(10, 5), (10, 60), (10, 120)])
ON_OTHER = np.array([(90, 75), (90, 90), (90, 105)])


@pytest.fixture
def scene(make_viewer, qtbot, monkeypatch):
    """Two bright squares, brush layers, and a method that trains nothing; without a CRF."""
    monkeypatch.setattr(seeded, "Child", SeededHere)
    viewer = make_viewer(show=True)
    viewer.window.resize(900, 700)
    image = np.random.default_rng(0).normal(0, 0.02, (128, 128)).astype(np.float32)
    image[20:60, 20:60] += 1
    image[70:110, 70:110] += 1
    layer = viewer.add_image(image, name="squares")
    widget = MainWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Paint and segment")
    widget.train_panel.add_brushes()
    widget.session.crf = None
    choose(widget, "watershed")
    said = []
    widget.session.said.connect(lambda text, failed: said.append((text, failed)))
    return SimpleNamespace(viewer=viewer, widget=widget, session=widget.session, image=layer, said=said, qtbot=qtbot)


def choose(widget, method):
    combo = widget.train_panel.method_combo
    combo.setCurrentIndex(combo.findData(method))


def stroke(scene, path, role):
    assert scene.session.book.paint(scene.image, role)
    paint(scene.viewer, canvas_of(scene.viewer, scene.widget), path)


def rest(scene):
    session = scene.session
    scene.qtbot.waitUntil(lambda: session.runner.current is None and not session.showing, timeout=60_000)


def segment(scene):
    scene.widget.train_panel.train_button.click()
    rest(scene)
    return scene.session.result


def strokes_of_both_kinds(scene):
    stroke(scene, ON_OBJECT, "positive")
    stroke(scene, ON_GROUND, "negative")


def test_a_missing_kind_of_stroke_is_named_and_nothing_is_shown(scene):
    stroke(scene, ON_OBJECT, "positive")
    assert segment(scene) is None
    assert "'squares' has no negative ones" in scene.said[-1][0]
    assert scene.said[-1][1]
    assert scene.session.book.member(scene.image, "mask") is None


@pytest.mark.parametrize("method", ["watershed", "random_walker"])
def test_the_result_is_that_of_python_and_leaves_no_model(scene, method):
    choose(scene.widget, method)
    panel, model_panel = scene.widget.train_panel, scene.widget.model_panel
    assert panel.train_button.text() == "Segment"
    assert not panel.warm_box.isEnabled()
    strokes_of_both_kinds(scene)
    result = segment(scene)
    assert result.model is None
    assert result.plan.method == method
    expected = from_strokes(result.sample, METHODS[method].settings())
    assert np.array_equal(result.segmentation.probability, expected.probability)
    mask = scene.session.book.member(scene.image, "mask").data
    assert np.array_equal(mask, expected.mask)
    assert mask[40, 40] == 1
    assert mask[90, 90] == 0, "that square bears no stroke"
    assert scene.session.model is None
    assert model_panel.model_label.text() == NONE_KEPT != NONE_YET
    assert not model_panel.save_button.isEnabled()
    assert not scene.widget.rounds_panel.rounds.track.rounds


def test_threshold_and_uncertainty_work_without_a_model(scene):
    choose(scene.widget, "random_walker")
    scene.widget.train_panel.form.set_value(METHODS["random_walker"].settings(beta=10))
    strokes_of_both_kinds(scene)
    before = segment(scene).segmentation.mask.sum()
    panel = scene.widget.result_panel
    scene.qtbot.waitUntil(lambda: panel.coverage is not None, timeout=20_000)
    panel.threshold_box.setValue(0.05)
    rest(scene)
    assert scene.session.result.segmentation.mask.sum() > before
    assert panel.threshold_reset.isEnabled()
    panel.threshold_reset.click()
    rest(scene)
    assert scene.session.result.segmentation.mask.sum() == before
    panel.extras.boxes["uncertainty"].click()
    scene.qtbot.waitUntil(lambda: scene.session.book.member(scene.image, "uncertainty") is not None, timeout=20_000)


def test_a_model_that_was_there_stays(scene):
    choose(scene.widget, "pu")
    scene.widget.train_panel.form.set_value(METHODS["pu"].settings(n_steps=5, prior="fixed", class_prior=0.2))
    assert scene.widget.train_panel.train_button.text() == "Train"
    strokes_of_both_kinds(scene)
    model = segment(scene).model
    assert model is not None
    scene.widget.train_panel.warm_box.setChecked(True)
    choose(scene.widget, "watershed")
    result = segment(scene)
    assert (result.model, result.plan.start) == (None, None)
    assert scene.session.model is model
    assert scene.widget.model_panel.save_button.isEnabled()
    assert len(scene.widget.rounds_panel.rounds.track.rounds) == 1


def test_live_mode_follows_every_stroke(scene):
    states = []
    scene.widget.live_panel.live.state_changed.connect(states.append)
    scene.widget.live_panel.button.click()
    stroke(scene, ON_OBJECT, "positive")
    scene.qtbot.waitUntil(lambda: "no negative ones" in scene.said[-1][0], timeout=20_000)
    assert not scene.said[-1][1], "it waits for them"
    stroke(scene, ON_GROUND, "negative")
    scene.qtbot.waitUntil(lambda: scene.session.result is not None, timeout=20_000)
    rest(scene)
    first = scene.session.result
    assert not first.preview
    assert first.segmentation.mask[90, 90] == 0
    stroke(scene, ON_OTHER, "positive")
    scene.qtbot.waitUntil(lambda: scene.session.result is not first, timeout=20_000)
    rest(scene)
    assert scene.session.result.segmentation.mask[90, 90] == 1
    assert scene.said[-1][0].startswith("Live: ")
    assert {LOOKS, DONE} <= set(states)
    assert LEARNS not in states, "it learns nothing"


def test_suggestions_lead_on_from_it(scene):
    strokes_of_both_kinds(scene)
    segment(scene)
    guide = scene.widget.suggest_panel.guide
    scene.widget.suggest_panel.go_button.click()
    scene.qtbot.waitUntil(lambda: guide.place is not None, timeout=20_000)


def test_a_record_of_it_is_replayed_to_the_byte(scene, tmp_path):
    choose(scene.widget, "random_walker")
    strokes_of_both_kinds(scene)
    result = segment(scene)
    path = tmp_path / "card.json"
    scene.widget.record_panel.recorder.save(path)
    scene.qtbot.waitUntil(lambda: "Record of the result saved" in scene.said[-1][0], timeout=20_000)
    assert json.loads(path.read_text("utf-8"))["steps"][0]["grown"]["method"] == "random_walker"
    assert run(replay(load_record(path), result.sample.image)).differing == []


def test_a_series_says_which_frames_stay_empty(make_viewer, qtbot, scene):
    frames = np.stack([scene.image.data] * 2)
    layer = scene.viewer.add_image(frames, name="film", axis_labels=("t", "y", "x"))
    scene.widget.train_panel.image_combo.set_value(layer)
    scene.session.book.add_brushes(layer)
    scene.session.book.stamp(layer, "positive", (1, 40, 40), 5)
    scene.session.book.stamp(layer, "negative", (1, 10, 100), 5)
    result = segment(scene)
    assert [plane.any() for plane in result.segmentation.mask] == [False, True]
    assert any("Only 1 of 2 time points of 'film'" in text for text, _ in scene.said)
