"""Channels: RGB, a first axis, further layers; their names travel with the sample."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari")

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.methods.pu import PuSettings
from napari_pu_segment.core.samples import NEGATIVE, POSITIVE
from napari_pu_segment.gui.session import Session
from napari_pu_segment.gui.viewer.layers import LayerBook
from tests.helpers import dice, disks, strokes


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
    assert not isinstance(sample.image, np.ndarray)
    assert (sample.image.shape, sample.image.dtype) == ((2, 30, 40), one.data.dtype)
    assert np.array_equal(np.asarray(sample.image), np.stack([np.asarray(one.data), np.asarray(two.data)]))


# --- training and prediction with channels

QUICK = PuSettings(n_steps=20, prior="fixed", class_prior=0.2, threads=1, filters=("gaussian",), sigmas_px=(1.0,))


@pytest.fixture
def session(viewer):
    """A session on two layers; objects are seen in the second only."""
    session = Session(LayerBook(viewer))
    session.crf = None
    image, truth = disks()
    viewer.add_image(np.random.default_rng(5).normal(size=truth.shape).astype(np.float32), name="DAPI")
    viewer.add_image(image[0], name="GFP")
    session.choose_image(viewer.layers["DAPI"])
    session.book.put_strokes(session.image, "positive", strokes() == POSITIVE)
    session.book.put_strokes(session.image, "negative", strokes() == NEGATIVE)
    yield session
    session.close()


def wait(qtbot, session):
    qtbot.waitUntil(lambda: session.runner.current is None and not session.showing)


def test_a_model_learns_from_all_channels_and_keeps_their_names(viewer, session, qtbot):
    dapi, gfp = viewer.layers["DAPI"], viewer.layers["GFP"]
    truth = disks()[1]
    session.train("pu", QUICK, warm=False)
    wait(qtbot, session)
    assert session.model.card.channel_names == ()
    poor = dice(session.result.segmentation.mask, truth)
    session.book.set_channels(dapi, [gfp])
    session.train("pu", QUICK, warm=False)
    wait(qtbot, session)
    assert session.model.card.channel_names == ("DAPI", "GFP")
    assert dice(session.result.segmentation.mask, truth) > max(0.8, poor + 0.3)


def test_applying_uses_the_channels_of_the_image_and_a_mismatch_names_both_sides(viewer, session, qtbot):
    dapi, gfp = viewer.layers["DAPI"], viewer.layers["GFP"]
    session.book.set_channels(dapi, [gfp])
    session.train("pu", QUICK, warm=False)
    wait(qtbot, session)
    mask, said = session.result.segmentation.mask, []
    session.said.connect(lambda text, failed: said.append((text, failed)))
    others = [viewer.add_image(layer.data.copy(), name=f"second {layer.name}") for layer in (dapi, gfp)]
    session.apply(others[0])
    wait(qtbot, session)
    text, failed = said[-1]
    assert failed
    assert "'second DAPI' has 1 channel(s), but the model was trained on 2 (DAPI, GFP)" in text
    session.book.set_channels(others[0], [others[1]])
    session.apply(others[0])
    wait(qtbot, session)
    assert not said[-1][1]
    assert session.result.layer is others[0]
    assert np.array_equal(session.result.segmentation.mask, mask)
    third = viewer.add_image(dapi.data.copy(), name="third")
    session.book.set_channels(others[0], [others[1], third])
    session.apply(others[0])
    wait(qtbot, session)
    assert "has 3 channel(s) (second DAPI, second GFP, third)" in said[-1][0]


def test_a_channel_that_is_removed_renamed_or_moved_while_training_breaks_nothing(viewer, session, qtbot):
    dapi, gfp = viewer.layers["DAPI"], viewer.layers["GFP"]
    session.book.set_channels(dapi, [gfp])
    session.train("pu", QUICK, warm=False)
    assert session.runner.current is not None
    viewer.layers.move(viewer.layers.index(dapi), len(viewer.layers))
    dapi.name = "nuclei"
    viewer.layers.remove(gfp)
    wait(qtbot, session)
    assert session.model.card.channel_names == ("DAPI", "GFP"), "as they were when it began"
    assert session.book.member(dapi, "mask") is not None
    assert session.book.snapshot(dapi).sample().channel_names == ()
    with pytest.raises(InputError, match="trained on 2"):
        session.model.check_image(session.book.snapshot(dapi).sample().image.shape)


def test_channels_of_two_viewers_do_not_meet(make_viewer):
    books, images = [], []
    for viewer in (make_viewer(), make_viewer()):
        books.append(LayerBook(viewer))
        images.append([viewer.add_image(noise(30, 40), name=name) for name in "ab"])
    books[0].set_channels(images[0][0], [images[0][1]])
    assert books[0].snapshot(images[0][0]).sample().image.shape == (2, 30, 40)
    assert books[1].snapshot(images[1][0]).sample().image.shape == (1, 30, 40)
    books[0].set_channels(images[0][0], [images[1][1]])
    assert books[0].snapshot(images[0][0]).sample().image.shape == (1, 30, 40), (
        "what is not in the viewer is no channel"
    )
