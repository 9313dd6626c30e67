"""Channels: RGB, a first axis, further layers; their names travel with the sample."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari")

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.samples import POSITIVE
from napari_pu_segment.gui.layers import LayerBook


@pytest.fixture
def viewer(make_viewer):
    return make_viewer()


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8)


def test_several_layers_become_one_sample_in_their_order(viewer):
    dapi, gfp, red = (viewer.add_image(noise(30, 40, seed=i), name=n) for i, n in enumerate(("DAPI", "GFP", "RFP")))
    book = LayerBook(viewer)
    assert book.snapshot(dapi).sample().image.shape == (1, 30, 40)
    assert book.snapshot(dapi).sample().channel_names == ()
    book.set_channels(dapi, [red, gfp])
    sample = book.snapshot(dapi).sample()
    assert sample.channel_names == ("DAPI", "RFP", "GFP")
    assert np.array_equal(sample.image, np.stack([dapi.data, red.data, gfp.data]))
    assert book.snapshot(gfp).sample().image.shape == (1, 30, 40), "of this image nothing was chosen"
    gfp.name = "green"
    viewer.layers.move(0, 3)
    assert book.snapshot(dapi).sample().channel_names == ("DAPI", "RFP", "green")
    viewer.layers.remove(red)
    assert book.snapshot(dapi).sample().channel_names == ("DAPI", "green")
    book.set_channels(dapi, [])
    assert book.snapshot(dapi).sample().channel_names == ()


def test_rgb_has_names_and_may_have_a_further_channel(viewer):
    rgb = viewer.add_image(noise(30, 40, 4), rgb=True, name="photo")
    more = viewer.add_image(np.ones((30, 40), np.float32), name="depth")
    book = LayerBook(viewer)
    assert book.snapshot(rgb).sample().channel_names == ("red", "green", "blue")
    book.set_channels(rgb, [more])
    sample = book.snapshot(rgb).sample()
    assert sample.channel_names == ("red", "green", "blue", "depth")
    assert np.array_equal(sample.image[:3], np.moveaxis(rgb.data[..., :3], -1, 0))
    assert (sample.image[3] == 1).all()


@pytest.mark.parametrize("shape", [(3, 30, 40), (3, 5, 30, 40)])
def test_a_first_axis_of_channels(viewer, shape):
    image = viewer.add_image(noise(*shape), name="it", scale=(1, *[2] * (len(shape) - 1)))
    image.affine = np.diag([1, *range(3, 3 + len(shape))])
    book = LayerBook(viewer)
    book.set_channel_axis(image, 0)
    book.add_brushes(image)
    layer = book.member(image, "positive")
    assert layer.data.shape == shape[1:]
    assert tuple(layer.scale) == (2,) * (len(shape) - 1)
    book.stamp(image, "positive", (2, 10, 20)[-len(shape) + 1 :], 1)
    sample = book.snapshot(image).sample()
    assert np.array_equal(sample.image, image.data)
    assert sample.channel_names == ("channel 0", "channel 1", "channel 2")
    assert sample.count(POSITIVE) == 5
    book.show(image, "mask", sample.labels)
    mask = book.member(image, "mask")
    for point in np.random.default_rng(0).uniform(0, 30, (4, len(shape) - 1)):
        assert np.allclose(mask.data_to_world(point), image.data_to_world((0, *point))[1:])
    if len(shape) == 3:
        book.set_channel_axis(image, None)
        with pytest.raises(InputError, match="it · positive"):
            book.snapshot(image)


def test_an_axis_that_is_named_so_holds_channels_unless_the_user_says_otherwise(viewer):
    image = viewer.add_image(noise(3, 30, 40), axis_labels=("Channel", "y", "x"), shear=[0, 0, 0.3])
    book = LayerBook(viewer)
    assert book.snapshot(image).sample().image.shape == (3, 30, 40)
    book.add_brushes(image)
    layer = book.member(image, "positive")
    assert layer.axis_labels == ("y", "x")
    assert np.allclose(layer.data_to_world((3, 5)), image.data_to_world((0, 3, 5))[1:])
    viewer.layers.remove(layer)
    viewer.layers.remove(book.member(image, "negative"))
    book.set_channel_axis(image, None)
    assert book.snapshot(image).sample().image.shape == (1, 3, 30, 40)


def test_what_does_not_fit_is_refused_by_name(viewer):
    image = viewer.add_image(noise(30, 40), name="it")
    small = viewer.add_image(noise(3, 4), name="small")
    colour = viewer.add_image(noise(30, 40, 3), rgb=True, name="colour")
    book = LayerBook(viewer)
    for layer in (small, colour, image):
        with pytest.raises(InputError, match=repr(layer.name)):
            book.set_channels(image, [layer])
    for layer, axis in ((image, 0), (colour, 0), (image, 1)):
        with pytest.raises(InputError, match="no first axis"):
            book.set_channel_axis(layer, axis)
    fitting = viewer.add_image(noise(30, 40), name="fitting")
    book.set_channels(image, [fitting])
    fitting.data = noise(20, 40)
    with pytest.raises(InputError, match="'fitting' measures"):
        book.snapshot(image)


def test_a_choice_is_told(viewer):
    image, other = (viewer.add_image(noise(30, 40)) for _ in range(2))
    stack = viewer.add_image(noise(3, 30, 40))
    book, heard = LayerBook(viewer), []
    book.changed.connect(lambda: heard.append(1))
    book.set_channels(image, [other])
    assert len(heard) == 1
    book.set_channel_axis(stack, 0)
    assert len(heard) == 2


def test_lazy_layers_stay_lazy(viewer):
    dask = pytest.importorskip("dask.array")
    one, two = (viewer.add_image(dask.from_array(noise(30, 40, seed=i), chunks=10)) for i in range(2))
    book = LayerBook(viewer)
    book.set_channels(one, [two])
    sample = book.snapshot(one).sample()
    assert isinstance(sample.image, dask.Array)
    assert np.array_equal(np.asarray(sample.image), np.stack([np.asarray(one.data), np.asarray(two.data)]))
