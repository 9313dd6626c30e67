from __future__ import annotations

import numpy as np
import pytest

from napari_pu_segment.cli import train as cli_train
from napari_pu_segment.core.images.intensity import ChannelStats, measure
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import NEGATIVE, POSITIVE, Sample, code_of
from napari_pu_segment.core.training import exposure
from napari_pu_segment.core.training.exposure import exposures_differ
from napari_pu_segment.core.training.pu_settings import PuSettings

QUICK = PuSettings(n_steps=5, threads=1, sigmas_px=(1.0,), filters=("gaussian",), width=8)
train = METHODS["pu"].train


def cells(exposure=1.0, debris=0.0, seed=0):
    """One bright cell of 12 x 12 px in an image of 40 x 40 px, with a stroke on it and one beside it."""
    image = np.random.default_rng(seed).normal(10, 1, (1, 40, 40))
    image[:, 10:22, 10:22] += 20
    image[:, :3, :10] += debris
    labels = np.zeros((40, 40), np.uint8)
    labels[14:17, 12:20], labels[30:33, 12:20] = POSITIVE, NEGATIVE
    return Sample((image * exposure).astype(np.float32), labels)


def differ(samples):
    each = [run(measure([sample])) for sample in samples]
    return run(exposures_differ(samples, run(measure(samples)), each))


def test_scatter_by_hand():
    means = np.array([[[0.6], [0.1]], [[1.0], [0.3]]])  # objects 0.6 and 1.0, images 0.1 and 0.3
    assert exposure._scatter(means) == pytest.approx((0.08 + 0.02) / (0.8 - 0.2) ** 2)


def test_unlike_exposures_are_told_from_unlike_objects():
    assert not differ([cells(), cells(seed=1)])
    assert differ([cells(), cells(4, seed=1)])
    assert differ([cells(), cells(4, seed=1), cells(0.3, seed=2)])
    assert not differ([cells(), cells(debris=80, seed=1)])  # measured by itself, the cell beside it would be dark


def test_images_without_strokes_on_objects_say_nothing():
    bare = Sample(cells(4).image)
    assert not differ([cells(), bare])
    assert not differ([bare, bare])


@pytest.mark.parametrize("n", [1, 300])
def test_pixels_of_strokes_are_read_alike_in_a_large_image(n, monkeypatch):
    sample = cells()
    labels = np.zeros_like(sample.labels)
    labels.flat[: 4 * n : 4] = POSITIVE
    sample = Sample(sample.image, labels)
    whole = run(exposure._objects(sample))
    assert whole.shape == (1, min(n, 150))
    monkeypatch.setattr(exposure, "is_large", lambda shape: True)
    np.testing.assert_array_equal(run(exposure._objects(sample)), whole)


def test_what_is_not_finite_is_left_out():
    stats = ChannelStats(low=0, high=10, softening=1, transform="linear")
    assert exposure._mean(np.array([[np.nan, 2.0, 4.0], [np.nan] * 3]), [stats, stats]) == pytest.approx([0.3, 0])


def test_a_training_chooses_by_its_strokes(capsys, tmp_path):
    assert QUICK.statistics == "auto"
    assert run(train([cells()], QUICK)).card.statistics == "training"
    assert run(train([cells(), cells(seed=1)], QUICK)).card.statistics == "training"
    unlike = [cells(), cells(4, seed=1)]
    model = run(train(unlike, QUICK))
    assert model.card.statistics == "image"
    assert model.card.settings["statistics"] == "auto"
    cli_train._tell(model.card, tmp_path / "model", 1.0)
    assert "each image by itself" in capsys.readouterr().out
    assert run(train(unlike, QUICK.changed({"statistics": "training"}))).card.statistics == "training"
    one = run(train([cells()], QUICK))  # goes on as it began
    cli_train._tell(one.card, tmp_path / "model", 1.0)
    assert "each image" not in capsys.readouterr().out
    assert run(train(unlike, QUICK, start=one)).card.statistics == "training"


def test_one_image_is_learnt_as_with_fixed_statistics():
    fixed, auto = (run(train([cells()], QUICK.changed({"statistics": s}))) for s in ("training", "auto"))
    assert auto.card.tensors_sha256 == fixed.card.tensors_sha256
    assert auto.card.intensity == fixed.card.intensity


def test_all_classes_see_alike():
    samples = []
    for exposed in (1, 4):
        sample = cells(exposed)
        labels = sample.labels.copy()
        labels[2:5, 30:38] = code_of(1)  # its strokes alone would not tell that exposures differ
        image = sample.image.copy()
        image[:, 2:5, 30:38] = 20
        samples.append(Sample(image, labels, classes=("cell", "other")))
    model = run(train(samples, QUICK))
    assert model.card.statistics == "image"
