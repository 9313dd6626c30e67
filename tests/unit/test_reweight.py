"""Training from unreliable masks and few reliable labels, seen from outside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_pu_segment.core.corrupt import CorruptSettings, corrupt
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.losses.reweight import pixel_weights
from napari_pu_segment.core.methods import reweight
from napari_pu_segment.core.methods.reweight import AS_PUBLISHED, LEARNERS, ReweightSettings, train
from napari_pu_segment.core.model import Model, load_model, save_model
from napari_pu_segment.core.pipeline import predict
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import NEGATIVE, POSITIVE, Sample
from napari_pu_segment.core.training.fit import FeatureCache
from napari_pu_segment.core.training.trust import label_trust
from tests.helpers import dice, disk_sample

QUICK = ReweightSettings(n_steps=60, threads=1)


def masked(seed: int, *, rough: bool) -> tuple[Sample, np.ndarray]:
    """An image of disks, with its mask, or with triangles for it; and the truth."""
    sample, truth = disk_sample(seed=seed)
    mask = corrupt(truth, CorruptSettings(seed=seed)) if rough else truth
    codes = np.where(mask, POSITIVE, NEGATIVE).astype(np.uint8)
    return replace(sample, labels=codes, trust="noisy" if rough else "clean"), truth


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [masked(1, rough=True)[0], masked(2, rough=True)[0], masked(3, rough=False)[0]]


def score(model: Model) -> float:
    sample, truth = disk_sample(seed=9)
    return dice(predict(model, sample.image) >= 0.5, truth)


@pytest.mark.parametrize("gradient", ["forward", "unrolled", "last_layer"])
def test_weighed_pixels_teach_more_than_the_rough_masks(samples, gradient):
    trusting = run(train(samples, QUICK.changed({"learner": "noisy"})))
    weighing = run(train(samples, QUICK.changed({"gradient": gradient})))
    assert score(trusting) < 0.75
    assert score(weighing) > score(trusting) + 0.1


@pytest.fixture
def told(monkeypatch):
    """How far pixels were weighed, in each step."""
    doubts = []

    def spy(*args):
        doubts.append(args[-1])
        return pixel_weights(*args)

    monkeypatch.setattr(reweight, "pixel_weights", spy)
    return doubts


def test_true_masks_are_believed_and_rough_ones_weighed(samples, told):
    true = [replace(masked(seed, rough=False)[0], trust="noisy") for seed in (1, 2)]
    run(train([*true, samples[2]], QUICK))
    assert set(told) == {0.0}
    told.clear()
    run(train(samples, QUICK))
    (doubt,) = set(told)
    assert doubt > 0.8
    told.clear()
    run(train([*true, samples[2]], QUICK.changed({"weighing": "full", "n_steps": 2})))
    assert set(told) == {1.0}


def test_strokes_tell_what_is_wrong_everywhere_in_the_same_way(told):
    """A bright bar at the edge is taken for an object by a threshold; a stroke on it says that it is none."""
    sample, truth = disk_sample()
    bar = np.zeros(truth.shape, bool)
    bar[:, 74:] = True
    image, codes = np.where(bar & ~truth, sample.image + 100, sample.image), sample.labels.copy()
    codes[35:45, 75:79] = NEGATIVE
    rough = np.where(truth | bar, POSITIVE, NEGATIVE)
    found = []
    for beside in (image, image.copy()):
        told.clear()
        model = run(train([Sample(beside, codes), Sample(image, rough, "noisy")], QUICK))
        found.append((told[0], predict(model, image)[bar & ~truth & (codes == 0)].mean()))
    assert [doubt for doubt, _ in found] == [1.0, 0.0], "what is known of other images tells less"
    assert found[0][1] < 0.3


@pytest.mark.parametrize("learner", LEARNERS)
def test_every_learner_makes_a_model_that_is_kept_in_a_file(samples, learner, tmp_path):
    model = run(train(samples, QUICK.changed({"learner": learner})))
    assert (model.card.method, model.card.settings["learner"]) == ("reweight", learner)
    assert model.card.class_prior_source == "clean masks"
    assert 0.05 < model.card.class_prior < 0.4
    save_model(model, tmp_path / "m.pumodel")
    again = load_model(tmp_path / "m.pumodel")
    np.testing.assert_array_equal(predict(again, samples[0].image), predict(model, samples[0].image))


def test_strokes_can_be_the_reliable_side(samples):
    strokes, _ = disk_sample(negative=True)
    model = run(train([*samples[:2], strokes], QUICK.changed({"n_steps": 150})))
    trusting = run(train(samples[:2], QUICK.changed({"learner": "noisy"})))
    assert strokes.count(POSITIVE) + strokes.count(NEGATIVE) < strokes.labels.size / 10
    assert score(model) > score(trusting) + 0.1


def test_same_seed_same_bytes(samples):
    cache = FeatureCache()
    first, again = (predict(run(train(samples, QUICK, cache=cache)), samples[0].image) for _ in range(2))
    fresh = predict(run(train(samples, QUICK)), samples[0].image)
    other = predict(run(train(samples, QUICK.changed({"seed": 1}))), samples[0].image)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, fresh)
    assert (first != other).any()


def test_as_published_trains_a_u_net(samples):
    quick = AS_PUBLISHED.changed({"n_steps": 2, "width": 8, "threads": 1})
    model = run(train(samples, quick))
    assert model.card.network.name == "unet"
    assert predict(model, samples[0].image).shape == samples[0].spatial_shape


def test_training_goes_on_from_a_model(samples):
    first = run(train(samples, QUICK))
    later = run(train(samples, QUICK, start=first))
    assert later.card.tensors_sha256 != first.card.tensors_sha256
    assert score(later) > 0.6


def test_low_trust_finds_the_wrong_labels(samples):
    model = run(train(samples, QUICK.changed({"n_steps": 150})))
    _, truth = masked(1, rough=True)
    trust = label_trust(predict(model, samples[0].image), samples[0].labels)
    wrong = (samples[0].labels == POSITIVE) != truth
    assert 0.02 < wrong.mean() < 0.3
    rng = np.random.default_rng(0)
    bad, good = (rng.choice(trust[part], 2000) for part in (wrong, ~wrong))
    assert (bad < good).mean() > 0.8


def test_trust_by_hand():
    labels = np.array([[POSITIVE, NEGATIVE, 0, 3]], np.uint8)
    probability = np.array([[0.25, 0.25, 0.25, 0.25]], np.float32)
    np.testing.assert_array_equal(label_trust(probability, labels), np.float32([[0.25, 0.75, 1, 1]]))
    with pytest.raises(InputError, match="measures"):
        label_trust(probability, labels[:, :2])


@pytest.mark.parametrize(("kept", "learner", "says"), [
    (slice(0, 2), "reweight", "nothing reliable"),
    (slice(2, 3), "reweight", "no unreliable mask"),
    (slice(2, 3), "noisy", "no unreliable mask"),
    (slice(0, 2), "clean", "nothing reliable"),
])  # fmt: skip
def test_what_is_missing_is_named(samples, kept, learner, says):
    with pytest.raises(InputError, match=says):
        run(train(samples[kept], QUICK.changed({"learner": learner})))


def test_images_without_labels_cannot_teach(samples):
    bare = [replace(sample, labels=None) for sample in samples]
    with pytest.raises(InputError, match="no unreliable mask"):
        run(train(bare, QUICK))
    empty = [replace(sample, labels=np.zeros_like(sample.labels)) for sample in samples]
    with pytest.raises(InputError, match="No pixel is labelled"):
        run(train(empty, QUICK))
