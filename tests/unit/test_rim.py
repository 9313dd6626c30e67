"""The circular rim of a frame is found, through noise, time stamps and dark stretches, and not where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.images.rim import Rim, find_rim
from napari_pu_segment.synthetic import aurora_frame


def disc(shape=(240, 320), centre=(118.0, 163.0), radius=100.0, level=40.0, noise=3.0, seed=0):
    """A noisy bright disc (1, Y, X) on a dark noisy ground."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
    return (inside * level + rng.normal(10, noise, shape))[None].astype(np.float32)


def assert_near(rim, row, column, radius, px=2.0):
    assert abs(rim.row - row) < px
    assert abs(rim.column - column) < px
    assert abs(rim.radius_px - radius) < px


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("side", [256, 512, 1100])
def test_the_rim_of_a_synthetic_sky_is_found(seed, side):
    frame = aurora_frame(seed, side)
    rim = find_rim(frame.image)
    outside = rim.outside((side, side))
    assert 0.1 < (~frame.valid).mean() < 0.5
    assert (outside == ~frame.valid).mean() > 0.97
    assert_near(rim, side / 2, side / 2, 0.48 * 0.967 * side, px=0.015 * side)


@pytest.mark.parametrize("noise", [0.0, 3.0, 12.0])
def test_a_disc_is_found_through_noise_to_two_pixels(noise):
    assert_near(find_rim(disc(noise=noise)), 118, 163, 100)


def test_a_time_stamp_in_a_corner_and_a_dark_stretch_do_not_matter():
    image = disc()
    image[:, 4:20, 4:90] = np.random.default_rng(1).choice([10, 255], (1, 16, 86))
    image[:, 225:, 250:] = 200
    y, x = np.indices(image.shape[1:])
    image[0, (np.arctan2(y - 118, x - 163) > 1.2) & (np.arctan2(y - 118, x - 163) < 2.2)] = 10
    assert_near(find_rim(image), 118, 163, 100)


def test_the_glow_of_the_housing_is_not_the_rim():
    image = disc(noise=1.0)
    y, x = np.indices(image.shape[1:])
    away = np.hypot(y - 118, x - 163)
    image[0] += np.where((away > 100) & (away < 113), 8.0, 0.0)
    assert_near(find_rim(image), 118, 163, 100)


def test_a_circle_cut_off_by_the_frame_is_found():
    assert_near(find_rim(disc(centre=(120, 160), radius=150)), 120, 160, 150, px=3)


def test_a_bright_surrounding_counts_as_well():
    assert_near(find_rim(255 - disc()), 118, 163, 100)


def test_of_a_stack_of_any_kind_one_rim_is_found():
    stack = np.stack([disc(seed=i)[0] for i in range(12)])[None]
    rim = find_rim(np.repeat(stack, 2, axis=0).astype(np.uint8))
    assert_near(rim, 118, 163, 100)
    outside = rim.outside((12, 240, 320))
    assert outside.shape == (12, 240, 320)
    assert outside[:, 0, 0].all()
    assert not outside[:, 118, 163].any()


@pytest.mark.parametrize("kind", ["noise", "constant", "square", "tiny", "nan", "ramp", "full"])
def test_where_there_is_no_rim_it_says_so(kind):
    rng = np.random.default_rng(0)
    image = {
        "noise": rng.normal(size=(1, 200, 200)),
        "constant": np.ones((3, 200, 200)),
        "square": np.pad(np.ones((1, 100, 100)), ((0, 0), (50, 50), (50, 50))) + rng.normal(0, 0.01, (1, 200, 200)),
        "tiny": np.zeros((1, 1, 1)),
        "nan": np.full((1, 50, 60), np.nan),
        "ramp": np.indices((200, 200)).sum(axis=0)[None].astype(float),
        "full": rng.normal(100, 30, (1, 200, 200)) ** 2,
    }[kind]
    with pytest.raises(InputError, match="'it' has no circular rim"):
        find_rim(image, "'it'")


def test_outside_is_what_is_farther_than_the_radius():
    outside = Rim(2.0, 2.0, 1.0).outside((5, 5))
    assert np.argwhere(~outside).tolist() == [[1, 2], [2, 1], [2, 2], [2, 3], [3, 2]]
