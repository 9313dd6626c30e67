"""Outlines of masks: as napari draws them, only sooner."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

pytest.importorskip("napari")

from napari.layers import Labels
from napari.layers.labels._labels_utils import get_contours

from napari_pu_segment.gui.viewer.contours import contours, outline


def test_rims_by_hand():
    labels = np.zeros((7, 8), np.uint8)
    labels[1:6, 1:6] = 1
    assert contours(labels, 1)[3].tolist() == [0, 1, 0, 0, 0, 1, 0, 0]
    assert contours(labels, 2)[3].tolist() == [0, 1, 1, 0, 1, 1, 0, 0]
    assert np.array_equal(contours(labels, 3), labels), "nothing is farther in"
    labels[1:6, 4:6] = 5
    assert contours(labels, 1)[3].tolist() == [0, 1, 0, 1, 5, 5, 0, 0], "two areas that touch have a rim each"


def test_no_rim_at_the_border_of_the_array():
    assert not contours(np.ones((4, 4), np.uint8), 3).any()


@pytest.mark.parametrize("thickness_px", [1, 2, 5])
def test_masks_have_the_outlines_of_napari(thickness_px):
    mask = (np.random.default_rng(0).random((12, 13)) > 0.5).repeat(9, 0).repeat(7, 1).astype(np.uint8)
    found = contours(mask, thickness_px)
    assert 0 < np.count_nonzero(found) < np.count_nonzero(mask)
    assert np.array_equal(found, get_contours(mask, thickness_px, 0))


def test_a_layer_draws_them_and_follows_changes(make_viewer):
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 10:30] = 1
    viewer, layer = make_viewer(), Labels(mask)
    viewer.add_layer(layer)
    assert np.count_nonzero(layer._slice.image.view) == 400
    outline(layer, 1)
    assert np.count_nonzero(layer._slice.image.view) == 400 - 18**2
    layer.contour = 2  # by the user, in the controls of the layer
    assert np.count_nonzero(layer._slice.image.view) == 400 - 16**2
    layer.data_setitem((np.array([20]), np.array([20])), 0)  # only a part of the plane is drawn again
    assert np.count_nonzero(layer._slice.image.view) == 400 - 16**2 + 12
    layer.contour = 0
    assert np.count_nonzero(layer._slice.image.view) == 399
    assert np.array_equal(layer.data, mask), "what is drawn is not what is held"


def test_a_layer_is_let_go():
    layer = Labels(np.zeros((5, 5), np.uint8))
    outline(layer, 1)
    gone = weakref.ref(layer)
    del layer
    gc.collect()
    assert gone() is None
