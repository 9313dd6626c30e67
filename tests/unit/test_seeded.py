"""Random walker and watershed: worked out by hand, and what they refuse."""

from __future__ import annotations

import time

import numpy as np
import pytest

from napari_pu_segment import from_strokes, train
from napari_pu_segment.core import seeded
from napari_pu_segment.core.compute import child_process
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.from_strokes import grow
from napari_pu_segment.core.images.intensity import measure, normalise
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.methods import seeded as methods
from napari_pu_segment.core.methods.pu import PuSettings
from napari_pu_segment.core.methods.seeded import RandomWalkerSettings, WatershedSettings
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import IGNORE, NEGATIVE, POSITIVE, Sample
from tests.helpers import SeededHere, dice, disk_sample

WALKER, WATERSHED = RandomWalkerSettings(), WatershedSettings()
BOTH = pytest.mark.parametrize("settings", [WALKER, WATERSHED], ids=["random_walker", "watershed"])


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(seeded, "Child", SeededHere)


def codes(text) -> np.ndarray:
    """Label codes, one letter each: + positive, - negative, x ignored; lines are rows."""
    letters = {".": 0, "+": POSITIVE, "-": NEGATIVE, "x": IGNORE}
    return np.array([[letters[letter] for letter in line] for line in text.split()], np.uint8)


def test_on_an_even_ramp_the_walker_s_chance_falls_evenly(here):
    found = from_strokes(Sample(np.arange(5.0)[None, None], codes("+...-")), WALKER)
    assert found.probability[0] == pytest.approx([1, 0.75, 0.5, 0.25, 0], abs=2e-3)
    assert found.mask.tolist() == [[1, 1, 1, 0, 0]]
    assert (found.probability.dtype, found.mask.dtype, found.threshold) == (np.float32, np.uint8, 0.5)
    higher = from_strokes(Sample(np.arange(5.0)[None, None], codes("+...-")), WALKER, threshold=0.7)
    assert higher.mask.tolist() == [[1, 1, 0, 0, 0]]


def test_the_watershed_meets_at_the_steepest_place(here):
    image = np.array([[[0.0, 0, 0, 0, 9, 9, 9]]])
    found = from_strokes(Sample(image, codes("+.....-")), WATERSHED)
    assert found.probability.tolist() == [[1, 1, 1, 1, 0, 0, 0]]
    other = from_strokes(Sample(image, codes("-.....+")), WATERSHED)
    assert other.mask.tolist() == [[0, 0, 0, 0, 1, 1, 1]]


@BOTH
def test_an_edge_in_any_channel_counts(here, settings):
    flat = np.full((8, 12), 5.0)
    step = flat + 100 * (np.arange(12) >= 4)
    labels = np.zeros((8, 12), np.uint8)
    labels[:, 0], labels[:, -1] = POSITIVE, NEGATIVE
    found = from_strokes(Sample(np.stack([flat, step]), labels), settings)
    assert found.mask.tolist() == [[1] * 4 + [0] * 8] * 8


def test_what_is_farther_apart_is_crossed_more_easily(here):
    """One free voxel between a positive one in the next plane, and a negative one in its own."""
    image = np.array([[[[0.0, 1.0]], [[1.0, 0.5]]]])
    labels = np.array([[[0, NEGATIVE]], [[POSITIVE, IGNORE]]], np.uint8)
    sample = Sample(image, labels, pixel_size=(2.0, 1.0, 1.0))
    even, gentle = Sample(image, labels), WALKER.changed({"beta": 20})
    assert from_strokes(even, gentle).probability[0, 0, 0] == pytest.approx(0.5)
    normal = normalise(image, run(measure([sample])))
    jump = (normal[0, 0, 0, 0] - normal[0, 0, 0, 1]) ** 2
    by_plane, by_row = (np.exp(-20 * jump / (10 * normal.std() * d**2)) for d in (2, 1))
    expected = by_plane / (by_plane + by_row)
    assert expected > 0.9
    assert from_strokes(sample, gentle).probability[0, 0, 0] == pytest.approx(expected, abs=1e-3)
    told = from_strokes(even, gentle.changed({"plane_px": 2.0}))
    assert told.probability[0, 0, 0] == pytest.approx(expected, abs=1e-3)


def test_a_pixel_may_be_higher_than_wide(here):
    image = np.array([[[0.0, 1.0], [1.0, 0.5]]])
    sample = Sample(image, codes(".- +x"), pixel_size=(2.0, 1.0))
    assert from_strokes(sample, WALKER.changed({"beta": 20})).probability[0, 0] > 0.9


@BOTH
def test_nothing_spreads_through_ignored_pixels(here, settings):
    image = np.tile(np.arange(9.0), (1, 3, 1))
    found = from_strokes(Sample(image, codes("+.x.x...- ..x.x.... ..x.x....")), settings)
    assert found.probability[:, :2] == pytest.approx(np.ones((3, 2)), abs=1e-3)
    assert not found.probability[:, 2:5].any(), "an island without strokes belongs to nothing"
    assert found.probability[:, 5:] == pytest.approx(np.zeros((3, 4)), abs=1e-3)


@BOTH
def test_strokes_all_over_are_taken_as_they_are(here, settings):
    found = from_strokes(Sample(np.arange(6.0).reshape(1, 2, 3), codes("+-+ x+-")), settings)
    assert found.mask.tolist() == [[1, 0, 1], [0, 1, 0]]


@BOTH
def test_disks_are_found_from_a_few_strokes(here, settings):
    sample, truth = disk_sample(n_channels=2)
    before = dice(sample.labels == POSITIVE, truth)
    found = from_strokes(sample, settings)
    seen = truth.copy()
    seen[:30, 50:] = seen[66:, :30] = False  # two disks bear no stroke, and no flood reaches them
    assert before < 0.3
    assert dice(found.mask, seen) > 0.9


@BOTH
def test_strokes_spread_through_planes_but_not_through_time(here, settings):
    plane = np.where(np.indices((12, 16))[1] < 8, 0.0, 9.0)
    labels = np.zeros((3, 12, 16), np.uint8)
    labels[1, 3:9, 2], labels[1, 3:9, 13] = POSITIVE, NEGATIVE
    stack = np.stack([plane] * 3)[None]
    whole = from_strokes(Sample(stack, labels), settings)
    assert whole.mask.tolist() == [[[1] * 8 + [0] * 8] * 12] * 3
    assert whole.doubts == ()
    series = from_strokes(Sample(stack, labels, name="it", axes="CTYX"), settings)
    assert np.array_equal(series.mask[1], whole.mask[1])
    assert not series.probability[[0, 2]].any()
    assert series.doubts == ("Only 1 of 3 time points of 'it' have strokes of both kinds; the others stay empty.",)
    planes = from_strokes(Sample(stack, labels), settings.changed({"dimensions": "planes"}))
    assert np.array_equal(planes.probability, series.probability)
    assert "1 of 3 planes" in planes.doubts[0]


@BOTH
def test_what_is_missing_is_named(settings):
    image = np.arange(30.0).reshape(1, 5, 6)
    labels = np.zeros((5, 6), np.uint8)
    for given, words in ((None, "no positive and no negative ones"), (labels, "no positive and no negative ones")):
        with pytest.raises(InputError, match=words):
            from_strokes(Sample(image, given), settings)
    with pytest.raises(InputError, match=r"'it' has no negative ones. Paint"):
        from_strokes(Sample(image, codes("+..... ...... ...... ...... ......"), name="it"), settings)
    apart = np.zeros((2, 5, 6), np.uint8)
    apart[0, 0, 0], apart[1, 0, 0] = POSITIVE, NEGATIVE
    with pytest.raises(InputError, match="none has both"):
        from_strokes(Sample(np.stack([image, image], 1), apart, axes="CTYX"), settings)


@BOTH
def test_an_image_that_is_too_large_is_refused_before_it_is_read(settings, monkeypatch):
    class Unread:
        shape, dtype = (1, 10, 10), np.dtype(np.float32)

        def __getitem__(self, _):
            raise AssertionError("it was read")

    monkeypatch.setattr(methods, "WALKER_MAX_PX", 99)
    monkeypatch.setattr(methods, "WATERSHED_MAX_PX", 99)
    labels = np.zeros((10, 10), np.uint8)
    labels[0, 0], labels[9, 9] = POSITIVE, NEGATIVE
    with pytest.raises(InputError, match="planes of at most 0 million pixels"):
        from_strokes(Sample(Unread(), labels), settings)


def test_odd_images_are_handled_or_refused(here):
    labels = codes("+..- .... ....")
    with pytest.raises(InputError, match="no contrast"):
        from_strokes(Sample(np.full((1, 3, 4), 7.0), labels), WALKER)
    even = from_strokes(Sample(np.full((1, 3, 4), 7.0), labels), WATERSHED)
    assert even.mask[0].tolist() == [1, 1, 0, 0]
    odd = np.arange(12.0).reshape(1, 3, 4)
    odd[0, 0, 1], odd[0, 2, 2] = np.nan, np.inf
    for settings in (WALKER, WATERSHED):
        found = from_strokes(Sample(odd, labels), settings)
        assert np.isfinite(found.probability).all()
        assert found.mask[0, 0] == 1


def test_there_is_no_model_to_train(tmp_path):
    sample, _ = disk_sample()
    for settings in (WALKER, WATERSHED):
        name = settings.method
        with pytest.raises(InputError, match=f"{name!r} makes a result of one image.*command segment"):
            train([sample], settings)
        assert METHODS[name].segment is not None
    with pytest.raises(InputError, match="'pu' trains a model"):
        from_strokes(sample, PuSettings())


def test_the_child_process_gives_the_same_and_ends_at_once_when_it_is_cancelled(here, monkeypatch):
    sample, _ = disk_sample()
    expected = from_strokes(sample, WALKER).probability
    monkeypatch.setattr(seeded, "Child", child_process.Child)
    assert np.array_equal(from_strokes(sample, WALKER).probability, expected)
    started, real = [], child_process.subprocess.Popen
    monkeypatch.setattr(child_process.subprocess, "Popen", lambda *a, **k: started.append(real(*a, **k)) or started[-1])
    large = Sample(np.random.default_rng(0).random((1, 1500, 1500)), np.zeros((1500, 1500), np.uint8))
    large.labels[0, :9], large.labels[-1, :9] = POSITIVE, NEGATIVE
    work = grow(large, WALKER)
    while not started or next(work).message != "Spreading from the strokes":
        next(work)
    assert started[0].poll() is None
    began = time.monotonic()
    work.close()
    assert time.monotonic() - began < 1
    assert started[0].poll() is not None


def test_noise_that_is_smoothed_away_leaves_no_edges(here):
    """A dead pixel beside the positive stroke: to the watershed a wall, until it is smoothed."""
    image = np.tile(np.where(np.arange(24) < 12, 0.0, 60.0), (3, 1))[None]
    image[0, :, 3] = 100
    labels = np.zeros((3, 24), np.uint8)
    labels[:, 0], labels[:, -1] = POSITIVE, NEGATIVE
    sharp, smooth = (from_strokes(Sample(image, labels), WatershedSettings(smooth_px=px)) for px in (0, 3))
    assert sharp.mask[1].sum() < 5
    assert smooth.mask[1].sum() > 8


def test_the_same_again_gives_the_same_bytes(here):
    sample, _ = disk_sample()
    for settings in (WALKER, WATERSHED):
        first, second = (run(grow(sample, settings)).probability.tobytes() for _ in range(2))
        assert first == second
