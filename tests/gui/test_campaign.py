"""Annotating a folder image by image: next, paint, learn, ranked again, and the budget curve."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("sklearn")

from PIL import Image as Picture
from qtpy.QtCore import Qt

from napari_pu_segment.gui.main_widget import PLUGIN, MainWidget
from napari_pu_segment.image_set import NEXT
from tests.helpers import disks, strokes

N = 10


@pytest.fixture
def scene(make_viewer, qtbot, tmp_path):
    """Ten images of discs, looked through; small trainings."""
    for i in range(N):
        image = np.roll(disks(seed=i)[0], (17 * i, 29 * i), (1, 2))
        Picture.fromarray(np.clip(image[0], 0, 255).astype(np.uint8)).save(tmp_path / f"plate_{i}.png")
    viewer = make_viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Know your images")
    qtbot.waitExposed(widget)
    box, said = widget.annotate_box, []
    widget.campaign.said.connect(lambda text, failed: said.append((text, failed)))
    assert not box.next_button.isEnabled()
    widget.panel.form.folder_row.set_value(tmp_path)
    widget.panel.start_button.click()
    qtbot.waitUntil(lambda: widget.panel.report is not None)
    return SimpleNamespace(
        viewer=viewer, widget=widget, box=box, campaign=widget.campaign, panel=widget.panel, said=said, qtbot=qtbot
    )


def press(scene, button):
    assert button.isVisible()
    assert button.isEnabled()
    scene.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def painter(scene):
    (found,) = (one for one in scene.viewer.window.dock_widgets.values() if isinstance(one, MainWidget))
    return found


def open_next(scene):
    """The number of the image that comes next, once it is open with its brush layers."""
    number = scene.campaign.coming()
    press(scene, scene.box.next_button)
    scene.qtbot.waitUntil(lambda: number in scene.campaign.opened())
    scene.qtbot.waitUntil(lambda: not scene.campaign.busy)
    return number


def paint(scene, number):
    book, image = painter(scene).session.book, scene.campaign.layer(number)
    codes = np.roll(strokes(), (17 * number, 29 * number), (0, 1))
    for role, code in (("positive", 1), ("negative", 2)):
        book.member(image, role).data = (codes == code).astype(np.uint8)


def learn(scene):
    form = painter(scene).train_panel.form
    form.set_value(form.value().changed({"n_steps": 20, "threads": 1, "prior": "fixed", "class_prior": 0.15}))
    painter(scene).session.crf = None
    press(scene, scene.box.learn_button)
    assert scene.campaign.learning
    assert not scene.box.next_button.isEnabled()
    scene.qtbot.waitUntil(lambda: not scene.campaign.learning and not scene.campaign.busy)


def test_a_folder_is_annotated_from_image_to_image(scene):
    campaign, report = scene.campaign, scene.panel.report
    planned = list(report.curation.next)
    assert report.curation.doubt is None
    first = open_next(scene)
    assert first == planned[0]
    press(scene, scene.box.learn_button)
    assert scene.said[-1] == ("Paint a few strokes on an image first.", False)
    assert not campaign.learning
    paint(scene, first)
    learn(scene)
    after = scene.panel.report  # the gallery shows the new ranking
    assert after is campaign.report
    assert first not in after.curation.next
    doubt = after.curation.doubt
    assert np.isnan(doubt[first])
    assert np.isfinite(np.delete(doubt, first)).all()
    assert scene.panel.show_combo.currentData() == NEXT
    assert campaign.scores == []  # a model must not be judged by what it learnt from
    assert not scene.box.plot.isVisible()

    guide = painter(scene).suggest_panel.guide
    second = open_next(scene)
    assert second == after.curation.next[0]
    scene.qtbot.waitUntil(lambda: guide.place is not None)  # with the model's result, and a place worth an answer
    assert painter(scene).session.image is campaign.layer(second)
    assert not campaign.layer(first).visible
    paint(scene, second)
    learn(scene)
    assert [score.n_annotated for score in campaign.scores] == [1]
    assert 0.5 < campaign.scores[0].agreement <= 1
    assert scene.box.plot.isVisible()
    names = painter(scene).session.result.plan.also
    assert names == (campaign.layer(first).name,)  # learnt from both
    assert not {first, second} & set(campaign.report.curation.next)


def test_the_selected_image_is_painted_and_a_failed_training_frees_the_buttons(scene):
    campaign, panel = scene.campaign, scene.panel
    press(scene, scene.box.paint_button)
    assert scene.widget.status_label.text() == "Select an image in the gallery first."
    panel.view.select(panel.gallery.entry(3).number)
    number = panel.view.number()
    press(scene, scene.box.paint_button)
    scene.qtbot.waitUntil(lambda: campaign.opened() == [number] and not campaign.busy)
    session = painter(scene).session
    assert session.book.member(campaign.layer(number), "positive") is not None
    paint(scene, number)
    press(scene, scene.box.learn_button)
    assert campaign.learning
    session.cancel()
    assert not campaign.learning
    assert scene.widget.status_label.text() == "Training was cancelled; nothing has changed."
    assert scene.box.learn_button.isEnabled()
    assert campaign.report.curation.doubt is None  # nothing was learnt: not ranked anew
    scene.viewer.layers.clear()
    assert campaign.opened() == []


def test_another_order_ranks_at_once(scene):
    combo = scene.box.order_combo
    assert combo.currentData() == scene.panel.report.curation.settings.order == "typical"
    before = scene.panel.report
    combo.setCurrentIndex(combo.findData("random"))
    scene.qtbot.waitUntil(lambda: scene.panel.report is not before)
    assert sorted(scene.panel.report.curation.next) == sorted(before.curation.next)
    assert scene.panel.report.curation.next != before.curation.next
    assert combo.currentData() == "random"
