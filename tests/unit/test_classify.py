"""Objects and images told apart without labels: what describes an object, its class, and figures worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.objects import embedding_map as embedding_map_module
from napari_pu_segment.core.objects.class_scores import class_scores
from napari_pu_segment.core.objects.classify import (
    DESCRIPTIONS,
    ClassifySettings,
    Scene,
    classify,
    joined,
    painted,
    true_classes,
    with_classes,
)
from napari_pu_segment.core.objects.embedding_map import embedding_map
from napari_pu_segment.core.objects.image_classes import group_images, learn_images
from napari_pu_segment.core.objects.measure import measure_objects
from napari_pu_segment.core.objects.profiles import RINGS, profile, step_px
from napari_pu_segment.core.progress import run
from napari_pu_segment.synthetic_sky import star_field


def scene(image, objects, **more):
    return Scene(image, objects, run(measure_objects(objects, image, **more)))


def spots(seed=0, wide=None, n=36, shape=(200, 200)):
    """Blurred spots of any brightness on a grid; `wide` says which are twice as broad. Returns scene and truth."""
    rng = np.random.default_rng(seed)
    wide = np.arange(n) % 3 == 0 if wide is None else wide
    image, objects, truth = np.zeros(shape), np.zeros(shape, np.int32), np.zeros(shape, np.uint8)
    for i in range(n):
        y, x = 16 + 33 * (i // 6), 16 + 33 * (i % 6)
        one = np.zeros(shape)
        one[y, x] = 1
        one = gaussian_filter(one, 3.0 if wide[i] else 1.5)
        image += rng.uniform(100, 200) * one / one.max()
        objects[y - 5 : y + 6, x - 5 : x + 6] = i + 1
        truth[y - 5 : y + 6, x - 5 : x + 6] = 1 + wide[i]
    return scene((image + rng.normal(0, 0.1, shape))[None].astype(np.float32), objects), truth


def test_a_profile_worked_out_by_hand():
    y, x = np.mgrid[:41, :41]
    away = np.hypot(y - 20, x - 20)
    objects = (away < 5).astype(np.int32)
    image = np.stack([np.where(away < 2.5, 8.0, 0.0) + 3, np.where(away < 2.5, -4.0, 0.0) + 5])
    found = profile(image, objects, 1, (20, 20), 1.0)
    assert found.shape == (2, len(RINGS) - 1)
    # the brightest rings are 8 and 4, of background 3 and 5: 8 / 12 and -4 / 12 up to 2.5 px, then nothing
    assert found == pytest.approx(np.array([[8, 8, 0, 0, 0], [-4, -4, 0, 0, 0]]) / 12)
    assert profile(7 * image + 1, objects, 1, (20, 20), 1.0) == pytest.approx(found), "whatever the brightness"
    assert profile(image[:, ::-1], objects, 1, (20, 20), 1.0) == pytest.approx(found)
    beside = objects.copy()
    beside[20, 24:] = 2
    image[:, 20, 24:] = 1000
    assert profile(image, beside, 1, (20, 20), 1.0) == pytest.approx(found), "other objects are left out"
    image[0, 0, 0] = np.nan
    assert profile(image, beside, 1, (20, 20), 1.0) == pytest.approx(found)


def test_steps_grow_with_the_objects():
    assert step_px(np.array([3.0, 5.0, 7.0])) == 1
    assert step_px(np.array([10.0, 30.0, 50.0])) == 3


@pytest.mark.parametrize("describe", [("profiles",), ("profiles", "shapes", "intensities")])
def test_spots_of_two_widths(describe):
    one, truth = spots()
    true = true_classes(one, truth)
    assert np.bincount(true).tolist() == [0, 24, 12]
    found = run(classify([one], ClassifySettings(describe=("profiles",))))
    assert found.numbers.tolist() == true.tolist(), "class 1 has most objects"
    assert found.chances.shape == (36, 2)
    assert found.chances.sum(1) == pytest.approx(1)
    again = run(classify([one], ClassifySettings(describe=describe)))
    assert again.embedding.shape[1] == min(4, 5 if describe == ("profiles",) else 12)
    assert len(set(describe) - set(DESCRIPTIONS)) == 0
    assert (again.chances == run(classify([one], ClassifySettings(describe=describe))).chances).all()


def test_classes_are_shared_by_the_images():
    few = np.arange(36) < 6
    scenes = [spots(1)[0], spots(2, wide=few)[0]]
    found = run(classify(scenes, ClassifySettings()))
    assert found.counts == (36, 36)
    assert [part.tolist() for part in found.of_scenes()][1] == (1 + few).tolist()
    assert found.proportions() == pytest.approx(np.array([[24, 12], [30, 6]]) / 36)
    table = with_classes(scenes[1].table, found.of_scenes()[1])
    assert list(table.columns)[:2] == ["label", "class"]
    assert table.row(0)["class"] == 2
    assert list(with_classes(table, found.of_scenes()[1]).columns)[:3] == ["label", "class_found", "class"]
    layer = painted(scenes[1], found.of_scenes()[1])
    assert np.bincount(layer.ravel()).tolist() == [200 * 200 - 36 * 121, 30 * 121, 6 * 121]


def test_planes_and_frames_are_classified_where_they_lie():
    one, truth = spots()
    image, objects = np.stack([one.image, one.image[:, ::-1]], 1), np.stack([one.objects, one.objects[::-1]])
    both = scene(image, objects, axes="CTYX")
    found = run(classify([both], ClassifySettings()))
    true = np.stack([truth, truth[::-1]])
    assert (painted(both, found.numbers) == true).all()
    assert true_classes(both, true).tolist() == found.numbers.tolist()
    solid = scene(np.repeat(one.image[:, None], 3, 1), np.repeat(one.objects[None], 3, 0))
    assert "volume_px" in solid.table.columns
    assert (painted(solid, run(classify([solid], ClassifySettings())).numbers) == truth).all()


def test_what_cannot_be_classified_is_told():
    one, truth = spots()
    with pytest.raises(InputError, match="There are 0 objects"):
        run(classify([scene(one.image, np.zeros_like(one.objects))], ClassifySettings()))
    with pytest.raises(InputError, match="12 classes want 60"):
        run(classify([one], ClassifySettings(n_classes=12)))
    flat = scene(np.ones_like(one.image), one.objects)
    with pytest.raises(InputError, match="look the same"):
        run(classify([flat], ClassifySettings(describe=("intensities",))))
    other = scene(one.image, one.objects, channel_names=("red",))
    with pytest.raises(InputError, match="differ in channels"):
        joined([one, other])
    with pytest.raises(InputError):
        true_classes(one, truth[:50])


def test_scores_worked_out_by_hand():
    found, truth = np.array([1, 1, 1, 1, 2, 2]), np.array([7, 7, 7, 9, 9, 9])
    chances = np.array([0.9, 0.8, 0.7, 0.6, 0.2, 0.1])
    scores = class_scores(found, np.stack([chances, 1 - chances], 1), truth)
    assert scores["purity"] == pytest.approx(5 / 6)
    mixed = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    assert scores["entropy"] == pytest.approx(4 / 6 * mixed)
    assert scores["f_score"] == pytest.approx((6 / 7 + 4 / 5) / 2)
    assert scores["auc"] == 1
    wrong = class_scores(found, np.stack([chances, 1 - chances], 1), np.array([7, 7, 7, 9, 9, 7]))
    assert wrong["auc"] == pytest.approx(6 / 8), "of 4 x 2 pairs the last object is on the wrong side of two"
    with pytest.raises(InputError, match="nothing to tell apart"):
        class_scores(found, np.stack([chances, 1 - chances], 1), np.ones(6, int))


def test_classes_of_images():
    rng = np.random.default_rng(0)
    share = np.clip(np.r_[rng.normal(0.2, 0.03, 12), rng.normal(0.7, 0.03, 8)], 0, 1)
    proportions = np.r_[np.stack([share, 1 - share], 1), [[np.nan, np.nan]]]
    assert run(group_images(proportions, 2, 0)).tolist() == [1] * 12 + [2] * 8 + [0]
    labels = ["ill", "ill", *[""] * 10, "well", "well", "well", *[""] * 6]
    learnt = run(learn_images(proportions, labels, 0))
    assert learnt.names.tolist() == ["ill"] * 12 + ["well"] * 8 + [""]
    assert (learnt.accuracy, learnt.folds) == (1, 2)
    with pytest.raises(InputError, match="of each of two classes"):
        run(learn_images(proportions, ["ill", "well", *[""] * 19], 0))
    with pytest.raises(InputError, match="2 classes of images"):
        run(group_images(proportions[-2:], 2, 0))


def test_a_map_keeps_what_is_near_together():
    pytest.importorskip("openTSNE")
    rng = np.random.default_rng(0)
    rows = np.r_[rng.normal(0, 0.1, (20, 4)), rng.normal(3, 0.1, (20, 4))]
    points = run(embedding_map(rows, 0))
    assert points.shape == (40, 2)
    away = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(away, np.inf)
    assert (away.argmin(1) // 20 == np.arange(40) // 20).all()
    assert (points == run(embedding_map(rows, 0))).all()
    with pytest.raises(InputError, match="5 to 20000 objects; there are 4"):
        run(embedding_map(rows[:4], 0))


def test_the_neighbours_of_a_map_are_exact_and_looked_for_in_parts(monkeypatch):
    rows = np.array([[0.0], [0], [0], [1], [3], [7]])
    whole = run(embedding_map_module._neighbours(rows, 2))
    assert [sorted(near) for near in whole[0][:3].tolist()] == [[1, 2], [0, 2], [0, 1]]  # copies, but not itself
    assert whole[0][5].tolist() == [4, 3]
    assert whole[1][3:].tolist() == [[1, 1], [2, 3], [4, 6]]
    monkeypatch.setattr(embedding_map_module, "_ROWS", 2)
    parts = run(embedding_map_module._neighbours(rows, 2))
    assert all((one == other).all() for one, other in zip(whole, parts, strict=True))
    many = run(embedding_map_module._neighbours(np.zeros((9, 1)), 2))[0]
    assert not (many == np.arange(9)[:, None]).any()


def test_the_synthetic_sky():
    field, again = star_field(3, 192), star_field(3, 192)
    assert field.image.shape == (1, 192, 192)
    assert (field.image == again.image).all()
    assert (field.image != star_field(4, 192).image).any()
    assert 0 < field.is_star.sum() < len(field.is_star)
    assert np.median(np.abs(field.image)) / 0.6745 == pytest.approx(1, abs=0.15), "in units of the noise"
    brightest = np.argmin(np.where(field.is_star, field.magnitude, np.inf))
    y, x = round(field.y[brightest]), round(field.x[brightest])
    light = field.image[0, y - 12 : y + 13, x - 12 : x + 13].sum()
    # a star of magnitude 24.5 has five times the noise within 2 arcsec, 10 px, across
    expected = 5 * math.sqrt(math.pi * 5**2) * 10 ** (0.4 * (24.5 - field.magnitude[brightest]))
    assert light == pytest.approx(expected, rel=0.2)
    with pytest.raises(InputError, match="128 to 4096"):
        star_field(0, 64)
