from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pu_segment.core.images.intensity import ChannelStats
from napari_pu_segment.core.images.sampling import is_unlabelled, n_usable, usable
from napari_pu_segment.core.networks import NetworkSpec, build_network
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import Sample
from napari_pu_segment.core.training.patch_images import PatchImage
from napari_pu_segment.core.training.patches import PatchSampler, PixelSampler, find_strokes


def network_of(name):
    bank = (("gaussian",), (1.0,)) if name == "pixel" else ((), ())
    return build_network(NetworkSpec(name=name, in_channels=1, ndim=2, width=8, filters=bank[0], sigmas_px=bank[1]))


def test_strokes_are_connected_parts():
    labels = np.array([[1, 0, 0, 2], [0, 1, 0, 2], [0, 0, 0, 0], [1, 0, 3, 2]], np.uint8)
    strokes = find_strokes([Sample(np.zeros((1, 4, 4)), labels), Sample(np.zeros((1, 4, 4)))])
    assert [s.pixels.tolist() for s in strokes["positive"]] == [[0, 5], [12]]  # the diagonal touches
    assert [s.pixels.tolist() for s in strokes["negative"]] == [[3, 7], [15]]


def test_usable_leaves_out_ignored_and_not_finite():
    image = np.zeros((2, 1, 4), np.float32)
    image[1, 0, 2] = np.nan
    sample = Sample(image, np.array([[0, 3, 0, 1]], np.uint8))
    assert usable(sample).tolist() == [[True, False, False, True]]


def test_a_fully_labelled_patch_is_not_unlabelled():
    assert is_unlabelled(Sample(np.zeros((1, 2, 2))))
    assert not is_unlabelled(Sample(np.zeros((1, 2, 2)), np.ones((2, 2), np.uint8)))


def test_strokes_weigh_equally_and_unlabelled_pixels_are_uniform():
    short, long = torch.zeros(3, 1), torch.ones(300, 1)
    pool = torch.cat([torch.full((900, 1), 5.0), torch.full((100, 1), 7.0)])
    sampler = PixelSampler({"positive": [short, long], "negative": []}, pool, network_of("pixel"))
    batches = [sampler.draw(np.random.default_rng(seed)) for seed in range(20)]
    assert set(batches[0].parts) == {"positive", "unlabelled"}
    positive = torch.cat([b.features[b.parts["positive"]] for b in batches])
    unlabelled = torch.cat([b.features[b.parts["unlabelled"]] for b in batches])
    assert float(positive.mean()) == pytest.approx(0.5, abs=0.02)  # by pixels it would be 0.99
    assert float((unlabelled == 7).float().mean()) == pytest.approx(0.1, abs=0.01)


def test_patches_carry_their_stroke_and_every_pixel_is_as_likely():
    rng = np.random.default_rng(0)
    image = np.arange(50 * 40, dtype=np.float32).reshape(1, 50, 40)
    labels = np.zeros((50, 40), np.uint8)
    labels[:2, :2], labels[30, 10:20] = 1, 1
    labels[40:, :] = 3
    sample = Sample(image, labels)
    network = network_of("cnn")
    stats = ChannelStats(low=0.0, high=2000.0, softening=1.0, transform="linear")
    sampler = PatchSampler(
        [PatchImage(sample, [stats])], find_strokes([sample]), {0: run(n_usable(sample))}, 2, network
    )
    batches = [sampler.draw(rng) for _ in range(60)]
    side = network.patch_px
    assert batches[0].features.shape == (network.n_labelled + network.n_unlabelled, 1, side, side)
    seen = np.zeros(50 * 40)
    for batch in batches:
        weights, values = batch.weights.numpy(), np.round(batch.features.numpy()[:, 0] * 2000)
        positive, unlabelled = batch.parts["positive"], batch.parts["unlabelled"]
        np.testing.assert_allclose(weights[positive].sum((1, 2)), 1, rtol=1e-5)
        painted = values[positive][weights[positive] > 0].astype(int)
        assert set(labels.ravel()[painted]) == {1}
        np.add.at(seen, values[unlabelled][weights[unlabelled] > 0].astype(int), 1)
    seen = seen.reshape(50, 40)
    assert seen[40:].max() == 0  # ignored
    assert seen[:40].min() > 0
    assert seen[:3, :3].mean() == pytest.approx(seen[18:22, 18:22].mean(), rel=0.5)  # corners are not neglected


def test_same_seed_same_batch():
    sampler = PixelSampler({"positive": [torch.rand(9, 2)]}, torch.rand(50, 2), network_of("pixel"))
    a, b, c = (sampler.draw(np.random.default_rng(seed)).features for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
