"""Images with time and planes: strokes on any frame or plane, results with the right axes, in the right place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("napari")

from PIL import Image as Picture
from qtpy.QtCore import Qt

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.methods.pu import PuSettings
from napari_pu_segment.core.samples import NEGATIVE, POSITIVE
from napari_pu_segment.gui.main_widget import PLUGIN, TITLE
from napari_pu_segment.gui.paint.axes_box import AxesBox
from napari_pu_segment.gui.session import Session
from napari_pu_segment.gui.viewer.layers import LayerBook
from tests.helpers import dice, disks, strokes
from tests.mouse import canvas_of, paint, paths

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "dev"
QUICK = PuSettings(n_steps=20, prior="fixed", class_prior=0.2, threads=1, filters=("gaussian",), sigmas_px=(1.0,))


@pytest.fixture
def viewer(make_viewer):
    return make_viewer()


@pytest.fixture
def session(viewer):
    session = Session(LayerBook(viewer))
    session.crf = None
    yield session
    session.close()


def wait(qtbot, session):
    qtbot.waitUntil(lambda: session.runner.current is None and not session.showing)


@pytest.mark.parametrize(
    ("shape", "labels", "axes"),
    [
        ((4, 30, 40), ("t", "y", "x"), "CTYX"),
        ((4, 30, 40), ("Frame", "y", "x"), "CTYX"),
        ((4, 30, 40), ("z", "y", "x"), "CZYX"),
        ((4, 30, 40), None, "CZYX"),
        ((4, 5, 30, 40), None, "CTZYX"),
        ((4, 5, 30, 40), ("t", "", "y", "x"), "CTZYX"),
        ((4, 5, 30, 40), ("", "z", "y", "x"), "CTZYX"),
        ((2, 4, 5, 30, 40), ("c", "t", "z", "y", "x"), "CTZYX"),
        ((2, 4, 30, 40), ("channel", "time", "y", "x"), "CTYX"),
        ((4, 1, 30, 40), ("t", "z", "y", "x"), "CTYX"),
        ((1, 5, 30, 40), ("t", "z", "y", "x"), "CZYX"),
        ((1, 1, 30, 40), ("t", "z", "y", "x"), "CYX"),
    ],
)
def test_axes_are_told_by_their_names(viewer, shape, labels, axes):
    data = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    place = {"scale": tuple(range(2, 2 + len(shape))), "units": ("um",) * len(shape)}
    image = viewer.add_image(data, name="it", axis_labels=labels, **place)
    book = LayerBook(viewer)
    book.add_brushes(image)
    layer = book.member(image, "positive")
    n_channels = 2 if labels and labels[0].startswith("c") else 1
    assert layer.data.shape == shape[-layer.ndim :] == shape[n_channels - 1 :]
    sample = book.snapshot(image).sample()
    assert sample.axes == axes
    assert sample.image.shape[0] == n_channels
    kept = [n for n in shape[n_channels - 1 : -2] if n > 1] + [30, 40]
    assert sample.image.shape[1:] == tuple(kept)
    sizes = [size for size, n in zip(place["scale"][n_channels - 1 :], shape[n_channels - 1 :], strict=True) if n > 1]
    assert sample.pixel_size == tuple(map(float, sizes))
    book.show(image, "mask", np.ones(tuple(kept), np.uint8))
    mask = book.member(image, "mask")
    assert mask.data.shape == layer.data.shape
    assert np.array_equal(mask.scale, image.scale[n_channels - 1 :])
    assert mask.axis_labels == image.axis_labels[n_channels - 1 :]
    middle = (2, 15, 25) if sample.image.ndim > 3 else (15, 25)
    book.stamp(image, "positive", middle if sample.image.ndim < 5 else (1, *middle), 0)
    assert book.snapshot(image).sample().labels[middle if sample.image.ndim < 5 else (1, *middle)] == POSITIVE


def test_what_the_slider_counts_is_chosen_and_kept_for_each_image(viewer, qtbot):
    first, second = (viewer.add_image(np.zeros((4, 30, 40)), name=name) for name in "ab")
    flat = viewer.add_image(np.zeros((30, 40)), name="flat")
    session = Session(LayerBook(viewer))
    session.choose_image(first)
    box, book = AxesBox(session), session.book
    qtbot.addWidget(box)
    box.show()
    assert box.third_combo.isVisibleTo(box)
    assert not box.level_combo.isVisibleTo(box)
    assert box.third_combo.currentText() == "Planes"
    box.third_combo.setCurrentIndex(box.third_combo.findText("Time points"))
    assert book.snapshot(first).sample().axes == "CTYX"
    assert book.snapshot(second).sample().axes == "CZYX"
    session.choose_image(second)
    assert box.third_combo.currentText() == "Planes"
    session.choose_image(first)
    assert box.third_combo.currentText() == "Time points"
    session.choose_image(flat)
    assert not box.isVisibleTo(None)
    session.close()


def test_the_level_of_a_multiscale_image_is_chosen(viewer, qtbot):
    image = viewer.add_image([np.zeros((64, 48)), np.zeros((32, 24)), np.zeros((16, 12))], multiscale=True)
    session = Session(LayerBook(viewer))
    session.choose_image(image)
    box, book = AxesBox(session), session.book
    qtbot.addWidget(box)
    assert [box.level_combo.itemText(i) for i in range(3)] == ["0: 64 × 48 px", "1: 32 × 24 px", "2: 16 × 12 px"]
    book.add_brushes(image)
    assert book.member(image, "positive").data.shape == (64, 48)
    box.level_combo.setCurrentIndex(1)
    assert book.channels.grid(image).shape == (32, 24)
    with pytest.raises(InputError, match="positive"):
        book.snapshot(image)
    for role in ("positive", "negative"):
        viewer.layers.remove(book.member(image, role))
    book.add_brushes(image)
    assert book.snapshot(image).sample().labels.shape == (32, 24)
    book.show(image, "mask", np.ones((32, 24), np.uint8))
    box.level_combo.setCurrentIndex(0)
    book.show(image, "mask", np.ones((64, 48), np.uint8))
    assert np.allclose(book.member(image, "mask").scale, image.scale)
    session.close()


def test_a_series_is_learnt_from_strokes_on_two_frames(viewer, session, qtbot):
    frames = np.stack([disks(seed=seed)[0][0] for seed in range(4)])
    image = viewer.add_image(frames, name="series", scale=(60, 0.5, 0.5), axis_labels=("t", "y", "x"))
    session.choose_image(image)
    for role, code in (("positive", POSITIVE), ("negative", NEGATIVE)):
        mask = np.zeros(frames.shape, bool)
        mask[0 if role == "positive" else 2] = strokes() == code
        session.book.put_strokes(image, role, mask)
    session.train("pu", QUICK, warm=False)
    wait(qtbot, session)
    assert session.result.sample.axes == "CTYX"
    mask = session.book.member(image, "mask")
    assert mask.data.shape == frames.shape
    assert all(dice(frame, disks()[1]) > 0.9 for frame in mask.data), "the frames without strokes, too"


# --- real data, as a user works on it


def docked(make_viewer, qtbot, data, **look):
    viewer = make_viewer(show=True)
    viewer.window.resize(1200, 850)
    image = viewer.add_image(data, **look)
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, TITLE)
    qtbot.waitExposed(widget)
    form = widget.train_panel.form
    form.set_value(form.value().changed({"threads": 1}))
    qtbot.mouseClick(widget.train_panel.add_brushes_button, Qt.MouseButton.LeftButton)
    return viewer, image, widget


def hand_paint(viewer, image, widget, index, codes):
    """Go to a frame or a plane, and paint each stroke of its label codes with the mouse."""
    book = widget.session.book
    viewer.dims.set_current_step(0, index)
    for role, code in (("positive", POSITIVE), ("negative", NEGATIVE)):
        book.paint(image, role)
        layer = book.member(image, role)
        layer.brush_size = 3
        before = np.count_nonzero(layer.data[index])
        for path in paths(codes == code):
            paint(viewer, canvas_of(viewer, widget), path * image.scale[-2:])
        assert np.count_nonzero(layer.data[index]) > before


def press_train(qtbot, widget):
    qtbot.mouseClick(widget.train_panel.train_button, Qt.MouseButton.LeftButton)
    session = widget.session
    assert session.runner.current is not None, widget.status_label.text()
    wait(qtbot, session)
    qtbot.waitUntil(lambda: session.runner.current is None and not session.showing)


def check_layers(widget, image, axes):
    book = widget.session.book
    assert widget.session.result.sample.axes == axes
    for role in ("probability", "mask", "refined"):
        layer = book.member(image, role)
        assert layer.data.shape == image.data.shape
        assert np.array_equal(layer.scale, image.scale)
        assert layer.units == image.units
        assert layer.axis_labels == image.axis_labels


@pytest.mark.skipif(not (DATA / "timelapse_c2c12").is_dir(), reason="needs the development data beside the checkout")
def test_a_time_lapse_from_strokes_on_two_frames(make_viewer, qtbot):
    folder = DATA / "timelapse_c2c12"
    frames = np.stack([np.asarray(Picture.open(path)) for path in sorted((folder / "images").glob("*.png"))])
    look = {"name": "c2c12", "scale": (3000, 1.3, 1.3), "units": ("second", "um", "um")}
    viewer, image, widget = docked(make_viewer, qtbot, frames, **look)
    combo = widget.train_panel.axes_box.third_combo
    combo.setCurrentIndex(combo.findText("Time points"))
    for frame in (0, 2):
        codes = np.asarray(Picture.open(folder / "strokes" / f"t{frame:03d}_seed0.png"))
        hand_paint(viewer, image, widget, frame, codes)
    painted = np.asarray(widget.session.book.member(image, "positive").data).any(axis=(1, 2))
    assert np.flatnonzero(painted).tolist() == [0, 2]
    press_train(qtbot, widget)
    check_layers(widget, image, "CTYX")
    viewer.dims.set_current_step(0, 7)
    mask = widget.session.book.member(image, "mask").data
    assert 0 < mask[7].mean() < 0.5, "a frame without strokes is segmented"


@pytest.mark.skipif(not (DATA / "em_vnc_3d").is_dir(), reason="needs the development data beside the checkout")
def test_a_volume_from_strokes_on_one_plane(make_viewer, qtbot):
    import tifffile

    folder = DATA / "em_vnc_3d"
    stack = tifffile.imread(folder / "images" / "vnc_stack1_crop.tif")[4:16, 100:356, 100:356]
    codes = tifffile.imread(folder / "strokes" / "vnc_stack1_crop_seed0.tif")[4:16, 100:356, 100:356]
    plane = int(np.argmax([(one == POSITIVE).sum() for one in codes]))
    look = {"name": "vnc", "scale": (50, 4.6, 4.6), "units": ("nm",) * 3, "axis_labels": ("z", "y", "x")}
    viewer, image, widget = docked(make_viewer, qtbot, stack, **look)
    assert widget.train_panel.axes_box.third_combo.currentText() == "Planes"
    hand_paint(viewer, image, widget, plane, codes[plane])
    press_train(qtbot, widget)
    check_layers(widget, image, "CZYX")
    assert widget.session.result.sample.pixel_size == (50, 4.6, 4.6)
    masks = widget.session.book.member(image, "mask").data
    assert all(plane.any() for plane in masks)
