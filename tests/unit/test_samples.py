from __future__ import annotations

import numpy as np
import pytest

from napari_pu_segment.core.axes import canonical_axes, to_channels_first
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.samples import (
    IGNORE,
    NEGATIVE,
    POSITIVE,
    UNLABELED,
    Sample,
    codes_from_masks,
    common_axes,
)


def test_codes_from_masks():
    positive = np.array([[1, 0, 7, 0]])
    negative = np.array([[0, 1, 1, 0]])
    ignore = np.array([[0, 0, 0, 1]])
    assert codes_from_masks(positive, negative).tolist() == [[POSITIVE, NEGATIVE, IGNORE, UNLABELED]]
    assert codes_from_masks(positive, negative, ignore).tolist() == [[POSITIVE, NEGATIVE, IGNORE, IGNORE]]
    with pytest.raises(InputError, match="at least one stroke"):
        codes_from_masks(None)
    with pytest.raises(InputError, match="differ in shape"):
        codes_from_masks(positive, negative.T)


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [
        ("YX", (5, 6), (1, 5, 6)),
        ("YXS", (5, 6, 3), (3, 5, 6)),
        ("YXS", (5, 6, 4), (3, 5, 6)),  # alpha is dropped
        ("YXS", (5, 6, 2), (1, 5, 6)),
        ("ZYX", (4, 5, 6), (1, 4, 5, 6)),
        ("TYX", (4, 5, 6), (1, 4, 5, 6)),
        ("CYX", (2, 5, 6), (2, 5, 6)),
        ("ZCYX", (4, 2, 5, 6), (2, 4, 5, 6)),
        ("TZCYX", (1, 4, 2, 5, 6), (2, 4, 5, 6)),
        ("TCYXS", (1, 1, 5, 6, 3), (3, 5, 6)),
        ("yx", (1, 1), (1, 1, 1)),
        ("TZYX", (2, 4, 5, 6), (1, 2, 4, 5, 6)),
        ("ZTYXS", (4, 2, 5, 6, 4), (3, 2, 4, 5, 6)),
        ("CTZXY", (3, 1, 4, 6, 5), (3, 4, 5, 6)),
    ],
)
def test_axes(axes, shape, expected):
    assert to_channels_first(np.zeros(shape), axes).shape == expected
    assert len(canonical_axes(axes, shape)) == len(expected)


def test_time_is_told_from_planes():
    image = np.random.default_rng(0).random((4, 2, 5, 6, 3))  # ZTYXC
    moved = to_channels_first(image, "ZTYXC")
    assert np.array_equal(moved[1, 0, 2], image[2, 0, :, :, 1])
    assert canonical_axes("ZTYXC", image.shape) == "CTZYX"
    assert canonical_axes("TYX", (4, 5, 6)) == "CTYX"
    assert canonical_axes("ZYX", (4, 5, 6)) == "CZYX"
    assert canonical_axes("TZYX", (1, 4, 5, 6)) == "CZYX"
    assert canonical_axes("YXS", (4, 5, 4)) == "CYX"
    assert Sample(np.zeros((1, 2, 4, 4))).axes == "CZYX"
    assert Sample(np.zeros((1, 2, 4, 4)), axes="CTYX").axes == "CTYX"
    assert Sample(np.zeros((1, 2, 3, 4, 4))).axes == "CTZYX"


def test_distance_of_planes():
    stack = np.zeros((1, 3, 4, 4))
    assert Sample(stack, pixel_size=(45, 4.6, 4.6)).plane_px == pytest.approx(45 / 4.6)
    assert Sample(stack).plane_px == 0
    assert Sample(stack, pixel_size=(4.6, 4.6)).plane_px == 0
    assert Sample(stack, pixel_size=(45, 4.6, 4.6), axes="CTYX").plane_px == 0
    assert Sample(stack[:, None], pixel_size=(7, 3, 2, 2)).plane_px == 1.5


@pytest.mark.parametrize(
    ("axes", "shape", "words"),
    [
        ("CYXS", (2, 3, 4, 3), "both a channel axis"),
        ("ZCX", (2, 3, 4), "rows and columns"),
        ("YX", (2, 3, 4), "do not describe"),
        ("YQ", (2, 3), "do not describe"),
    ],
)
def test_axes_that_cannot_be(axes, shape, words):
    with pytest.raises(InputError, match=words):
        to_channels_first(np.zeros(shape), axes)


@pytest.mark.parametrize(
    ("image", "labels", "words"),
    [
        (np.zeros((4, 4)), None, "needs axes"),
        (np.zeros((1, 2, 2, 2, 4, 4)), None, "needs axes"),
        (np.zeros((1, 0, 4)), None, "is empty"),
        (np.zeros((1, 4, 4), complex), None, "only real numbers"),
        (np.zeros((1, 4, 4)), np.zeros((4, 5), np.uint8), "strokes"),
        (np.zeros((1, 4, 4)), np.full((4, 4), 4), "label values"),
        (np.zeros((1, 4, 4)), np.full((4, 4), -1), "label values"),
        (np.zeros((1, 4, 4)), np.zeros((4, 4)), "label values"),
    ],
)
def test_bad_samples(image, labels, words):
    with pytest.raises(InputError, match=words):
        Sample(image, labels)


def test_mixed_samples():
    plane, stack, rgb = Sample(np.zeros((1, 4, 4))), Sample(np.zeros((1, 2, 4, 4))), Sample(np.zeros((3, 4, 4)))
    series = Sample(np.zeros((1, 2, 4, 4)), axes="CTYX")
    assert [common_axes([sample]) for sample in (plane, stack, series)] == ["CYX", "CZYX", "CTYX"]
    mixed = ([plane, stack], "mixed"), ([stack, series], "mixed"), ([plane, rgb], "number of channels")
    for samples, words in (([], "no image"), *mixed):
        with pytest.raises(InputError, match=words):
            common_axes(samples)


@pytest.mark.parametrize(("shape", "axes"), [((1, 4, 4), "CZYX"), ((1, 2, 4, 4), "CYX"), ((1, 2, 4, 4), "ZCYX")])
def test_axes_that_a_sample_cannot_have(shape, axes):
    with pytest.raises(InputError, match="needs axes"):
        Sample(np.zeros(shape), axes=axes)
