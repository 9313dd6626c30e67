from __future__ import annotations

import numpy as np
import pytest

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.samples import (
    IGNORE,
    NEGATIVE,
    POSITIVE,
    UNLABELED,
    Sample,
    codes_from_masks,
    spatial_ndim,
    to_channels_first,
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
    ],
)
def test_axes(axes, shape, expected):
    assert to_channels_first(np.zeros(shape), axes).shape == expected


@pytest.mark.parametrize(
    ("axes", "shape", "words"),
    [
        ("TZYX", (2, 3, 4, 5), "planes and time"),
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
    assert (spatial_ndim([plane]), spatial_ndim([stack])) == (2, 3)
    for samples, words in (([], "no image"), ([plane, stack], "mixed"), ([plane, rgb], "number of channels")):
        with pytest.raises(InputError, match=words):
            spatial_ndim(samples)
