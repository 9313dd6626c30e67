"""Several classes of objects in the window: the class manager, brushes, results, and what follows from them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari")

import tifffile
from napari.utils.key_bindings import coerce_keybinding
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QColorDialog, QFileDialog, QMessageBox

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.files.record import load_record
from napari_pu_segment.core.files.replay import replay
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import NEGATIVE, code_of
from napari_pu_segment.gui.looks import CLASS_COLOURS
from napari_pu_segment.gui.main_widget import MainWidget
from napari_pu_segment.gui.model import autosave as saving
from napari_pu_segment.gui.model.autosave import VARIABLE
from napari_pu_segment.gui.model.autosave_bar import AutosaveBar
from napari_pu_segment.gui.model.record_panel import RecordPanel
from napari_pu_segment.gui.paint.classes_box import PAINTED, ClassesBox
from napari_pu_segment.gui.paint.live import DONE, Live
from napari_pu_segment.gui.paint.rounds import Rounds
from napari_pu_segment.gui.paint.suggest_panel import SuggestPanel
from napari_pu_segment.gui.results.accept_button import AcceptButton
from napari_pu_segment.gui.results.measuring import of_layer
from napari_pu_segment.gui.results.objects_panel import ObjectsPanel
from napari_pu_segment.gui.results.result_panel import ResultPanel
from napari_pu_segment.gui.session import Session
from napari_pu_segment.gui.viewer.classes import ClassBook
from napari_pu_segment.gui.viewer.layers import LayerBook
from tests.helpers import dice, patchwork

QUICK = METHODS["pu"].settings(n_steps=40, sigmas_px=(1.0, 2.0), filters=("gaussian", "gradient"), prior="fixed")
NAMES = ("dark", "bright", "fine")


@pytest.fixture
def viewer(make_viewer):
    return make_viewer()


@pytest.fixture
def session(viewer):
    """A session on stripes of three classes, with strokes on each and on the background."""
    session = Session(LayerBook(viewer))
    session.crf = None
    sample, _ = patchwork()
    image = viewer.add_image(sample.image[0], name="stripes")
    session.choose_image(image)
    session.book.classes.rename("positive", NAMES[0])
    for name in NAMES[1:]:
        session.book.classes.add(name)
    roles = [*session.book.classes.names, "negative"]
    for role, code in zip(roles, (*map(code_of, range(3)), NEGATIVE), strict=True):
        session.book.put_strokes(image, role, sample.labels == code)
    yield session
    session.close()


def train(qtbot, session, **kwargs):
    session.train("pu", QUICK, warm=False, **kwargs)
    qtbot.waitUntil(lambda: session.runner.current is None and not session.showing)


def layer(session, role):
    return session.book.member(session.image, role)


def colour(layer, label):
    return tuple(np.round(np.asarray(layer.colormap.map(label))[:3] * 255).astype(int))


def rgb(text):
    return tuple(int(text[i : i + 2], 16) for i in (1, 3, 5))


def test_a_book_of_classes():
    book, changes = ClassBook(), []
    book.changed.connect(lambda: changes.append(book.names))
    assert (book.names, book.brushes) == ({"positive": "positive"}, ("positive", "negative", "ignore"))
    second = book.add()
    assert (second.role, second.name, book.active) == ("class 2", "class 2", "class 2")
    book.rename("class 2", " bright ")
    assert book.called("bright") == book.called("class 2") == book.of("class 2")
    third = book.add()
    assert third.name == "class 3"
    assert len({one.colour for one in book.all()}) == 3
    for name, words in (("bright", "called 'bright'"), ("negative", "no object"), ("", "characters")):
        with pytest.raises(InputError, match=words):
            book.rename("class 3", name)
    book.remove("positive")
    assert len(book) == 3
    book.remove("class 2")
    assert (list(book.names), book.active) == (["positive", "class 3"], "class 3")
    assert len(changes) == 4
    book.restore({"positive": "cell", "class 9": "nucleus", "class 3": "class 3"}, {"class 9": "#123456"})
    assert book.names == {"positive": "cell", "class 3": "class 3", "class 9": "nucleus"}
    assert (book.colours["class 9"], book.colours["positive"]) == ("#123456", CLASS_COLOURS[0])


def test_one_class_looks_as_ever_and_a_button_adds_more(make_viewer, qtbot, monkeypatch):
    viewer = make_viewer(show=True)
    image = viewer.add_image(patchwork()[0].image[0], name="stripes")
    widget = MainWidget(viewer)
    viewer.window.add_dock_widget(widget)
    qtbot.waitExposed(widget)
    panel, box = widget.train_panel, widget.train_panel.classes_box
    panel.add_brushes()
    assert [one.name for one in viewer.layers] == ["stripes", "stripes · negative", "stripes · positive"]
    assert box.table.isHidden()
    assert panel.brush_buttons["positive"].text().startswith("Positive")
    digits = [coerce_keybinding(key) for key in panel.class_keys.keys]
    assert len(digits) == 9
    assert not any(key in viewer.keymap for key in digits)
    qtbot.mouseClick(box.add_button, Qt.MouseButton.LeftButton)
    assert not box.table.isHidden()
    added = widget.session.book.member(image, "class 2")
    assert (added.name, viewer.layers.selection.active, added.mode) == ("stripes · class 2", added, "paint")
    assert colour(added, 1) == rgb(CLASS_COLOURS[1])
    assert panel.brush_buttons["positive"].text().startswith("class 2")
    viewer.keymap[digits[0]](viewer)
    assert viewer.layers.selection.active.name == "stripes · positive"
    viewer.keymap[digits[1]](viewer)
    assert viewer.layers.selection.active is added
    assert widget.keys()[panel.class_keys.keys[1]] == "take up the brush of class 2"
    assert box.table.item(1, 1).text() == panel.class_keys.keys[1]
    box.table.item(1, 0).setText("bright")
    assert added.name == "stripes · bright"
    qtbot.waitUntil(lambda: panel.brush_buttons["positive"].text().startswith("bright"))
    box.table.item(1, 0).setText("positive")  # taken
    qtbot.waitUntil(lambda: box.table.item(1, 0).text() == "bright")
    assert "called 'positive'" in widget.status_label.text()
    widget.session.book.stamp(image, "class 2", (30, 30), 2)
    qtbot.waitUntil(lambda: box.table.item(1, PAINTED).text() == "13 px")
    answers = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]
    monkeypatch.setattr(QMessageBox, "question", lambda *_: answers.pop(0))
    qtbot.mouseClick(box.remove_button, Qt.MouseButton.LeftButton)
    assert len(widget.session.book.classes) == 2
    qtbot.mouseClick(box.remove_button, Qt.MouseButton.LeftButton)
    assert [one.name for one in viewer.layers] == ["stripes", "stripes · negative", "stripes · positive"]
    assert box.table.isHidden()
    assert not any(key in viewer.keymap for key in digits)
    qtbot.mouseClick(box.add_button, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(box.remove_button, Qt.MouseButton.LeftButton)  # nothing is painted: nobody is asked
    assert (answers, len(widget.session.book.classes)) == ([], 1)


def test_results_of_all_classes(viewer, session, qtbot):
    panel = ResultPanel(session)
    qtbot.addWidget(panel)
    assert panel.class_combo.isHidden()
    train(qtbot, session)
    _, truth = patchwork()
    assert session.model.classes == NAMES
    found = session.result.segmentation
    for number in range(4):
        assert dice(found.mask == number, truth == number) > 0.8
    mask, shown = layer(session, "mask"), layer(session, "probability")
    assert [colour(mask, k) for k in (1, 2, 3)] == [rgb(one) for one in CLASS_COLOURS[:3]]
    assert np.array_equal(mask.data, found.mask)
    assert np.array_equal(shown.data, found.probability[0])
    qtbot.waitUntil(lambda: panel.coverage is not None)
    assert [panel.class_combo.itemText(k) for k in range(3)] == list(NAMES)
    assert panel.area_box.value() == pytest.approx(100 * (found.mask == 1).mean(), rel=0.02)
    first = panel.coverage
    panel.class_combo.setCurrentIndex(2)
    qtbot.waitUntil(lambda: panel.coverage is not first and not session.showing)
    assert np.array_equal(shown.data, found.probability[2])
    assert panel.area_box.value() == pytest.approx(100 * (found.mask == 3).mean(), rel=0.02)
    before = found.mask.copy()
    panel.threshold_box.setValue(0.9)
    after = session.result.segmentation.mask
    assert session.threshold == (0.5, 0.5, 0.9)
    assert (after == 3).sum() < (before == 3).sum()
    assert ((after == before) | (before == 3)).all()  # what the class loses goes to others, and nothing else changes
    assert panel.area_box.value() == pytest.approx(100 * (after == 3).mean(), abs=0.02)
    panel.threshold_reset.click()
    assert session.threshold is None
    assert np.array_equal(session.result.segmentation.mask, before)
    for box in panel.extras.boxes.values():
        box.setChecked(True)
    qtbot.waitUntil(lambda: layer(session, "band") is not None and layer(session, "uncertainty") is not None)
    assert np.asarray(layer(session, "uncertainty").data).shape == truth.shape


def test_a_class_of_another_colour(viewer, session, qtbot, monkeypatch):
    box = ClassesBox(session)
    qtbot.addWidget(box)
    train(qtbot, session)
    session.book.classes.choose("class 2")
    session.results.show_class(1)
    qtbot.waitUntil(lambda: not session.showing)
    mask, shown, brush = (layer(session, role) for role in ("mask", "probability", "class 2"))
    assert colour(mask, 2) == colour(brush, 1) == rgb(CLASS_COLOURS[1])
    answers = [QColor(), QColor("#AA00BB")]
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_: answers.pop(0))
    box.colour_button.click()  # cancelled
    assert colour(brush, 1) == rgb(CLASS_COLOURS[1])
    box.colour_button.click()
    qtbot.waitUntil(lambda: not session.showing)
    assert colour(brush, 1) == colour(mask, 2) == rgb("#AA00BB")
    assert tuple(np.round(shown.colormap.colors[-1][:3] * 255).astype(int)) == rgb("#AA00BB")
    assert colour(mask, 1) == colour(layer(session, "positive"), 1) == rgb(CLASS_COLOURS[0])
    assert np.array_equal(mask.data, session.result.segmentation.mask)
    viewer.layers.remove(brush)
    session.book.add_brushes(session.image, ("class 2",))
    assert colour(layer(session, "class 2"), 1) == rgb("#AA00BB")


def test_classes_on_which_nothing_is_painted_take_no_part(viewer, session, qtbot):
    nothing = np.zeros((64, 64), np.uint8)
    for role in ("positive", "class 3"):
        session.book.put_strokes(session.image, role, nothing)
    train(qtbot, session)
    assert session.model.classes == ("bright",)
    assert session.result.segmentation.probability.shape == (64, 64)
    assert colour(layer(session, "mask"), 1) == rgb(CLASS_COLOURS[1])
    session.book.classes.remove("class 2")
    assert layer(session, "class 2") is None
    for role in ("positive", "class 3"):
        viewer.layers.remove(layer(session, role))
    with pytest.raises(InputError, match="no strokes yet"):
        session.train("pu", QUICK, warm=False)


def test_live_mode_follows_a_new_class_and_rounds_are_judged(viewer, session, qtbot):
    sample, _ = patchwork()
    third = sample.labels == code_of(2)
    session.book.put_strokes(session.image, "class 3", np.zeros_like(third))
    live, rounds = Live(session), Rounds(session)
    session.method, session.settings = "pu", QUICK
    session.set_live(True)
    qtbot.waitUntil(lambda: live.state == DONE and rounds.track.judged)
    assert session.model.classes == NAMES[:2]
    judged = rounds.track.rounds[-1].judgement
    assert {one.kind for one in judged.strokes} == {"positive", "negative"}
    assert judged.agreement > 0.7
    assert judged.coverage == pytest.approx((session.result.segmentation.mask > 0).mean(), abs=0.03)
    session.book.put_strokes(session.image, "class 3", third)
    qtbot.waitUntil(lambda: session.model.classes == NAMES and live.state == DONE and rounds.track.judged)
    assert session.result.plan.start is None  # two classes are no beginning for three
    assert session.result.segmentation.mask.max() == 3


def test_an_object_at_a_suggested_place_is_of_the_likeliest_class(viewer, session, qtbot):
    panel = SuggestPanel(session)
    qtbot.addWidget(panel)
    train(qtbot, session)
    panel.guide.take_there()
    qtbot.waitUntil(lambda: panel.guide.place is not None)
    place, probability = panel.guide.place.centre, session.result.segmentation.probability
    name = NAMES[int(probability[(slice(None), *place)].argmax())]
    assert f"<b>{name}</b>" in panel.reason_label.text()
    role = session.book.classes.called(name).role
    assert not layer(session, role).data[place]
    panel.object_button.click()
    assert layer(session, role).data[place]
    panel.leave()


def test_surest_parts_become_strokes_of_their_class(viewer, session, qtbot):
    button = AcceptButton(session)
    qtbot.addWidget(button)
    train(qtbot, session)
    before = {role: int((layer(session, role).data > 0).sum()) for role in session.book.classes.names}
    button.click()
    qtbot.waitUntil(lambda: all((layer(session, role).data > 0).sum() > n for role, n in before.items()))
    mask = session.result.segmentation.mask
    painted = [layer(session, role).data > 0 for role in session.book.classes.names]
    assert all((mask[one] == number).mean() > 0.9 for number, one in enumerate(painted, start=1))


def test_objects_of_every_class_and_a_record(viewer, session, qtbot, tmp_path, monkeypatch):
    objects, record = ObjectsPanel(session), RecordPanel(session)
    for panel in (objects, record):
        qtbot.addWidget(panel)
    objects.found.connect(record.recorder.note_objects)
    train(qtbot, session)
    objects.find_or_cancel()
    qtbot.waitUntil(lambda: not objects.running)
    names = list(objects._found.table.columns["class"])
    assert set(names) == set(NAMES)
    assert all(f"{names.count(name)} {name}" in objects.count_label.text() for name in NAMES)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "card.json"), ""))
    record.save_record()
    qtbot.waitUntil(lambda: (tmp_path / "card.json").exists())
    card = load_record(tmp_path / "card.json")
    assert card.classes == NAMES
    assert run(replay(card, session.result.sample.image)).differing == []
    found = layer(session, "objects")
    label = found.data.max() + 1
    assert not found.data[0, 0]
    found.data[0, :2], found.data[found.data == 1] = label, label + 1  # one by hand, and one with another number
    again = run(of_layer(found, None, objects.form.value())).table.columns
    told = dict(zip(again["label"], again["class"], strict=True))
    assert (told[label], told[label + 1]) == ("", names[0])


def test_strokes_leave_by_a_file_and_bring_their_classes_along(viewer, session, qtbot, tmp_path, monkeypatch):
    panel = RecordPanel(session)
    qtbot.addWidget(panel)
    book, sample = session.book, patchwork()[0]
    paths = [tmp_path / "strokes.geojson", tmp_path / "strokes.tif"]
    for path in paths:
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, path=path: (str(path), ""))
        panel.export_strokes()
        qtbot.waitUntil(path.exists)
    assert np.array_equal(tifffile.imread(paths[1]), sample.labels)
    book.classes.remove("class 3")
    book.put_strokes(session.image, "positive", np.zeros(sample.labels.shape, bool))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(paths[0]), ""))
    panel.import_strokes()
    qtbot.waitUntil(lambda: len(book.classes) == 3 and layer(session, "class 4") is not None)
    assert book.classes.names == {"positive": "dark", "class 2": "bright", "class 4": "fine"}
    qtbot.waitUntil(lambda: np.array_equal(book.snapshot(session.image).sample().labels, sample.labels))


def test_classes_are_saved_with_their_strokes(make_viewer, viewer, session, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setattr(saving, "DELAY_MS", 50)
    bar = AutosaveBar(session)
    qtbot.addWidget(bar)
    session.set_threshold((0.5, 0.6, 0.7))
    session.book.classes.recolour("class 3", "#AA00BB")
    session.book.stamp(session.image, "class 2", (30, 50), 2)
    labels = session.book.snapshot(session.image).sample().labels
    qtbot.waitUntil(lambda: any(tmp_path.iterdir()))
    other = Session(LayerBook(make_viewer()))
    image = other.book.viewer.add_image(session.image.data, name="stripes")
    other.choose_image(image)
    again = AutosaveBar(other)
    qtbot.addWidget(again)
    qtbot.waitUntil(lambda: again.autosave.offered is not None)
    again.autosave.restore()
    assert list(other.book.classes.names.values()) == list(NAMES)
    assert other.book.classes.colours["class 3"] == "#AA00BB"
    assert colour(other.book.member(image, "class 3"), 1) == rgb("#AA00BB")
    assert other.threshold == (0.5, 0.6, 0.7)
    assert np.array_equal(other.book.snapshot(image).sample().labels, labels)
    other.close()


def test_a_box_without_an_image_counts_nothing(viewer, qtbot):
    session = Session(LayerBook(viewer))
    box = ClassesBox(session)
    qtbot.addWidget(box)
    box.add()
    assert [box.table.item(row, PAINTED).text() for row in range(2)] == ["", ""]
    session.close()
