"""The panel of curation: a folder looked through, its gallery, images opened, the report exported."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("sklearn")

from PIL import Image as Picture
from qtpy.QtCore import QPointF, Qt
from qtpy.QtWidgets import QFileDialog

from napari_pu_segment.core.curation import CurateSettings
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import save_model
from napari_pu_segment.core.pipeline import train
from napari_pu_segment.core.pretraining.settings import PretrainSettings
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import Sample
from napari_pu_segment.gui.curation.curate_panel import SIMILAR
from napari_pu_segment.gui.curation.gallery import Entry
from napari_pu_segment.gui.main_widget import PLUGIN
from napari_pu_segment.image_set import ALL, DUPLICATES, REPORTS, ScanSettings, curating, ranking
from tests.helpers import disk_sample, disks

N = 12


@pytest.fixture
def folder(tmp_path):
    """Twelve images of discs, a copy of one, one that is empty, one that is no image, and a mask."""
    for name in ("in", "masks", "out"):
        (tmp_path / name).mkdir()
    for i in range(N):
        image, truth = disks(seed=i)
        image = np.roll(image, (17 * i, 29 * i), (1, 2))  # else all would be taken for copies of one
        Picture.fromarray(np.clip(image[0], 0, 255).astype(np.uint8)).save(tmp_path / f"in/plate_{i}.png")
        if i < 1:
            Picture.fromarray(truth.astype(np.uint8)).save(tmp_path / f"masks/plate_{i}.png")
    (tmp_path / "in/copy.png").write_bytes((tmp_path / "in/plate_3.png").read_bytes())
    Picture.fromarray(np.full(truth.shape, 90, np.uint8)).save(tmp_path / "in/empty.png")
    (tmp_path / "in/broken.tif").write_bytes(b"II*\0nonsense")
    return tmp_path


@pytest.fixture
def scene(make_viewer, qtbot, folder):
    """The dock, with the folders chosen."""
    viewer = make_viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Know your images")
    qtbot.waitExposed(widget)
    panel, said = widget.panel, []
    panel.form.folder_row.set_value(folder / "in")
    panel.form.masks_row.set_value(folder / "masks")
    panel.said.connect(lambda text, failed: said.append((text, failed)))
    return SimpleNamespace(viewer=viewer, widget=widget, panel=panel, said=said, qtbot=qtbot, folder=folder)


def press(scene, button):
    assert button.isVisible()
    assert button.isEnabled()
    scene.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def look_through(scene):
    press(scene, scene.panel.start_button)
    assert scene.panel.running
    scene.qtbot.waitUntil(lambda: not scene.panel.running)
    assert scene.panel.report is not None, scene.said


def select(scene, name):
    report = scene.panel.report
    scene.panel.view.select(report.names.index(name))


def shown(scene):
    gallery = scene.panel.gallery
    return [gallery.entry(row).title for row in range(gallery.rowCount())]


def choose(scene, title):
    scene.panel.show_combo.setCurrentIndex(scene.panel.show_combo.findData(title))


def test_what_was_found_is_shown_and_nothing_is_touched(scene):
    panel, before = scene.panel, {path: path.read_bytes() for path in scene.folder.rglob("*") if path.is_file()}
    assert not panel.view.isEnabled()
    assert panel.balance_bar.isHidden()
    look_through(scene)
    assert "14 images" in panel.summary_label.text()
    assert "1 duplicates" in panel.summary_label.text()
    assert scene.said[-1][0].startswith("1 file cannot be used. The first: ")
    choose(scene, ALL)
    assert len(shown(scene)) == N + 2
    choose(scene, DUPLICATES)
    assert sorted(shown(scene)) == ["copy", "plate_3"]
    choose(scene, "Odd: empty")
    assert shown(scene) == ["empty"]
    select(scene, "empty.png")
    assert "empty" in panel.words_label.text().replace("\u200b", "").partition(": ")[2]
    scene.qtbot.waitUntil(lambda: panel.gallery.has_picture(panel.report.names.index("empty.png")))
    assert {path: path.read_bytes() for path in scene.folder.rglob("*") if path.is_file()} == before


def test_images_open_one_in_the_place_of_the_other_with_their_masks(scene):
    look_through(scene)
    panel, layers = scene.panel, scene.viewer.layers
    choose(scene, ALL)
    assert not panel.open_button.isEnabled()
    select(scene, "plate_0.png")
    press(scene, panel.open_button)
    scene.qtbot.waitUntil(lambda: [layer.name for layer in layers] == ["plate_0", "plate_0 mask"])
    row = panel.gallery.row_of(panel.report.names.index("plate_5.png"))
    place = panel.view.visualRect(panel.gallery.index(row, 0)).center()
    scene.qtbot.mouseClick(panel.view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    scene.qtbot.mouseDClick(panel.view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    scene.qtbot.waitUntil(lambda: [layer.name for layer in layers] == ["plate_5"])
    (scene.folder / "in/plate_6.png").unlink()
    select(scene, "plate_6.png")
    press(scene, panel.open_button)
    scene.qtbot.waitUntil(lambda: bool(scene.said) and scene.said[-1][1])
    assert "plate_6.png" in scene.said[-1][0]


def test_similar_images_and_groups_are_chosen_by_clicks(scene):
    panel = scene.panel
    panel.form.settings_form.set_value(panel.form.settings_form.value().changed({"n_groups": 2}))
    look_through(scene)
    choose(scene, ALL)
    select(scene, "plate_3.png")
    press(scene, panel.similar_button)
    assert panel.show_combo.currentText() == f"{SIMILAR}plate_3.png"
    assert shown(scene)[:2] == ["plate_3", "copy"]
    assert len(shown(scene)) == N + 2
    room = panel.balance_bar.room(1)
    scene.qtbot.mouseClick(
        panel.balance_bar, Qt.MouseButton.LeftButton, pos=QPointF(room.center().x(), room.center().y()).toPoint()
    )
    assert panel.show_combo.currentData() == "Group 2"
    assert len(shown(scene)) == len(panel.report.curation.groups[1].members)


def test_the_report_is_exported_but_not_among_the_images(scene, monkeypatch):
    look_through(scene)
    for out, failed in (("in", True), ("out", False)):
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, out=out: str(scene.folder / out))
        scene.said.clear()
        press(scene, scene.panel.export_button)
        scene.qtbot.waitUntil(lambda: not scene.panel.running and bool(scene.said))
        assert scene.said[-1][1] is failed
    assert sorted(path.name for path in (scene.folder / "out").iterdir()) == sorted(REPORTS)
    assert not (scene.folder / "in" / REPORTS[0]).exists()


def test_looking_is_cancelled_and_a_wrong_folder_is_said(scene):
    panel = scene.panel
    panel.start()
    panel.cancel()
    assert not panel.running
    assert scene.said[-1] == ("Looking through was cancelled.", False)
    assert panel.report is None
    panel.form.folder_row.set_value(None)
    press(scene, panel.start_button)
    assert scene.said[-1] == ("Choose the folder of the images first.", True)
    assert not panel.running
    panel.form.folder_row.set_value(Path("/nowhere"))
    press(scene, panel.start_button)
    scene.qtbot.waitUntil(lambda: "/nowhere" in scene.said[-1][0])
    assert scene.said[-1][1]


def test_a_model_and_an_encoder_have_their_say_as_on_the_command_line(scene):
    panel, folder = scene.panel, scene.folder
    model, encoder = folder / "m.safetensors", folder / "e.safetensors"
    save_model(train([disk_sample()[0]], METHODS["pu"].settings(n_steps=20, threads=1)), model)
    made = METHODS["pretrain"].train([Sample(disks(seed=1)[0])], PretrainSettings(n_steps=2, threads=1))
    save_model(run(made), encoder)
    look_through(scene)
    plain = panel.report
    assert plain.curation.doubt is None
    assert not plain.scan.encoder
    assert ".safetensors" not in panel.summary_label.text()
    panel.form.masks_row.set_value(None)
    panel.form.model_row.set_value(model)
    panel.form.encoder_row.set_value(encoder)
    look_through(scene)
    report, said = panel.report, panel.summary_label.text()
    assert "Compared by the encoder e.safetensors." in said
    assert "The model m.safetensors had a say" in said
    same = run(curating(ScanSettings(folder / "in", model=model, encoder=encoder), CurateSettings()))
    assert report.to_dict() == same.to_dict()
    assert report.scan.encoder
    assert np.isfinite(report.curation.doubt).all()
    again = run(ranking(report, [], None, report.curation.settings.order))  # as when an order is chosen
    assert again.curation.next == report.curation.next
    assert np.array_equal(again.curation.doubt, report.curation.doubt)
    panel.form.model_row.set_value(encoder)
    press(scene, panel.start_button)
    scene.qtbot.waitUntil(lambda: not panel.running)
    assert "is an encoder" in scene.said[-1][0]
    assert scene.said[-1][1]


def test_what_has_strokes_is_not_suggested(scene):
    panel = scene.panel
    panel.form.masks_row.set_value(None)
    look_through(scene)
    first = panel.report.curation.next[0]
    (scene.folder / "strokes").mkdir()
    (scene.folder / f"strokes/{Path(panel.report.names[first]).stem}_strokes.geojson").write_text("{}")
    panel.form.strokes_row.set_value(scene.folder / "strokes")
    look_through(scene)
    assert panel.report.scan.annotated == (first,)
    assert first not in panel.report.curation.next


def test_of_thousands_of_images_only_those_in_sight_are_read(scene):
    panel, paths = scene.panel, sorted((scene.folder / "in").glob("plate_*"))
    panel.view.setEnabled(True)
    panel.gallery.set_entries([Entry(i, paths[i % N], str(i)) for i in range(3000)])
    scene.qtbot.waitUntil(lambda: panel.gallery.has_picture(0))
    assert not panel.gallery.has_picture(1500)
    panel.view.select(1500)  # scrolls there
    view, index = panel.view, panel.view.currentIndex()
    assert view.viewport().rect().intersects(view.visualRect(index))
    view.scrollTo(index, view.ScrollHint.PositionAtTop)  # in a low dock, lower rows are out of sight themselves
    scene.qtbot.waitUntil(lambda: panel.gallery.has_picture(1500))
    assert sum(panel.gallery.has_picture(i) for i in range(3000)) < 200
    bar = view.verticalScrollBar()
    length = bar.maximum()
    view.setFixedWidth(view.width() // 2)  # into other rows
    scene.qtbot.waitUntil(lambda: bar.maximum() > 1.2 * length)
    scene.qtbot.waitUntil(lambda: view.viewport().rect().intersects(view.visualRect(index)))


def test_the_dock_may_be_narrow_and_leaves_no_job(scene):
    assert scene.widget.minimumSizeHint().width() <= 300
    look_through(scene)
    assert scene.widget.minimumSizeHint().width() <= 300
    scene.panel.start()
    scene.viewer.window.remove_dock_widget(scene.widget)
    assert not scene.panel.running
