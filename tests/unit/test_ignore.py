"""What is ignored plays no part: not in training, prior, threshold, masks, area, objects, measurements."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pu_segment.core.classes import threshold_mask
from napari_pu_segment.core.coverage import measure_coverage
from napari_pu_segment.core.crf import CrfSettings
from napari_pu_segment.core.images.intensity import measure
from napari_pu_segment.core.images.sampling import usable
from napari_pu_segment.core.methods.pu import PuSettings
from napari_pu_segment.core.objects import ObjectSettings, find_objects
from napari_pu_segment.core.objects.measure import measure_objects
from napari_pu_segment.core.pipeline import covered, segment, train
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import IGNORE, Sample
from tests.helpers import disk_sample

BEYOND = 66  # rows from here on are ignored: the two lowest disks


def with_ignored(labels=None, fill=None):
    """The disks with the lowest rows ignored, and their truth; `fill` is what stands there in the image."""
    sample, truth = disk_sample()
    image, codes = sample.image.copy(), sample.labels.copy()
    codes[BEYOND:] = IGNORE
    if fill is not None:
        image[:, BEYOND:] = fill
    return Sample(image, codes), truth


@pytest.fixture(scope="module")
def settings():
    return PuSettings(n_steps=40, threads=1, sigmas_px=(1.0,), filters=("gaussian",))


@pytest.mark.parametrize("fill", [-9999.0, 1e6, np.nan])
def test_intensity_statistics_do_not_see_it(fill):
    plain, _ = with_ignored()
    filled, _ = with_ignored(fill=fill)
    assert run(measure([filled])) == run(measure([plain]))
    cut = Sample(plain.image[:, :BEYOND], plain.labels[:BEYOND])
    assert run(measure([plain])) == run(measure([cut]))
    assert run(measure([Sample(plain.image, None)])) != run(measure([plain]))


def test_no_pixel_of_it_is_trained_on():
    sample, _ = with_ignored()
    assert usable(sample)[:BEYOND].all()
    assert not usable(sample)[BEYOND:].any()


def test_model_prior_and_threshold_do_not_depend_on_it(settings):
    """A margin wider than the filters stands between what is learnt from and what is filled in."""
    models = []
    for fill in (None, -9999.0):
        sample, _ = with_ignored(fill=fill)
        if fill is not None:
            image = sample.image.copy()
            image[:, BEYOND : BEYOND + 12] = disk_sample()[0].image[:, BEYOND : BEYOND + 12]
            sample = Sample(image, sample.labels)
        models.append(train([sample], settings))
    assert models[0].card.tensors_sha256 == models[1].card.tensors_sha256
    assert models[0].card.class_prior == models[1].card.class_prior
    assert models[0].card.threshold == models[1].card.threshold
    everything = train([disk_sample()[0]], settings)
    assert everything.card.tensors_sha256 != models[0].card.tensors_sha256


def test_the_masks_are_zero_there_and_the_area_is_of_the_rest(settings):
    sample, _ = with_ignored()
    model = train([sample], settings)
    free = run(segment(model, sample.image, crf=CrfSettings(backend="grid")))
    kept = run(segment(model, sample.image, labels=sample.labels, crf=CrfSettings(backend="grid")))
    for before, after in ((free.mask, kept.mask), (free.refined, kept.refined)):
        assert before[BEYOND:].any()
        assert not after[BEYOND:].any()
        assert after[:BEYOND].any()
    assert np.array_equal(free.mask[:BEYOND], kept.mask[:BEYOND])
    assert covered(kept.mask, sample.labels) == pytest.approx(kept.mask[:BEYOND].mean())
    assert covered(kept.mask) == pytest.approx(kept.mask.mean())
    assert covered(np.zeros((2, 2)), np.full((2, 2), IGNORE)) == 0


def test_the_area_at_every_threshold_leaves_it_out():
    sample, truth = with_ignored()
    probability = np.where(truth, 0.9, 0.1).astype(np.float32)
    labels = np.where(sample.labels == IGNORE, IGNORE, 0).astype(np.uint8)
    mask = threshold_mask(probability, 0.5, labels)
    coverage = run(measure_coverage(probability, mask, labels))
    whole = run(measure_coverage(probability, truth))
    assert coverage.pixels.sum() == BEYOND * 80
    assert whole.pixels.sum() == truth.size


def test_objects_end_where_it_begins_and_are_measured_without_it():
    sample, truth = with_ignored()
    ignored = sample.labels == IGNORE
    found = run(find_objects(truth, ObjectSettings(), ignored=ignored))
    assert found.max() == 3
    assert not found[ignored].any()
    every = run(find_objects(truth, ObjectSettings()))
    assert every.max() == 5
    table = run(measure_objects(every, sample.image, ignored=ignored))
    assert len(next(iter(table.columns.values()))) == 3
