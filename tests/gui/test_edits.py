"""Splitting and merging objects with the mouse: one undo step each, a table that follows, volumes, odd placements."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("napari")

from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_pu_segment.gui.main_widget import MainWidget
from tests.mouse import canvas_of, paint

PAIR = np.zeros((60, 80), np.uint16)
PAIR[20:40, 10:50], PAIR[20:40, 60:70] = 1, 2  # 800 px, and 200 px beside it
ACROSS = [(10, 30), (30, 30), (50, 30)]
ALONG = [(30, 45), (30, 55), (30, 65)]


@pytest.fixture
def make(make_viewer, qtbot):
    """Opens the widget on a labels layer of the user's, measured; `world` is from pixels to world."""

    def opened(data=PAIR, **placement):
        viewer = make_viewer(show=True)
        viewer.window.resize(1000, 700)
        layer = viewer.add_labels(data.copy(), name="cells", **placement)
        widget = MainWidget(viewer)
        viewer.window.add_dock_widget(widget, name="Paint and segment")
        widget.tabs.setCurrentIndex([widget.tabs.tabText(i) for i in range(widget.tabs.count())].index("Objects"))
        said = []
        widget.session.said.connect(lambda text, failed: said.append((text, failed)))
        panel = widget.objects_panel
        scene = SimpleNamespace(
            viewer=viewer, layer=layer, widget=widget, panel=panel, box=panel.edit_box, said=said, qtbot=qtbot
        )
        if len(np.unique(data)) > 1:
            panel.measure_layer(layer)
            rows(scene, len(np.unique(data)) - 1)
        viewer.reset_view()
        return scene

    return opened


def rows(scene, n):
    scene.qtbot.waitUntil(lambda: scene.panel.model.rowCount() == n and not scene.panel.running, timeout=20_000)


def draw(scene, path):
    """A stroke along pixels of the layer, (y, x) in the plane on screen."""
    layer, dims = scene.layer, scene.viewer.dims
    point = np.array(layer.world_to_data(dims.point[-layer.ndim :]))
    places = [layer.data_to_world((*point[:-2], *place))[-2:] for place in path]
    paint(scene.viewer, canvas_of(scene.viewer, scene.widget), np.array(places))


def press(scene, mode):
    scene.qtbot.mouseClick(scene.box.buttons[mode], Qt.MouseButton.LeftButton)


def edited(scene, path):
    """Draw, and wait until the labels are others than before."""
    before, n_said = scene.layer.data.copy(), len(scene.said)
    draw(scene, path)
    words = ("became", "one now")
    scene.qtbot.waitUntil(
        lambda: any(word in text for text, _ in scene.said[n_said:] for word in words), timeout=20_000
    )
    return before


def test_a_stroke_cuts_an_object_and_undo_takes_it_back_in_one_step(make):
    scene = make()
    press(scene, "split")
    assert scene.layer.mode == "paint"
    before = edited(scene, ACROSS)
    assert np.bincount(scene.layer.data.ravel())[[0, 2]].tolist() == np.bincount(PAIR.ravel())[[0, 2]].tolist()
    assert set(np.unique(scene.layer.data)) == {0, 2, 3, 4}
    assert scene.layer.data[30, 12] == 3
    assert scene.layer.data[30, 48] == 4
    assert np.count_nonzero(scene.layer.data == 3) == pytest.approx(400, abs=25)
    rows(scene, 3)
    assert ("Object 1 became 3 and 4.", False) in scene.said
    after = scene.layer.data.copy()
    scene.layer.undo()
    assert np.array_equal(scene.layer.data, before)
    rows(scene, 2)
    scene.layer.redo()
    assert np.array_equal(scene.layer.data, after)
    rows(scene, 3)
    QTest.keyClick(canvas_of(scene.viewer, scene.widget), Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(scene.layer.data, before)
    rows(scene, 2)


def test_a_stroke_makes_objects_one(make):
    scene = make()
    press(scene, "merge")
    before = edited(scene, ALONG)
    assert (scene.layer.data == np.where(PAIR == 2, 1, PAIR)).all()
    rows(scene, 1)
    assert ("Objects 1 and 2 are one now: 1.", False) in scene.said
    scene.layer.undo()
    assert np.array_equal(scene.layer.data, before)
    rows(scene, 2)


def test_split_then_merge_then_undo_both(make):
    scene = make()
    press(scene, "split")
    first = edited(scene, ACROSS)
    press(scene, "merge")
    second = edited(scene, [(30, 20), (30, 40)])
    assert set(np.unique(scene.layer.data)) == {0, 2, 3}
    scene.layer.undo()
    assert np.array_equal(scene.layer.data, second)
    scene.layer.undo()
    assert np.array_equal(scene.layer.data, first)
    rows(scene, 2)


def test_a_stroke_that_does_nothing_leaves_all_as_it_was(make):
    scene = make()
    press(scene, "split")
    draw(scene, [(30, 20), (30, 30)])
    scene.qtbot.waitUntil(lambda: bool(scene.said) and "parts no object" in scene.said[-1][0], timeout=20_000)
    assert scene.said[-1][1]
    assert np.array_equal(scene.layer.data, PAIR)
    press(scene, "merge")
    draw(scene, [(30, 20), (30, 30)])
    scene.qtbot.waitUntil(lambda: "fewer than two" in scene.said[-1][0], timeout=20_000)
    assert np.array_equal(scene.layer.data, PAIR)


def test_scale_and_a_turned_layer_make_no_difference(make):
    turned = make(scale=(0.5, 0.25), translate=(3, 4), rotate=30)
    press(turned, "split")
    edited(turned, ACROSS)
    assert np.count_nonzero(turned.layer.data == 3) == pytest.approx(400, abs=40)
    assert turned.layer.data[30, 65] == 2


def test_in_a_volume_the_cut_goes_through_the_planes_of_the_object(make):
    data = np.stack([PAIR, PAIR, np.where(PAIR == 1, 5, 0)]).astype(np.uint16)
    scene = make(data, scale=(2, 1, 1))
    scene.viewer.dims.set_point(0, 2)
    press(scene, "split")
    edited(scene, ACROSS)
    assert [sorted(set(np.unique(plane)) - {0}) for plane in scene.layer.data] == [[2, 6, 7], [2, 6, 7], [5]]
    assert np.array_equal(scene.layer.data[0], scene.layer.data[1])
    scene.layer.undo()
    assert np.array_equal(scene.layer.data, data)


def test_what_lies_at_another_time_is_left_alone(make):
    scene = make(np.stack([PAIR, PAIR]), axis_labels=("t", "y", "x"))
    scene.viewer.dims.set_point(0, 1)
    press(scene, "merge")
    edited(scene, ALONG)
    assert np.array_equal(scene.layer.data[0], PAIR)
    assert set(np.unique(scene.layer.data[1])) == {0, 1}


def test_buttons_and_keys_take_up_the_brush_and_lay_it_down(make):
    scene = make()
    layer, box, canvas = scene.layer, scene.box, canvas_of(scene.viewer, scene.widget)
    layer.brush_size, layer.selected_label, layer.preserve_labels = 7, 2, True
    press(scene, "split")
    assert (layer.mode, layer.brush_size < 7, layer.preserve_labels) == ("paint", True, False)
    assert layer.selected_label not in (1, 2)
    assert box.buttons["split"].isChecked()
    press(scene, "merge")
    assert [button.isChecked() for button in box.buttons.values()] == [False, True]
    press(scene, "merge")
    assert (layer.mode, layer.brush_size, layer.selected_label, layer.preserve_labels) == ("pan_zoom", 7, 2, True)
    assert not any(button.isChecked() for button in box.buttons.values())
    for key, mode in ((Qt.Key.Key_S, "split"), (Qt.Key.Key_M, "merge"), (Qt.Key.Key_M, "")):
        QTest.keyClick(canvas, key, Qt.KeyboardModifier.ShiftModifier)
        assert box.edits.mode == mode
    assert {"Shift-S", "Shift-M"} <= set(scene.widget.keys())
    assert "Shift-S" in box.buttons["split"].toolTip()


@pytest.mark.parametrize(
    "act",
    [
        lambda scene: setattr(scene.layer, "mode", "erase"),
        lambda scene: setattr(scene.layer, "selected_label", 2),
        lambda scene: scene.viewer.add_image(np.zeros((4, 4))),
    ],
    ids=["another tool", "another label", "another layer"],
)
def test_what_else_is_taken_up_ends_the_mode(make, act):
    scene = make()
    press(scene, "split")
    assert scene.box.edits.mode == "split"
    scene.layer.mode = "pan_zoom"  # as napari does while the space bar is held
    scene.layer.mode = "paint"
    assert scene.box.edits.mode == "split"
    act(scene)
    assert scene.box.edits.mode == ""
    assert not scene.box.buttons["split"].isChecked()


def test_where_there_is_nothing_to_edit_that_is_said(make):
    scene = make(np.zeros((20, 20), np.uint16))
    press(scene, "split")
    assert "no objects to edit" in scene.said[-1][0]
    assert not scene.box.buttons["split"].isChecked()
    full = np.where(PAIR > 0, 255, 0).astype(np.uint8)
    full[:4, :4] = 7
    scene = make(full)
    press(scene, "merge")
    assert "no room" in scene.said[-1][0]
    scene = make(np.stack([PAIR, PAIR]))
    scene.viewer.dims.ndisplay = 3
    press(scene, "merge")
    assert "2-D view" in scene.said[-1][0]
    assert scene.layer.mode == "pan_zoom"


def test_objects_of_a_result_are_edited_in_their_layer_and_the_mask_stays(make):
    scene = make(np.zeros((60, 80), np.uint16))
    mask = scene.viewer.add_labels((PAIR > 0).astype(np.uint8), name="mask")
    scene.panel.measure_layer(mask)
    rows(scene, 2)
    scene.layer = scene.widget.session.book.member(mask, "objects")
    assert isinstance(scene.layer, Labels)
    press(scene, "split")
    edited(scene, ACROSS)
    rows(scene, 3)
    assert scene.panel.source_combo.currentText() == scene.layer.name
    assert mask.data.max() == 1
    scene.layer.undo()
    rows(scene, 2)


def test_the_table_follows_napari_s_own_brush_too(make):
    scene = make()
    scene.layer.fill((30, 30), 0)
    rows(scene, 1)


def test_objects_found_anew_are_no_edit_and_those_that_come_late_are(make):
    scene = make(np.zeros((60, 80), np.uint16))
    mask = scene.viewer.add_labels((PAIR > 0).astype(np.uint8), name="mask")
    scene.panel.measure_layer(mask)
    rows(scene, 2)
    heard = []
    scene.box.edits.changed.connect(lambda: heard.append(1))
    scene.panel.form.set_value(scene.panel.form.value().changed({"min_size_px": 300}))
    scene.panel.find_or_cancel()
    rows(scene, 1)
    assert scene.panel.source_combo.currentText() == "mask"
    assert not scene.box.edits._soon.isActive()
    layer = scene.widget.session.book.member(mask, "objects")
    with layer.block_history():
        layer.data_setitem((np.array([30]), np.array([30])), 7)
    assert scene.box.edits._soon.isActive()
    scene.box.edits.follow(layer, 300)  # as when measurements from before come in
    scene.qtbot.waitUntil(lambda: bool(heard), timeout=10_000)


def test_closing_in_the_middle_leaves_the_layer_to_napari(make):
    scene = make()
    press(scene, "split")
    scene.widget.session.close()
    assert scene.layer.mode == "pan_zoom"
    scene.layer.mode = "paint"
    draw(scene, ACROSS)
    assert scene.box.edits.mode == ""
    assert not np.array_equal(scene.layer.data, PAIR), "napari paints as ever"
