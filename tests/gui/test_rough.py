"""Rough masks in the widget: chosen, learnt from, doubted, mended place by place."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari")

from napari_pu_segment.core.corrupt import CorruptSettings, corrupt
from napari_pu_segment.core.methods.reweight import ReweightSettings
from napari_pu_segment.core.samples import IGNORE, NEGATIVE, POSITIVE, UNLABELED
from napari_pu_segment.gui.paint.guide import Guide
from napari_pu_segment.gui.paint.train_panel import TrainPanel
from napari_pu_segment.gui.session import Session
from napari_pu_segment.gui.viewer.layers import LayerBook
from tests.helpers import dice, disks, strokes

KEYS = {"positive": "Q", "negative": "W"}
QUICK = ReweightSettings(n_steps=100, threads=1)


@pytest.fixture
def scene(make_viewer, qtbot):
    """A viewer with an image of disks, a rough mask of triangles, strokes; session, panel, truth."""
    viewer = make_viewer()
    pixels, truth = disks()
    image = viewer.add_image(pixels[0], name="disks")
    viewer.add_labels(corrupt(truth, CorruptSettings(seed=1)).astype(np.uint8), name="rough")
    viewer.add_labels(np.zeros((5, 5), np.uint8), name="another shape")
    session = Session(LayerBook(viewer))
    session.crf = None
    panel = TrainPanel(session, KEYS)
    qtbot.addWidget(panel)
    panel.image_combo.set_value(image)
    session.book.add_brushes(image)
    codes = strokes()
    session.book.put_strokes(image, "positive", codes == POSITIVE)
    session.book.put_strokes(image, "negative", codes == NEGATIVE)
    yield viewer, session, panel, truth
    session.close()


def offered(panel) -> list[str]:
    return [panel.rough_box.combo.itemText(i) for i in range(panel.rough_box.combo.count())]


def choose_method(panel, name: str) -> None:
    panel.method_combo.setCurrentIndex(panel.method_combo.findData(name))


def train(session, qtbot, settings=QUICK) -> None:
    with qtbot.waitSignal(session.result_changed):
        session.train("reweight", settings, warm=False)


def test_rough_masks_are_offered_to_the_method_that_takes_them(scene):
    viewer, _, panel, _ = scene
    assert panel.rough_box.isHidden()
    choose_method(panel, "reweight")
    assert not panel.rough_box.isHidden()
    assert offered(panel) == ["None", "rough"], "no brush layers, no other shapes"
    assert not panel.rough_box.suspect_box.isEnabled()
    viewer.add_labels(np.ones((96, 80), np.uint8), name="second")
    assert offered(panel) == ["None", "rough", "second"]
    choose_method(panel, "pu")
    assert panel.rough_box.isHidden()


def test_without_a_mask_the_sentence_says_what_is_missing(scene, qtbot):
    _, session, panel, _ = scene
    choose_method(panel, "reweight")
    with qtbot.waitSignal(session.said, check_params_cb=lambda text, failed: failed) as said:
        panel.train_button.click()
    assert "no unreliable mask" in said.args[0]
    assert session.result is None


def test_strokes_and_a_rough_mask_make_a_better_mask(scene, qtbot):
    viewer, session, panel, truth = scene
    choose_method(panel, "reweight")
    panel.rough_box.combo.setCurrentIndex(1)
    rough, before = viewer.layers["rough"], viewer.layers["rough"].data.copy()
    assert dice(before, truth) < 0.65
    train(session, qtbot)
    assert dice(session.result.segmentation.mask, truth) > 0.8
    np.testing.assert_array_equal(rough.data, before)
    assert session.result.sample.trust == "scribble"
    assert [sample.trust for sample in session.result.others] == ["noisy"]


def test_strokes_overrule_the_rough_mask(scene):
    viewer, session, panel, _ = scene
    choose_method(panel, "reweight")
    image = session.image
    session.book.put_strokes(image, "ignore", np.pad(np.ones((4, 4), bool), ((92, 0), (76, 0))))
    session.rough.choose(image, viewer.layers["rough"])
    codes = session.rough.added(session.book.snapshot(image), image).rough_codes()
    assert set(np.unique(codes)) == {UNLABELED, POSITIVE, NEGATIVE, IGNORE}
    np.testing.assert_array_equal(codes == UNLABELED, strokes() != 0)
    assert (codes[92:, 76:] == IGNORE).all()


def test_suspect_labels_are_shown_and_follow_switch_mask_and_strokes(scene, qtbot):
    viewer, session, panel, truth = scene
    choose_method(panel, "reweight")
    panel.rough_box.combo.setCurrentIndex(1)
    train(session, qtbot)
    rough, box = viewer.layers["rough"], panel.rough_box.suspect_box

    def layer():
        return session.book.member(session.image, "suspect")

    assert layer() is None
    box.click()
    qtbot.waitUntil(lambda: layer() is not None)
    shown, wrong = layer().data, (rough.data != 0) != truth
    assert shown[wrong].mean() > shown[~wrong].mean() + 0.3
    rough.data_setitem(np.nonzero(wrong), truth[wrong])
    qtbot.waitUntil(lambda: layer().data[wrong].mean() < 0.3)
    rough.undo()
    qtbot.waitUntil(lambda: np.array_equal(layer().data, shown))
    worst = np.unravel_index(shown.argmax(), shown.shape)
    assert shown[worst] > 0.5
    session.book.stamp(session.image, "positive", worst, 2)
    qtbot.waitUntil(lambda: layer().data[worst] == 0)
    box.click()
    assert layer() is None
    box.click()
    qtbot.waitUntil(lambda: layer() is not None)
    viewer.layers.remove(layer())
    assert not box.isChecked(), "what the user deleted is not brought back"


def test_one_is_led_to_suspect_labels_and_answers_mend_them(scene, qtbot):
    viewer, session, panel, truth = scene
    choose_method(panel, "reweight")
    panel.rough_box.combo.setCurrentIndex(1)
    guide, rough = Guide(session), viewer.layers["rough"]
    train(session, qtbot)
    guide.choose("suspect")

    def arrive():
        guide.take_there()
        qtbot.waitUntil(lambda: guide.place is not None and not guide.looking)
        return guide.place

    mended = arrive()
    assert mended.reason == "suspect label"
    assert mended.rough == bool(rough.data[mended.centre]) != truth[mended.centre]
    guide.answer("positive" if truth[mended.centre] else "negative")
    codes = session.rough.added(session.book.snapshot(session.image), session.image).rough_codes()
    assert codes[mended.centre] == UNLABELED, "the answer overrules the mask"
    accepted = arrive()
    guide.answer("positive" if accepted.rough else "negative")
    assert [step.settled for step in guide.done] == [False, True]
    painted_over = arrive()
    session.book.stamp(session.image, "positive", painted_over.centre, 3)
    assert guide.place is None, "an answer by hand"
    by_hand = arrive()
    rows, columns = (slice(at - 3, at + 4) for at in by_hand.centre)
    spot = np.argwhere(np.ones((7, 7))).T + np.array([[rows.start], [columns.start]])
    rough.data_setitem(tuple(spot), truth[tuple(spot)])
    assert guide.place is None, "the mask was mended"
    following = arrive()
    for other in (mended, accepted, painted_over, by_hand):
        assert np.hypot(*np.subtract(following.centre, other.centre)) > 3
    train(session, qtbot)
    assert [step.place for step in guide._dealt_with] == [accepted]


def test_a_mask_that_is_deleted_is_no_longer_learnt_from(scene):
    viewer, session, panel, _ = scene
    choose_method(panel, "reweight")
    panel.rough_box.combo.setCurrentIndex(1)
    assert session.rough.of(session.image) is viewer.layers["rough"]
    viewer.layers.remove("rough")
    assert session.rough.of(session.image) is None
    assert panel.rough_box.combo.currentText() == "None"
