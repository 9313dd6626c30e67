"""Classes of objects in the window: by clicks, from the objects found to table, layer and file."""

from __future__ import annotations

import csv

import numpy as np
import pytest

pytest.importorskip("napari")

from napari.layers import Labels
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QFileDialog

from napari_pu_segment.core.model import save_model
from napari_pu_segment.core.pipeline import train
from napari_pu_segment.core.pretraining.settings import PretrainSettings
from napari_pu_segment.core.samples import Sample
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


def test_classes_that_are_counted_are_told_with_what_fits_nowhere(make_viewer, qtbot):
    viewer = make_viewer()
    pixels, objects = squares()
    pixels[4:21, 4:21] = np.linspace(-200, 200, 17)  # the first object is like none of the others
    image, labels = viewer.add_image(pixels, name="it"), viewer.add_labels(objects, name="mine")
    widget = MainWidget(viewer)
    qtbot.addWidget(widget)
    panel, table = widget.classify_panel, widget.objects_panel
    said = []
    widget.session.said.connect(lambda text, failed: said.append((text, failed)))
    table.measure_layer(labels)
    qtbot.waitUntil(lambda: not table.running and table.model.rowCount() == 20)
    panel.form.set_value(panel.form.value().changed({"clusterer": "dbscan", "n_classes": 9}))
    press(qtbot, panel, panel.button)
    assert said[-1] == ("20 objects in 2 classes.", False)
    assert "class 2, which fits nowhere: " in panel.count_label.text()
    layer = widget.session.book.member(image, "classes").data
    assert set(np.unique(layer)) == {0, 1, 2}
    assert layer[12, 12] == 2
    assert panel.map_plot.n_points() == 20


def test_all_open_images_are_classified_together(make_viewer, qtbot, tmp_path, monkeypatch):
    viewer = make_viewer()
    pixels, objects = squares()
    images = [viewer.add_image(part, name=name) for name, part in (("a", pixels), ("b", pixels[::-1].copy()))]
    labels = [viewer.add_labels(part, name=f"{i}") for i, part in enumerate((objects, objects[::-1].copy()))]
    labels[1].data = np.where(labels[1].data > 16, 0, labels[1].data)  # of its 16 objects 6 are small ones
    widget = MainWidget(viewer)
    qtbot.addWidget(widget)
    session, panel, table = widget.session, widget.classify_panel, widget.objects_panel
    box = panel.images_box
    for image, layer, n in zip(images, labels, (20, 16), strict=True):
        session.choose_image(image)
        table.measure_layer(layer)
        qtbot.waitUntil(lambda n=n: not table.running and table.model.rowCount() == n)
        assert box.isHidden() == (n == 20), "one image needs no choice"
    assert box.all_box.text() == "All 2 images with objects"
    press(qtbot, panel, panel.button)
    assert session.book.member(images[0], "classes") is None
    assert box.view.isHidden()

    images[0].visible = False
    box.all_box.click()
    box.classes_box.setValue(2)
    press(qtbot, panel, panel.button)
    for image, part in zip(images, (objects, labels[1].data), strict=True):
        found = session.book.member(image, "classes").data
        assert (found == np.where(part > 6, 1, np.where(part > 0, 2, 0))).all(), "numbered alike in both"
    assert panel.count_label.text() == f"Class 1: 24 (67{PERCENT}), class 2: 12 (33{PERCENT})."
    assert not box.view.isHidden()
    shown = [[box.model.data(box.model.index(row, column)) for column in range(5)] for row in range(2)]
    assert [[row[0], *row[2:]] for row in shown] == [["a", "70", "30", "20"], ["b", "62", "38", "16"]]
    assert {row[1] for row in shown} == {"1", "2"}
    assert [session.book.member(image, "classes").visible for image in images] == [False, True], "as their images"
    assert panel.map_plot.n_points() == 36
    view = table.table_view
    view.selectRow(3)
    assert panel.map_plot.marked() == 23, "the table is that of the second image"
    panel.map_plot.picked.emit(2)
    assert viewer.scene.camera.center[-2:] == pytest.approx(np.argwhere(objects == 3).mean(0), abs=1)
    panel.map_plot.picked.emit(30)
    assert table.model.table_row(view.selectionModel().selectedRows()[0].row())["label"] == 11
    path = tmp_path / "images.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    box.export_button.click()
    qtbot.waitUntil(path.exists)
    with open(path, newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["image"], row["class_1_fraction"]) for row in rows] == [("a", "0.7"), ("b", "0.625")]

    viewer.layers.remove(labels[0])  # its objects are gone, and with them the choice
    assert box.isHidden()
    press(qtbot, panel, panel.button)
    assert session.book.member(images[1], "classes") is not None
    assert box.view.isHidden()


def test_classes_of_images_are_learnt_from_a_few(make_viewer, qtbot, tmp_path):
    viewer = make_viewer()
    pixels, objects = squares()
    widget = MainWidget(viewer)
    qtbot.addWidget(widget)
    session, panel, table = widget.session, widget.classify_panel, widget.objects_panel
    said = []
    session.said.connect(lambda text, failed: said.append((text, failed)))
    for name, first in (("a", 0), ("b", 0), ("c", 4), ("d", 4), ("e", 4)):  # from c on fewer of the small ones
        session.choose_image(viewer.add_image(pixels + 0, name=name))
        kept = np.where(objects > first, objects, 0)
        table.measure_layer(viewer.add_labels(kept, name=f"objects of {name}"))
        qtbot.waitUntil(lambda n=20 - first: not table.running and table.model.rowCount() == n)
    box, known = panel.images_box, tmp_path / "known.csv"
    box.all_box.click()
    known.write_text("image,class\na,many\nb,many\nc,few\nd,few\n", "utf-8")
    box.known_row.set_value(known)
    press(qtbot, panel, panel.button)
    titles = [box.model.headerData(i, Qt.Orientation.Horizontal) for i in range(box.model.columnCount())]
    assert titles[:3] == ["Image", "Known", "Learnt"]
    shown = [[box.model.data(box.model.index(row, column)) for column in range(3)] for row in range(5)]
    assert [row[1] for row in shown] == ["many", "many", "few", "few", ""]
    assert [row[2] for row in shown] == ["many", "many", "few", "few", "few"]
    assert f"Learnt from 4 images, of which 100{PERCENT} are told rightly unseen." in panel.count_label.text()

    known.write_text("image,class\nz,many\n", "utf-8")
    press(qtbot, panel, panel.button)
    assert "'z', which is none of the images" in said[-1][0]


def test_an_encoder_tells_objects_apart(make_viewer, qtbot, tmp_path):
    viewer = make_viewer()
    pixels, objects = squares()
    settings = PretrainSettings(n_steps=3, threads=1, network="small")
    save_model(train([Sample(image=pixels[None])], settings), tmp_path / "e.safetensors")
    image, labels = viewer.add_image(pixels, name="it"), viewer.add_labels(objects, name="mine")
    widget = MainWidget(viewer)
    qtbot.addWidget(widget)
    panel, table, said = widget.classify_panel, widget.objects_panel, []
    widget.session.said.connect(lambda text, failed: said.append((text, failed)))
    table.measure_layer(labels)
    qtbot.waitUntil(lambda: not table.running and table.model.rowCount() == 20)
    panel.form.set_value(panel.form.value().changed({"describe": ("encoder",)}))
    press(qtbot, panel, panel.button)
    assert "by an encoder, but none is chosen" in said[-1][0]

    widget.encoder_panel.take(tmp_path / "e.safetensors")
    qtbot.waitUntil(lambda: widget.session.encoder.model is not None)
    press(qtbot, panel, panel.button)
    assert said[-1] == ("20 objects in 2 classes.", False)
    found = widget.session.book.member(image, "classes").data
    assert (found == np.where(objects > 6, 1, np.where(objects > 0, 2, 0))).all(), "six are bright in the middle alone"
    assert panel.map_plot.n_points() == 20
