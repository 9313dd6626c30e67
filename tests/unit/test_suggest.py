"""Suggestions: on maps worked out by hand, and what every acquisition function keeps to."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.methods.pu import PuSettings
from napari_pu_segment.core.pipeline import predict
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import IGNORE, NEGATIVE, POSITIVE, Sample
from napari_pu_segment.core.suggest import ACQUISITIONS, SuggestSettings, choose, default_brush_px, explain, suggest
from napari_pu_segment.core.suggest.places import Places, dab_radii_px, find_places
from tests.helpers import disk_sample, disks, strokes

QUICK = PuSettings(n_steps=30, prior="fixed", class_prior=0.15, threads=1)


@pytest.fixture(scope="module")
def trained():
    """Sample, probability and model of the disks."""
    sample, _ = disk_sample()
    model = run(METHODS["pu"].train([sample], QUICK))
    return sample, predict(model, sample.image), model


def places(
    scores, uncertainty=None, change=None, distrust=None, to_positive=None, to_negative=None, centres=None
) -> Places:
    n = len(scores)
    given = (uncertainty, change, distrust, to_positive, to_negative)
    fallback = (np.zeros(n), np.zeros(n), np.zeros(n), np.full(n, np.inf), np.full(n, np.inf))
    columns = [default if one is None else np.asarray(one, float) for one, default in zip(given, fallback, strict=True)]
    where = np.arange(n)[:, None] * [0, 10] if centres is None else np.asarray(centres)
    return Places(where, np.full(n, 2.0), np.asarray(scores, float), *columns)


def best(name: str, candidates: Places) -> int:
    return int(ACQUISITIONS[name].utility(candidates).argmax())


def test_each_acquisition_finds_what_its_name_says():
    some = places(
        [3, -3, -3, -0.1],
        uncertainty=[0.1, 0.2, 0.1, 1],
        change=[0.0, 0.1, 0.6, 0.2],
        distrust=[0.9, 0.0, 0.2, 0.1],
        to_positive=[1, 1, 5, 2],
        to_negative=[9, 6, 6, 2],
    )
    assert best("uncertain", some) == 3
    assert best("changed", some) == 2
    assert best("suspect", some) == 0
    assert np.isneginf(ACQUISITIONS["suspect"].utility(some)[1]), "no rough mask there"
    assert best("unlike", some) == 2  # 5 from the nearest painted pixel; the others 1, 1 and 2
    assert best("missed", some) == 1  # place 0 is nearer still to painted objects, but it is predicted already
    assert np.isneginf(ACQUISITIONS["missed"].utility(some)[0])
    assert np.isneginf(ACQUISITIONS["changed"].utility(some)[0])


def test_reasons_tell_by_what_a_place_stands_out():
    some = places(
        [3, -3, -3, -3, -3],
        uncertainty=[0.1, 0.2, 1, 0.1, 0.1],
        change=[0.1, 0.9, 0.2, 0.1, 0.1],
        to_positive=[1, 9, 2, 8, 9],
        to_negative=[9, 3, 2, 8, 3],
    )
    reasons = explain(some)
    assert reasons[1] == "large change since the last round"
    assert reasons[2] == "uncertain"
    assert reasons[3] == "unlike anything painted"


def test_half_of_the_questions_are_asked_where_objects_are_predicted():
    rng = np.random.default_rng(0)
    scores = np.where(np.arange(400) < 40, 2.0, -2.0)  # a tenth is predicted to be object
    spots = rng.integers(0, 1000, (400, 2))
    some = places(scores, uncertainty=np.full(400, 0.5), centres=spots)
    chosen = choose(
        some, ACQUISITIONS["uncertain"], SuggestSettings(n=10), (1000, 1000), (2, 2), [], np.random.default_rng(1)
    )
    inside = [bool(some.foreground[i]) for i, _ in chosen]
    assert len(chosen) == 10
    assert sum(inside) == 5
    assert inside[:2] == [True, False]


def test_the_kind_of_stroke_that_is_short_comes_first():
    some = places([2.0, -2.0], centres=[[0, 0], [90, 90]])
    row, settings = ACQUISITIONS["uncertain"], SuggestSettings(n=1)
    for painted, first in (((1, 5), 0), ((5, 1), 1)):
        assert choose(some, row, settings, (100, 100), painted, [], np.random.default_rng(0))[0][0] == first


def test_suggestions_keep_their_distance_and_shun_what_was_skipped():
    spots = np.stack(np.meshgrid(np.arange(0, 200, 5), np.arange(0, 200, 5)), -1).reshape(-1, 2)
    some = places(np.full(len(spots), 1.0), uncertainty=np.full(len(spots), 0.5), centres=spots)
    row, rng = ACQUISITIONS["uncertain"], np.random.default_rng
    chosen = choose(some, row, SuggestSettings(n=8), (200, 200), (0, 0), [], rng(0))
    where = spots[[i for i, _ in chosen]]
    apart = np.hypot(*(where[:, None] - where[None]).transpose(2, 0, 1))[~np.eye(len(where), dtype=bool)]
    reach = np.sqrt(200 * 200 / 8) / 2
    assert len(where) == 8
    assert apart.min() > reach
    again = choose(some, row, SuggestSettings(n=8), (200, 200), (0, 0), where, rng(0))
    assert np.hypot(*(spots[[i for i, _ in again]][:, None] - where[None]).transpose(2, 0, 1)).min() > reach / 2


def test_noise_turns_the_best_into_a_draw():
    some = places([-1.0] * 50, uncertainty=np.linspace(0.1, 1, 50), centres=np.arange(100).reshape(50, 2) * 40)
    row = ACQUISITIONS["uncertain"]

    def firsts(noise: float) -> set[int]:
        settings = SuggestSettings(n=1, noise=noise)
        return {
            choose(some, row, settings, (4000, 4000), (0, 0), [], np.random.default_rng(k))[0][0] for k in range(20)
        }

    assert firsts(0) == {49}
    assert len(firsts(1)) > 3


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
def test_every_acquisition_suggests_free_places_by_seed(trained, acquisition):
    sample, probability, model = trained
    previous = np.clip(probability + np.random.default_rng(0).normal(0, 0.1, probability.shape), 0, 1)
    settings = SuggestSettings(acquisition=acquisition, n=6, brush_px=4)
    rough = np.where(np.roll(probability >= 0.5, 5, axis=0), POSITIVE, NEGATIVE).astype(np.uint8)
    known = {"previous": previous, "rough": rough}
    found = run(suggest(sample, probability, model.card.threshold, model, settings, **known))
    assert 1 <= len(found) <= 6
    y, x = np.indices(sample.spatial_shape)
    for place in found:
        assert all(0 <= c < n for c, n in zip(place.centre, sample.spatial_shape, strict=True))
        assert 0.5 <= place.radius_px <= 2
        assert place.reason in {row.reason for row in ACQUISITIONS.values()} - {""}
        assert np.isfinite(place.score)
        inside = (y - place.centre[0]) ** 2 + (x - place.centre[1]) ** 2 <= 4
        assert not sample.labels[inside].any(), "a dab would paint over strokes"
    assert run(suggest(sample, probability, model.card.threshold, model, settings, **known)) == found
    other = settings.changed({"seed": 1})
    assert run(suggest(sample, probability, model.card.threshold, model, other, **known)) != found


def test_ignored_and_invalid_places_are_not_suggested(trained):
    sample, probability, model = trained
    labels = sample.labels.copy()
    labels[:, :60] = IGNORE
    hollow = probability.copy()
    hollow[:50] = np.nan
    found = run(suggest(Sample(sample.image, labels), hollow, 0.5, model, SuggestSettings(n=20, brush_px=2)))
    assert found
    assert all(place.centre[0] > 50 and place.centre[1] > 60 for place in found)
    labels[:] = IGNORE
    assert run(suggest(Sample(sample.image, labels), probability, 0.5, model)) == []


def test_without_a_round_before_nothing_has_changed(trained):
    sample, probability, model = trained
    assert run(suggest(sample, probability, 0.5, model, SuggestSettings(acquisition="changed"))) == []


def test_an_unpainted_image_gets_suggestions_too(trained):
    sample, probability, model = trained
    found = run(suggest(Sample(sample.image), probability, model.card.threshold, model))
    assert len(found) > 1


def test_a_stack_is_covered_over_its_planes():
    image, _ = disks()
    stack = np.stack([image[0]] * 24)[None]
    labels = np.zeros(stack.shape[1:], np.uint8)
    labels[0] = strokes()
    sample = Sample(stack, labels)
    model = run(METHODS["pu"].train([sample], QUICK))
    probability = predict(model, stack)
    found = run(suggest(sample, probability, model.card.threshold, model, SuggestSettings(n=8)))
    planes = [place.centre[0] for place in found]
    assert len(found) == 8
    assert len(set(planes)) >= 5
    assert max(planes) - min(planes) > 8


def test_places_hold_what_lies_within_their_dab(trained):
    sample, probability, model = trained
    found = find_places(sample, probability, 0.5, model, radius_px=1, previous=np.zeros_like(probability))
    y, x = found.centres[len(found) // 2]
    cross = probability[[y, y - 1, y + 1, y, y], [x, x, x, x - 1, x + 1]]
    k = len(found) // 2
    assert 0 < y < 95
    assert 0 < x < 79
    assert found.change[k] == pytest.approx(cross.mean(), rel=1e-4)
    assert found.scores[k] == pytest.approx(np.log(cross / (1 - cross)).mean(), rel=1e-3, abs=1e-3)
    on_disk = [sample.labels[sample.labels == POSITIVE].size, np.isfinite(found.to_positive).all()]
    assert all(on_disk)
    inside = found.centres[(found.to_positive < found.to_negative)]
    truth = disks()[1]
    assert truth[tuple(inside.T)].mean() > 0.8 > truth[tuple(found.centres.T)].mean()


@pytest.mark.parametrize("step", [(2, 3), (1, 7)])
def test_other_networks_and_odd_sizes_are_served(step):
    sample, _ = disk_sample(n_channels=2)
    cut = tuple(slice(None, None, s) for s in step)
    small = Sample(sample.image[(slice(None), *cut)], sample.labels[cut])
    model = run(METHODS["pu"].train([small], QUICK))
    assert run(suggest(small, predict(model, small.image), model.card.threshold, model))


def test_results_of_another_shape_are_refused(trained):
    sample, probability, model = trained
    with pytest.raises(InputError, match="Train again"):
        run(suggest(sample, probability[:-1], 0.5, model))
    with pytest.raises(InputError, match="Train again"):
        run(suggest(sample, probability, 0.5, model, previous=probability[:-1]))
    with pytest.raises(InputError, match="choose one of: mixed"):
        SuggestSettings(acquisition="magic")


def test_the_dab_is_a_hundredth_of_the_image_wide():
    assert default_brush_px((512, 1024)) == 5
    assert default_brush_px((5, 40, 40)) == 1


def test_a_dab_does_not_cross_the_predicted_outline():
    probability = np.zeros((20, 30))
    probability[:, :15] = 1
    centres = np.array([[10, 5], [10, 12], [10, 14], [10, 15], [10, 17], [10, 25]])
    assert dab_radii_px(probability, 0.5, centres, 4).tolist() == [4, 2.5, 0.5, 0.5, 2.5, 4]
    assert dab_radii_px(probability, 0.5, centres, 0.5).tolist() == [0.5] * 6


def test_mixed_asks_at_all_scores_of_objects_and_at_the_background_most_like_them():
    scores = np.concatenate([np.linspace(0.1, 5, 50), np.linspace(-5, -0.1, 150)])
    some = places(scores, centres=np.random.default_rng(0).integers(0, 16000, (200, 2)))
    row, rng = ACQUISITIONS["mixed"], np.random.default_rng
    assert (row.utility(some) > -np.inf).sum() == 100
    chosen = choose(some, row, SuggestSettings(n=10), (16000, 16000), (2, 2), [], rng(0))
    asked = scores[[i for i, _ in chosen]]
    assert (asked > 0).sum() == 5
    assert np.ptp(asked[asked > 0]) > 3
    assert asked.min() > scores[100] - 1e-9, "never in the plain background"
    strata = {int(value // 1) for value in asked[asked > 0]}
    assert len(strata) == 5
