"""The panel of the result: threshold and area are two views of one number, and what else is shown follows them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("napari")

from qtpy.QtCore import QLocale, QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QWidget

from napari_pu_segment import train
from napari_pu_segment.core.classes import threshold_mask
from napari_pu_segment.core.crf import CRF_PRESETS
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.pipeline import Segmentation
from napari_pu_segment.core.samples import IGNORE
from napari_pu_segment.core.suggest.uncertainty import uncertainty
from napari_pu_segment.gui.results.refine_box import CUSTOM
from napari_pu_segment.gui.results.result_panel import ResultPanel
from napari_pu_segment.gui.sentences import summary
from napari_pu_segment.gui.session import Result, Session
from napari_pu_segment.gui.viewer.layers import LayerBook
from tests.helpers import disk_sample

QUICK = METHODS["pu"].settings(n_steps=20, prior="fixed", class_prior=0.1, threads=1)


@pytest.fixture(scope="module")
def model():
    return train([disk_sample()[0]], QUICK)


@pytest.fixture
def sample():
    return disk_sample()[0]


@pytest.fixture
def session(make_viewer, sample):
    session = Session(LayerBook(make_viewer()))
    session.choose_image(session.book.viewer.add_image(sample.image[0], name="disks"))
    session.crf = None
    yield session
    session.close()


@pytest.fixture
def panel(session, qtbot):
    panel = ResultPanel(session)
    qtbot.addWidget(panel)
    panel.show()
    return panel


def result_of(session, sample, model, seed=0):
    """A result with a smooth probability of five discs, many of its values very near to 0 and 1."""
    noise = np.random.default_rng(seed).normal(0, 1, sample.spatial_shape)
    score = (sample.image[0] - 100) / 8 + noise
    probability = (1 / (1 + np.exp(-score))).astype(np.float32)
    mask = threshold_mask(probability, model.card.threshold, sample.labels)
    segmentation = Segmentation(probability, mask, model.card.threshold)
    return Result(session.image, sample, model, segmentation, None, model.card.threshold)


@pytest.fixture
def shown(panel, session, sample, model, qtbot):
    """The panel, with a result that has been measured."""
    assert panel.coverage is None
    session.adopt(result_of(session, sample, model))
    qtbot.waitUntil(lambda: panel.coverage is not None and not session.showing)
    return panel


@pytest.fixture
def french():
    before = QLocale()
    QLocale.setDefault(QLocale(QLocale.Language.French, QLocale.Country.France))
    yield
    QLocale.setDefault(before)


def area(session):
    return float(session.result.segmentation.mask.mean())


def type_in(qtbot, box, text):
    box.lineEdit().selectAll()
    qtbot.keyClicks(box, text)
    qtbot.keyClick(box, Qt.Key.Key_Return)


def test_without_a_result_only_the_threshold_can_be_set(panel, session):
    for widget in (panel.area_slider, panel.area_box, panel.objects_box, panel.histogram, panel.threshold_reset):
        assert not widget.isEnabled()
    assert not any(box.isEnabled() for box in panel.extras.boxes.values())
    assert session.threshold is None
    panel.threshold_box.setValue(0.7)
    assert session.threshold == 0.7


def test_a_result_is_measured_in_the_background_and_told_in_human_words(shown, session, model):
    assert shown.threshold_reset.isEnabled()
    assert shown.histogram.value() is shown.coverage
    assert shown.area_box.value() == pytest.approx(100 * area(session), rel=0.01)
    assert shown.objects_box.value() == 5
    assert "typical objects" in shown.objects_label.text()
    size = shown.coverage.object_px
    assert f"({round(size)} px)" in shown.objects_label.text()
    assert shown.threshold_box.value() == pytest.approx(model.card.threshold, abs=1e-3)


def test_the_threshold_moves_mask_and_area(shown, session, qtbot):
    layer = session.book.member(session.image, "mask")
    before, shown_before = area(session), shown.area_slider.value()
    shown.threshold_slider.setValue(shown.threshold_slider.value() // 2)
    assert session.threshold < 0.5
    assert area(session) > before
    assert shown.area_box.value() == pytest.approx(100 * area(session), rel=0.01)
    assert shown.area_slider.value() > shown_before
    qtbot.waitUntil(lambda: layer.data.mean() == session.result.segmentation.mask.mean())
    shown.threshold_box.setValue(0.9)
    assert session.threshold == 0.9
    assert shown.histogram.threshold() == 0.9
    qtbot.mouseClick(shown.threshold_reset, Qt.MouseButton.LeftButton)
    assert session.threshold is None
    assert area(session) == before


def test_the_ends_of_the_threshold_slider_are_everything_and_next_to_nothing(shown, session):
    shown.threshold_slider.setValue(0)
    assert session.threshold == 0
    assert area(session) == 1
    shown.threshold_slider.setValue(shown.threshold_slider.maximum())
    assert session.threshold == 1
    assert area(session) < 0.05


def test_the_area_moves_mask_and_threshold(shown, session, qtbot):
    layer, before = session.book.member(session.image, "mask"), shown.threshold_box.value()
    shown.area_slider.setValue(300)
    assert shown.area_slider.value() == 300, "what is moved stays where it was put"
    assert area(session) == pytest.approx(0.027, abs=0.002)
    assert shown.threshold_box.value() > before
    assert shown.area_box.value() == pytest.approx(2.7, abs=0.2)
    qtbot.waitUntil(lambda: layer.data.mean() == pytest.approx(area(session)))
    type_in(qtbot, shown.area_box, "40")
    assert area(session) == pytest.approx(0.4, abs=0.002)
    assert shown.threshold_slider.value() < 500


def test_the_area_can_be_given_as_a_number_of_objects(shown, session, qtbot):
    assert shown.objects_box.value() == 5
    type_in(qtbot, shown.objects_box, "3")
    assert area(session) == pytest.approx(
        3 * shown.coverage.object_px / session.result.segmentation.mask.size, abs=0.002
    )
    assert shown.objects_box.value() == 3


def test_numbers_are_those_of_the_locale(french, session, sample, model, qtbot):
    panel = ResultPanel(session)
    qtbot.addWidget(panel)
    session.adopt(result_of(session, sample, model))
    qtbot.waitUntil(lambda: panel.coverage is not None)
    type_in(qtbot, panel.threshold_box, "0,25")
    assert session.threshold == 0.25
    assert panel.threshold_box.text() == "0,25"
    type_in(qtbot, panel.area_box, "6,2")
    assert area(session) == pytest.approx(0.062, abs=0.001)
    assert "," in panel.area_box.text()
    panel.extras.boxes["band"].setChecked(True)
    qtbot.waitUntil(lambda: "\N{NO-BREAK SPACE}%" in panel.extras.legend.text())
    assert "6,2\N{NO-BREAK SPACE}%" in panel.extras.legend.text()
    assert "." not in panel.extras.legend.text()


def test_the_sentence_on_a_result_is_written_as_the_locale_does(session, sample, model, french):
    result = result_of(session, sample, model)
    mask = np.zeros_like(result.segmentation.mask)
    mask[0, : mask.shape[1] // 2] = 1
    result = replace(result, segmentation=replace(result.segmentation, mask=mask))
    share = 100 * mask.mean()
    assert 0 < share < 1
    assert summary(result).startswith(f"{share:.2g}\N{NO-BREAK SPACE}%".replace(".", ","))
    assert "," in summary(result)


def test_ignored_pixels_do_not_count_for_the_area(panel, session, sample, model, qtbot):
    labels = sample.labels.copy()
    labels[:48] = IGNORE
    session.adopt(result_of(session, replace(sample, labels=labels), model))
    qtbot.waitUntil(lambda: panel.coverage is not None)
    assert panel.coverage.n_pixels == labels.size / 2
    assert panel.area_box.value() == pytest.approx(200 * area(session), rel=0.01)


def test_a_new_result_is_measured_anew_but_not_one_with_another_mask(shown, session, sample, model, qtbot):
    first = shown.coverage
    session.set_threshold(0.3)
    assert shown.coverage is first
    session.adopt(result_of(session, sample, model, seed=1))
    qtbot.waitUntil(lambda: shown.coverage is not first)
    assert shown.histogram.value() is shown.coverage


def test_previews_are_not_measured(shown, session, sample, model, qtbot):
    first, result = shown.coverage, result_of(session, sample, model, seed=1)
    session.adopt(replace(result, preview=True))
    assert session.result.preview
    assert shown._measured is not result.segmentation.probability
    session.adopt(result)
    qtbot.waitUntil(lambda: shown.coverage is not first)


def test_the_histogram_shows_the_threshold_and_moves_it(shown, session, qtbot):
    histogram = shown.histogram
    for share in (0.3, 0.8):
        at = QPoint(round(histogram.width() * share), histogram.height() // 2)
        qtbot.mousePress(histogram, Qt.MouseButton.LeftButton, pos=at)
        assert histogram.share_of(session.threshold) == pytest.approx(share, abs=0.02)
    before = area(session)
    qtbot.mouseMove(histogram, QPoint(round(histogram.width() * 0.4), 10))
    qtbot.mouseRelease(histogram, Qt.MouseButton.LeftButton)
    held = session.threshold
    qtbot.keyClick(histogram, Qt.Key.Key_Left)
    assert session.threshold < held
    assert area(session) >= before
    assert shown.threshold_box.value() == pytest.approx(session.threshold, abs=1e-3)


def test_the_histogram_draws_the_mask_in_its_colour(shown, qtbot):
    def greens():
        picture = shown.histogram.grab().toImage()
        colours = (picture.pixelColor(x, y) for x in range(picture.width()) for y in range(picture.height()))
        return sum(colour.name().upper() == "#009E73" for colour in colours)

    shown.histogram.set_threshold(0.999)
    few = greens()
    shown.histogram.set_threshold(0.001)
    assert greens() > few


def test_the_band_has_three_nested_levels_and_a_legend(shown, session, qtbot):
    box, book, image = shown.extras.boxes["band"], session.book, session.image
    shown.area_box.setValue(10)
    assert book.member(image, "band") is None
    assert not shown.extras.legend.isVisible()
    box.click()
    qtbot.waitUntil(lambda: book.member(image, "band") is not None)
    band = book.member(image, "band").data
    assert [float((band >= level).mean()) for level in (1, 2, 3)] == pytest.approx([0.2, 0.1, 0.05], abs=0.003)
    assert np.array_equal(band >= 2, session.result.segmentation.mask > 0)
    assert all(f"{number}\N{NO-BREAK SPACE}%" in shown.extras.legend.text() for number in ("5", "10", "20"))
    shown.area_box.setValue(4)
    qtbot.waitUntil(lambda: (book.member(image, "band").data > 0).mean() < 0.09)
    box.click()
    assert book.member(image, "band") is None
    assert not shown.extras.legend.isVisible()


def test_uncertainty_follows_the_threshold_and_goes_when_it_is_switched_off(shown, session, qtbot):
    box, book, image = shown.extras.boxes["uncertainty"], session.book, session.image
    assert book.member(image, "uncertainty") is None
    box.click()
    qtbot.waitUntil(lambda: book.member(image, "uncertainty") is not None)
    layer, probability = book.member(image, "uncertainty"), session.result.segmentation.probability
    assert np.array_equal(layer.data, uncertainty(probability, session.result.segmentation.threshold))
    shown.threshold_box.setValue(0.1)
    qtbot.waitUntil(lambda: np.array_equal(layer.data, uncertainty(probability, 0.1)))
    box.click()
    assert book.member(image, "uncertainty") is None


def test_a_layer_that_the_user_deletes_stays_away(shown, session, qtbot):
    box, book, image = shown.extras.boxes["uncertainty"], session.book, session.image
    box.click()
    qtbot.waitUntil(lambda: book.member(image, "uncertainty") is not None)
    book.viewer.layers.remove(book.member(image, "uncertainty"))
    assert not box.isChecked()
    shown.threshold_box.setValue(0.1)
    assert book.member(image, "uncertainty") is None


def test_extras_move_with_the_result_to_another_image(shown, session, sample, model, qtbot):
    book, first = session.book, session.image
    shown.extras.boxes["band"].click()
    qtbot.waitUntil(lambda: book.member(first, "band") is not None)
    second = book.viewer.add_image(sample.image[0] + 1, name="second")
    session.choose_image(second)
    session.adopt(result_of(session, sample, model, seed=1))
    qtbot.waitUntil(lambda: book.member(second, "band") is not None)
    assert book.member(first, "band") is None


def test_the_mask_of_another_image_than_the_chosen_one_says_so(shown, session, sample):
    shown_first, name = session.image, session.image.name
    assert shown.mask_group.title() == "Mask"
    session.choose_image(session.book.viewer.add_image(sample.image[0], name="second"))
    assert shown.mask_group.title() == f"Mask of {name!r}"
    session.choose_image(shown_first)
    assert shown.mask_group.title() == "Mask"


def test_the_wheel_scrolls_and_changes_nothing_in_passing(shown, session):
    before = session.threshold
    for widget in (shown.threshold_slider, shown.area_slider, shown.area_box, shown.objects_box):
        assert not widget.hasFocus()
        at = QPointF(5, 5)
        delta, none = QPoint(0, 120), Qt.MouseButton.NoButton
        phase = Qt.ScrollPhase.NoScrollPhase
        turn = QWheelEvent(at, at, delta, delta, none, Qt.KeyboardModifier.NoModifier, phase, False)
        QApplication.sendEvent(widget, turn)
    assert session.threshold is before


def test_refinement_is_switched_and_set(shown, session, qtbot):
    box, book = shown.refine_box, session.book
    assert session.crf is None
    assert book.member(session.image, "refined") is None
    box.crf_box.setChecked(True)
    assert session.crf == CRF_PRESETS[box.preset_combo.currentText()]
    qtbot.waitUntil(lambda: book.member(session.image, "refined") is not None)
    assert "backend" in box.refined_label.text()
    assert box.refined_label.isVisible()
    box.preset_combo.setCurrentText("aurora original")
    box.preset_combo.textActivated.emit("aurora original")
    assert session.crf == CRF_PRESETS["aurora original"]
    box.crf_form.set_value(CRF_PRESETS["aurora original"].changed({"steps": 2}))
    assert box.preset_combo.currentText() == CUSTOM
    qtbot.waitUntil(lambda: session.result.crf is not None and session.result.crf.steps == 2)
    box.crf_box.setChecked(False)
    qtbot.waitUntil(lambda: book.member(session.image, "refined") is None)


@pytest.mark.parametrize("width", [280, 340])
def test_nothing_is_cut_off(shown, qtbot, width):
    shown.extras.boxes["band"].click()
    qtbot.waitUntil(lambda: shown.extras.legend.isVisible())
    assert shown.minimumSizeHint().width() <= 280
    shown.resize(width, 500)
    qtbot.waitUntil(lambda: shown.width() == width)
    for child in shown.findChildren(QWidget):
        if child.isVisible():
            assert child.mapTo(shown, child.rect().topRight()).x() <= width, child
