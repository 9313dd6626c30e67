"""The panel of time: by clicks and events, from a series to plot, keograms, frames and files."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("napari")

import dask.array as da
from PIL import Image as Picture
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QFileDialog, QScrollArea

from napari_pu_segment.core.frames.timeaxis import TimeAxis
from napari_pu_segment.core.pipeline import Segmentation
from napari_pu_segment.core.progress import Progress
from napari_pu_segment.core.samples import ONE_CLASS
from napari_pu_segment.gui.parts.plot import Curve, KeogramStrip, Plot
from napari_pu_segment.gui.results import timing
from napari_pu_segment.gui.results.time_panel import MEASURE, TimePanel
from napari_pu_segment.gui.session import Session
from napari_pu_segment.gui.viewer.grid import Grid
from napari_pu_segment.gui.viewer.layers import LayerBook
from napari_pu_segment.gui.work import Result
from napari_pu_segment.io import read_image

MODEL = SimpleNamespace(card=SimpleNamespace(threshold=0.5), threshold=0.5, classes=ONE_CLASS)
N = 8


@pytest.fixture
def scene(make_viewer, qtbot):
    """Eight frames of 40 x 50 px, two seconds apart, value t; and the panel in its dock."""
    viewer = make_viewer(show=True)
    frames = np.broadcast_to(np.arange(N, dtype=np.float32)[:, None, None], (N, 40, 50)).copy()
    image = viewer.add_image(
        frames, name="it", scale=(2, 0.5, 0.5), units=("s", "um", "um"), axis_labels=("t", "y", "x")
    )
    session = Session(LayerBook(viewer))
    session.crf = None
    session.choose_image(image)
    panel = TimePanel(session)
    column = QScrollArea()  # as in the dock: the panel is as high as it likes
    column.setWidget(panel)
    column.setWidgetResizable(True)
    viewer.window.add_dock_widget(column)
    qtbot.waitExposed(panel)
    said = []
    session.said.connect(lambda text, failed: said.append((text, failed)))
    yield SimpleNamespace(viewer=viewer, image=image, session=session, panel=panel, said=said, qtbot=qtbot)
    session.close()


def growing():
    """In frame t, the first 5 t columns."""
    return np.stack([np.tile(np.arange(50) < 5 * t, (40, 1)) for t in range(N)]).astype(np.uint8)


def give_result(scene, mask, **more):
    sample = scene.session.book.snapshot(scene.image).sample()
    segmentation = Segmentation(mask * np.float32(0.75), mask, 0.5, None)
    scene.session.adopt(Result(scene.image, sample, MODEL, segmentation, None, 0.5, **more))
    scene.qtbot.waitUntil(lambda: not scene.session.showing)


def press(scene, button=None):
    panel, button = scene.panel, button or scene.panel.measure_button
    assert button.isEnabled()
    scene.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    scene.qtbot.waitUntil(lambda: not panel.running)


def test_from_a_result_to_a_plot_with_times(scene):
    panel = scene.panel
    assert not panel.measure_button.isEnabled()
    assert not panel.table_button.isEnabled()
    assert panel.view.plot.value() is None
    give_result(scene, growing())
    press(scene)
    curve = panel.view.plot.value()
    assert curve.values == pytest.approx([10.0 * t for t in range(N)])
    assert curve.unit == "%"
    assert curve.axis.places.tolist() == [2.0 * t for t in range(N)]
    assert scene.said[-1] == (f"{N} frames measured.", False)
    titles = [panel.view.what_combo.itemText(i) for i in range(panel.view.what_combo.count())]
    assert titles == ["Covered area (%)", "Number of objects", "Mean intensity", "Area (px)", "Area (µm²)"]
    panel.view.what_combo.setCurrentIndex(2)
    assert np.isnan(panel.view.plot.value().values[0])
    assert panel.view.plot.value().values[1:].tolist() == [1, 2, 3, 4, 5, 6, 7]
    panel.view.what_combo.setCurrentIndex(4)
    assert (panel.view.plot.value().values[1], panel.view.plot.value().unit) == (50, "µm²")


def test_seconds_typed_go_before_those_of_the_layer(scene):
    give_result(scene, growing())
    scene.panel.interval_box.setValue(30)
    press(scene)
    assert scene.panel.view.plot.value().axis.places.tolist() == [30.0 * t for t in range(N)]
    assert scene.panel.view.frame_label.text() == "frame 3, 90 s: 30 %"


def click(scene, widget, frame):
    where = QPoint(round(widget.x_of(frame)), round(widget.room().center().y()))
    scene.qtbot.mouseClick(widget, Qt.MouseButton.LeftButton, pos=where)


@pytest.mark.parametrize("name", ["plot", "image_strip", "mask_strip"])
def test_a_click_goes_to_the_frame_and_leaves_the_view(scene, name):
    give_result(scene, growing())
    press(scene)
    widget = getattr(scene.panel.view, name)
    before = scene.viewer.scene.camera.center, scene.viewer.scene.camera.zoom
    assert scene.viewer.dims.current_step[0] != 6
    click(scene, widget, 6)
    assert scene.viewer.dims.current_step[0] == 6
    assert scene.panel.view.frame() == 6
    assert scene.panel.view.frame_label.text() == "frame 6, 12 s: 60 %"
    assert (scene.viewer.scene.camera.center, scene.viewer.scene.camera.zoom) == before
    scene.qtbot.keyClick(widget, Qt.Key.Key_Right)
    assert scene.viewer.dims.current_step[0] == 7
    scene.qtbot.keyClick(widget, Qt.Key.Key_Right)
    assert scene.viewer.dims.current_step[0] == 7, "there is no later frame"
    scene.qtbot.keyClick(widget, Qt.Key.Key_Home)
    assert scene.viewer.dims.current_step[0] == 0


def test_the_plot_follows_the_viewer(scene):
    give_result(scene, growing())
    press(scene)
    scene.viewer.dims.set_current_step(0, 3)
    assert {strip.frame() for strip in (scene.panel.view.plot, scene.panel.view.mask_strip)} == {3}
    scene.session.close()
    scene.viewer.dims.set_current_step(0, 5)
    assert scene.panel.view.frame() == 3, "a closed session listens to nothing"


def test_a_labels_layer_is_measured_with_the_image(scene):
    labels = scene.viewer.add_labels(growing().astype(np.int32), name="mine", scale=(2, 0.5, 0.5))
    assert scene.panel.source_combo.isVisible()
    scene.panel.source_combo.setCurrentIndex(1)
    press(scene)
    table = scene.panel.value().series.table
    assert table.columns["objects"].tolist() == [0] + [1] * 7
    assert table.columns["mean_intensity"][3] == 3
    assert table.columns["elapsed_s"][1] == 2, "as the image's axis of time tells"
    labels.data = np.zeros((3, 40, 50), np.int32)
    press(scene)
    table = scene.panel.value().series.table
    assert len(table) == 3
    assert not any(name.startswith("mean") for name in table.columns), "no image has this shape"
    assert not scene.panel.view.image_strip.isVisible()
    assert scene.panel.view.mask_strip.isVisible()


def test_volumes_have_a_plot_and_no_keogram(scene):
    volume = scene.viewer.add_labels(np.ones((4, 3, 20, 20), np.uint8), name="volume")
    scene.panel.source_combo.setCurrentIndex(1)
    press(scene)
    assert scene.panel.value().series.table.columns["volume_px"].tolist() == [1200] * 4
    assert not scene.panel.keogram_button.isEnabled()
    assert not scene.panel.view.mask_strip.isVisible()
    click(scene, scene.panel.view.plot, 2)
    assert scene.viewer.dims.current_step[0] == 2
    assert volume.data.all(), "it was only read"


def test_a_single_frame_is_refused_in_a_sentence(scene):
    scene.viewer.layers.remove(scene.image)
    image = scene.viewer.add_image(np.zeros((20, 30), np.float32), name="one")
    scene.session.choose_image(image)
    sample = scene.session.book.snapshot(image).sample()
    mask = np.zeros((20, 30), np.uint8)
    scene.session.adopt(Result(image, sample, MODEL, Segmentation(mask * 0.5, mask, 0.5, None), None, 0.5))
    press(scene)
    text, failed = scene.said[-1]
    assert failed
    assert "'one' is a single frame" in text


def test_what_is_shown_is_called_out_of_date(scene):
    give_result(scene, growing())
    press(scene)
    assert not scene.panel.stale_label.isVisible()
    scene.panel.objects_form.set_value(scene.panel.objects_form.value().changed({"min_size_px": 1000}))
    assert "settings have changed" in scene.panel.stale_label.text()
    press(scene)
    assert not scene.panel.stale_label.isVisible()
    assert scene.panel.value().series.table.columns["objects"].tolist() == [0] * 5 + [1] * 3
    give_result(scene, growing()[::-1])
    assert scene.panel.stale_label.isVisible()
    assert "mask has changed" in scene.panel.stale_label.text()


def test_the_line_of_the_keogram_turns(scene):
    give_result(scene, growing())
    press(scene)
    first = scene.panel.value()
    assert first.series.keogram.mask.shape == (40, N)
    form = scene.panel.line_form
    scene.panel.line_fold.expand(animate=False)
    scene.qtbot.waitUntil(lambda: scene.panel.line_button.height() > 10)
    form.set_value(form.value().changed({"angle_deg": 90}))
    press(scene, scene.panel.line_button)
    second = scene.panel.value()
    assert second.series.keogram.mask.shape == (50, N)
    assert second.series.keogram.mask[:, 3].tolist() == [1] * 15 + [0] * 35
    assert second.series.table is first.series.table
    form.set_value(form.value().changed({"centre_px": (100, 3)}))
    press(scene, scene.panel.line_button)
    assert scene.said[-1][1]
    assert "lies outside" in scene.said[-1][0]
    assert scene.panel.value() is second, "the old one stays"


def test_table_and_keogram_are_written(scene, tmp_path, monkeypatch):
    give_result(scene, growing())
    press(scene)
    answers = iter(
        [
            (str(tmp_path / name), kind)
            for name, kind in (("a.csv", ""), ("k", "Picture (*.png)"), ("v", "Values (*.tif)"))
        ]
    )
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a: next(answers))
    for button in (scene.panel.table_button, scene.panel.keogram_button, scene.panel.keogram_button):
        n_said = len(scene.said)
        scene.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        scene.qtbot.waitUntil(lambda n_said=n_said: len(scene.said) > n_said)
        assert not scene.said[-1][1], scene.said[-1]
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv", "k.png", "v.tif", "v_mask.tif"}
    rows = list(csv.DictReader((tmp_path / "a.csv").open(encoding="utf-8")))
    assert [row["area_fraction"] for row in rows[:3]] == ["0", "0.1", "0.2"]
    assert np.asarray(Picture.open(tmp_path / "k.png")).std() > 10
    assert np.array_equal(read_image(tmp_path / "v.tif").image.squeeze()[0], np.arange(N))


def test_measuring_can_be_cancelled(scene, monkeypatch):
    def slowly(*_args):
        while True:
            yield Progress(1, 4, "Measuring frames")

    give_result(scene, growing())
    monkeypatch.setattr("napari_pu_segment.gui.results.time_panel.measured", slowly)
    scene.qtbot.mouseClick(scene.panel.measure_button, Qt.MouseButton.LeftButton)
    scene.qtbot.waitUntil(lambda: scene.panel.measure_button.text().startswith("Cancel ("))
    scene.qtbot.mouseClick(scene.panel.measure_button, Qt.MouseButton.LeftButton)
    scene.qtbot.waitUntil(lambda: scene.panel.measure_button.text() == MEASURE)
    assert scene.panel.value() is None


def test_times_are_read_off_the_names_in_a_folder(make_viewer, tmp_path):
    for minute in (1, 2, 3):
        Picture.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / f"20120217_10{minute:02d}30.png")
    (layer,) = make_viewer().open([str(tmp_path)], plugin="napari")
    times = timing.times_of_layer(Grid(layer), 3)
    assert np.diff(times).tolist()[0].total_seconds() == 60
    assert timing.times_of_layer(Grid(layer), 2) is None, "there are other files in the folder"


def painted(widget, qtbot, width=300):
    widget.resize(width, widget.sizeHint().height())
    qtbot.addWidget(widget)
    widget.show()
    qtbot.waitExposed(widget)
    image = widget.grab().toImage().convertToFormat(widget.grab().toImage().Format.Format_RGB888)
    rows = np.frombuffer(image.constBits().asstring(image.sizeInBytes()), np.uint8)
    return rows.reshape(image.height(), image.bytesPerLine())[:, : 3 * image.width()].reshape(image.height(), -1, 3)


def test_a_curve_is_drawn_with_gaps_and_a_dot(qtbot):
    plot, axis = Plot(), TimeAxis(np.arange(10.0))
    assert plot.value() is None
    values = np.array([1, 1, 1, np.nan, np.nan, np.nan, 3, 3, 3, 3.0])
    plot.set_value(Curve(axis, values))
    plot.set_frame(8)
    shot = painted(plot, qtbot).astype(int)
    green = (abs(shot - (0, 158, 115)).sum(axis=-1) < 60).any(axis=0)
    assert green[round(plot.x_of(0)) : round(plot.x_of(2))].all()
    assert not green[round(plot.x_of(3)) : round(plot.x_of(5))].any()
    assert plot.y_of(3) < plot.y_of(1) < plot.y_of(0)


def test_a_keogram_is_drawn_upright_with_gaps(qtbot):
    strip = KeogramStrip("it", ticks=True)
    rgb = np.zeros((20, 4, 3), np.uint8)
    rgb[:10, :, 0] = 255  # red above, blue below
    rgb[10:, :, 2] = 255
    strip.set_value(TimeAxis(np.array([0.0, 1, 9, 10]), in_s=True), rgb)
    strip.set_frame(1)
    shot, room = painted(strip, qtbot).astype(int), strip.room()
    x, top, bottom = round(strip.x_of(0)), round(room.top()) + 8, round(room.bottom()) - 8
    assert tuple(shot[top, x]) == (255, 0, 0)
    assert tuple(shot[bottom, x]) == (0, 0, 255)
    gap = round(room.left() + 7 / 11 * room.width())
    assert tuple(shot[top, gap]) not in ((255, 0, 0), (0, 0, 255))


def test_lazy_labels_are_read_frame_by_frame(make_viewer):
    read = []

    def block(block_info=None):
        read.append(block_info[None]["chunk-location"][0])
        return np.ones(block_info[None]["chunk-shape"], np.uint8)

    chunks = ((1,) * 5, (1,), (20,), (30,))
    lazy = da.map_blocks(block, chunks=chunks, dtype=np.uint8, meta=np.zeros((0, 0, 0, 0), np.uint8))
    layer = make_viewer().add_labels(lazy, name="lazy")
    del read[:]
    scene = timing.of_layer(layer, None, None)
    assert scene.mask.shape == (5, 20, 30), "a single plane is no stack"
    assert read == []
    frames = scene.frames(None)
    assert next(frames).mask.all()
    assert set(read) == {0}


def test_files_on_disk_are_measured(scene, tmp_path):
    panel = scene.panel
    for folder in ("sky", "results"):
        (tmp_path / folder).mkdir()
    for t in range(5):
        Picture.fromarray(np.full((20, 30), t, np.uint8)).save(tmp_path / "sky" / f"20120217_1000{10 * t:02d}.png")
        mask = np.tile(np.arange(30) < 3 * t, (20, 1)).astype(np.uint8)
        Picture.fromarray(mask).save(tmp_path / "results" / f"20120217_1000{10 * t:02d}_mask.png")
    assert not panel.files_form.isVisible()
    panel.source_combo.setCurrentIndex(panel.source_combo.count() - 1)
    assert panel.files_form.isVisible()
    press(scene)
    assert scene.said[-1] == ("Choose the folder of the frames and the folder of their masks.", True)
    panel.images_row.set_value(tmp_path / "sky")
    panel.masks_row.set_value(tmp_path / "results")
    press(scene)
    curve = panel.view.plot.value()
    assert curve.values == pytest.approx([0, 10, 20, 30, 40])
    assert str(curve.axis.start) == "2012-02-17T10:00:00.000"
    step = scene.viewer.dims.current_step
    click(scene, panel.view.plot, 3)
    assert panel.view.frame_label.text() == "2012-02-17 10:00:30: 30 %"
    assert scene.viewer.dims.current_step == step, "the viewer shows something else"
    form = panel.line_form
    form.set_value(form.value().changed({"angle_deg": 90}))
    panel.draw_line()
    scene.qtbot.waitUntil(lambda: not panel.running)
    assert panel.value().series.keogram.mask.shape == (30, 5)
    scene.viewer.add_labels(growing(), name="mine")
    assert panel.files_form.isVisible(), "another layer changes nothing of that"
