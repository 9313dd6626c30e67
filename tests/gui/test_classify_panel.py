"""Classes of objects in the window: by clicks, from the objects found to table, layer and file."""

from __future__ import annotations

import csv

import numpy as np
import pytest

pytest.importorskip("napari")

from napari.layers import Labels
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QFileDialog

from napari_pu_segment.gui.main_widget import MainWidget
from napari_pu_segment.gui.numbers import PERCENT


def squares():
    """Twenty squares of 9 px, of which six are bright in the middle alone."""
    rng = np.random.default_rng(0)
    image, labels = rng.normal(0, 1, (100, 120)), np.zeros((100, 120), np.uint16)
    for k in range(20):
        y, x = 12 + 23 * (k // 5), 12 + 23 * (k % 5)
        inner = 1 if k < 6 else 4
        image[y - inner : y + inner + 1, x - inner : x + inner + 1] += 100
        labels[y - 4 : y + 5, x - 4 : x + 5] = k + 1
    return image.astype(np.float32), labels


def press(qtbot, panel, button):
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not panel.running)


def test_classes_come_into_table_layer_and_file(make_viewer, qtbot, tmp_path, monkeypatch):
    viewer = make_viewer(show=True)
    pixels, objects = squares()
    image, labels = viewer.add_image(pixels, name="it"), viewer.add_labels(objects, name="mine")
    widget = MainWidget(viewer)
    viewer.window.add_dock_widget(widget)
    widget.tabs.setCurrentIndex(2)
    panel, table = widget.classify_panel, widget.objects_panel
    said = []
    widget.session.said.connect(lambda text, failed: said.append((text, failed)))
    assert not panel.button.isEnabled()
    table.measure_layer(labels)
    qtbot.waitUntil(lambda: not table.running and table.model.rowCount() == 20)
    titles = [table.model.headerData(i, Qt.Orientation.Horizontal) for i in range(table.model.columnCount())]
    assert "Class" not in titles
    assert widget.session.book.member(image, "classes") is None

    press(qtbot, panel, panel.button)
    layer = widget.session.book.member(image, "classes")
    assert isinstance(layer, Labels)
    assert np.bincount(layer.data.ravel()).tolist() == [12_000 - 20 * 81, 14 * 81, 6 * 81]
    assert (layer.data[objects <= 6] == np.where(objects[objects <= 6] > 0, 2, 0)).all()
    assert panel.count_label.text() == f"Class 1: 14 (70{PERCENT}), class 2: 6 (30{PERCENT})."
    assert said[-1] == ("20 objects in 2 classes.", False)
    titles = [table.model.headerData(i, Qt.Orientation.Horizontal) for i in range(table.model.columnCount())]
    column = titles.index("Class")
    assert [table.model.data(table.model.index(i, column)) for i in range(20)] == ["2"] * 6 + ["1"] * 14

    plot = panel.map_plot
    assert plot.isVisible()
    assert (plot.n_points(), plot.marked()) == (20, None)
    widget.tabs.widget(2).ensureWidgetVisible(plot)
    x, y = plot.places()[7]
    viewer.scene.camera.center = (0, 0, 0)
    qtbot.mouseClick(plot, Qt.MouseButton.LeftButton, pos=QPoint(round(x), round(y)))
    row = table.table_view.selectionModel().selectedRows()[0].row()
    chosen = table.model.table_row(row)["label"]
    assert chosen == plot.marked() + 1
    assert np.linalg.norm(plot.places()[plot.marked()] - [x, y]) <= 2
    assert labels.selected_label == chosen
    place = np.argwhere(objects == chosen).mean(0)
    assert viewer.scene.camera.center[-2:] == pytest.approx(place, abs=1), "the point leads to its object"
    labels.selected_label = 3
    assert plot.marked() == 2, "an object that is picked in the viewer has its point marked"
    qtbot.mouseClick(table.all_button, Qt.MouseButton.LeftButton)
    assert plot.marked() is None
    path = tmp_path / "t.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    qtbot.mouseClick(table.export_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(path.exists)
    with open(path, newline="", encoding="utf-8") as handle:
        assert [row["class"] for row in csv.DictReader(handle)] == ["2"] * 6 + ["1"] * 14

    labels.data = np.where(objects == 20, 0, objects)  # corrected by hand: classes of what was do not hold
    table.measure_layer(labels)
    qtbot.waitUntil(lambda: not table.running and table.model.rowCount() == 19)
    assert widget.session.book.member(image, "classes") is None
    assert panel.count_label.text() == ""
    assert plot.n_points() == 0
    assert plot.isHidden()

    panel.form.set_value(panel.form.value().changed({"n_classes": 4}))
    press(qtbot, panel, panel.button)
    assert said[-1][0].startswith("There are 19 objects; 4 classes want 20 or more.")
    assert said[-1][1]
    assert widget.session.book.member(image, "classes") is None
    assert panel.button.text() == "Find classes"
