"""What is on screen, in pixels of the image, and going to a place."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari")

from napari_pu_segment.gui.viewer.layers import LayerBook

SCREEN = 400, 600


@pytest.fixture
def viewer(make_viewer):
    viewer = make_viewer()
    viewer.canvas.size = SCREEN
    return viewer


def look(viewer, centre, zoom):
    viewer.scene.camera.center = (0, *centre)
    viewer.scene.camera.zoom = zoom


def test_the_window_is_what_the_camera_sees(viewer):
    image = viewer.add_image(np.zeros((1000, 1200)))
    book = LayerBook(viewer)
    look(viewer, (500, 600), 2.0)
    window = book.window(image)
    assert window.slices == (slice(400, 601), slice(450, 751))
    assert window.step == 1
    look(viewer, (0, 0), 2.0)
    assert book.window(image).slices == (slice(0, 101), slice(0, 151)), "it ends where the image ends"
    look(viewer, (500, 600), 0.25)
    assert book.window(image).slices == (slice(0, 1000), slice(0, 1200))
    assert book.window(image).step == 4
    look(viewer, (5000, 600), 2.0)
    assert book.window(image) is None


def test_scale_and_place_are_taken_into_account(viewer):
    image = viewer.add_image(np.zeros((1000, 1200)), scale=(0.5, 0.5), translate=(100, -50))
    book = LayerBook(viewer)
    look(viewer, (100 + 250, -50 + 300), 4.0)
    assert book.window(image).slices == (slice(400, 601), slice(450, 751))
    assert book.window(image).step == 1
    look(viewer, (350, 250), 0.5)
    assert book.window(image).step == 4


def test_a_rotated_image_is_seen_by_the_box_around_the_view(viewer):
    image = viewer.add_image(np.zeros((1000, 1000)), rotate=90)
    book = LayerBook(viewer)
    (centre,) = book.channels.grid(image).to_world(np.array([[500, 400]]))
    look(viewer, centre, 2.0)
    rows, columns = book.window(image).slices
    assert abs(rows.stop - rows.start - 301) <= 1, "the wide side of the screen lies along the rows"
    assert abs(columns.stop - columns.start - 201) <= 1
    assert abs((rows.start + rows.stop) / 2 - 500) <= 1


def test_of_a_stack_one_plane_is_seen(viewer):
    image = viewer.add_image(np.zeros((9, 100, 120)), scale=(3, 1, 1))
    book = LayerBook(viewer)
    viewer.dims.set_current_step(0, 4)
    assert book.window(image).slices[0] == slice(4, 5)
    assert len(book.window(image).slices) == 3
    viewer.dims.ndisplay = 3
    assert book.window(image) is None
    viewer.dims.ndisplay = 2
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_current_step(1, 33)
    assert book.window(image).slices[1] == slice(33, 34)
    assert book.window(image).slices[0] == slice(0, 9)


def test_the_worked_on_level_of_a_multiscale_image_counts(viewer, monkeypatch):
    monkeypatch.setattr("napari_pu_segment.gui.viewer.grid.MODEST_PX", 100_000)
    image = viewer.add_image([np.zeros((1024, 1024)), np.zeros((256, 256))], multiscale=True)
    book = LayerBook(viewer)
    look(viewer, (511.5, 511.5), 1.0)
    assert book.window(image).slices == (slice(78, 179), slice(53, 204))
    assert book.window(image).step == 1
    book.go_to(image, (100, 200))
    assert np.allclose(viewer.scene.camera.center[-2:], (100 * 4 + 1.5, 200 * 4 + 1.5))


def test_an_image_with_channels_in_its_first_axis_has_a_plane_window(viewer):
    image = viewer.add_image(np.zeros((3, 1000, 1200)), scale=(1, 2, 2))
    book = LayerBook(viewer)
    book.set_channel_axis(image, 0)
    look(viewer, (1000, 1200), 1.0)
    assert book.window(image).slices == (slice(400, 601), slice(450, 751))
    step = viewer.dims.current_step[0]
    book.go_to(image, (10, 20))
    assert np.allclose(viewer.scene.camera.center[-2:], (20, 40))
    assert viewer.dims.current_step[0] == step, "the channel shown stays"


def test_going_to_a_place_moves_plane_and_camera_and_zooms_in_only(viewer):
    image = viewer.add_image(np.zeros((9, 1000, 1200)), scale=(3, 0.5, 0.5), translate=(7, 0, 0))
    viewer.add_image(np.zeros((2, 9, 10, 12)), scale=(1, 3, 0.5, 0.5))  # another, with an axis more
    book = LayerBook(viewer)
    look(viewer, (0, 0), 2.0)
    book.go_to(image, (5, 200, 300))
    assert np.allclose(viewer.scene.camera.center[-2:], (100, 150))
    assert viewer.scene.camera.zoom == 2.0
    assert book.window(image).slices[0] == slice(5, 6)
    book.go_to(image, (5, 200, 300), extent_px=100)
    assert viewer.scene.camera.zoom == 2.0, "100 pixels of the screen are enough"
    book.go_to(image, (5, 200, 300), extent_px=10)
    assert viewer.scene.camera.zoom == pytest.approx(8.0), "40 pixels of the screen"
    book.go_to(image, (5, 200, 300), extent_px=100)
    assert viewer.scene.camera.zoom == pytest.approx(8.0)


def test_an_image_that_is_gone_is_not_in_view(viewer):
    image = viewer.add_image(np.zeros((1000, 1200)))
    book = LayerBook(viewer)
    assert book.window(image) is not None
    viewer.layers.remove(image)
    assert book.window(image) is None
