"""Strokes made by a program are strokes as any other, and every change of strokes is heard, whoever made it."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari")

from napari.layers import Labels

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.samples import NEGATIVE, POSITIVE
from napari_pu_segment.gui.viewer.layers import LayerBook


@pytest.fixture
def viewer(make_viewer):
    return make_viewer()


@pytest.fixture
def painted(viewer):
    """An image with brush layers, its book, and the list of images that were heard to be painted on."""
    image = viewer.add_image(np.zeros((30, 40)), name="it")
    book, heard = LayerBook(viewer), []
    book.add_brushes(image)
    book.painted.connect(heard.append)
    return book, image, heard


def test_a_dab_is_a_disk_that_undo_takes_back_in_one_step(painted):
    book, image, heard = painted
    layer = book.member(image, "positive")
    before = layer.data.copy()
    size = layer.brush_size
    book.stamp(image, "positive", (10, 20), 3)
    y, x = np.indices((30, 40))
    assert np.array_equal(layer.data != 0, (y - 10) ** 2 + (x - 20) ** 2 <= 9)
    assert heard == [image]
    assert layer.brush_size == size, "the user's brush stays"
    layer.undo()
    assert np.array_equal(layer.data, before)
    layer.redo()
    assert layer.data.sum() == ((y - 10) ** 2 + (x - 20) ** 2 <= 9).sum()
    assert heard == [image] * 3


@pytest.mark.parametrize(
    ("centre", "radius", "n"), [((0, 0), 2, 6), ((29.4, 39.4), 0, 1), ((-5, 3), 2, 0), ((12, 12), 0.5, 1)]
)
def test_a_dab_at_the_rim_or_outside_paints_what_is_inside(painted, centre, radius, n):
    book, image, heard = painted
    book.stamp(image, "negative", centre, radius)
    assert np.count_nonzero(book.member(image, "negative").data) == n
    assert len(heard) == bool(n)


def test_a_dab_falls_into_its_plane_whichever_is_shown(viewer):
    image = viewer.add_image(np.zeros((5, 30, 40)))
    book = LayerBook(viewer)
    book.stamp(image, "positive", (3, 10, 20), 2)
    assert viewer.dims.current_step[0] != 3
    assert book.member(image, "positive").data.any(axis=(1, 2)).tolist() == [False, False, False, True, False]
    assert book.snapshot(image).sample().count(POSITIVE) == 13


def test_a_single_plane_needs_no_plane_number(viewer):
    image = viewer.add_image(np.zeros((1, 30, 40)))
    book = LayerBook(viewer)
    book.stamp(image, "negative", (10, 20), 1)
    assert book.snapshot(image).sample().count(NEGATIVE) == 5
    mask = np.zeros((30, 40), bool)
    mask[3] = True
    book.put_strokes(image, "positive", mask)
    assert book.snapshot(image).sample().count(POSITIVE) == 40


def test_strokes_put_replace_the_old_in_one_step(painted):
    book, image, heard = painted
    layer = book.member(image, "positive")
    layer.data[3, 4:9] = 7
    mask = np.zeros((30, 40), bool)
    mask[3, 8:20] = True
    book.put_strokes(image, "positive", mask)
    assert np.array_equal(layer.data != 0, mask)
    assert heard == [image]
    layer.undo()
    assert layer.data[3].tolist() == [0] * 4 + [7] * 5 + [0] * 31
    layer.redo()
    assert np.array_equal(layer.data != 0, mask)
    with pytest.raises(InputError, match="'it'"):
        book.put_strokes(image, "positive", mask[:5])


def test_strokes_put_add_the_brush_layer_where_it_is_missing(viewer):
    image = viewer.add_image(np.zeros((30, 40)))
    book, heard = LayerBook(viewer), []
    book.painted.connect(heard.append)
    assert book.member(image, "ignore") is None
    book.put_strokes(image, "ignore", np.eye(30, 40))
    assert book.member(image, "ignore").data.sum() == 30
    assert heard == [image]


def test_every_way_to_change_strokes_is_heard_once(painted, qapp):
    book, image, heard = painted
    layer = book.member(image, "positive")
    seen = []
    book.painted.connect(lambda image: seen.append(int(layer.data.astype(bool).sum())))

    def replace():
        layer.data = np.eye(30, 40, dtype=np.uint8)

    def in_place():
        layer.data[20:25] = 1
        layer.refresh()

    def paint():
        with layer.block_history():  # as the mouse does it
            layer.paint((5, 5), 1)

    ways = [paint, layer.undo, layer.redo, lambda: layer.fill((20, 20), 1), layer.undo, replace, in_place]
    for n, way in enumerate(ways, 1):
        way()
        qapp.processEvents()  # a fill is told of before it is done
        assert heard == [image] * n, f"way {n}"
        assert seen[-1] == np.count_nonzero(layer.data), "who hears of it sees it"


def test_mere_redraws_are_not_heard(viewer):
    image = viewer.add_image(np.zeros((5, 30, 40)))
    book, heard = LayerBook(viewer), []
    book.add_brushes(image)
    book.stamp(image, "positive", (1, 10, 20), 4)
    book.painted.connect(heard.append)
    layer, drawn = book.member(image, "positive"), []
    layer.events.set_data.connect(lambda event: drawn.append(1))
    viewer.dims.set_current_step(0, 3)
    layer.visible = False
    layer.visible = True
    layer.refresh()
    layer.contour = 1
    layer.name = "renamed"
    assert drawn
    assert heard == []


def test_strokes_that_only_move_are_heard(painted):
    book, image, heard = painted
    mask = np.zeros((30, 40), bool)
    mask[4:8, 0:8] = True
    book.put_strokes(image, "positive", mask)
    book.put_strokes(image, "positive", np.roll(mask, 8, axis=1))
    book.member(image, "positive").undo()
    assert len(heard) == 3


def test_strokes_on_layers_that_are_not_ours_are_not_heard(painted, viewer):
    book, image, heard = painted
    foreign = viewer.add_layer(Labels(np.zeros((30, 40), np.uint8)))
    foreign.paint((5, 5), 1)
    layer = book.member(image, "positive")
    viewer.layers.remove(layer)
    layer.paint((5, 5), 1)
    assert layer.data.any()
    assert heard == []
    book.add_brushes(image)
    book.stamp(image, "positive", (5, 5), 1)
    assert heard == [image]


def test_brush_layers_that_were_there_before_are_heard(painted, viewer):
    _, image, _ = painted
    later, heard = LayerBook(viewer), []
    later.painted.connect(heard.append)
    later.stamp(image, "negative", (5, 5), 1)
    assert heard == [image]
