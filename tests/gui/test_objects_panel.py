"""The panel of objects: by clicks and events, from mask to table, layer, view and file."""

from __future__ import annotations

import csv
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("napari")

from napari._app_model import get_app_model
from napari.layers import Labels
from qtpy.QtCore import QLocale, QModelIndex, Qt
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_pu_segment.core.objects.measure import Table, measure_objects
from napari_pu_segment.core.pipeline import Segmentation
from napari_pu_segment.core.progress import Progress, run
from napari_pu_segment.core.samples import IGNORE, ONE_CLASS
from napari_pu_segment.gui.main_widget import PLUGIN
from napari_pu_segment.gui.results import measuring
from napari_pu_segment.gui.results.objects_panel import ObjectsPanel
from napari_pu_segment.gui.results.objects_table import ObjectsTable
from napari_pu_segment.gui.session import Session
from napari_pu_segment.gui.viewer.layers import LayerBook
from napari_pu_segment.gui.work import Result

MODEL = SimpleNamespace(card=SimpleNamespace(threshold=0.5), threshold=0.5, classes=ONE_CLASS)


@pytest.fixture
def scene(make_viewer, qtbot):
    """An image of 100 x 120 px of 0.5 um, a mask of three boxes (12, 100 and 4 px), and the panel in its dock."""
    viewer = make_viewer(show=True)
    image = viewer.add_image(
        np.arange(12_000, dtype=np.float32).reshape(100, 120), name="it", scale=(0.5, 0.5), units=("um", "um")
    )
    session = Session(LayerBook(viewer))
    session.crf = None
    session.choose_image(image)
    panel = ObjectsPanel(session)
    viewer.window.add_dock_widget(panel)
    qtbot.waitExposed(panel)
    said = []
    session.said.connect(lambda text, failed: said.append((text, failed)))
    yield SimpleNamespace(viewer=viewer, image=image, session=session, panel=panel, said=said, qtbot=qtbot)
    session.close()


def boxes(shape=(100, 120)):
    mask = np.zeros(shape, np.uint8)
    mask[..., 10:13, 20:24] = 1
    mask[..., 40:50, 60:70] = 1
    mask[..., 80:82, 100:102] = 1
    return mask


def give_result(scene, mask, refined=None, **more):
    sample = scene.session.book.snapshot(scene.image).sample()
    segmentation = Segmentation(mask * np.float32(0.75), mask, 0.5, refined)
    result = Result(scene.image, sample, MODEL, segmentation, None, 0.5, **more)
    scene.session.adopt(result)
    scene.qtbot.waitUntil(lambda: not scene.session.showing)
    return result


def press(scene, button=None):
    panel, qtbot = scene.panel, scene.qtbot
    button = button or panel.find_button
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not panel.running)


def cell(panel, row, title):
    model = panel.model
    titles = [model.headerData(i, Qt.Orientation.Horizontal) for i in range(model.columnCount())]
    return model.data(model.index(row, titles.index(title)))


def objects_layer(scene):
    return scene.session.book.member(scene.image, "objects")


def test_from_nothing_to_a_table_and_a_layer(scene):
    panel = scene.panel
    assert not panel.find_button.isEnabled()
    assert not panel.export_button.isEnabled()
    assert panel.count_label.text() == "No objects yet."
    give_result(scene, boxes())
    assert objects_layer(scene) is None
    press(scene)
    layer = objects_layer(scene)
    assert isinstance(layer, Labels)
    assert layer.data.dtype == np.uint16, "napari converts what is wider, on the main thread: 0.4 s for 6000 x 6000"
    assert np.bincount(layer.data.ravel()).tolist() == [12_000 - 112, 12, 100], "4 px are fewer than the default of 10"
    assert panel.model.rowCount() == 2
    assert cell(panel, 0, "Area\n(µm²)") == "3"
    assert cell(panel, 1, "Area\n(µm²)") == "25"
    assert cell(panel, 1, "Centroid y\n(µm)") == "22.25"
    assert cell(panel, 0, "Mean probability") == "0.75"
    assert cell(panel, 0, "Mean intensity") == str(round(np.mean(scene.image.data[10:13, 20:24])))
    assert panel.count_label.text() == "2 objects, typically 14 µm², 3.8 µm across."
    assert panel.export_button.isEnabled()
    assert scene.said[-1] == (panel.count_label.text(), False)


def test_the_refined_mask_is_taken_where_there_is_one(scene):
    refined = boxes()
    refined[10:13, 20:24] = 0
    give_result(scene, boxes(), refined)
    press(scene)
    assert scene.panel.model.rowCount() == 1


def test_ignored_pixels_are_left_out(scene):
    give_result(scene, boxes())
    result = scene.session.result
    labels = np.zeros((100, 120), np.uint8)
    labels[40:50, 65:] = IGNORE
    object.__setattr__(result.sample, "labels", labels)
    press(scene)
    assert cell(scene.panel, 1, "Area\n(µm²)") == "12.5"
    assert [cell(scene.panel, row, "Touches ignored") for row in (0, 1)] == ["", "yes"]


def test_what_is_shown_is_called_out_of_date_when_mask_or_settings_change(scene):
    panel = scene.panel
    first = give_result(scene, boxes())
    press(scene)
    assert not panel.stale_label.isVisible()
    give_result(scene, 1 - boxes())
    assert "mask has changed" in panel.stale_label.text()
    assert panel.stale_label.isVisible()
    scene.session.adopt(first)
    assert not panel.stale_label.isVisible()
    panel.form.set_value(panel.form.value().changed({"min_size_px": 4}))
    assert "settings have changed" in panel.stale_label.text()
    press(scene)
    assert not panel.stale_label.isVisible()
    assert panel.model.rowCount() == 3


def test_a_preview_is_out_of_date_once_it_is_complete(scene):
    result = give_result(scene, boxes(), preview=True)
    press(scene)
    scene.session.adopt(Result(**{**vars(result), "preview": False}))
    assert "mask has changed" in scene.panel.stale_label.text()


def click_row(scene, row):
    view = scene.panel.table_view
    where = view.visualRect(scene.panel.model.index(row, 0)).center()
    scene.qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=where)


def test_a_click_on_a_row_goes_to_the_object_and_shows_it_alone(scene):
    give_result(scene, boxes())
    press(scene)
    layer, camera = objects_layer(scene), scene.viewer.scene.camera
    assert not layer.show_selected_label
    camera.zoom = 1
    click_row(scene, 0)
    assert camera.center[-2:] == pytest.approx((11 * 0.5, 21.5 * 0.5))
    assert camera.zoom > 10, "an object of 3.5 px is too small to see at a zoom of 1"
    assert (layer.selected_label, layer.show_selected_label) == (1, True)
    click_row(scene, 1)
    assert camera.center[-2:] == pytest.approx((44.5 * 0.5, 64.5 * 0.5))
    assert layer.selected_label == 2
    scene.panel.only_box.click()
    assert not layer.show_selected_label
    scene.panel.only_box.click()
    assert layer.show_selected_label
    press(scene, scene.panel.all_button)
    assert not layer.show_selected_label


def test_an_object_picked_in_the_layer_chooses_its_row_and_leaves_the_view(scene):
    give_result(scene, boxes())
    press(scene)
    before = scene.viewer.scene.camera.center
    assert scene.panel.table_view.selectionModel().selectedRows() == []
    objects_layer(scene).selected_label = 2
    (chosen,) = scene.panel.table_view.selectionModel().selectedRows()
    assert chosen.row() == 1
    assert scene.viewer.scene.camera.center == before
    objects_layer(scene).selected_label = 77
    assert [index.row() for index in scene.panel.table_view.selectionModel().selectedRows()] == [1]


def test_a_header_sorts_and_the_choice_stays_with_its_object(scene):
    panel = scene.panel
    give_result(scene, boxes())
    press(scene)
    click_row(scene, 1)
    assert [cell(panel, row, "Label") for row in (0, 1)] == ["1", "2"]
    panel.table_view.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    assert [cell(panel, row, "Label") for row in (0, 1)] == ["2", "1"]
    (chosen,) = panel.table_view.selectionModel().selectedRows()
    assert panel.model.table_row(chosen.row())["label"] == 2


def test_export_writes_all_columns(scene, tmp_path, monkeypatch):
    give_result(scene, boxes())
    press(scene)
    path = tmp_path / "objects.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: ("", ""))
    press(scene, scene.panel.export_button)
    assert not path.exists()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(path), ""))
    press(scene, scene.panel.export_button)
    scene.qtbot.waitUntil(lambda: str(path) in scene.said[-1][0])
    with open(path, newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["area_px"], row["area_um2"]) for row in rows] == [("12", "3"), ("100", "25")]
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(tmp_path / "no" / "o.csv"), ""))
    press(scene, scene.panel.export_button)
    scene.qtbot.waitUntil(lambda: scene.said[-1][1])
    assert "Cannot write" in scene.said[-1][0]


def test_a_labels_layer_of_the_users_is_measured_as_it_is(scene):
    panel = scene.panel
    assert not panel.source_combo.isVisible()
    labels = boxes().astype(np.int32)
    labels[40:50, 60:70] = 9
    layer = scene.viewer.add_labels(labels, name="mine", scale=(0.5, 0.5), units=("um", "um"))
    before = layer.data.copy()
    assert panel.source_combo.isVisible()
    panel.measure_layer(layer)
    assert panel.source_combo.currentText() == "mine"
    scene.qtbot.waitUntil(lambda: panel.model.rowCount() == 2)
    assert [cell(panel, row, "Label") for row in (0, 1)] == ["1", "9"]
    assert cell(panel, 0, "Area\n(µm²)") == "4", "12 + 4 px share a label"
    assert "Mean intensity" in [panel.model.headerData(i, Qt.Orientation.Horizontal) for i in range(30)]
    assert objects_layer(scene) is None
    click_row(scene, 1)
    assert layer.selected_label == 9
    assert np.array_equal(layer.data, before)
    scene.viewer.layers.remove(layer)
    assert not panel.source_combo.isVisible()
    click_row(scene, 0)


def test_a_labels_layer_with_one_label_is_taken_for_a_mask(scene):
    layer = scene.viewer.add_labels(boxes() * 255, name="mine")
    scene.panel.measure_layer(layer)
    scene.qtbot.waitUntil(lambda: scene.panel.model.rowCount() == 2)
    assert scene.session.book.member(layer, "objects").data.max() == 2
    assert layer.data.max() == 255


def test_objects_corrected_by_hand_and_their_duplicate_are_measured_as_they_are(scene):
    give_result(scene, boxes())
    press(scene)
    layer = objects_layer(scene)
    layer.fill((45, 65), 1)
    assert scene.panel.model.rowCount() == 2
    scene.panel.measure_layer(layer)
    scene.qtbot.waitUntil(lambda: scene.panel.model.rowCount() == 1)
    assert cell(scene.panel, 0, "Area\n(µm²)") == "28", "12 + 100 px; one label, but no mask"
    copy = scene.viewer.add_layer(Labels(layer.data.copy(), name="kept", metadata=layer.metadata))
    scene.panel.measure_layer(copy)
    assert scene.panel.source_combo.currentText() == "kept"


def test_the_menu_entry_measures_the_selected_labels_or_the_result(make_viewer, qtbot):
    viewer = make_viewer(show=True)
    image = viewer.add_image(np.zeros((100, 120), np.float32), name="it")
    labels = viewer.add_labels(boxes() * np.arange(1, 121)[None], name="mine")
    assert len(viewer.window.dock_widgets) == 0
    execute = partial(get_app_model().commands.execute_command, f"{PLUGIN}.measure_objects")
    execute().result()
    (widget,) = viewer.window.dock_widgets.values()
    assert widget.tabs.tabText(widget.tabs.currentIndex()) == "Objects"
    qtbot.waitUntil(lambda: widget.objects_panel.model.rowCount() > 0)
    assert widget.objects_panel.model.rowCount() == len(np.unique(labels.data)) - 1
    viewer.layers.selection.active = image
    widget.tabs.setCurrentIndex(0)
    execute().result()
    assert widget.objects_panel.source_combo.currentText() == "The result"
    assert "no mask yet" in widget.status_label.text()
    assert list(viewer.window.dock_widgets.values()) == [widget]


def test_a_labels_layer_without_an_image_is_measured_in_its_own_units(make_viewer, qtbot):
    viewer = make_viewer()
    labels = boxes((3, 60, 90)).astype(np.int32)
    labels[1:] = 0
    labels[0, 40:50, 60:70] = 5
    layer = viewer.add_labels(labels, scale=(2, 0.1, 0.1), units=("um", "um", "um"))
    session = Session(LayerBook(viewer))
    panel = ObjectsPanel(session)
    qtbot.addWidget(panel)
    panel.measure_layer(layer)
    qtbot.waitUntil(lambda: panel.model.rowCount() == 2)
    assert cell(panel, 0, "Area\n(µm²)") == "0.12"
    assert cell(panel, 1, "Plane") == "0"
    five = viewer.add_labels(np.ones((2, 2, 2, 5, 5), int), name="five")
    said = []
    session.said.connect(lambda text, failed: said.append((text, failed)))
    panel.measure_layer(five)
    assert said[-1][1]
    assert "5 axes" in said[-1][0]
    session.close()


def test_planes_of_a_stack(make_viewer, qtbot):
    viewer = make_viewer(show=True)
    image = viewer.add_image(np.zeros((3, 100, 120), np.float32))
    session = Session(LayerBook(viewer))
    session.crf = None
    panel = ObjectsPanel(session)
    qtbot.addWidget(panel)
    scene = SimpleNamespace(viewer=viewer, image=image, session=session, panel=panel, qtbot=qtbot)
    give_result(scene, boxes((3, 100, 120)))
    press(scene)
    assert panel.model.rowCount() == 6
    viewer.dims.set_point(0, 0)
    panel.table_view.selectRow(4)
    assert viewer.dims.current_step[0] == 2
    panel.form.set_value(panel.form.value().changed({"planewise": False}))
    press(scene)
    assert cell(panel, 0, "Volume\n(px)") == "36"
    session.close()


def test_finding_can_be_cancelled_and_what_was_there_stays(scene, monkeypatch):
    panel = scene.panel
    give_result(scene, boxes())
    press(scene)
    going = []

    def slow(*args, **kwargs):
        try:
            while True:
                going.append(1)
                yield Progress(1, 4, "Slowly")
        finally:
            going.append("closed")

    monkeypatch.setattr(measuring, "find_objects_of_each", slow)
    scene.qtbot.mouseClick(panel.find_button, Qt.MouseButton.LeftButton)
    assert panel.running
    scene.qtbot.waitUntil(lambda: panel.find_button.text() == "Cancel (25\N{NO-BREAK SPACE}%)")
    press(scene)
    assert panel.find_button.text() == "Find objects"
    scene.qtbot.waitUntil(lambda: going[-1] == "closed")
    assert panel.model.rowCount() == 2


def test_an_image_removed_meanwhile_is_said_and_nothing_breaks(scene):
    give_result(scene, boxes())
    press(scene)
    scene.qtbot.mouseClick(scene.panel.find_button, Qt.MouseButton.LeftButton)
    for layer in list(scene.viewer.layers):
        scene.viewer.layers.remove(layer)
    scene.qtbot.waitUntil(lambda: not scene.panel.running)
    assert "was removed" in scene.said[-1][0]
    assert scene.said[-1][1]
    click_row(scene, 0)
    scene.panel.only_box.setChecked(False)


def test_settings_that_cannot_be_used_are_said(scene):
    give_result(scene, boxes())
    scene.panel.form.set_value(scene.panel.form.value().changed({"splitter": "probability"}))
    layer = scene.viewer.add_labels(boxes(), name="mine")
    scene.panel.measure_layer(layer)
    scene.qtbot.waitUntil(lambda: bool(scene.said) and scene.said[-1][1])
    assert "no probability" in scene.said[-1][0]


def test_an_empty_mask_is_told_in_words(scene):
    give_result(scene, np.zeros((100, 120), np.uint8))
    press(scene)
    assert scene.panel.count_label.text().startswith("No objects: the mask is empty")
    assert not scene.panel.export_button.isEnabled()


def test_a_french_locale_has_commas_on_screen_and_points_in_the_file(scene, tmp_path, monkeypatch):
    before = QLocale()
    QLocale.setDefault(QLocale(QLocale.Language.French, QLocale.Country.France))
    try:
        give_result(scene, boxes())
        press(scene)
        assert cell(scene.panel, 1, "Centroid y\n(µm)") == "22,25"
        assert "3,8 µm across" in scene.panel.count_label.text()
        path = tmp_path / "t.csv"
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(path), ""))
        press(scene, scene.panel.export_button)
        scene.qtbot.waitUntil(lambda: str(path) in scene.said[-1][0])
        assert ",22.25," in path.read_text("utf-8")
    finally:
        QLocale.setDefault(before)


def test_picking_after_the_session_closed_is_harmless(scene):
    give_result(scene, boxes())
    press(scene)
    scene.session.close()
    objects_layer(scene).selected_label = 2
    assert scene.panel.table_view.selectionModel().selectedRows() == []


def test_settings_of_the_other_splitters_are_disabled(scene):
    form = scene.panel.form
    rows = {name: form.findChild(QWidget, name) for name in ("neck_px", "dip_fraction")}
    assert not any(row.isEnabled() for row in rows.values())
    form.set_value(form.value().changed({"splitter": "distance"}))
    assert [row.isEnabled() for row in rows.values()] == [True, False]


def test_every_control_has_a_tooltip_and_the_panel_is_narrow(scene):
    panel = scene.panel
    for widget in (panel.find_button, panel.only_box, panel.all_button, panel.export_button, panel.source_combo):
        assert widget.toolTip()
    assert panel.minimumSizeHint().width() <= 280


def test_twenty_thousand_rows_are_sorted_at_once(qtbot):
    n = 20_000
    model = ObjectsTable()
    values = np.random.default_rng(0).random(n)
    values[5] = np.nan
    model.set_table(Table({"label": np.arange(1, n + 1), "area_px": values}, {"label": "", "area_px": "px"}))
    assert (model.rowCount(), model.columnCount()) == (n, 2)
    assert model.rowCount(model.index(0, 0)) == 0, "cells have no cells"
    for order, sign in ((Qt.SortOrder.AscendingOrder, 1), (Qt.SortOrder.DescendingOrder, -1)):
        model.sort(1, order)
        shown = np.array([model.table_row(row)["area_px"] for row in range(n)])
        assert (np.diff(sign * shown[:-1]) >= 0).all()
        assert np.isnan(shown[-1])
        assert model.data(model.index(n - 1, 1)) == ""
    model.sort(7)
    assert model.data(QModelIndex()) is None
    assert model.find(6) == n - 1
    assert model.find(n + 1) is None


def test_a_plane_is_found_among_several(qtbot):
    model = ObjectsTable()
    stack = np.zeros((2, 4, 4), int)
    stack[:, 1, 1] = 3
    model.set_table(run(measure_objects(stack, planewise=True)))
    found = [model.find(3, {"plane": plane}) for plane in (0, 1, 5)]
    assert (*found, model.find(3)) == (0, 1, 0, 0)
