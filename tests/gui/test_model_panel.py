"""The panel of the model: its facts, its file, and what is said before it is applied to another image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("napari")

from qtpy.QtCore import QLocale, Qt
from qtpy.QtWidgets import QWidget

from napari_pu_segment import train
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import save_model
from napari_pu_segment.core.samples import Sample
from napari_pu_segment.gui.model.model_panel import NONE_YET, ModelPanel, describe
from napari_pu_segment.gui.session import Session
from napari_pu_segment.gui.viewer.layers import LayerBook
from tests.helpers import disks, strokes

QUICK = METHODS["pu"].settings(n_steps=20, prior="fixed", class_prior=0.065, threads=1)
DIALOGS = "napari_pu_segment.gui.model.model_panel.QFileDialog"


@pytest.fixture(scope="module")
def image():
    return np.clip(disks()[0][0], 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def model(image):
    sample = Sample(image[None], strokes(), channel_names=("DAPI",), pixel_size=(0.5, 0.5), pixel_unit="µm")
    return train([sample], QUICK)


@pytest.fixture
def session(make_viewer):
    session = Session(LayerBook(make_viewer()))
    session.crf = None
    yield session
    session.close()


@pytest.fixture
def said(session):
    heard = []
    session.said.connect(lambda text, failed: heard.append((text, failed)))
    return heard


@pytest.fixture
def panel(session, qtbot):
    panel = ModelPanel(session)
    qtbot.addWidget(panel)
    panel.show()
    return panel


@pytest.fixture
def loaded(panel, session, model, tmp_path, monkeypatch, qtbot):
    """The panel, with a model read from a file through its button."""
    path = tmp_path / "model.safetensors"
    save_model(model, path)
    monkeypatch.setattr(f"{DIALOGS}.getOpenFileName", lambda *args: (str(path), ""))
    click(qtbot, panel.load_button)
    assert session.model is None, "it is read in the background"
    qtbot.waitUntil(lambda: session.model is not None and not session.busy)
    return panel


def click(qtbot, button):
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def applied(qtbot, panel, session, layer):
    """Press Apply for a layer, and wait until it is segmented."""
    panel.apply_combo.set_value(layer)
    click(qtbot, panel.apply_button)
    shown = lambda: session.book.member(layer, "mask") is not None  # noqa: E731
    qtbot.waitUntil(lambda: shown() and session.runner.current is None and not session.showing)


def test_without_a_model_it_says_what_to_do(panel):
    assert panel.model_label.text() == NONE_YET
    assert panel.model_label.isVisible()
    assert not panel.save_button.isEnabled()
    assert panel.load_button.isEnabled()
    assert not panel.apply_button.isEnabled()
    assert not any(label.isVisible() for label in panel.facts.values())


def test_the_facts_of_a_model_are_told_in_words(loaded):
    assert not loaded.model_label.isVisible()
    told = {row: label.text() for row, label in loaded.facts.items() if label.isVisible()}
    assert told["Method"] == METHODS["pu"].title
    assert told["Network"].startswith("Filter bank")
    assert told["Channels"] == "DAPI"
    assert told["Prior"] == "6.5\N{NO-BREAK SPACE}% of the image (set by hand)"
    assert told["Strokes"] == "3 positive, 3 negative"
    assert "Intensities" not in told
    assert told["Pixel size"] == "0.5 × 0.5 µm"


def test_numbers_are_those_of_the_locale(model):
    french = describe(model.card, QLocale(QLocale.Language.French, QLocale.Country.France))
    assert french["Prior"].startswith("6,5\N{NO-BREAK SPACE}%")
    assert french["Pixel size"] == "0,5 × 0,5 µm"
    assert "." not in french["Threshold"]


def test_a_model_that_measures_each_image_says_so(model):
    own = model.card.model_copy(update={"statistics": "image"})
    assert describe(own, QLocale.c())["Intensities"] == "measured in each image by itself"


def test_what_is_not_known_is_left_out(model):
    card = model.card.model_copy(update={"channel_names": (), "pixel_size": (), "method": "another"})
    told = describe(card, QLocale.c())
    assert told["Channels"] == "one"
    assert told["Pixel size"] == ""
    assert told["Method"] == "another"


def test_save_and_load_through_the_dialogs(loaded, session, said, tmp_path, monkeypatch, qtbot):
    path = tmp_path / "again.safetensors"
    monkeypatch.setattr(f"{DIALOGS}.getSaveFileName", lambda *args: (str(path), ""))
    monkeypatch.setattr(f"{DIALOGS}.getOpenFileName", lambda *args: (str(path), ""))
    click(qtbot, loaded.save_button)
    assert path.is_file()
    first = session.model
    click(qtbot, loaded.load_button)
    qtbot.waitUntil(lambda: not session.busy)
    assert session.model is not first
    assert session.model.card == first.card
    Path(path).write_bytes(b"damaged")
    second = session.model
    click(qtbot, loaded.load_button)
    qtbot.waitUntil(lambda: not session.busy)
    assert session.model is second
    assert said[-1][1]
    assert "not a model" in said[-1][0]


def test_an_image_of_the_same_kind_is_segmented_without_a_word(loaded, session, said, image, qtbot):
    layer = session.book.viewer.add_image(image, name="same", scale=(0.5, 0.5), units="um")
    applied(qtbot, loaded, session, layer)
    assert not any(failed for _, failed in said)
    assert not loaded.doubts_label.isVisible()


def test_another_bit_depth_is_named_before_the_result(loaded, session, said, image, qtbot):
    layer = session.book.viewer.add_image(image.astype(np.uint16) * 257, name="deep")
    applied(qtbot, loaded, session, layer)
    warnings = [i for i, (text, failed) in enumerate(said) if failed and "intensities of 'deep'" in text]
    done = [i for i, (text, _) in enumerate(said) if text.startswith("Done")]
    assert len(warnings) == 1
    assert warnings[0] < done[0]
    assert loaded.doubts_label.isVisible(), "it stays to be read"
    assert "intensities of 'deep'" in loaded.doubts_label.text()
    loaded.apply_combo.set_value(session.book.viewer.add_image(image, name="other"))
    assert not loaded.doubts_label.isVisible()


def test_another_pixel_size_is_named(loaded, session, image, qtbot):
    layer = session.book.viewer.add_image(image, name="coarse", scale=(2, 2), units="um")
    applied(qtbot, loaded, session, layer)
    assert "4 times smaller" in loaded.doubts_label.text()


def test_other_channels_are_refused_before_anything_runs(loaded, session, said, qtbot):
    colour = session.book.viewer.add_image(np.zeros((20, 20, 3), np.uint8), rgb=True, name="colour")
    jobs = []
    session.job_started.connect(jobs.append)
    loaded.apply_combo.set_value(colour)
    click(qtbot, loaded.apply_button)
    qtbot.waitUntil(lambda: any(failed for _, failed in said))
    assert said[-1][0].startswith("The image 'colour' has 3 channel")
    assert "DAPI" in said[-1][0]
    assert jobs == []


def test_an_image_that_goes_away_meanwhile_is_survived(loaded, session, said, image, qtbot):
    layer = session.book.viewer.add_image(image, name="short lived")
    loaded.apply_combo.set_value(layer)
    click(qtbot, loaded.apply_button)
    session.book.viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: any(failed for _, failed in said))
    assert "removed" in said[-1][0]
    assert not loaded.apply_button.isEnabled()


@pytest.mark.parametrize("width", [280, 340])
def test_nothing_is_cut_off(loaded, qtbot, width):
    loaded.doubts_label.setText("A sentence. " * 20)
    loaded.doubts_label.show()
    assert loaded.minimumSizeHint().width() <= 280
    loaded.resize(width, 500)
    qtbot.waitUntil(lambda: loaded.width() == width)
    for child in loaded.findChildren(QWidget):
        if child.isVisible():
            assert child.mapTo(loaded, child.rect().topRight()).x() <= width, child
