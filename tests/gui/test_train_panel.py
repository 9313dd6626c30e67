"""The panel from image to model: channels, rim, settings, views."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("napari")

from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.methods.pu import PuSettings
from napari_pu_segment.gui import preferences as prefs
from napari_pu_segment.gui.paint.train_panel import TrainPanel
from napari_pu_segment.gui.parts.ticks import MAX_LETTERS
from napari_pu_segment.gui.preferences import Preferences
from napari_pu_segment.gui.session import Session
from napari_pu_segment.gui.viewer.layers import LayerBook
from napari_pu_segment.synthetic import aurora_frame

KEYS = {"positive": "Q", "negative": "W"}


@pytest.fixture
def viewer(make_viewer):
    return make_viewer()


@pytest.fixture
def make_panel(viewer, qtbot):
    def make():
        session = Session(LayerBook(viewer))
        panel = TrainPanel(session, KEYS)
        qtbot.addWidget(panel)
        panel.said = []
        session.said.connect(lambda text, failed: panel.said.append((text, failed)))
        panels.append(panel)
        return panel

    panels = []
    yield make
    for panel in panels:
        panel._session.close()


def names(box):
    return [check.text() for check, _ in box.boxes]


def test_channels_are_offered_where_there_is_a_choice(viewer, make_panel):
    image = viewer.add_image(np.zeros((30, 40)), name="GFP")
    panel = make_panel()
    box, book = panel.channels_box, panel._session.book
    assert box.isHidden(), "one image of one channel: no choice"
    viewer.add_image(np.zeros((30, 40)), name="RFP")
    viewer.add_image(np.zeros((30, 40)), name="dapi & co")
    viewer.add_image(np.zeros((3, 4)), name="small")
    book.add_brushes(image)
    book.show(image, "probability", np.zeros((30, 40), np.float32))
    panel.image_combo.set_value(image)
    assert not box.isHidden()
    assert box.axis_box.isHidden()
    assert names(box) == ["dapi && co", "RFP"], "what fits, by name; no results of ours"
    for check, _ in box.boxes:
        check.click()
    assert book.snapshot(image).sample().channel_names == ("GFP", "dapi & co", "RFP")
    assert box.fold.text() == "Channels: 3"
    box.boxes[0][0].click()
    assert book.snapshot(image).sample().channel_names == ("GFP", "RFP")


def test_ticks_follow_renaming_removal_and_the_image(viewer, make_panel):
    first, second = (viewer.add_image(np.zeros((30, 40)), name=name) for name in "ab")
    panel = make_panel()
    box, book = panel.channels_box, panel._session.book
    panel.image_combo.set_value(first)
    box.boxes[0][0].click()
    second.name = "a name that is so long that a narrow dock has no room for it"
    (text,) = names(box)
    assert text.startswith("a name that")
    assert len(text) == MAX_LETTERS
    assert box.boxes[0][0].isChecked()
    viewer.layers.move(0, 2)
    assert box.boxes[0][0].isChecked()
    panel.image_combo.set_value(second)
    assert not box.boxes[0][0].isChecked(), "of this image nothing was chosen"
    panel.image_combo.set_value(first)
    assert box.boxes[0][0].isChecked()
    viewer.layers.remove(second)
    assert box.isHidden()
    assert book.snapshot(first).sample().channel_names == ()
    viewer.layers.remove(first)
    assert box.isHidden()


def test_the_first_axis_is_told_by_a_tick(viewer, make_panel):
    image = viewer.add_image(np.zeros((3, 30, 40)), name="stack")
    panel = make_panel()
    box, book = panel.channels_box, panel._session.book
    assert not box.axis_box.isHidden()
    assert not box.axis_box.isChecked()
    assert book.snapshot(image).sample().image.shape == (1, 3, 30, 40)
    box.axis_box.click()
    assert box.names_label.text() == "channel 0, channel 1, channel 2"
    assert book.snapshot(image).sample().image.shape == (3, 30, 40)
    box.axis_box.click()
    assert book.snapshot(image).sample().image.shape == (1, 3, 30, 40)


def test_rgb_tells_its_channels(viewer, make_panel):
    viewer.add_image(np.zeros((30, 40, 3), np.uint8), rgb=True)
    box = make_panel().channels_box
    assert box.names_label.text() == "red, green, blue"
    assert box.axis_box.isHidden()


def test_a_layer_that_no_longer_fits_is_refused_in_words(viewer, make_panel):
    first, second = (viewer.add_image(np.zeros((30, 40)), name=name) for name in "ab")
    panel = make_panel()
    panel.image_combo.set_value(first)
    second.data = np.zeros((3, 4))
    panel.channels_box.boxes[0][0].click()
    assert panel.said
    assert panel.said[-1][1]
    assert "'b'" in panel.said[-1][0]
    assert panel.channels_box.boxes == []


def test_one_click_ignores_what_lies_outside_the_rim(viewer, make_panel, qtbot):
    frame = aurora_frame(1, 256)
    image = viewer.add_image(np.moveaxis(frame.image, 0, -1), rgb=True, name="sky")
    panel = make_panel()
    book = panel._session.book
    book.stamp(image, "ignore", (128, 128), 3)
    painted = book.member(image, "ignore").data.copy()
    assert not painted[0, 0]
    with qtbot.waitSignal(book.painted):
        panel.rim_button.click()
    layer = book.member(image, "ignore")
    assert ((layer.data != 0) == (~frame.valid | (painted != 0))).mean() > 0.97
    assert layer.data[128, 128], "what was ignored before stays"
    assert panel.said[-1] == (panel.said[-1][0], False)
    layer.undo()
    assert np.array_equal(layer.data, painted)


def test_where_there_is_no_rim_a_sentence_says_so(viewer, make_panel, qtbot):
    image = viewer.add_image(np.random.default_rng(0).normal(size=(64, 64)), name="noise")
    panel = make_panel()
    with qtbot.waitSignal(panel._session.said):
        panel.rim_button.click()
    assert "'noise' has no circular rim" in panel.said[-1][0]
    assert panel._session.book.member(image, "ignore") is None


def test_an_image_that_is_removed_while_its_rim_is_looked_for_is_left_alone(viewer, make_panel, qtbot):
    image = viewer.add_image(np.moveaxis(aurora_frame(1, 256).image, 0, -1), rgb=True)
    panel = make_panel()
    jobs = []
    aside = panel._session.aside
    panel._session.aside = lambda *args: jobs.append(aside(*args))
    panel.rim_button.click()
    with qtbot.waitSignal(jobs[0].finished):
        viewer.layers.remove(image)
    assert len(viewer.layers) == 0
    assert panel.said == []


def test_in_the_3d_view_the_brush_is_not_taken_up_and_a_sentence_says_why(viewer, make_panel):
    viewer.add_image(np.zeros((5, 30, 40)))
    panel = make_panel()
    panel.add_brushes()
    viewer.layers.selection.active.mode = "pan_zoom"
    viewer.dims.ndisplay = 3
    panel.brush_buttons["negative"].click()
    assert "2-D view" in panel.said[-1][0]
    assert panel.said[-1][1]
    assert viewer.layers.selection.active.mode == "pan_zoom"
    viewer.dims.ndisplay = 2
    panel.brush_buttons["negative"].click()
    assert viewer.layers.selection.active is panel._session.book.member(panel._session.image, "negative")
    assert viewer.layers.selection.active.mode == "paint"


def test_without_brush_layers_a_brush_says_what_to_do(viewer, make_panel):
    image = viewer.add_image(np.zeros((20, 20)), name="image")
    panel = make_panel()
    told = []
    panel._session.said.connect(lambda text, _failed: told.append(text))
    for role in ("positive", "negative", "ignore"):  # by its key; the buttons are disabled
        panel.paint(role)
    assert len(told) == 3
    assert all("Add brush layers" in text for text in told)
    assert panel._session.book.member(image, "ignore") is None
    panel.add_brushes()
    panel.paint("negative")
    assert "background" in told[-1]


def test_the_session_knows_the_settings_as_they_are_edited(viewer, make_panel):
    panel = make_panel()
    session = panel._session
    assert session.settings == PuSettings()
    panel.form.set_value(PuSettings(n_steps=7))
    assert session.settings.n_steps == 7
    sigmas = panel.form.findChild(object, "sigmas_px")
    sigmas.setText("nonsense")
    assert session.settings.n_steps == 7, "what cannot be used is not taken over"
    assert session.settings.sigmas_px == PuSettings().sigmas_px


def test_the_form_begins_with_what_the_user_prefers(viewer, make_panel, monkeypatch):
    wanted = Preferences(network="unet", n_steps=33, threads=1, brush_percent=10.0)
    monkeypatch.setattr("napari_pu_segment.gui.paint.train_panel.preferences", lambda: wanted)
    monkeypatch.setattr("napari_pu_segment.gui.viewer.layers.preferences", lambda: wanted)
    image = viewer.add_image(np.zeros((300, 40)))
    panel = make_panel()
    shown = panel.settings()
    assert (shown.network, shown.n_steps, shown.threads) == ("unet", 33, 1)
    assert panel._session.settings == shown
    panel.add_brushes()
    assert panel._session.book.member(image, "positive").brush_size == 4
    assert (prefs.preferences().network, PuSettings().network) == ("pixel", "pixel")


def test_the_method_is_asked_for_where_there_are_several(make_panel, monkeypatch):
    for name in [name for name in METHODS if name != "pu"]:
        monkeypatch.delitem(METHODS, name)
    panel = make_panel()
    assert not panel.isAncestorOf(panel.method_combo)
    assert panel.method_combo.currentData() == "pu"
    monkeypatch.setitem(METHODS, "other", replace(METHODS["pu"], title="Another"))
    panel = make_panel()
    assert panel.isAncestorOf(panel.method_combo)
    old = panel.form
    panel.method_combo.setCurrentIndex(1)
    assert panel.form is not old
    assert panel._session.method == "other"


def test_every_control_explains_itself(viewer, make_panel):
    from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit

    viewer.add_image(np.zeros((3, 30, 40)))
    panel = make_panel()
    kinds = (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit)
    controls = [child for kind in kinds for child in panel.findChildren(kind)]
    inner = [one for one in controls if isinstance(one.parent(), QAbstractSpinBox | QComboBox)]
    own = [one for one in controls if one not in inner and one.objectName() != "qt_spinbox_lineedit"]
    assert len(own) > 20
    silent = [one for one in own if not one.toolTip() and not (one.parent() and one.parent().toolTip())]
    assert [type(one).__name__ + " " + getattr(one, "text", str)() for one in silent] == []
