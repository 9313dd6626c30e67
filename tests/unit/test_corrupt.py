"""Simulated errors of annotation."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pu_segment.core.corrupt import CORRUPTIONS, CorruptSettings, corrupt
from napari_pu_segment.core.errors import InputError


def two_squares() -> np.ndarray:
    mask = np.zeros((60, 70), bool)
    mask[10:30, 10:30] = mask[35:51, 40:56] = True
    return mask


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_the_same_seed_makes_the_same_errors_and_the_input_stays(kind: str) -> None:
    mask, settings = two_squares(), CorruptSettings(kind=kind, seed=3)
    before = mask.copy()
    first, second = corrupt(mask, settings), corrupt(mask, settings)
    assert first.dtype == bool
    assert first.shape == mask.shape
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(mask, before)


def test_a_triangle_lies_in_its_object_and_a_polygon_of_many_vertices_is_it() -> None:
    mask = two_squares()
    triangles = corrupt(mask, CorruptSettings(vertices=3))
    assert 0 < triangles.sum() < 0.7 * mask.sum()
    assert not (triangles & ~mask).any()
    fine = corrupt(mask, CorruptSettings(vertices=1000))
    assert (fine != mask).sum() < 0.05 * mask.sum()


def test_a_box_fills_an_l_shape() -> None:
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:8] = mask[12:15, 5:15] = True
    box = corrupt(mask, CorruptSettings(kind="box"))
    assert mask.sum() == 51
    assert box.sum() == 100
    assert box[5:15, 5:15].all()


def test_dilation_and_erosion_move_the_outline_by_the_amount() -> None:
    mask = two_squares()
    wide = corrupt(mask, CorruptSettings(kind="dilate", amount_px=2))
    thin = corrupt(mask, CorruptSettings(kind="erode", amount_px=2))
    assert wide[20, 8]
    assert not wide[20, 7]
    assert not mask[20, 8]
    assert thin[20, 12]
    assert not thin[20, 11]
    assert mask[20, 11]


def test_an_object_at_the_edge_may_grow_and_shift_beyond_it() -> None:
    mask = np.zeros((10, 10), bool)
    mask[:3, :3] = True
    for kind in ("dilate", "shift"):
        assert corrupt(mask, CorruptSettings(kind=kind, amount_px=4)).shape == (10, 10)
    assert corrupt(mask, CorruptSettings(kind="dilate", amount_px=2)).sum() > 9


def test_a_shift_keeps_the_size() -> None:
    mask = two_squares()
    moved = corrupt(mask, CorruptSettings(kind="shift", amount_px=3, seed=1))
    assert moved.sum() == mask.sum()
    assert (moved != mask).any()


def test_all_or_none_of_the_objects_are_missing() -> None:
    mask = two_squares()
    assert not corrupt(mask, CorruptSettings(kind="missing", fraction=1)).any()
    np.testing.assert_array_equal(corrupt(mask, CorruptSettings(kind="missing", fraction=0)), mask)


def test_merged_objects_are_one() -> None:
    from skimage.measure import label

    mask = two_squares()
    merged = corrupt(mask, CorruptSettings(kind="merged", fraction=1))
    assert label(mask).max() == 2
    assert label(merged).max() == 1
    assert merged[mask].all()


def test_touching_instances_are_each_an_object() -> None:
    labels = np.zeros((30, 30), np.uint16)
    labels[5:25, 5:15], labels[5:25, 15:25] = 1, 2
    both = corrupt(labels, CorruptSettings(kind="erode", amount_px=1))
    one = corrupt(labels != 0, CorruptSettings(kind="erode", amount_px=1))
    assert one[15, 14]
    assert one[15, 15]
    assert not both[15, 14]
    assert not both[15, 15]


def test_planes_are_each_on_their_own() -> None:
    stack = np.stack([two_squares(), np.zeros((60, 70), bool)])
    out = corrupt(stack, CorruptSettings(kind="box"))
    assert out[0].any()
    assert not out[1].any()


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.float32), np.zeros(4, bool), np.zeros((0, 4), bool)])
def test_what_is_no_mask_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(InputError, match="rows and columns"):
        corrupt(bad)


def test_the_noise_of_the_paper_is_about_as_bad_as_it_reports() -> None:
    """Triangles in discs keep between a fifth and two fifths of the area: 3 sqrt(3) / (4 pi) = .41 where regular."""
    y, x = np.indices((100, 100))
    disc = (y - 50) ** 2 + (x - 50) ** 2 < 40**2
    kept = [corrupt(disc, CorruptSettings(seed=seed)).sum() / disc.sum() for seed in range(5)]
    assert np.mean(kept) == pytest.approx(0.41, abs=0.03)
