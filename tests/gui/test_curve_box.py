"""The curve of sensitivity and purity in the window: read, dragged on, and measured against a layer of truth."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("napari")

from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QWidget
from typer.testing import CliRunner

from napari_pu_segment import train
from napari_pu_segment.cli.main import app
from napari_pu_segment.core.classes import threshold_mask
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.metrics import scores
from napari_pu_segment.core.model import save_model
from napari_pu_segment.core.objects import ObjectSettings
from napari_pu_segment.core.pipeline import Segmentation, predict
from napari_pu_segment.gui.main_widget import MainWidget
from napari_pu_segment.gui.results.curve_box import NO_TRUTH
from napari_pu_segment.gui.results.result_panel import ResultPanel
from napari_pu_segment.gui.session import Result, Session
from napari_pu_segment.gui.viewer.layers import LayerBook
from napari_pu_segment.io import write_image
from tests.helpers import disk_sample, patchwork

QUICK = METHODS["pu"].settings(n_steps=30, prior="fixed", class_prior=0.1, threads=1)


@pytest.fixture(scope="module")
def scene():
    """A sample of discs, its truth, a model, and what the model makes of the image."""
    sample, truth = disk_sample()
    model = train([sample], QUICK)
    return sample, truth, model, predict(model, sample.image)


@pytest.fixture
def session(make_viewer, scene):
    session = Session(LayerBook(make_viewer()))
    session.choose_image(session.book.viewer.add_image(scene[0].image[0], name="disks"))
    session.crf = None
    yield session
    session.close()


@pytest.fixture
def box(session, scene, qtbot):
    """The box of a panel that shows a result; unfolded."""
    sample, _, model, probability = scene
    panel = ResultPanel(session)
    qtbot.addWidget(panel)
    panel.show()
    box = panel.curve_box
    assert not box.fold.isExpanded()
    assert box.plot.value() is None
    assert box.label.text() == "No result yet."
    box.fold.expand(animate=False)
    mask = threshold_mask(probability, model.threshold)
    session.adopt(Result(session.image, sample, model, Segmentation(probability, mask, model.threshold), None, 0.5))
    qtbot.waitUntil(lambda: box.plot.value() is not None and not session.showing)
    return box


def add_truth(session, box, qtbot, truth):
    """Put a truth into the viewer, choose it, and wait for its curve."""
    layer = session.book.viewer.add_labels(truth.astype(np.uint16), name="drawn")
    box.truth_combo.setCurrentText("drawn")
    qtbot.waitUntil(lambda: box.plot.value() is not None and box.measure_button.text() == "Measure again")
    return layer


def values(curve):
    return np.stack([curve.thresholds, curve.sensitivity, curve.purity])


def test_without_a_truth_it_is_estimated_and_says_so(box, session):
    assert box.truth_combo.currentText() == NO_TRUTH
    assert not box.unit_combo.isVisible()
    assert not box.measure_button.isVisible()
    curve = box.plot.value()
    assert curve.source == "estimated"
    sensitivity = round(100 * curve.at(session.result.segmentation.threshold)[0])
    assert f"Finds about {sensitivity}\N{NO-BREAK SPACE}%" in box.label.text()
    assert "Estimated from the probabilities" in box.label.text()


def test_dragging_on_the_curve_moves_the_threshold_and_what_is_told(box, session, qtbot):
    before, told = session.result.segmentation, box.label.text()
    assert session.threshold is None
    at = QPoint(round(box.plot.width() * 0.8), 20)
    qtbot.mousePress(box.plot, Qt.MouseButton.LeftButton, pos=at)
    first = session.threshold
    assert box.plot.share_of(first) == pytest.approx(0.8, abs=0.02)
    qtbot.mouseMove(box.plot, QPoint(round(box.plot.width() * 0.9), 20))
    qtbot.mouseRelease(box.plot, Qt.MouseButton.LeftButton)
    assert session.threshold > first > before.threshold
    assert session.result.segmentation.mask.sum() < before.mask.sum()
    assert box.plot.threshold() == session.threshold
    assert box.label.text() != told
    panel = box.parentWidget().parentWidget()
    assert panel.histogram.threshold() == session.threshold
    assert panel.histogram.x_of(0.5) == pytest.approx(box.plot.x_of(0.5), abs=1), "both plots share one axis"


def test_a_layer_of_truth_makes_it_measured(box, session, scene, qtbot):
    _, truth, _, probability = scene
    layer = add_truth(session, box, qtbot, truth)
    curve = box.plot.value()
    assert curve.source == "pixels"
    told = scores(threshold_mask(probability, 0.5), truth)
    assert curve.at(0.5) == pytest.approx((told["recall"], told["precision"]), abs=0.02)
    assert "of the truth's pixels" in box.label.text()
    assert box.unit_combo.isVisible()
    session.book.viewer.layers.remove(layer)
    assert box.truth_combo.currentText() == NO_TRUTH
    assert box.plot.value().source == "estimated"


def test_by_objects_as_the_settings_find_them(box, session, scene, qtbot):
    add_truth(session, box, qtbot, scene[1])
    box.unit_combo.setCurrentText("by objects")
    qtbot.waitUntil(lambda: box.plot.value() is not None and box.plot.value().source == "objects")
    assert box.plot.value().at(0.5)[0] == 1
    assert "of the truth's objects" in box.label.text()
    box.object_settings = lambda: ObjectSettings(min_size_px=10_000)  # none is so large
    qtbot.waitUntil(lambda: box.measure_button.text() == "Measure again")
    box.measure_button.click()
    qtbot.waitUntil(lambda: box.plot.value() is not None)
    assert box.plot.value().at(0.5)[0] == 0
    assert box.label.text() == "Finds nothing at this threshold."


def test_measuring_can_be_cancelled_and_begun_again(box, session, scene, qtbot):
    add_truth(session, box, qtbot, scene[1])
    box.measure_button.click()
    assert box.measure_button.text().startswith("Cancel")
    box.measure_button.click()
    assert (box.plot.value(), box.label.text(), box.measure_button.text()) == (None, "Not measured.", "Measure")
    box.measure_button.click()
    qtbot.waitUntil(lambda: box.plot.value() is not None)


def test_another_result_is_measured_anew_and_a_truth_that_does_not_fit_is_told(box, session, scene, qtbot):
    layer, said = add_truth(session, box, qtbot, scene[1]), []
    first, old = box.plot.value(), session.result
    faint = (old.segmentation.probability * 0.9).astype(np.float32)
    session.adopt(Result(session.image, scene[0], scene[2], Segmentation(faint, faint > 0.5, 0.5), None, 0.5))
    qtbot.waitUntil(lambda: box.plot.value() not in (None, first))
    assert box.plot.value().source == "pixels"
    session.said.connect(lambda text, failed: said.append((text, failed)))
    layer.data = layer.data[:50]
    box.measure_button.click()
    qtbot.waitUntil(lambda: bool(said))
    assert "differ in shape" in said[0][0]
    assert said[0][1]
    assert box.label.text() == "Not measured."


def test_each_image_has_a_truth_of_its_own(box, session, scene, qtbot):
    layer, result = add_truth(session, box, qtbot, scene[1]), session.result
    other = session.book.viewer.add_image(scene[0].image[0][::-1], name="another, of the same shape")
    flipped = replace(result.segmentation, probability=result.segmentation.probability[::-1])
    session.adopt(replace(result, layer=other, segmentation=flipped))
    qtbot.waitUntil(lambda: box.plot.value() is not None and box.plot.value().source == "estimated")
    assert box.truth_combo.currentText() == NO_TRUTH
    session.adopt(result)
    qtbot.waitUntil(lambda: box.plot.value() is not None and box.plot.value().source == "pixels")
    assert box.truth_combo.currentText() == layer.name
    session.adopt(replace(result, layer=other, segmentation=flipped))
    qtbot.waitUntil(lambda: box.plot.value() is not None and box.plot.value().source == "estimated")
    session.book.viewer.layers.remove(layer)
    del layer
    session.adopt(result)
    qtbot.waitUntil(lambda: box.plot.value() is not None and not session.showing)
    assert box.truth_combo.currentText() == NO_TRUTH


def test_it_is_the_curve_of_the_command_line(box, session, scene, qtbot, tmp_path):
    sample, truth, model, _ = scene
    save_model(model, tmp_path / "model")
    write_image(tmp_path / "x.tif", sample.image[0])
    write_image(tmp_path / "truth.tif", truth.astype(np.uint16))
    words = ["predict", tmp_path / "model", tmp_path / "x.tif", "--out", tmp_path, "--curve"]
    assert CliRunner().invoke(app, [str(word) for word in words]).exit_code == 0
    words = ["evaluate", tmp_path / "x_mask.tif", tmp_path / "truth.tif", "--curve", tmp_path / "measured.csv"]
    words += ["--objects", "--probability", tmp_path / "x_probability.tif"]
    assert CliRunner().invoke(app, [str(word) for word in words]).exit_code == 0
    written = {}
    for name in ("x_curve", "measured"):
        with open(tmp_path / f"{name}.csv", newline="") as handle:
            for row in csv.DictReader(handle):
                figures = [float(row[key] or "nan") for key in ("threshold", "sensitivity", "purity")]
                written.setdefault(row["source"], []).append(figures)
    shown = {"estimated": box.plot.value()}
    add_truth(session, box, qtbot, truth)
    shown["pixels"] = box.plot.value()
    box.unit_combo.setCurrentText("by objects")
    qtbot.waitUntil(lambda: box.plot.value() is not None and box.plot.value().source == "objects")
    shown["objects"] = box.plot.value()
    assert written.keys() == shown.keys()
    for source, curve in shown.items():
        np.testing.assert_allclose(np.transpose(written[source]), values(curve), rtol=1e-8, err_msg=source)


def test_of_several_classes_it_is_that_of_the_class_shown(session, qtbot):
    sample, truth = patchwork()
    panel = ResultPanel(session)
    qtbot.addWidget(panel)
    panel.show()
    box = panel.curve_box
    box.fold.expand(animate=False)
    probability = np.stack([np.where(truth == k, 0.8, 0.1) for k in (1, 2, 3)]).astype(np.float32)
    probability[1][truth == 2] = 0.3  # against 0.5 of the background
    at = (0.5,) * 3
    image = session.book.viewer.add_image(sample.image[0], name="stripes")
    session.choose_image(image)
    session.book.viewer.add_labels(truth.astype(np.uint16), name="drawn")
    box.truth_combo.setCurrentText("drawn")
    mask = threshold_mask(probability, at)
    session.adopt(Result(image, sample, None, Segmentation(probability, mask, at), None, at))
    qtbot.waitUntil(lambda: box.plot.value() is not None)
    first = box.plot.value()
    assert first.at(0.5) == pytest.approx((1, 1))
    panel.class_combo.setCurrentIndex(1)
    qtbot.waitUntil(lambda: box.plot.value() not in (None, first))
    assert box.plot.value().at(0.5)[0] == 0
    assert box.plot.value().at(0.2)[0] == 1


def test_the_tab_objects_sets_how_they_are_found(make_viewer, qtbot):
    widget = MainWidget(make_viewer())
    qtbot.addWidget(widget)
    box, form = widget.result_panel.curve_box, widget.objects_panel.form
    assert box.object_settings() == ObjectSettings()
    form.set_value(ObjectSettings(splitter="distance"))
    assert box.object_settings().splitter == "distance"
    widget.session.close()


def test_nothing_is_cut_off(box, session, scene, qtbot):
    panel = box.parentWidget().parentWidget()
    add_truth(session, box, qtbot, scene[1])
    assert panel.minimumSizeHint().width() <= 280
    panel.resize(280, 700)
    qtbot.waitUntil(lambda: panel.width() == 280)
    for child in panel.findChildren(QWidget):
        if child.isVisible():
            assert child.mapTo(panel, child.rect().topRight()).x() <= 280, child
