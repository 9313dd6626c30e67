"""The dock widget: what is shown when, keys, samples, the manifest, and that the viewer stays responsive."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("napari")

from napari._app_model import get_app_model
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QWidget

import napari_pu_segment
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.progress import Progress
from napari_pu_segment.gui.keys import free_keys
from napari_pu_segment.gui.main_widget import BRUSH_KEYS, PLUGIN, TITLE, add_brush_layers
from napari_pu_segment.gui.viewer.layers import LayerBook
from tests.patience import SOON_S

MANIFEST = Path(napari_pu_segment.__file__).with_name("napari.yaml")
SAMPLES = [contribution.key for contribution in PluginManifest.from_file(MANIFEST).contributions.sample_data]


@pytest.fixture
def opened(make_viewer, qtbot):
    """A viewer with a small bright square, and the widget docked."""
    viewer = make_viewer(show=True)
    viewer.window.resize(1200, 850)
    image = np.random.default_rng(0).normal(0, 0.1, (64, 64)).astype(np.float32)
    image[10:30, 10:30] += 1
    viewer.add_image(image, name="square")
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, TITLE)
    qtbot.waitExposed(widget)
    quick = {"n_steps": 20, "prior": "fixed", "class_prior": 0.1, "threads": 1}
    widget.train_panel.form.set_value(widget.train_panel.form.value().changed(quick))
    return viewer, widget


@pytest.fixture
def slow(monkeypatch):
    def train(samples, settings, *, start=None, cache=None):
        for step in range(100_000):
            time.sleep(0.01)
            yield Progress(step + 1, 100_000, "Slowly", 0.25)

    monkeypatch.setitem(METHODS, "pu", replace(METHODS["pu"], train=train))


def click(qtbot, button):
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def stroke(widget):
    widget.train_panel.add_brushes()
    book, image = widget.session.book, widget.session.image
    book.member(image, "positive").data[20, 12:28] = 1
    book.member(image, "negative").data[50, 12:48] = 1


def train(qtbot, widget):
    click(qtbot, widget.train_panel.train_button)
    session = widget.session
    qtbot.waitUntil(lambda: session.runner.current is None and not session.showing)


def test_the_manifest_is_valid_and_offers_all_that_it_should():
    manifest = PluginManifest.from_file(MANIFEST)
    contributions = manifest.contributions
    assert {"napari/layers/segment", "napari/layers/annotate"} <= set(contributions.menus)
    assert [widget.display_name for widget in contributions.widgets] == [TITLE, "Know your images", "Stains of tissue"]
    assert set(SAMPLES) == {"aurora", "cell", "ihc", "hubble_deep_field", "retina", "coins", "microaneurysms", "stars"}
    for command in contributions.commands:
        assert callable(import_python_name(command.python_name))
    root = MANIFEST.parents[2] / "napari.yaml"
    if root.parent.joinpath("setup.cfg").exists():
        assert root.is_symlink()
        assert root.resolve() == MANIFEST.resolve()


@pytest.mark.parametrize("sample", SAMPLES)
def test_samples_open_offline_with_brush_layers_ready(make_viewer, sample):
    viewer = make_viewer()
    assert len(viewer.layers) == 0
    viewer.open_sample(PLUGIN, sample)
    book = LayerBook(viewer)
    (image,) = book.images()
    assert image.name == sample
    for role in ("positive", "negative"):
        brush = book.member(image, role)
        assert brush.data.shape == image.data.shape[:2]
        assert not brush.data.any()
        assert brush.units == image.units
        assert np.array_equal(brush.scale, image.scale)
    assert bool(book.member(image, "ignore")) == (sample == "aurora")
    before = len(viewer.layers)
    book.add_brushes(image)
    assert len(viewer.layers) == before
    assert book.paint(image, "positive")


def test_two_copies_of_a_sample_do_not_meet(make_viewer):
    viewer = make_viewer()
    viewer.open_sample(PLUGIN, "coins")
    viewer.open_sample(PLUGIN, "coins")
    book = LayerBook(viewer)
    first, second = book.images()
    assert book.member(first, "positive") is not book.member(second, "positive")


def test_the_command_of_the_menu_opens_the_widget_and_adds_brush_layers(make_viewer):
    viewer = make_viewer(show=True)
    image = viewer.add_image(np.zeros((30, 40)), name="it")
    viewer.add_image(np.zeros((30, 40)), name="other")
    viewer.layers.selection.active = image
    add_brush_layers(viewer)
    assert [layer.name for layer in viewer.layers][-2:] == ["it · negative", "it · positive"]


def test_every_way_in_opens_the_same_widget(make_viewer):
    viewer = make_viewer(show=True)
    viewer.add_image(np.zeros((30, 40)), name="it")
    assert len(viewer.window.dock_widgets) == 0
    add_brush_layers(viewer)
    (widget,) = viewer.window.dock_widgets.values()
    dock = widget.parent()
    get_app_model().commands.execute_command(f"{PLUGIN}.widget").result()  # as Plugins > Paint and segment does
    assert list(viewer.window.dock_widgets.values()) == [widget]
    assert not dock.isVisible(), "that entry shows and hides"
    add_brush_layers(viewer)
    assert list(viewer.window.dock_widgets.values()) == [widget]
    assert dock.isVisible()
    viewer.window.remove_dock_widget(widget)
    get_app_model().commands.execute_command(f"{PLUGIN}.widget").result()
    add_brush_layers(viewer)
    assert len(viewer.window.dock_widgets) == 1


def test_from_empty_to_result(opened, qtbot):
    _, widget = opened
    train_panel, model_panel, session = widget.train_panel, widget.model_panel, widget.session
    assert not model_panel.save_button.isEnabled()
    assert not model_panel.apply_button.isEnabled()
    assert not train_panel.warm_box.isEnabled()
    assert not train_panel.warm_box.isChecked()
    assert not any(button.isEnabled() for button in train_panel.brush_buttons.values())
    click(qtbot, train_panel.train_button)
    assert "no strokes" in widget.status_label.text()
    click(qtbot, train_panel.add_brushes_button)
    assert all(button.isEnabled() for button in train_panel.brush_buttons.values())
    stroke(widget)
    train(qtbot, widget)
    assert widget.status_label.text().startswith(("Done", "Refined"))
    assert model_panel.save_button.isEnabled()
    assert train_panel.warm_box.isEnabled()
    result_panel = widget.result_panel
    assert result_panel.threshold_box.value() == round(session.model.card.threshold, 3)
    assert "backend" in result_panel.refine_box.refined_label.text()
    train_panel.warm_box.setChecked(True)
    first = session.model
    train(qtbot, widget)
    assert session.model is not first


def test_progress_is_shown_while_a_job_runs_and_cancel_takes_its_button(opened, qtbot, slow):
    _, widget = opened
    button, bar = widget.train_panel.train_button, widget.progress_bar
    stroke(widget)
    assert button.text() == "Train"
    assert not bar.isVisible()
    click(qtbot, button)
    assert button.text() == "Cancel"
    assert bar.isVisible()
    qtbot.waitUntil(lambda: "s left" in bar.format())
    assert bar.format().startswith("Slowly · risk 0.250")
    assert bar.value() > 0
    click(qtbot, button)
    assert button.text() == "Train"
    assert not bar.isVisible()
    assert "cancelled" in widget.status_label.text()


def test_keys_switch_brushes_and_are_let_go(opened, qtbot):
    viewer, widget = opened
    assert set(widget.brush_keys.keys) == {"positive", "negative"}
    for role, key in widget.brush_keys.keys.items():
        assert key in widget.train_panel.brush_buttons[role].text()
    widget.train_panel.add_brushes()
    book, image = widget.session.book, widget.session.image
    viewer.layers.selection.active = image
    for role in ("negative", "positive"):
        (canvas,) = [
            one for one in widget.window().findChildren(QWidget) if type(one).__name__ == "CanvasBackendDesktop"
        ]
        qtbot.keyClick(canvas, widget.brush_keys.keys[role])
        assert viewer.layers.selection.active is book.member(image, role)
        assert viewer.layers.selection.active.mode == "paint"
    bound = len(viewer.keymap)
    viewer.window.remove_dock_widget(widget)
    assert len(viewer.keymap) == bound - len(widget.keys())


def test_keys_that_are_taken_are_left_alone(make_viewer):
    viewer = make_viewer()
    first = free_keys(viewer, BRUSH_KEYS)
    viewer.bind_key(first[1], lambda viewer: None)
    second = free_keys(viewer, BRUSH_KEYS)
    assert second
    assert not set(first) & set(second)


def test_closing_the_dock_ends_the_job(opened, qtbot, slow):
    viewer, widget = opened
    stroke(widget)
    click(qtbot, widget.train_panel.train_button)
    job = widget.session.runner.current
    assert job.running
    viewer.window.remove_dock_widget(widget)
    assert not job.running
    assert job.join(SOON_S)


def test_layers_come_and_go_after_the_widget_is_gone(opened, qtbot):
    viewer, widget = opened
    combo = widget.train_panel.image_combo
    n_images = combo.count()
    viewer.add_image(np.zeros((30, 40)), name="heard of")
    assert combo.count() == n_images + 1
    viewer.window.remove_dock_widget(widget)
    with qtbot.waitSignal(widget.destroyed):
        widget.deleteLater()
    added = viewer.add_image(np.zeros((30, 40)), name="after it")  # would raise in a panel that is no more
    viewer.layers.remove(added)
    assert added not in viewer.layers


def test_the_widget_finds_layers_of_an_earlier_one(opened, qtbot):
    viewer, widget = opened
    stroke(widget)
    train(qtbot, widget)
    names = [layer.name for layer in viewer.layers]
    viewer.window.remove_dock_widget(widget)
    _, again = viewer.window.add_plugin_dock_widget(PLUGIN, TITLE)
    assert again is not widget
    again.train_panel.form.set_value(widget.train_panel.form.value())
    train(qtbot, again)
    assert [layer.name for layer in viewer.layers] == names


def test_image_choice_follows_the_viewer(opened, qtbot):
    viewer, widget = opened
    combo, session = widget.train_panel.image_combo, widget.session
    first = session.image
    second = viewer.add_image(np.zeros((9, 9)), name="second")
    assert session.image is first, "a new image does not take over"
    assert combo.count() == 2
    combo.set_value(second)
    assert session.image is second
    second.name = "renamed"
    assert combo.currentText() == "renamed"
    viewer.layers.remove(second)
    assert session.image is first
    viewer.layers.remove(first)
    assert session.image is None
    assert not widget.train_panel.train_button.isEnabled()


@pytest.mark.parametrize("width", [300, 400])
def test_nothing_is_cut_off_at_the_side(opened, qtbot, width):
    _, widget = opened
    dock = widget.parent()

    def narrowed():
        widget.window().resizeDocks([dock], [width], Qt.Orientation.Horizontal)
        return dock.width() <= width + 2

    qtbot.waitUntil(narrowed)
    assert [widget.tabs.tabText(tab) for tab in range(widget.tabs.count())] == [
        "Paint",
        "Result",
        "Objects",
        "Time",
        "Model",
        "Batch",
    ]
    for tab in range(widget.tabs.count()):
        widget.tabs.setCurrentIndex(tab)
        for child in widget.tabs.currentWidget().findChildren(QWidget):
            if child.isVisible():
                right = child.mapTo(widget, child.rect().topRight()).x()
                assert right <= widget.width(), f"{child} reaches {right} px of {widget.width()}"


def test_methods_are_readable_in_a_narrow_dock_and_their_settings_give_way(opened, qtbot):
    _, widget = opened
    panel, dock = widget.train_panel, widget.parent()

    def narrowed():
        widget.window().resizeDocks([dock], [300], Qt.Orientation.Horizontal)
        return dock.width() <= 302

    qtbot.waitUntil(narrowed)
    combo, old = panel.method_combo, panel.form
    arrow_px = 32
    for number in range(combo.count()):
        title = combo.itemText(number)
        assert combo.fontMetrics().horizontalAdvance(title) <= combo.width() - arrow_px, title
    assert old.isVisible()
    combo.setCurrentIndex(1)
    assert panel.form is not old
    assert not old.isVisible()
    qtbot.waitUntil(panel.form.isVisible)


def test_the_viewer_stays_responsive_while_it_trains(opened, qtbot):
    _, widget = opened
    stroke(widget)
    form = widget.train_panel.form
    form.set_value(form.value().changed({"n_steps": 100_000}))
    click(qtbot, widget.train_panel.train_button)
    job, steps, ticks, timer = widget.session.runner.current, [], [], QTimer()
    job.progress.connect(lambda progress: steps.append(progress.step))
    qtbot.waitUntil(lambda: bool(steps) and steps[-1] > 10)
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))
    timer.start(10)
    trained = steps[-1]
    qtbot.waitUntil(lambda: len(ticks) >= 200)
    assert job.running
    assert steps[-1] > trained, "it trained meanwhile"
    gaps = np.diff(ticks)
    assert np.median(gaps) < 0.05
    assert np.percentile(gaps, 95) < 0.2  # the aim is 0.05 for 99 in 100; tests may run on a busy machine
    assert gaps.max() < 2
