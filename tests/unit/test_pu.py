"""Training, seen from outside: learns, repeats itself, stops, continues, refuses."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.methods.pu import PuSettings, train
from napari_pu_segment.core.pipeline import predict, segment
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import IGNORE, NEGATIVE, POSITIVE, Sample
from napari_pu_segment.core.training.fit import FeatureCache
from tests.helpers import dice, disk_sample, disks, strokes

QUICK = PuSettings(n_steps=40, prior="fixed", class_prior=0.16)


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("prior", ["fixed", "auto"])
def test_finds_disks(negative, prior):
    sample, truth = disk_sample(negative=negative)
    model = run(train([sample], QUICK.changed({"prior": prior, "n_steps": 150})))
    result = run(segment(model, sample.image))
    assert dice(result.mask, truth) > 0.85
    assert model.card.n_positive_strokes == 3
    assert model.card.n_negative_strokes == (3 if negative else 0)
    assert 0.05 < model.card.class_prior < 0.4


@pytest.mark.parametrize("risk", ["nnpu", "upu", "pnu", "pn", "pu_naive"])
@pytest.mark.parametrize("surrogate", ["sigmoid", "logistic"])
def test_every_risk_ranks_objects_above_background(risk, surrogate):
    sample, truth = disk_sample()
    model = run(train([sample], QUICK.changed({"risk": risk, "surrogate": surrogate})))
    probability = predict(model, sample.image)
    rng = np.random.default_rng(0)
    inside, outside = (rng.choice(probability[part], 2000) for part in (truth, ~truth))
    # area under the ROC curve; the two that know no clipping overfit to the strokes, which is why nnPU exists
    assert (inside > outside).mean() > (0.52 if risk in ("upu", "pu_naive") else 0.9)


@pytest.mark.parametrize("network", ["unet", "resnet18", "cnn", "cnn_nnpu"])
def test_convolutional_networks_learn(network):
    sample, truth = disk_sample()
    values = {"network": network, "width": 16, "n_steps": 40}
    model = run(train([sample], QUICK.changed(values)))
    probability = predict(model, sample.image)
    assert probability[truth].mean() > probability[~truth].mean() + 0.1


def test_same_seed_same_bytes_with_or_without_a_cache():
    sample, _ = disk_sample()
    cache = FeatureCache()
    first = predict(run(train([sample], QUICK)), sample.image)
    again = predict(run(train([sample], QUICK, cache=cache)), sample.image)
    cached = predict(run(train([sample], QUICK, cache=cache)), sample.image)
    other = predict(run(train([sample], QUICK.changed({"seed": 1}))), sample.image)
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(cached, first)
    assert not np.array_equal(other, first)


def test_cache_saves_the_features(monkeypatch):
    from napari_pu_segment.core.networks.pixel import PixelNetwork

    calls = []
    stem = PixelNetwork.stem
    monkeypatch.setattr(PixelNetwork, "stem", lambda self, x: calls.append(1) or stem(self, x))
    sample, _ = disk_sample()
    cache = FeatureCache()
    run(train([sample], QUICK, cache=cache))
    assert len(calls) == 1
    more = sample.labels.copy()
    more[70:73, 16:24] = POSITIVE
    run(train([Sample(sample.image, more)], QUICK, cache=cache))
    assert len(calls) == 1
    run(train([Sample(sample.image + 1, more)], QUICK, cache=cache))
    assert len(calls) == 2


def test_cache_forgets_the_oldest():
    import torch

    cache = FeatureCache(max_bytes=1000)
    cache.put("a", torch.zeros(100))
    cache.put("b", torch.zeros(100))
    assert cache.get("a") is not None
    cache.put("c", torch.zeros(100))
    cache.put("huge", torch.zeros(1000))
    assert [key for key in ("a", "b", "c", "huge") if cache.get(key) is not None] == ["a", "c"]


def test_continues_from_a_model():
    sample, truth = disk_sample()
    start = run(train([sample], QUICK.changed({"n_steps": 150})))
    before = predict(start, sample.image)
    settings = QUICK.changed({"n_steps": 3})  # one step
    cold, warm = run(train([sample], settings)), run(train([sample], settings, start=start))
    np.testing.assert_array_equal(predict(start, sample.image), before)  # the old model is untouched
    errors = {
        name: np.mean((predict(model, sample.image) - truth) ** 2) for name, model in (("cold", cold), ("warm", warm))
    }
    assert errors["warm"] < errors["cold"] / 2, "one step from nothing leaves probabilities near a half"
    with pytest.raises(InputError, match="another shape"):
        run(train([sample], QUICK.changed({"width": 8}), start=start))


def test_continuing_on_other_channels_is_refused_by_name():
    start = run(train([disk_sample()[0]], QUICK))
    with pytest.raises(InputError, match=r"2 channel.*trained on 1"):
        run(train([disk_sample(n_channels=2)[0]], QUICK, start=start))


def test_closing_the_generator_stops_and_yields_are_rare():
    sample, _ = disk_sample()
    work = train([sample], QUICK.changed({"n_steps": 100_000}))
    steps = [next(work).step for _ in range(4)]
    assert steps == sorted(steps)
    assert steps[-1] > 4  # not one yield for each step
    work.close()
    with pytest.raises(StopIteration):
        next(work)


def test_threshold_rules():
    sample, truth = disk_sample()
    covered = {}
    for rule in ("coverage", "plateau", "half"):
        wrong = float(truth.mean()) * 1.4
        model = run(train([sample], QUICK.changed({"class_prior": wrong, "threshold": rule, "n_steps": 150})))
        assert model.card.threshold == 0.5, "whatever the rule, the operating threshold is a probability of one half"
        result = run(segment(model, sample.image))
        covered[rule] = result.mask.mean()
        assert 1e-6 < result.probability.max() < 1, "probabilities stay apart from 1"
    assert covered["coverage"] == pytest.approx(wrong, abs=0.02)
    assert abs(covered["plateau"] - truth.mean()) < abs(covered["coverage"] - truth.mean()) / 2


def test_ignored_and_not_finite_pixels_are_not_learnt_from():
    sample, truth = disk_sample(negative=False)
    image = sample.image.copy()
    image[:, :, 70:] += 100  # a rim as bright as the objects
    image[:, 60:64, 60:64] = np.nan
    labels = sample.labels.copy()
    labels[:, 70:] = IGNORE
    result_of = {}
    for name, codes in (("ignored", labels), ("seen", sample.labels)):
        model = run(train([Sample(image, codes)], QUICK.changed({"n_steps": 150})))
        result_of[name] = run(segment(model, image, labels=codes))
        assert np.isfinite(result_of[name].probability).all()
    assert result_of["ignored"].mask[:, 70:].max() == 0
    assert result_of["seen"].mask[:, 70:].max() == 1
    inside = (slice(None), slice(0, 66))
    assert dice(result_of["ignored"].mask[inside], truth[inside]) > 0.8


def test_held_out_strokes_choose_the_network():
    image, truth = disks()
    labels = np.zeros(truth.shape, np.uint8)
    labels[2:94:8, 2:78:8] = np.where(truth[2:94:8, 2:78:8], POSITIVE, NEGATIVE)
    model = run(train([Sample(image, labels)], QUICK.changed({"n_steps": 150})))
    assert model.card.n_positive_strokes >= 10
    assert dice(run(segment(model, image)).mask, truth) > 0.85


def test_stacks_planewise_and_volume():
    image, truth = disks()
    stack = np.stack([image[:, ::-1], image, image[:, :, ::-1]], axis=1)  # (C, Z, Y, X)
    labels = np.zeros(stack.shape[1:], np.uint8)
    labels[1] = strokes()
    for dimensions, ndim in (("planes", 2), ("volume", 3)):
        values = {"dimensions": dimensions, "n_steps": 150, "sigmas_px": (1.0, 2.0)}
        model = run(train([Sample(stack, labels)], QUICK.changed(values)))
        assert model.card.axes == "CZYX"
        assert model.card.network.ndim == ndim
        mask = run(segment(model, stack)).mask
        assert mask.shape == stack.shape[1:]
        assert dice(mask[1], truth) > 0.7


def test_large_images_gather_rows_tile_by_tile(monkeypatch):
    from napari_pu_segment.core.filters import features

    sample, _ = disk_sample()
    whole = predict(run(train([sample], QUICK)), sample.image)
    monkeypatch.setattr(features, "_MAP_BYTES", 0)
    monkeypatch.setattr(features, "sides_of", lambda *args: [40, 33])
    np.testing.assert_array_equal(predict(run(train([sample], QUICK)), sample.image), whole)


def test_patch_folders_as_samples():
    rng = np.random.default_rng(0)

    def patch(level, code):
        labels = None if code is None else np.full((32, 32), code, np.uint8)
        return Sample(rng.normal(level, 5, (1, 32, 32)), labels)

    positive = [patch(100, POSITIVE) for _ in range(6)]
    unlabelled = [patch(level, None) for level in (100, 20, 20, 20, 100, 20, 20)]
    model = run(train([*positive, *unlabelled], QUICK.changed({"class_prior": 0.3})))
    frame = np.full((1, 64, 64), 20.0)
    frame[:, :, 32:] = 100
    probability = predict(model, frame + rng.normal(0, 5, frame.shape))
    assert probability[:, 40:].mean() > probability[:, :24].mean() + 0.3


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (None, "no positive strokes"),
        (np.zeros((96, 80), np.uint8), "no positive strokes"),
        (np.full((96, 80), NEGATIVE, np.uint8), "no positive strokes"),
        (np.full((96, 80), POSITIVE, np.uint8), "Everything is painted positive"),
    ],
)
def test_strokes_that_teach_nothing(labels, words):
    with pytest.raises(InputError, match=words):
        run(train([Sample(disks()[0], labels)], QUICK))


def test_pn_without_negatives_says_what_to_do():
    sample, _ = disk_sample(negative=False)
    with pytest.raises(InputError, match="Paint negative strokes"):
        run(train([sample], QUICK.changed({"risk": "pn"})))


def test_nothing_finite_is_refused():
    with pytest.raises(InputError, match="not finite"):
        run(train([Sample(np.full((1, 96, 80), np.nan), strokes())], QUICK))


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 3)])
def test_tiny_images(shape):
    image = np.random.default_rng(0).random((1, *shape))
    labels = np.zeros(shape, np.uint8)
    labels.flat[0] = POSITIVE
    if labels.size == 1:
        with pytest.raises(InputError, match="Everything is painted"):
            run(train([Sample(image, labels)], QUICK))
        return
    assert predict(run(train([Sample(image, labels)], QUICK)), image).shape == shape


def test_dense_labels_of_both_kinds():
    image, truth = disks()
    labels = np.where(truth, POSITIVE, NEGATIVE).astype(np.uint8)
    model = run(train([Sample(image, labels)], QUICK))
    assert dice(run(segment(model, image)).mask, truth) > 0.8
