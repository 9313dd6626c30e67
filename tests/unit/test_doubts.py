"""A model on an image of another kind is doubted in one sentence; on an image of the same kind it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_pu_segment import train
from napari_pu_segment.core.images.doubts import doubts, training_doubts
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import Sample
from tests.helpers import disk_sample, strokes

QUICK = METHODS["pu"].settings(n_steps=3, prior="fixed", class_prior=0.1, threads=1)


def sample_of(image, **facts):
    return Sample(image, strokes(image.shape[1:]), **facts)


@pytest.fixture(scope="module")
def eight_bit():
    """A model of an 8-bit image of two channels with names and a pixel size, and that image as a sample."""
    image = np.clip(disk_sample(n_channels=2)[0].image, 0, 255).astype(np.uint8)
    sample = sample_of(image, name="it", channel_names=("DAPI", "GFP"), pixel_size=(0.5, 0.5), pixel_unit="µm")
    return train([sample], QUICK).card, sample


def test_channels_without_contrast_teach_nothing():
    image = np.random.default_rng(0).normal(size=(2, 32, 32)).astype(np.float32)
    assert run(training_doubts([Sample(image, name="fine")])) == ()
    image[1] = 3
    image[1, 0, 0] = np.nan
    (told,) = run(training_doubts([Sample(image, name="half", channel_names=("DAPI", "GFP"))]))
    assert "'half' has no contrast in channel 'GFP'" in told
    image[0] = 5
    (told,) = run(training_doubts([Sample(image, name="flat")]))
    assert "'flat' has no contrast: all" in told


def test_the_same_kind_of_image_is_not_doubted(eight_bit):
    card, sample = eight_bit
    assert run(doubts(card, sample)) == ()
    other = np.clip(disk_sample(n_channels=2, seed=5)[0].image, 0, 255).astype(np.uint8)
    assert run(doubts(card, replace(sample, image=other))) == ()
    brighter = (sample.image * 1.5).astype(np.float32)
    assert run(doubts(card, replace(sample, image=brighter))) == ()
    assert run(doubts(card, Sample(sample.image))) == (), "what is not known cannot be doubted"


def test_an_empty_image_of_the_same_camera_is_not_doubted(eight_bit):
    card, sample = eight_bit
    empty = np.random.default_rng(3).normal(50, 15, sample.image.shape).astype(np.float32)
    assert run(doubts(card, replace(sample, image=empty))) == ()


@pytest.mark.parametrize(
    "change", [lambda x: x * 257.0 + 2000, lambda x: x / 255.0, lambda x: x * 40.0, lambda x: x - 900.0]
)
def test_another_bit_depth_is_named(eight_bit, change):
    card, sample = eight_bit
    (sentence,) = run(doubts(card, replace(sample, image=change(sample.image.astype(np.float32)))))
    assert sentence.startswith("The intensities of 'it' in channel 'DAPI' (")
    assert sentence.endswith("bring the image to the same scale, or train on it.")
    assert "\n" not in sentence


def test_sixteen_bit_model_on_an_eight_bit_image(eight_bit):
    _, sample = eight_bit
    deep = replace(sample, image=(sample.image.astype(np.uint16) * 250 + 300))
    card = train([deep], QUICK).card
    assert run(doubts(card, deep)) == ()
    assert len(run(doubts(card, sample))) == 1


def test_one_channel_that_differs_is_enough_and_named(eight_bit):
    card, sample = eight_bit
    image = sample.image.astype(np.float32)
    image[1] *= 100
    (sentence,) = run(doubts(card, replace(sample, image=image)))
    assert "in channel 'GFP'" in sentence


def test_other_channels_are_named(eight_bit):
    card, sample = eight_bit
    assert run(doubts(card, replace(sample, channel_names=("dapi ", "gfp")))) == ()
    (swapped,) = run(doubts(card, replace(sample, channel_names=("GFP", "DAPI"))))
    assert "(GFP, DAPI) are in another order than those that the model was trained on (DAPI, GFP)" in swapped
    (other,) = run(doubts(card, replace(sample, channel_names=("DAPI", "Cy5"))))
    assert "have other names" in other


def test_another_pixel_size_is_named_whatever_its_unit(eight_bit):
    card, sample = eight_bit
    assert run(doubts(card, replace(sample, pixel_size=(550.0, 550.0), pixel_unit="nm"))) == ()
    (coarse,) = run(doubts(card, replace(sample, pixel_size=(2.0, 2.0))))
    assert "measures 2 µm" in coarse
    assert "0.5 µm" in coarse
    assert "4 times smaller" in coarse
    (fine,) = run(doubts(card, replace(sample, pixel_size=(50.0, 50.0), pixel_unit="nm")))
    assert "10 times larger" in fine
    assert run(doubts(card, replace(sample, pixel_size=(2.0, 2.0), pixel_unit="arcsec"))) == ()


def test_images_without_a_finite_value_or_with_other_channels_are_survived(eight_bit):
    card, sample = eight_bit
    nothing = np.full(sample.image.shape, np.nan, np.float32)
    assert len(run(doubts(card, replace(sample, image=nothing)))) <= 1
    assert run(doubts(card, Sample(sample.image[:1]))) == (), "that is refused elsewhere"
