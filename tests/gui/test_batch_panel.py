"""The panel of batches: dry run, start, pause, cancel, resume, the table of files, and a file in the viewer."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("napari")

from PIL import Image as Picture
from qtpy.QtCore import QModelIndex, QPoint, Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QScrollArea

from napari_pu_segment.batch import BatchPlan, BatchSettings, FileReport, FileTask
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.methods.pu import PuSettings
from napari_pu_segment.core.model import load_model, save_model
from napari_pu_segment.core.progress import Progress, run
from napari_pu_segment.gui.batch import batch_work
from napari_pu_segment.gui.batch.batch_panel import BatchPanel
from napari_pu_segment.gui.batch.batch_table import BatchTable
from napari_pu_segment.gui.batch.batch_work import Gate
from napari_pu_segment.gui.preferences import Preferences
from napari_pu_segment.gui.session import Session
from napari_pu_segment.gui.viewer import opening
from napari_pu_segment.gui.viewer.layers import LayerBook
from napari_pu_segment.io import read_image, read_mask, write_image
from tests.helpers import disk_sample, disks

N_GOOD = 6


@pytest.fixture(scope="session")
def model():
    sample, _ = disk_sample()
    settings = PuSettings(n_steps=25, prior="fixed", class_prior=0.15, threads=1)
    return run(METHODS["pu"].train([sample], settings))


@pytest.fixture
def folder(tmp_path):
    """Six good images of discs, one of another kind, one that is no image, and a text."""
    (tmp_path / "in").mkdir()
    for i in range(N_GOOD):
        pixels = np.clip(disks(seed=i)[0][0], 0, 255).astype(np.uint8)
        Picture.fromarray(pixels).save(tmp_path / "in" / f"plate_{i}.png")
    Picture.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "in" / "colour.png")
    (tmp_path / "in" / "broken.tif").write_bytes(b"II*\0nonsense")
    (tmp_path / "in" / "notes.txt").write_text("no image")
    return tmp_path


@pytest.fixture
def scene(make_viewer, qtbot, folder, model):
    """The panel in its dock, with folders and a model file chosen."""
    viewer = make_viewer(show=True)
    session = Session(LayerBook(viewer))
    session.crf = None
    panel = BatchPanel(session)
    column = QScrollArea()
    column.setWidget(panel)
    column.setWidgetResizable(True)
    viewer.window.add_dock_widget(column)
    qtbot.waitExposed(panel)
    save_model(model, folder / "model.safetensors")
    form = panel.form
    form.folder_row.set_value(folder / "in")
    form.out_row.set_value(folder / "out")
    form.model_combo.setCurrentIndex(1)
    form.model_row.set_value(folder / "model.safetensors")
    said = []
    session.said.connect(lambda text, failed: said.append((text, failed)))
    yield SimpleNamespace(viewer=viewer, session=session, panel=panel, form=form, said=said, qtbot=qtbot, folder=folder)
    session.close()


def press(scene, button):
    assert button.isVisible()
    assert button.isEnabled()
    scene.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def press_and_wait(scene, button):
    press(scene, button)
    scene.qtbot.waitUntil(lambda: not scene.panel.running)


def states(panel):
    return {cell(panel, row, 1): cell(panel, row, 0) for row in range(panel.model.rowCount())}


def cell(panel, row, column, role=Qt.ItemDataRole.DisplayRole):
    return panel.model.data(panel.model.index(row, column), role)


def held(monkeypatch, n_free):
    """Hold up all files of a batch but the first ones: those that were begun, and what lets the others go on."""
    from napari_pu_segment.batch import run as module

    begun, go, real = [], threading.Event(), module.processing

    def processing(task):
        begun.append(task.name)
        while len(begun) > n_free and not go.wait(0.005):
            yield Progress(0, 0, "Held up")
        return (yield from real(task))

    monkeypatch.setattr(module, "processing", processing)
    return begun, go


def test_a_dry_run_tells_and_writes_nothing(scene):
    panel = scene.panel
    assert panel.model.rowCount() == 0
    assert not panel.plan_label.isVisible()
    press_and_wait(scene, panel.dry_button)
    words = panel.plan_label.text()
    assert words.startswith(f"{N_GOOD} images to do. 2 cannot be used")
    assert re.search(r"About .+ s, .+ of results; .+ are free", words)
    assert set(states(panel).values()) == {"waiting", "refused"}
    assert states(panel)["broken.tif"] == "refused"
    assert states(panel)["colour.png"] == "refused"
    assert "notes.txt" not in states(panel)
    assert not (scene.folder / "out").exists()
    assert not panel.report_button.isEnabled()
    assert scene.said[-1][1] is False


def test_a_batch_from_start_to_report(scene, monkeypatch):
    panel = scene.panel
    press(scene, panel.start_button)
    assert panel.cancel_button.isVisible()
    assert not panel.start_button.isVisible()
    assert not scene.form.isEnabled()
    scene.qtbot.waitUntil(lambda: not panel.running)
    assert sorted(states(panel).values()) == ["ok"] * N_GOOD + ["refused"] * 2
    assert panel.only_combo.itemText(0) == "All files (8)"
    covered = [cell(panel, row, 2) for row in range(8) if cell(panel, row, 0) == "ok"]
    assert all(re.fullmatch(r"1[0-9](\.\d)?\s%", text) for text in covered), covered
    assert scene.said[-1][0].startswith(f"Batch: {N_GOOD} ok, 2 refused.")
    report = json.loads((scene.folder / "out" / "report.json").read_text())
    assert report["counts"] == {"ok": N_GOOD, "skipped": 0, "refused": 2, "failed": 0}
    assert panel.start_button.text() == "Start"
    asked = []
    monkeypatch.setattr(QDesktopServices, "openUrl", asked.append)
    press(scene, panel.report_button)
    assert asked == [QUrl.fromLocalFile(str(scene.folder / "out" / "report.html"))]
    assert Path(asked[0].toLocalFile()).is_file()


def test_it_writes_what_the_command_line_writes(scene, model):
    scene.form.output_boxes["measurements"].setChecked(True)
    press_and_wait(scene, scene.panel.start_button)
    from napari_pu_segment.batch import plan, run_batch

    settings = BatchSettings(
        model=scene.folder / "model.safetensors",
        folder=scene.folder / "in",
        out=scene.folder / "other",
        outputs=("probability", "mask", "measurements"),
    )
    run(run_batch(plan(settings)))
    names = sorted(path.name for path in (scene.folder / "other").iterdir() if path.name.startswith("plate"))
    assert len(names) == 3 * N_GOOD
    for name in names:
        assert (scene.folder / "out" / name).read_bytes() == (scene.folder / "other" / name).read_bytes(), name


def test_a_pause_holds_and_goes_on(scene, monkeypatch):
    panel, (begun, go) = scene.panel, held(monkeypatch, 1)
    press(scene, panel.start_button)
    scene.qtbot.waitUntil(lambda: panel.model.counts()["ok"] == 1 and len(begun) == 2)
    press(scene, panel.pause_button)
    assert panel.pause_button.text() == "Go on"
    scene.qtbot.waitUntil(lambda: panel.file_label.text() == "Paused")
    before = list(begun), panel.model.counts()
    go.set()
    scene.qtbot.wait(500)  # longer than two files take
    assert (begun, panel.model.counts()) == before
    assert panel.running
    press(scene, panel.pause_button)
    scene.qtbot.waitUntil(lambda: not panel.running)
    assert panel.model.counts()["ok"] == N_GOOD


def test_cancel_keeps_what_is_done_and_resume_does_the_rest(scene, monkeypatch):
    panel, (begun, go) = scene.panel, held(monkeypatch, 2)
    press(scene, panel.start_button)
    scene.qtbot.waitUntil(lambda: panel.model.counts()["ok"] == 2 and len(begun) == 3)
    press(scene, panel.cancel_button)
    assert not panel.running
    scene.qtbot.waitUntil(lambda: (scene.folder / "out" / "report.json").exists())
    n_done = panel.model.counts()["ok"]
    assert n_done == 2
    assert panel.start_button.text() == "Resume"
    assert "Resume goes on" in scene.said[-1][0]
    scene.qtbot.waitUntil(lambda: not panel._job.alive)
    go.set()
    press_and_wait(scene, panel.start_button)
    counts = panel.model.counts()
    assert (counts["ok"], counts["skipped"]) == (N_GOOD - n_done, n_done)
    assert panel.start_button.text() == "Start"


def test_another_choice_is_another_batch(scene, monkeypatch):
    panel = scene.panel
    press_and_wait(scene, panel.dry_button)
    assert panel.plan_label.isVisible()
    scene.form.pattern_edit.setText("plate_1*")
    assert not panel.plan_label.isVisible(), "it was said of another batch"
    press_and_wait(scene, panel.start_button)
    assert states(panel) == {"plate_1.png": "ok"}


def test_the_present_model_goes_into_the_results(scene, model):
    panel = scene.panel
    scene.form.model_combo.setCurrentIndex(0)
    press(scene, panel.start_button)
    assert scene.said[-1] == ("There is no model yet. Train one, load one, or choose a model file.", True)
    scene.session.model = model
    scene.session.threshold = 0.9
    press_and_wait(scene, panel.dry_button)
    assert not (scene.folder / "out").exists()
    press_and_wait(scene, panel.start_button)
    kept = load_model(scene.folder / "out" / batch_work.MODEL_NAME)
    assert kept.card.to_json() == model.card.to_json()
    probability = read_image(scene.folder / "out" / "plate_0_probability.tif").image[0]
    assert np.array_equal(read_mask(scene.folder / "out" / "plate_0_mask.tif"), np.asarray(probability) >= 0.9)
    press_and_wait(scene, panel.start_button)
    assert panel.model.counts()["skipped"] == N_GOOD, "the same model, from its file by now"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda form: form.out_row.set_value(None), "a folder for the results"),
        (lambda form: form.model_row.set_value(None), "Choose a model file"),
        (lambda form: [box.setChecked(False) for box in form.output_boxes.values()], "outputs"),
        (lambda form: form.folder_row.set_value(Path("gone")), "is not a folder"),
        (lambda form: form.out_row.set_value(form.folder_row.value() / "results"), "lies in it"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(scene, change, says):
    change(scene.form)
    press_and_wait(scene, scene.panel.start_button)
    scene.qtbot.waitUntil(lambda: any(failed for _, failed in scene.said))
    text = next(text for text, failed in scene.said if failed)
    assert says in text
    assert scene.panel.start_button.isVisible()


def double_click(scene, name):
    view, model = scene.panel.table_view, scene.panel.model
    row = next(row for row in range(model.rowCount()) if cell(scene.panel, row, 1) == name)
    index = model.index(row, 1)
    view.scrollTo(index)
    where = view.visualRect(index).center()
    scene.qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=where)
    scene.qtbot.mouseDClick(view.viewport(), Qt.MouseButton.LeftButton, pos=where)
    return QPoint(where)


def test_a_double_click_opens_image_and_mask(scene):
    press_and_wait(scene, scene.panel.start_button)
    assert len(scene.viewer.layers) == 0
    double_click(scene, "plate_3.png")
    scene.qtbot.waitUntil(lambda: len(scene.viewer.layers) == 2)
    image, mask = scene.viewer.layers
    assert (image.name, mask.name) == ("plate_3", "plate_3 mask")
    assert np.array_equal(image.data, np.asarray(Picture.open(scene.folder / "in" / "plate_3.png")))
    assert np.array_equal(mask.data != 0, read_mask(scene.folder / "out" / "plate_3_mask.tif"))
    double_click(scene, "broken.tif")
    assert len(scene.viewer.layers) == 2
    assert "broken.tif" in scene.said[-1][0]
    assert "broken.tif" in scene.panel.reason_label.text().replace("\u200b", "")


def test_what_is_opened_takes_the_place_of_what_was_opened_before(scene):
    def names():
        return [layer.name for layer in scene.viewer.layers]

    def look(name):
        last = scene.viewer.layers[-1]
        double_click(scene, name)
        scene.qtbot.waitUntil(lambda: scene.viewer.layers[-1] is not last)
        scene.qtbot.waitUntil(lambda: scene.viewer.layers[-1].name == f"{name[:7]} mask")

    press_and_wait(scene, scene.panel.start_button)
    mine = scene.viewer.add_image(np.zeros((9, 9)), name="mine")
    look("plate_3.png")
    look("plate_3.png")
    assert names() == ["mine", "plate_3", "plate_3 mask"]
    look("plate_4.png")
    assert names() == ["mine", "plate_4", "plate_4 mask"]
    scene.viewer.layers["plate_4 mask"].paint((5, 5), 1)
    look("plate_5.png")
    assert names() == ["mine", "plate_4", "plate_4 mask", "plate_5", "plate_5 mask"], "labels painted on by hand stay"
    scene.session.book.add_brushes(scene.viewer.layers["plate_5"])
    look("plate_1.png")
    assert {"plate_5", "plate_5 mask", "plate_5 · positive", "plate_1"} < set(names()), "so does what was begun"
    assert mine in list(scene.viewer.layers)


def test_a_large_image_without_a_pyramid_is_not_shown_at_once(tmp_path, monkeypatch):
    write_image(tmp_path / "slide.tif", np.zeros((70, 80), np.uint8))
    file, levels = opening.read_to_look(tmp_path / "slide.tif")
    assert len(levels) == 1
    assert levels[0] is file.image
    monkeypatch.setattr(opening, "is_lazy", lambda file: True)
    assert len(opening.read_to_look(tmp_path / "slide.tif")[1]) == 1, "small planes are shown at once"
    monkeypatch.setattr(opening, "needs_overview", lambda shape: max(shape[-2:]) > 64)
    with pytest.raises(InputError, match=r"'slide\.tif' is too large"):
        opening.read_to_look(tmp_path / "slide.tif")


def test_the_list_can_be_cut_down_to_one_state(scene):
    panel = scene.panel
    press_and_wait(scene, panel.start_button)
    panel.only_combo.setCurrentIndex(panel.only_combo.findData("refused"))
    assert set(states(panel)) == {"broken.tif", "colour.png"}
    panel.only_combo.setCurrentIndex(0)
    assert panel.model.rowCount() == 8


def test_a_path_is_chosen_in_a_dialog(scene, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *a: str(scene.folder / "elsewhere"))
    press(scene, scene.form.folder_row.button)
    assert scene.form.folder_row.value() == scene.folder / "elsewhere"
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: ("", ""))
    before = scene.form.model_row.value()
    press(scene, scene.form.model_row.button)
    assert scene.form.model_row.value() == before, "the dialog was closed"


def test_the_form_opens_as_preferred(make_viewer, qtbot, monkeypatch):
    wanted = replace(Preferences(), batch_outputs="mask,measurements", batch_format="ome-zarr", batch_workers=3)
    monkeypatch.setattr("napari_pu_segment.gui.batch.batch_form.preferences", lambda: wanted)
    panel = BatchPanel(Session(LayerBook(make_viewer())))
    qtbot.addWidget(panel)
    boxes = panel.form.output_boxes
    assert [kind for kind, box in boxes.items() if box.isChecked()] == ["mask", "measurements"]
    assert panel.form.format_combo.currentData() == "ome-zarr"
    assert panel.form.workers_box.value() == (3 if batch_work.can_have_workers() else 1)


def test_a_gate_closes_what_it_holds():
    ended = []

    def work():
        try:
            while True:
                yield Progress(1, 2, "Working")
        finally:
            ended.append(True)

    gate = Gate()
    held = gate.hold(work())
    assert next(held).message == "Working"
    gate.paused = True
    assert next(held) == Progress(1, 2, "Paused")
    held.close()
    assert ended == [True]


@pytest.fixture
def plan_of():
    def make(n):
        settings = BatchSettings(model=Path("m"), folder=Path("in"), out=Path("out"))
        names = [f"{i:05d}.tif" for i in range(n)]
        tasks = tuple(FileTask(settings, "k", "m", name, name[:-4]) for name in names)
        return BatchPlan(settings, "k", "m", tasks, (), 0, 0, n, n, 10 * n, 1.0)

    return make


def test_tens_of_thousands_of_files_are_listed_at_once(qtbot, qtmodeltester, plan_of):
    table = BatchTable()
    start = time.perf_counter()
    table.set_plan(plan_of(50_000))
    for i in range(0, 50_000, 10):
        table.put(FileReport(f"{i:05d}.tif", "ok"))
    table.counts()
    assert time.perf_counter() - start < 15  # where every file looks at all others, it takes minutes
    assert table.rowCount() == 50_000
    assert table.counts()["ok"] == 5_000
    table.set_only("ok")
    assert table.rowCount(QModelIndex()) == 5_000
    small = BatchTable()
    small.set_plan(plan_of(3))
    qtmodeltester.check(small)


def test_what_stands_apart_is_marked(plan_of):
    table = BatchTable()
    table.set_plan(plan_of(2))
    table.put(FileReport("00001.tif", "ok"))
    assert table.data(table.index(1, 4)) == ""
    table.set_apart({"00001.tif": ("area fraction",)})
    assert table.data(table.index(1, 4)) == "Stands apart in its area fraction."
    assert table.data(table.index(0, 4)) == ""
    assert table.words(0) == "00000.tif: not reached yet."
