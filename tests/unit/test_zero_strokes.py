"""Segmentation without strokes: clusters, their names, the boundary, and strokes made of the result."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_pu_segment.core.clustering.clusters import CLUSTERERS, NAMINGS, Looks, boundary, separability
from napari_pu_segment.core.clustering.proposal import sure_strokes
from napari_pu_segment.core.clustering.settings import ClusterSettings
from napari_pu_segment.core.compute.tiles import map_tiles
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.losses.vae import LATENT_LOSSES, divergence, two_peaks
from napari_pu_segment.core.methods.cluster import train
from napari_pu_segment.core.model import load_model, save_model
from napari_pu_segment.core.networks import CLUSTERINGS, build_network
from napari_pu_segment.core.networks.base import NetworkSpec
from napari_pu_segment.core.networks.mixture import Mixture
from napari_pu_segment.core.pipeline import predict
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import IGNORE, NEGATIVE, POSITIVE, Sample
from napari_pu_segment.core.training.fit import FeatureCache
from tests.helpers import dice, disk_sample, disks

QUICK = ClusterSettings(threads=1, n_steps=20)


def grey(bright: float, dark: float) -> tuple[np.ndarray, np.ndarray]:
    """Disks and squares of two greys on grey: image (1, Y, X), and where the bright ones are."""
    _, truth = disks()
    rng = np.random.default_rng(0)
    image = rng.normal(50, 3, truth.shape)
    image[truth] += bright
    image[35:60, 60:75] += dark
    return image[None].astype(np.float32), truth


@pytest.mark.parametrize("features", CLUSTERINGS)
def test_objects_are_found_without_a_stroke(features):
    image, truth = disks()
    model = run(train([Sample(image)], QUICK.changed({"network": features})))
    assert dice(predict(model, image) >= 0.5, truth) > 0.8
    assert (model.card.method, model.card.n_positive_strokes) == ("cluster", 0)
    assert model.card.class_prior_source == "clusters"
    assert model.card.class_prior == pytest.approx(truth.mean(), abs=0.08)


def test_dark_objects_are_objects_where_they_are_the_smaller_part():
    image, truth = disks()
    assert dice(predict(run(train([Sample(-image)], QUICK)), -image) >= 0.5, truth) > 0.85


@pytest.mark.parametrize("features", CLUSTERINGS)
@pytest.mark.parametrize("clusterer", CLUSTERERS)
def test_a_model_is_kept_in_a_file_and_tiles_agree(features, clusterer, tmp_path):
    image, _ = disks(n_channels=2)
    model = run(train([Sample(image)], QUICK.changed({"network": features, "clusterer": clusterer})))
    save_model(model, tmp_path / "m.pumodel")
    again = load_model(tmp_path / "m.pumodel")
    whole = predict(model, image)
    assert 0 < whole.min() < 0.5 < whole.max() < 1
    np.testing.assert_array_equal(predict(again, image), whole)
    np.testing.assert_array_equal(run(map_tiles(again, image, tile_px=37))[0], whole)


@pytest.mark.parametrize("features", CLUSTERINGS)
def test_same_seed_same_bytes(features):
    sample, _ = disk_sample()
    settings, cache = QUICK.changed({"network": features}), FeatureCache()
    first = run(train([sample], settings, cache=cache)).card.tensors_sha256
    assert run(train([sample], settings, cache=cache)).card.tensors_sha256 == first
    assert run(train([sample], settings.changed({"seed": 1}))).card.tensors_sha256 != first


def test_a_dab_names_the_cluster():
    image, bright = grey(60, -40)
    dark = np.zeros_like(bright)
    dark[35:60, 60:75] = True
    three = QUICK.changed({"n_clusters": 3})
    for wanted, other, at in ((bright, dark, (20, 20)), (dark, bright, (50, 68))):
        codes = np.zeros(bright.shape, np.uint8)
        codes[at] = POSITIVE
        model = run(train([Sample(image, codes)], three))
        mask = predict(model, image) >= 0.5
        assert dice(mask, wanted) > 0.9
        assert not (mask & other).any()
        assert model.card.n_positive_strokes == 1


def test_a_model_that_is_continued_from_keeps_its_clusters():
    image, bright = grey(60, -40)
    three = QUICK.changed({"n_clusters": 3})
    first = run(train([Sample(image)], three))
    codes = np.zeros(bright.shape, np.uint8)
    codes[20, 20] = POSITIVE
    again = run(train([Sample(image, codes)], three, start=first))
    old, new = first.network.state_dict(), again.network.state_dict()
    assert torch.equal(old["mixture.whiten.weight"], new["mixture.whiten.weight"])
    assert not torch.equal(old["mixture.objects"], new["mixture.objects"])
    assert dice(predict(again, image) >= 0.5, bright) > 0.9


@pytest.mark.parametrize(("naming", "offset"), [("brightest", 60), ("darkest", -40)])
def test_clusters_named_by_how_they_look(naming, offset):
    image, _ = grey(60, -40)
    mask = predict(run(train([Sample(image)], QUICK.changed({"n_clusters": 3, "objects": naming}))), image) >= 0.5
    assert mask[20, 20] == (offset > 0)
    assert mask[50, 68] == (offset < 0)


def test_a_known_prior_is_what_the_mask_covers():
    image, _ = disks(shape=(120, 120))
    model = run(train([Sample(image)], QUICK.changed({"prior": "fixed", "class_prior": 0.05})))
    assert (predict(model, image) >= 0.5).mean() == pytest.approx(0.05, abs=0.01)
    assert (model.card.class_prior, model.card.class_prior_source) == (0.05, "fixed")


def test_images_without_contrast_are_refused():
    with pytest.raises(InputError, match="no contrast"):
        run(train([Sample(np.full((1, 40, 40), 7.0))], QUICK))
    with pytest.raises(InputError, match="no dab"):
        run(train([Sample(disks()[0])], QUICK.changed({"objects": "dabs"})))


def test_volumes_are_clustered_in_3_d():
    image, truth = disks(shape=(96, 80))
    stack = np.repeat(image[:, None], 6, axis=1) + np.random.default_rng(1).normal(0, 5, (1, 6, 96, 80))
    model = run(train([Sample(stack.astype(np.float32))], QUICK.changed({"dimensions": "volume"})))
    assert model.card.network.ndim == 3
    assert dice(predict(model, stack) >= 0.5, np.repeat(truth[None], 6, axis=0)) > 0.85


def test_clusters_named_by_their_numbers():
    nan = np.full(3, np.nan)
    looks = Looks(np.array([0.7, 0.2, 0.1]), np.array([0.2, 0.9, 0.1]), nan, nan)
    names = {name: row.name(looks).tolist() for name, row in NAMINGS.items() if name != "dabs"}
    assert names == {
        "auto": [False, True, True],
        "brightest": [False, True, False],
        "darkest": [False, False, True],
        "smallest": [False, False, True],
    }
    dabs = Looks(looks.weight, looks.brightness, np.array([0.6, 0.1, 0.3]), nan)
    assert NAMINGS["auto"].name(dabs).tolist() == [False, False, True]  # lifts 0.86, 0.5, 3
    both = Looks(looks.weight, looks.brightness, dabs.positive, np.array([0.4, 0.0, 0.6]))
    assert NAMINGS["dabs"].name(both).tolist() == [True, True, False]  # 1.5, more than any, 0.5


def test_the_score_is_the_root_of_the_log_odds():
    mixture = Mixture(1, 2, 1)
    # N(0, 1) of weight 0.8 and N(3, 0.5^2) of weight 0.2, the second is the object
    constants = torch.tensor([math.log(0.8), math.log(0.2) + math.log(2)])
    mixture.set_clusters(torch.tensor([[1.0], [2.0]]), torch.tensor([0.0, -6.0]), constants, torch.arange(2))
    mixture.set_objects(torch.tensor([False, True]))
    with torch.inference_mode():
        found = mixture(torch.tensor([[0.0, 3.0]]))[0].tolist()
    odds = [math.log(0.4 / 0.8) - 18, math.log(0.4 / 0.8) + 4.5]
    assert found == pytest.approx([-math.sqrt(-odds[0]), math.sqrt(odds[1])], rel=1e-5)
    mixture.rescale(1.0, 2.0)
    mixture.rescale(0.5, 3.0)
    with torch.inference_mode():
        assert mixture(torch.tensor([[3.0]])).item() == pytest.approx(
            ((math.sqrt(odds[1]) - 1) * 2 - 0.5) * 3, rel=1e-5
        )


def test_one_side_alone():
    mixture = Mixture(1, 2, 1)
    # N(0, 1) and N(0, 4^2) alike: the wide one is the object, above 0 alone
    constants = torch.tensor([0.0, math.log(0.25)])
    mixture.set_clusters(torch.tensor([[1.0], [0.25]]), torch.zeros(2), constants, torch.arange(2))
    x = torch.tensor([[-4.0, 0.0, 0.5, 4.0]])
    mixture.set_objects(torch.tensor([False, True]))
    with torch.inference_mode():
        both = mixture(x)[0]
        mixture.set_side(torch.zeros(1), torch.ones(1), torch.ones(1))
        one = mixture(x)[0]
    assert both.sign().tolist() == [1, -1, -1, 1]
    middle, half = both[1].item(), both[2].item()  # at the middle, and half a deviation beside it
    mirrored, far = 2 * middle - both[0].item(), both[3].item()
    assert one.tolist() == pytest.approx([mirrored, middle, (middle + half) / 2, far])
    _, truth = disks()
    rng = np.random.default_rng(0)
    image = np.where(truth, rng.normal(8, 40, truth.shape), rng.normal(0, 2, truth.shape))
    dark = ndimage.gaussian_filter(image, 1.0) < -8
    assert dark.sum() > 50
    shares = []
    for one_sided in (False, True):
        model = run(train([Sample(image[None])], QUICK.changed({"one_sided": one_sided})))
        shares.append((predict(model, image[None]) >= 0.5)[dark].mean())
    assert shares[0] > 0.95
    assert shares[1] < 0.05


def test_the_boundary_lies_between_two_humps_or_where_odds_are_even():
    rng = np.random.default_rng(0)
    humps = np.concatenate([rng.normal(-2, 0.4, 900), rng.normal(4, 0.4, 100)])
    assert -1 < boundary(humps) < 3
    assert abs(boundary(humps) - 0) > 0.1
    one = rng.normal(-2, 1, 1000)
    assert separability(one)[1] < 0.75 < separability(humps)[1]
    assert boundary(one) == 0


def test_divergences_by_hand():
    mean, log_variance = torch.tensor([[1.0], [0.5]]).T, torch.log(torch.tensor([[4.0], [1.0]])).T
    # (4 + 1 - 1 - log 4) / 2 and (1 + 0.25 - 1 - 0) / 2
    expected = [(4 - math.log(4)) / 2, 0.125]
    assert divergence(mean, log_variance)[0].tolist() == pytest.approx(expected)
    assert LATENT_LOSSES["kl"].compute(mean, log_variance, 0.5).item() == pytest.approx(sum(expected))
    assert LATENT_LOSSES["none"].compute(mean, log_variance, 0.5).item() == 0
    upper, lower = (4 + 1 - 1 - math.log(4)) / 2, (4 + 9 - 1 - math.log(4)) / 2  # to peaks at 2 and -2
    bound = -math.log(0.3 * math.exp(-upper) + 0.7 * math.exp(-lower)) + 0.125
    assert two_peaks(mean, log_variance, 0.3).item() == pytest.approx(bound, rel=1e-5)
    alike = LATENT_LOSSES["two_peaks"].compute(mean, log_variance, 0.3).item()
    assert alike == pytest.approx(two_peaks(mean, log_variance, 0.5).item())
    assert alike != pytest.approx(bound)


def test_the_surest_pixels_become_strokes():
    probability = np.tile(np.linspace(0, 0.95, 20, dtype=np.float32), (6, 1))
    labels = np.zeros((6, 20), np.uint8)
    labels[0, 19], labels[5] = NEGATIVE, IGNORE
    codes = sure_strokes(probability, 0.5, labels=labels, share=0.5)
    assert codes[2].tolist() == [NEGATIVE] * 5 + [0] * 10 + [POSITIVE] * 5
    assert (codes[5] == IGNORE).all()
    assert codes[0, 19] == NEGATIVE  # was painted
    everywhere = sure_strokes(probability, 0.5, share=1.0)
    assert everywhere[2].tolist() == [NEGATIVE] * 9 + [0, 0] + [POSITIVE] * 9  # but for the rim
    with pytest.raises(InputError, match="Move the threshold"):
        sure_strokes(probability, 0.99)


def test_networks_of_older_models_have_no_clusters():
    spec = NetworkSpec(name="pixel", in_channels=1, ndim=2, width=8, filters=("gaussian",), sigmas_px=(1.0,))
    assert spec.clusters == 0
    assert "mixture.constants" not in build_network(spec).state_dict()


def test_a_hypercolumn_holds_every_level_at_its_place():
    spec = NetworkSpec(name="hypercolumns", in_channels=2, ndim=2, width=4, clusters=2)
    network = build_network(spec, 0)
    x = torch.rand(1, 2, 16, 24, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found, (full, half, quarter, code) = network.stem(x), network.encoder.levels(x)
        code_alone = build_network(spec.model_copy(update={"name": "autoencoder"}), 0).stem(x)
    assert found.shape == (1, 2 + 3 * 4 + 4, 16, 24)
    assert torch.equal(found[:, :2], x)
    assert torch.equal(found[:, 2:6], full)
    for maps, level, factor in ((found[:, 6:10], half, 2), (found[:, 10:14], quarter, 4), (found[:, 14:], code, 4)):
        # a level's pixels lie in the middle of as many: the mean of the two beside the middle is theirs
        at = factor * 2 + factor // 2 - 1
        middle = maps[..., at : at + 2, at : at + 2].mean((2, 3))
        beside = level[:, : maps.shape[1], 1:4, 1:4]
        assert maps.shape[2:] == (16, 24)
        low, high = beside.amin((2, 3)) - 1e-6, beside.amax((2, 3)) + 1e-6
        assert ((low <= middle) & (middle <= high)).all()
    assert torch.equal(code_alone, torch.cat([x, found[:, 14:]], 1))
