"""From masks to objects: figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.objects import ObjectSettings, find_objects
from napari_pu_segment.core.progress import run

ALL = ObjectSettings(min_size_px=1)


def find(mask, settings=ALL, **more):
    return run(find_objects(mask, settings, **more))


def sizes(labels):
    return np.bincount(labels.ravel())[1:].tolist()


def disc(shape, centre, radius):
    grid = np.indices(shape)
    return sum((axis - c) ** 2 for axis, c in zip(grid, centre, strict=True)) <= radius**2


@pytest.fixture
def two_discs():
    """Radius 10, 16 apart: where they meet, the waist is 6 wide on both sides of the middle, so 4 px deep."""
    return disc((40, 60), (20, 20), 10) | disc((40, 60), (20, 36), 10)


def test_objects_are_numbered_as_one_reads():
    mask = np.zeros((8, 10), np.uint8)
    mask[5:7, 0:2] = 1  # third: begins in row 5
    mask[1:4, 6:8] = 255  # second: row 1, column 6
    mask[1:3, 2:4] = 1  # first: row 1, column 2
    labels = find(mask)
    assert labels.dtype == np.int32
    assert (labels[1, 2], labels[1, 6], labels[5, 0]) == (1, 2, 3)
    assert sizes(labels) == [4, 6, 4]
    assert np.array_equal(labels > 0, mask > 0)


def test_corners_join_objects_or_not():
    mask = np.eye(4)
    assert find(mask).max() == 1
    assert find(mask, ALL.changed({"diagonal": False})).max() == 4


def test_touching_discs_are_split_at_their_neck(two_discs):
    assert find(two_discs).max() == 1
    split = find(two_discs, ALL.changed({"splitter": "distance"}))
    assert split.max() == 2
    assert np.array_equal(split > 0, two_discs)
    assert (split[20, 20], split[20, 36]) == (1, 2)
    left, right = sizes(split)
    assert abs(left - right) <= 13, "they are alike, but for the column in the middle"
    assert find(two_discs, ALL.changed({"splitter": "distance", "neck_px": 5})).max() == 1, "the neck is 4 px deep"


def test_touching_discs_are_split_where_the_probability_dips(two_discs):
    probability = np.where(two_discs, 0.9, 0.1).astype(np.float32)
    probability[:, 28] = 0.7
    by = ALL.changed({"splitter": "probability"})
    with pytest.raises(InputError, match="no probability"):
        find(two_discs, by)
    split = find(two_discs, by, probability=probability)
    assert split.max() == 2
    assert (split[20, 20], split[20, 36]) == (1, 2)
    assert find(two_discs, by.changed({"dip_fraction": 0.3}), probability=probability).max() == 1, "the dip is 0.2"


def test_a_speck_lower_than_the_neck_is_kept_by_the_watershed():
    mask = disc((30, 30), (12, 12), 8)
    mask[28, 28] = True
    assert sizes(find(mask, ALL.changed({"splitter": "distance", "neck_px": 3})))[1:] == [1]


def test_sizes_keep_what_lies_between_them():
    mask = np.zeros((10, 20), bool)
    for i, size in enumerate((1, 2, 3, 4)):
        mask[5, 5 * i : 5 * i + size] = True
    assert sizes(find(mask)) == [1, 2, 3, 4]
    assert sizes(find(mask, ALL.changed({"min_size_px": 2}))) == [2, 3, 4]
    assert sizes(find(mask, ALL.changed({"min_size_px": 2, "max_size_px": 3}))) == [2, 3]
    assert find(mask, ObjectSettings()).max() == 0, "by default fewer than 10 px are no object"


def test_holes_are_filled_up_to_a_size_but_not_bays_or_ignored_ones():
    mask = np.ones((12, 30), bool)
    mask[3, 3] = False  # 1 px
    mask[3:5, 8:10] = False  # 4 px
    mask[0:2, 15] = False  # 2 px, open to the border
    mask[6, 20:22] = False  # 2 px, of which one is ignored
    ignored = np.zeros_like(mask)
    ignored[6, 20] = True
    whole = 12 * 30
    assert sizes(find(mask, ignored=ignored)) == [whole - 9]
    assert sizes(find(mask, ALL.changed({"max_hole_px": 1}), ignored=ignored)) == [whole - 8]
    filled = find(mask, ALL.changed({"max_hole_px": 4}), ignored=ignored)
    assert sizes(filled) == [whole - 4]
    assert filled[3, 3] == 1
    assert filled[0, 15] == filled[6, 20] == filled[6, 21] == 0


def test_objects_at_the_border_and_at_the_ignored_region_are_left_out():
    mask = np.zeros((20, 20), bool)
    mask[0:3, 5:8] = mask[8:11, 8:11] = mask[15:18, 2:5] = True
    ignored = np.zeros_like(mask)
    ignored[18:, :] = True
    assert sizes(find(mask, ignored=ignored)) == [9, 9, 9]
    kept = find(mask, ALL.changed({"clear_border": True}), ignored=ignored)
    assert sizes(kept) == [9]
    assert kept[9, 9] == 1


def test_no_object_has_an_ignored_pixel():
    mask = np.ones((6, 9), bool)
    ignored = np.zeros_like(mask)
    ignored[:, 4] = True
    assert sizes(find(mask, ignored=ignored)) == [24, 24]


def test_planes_stand_alone_or_make_one_volume():
    mask = np.zeros((3, 10, 10), bool)
    mask[:, 2:5, 2:5] = True
    mask[1, 7:9, 7:9] = True
    apart = find(mask)
    assert sizes(apart) == [9, 9, 4, 9]
    assert [int(plane.max()) for plane in apart] == [1, 3, 4]
    assert sizes(find(mask, ALL.changed({"planewise": False}))) == [27, 4]
    for plane in range(3):
        alone = find(mask[plane])
        assert np.array_equal(apart[plane] > 0, alone > 0)
        assert apart[plane].max() - apart[:plane].max(initial=0) == alone.max()


def test_volumes_are_split_by_distances_in_space():
    """Two balls one upon the other are 6 thick and 3.3 at their neck; flat ones, with near planes, have none."""
    mask = disc((31, 25, 25), (10, 12, 12), 6) | disc((31, 25, 25), (20, 12, 12), 6)
    by = ALL.changed({"splitter": "distance", "planewise": False, "neck_px": 2})
    assert find(mask, by.changed({"splitter": "connected"})).max() == 1
    assert find(mask, by, pixel_size=(1, 1, 1)).max() == 2
    assert find(mask, by, pixel_size=(0.2, 1, 1)).max() == 1


@pytest.mark.parametrize("splitter", ["connected", "distance", "probability"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 5), (1, 6, 4), (3, 6, 4)])
def test_empty_and_full_masks(splitter, shape):
    by = ALL.changed({"splitter": splitter, "planewise": False, "max_hole_px": 3})
    probability = np.full(shape, 0.5, np.float32)
    assert find(np.zeros(shape), by, probability=probability).max() == 0
    assert sizes(find(np.ones(shape), by, probability=probability)) == [np.prod(shape)]
    assert find(np.full(shape, np.nan), by, probability=probability).max() == 0


def test_what_does_not_fit_is_refused_by_name():
    with pytest.raises(InputError, match=r"mask has shape \(4,\)"):
        find(np.ones(4))
    with pytest.raises(InputError, match="probability measures"):
        find(np.ones((4, 4)), probability=np.ones((4, 5)))
    with pytest.raises(InputError, match="ignored region measures"):
        find(np.ones((4, 4)), ignored=np.ones((5, 4)))
    with pytest.raises(InputError, match="choose one of: connected, distance, probability"):
        ObjectSettings(splitter="magic")


def test_a_quarter_of_a_million_specks():
    mask = np.zeros((1000, 1000), bool)
    mask[::2, ::2] = True
    assert find(mask).max() == 250_000
