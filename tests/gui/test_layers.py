"""Layers: strokes become samples, results lie where the image lies, and the user's layers stay as they are."""

from __future__ import annotations

import copy

import numpy as np
import pytest

pytest.importorskip("napari")

from napari.layers import Image, Labels

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.pipeline import Segmentation
from napari_pu_segment.core.samples import IGNORE, NEGATIVE, POSITIVE
from napari_pu_segment.gui.viewer.layers import RESULTS, LayerBook

PLACE = {
    "scale": (2.0, 3.0), "translate": (5.0, -7.0), "rotate": 20.0, "shear": [0.3],
    "affine": [[1, 0.1, 4], [0, 1, 2], [0, 0, 1]], "units": ("um", "um"), "axis_labels": ("row", "column"),
}  # fmt: skip


def segmentation(shape, value=0.25, refined=True):
    probability = np.full(shape, value, np.float32)
    mask = np.ones(shape, np.uint8)
    return Segmentation(probability, mask, 0.5, mask.copy() if refined else None, "grid" if refined else "")


def show(book, image, result):
    for role in RESULTS:
        book.show(image, role, getattr(result, role))


def same_place(one, other):
    points = np.random.default_rng(0).uniform(0, 30, (5, one.ndim))
    return (
        all(np.allclose(one.data_to_world(point), other.data_to_world(point)) for point in points)
        and one.units == other.units
        and one.axis_labels == other.axis_labels
    )


def edges(layer):
    return layer.extent.world + np.outer([-0.5, 0.5], layer.extent.step)


@pytest.fixture
def viewer(make_viewer):
    return make_viewer()


def test_brush_layers_lie_on_the_image_and_the_positive_one_is_taken_up(viewer):
    image = viewer.add_image(np.zeros((300, 40)), name="tissue", **PLACE)
    book = LayerBook(viewer)
    assert book.member(image, "positive") is None
    assert not book.paint(image, "positive")
    book.add_brushes(image)
    assert book.paint(image, "positive")
    assert [layer.name for layer in viewer.layers] == ["tissue", "tissue · negative", "tissue · positive"]
    for role in ("positive", "negative"):
        layer = book.member(image, role)
        assert same_place(layer, image)
        assert layer.data.shape == (300, 40)
        assert not layer.data.any()
    positive = viewer.layers.selection.active
    assert positive is book.member(image, "positive")
    assert (positive.mode, positive.selected_label) == ("paint", 1)
    blue, orange = (book.member(image, role).get_color(1) for role in ("positive", "negative"))
    assert blue[2] > blue[0]
    assert orange[0] > orange[2]
    assert np.array_equal(positive.get_color(7), blue), "every label but 0 counts as painted"


def test_adding_brush_layers_twice_changes_nothing(viewer):
    image = viewer.add_image(np.zeros((30, 40)))
    book = LayerBook(viewer)
    book.add_brushes(image)
    book.member(image, "positive").data[3, 4] = 1
    before = list(viewer.layers)
    book.add_brushes(image)
    assert list(viewer.layers) == before
    assert book.member(image, "positive").data[3, 4] == 1
    book.add_brushes(image, ("ignore",))
    assert len(viewer.layers) == len(before) + 1


@pytest.mark.parametrize(
    ("shape", "rgb", "channels", "spatial"),
    [
        ((30, 40), False, 1, (30, 40)),
        ((30, 40, 3), True, 3, (30, 40)),
        ((30, 40, 4), True, 3, (30, 40)),
        ((5, 30, 40), False, 1, (5, 30, 40)),
        ((5, 30, 40, 3), True, 3, (5, 30, 40)),
        ((1, 30, 40), False, 1, (30, 40)),
    ],
)
def test_images_of_every_kind_become_samples(viewer, shape, rgb, channels, spatial):
    rng = np.random.default_rng(0)
    data = rng.integers(0, 255, shape, dtype=np.uint8)
    image = viewer.add_image(data, rgb=rgb, name="it")
    book = LayerBook(viewer)
    book.add_brushes(image, book.classes.brushes)
    book.member(image, "positive").data[..., 3, 4] = 1
    book.member(image, "negative").data[..., 5, 6] = 9
    book.member(image, "ignore").data[..., 7, 8] = 1
    sample = book.snapshot(image).sample()
    assert sample.image.shape == (channels, *spatial)
    expected = data.reshape(*spatial, -1)
    assert np.array_equal(np.moveaxis(sample.image, 0, -1), expected[..., :channels])
    planes = spatial[0] if len(spatial) == 3 else 1
    assert [sample.count(code) for code in (POSITIVE, NEGATIVE, IGNORE)] == [planes] * 3
    assert sample.labels[..., 3, 4].min() == POSITIVE
    show(book, image, segmentation(spatial))
    assert book.member(image, "mask").data.shape == image.data.shape[: image.ndim]


def test_units_travel_with_the_sample(viewer):
    known = viewer.add_image(np.zeros((30, 40)), scale=(0.5, 0.25), units=("um", "um"))
    unknown = viewer.add_image(np.zeros((30, 40)))
    book = LayerBook(viewer)
    assert book.snapshot(known).sample().pixel_size == (0.5, 0.25)
    assert book.snapshot(known).sample().pixel_unit == "um"
    assert book.snapshot(unknown).sample().pixel_size == ()
    assert book.snapshot(unknown).sample().labels is None


def test_a_multiscale_image_gets_single_scale_layers(viewer, monkeypatch):
    levels = [np.ones((64, 48)), np.ones((32, 24)), np.ones((16, 12))]
    image = viewer.add_image(levels, multiscale=True, scale=(2.0, 2.0))
    book = LayerBook(viewer)
    book.add_brushes(image)
    layer = book.member(image, "positive")
    assert layer.data.shape == (64, 48)
    assert not layer.multiscale
    assert book.snapshot(image).sample().image.shape == (1, 64, 48)
    for role in ("positive", "negative"):
        viewer.layers.remove(book.member(image, role))
    monkeypatch.setattr("napari_pu_segment.gui.viewer.grid.MODEST_PX", 1000)
    book.add_brushes(image)
    coarse = book.member(image, "positive")
    assert coarse.data.shape == (32, 24)
    assert np.allclose(edges(coarse), edges(layer)), "both cover the same ground"
    sample = book.snapshot(image).sample()
    assert sample.image.shape == (1, 32, 24)
    show(book, image, segmentation((32, 24)))
    assert same_place(book.member(image, "mask"), coarse)


@pytest.mark.parametrize(
    ("shape", "labels", "remedy"),
    [
        ((2, 3, 30, 40), ("z", "t", "y", "x"), "Put time before planes"),
        ((2, 3, 30, 40), ("t", "c", "y", "x"), "Put the channels first"),
        ((2, 2, 2, 3, 30, 40), ("a", "c", "t", "z", "y", "x"), "Put the channels first"),
        ((2, 2, 3, 30, 40), ("a", "t", "z", "y", "x"), "split the others"),
    ],
)
def test_other_axes_are_refused_by_name(viewer, shape, labels, remedy):
    image = viewer.add_image(np.zeros(shape), name="odd", axis_labels=labels)
    with pytest.raises(InputError, match="'odd' has") as refused:
        LayerBook(viewer).add_brushes(image)
    assert f"({', '.join(labels)}). " in str(refused.value)
    assert remedy in str(refused.value)
    assert len(viewer.layers) == 1


def test_axes_without_names_are_refused_without_numbers_for_names(viewer):
    image = viewer.add_image(np.zeros((2, 2, 3, 30, 40)), name="odd")
    with pytest.raises(InputError, match=r"'odd' has 5 axes\. Choose"):
        LayerBook(viewer).add_brushes(image)


def test_a_brush_layer_of_another_shape_is_refused_by_name(viewer):
    image = viewer.add_image(np.zeros((30, 40)), name="it")
    book = LayerBook(viewer)
    book.add_brushes(image)
    book.member(image, "negative").data = np.zeros((5, 5), np.uint8)
    with pytest.raises(InputError, match="it · negative"):
        book.snapshot(image)


def test_a_snapshot_is_not_touched_by_later_painting(viewer):
    image = viewer.add_image(np.zeros((30, 40)))
    book = LayerBook(viewer)
    book.add_brushes(image)
    book.member(image, "positive").data[0, 0] = 1
    snapshot = book.snapshot(image)
    book.member(image, "positive").data[1, :] = 1
    assert snapshot.sample().count(POSITIVE) == 1


def test_results_appear_over_the_image_and_under_the_strokes(viewer):
    image = viewer.add_image(np.zeros((30, 40)), name="it", **PLACE)
    other = viewer.add_image(np.zeros((30, 40)), name="other")
    book = LayerBook(viewer)
    book.add_brushes(image)
    book.paint(image, "negative")
    show(book, image, segmentation((30, 40)))
    names = [layer.name for layer in viewer.layers]
    assert names == ["it", "it · probability", "it · mask", "it · refined", "other", "it · negative", "it · positive"]
    for role in RESULTS:
        assert same_place(book.member(image, role), image)
    probability = book.member(image, "probability")
    assert isinstance(probability, Image)
    assert tuple(probability.contrast_limits) == (0, 1)
    assert viewer.layers.selection.active is book.member(image, "negative"), "the user goes on painting"
    assert viewer.layers.selection.active.mode == "paint"
    assert book.images() == [image, other], "results are not offered as images"


@pytest.mark.parametrize(("shape", "outlined"), [((300, 400), True), ((5, 300, 400), True), ((2100, 2000), False)])
def test_masks_are_outlined_where_that_is_fast_and_filled_elsewhere(viewer, shape, outlined):
    image = viewer.add_image(np.zeros(shape), name="it")
    book = LayerBook(viewer)
    show(book, image, segmentation(shape))
    for role in ("mask", "refined"):
        layer = book.member(image, role)
        assert (layer.contour > 0) is outlined
        assert (layer.opacity > 0.5) is outlined, "what is filled must let the image through"


def test_results_are_updated_in_place_whatever_they_are_called(viewer):
    image = viewer.add_image(np.zeros((30, 40)), name="it")
    book = LayerBook(viewer)
    show(book, image, segmentation((30, 40), 0.25))
    first = {role: book.member(image, role) for role in RESULTS}
    first["probability"].name = "mine now"
    first["probability"].contrast_limits = (0.2, 0.6)
    image.name = "renamed"
    decoy = viewer.add_image(np.zeros((30, 40)), name="it · probability")
    show(book, image, segmentation((30, 40), 0.75))
    assert {role: book.member(image, role) for role in RESULTS} == first
    assert first["probability"].data.max() == 0.75
    assert tuple(first["probability"].contrast_limits) == (0.2, 0.6), "the user's display settings stay"
    assert decoy.data.max() == 0
    assert LayerBook(viewer).member(image, "mask") is first["mask"], "a widget opened later finds them again"


def test_a_deleted_result_is_made_anew_and_a_duplicate_is_the_users_own(viewer):
    image = viewer.add_image(np.zeros((30, 40)), name="it")
    book = LayerBook(viewer)
    show(book, image, segmentation((30, 40)))
    mask = book.member(image, "mask")
    duplicate = Labels(mask.data.copy(), name="copy", metadata=copy.deepcopy(mask.metadata))
    viewer.add_layer(duplicate)
    viewer.layers.remove(mask)
    assert book.member(image, "mask") is None
    new = segmentation((30, 40))
    new.mask[:] = 0
    show(book, image, new)
    assert book.member(image, "mask") not in (None, mask, duplicate)
    assert duplicate.data.all(), "a copy that the user keeps is not written to"


def test_an_outdated_refined_mask_goes_away(viewer):
    image = viewer.add_image(np.zeros((30, 40)))
    book = LayerBook(viewer)
    show(book, image, segmentation((30, 40)))
    assert book.member(image, "refined") is not None
    show(book, image, segmentation((30, 40), refined=False))
    assert book.member(image, "refined") is None
    assert book.member(image, "mask") is not None


def test_a_result_without_its_image_is_dropped_with_a_sentence(viewer):
    image = viewer.add_image(np.zeros((30, 40)), name="it")
    book = LayerBook(viewer)
    viewer.layers.remove(image)
    with pytest.raises(InputError, match="'it' was removed"):
        show(book, image, segmentation((30, 40)))
    assert len(viewer.layers) == 0


@pytest.mark.parametrize("shape", [(20, 20), (40, 30)])
def test_a_result_of_an_image_that_was_cropped_or_turned_is_dropped_with_a_sentence(viewer, shape):
    image = viewer.add_image(np.zeros((30, 40)), name="it")
    book = LayerBook(viewer)
    show(book, image, segmentation((30, 40), 0.25))
    image.data = np.zeros(shape)
    with pytest.raises(InputError, match="'it' was removed or changed its shape"):
        show(book, image, segmentation((30, 40), 0.75))
    assert book.member(image, "probability").data.max() == 0.25
    show(book, image, segmentation(shape, 0.75))
    assert book.member(image, "probability").data.shape == shape


def test_two_viewers_do_not_meet(make_viewer):
    viewers = make_viewer(), make_viewer()
    books = [LayerBook(viewer) for viewer in viewers]
    images = [viewer.add_image(np.zeros((30, 40)), name="it") for viewer in viewers]
    books[0].add_brushes(images[0])
    show(books[0], images[0], segmentation((30, 40)))
    assert len(viewers[0].layers) == 6
    assert len(viewers[1].layers) == 1
    assert books[1].member(images[1], "positive") is None


def test_the_selected_image_is_known_by_any_of_its_layers(viewer):
    first, second = (viewer.add_image(np.zeros((30, 40)), name=name) for name in "ab")
    book = LayerBook(viewer)
    book.add_brushes(first)
    viewer.layers.selection.active = second
    assert book.selected_image() is second
    book.paint(first, "negative")
    assert book.selected_image() is first
    viewer.layers.selection.clear()
    assert book.selected_image() is None


def test_changes_of_the_layer_list_are_told(viewer):
    book, heard = LayerBook(viewer), []
    book.changed.connect(lambda: heard.append(1))
    image = viewer.add_image(np.zeros((30, 40)), name="it")
    assert heard
    heard.clear()
    image.name = "renamed"
    assert heard
    heard.clear()
    viewer.layers.remove(image)
    assert heard
