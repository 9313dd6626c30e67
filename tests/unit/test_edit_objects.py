"""Splitting and merging objects by a stroke: worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.objects.edit_objects import merge, split
from napari_pu_segment.core.progress import run


def picture(text, dtype=np.uint16) -> np.ndarray:
    return np.array([[int(letter) for letter in line.replace(".", "0")] for line in text.split()], dtype)


def applied(labels, edit) -> list:
    new = labels.copy()
    assert (new[edit.places] == edit.before).all()
    assert not (edit.before == edit.after).any()
    new[edit.places] = edit.after
    return new.tolist()


def column(x, height) -> np.ndarray:
    """A stroke two pixels wide, left of x and at x: the cut lies between them, whoever gets a pixel in the middle."""
    return np.array([(y, one) for y in range(height) for one in (x - 1, x)])


def test_a_stroke_across_cuts_in_two():
    labels = picture("........ .1111111 .1111111 .1111111 ......5.")
    edit = run(split(labels, column(4, 5)))
    assert applied(labels, edit) == picture("........ .6667777 .6667777 .6667777 ......5.").tolist()
    assert (edit.old, edit.new) == ((1,), (6, 7))
    assert edit.after.dtype == labels.dtype
    assert labels.max() == 5, "the labels that were given stay"


def test_a_wide_stroke_is_shared_between_both_sides():
    labels = picture("1111111111")
    stroke = np.array([(0, x) for x in (2, 3, 4, 5)])
    assert applied(labels, run(split(labels, stroke))) == picture("2222333333").tolist()


@pytest.mark.parametrize("flip", [False, True])
def test_nothing_slips_through_a_slanting_stroke(flip):
    labels = np.ones((5, 5), np.uint16)
    stroke = np.array([(i, 4 - i if flip else i) for i in range(5)])
    edit = run(split(labels, stroke))
    after = np.array(applied(labels, edit))
    assert set(after.ravel()) == {2, 3}
    corners = [after[0, 4], after[4, 0]] if not flip else [after[0, 0], after[4, 4]]
    assert sorted(corners) == [2, 3]
    assert np.bincount(after.ravel())[2:].min() >= 6, "each side of the diagonal of 5 x 5 has 10 px, less its corners"


def test_lobes_that_touch_at_a_corner_are_one_until_they_are_cut_there():
    labels = picture("11.. 11.. ..11 ..11")
    with pytest.raises(InputError, match="parts no object"):
        run(split(labels, np.array([(0, 0), (0, 1)]), min_size_px=7))
    edit = run(split(labels, np.array([(1, 2), (1, 1)])))
    assert applied(labels, edit) == picture("22.. 22.. ..33 ..33").tolist()


def test_a_stroke_that_ends_inside_cuts_nothing():
    labels = np.ones((4, 6), np.uint8)
    with pytest.raises(InputError, match="from outside to outside"):
        run(split(labels, column(3, 3)))
    with pytest.raises(InputError, match="parts no object"):
        run(split(np.zeros((4, 6), np.uint8), column(3, 4)))


def test_parts_below_the_least_size_are_none():
    labels = picture("1111111 1111111")
    assert run(split(labels, column(3, 2), min_size_px=4)).new == (2, 3)
    with pytest.raises(InputError, match="at least 5 px"):
        run(split(labels, column(3, 2), min_size_px=5))
    bar = picture("11111111111")
    both = np.array([(0, x) for x in (1, 2, 6, 7)])
    edit = run(split(bar, both, min_size_px=2))
    assert applied(bar, edit) == picture("22222223333").tolist(), "the one pixel in front goes with its neighbours"


def test_a_stroke_may_cut_several_objects_and_one_into_three():
    labels = picture("111.222 111.222 111.222 111.222")
    edit = run(split(labels, np.array([(y, x) for y in (1, 2) for x in range(7)])))
    assert applied(labels, edit) == picture("333.555 333.555 444.666 444.666").tolist()
    assert (edit.old, edit.new) == ((1, 2), (3, 4, 5, 6))
    comb = picture("1111 1... 1111 1... 1111")
    edit = run(split(comb, np.array([(1, 0), (2, 0), (3, 0)])))
    assert len(edit.new) == 3
    assert [row[3] for row in applied(comb, edit)] == [2, 0, 3, 0, 4]


def test_pieces_apart_keep_their_label():
    labels = picture("11111.11 11111.11")
    edit = run(split(labels, column(3, 2)))
    assert applied(labels, edit) == picture("22233.11 22233.11").tolist()


def test_a_cut_goes_through_all_planes_of_the_object():
    labels = np.zeros((3, 2, 5), np.uint16)
    labels[:2] = 1
    labels[2] = 4
    stroke = np.array([(0, y, x) for y in range(2) for x in (2, 3)])
    edit = run(split(labels, stroke, through=(0,)))
    plane, other = picture("55566 55566").tolist(), picture("44444 44444").tolist()
    assert applied(labels, edit) == [plane, plane, other]
    with pytest.raises(InputError):
        run(split(labels[:1].repeat(2, 0), np.array([(0, 0, 2)]), through=(0,)))
    upright = run(split(labels, np.array([(z, 1, x) for z in range(3) for x in (2, 3)]), through=(1,)))
    assert applied(labels, upright) == [plane, plane, picture("77788 77788").tolist()], "drawn on planes and columns"


def test_objects_that_a_stroke_touches_become_one():
    labels = picture("33.22.1 33.22.1")
    edit = run(merge(labels, np.array([(0, x) for x in range(1, 5)])))
    assert applied(labels, edit) == picture("22.22.1 22.22.1").tolist()
    assert (edit.old, edit.new) == ((3,), (2,))
    every = run(merge(labels, np.array([(1, x) for x in range(7)])))
    assert applied(labels, every) == picture("11.11.1 11.11.1").tolist()
    for stroke in ([(0, 0), (1, 1), (0, 2)], [(0, 2)]):
        with pytest.raises(InputError, match="fewer than two"):
            run(merge(labels, np.array(stroke)))


def test_merging_what_was_cut_gives_one_again():
    labels = picture(".1111111 .1111111")
    cut = np.array(applied(labels, run(split(labels, column(4, 2)))), np.uint16)
    assert cut.tolist() == picture(".2223333 .2223333").tolist()
    assert applied(cut, run(merge(cut, np.array([(0, 3), (0, 6)])))) == picture(".2222222 .2222222").tolist()


def test_labels_without_room_for_new_ones_are_refused():
    labels = np.full((2, 5), 254, np.uint8)
    with pytest.raises(InputError, match="no room"):
        run(split(labels, column(2, 2)))
    assert labels.max() == 254
    assert run(split(labels - 1, column(2, 2))).new == (254, 255)
