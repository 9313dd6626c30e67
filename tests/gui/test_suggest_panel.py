"""Take me there: places, keys, answers as strokes that can be undone, and nothing left behind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("napari")

from napari.layers import Points
from napari.utils.key_bindings import coerce_keybinding
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QPushButton, QWidget

from napari_pu_segment.core.methods.pu import PuSettings
from napari_pu_segment.gui.keys import free_keys
from napari_pu_segment.gui.paint.suggest_panel import KEY_CHOICES, SuggestPanel
from napari_pu_segment.gui.session import Session
from napari_pu_segment.gui.viewer.layers import LayerBook
from tests.helpers import disks, strokes

QUICK = PuSettings(n_steps=30, prior="fixed", class_prior=0.15, threads=1)


@pytest.fixture
def opened(make_viewer, qtbot):
    """A viewer with bright disks, strokes on some of them, and the panel docked."""
    viewer = make_viewer(show=True)
    image, _ = disks()
    layer = viewer.add_image(image[0], name="disks", scale=(0.5, 0.5))
    session = Session(LayerBook(viewer))
    session.crf = None
    session.choose_image(layer)
    session.book.add_brushes(layer)
    codes = strokes()
    session.book.put_strokes(layer, "positive", codes == 1)
    session.book.put_strokes(layer, "negative", codes == 2)
    panel = SuggestPanel(session)
    viewer.window.add_dock_widget(panel)
    qtbot.waitExposed(panel)
    yield viewer, session, panel
    panel.leave()
    session.close()


def click(qtbot, button):
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def train(qtbot, session):
    session.train("pu", QUICK, warm=False)
    qtbot.waitUntil(lambda: session.runner.current is None and not session.showing)


def arrive(qtbot, panel):
    qtbot.waitUntil(lambda: panel.guide.place is not None)


def rings(viewer):
    return [layer for layer in viewer.layers if isinstance(layer, Points)]


def press(viewer, key):
    """What napari does when a key is pressed and no layer has it."""
    viewer.keymap[coerce_keybinding(key)](viewer)


def painted(session, role):
    return np.asarray(session.book.member(session.image, role).data)


def test_nothing_is_suggested_before_there_is_a_result(opened, qtbot):
    viewer, session, panel = opened
    said = []
    session.said.connect(lambda text, failed: said.append(text))
    assert not panel.go_button.isEnabled()
    assert not panel.object_button.isEnabled()
    assert "Train first" in panel.reason_label.text()
    press(viewer, panel.keys["next"])
    assert "train first" in said[-1]
    assert rings(viewer) == []


def test_it_goes_there_says_why_and_leaves_the_brush_in_hand(opened, qtbot):
    viewer, session, panel = opened
    session.book.paint(session.image, "negative")
    in_hand = session.book.member(session.image, "negative")
    train(qtbot, session)
    assert rings(viewer) == []
    click(qtbot, panel.go_button)
    arrive(qtbot, panel)
    place = panel.guide.place
    assert place.reason.capitalize() in panel.reason_label.text()
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], np.array(place.centre) * 0.5, atol=0.01)
    (ring,) = rings(viewer)
    np.testing.assert_allclose(ring.data_to_world((0, 0)), np.array(place.centre) * 0.5)
    assert viewer.layers.selection.active is in_hand
    assert in_hand.mode == "paint"
    viewer.scene.camera.center = (0, 0, 0)
    click(qtbot, panel.go_button)
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], np.array(place.centre) * 0.5, atol=0.01)
    assert panel.guide.place is place


@pytest.mark.parametrize(
    ("action", "role", "other"), [("object", "positive", "negative"), ("background", "negative", "positive")]
)
def test_an_answer_is_a_dab_that_undo_takes_back(opened, qtbot, action, role, other):
    viewer, session, panel = opened
    train(qtbot, session)
    press(viewer, panel.keys["next"])
    arrive(qtbot, panel)
    place, before, beside = panel.guide.place, painted(session, role).copy(), painted(session, other).copy()
    press(viewer, panel.keys[action])
    after = painted(session, role)
    changed = np.argwhere(after != before)
    assert after[place.centre] == 1
    assert len(changed) > 0
    assert (((changed - place.centre) ** 2).sum(1) <= place.radius_px**2).all()
    assert np.array_equal(painted(session, other), beside)
    assert panel.guide.place not in (None, place)
    session.book.member(session.image, role).undo()
    assert np.array_equal(painted(session, role), before)


def test_back_takes_an_answer_back_and_asks_again(opened, qtbot):
    _, session, panel = opened
    train(qtbot, session)
    before = painted(session, "positive").copy()
    click(qtbot, panel.go_button)
    arrive(qtbot, panel)
    first = panel.guide.place
    assert not panel.back_button.isEnabled()
    click(qtbot, panel.object_button)
    assert painted(session, "positive").sum() > before.sum()
    second = panel.guide.place
    click(qtbot, panel.back_button)
    assert panel.guide.place is first
    assert np.array_equal(painted(session, "positive"), before)
    assert not panel.back_button.isEnabled()
    click(qtbot, panel.skip_button)
    assert np.array_equal(painted(session, "positive"), before)
    assert panel.guide.place is second


def test_back_never_undoes_the_strokes_of_the_user(opened, qtbot):
    _, session, panel = opened
    train(qtbot, session)
    click(qtbot, panel.go_button)
    arrive(qtbot, panel)
    click(qtbot, panel.object_button)
    assert panel.back_button.isEnabled()
    session.book.stamp(session.image, "positive", (2, 2), 1)
    assert not panel.back_button.isEnabled()


def test_a_new_result_brings_new_places_but_does_not_move_the_user(opened, qtbot):
    _, session, panel = opened
    train(qtbot, session)
    click(qtbot, panel.go_button)
    arrive(qtbot, panel)
    click(qtbot, panel.object_button)
    place = panel.guide.place
    assert not panel.guide.looking
    train(qtbot, session)
    qtbot.waitUntil(lambda: not panel.guide.looking)
    assert panel.guide.place is place
    click(qtbot, panel.skip_button)
    following = panel.guide.place
    assert following not in (None, place)
    assert np.hypot(*np.subtract(following.centre, place.centre)) > place.radius_px
    assert painted(session, "positive")[following.centre] == 0


def test_another_kind_of_place_can_be_asked_for(opened, qtbot):
    _, session, panel = opened
    train(qtbot, session)
    click(qtbot, panel.go_button)
    arrive(qtbot, panel)
    panel.kind_combo.setCurrentIndex(panel.kind_combo.findData("missed"))
    qtbot.waitUntil(lambda: panel.guide.place is not None)
    assert "Likely missed object" in panel.reason_label.text()
    assert session.result.segmentation.mask[panel.guide.place.centre] == 0


def test_keys_that_others_use_are_left_alone(opened, make_viewer):
    _, _, panel = opened
    assert tuple(panel.keys.values()) == KEY_CHOICES[0]
    assert panel.keys["object"] in panel.object_button.text()
    viewer = make_viewer()
    called = []
    viewer.bind_key("J", lambda _: called.append("theirs"))
    assert free_keys(viewer, KEY_CHOICES) == KEY_CHOICES[1]
    session = Session(LayerBook(viewer))
    other = SuggestPanel(session)
    press(viewer, "J")
    other.leave()
    press(viewer, "J")
    assert called == ["theirs", "theirs"]
    session.close()


def test_leaving_takes_the_ring_and_the_keys_away(opened, qtbot):
    viewer, session, panel = opened
    train(qtbot, session)
    click(qtbot, panel.go_button)
    arrive(qtbot, panel)
    keys = {coerce_keybinding(key) for key in panel.keys.values()}
    assert len(rings(viewer)) == 1
    assert keys <= set(viewer.keymap)
    panel.leave()
    assert rings(viewer) == []
    assert not keys & set(viewer.keymap)
    panel.enter()
    assert keys <= set(viewer.keymap)
    click(qtbot, panel.go_button)
    arrive(qtbot, panel)
    assert len(rings(viewer)) == 1


def test_a_ring_that_the_user_deletes_comes_back_and_the_image_gone_ends_it(opened, qtbot):
    viewer, session, panel = opened
    train(qtbot, session)
    click(qtbot, panel.go_button)
    arrive(qtbot, panel)
    viewer.layers.remove(rings(viewer)[0])
    click(qtbot, panel.skip_button)
    assert len(rings(viewer)) == 1
    viewer.layers.remove(session.image)
    assert panel.guide.place is None
    assert rings(viewer) == []
    assert not panel.go_button.isEnabled()
    press(viewer, panel.keys["object"])
    assert rings(viewer) == []


def test_places_of_a_stack_are_gone_to_in_their_plane(make_viewer, qtbot):
    viewer = make_viewer(show=True)
    image, _ = disks()
    layer = viewer.add_image(np.stack([image[0]] * 5), scale=(2, 1, 1))
    session = Session(LayerBook(viewer))
    session.crf = None
    session.choose_image(layer)
    session.book.add_brushes(layer)
    codes = np.stack([strokes()] + [np.zeros((96, 80), np.uint8)] * 4)
    session.book.put_strokes(layer, "positive", codes == 1)
    panel = SuggestPanel(session)
    train(qtbot, session)
    panel.guide.take_there()
    planes = set()
    for _ in range(6):
        arrive(qtbot, panel)
        place = panel.guide.place
        assert viewer.dims.point[0] == 2 * place.centre[0]
        planes.add(place.centre[0])
        panel.guide.answer("")
    assert len(planes) > 1, "they spread over the planes"
    panel.leave()
    session.close()


def test_a_result_of_which_only_a_part_is_new_brings_no_places(opened, qtbot):
    _, session, panel = opened
    train(qtbot, session)
    click(qtbot, panel.go_button)
    arrive(qtbot, panel)
    whole = session.result
    session.result_changed.emit(replace(whole, preview=True))
    assert not panel.guide.looking
    session.result_changed.emit(replace(whole))
    assert not panel.guide.looking, "the probability is the same: another threshold, or refined"
    probability = whole.segmentation.probability.copy()
    session.result_changed.emit(replace(whole, segmentation=replace(whole.segmentation, probability=probability)))
    assert panel.guide.looking
    qtbot.waitUntil(lambda: not panel.guide.looking)


def test_the_panel_fits_a_narrow_dock_and_explains_itself(opened, qtbot):
    viewer, session, panel = opened
    train(qtbot, session)
    click(qtbot, panel.go_button)
    arrive(qtbot, panel)
    viewer.window.resize(1200, 850)
    dock = panel.parent()
    panel.window().resizeDocks([dock], [300], Qt.Orientation.Horizontal)
    qtbot.waitUntil(lambda: panel.width() <= 330)
    for child in panel.findChildren(QWidget):
        if isinstance(child, QPushButton):
            assert child.width() >= child.fontMetrics().horizontalAdvance(child.text()) + 8, child.text()
        if isinstance(child, QPushButton | QComboBox):
            assert child.toolTip()
            assert child.mapTo(panel, child.rect().topRight()).x() <= panel.width()
