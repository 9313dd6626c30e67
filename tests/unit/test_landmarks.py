"""Clusters joined from landmarks: forms that no Gaussian has, numbers that nobody asked for, and files of models."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from napari_pu_segment.core.card import tensors_hash
from napari_pu_segment.core.clustering.clusters import ASKED, CLUSTERERS
from napari_pu_segment.core.clustering.components import Components
from napari_pu_segment.core.clustering.landmarks import LANDMARKS, bend
from napari_pu_segment.core.clustering.settings import ClusterSettings
from napari_pu_segment.core.errors import InputError, ModelFileError
from napari_pu_segment.core.methods.cluster import train
from napari_pu_segment.core.model import load_model, save_model
from napari_pu_segment.core.networks.base import NetworkSpec
from napari_pu_segment.core.networks.mixture import Mixture
from napari_pu_segment.core.objects.classify import ClassifySettings, classify
from napari_pu_segment.core.pipeline import predict
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import POSITIVE, Sample
from tests.helpers import dice, disks
from tests.unit.test_classify import spots

QUICK = ClusterSettings(threads=1)
JOINED = ("spectral", "dbscan")


def moons(n=400):
    """Two interleaved half circles (n, 2), and which of them each row is on."""
    rng = np.random.default_rng(0)
    angle, second = rng.uniform(0, np.pi, n), np.arange(n) % 2 == 1
    rows = np.stack([np.where(second, 1 - np.cos(angle), np.cos(angle)), np.sin(angle) * np.where(second, -1, 1)], 1)
    rows[second, 1] += 0.5
    return rows + rng.normal(0, 0.05, rows.shape), second


def blobs(n=90):
    """Three round clusters of n rows in two dimensions, and six rows far from all of them."""
    rng = np.random.default_rng(0)
    rows = [rng.normal(middle, 0.3, (n, 2)) for middle in ((0, 0), (4, 0), (0, 4))]
    far = np.array([[9, 9], [-6, 8], [8, -6], [-7, -7], [12, 1], [1, 12]], float)
    return np.concatenate([*rows, far])


def clusters(name, rows, n_clusters=2, seed=0):
    found = run(CLUSTERERS[name].find(rows, n_clusters, seed))
    return found, found.log_densities(rows).argmax(1)


@pytest.mark.parametrize("name", CLUSTERERS)
def test_half_circles_want_more_than_gaussians(name):
    rows, second = moons()
    found, told = clusters(name, rows)
    agreement = max((told == second).mean(), (told != second).mean())
    assert (agreement > 0.99) == (name in JOINED), f"{name}: {agreement}"
    assert told.max() == 1 + found.odd


def test_dbscan_counts_clusters_and_tells_what_fits_nowhere():
    found, told = clusters("dbscan", blobs(), n_clusters=2)
    assert found.odd
    own = told[:270].reshape(3, 90)
    most = [np.bincount(part).argmax() for part in own]
    assert sorted(most) == [0, 1, 2]
    assert (own == np.array(most)[:, None]).mean() > 0.97
    assert told[270:].tolist() == [3] * 6
    assert not clusters("spectral", blobs(), n_clusters=3)[0].odd


def test_one_cluster_without_a_gap_is_told():
    y, x = np.mgrid[:12, :12]
    even = np.stack([y.ravel(), x.ravel()], 1).astype(float)
    with pytest.raises(InputError, match="a single cluster: all hangs"):
        run(CLUSTERERS["dbscan"].find(np.zeros((50, 2)), 2, 0))
    with pytest.raises(InputError, match="4 landmarks that differ; there are 2"):
        run(CLUSTERERS["spectral"].find(np.repeat([[0.0], [1]], 40, axis=0), 2, 0))
    assert np.bincount(clusters("spectral", even)[1]).min() > 50


def test_the_bend_of_a_curve():
    assert bend(np.array([0.0, 1, 2, 3, 4, 12])) == 4  # 4 / 5 - 4 / 12 is more than any before it
    assert bend(np.full(4, 2.5)) == 2.5


@pytest.mark.parametrize("name", CLUSTERERS)
def test_the_same_seed_gives_the_same_bytes_soon(name):
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 1, (20_000, 8)) * np.linspace(3, 0.5, 8)
    rows[:4000, 0] += 30  # a gap, for DBSCAN
    found, waits = [], []
    for _ in range(2):
        work, began = CLUSTERERS[name].find(rows, 3, 0), time.process_time()
        try:
            while True:
                next(work)
                waits.append(time.process_time() - began)
                began = time.process_time()
        except StopIteration as end:
            waits.append(time.process_time() - began)
            found.append(end.value)
    first, again = ([getattr(one, field).tobytes() for field in ("means", "constants", "groups")] for one in found)
    assert first == again
    assert len(found[0].means) == (CLUSTERERS[name].landmarks or 3)
    if name in JOINED:
        assert max(waits) < 1  # s, so that cancelling takes no longer


def test_densities_of_a_cluster_are_those_of_its_components():
    means, whitening = np.array([[0.0], [2], [9]]), np.ones((3, 1, 1))
    found = Components(means, whitening, np.log([0.5, 0.25, 0.25]), np.array([0, 0, 1]))
    at = np.exp(found.log_densities(np.array([[1.0]])))[0]
    assert at == pytest.approx([0.75 * np.exp(-0.5), 0.25 * np.exp(-32)])
    mixture = Mixture(1, 3, 1, joined=True)
    tensors = map(torch.from_numpy, (np.ones((3, 1)), np.array([0.0, -2, -9]), found.constants, found.groups))
    mixture.set_clusters(*tensors)
    shares = mixture.shares(torch.ones(1, 1)).detach()
    assert shares[:, 0].tolist() == pytest.approx((at / at.sum()).tolist(), abs=1e-6)
    mixture.set_objects(torch.tensor([True, False]))
    assert mixture.objects.tolist() == [True, True, False]


@pytest.mark.parametrize("clusterer", JOINED)
def test_a_model_keeps_its_clusters_and_names_them_anew(clusterer, tmp_path):
    image, truth = disks()
    settings = QUICK.changed({"clusterer": clusterer, "n_clusters": 2})
    first = run(train([Sample(image)], settings))
    assert dice(predict(first, image) >= 0.5, truth) > 0.8
    assert first.card.network.landmarks == LANDMARKS
    save_model(first, tmp_path / "m.safetensors")
    loaded, codes = load_model(tmp_path / "m.safetensors"), np.zeros(truth.shape, np.uint8)
    codes[2, 2] = POSITIVE  # the background is asked for
    assert not truth[2, 2]
    again = run(train([Sample(image, codes)], settings, start=loaded))
    old, new = first.network.state_dict(), again.network.state_dict()
    assert torch.equal(old["mixture.groups"], new["mixture.groups"])
    assert (predict(again, image) >= 0.5)[2, 2] != (predict(first, image) >= 0.5)[2, 2]
    if clusterer == "spectral":
        with pytest.raises(InputError, match="another shape"):
            run(train([Sample(image)], settings.changed({"n_clusters": 3}), start=loaded))


def test_files_of_models_with_a_gaussian_for_each_cluster_are_as_they_were(tmp_path):
    spec = NetworkSpec(name="bank", in_channels=1, ndim=2, width=4, clusters=2)
    assert "landmarks" not in spec.model_dump()
    assert spec.model_copy(update={"landmarks": 64}).model_dump()["landmarks"] == 64
    model = run(train([Sample(disks()[0])], QUICK))
    assert "mixture.groups" not in model.network.state_dict()
    assert "landmarks" not in json.loads(model.card.to_json())["network"]


def test_clusters_that_are_not_numbered_are_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    save_model(run(train([Sample(disks()[0])], QUICK.changed({"clusterer": "spectral"}))), path)
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    card, tensors = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["card"]), load_tensors(data)
    tensors["mixture.groups"][0] = 2**40
    card["tensors_sha256"] = tensors_hash(tensors)
    path.write_bytes(save_tensors(tensors, metadata={"card": json.dumps(card)}))
    with pytest.raises(ModelFileError, match="not numbered"):
        load_model(path)


def test_objects_get_as_many_classes_as_there_are():
    one, _ = spots(wide=np.arange(36) < 15)
    asked = ClassifySettings(clusterer="dbscan", n_classes=7)
    found = run(classify([one], asked))
    assert found.numbers.tolist() == [1] * 15 + [2] * 21, "what fits nowhere is last, though it is most"
    assert (found.odd, found.titles) == (True, ("class 1", "class 2, which fits nowhere"))
    assert found.chances.sum(1) == pytest.approx(1)
    assert found.proportions() == pytest.approx(np.array([[15, 21]]) / 36)
    assert ASKED == ("gaussians", "k_means", "spectral")
    seven = run(classify([one], asked.changed({"clusterer": "spectral"})))
    assert seven.chances.shape[1] == 7
    assert not seven.odd
