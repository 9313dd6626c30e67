"""The dock of stains, and nuclei without strokes in the other one."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.data import immunohistochemistry

pytest.importorskip("napari")

from napari_pu_segment import METHODS, Sample, from_strokes
from napari_pu_segment.core.images.stained import normalise_stains
from napari_pu_segment.core.images.stains import STAINS, check_rgb, measure_macenko, separate
from napari_pu_segment.gui.main_widget import MainWidget
from napari_pu_segment.gui.stains_widget import StainsWidget


@pytest.fixture
def dock(make_viewer, qtbot):
    """Two tiles of tissue, the first of them redder, half a micrometre a pixel."""
    viewer, tissue = make_viewer(), immunohistochemistry()
    red = (255 * (tissue[:80, :100] / 255) ** [0.7, 1.3, 1]).astype(np.uint8)
    viewer.add_image(red, rgb=True, name="red", scale=(0.5, 0.5))
    viewer.add_image(tissue[80:160, :100], rgb=True, name="target")
    widget = StainsWidget(viewer)
    qtbot.addWidget(widget)
    widget.image_combo.set_value(widget.book.images()[0])
    widget.target_combo.set_value(widget.book.images()[1])
    return widget


def light(widget, name):
    return check_rgb(np.moveaxis(widget.book.viewer.layers[name].data, -1, 0))


def wait(qtbot, widget):
    qtbot.waitUntil(lambda: widget.separate_button.isEnabled(), timeout=30_000)


def test_each_stain_becomes_a_layer_over_the_image(dock, qtbot):
    assert len(dock.book.viewer.layers) == 2
    dock.separate_button.click()
    assert not dock.separate_button.isEnabled()
    wait(qtbot, dock)
    expected = separate(light(dock, "red"))
    for name, amounts in zip(STAINS, expected, strict=True):
        layer = dock.book.viewer.layers[f"red {name}"]
        assert np.array_equal(layer.data, amounts)
        assert layer.scale == pytest.approx([0.5, 0.5])
        assert layer.visible == (name == "haematoxylin")
    assert dock.image_combo.value().name == "red"


def test_the_copy_has_the_stains_of_the_target(dock, qtbot):
    dock.normalise_button.click()
    wait(qtbot, dock)
    layer = dock.book.viewer.layers["red normalised"]
    expected = normalise_stains(light(dock, "red"), measure_macenko(light(dock, "target")))
    assert layer.rgb
    assert np.array_equal(layer.data, np.moveaxis(expected, 0, -1))
    assert (dock.image_combo.value().name, dock.target_combo.value().name) == ("red", "target")


def test_it_can_be_cancelled_at_once(dock, qtbot):
    large = np.tile(immunohistochemistry(), (9, 9, 1))
    dock.book.viewer.add_image(large, rgb=True, name="large")
    dock.image_combo.set_value(dock.book.images()[2])
    assert dock.cancel_button.isHidden()
    dock.separate_button.click()
    assert not dock.cancel_button.isHidden()
    qtbot.waitUntil(lambda: dock.progress_bar.value() > 0, timeout=60_000)
    assert dock.progress_bar.format() in ("Looking at the image", "Separating stains")
    dock.cancel_button.click()
    wait(qtbot, dock)
    assert dock.status_label.text() == "Cancelled."
    assert dock.cancel_button.isHidden()
    assert dock.progress_bar.isHidden()
    assert len(dock.book.viewer.layers) == 3


def test_what_cannot_be_done_is_told(dock, qtbot):
    dock.target_combo.set_value(dock.image_combo.value())
    dock.normalise_button.click()
    assert "the same" in dock.status_label.text()
    dock.book.viewer.add_image(np.zeros((9, 9)), name="grey")
    dock.image_combo.set_value(dock.book.images()[2])
    dock.separate_button.click()
    wait(qtbot, dock)
    assert "'grey'" in dock.status_label.text()
    assert len(dock.book.viewer.layers) == 3


def test_nuclei_are_proposed_without_a_stroke(make_viewer, qtbot):
    viewer, tissue = make_viewer(), immunohistochemistry()[150:250, 200:300]
    viewer.add_image(tissue, rgb=True, name="tissue")
    widget = MainWidget(viewer)
    qtbot.addWidget(widget)
    session, panel = widget.session, widget.train_panel
    session.crf, said = None, []
    session.said.connect(lambda text, failed: said.append(text))
    panel.method_combo.setCurrentIndex(panel.method_combo.findData("nuclei"))
    assert said[-1] == "Press Segment: no strokes are needed."
    assert session.result is None
    panel.train_button.click()
    qtbot.waitUntil(lambda: session.runner.current is None and not session.showing, timeout=60_000)
    expected = from_strokes(Sample(np.moveaxis(tissue, -1, 0)), METHODS["nuclei"].settings())
    assert expected.mask.any()
    assert np.array_equal(session.result.segmentation.mask, expected.mask)
    assert session.model is None
