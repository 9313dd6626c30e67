"""Time, planes and voxels: what every row of NETWORKS makes of images of all axes, in memory or lazy, tiled or not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dask import array as dask_array

from napari_pu_segment.core.card import make_card
from napari_pu_segment.core.compute.runtime import set_threads
from napari_pu_segment.core.compute.stream import stream
from napari_pu_segment.core.compute.tiles import map_tiles
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.images import sampling
from napari_pu_segment.core.images.intensity import ChannelStats, measure
from napari_pu_segment.core.methods.pu import PuSettings, train
from napari_pu_segment.core.model import Model, load_model, save_model
from napari_pu_segment.core.networks import NETWORKS, NetworkSpec, build_network
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import NEGATIVE, POSITIVE, Sample
from napari_pu_segment.core.training import patch_images

KINDS = {  # axes, shape, spatial axes of the network
    "2-D": ("CYX", (2, 45, 61), 2),
    "stack by planes": ("CZYX", (2, 3, 45, 61), 2),
    "2-D + t": ("CTYX", (2, 3, 45, 61), 2),
    "3-D": ("CZYX", (2, 5, 45, 37), 3),
    "3-D + t by planes": ("CTZYX", (2, 2, 3, 45, 61), 2),
    "3-D + t": ("CTZYX", (2, 2, 5, 45, 37), 3),
}
QUICK = PuSettings(n_steps=4, prior="fixed", class_prior=0.2, threads=1)


class Recorded:
    """An image that remembers how much of it was read at once; like a lazy one, it has no `__array__`."""

    def __init__(self, image):
        self._image, self.shape, self.dtype = image, image.shape, image.dtype
        self.largest = self.total = 0

    def __getitem__(self, where):
        part = self._image[where]
        self.largest, self.total = max(self.largest, part.size), self.total + part.size
        return part

    def __array__(self, *args, **kwargs):
        raise AssertionError("the whole image was asked for")


def spec_of(name, ndim, plane_px=1.0):
    bank = (("gaussian", "hessian", "opening"), (1.0, 3.5)) if name == "pixel" else ((), ())
    return NetworkSpec(
        **{"name": name, "in_channels": 2, "ndim": ndim, "width": 8, "plane_px": plane_px},
        **{"filters": bank[0], "sigmas_px": bank[1]},
    )


def make_model(name, ndim, axes, plane_px=1.0, statistics="training"):
    set_threads(1)
    spec = spec_of(name, ndim, plane_px)
    network = build_network(spec, 0).eval()
    stats = ChannelStats(low=0.0, high=1.0, softening=1.0, transform="linear")
    card = make_card(
        network.state_dict(),
        **{"method": "pu", "settings": {"threads": 1}, "network": spec, "axes": axes, "channel_names": ()},
        **{"intensity": (stats, stats), "statistics": statistics, "threshold": 0.5},
        **{"class_prior": 0.2, "class_prior_interval": (0.2, 0.2), "class_prior_source": "fixed"},
        **{"pixel_size": (), "pixel_unit": "px", "n_positive_strokes": 1, "n_negative_strokes": 0},
    )
    return Model(network, card)


def noise(shape, seed=0):
    return np.random.default_rng(seed).random(shape).astype(np.float32)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("name", list(NETWORKS))
def test_lazy_and_tiled_are_eager_and_whole(name, kind):
    axes, shape, ndim = KINDS[kind]
    model, image = make_model(name, ndim, axes), noise(shape)
    whole = run(map_tiles(model, image, axes=axes, tile_px=4096))
    assert whole.shape == (1, *shape[1:])
    assert whole.std() > 0
    lazy = dask_array.from_array(image, chunks=(1, *(1,) * (len(shape) - 3), 16, 16))
    np.testing.assert_array_equal(run(map_tiles(model, lazy, axes=axes, tile_px=17)), whole)
    streamed = np.full(shape[1:], np.nan, np.float32)
    run(stream(model, Sample(lazy, axes=axes), streamed))
    np.testing.assert_array_equal(streamed, whole[0])


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_time_point_is_predicted_as_if_alone(name):
    for axes, shape, ndim in (KINDS["2-D + t"], KINDS["3-D + t by planes"], KINDS["3-D + t"]):
        model, series = make_model(name, ndim, axes), noise(shape)
        whole = run(map_tiles(model, series, axes=axes))
        alone = run(map_tiles(model, series[:, 1], axes=axes.replace("T", "")))
        np.testing.assert_array_equal(alone, whole[:, 1])
        assert not np.array_equal(whole[:, 0], whole[:, 1])
    by_planes = make_model(name, 2, "CZYX")
    np.testing.assert_array_equal(
        run(map_tiles(by_planes, series[:, 0, 2], axes="CYX")), run(map_tiles(by_planes, series))[:, 0, 2]
    )


def test_time_is_no_space():
    model = make_model("pixel", 3, "CZYX")
    image = noise((2, 4, 20, 20))
    assert run(map_tiles(model, image, axes="CZYX")).shape == (1, 4, 20, 20)
    for axes, shape, words in (
        ("CTYX", (2, 4, 20, 20), "time series of single planes"),
        ("CYX", (2, 9, 9), "a single"),
    ):
        with pytest.raises(InputError, match=words):
            run(map_tiles(model, noise(shape), axes=axes))
    labels = np.zeros((4, 20, 20), np.uint8)
    labels[0, 5, 5:9] = POSITIVE
    volume = QUICK.changed({"dimensions": "volume"})
    assert run(train([Sample(image, labels)], volume)).card.network.ndim == 3
    with pytest.raises(InputError, match="no volumes to train on"):
        run(train([Sample(image, labels, axes="CTYX")], volume))


class Blocks:
    """An output that is no array."""

    def __init__(self, shape):
        self.shape, self.array, self.writes = shape, np.full(shape, np.nan, np.float32), 0

    def __setitem__(self, where, block):
        self.array[where] = block
        self.writes += 1


def test_results_go_where_they_are_wanted_and_the_image_is_read_in_tiles():
    model, image = make_model("pixel", 2, "CTYX"), Recorded(noise((2, 3, 200, 210)))
    out = Blocks((1, 3, 200, 210))
    assert run(map_tiles(model, image, axes="CTYX", tile_px=64, out=out)) is out
    np.testing.assert_array_equal(out.array, run(map_tiles(model, image._image, axes="CTYX")))
    assert out.writes == 3 * 4 * 4
    assert image.largest < image._image.size / 8
    with pytest.raises(InputError, match="cannot be written"):
        run(map_tiles(model, image._image, axes="CTYX", out=Blocks((1, 2, 200, 210))))


@pytest.mark.parametrize("plane_px", [0.4, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("name", [name for name, row in NETWORKS.items() if row.heeds_planes])
def test_nothing_beyond_the_halo_of_a_volume_matters(name, plane_px):
    set_threads(1)
    network = build_network(spec_of(name, 3, plane_px), 0).eval()
    across, down, _ = network.along(3, 0)
    sides = [2 * (reach.halo_px + reach.stride_px) for reach in (across, down)] + [16]
    if np.prod(sides) > 2e6:
        sides[1] = 16
    x = torch.rand(1, 2, *sides, generator=torch.Generator().manual_seed(1))
    z, y = across.halo_px + across.stride_px, sides[1] // 2
    far, near = x.clone(), x.clone()
    far[:, :, : z - across.halo_px] += 1
    near[:, :, z] += 1
    with torch.inference_mode():
        before, after, moved = (network(image)[0, 0, z, y, 8] for image in (x, far, near))
    assert torch.allclose(before, after, atol=1e-6)
    assert not torch.allclose(before, moved, atol=1e-6)


@pytest.mark.parametrize("name", [name for name, row in NETWORKS.items() if row.heeds_planes])
def test_tiles_of_volumes_agree_whatever_the_distance_of_planes(name):
    for plane_px in (0.5, 9.8):
        model, image = make_model(name, 3, "CZYX", plane_px), noise((2, 9, 70, 52))
        whole = run(map_tiles(model, image, tile_px=512))
        np.testing.assert_array_equal(run(map_tiles(model, image, tile_px=24)), whole)


def test_the_distance_of_planes_is_the_image_s_or_the_given_one(tmp_path):
    image, labels = noise((2, 6, 40, 40)), np.zeros((6, 40, 40), np.uint8)
    labels[2, 5, 5:20] = POSITIVE
    known = Sample(image, labels, pixel_size=(45.0, 4.5, 4.5))
    volume = QUICK.changed({"dimensions": "volume"})
    models = [run(train([known], volume.changed({"plane_px": value}))) for value in (0, 1, 4)]
    assert [model.card.network.plane_px for model in models] == [10.0, 1.0, 4.0]
    assert run(train([Sample(image, labels)], volume)).card.network.plane_px == 1
    assert run(train([known], QUICK)).card.network.plane_px == 1, "planes on their own have no distance"
    whole = [run(map_tiles(model, image)) for model in models]
    assert not np.array_equal(whole[0], whole[1])
    save_model(models[0], tmp_path / "model")
    np.testing.assert_array_equal(run(map_tiles(load_model(tmp_path / "model"), image)), whole[0])
    other = Sample(image, labels, pixel_size=(9.0, 4.5, 4.5))
    with pytest.raises(InputError, match="differ in how far"):
        run(train([known, other], volume))


@pytest.mark.parametrize("name", ["pixel", "unet"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_training_on_every_kind_of_axes(kind, name):
    axes, shape, ndim = KINDS[kind]
    image, labels = noise(shape), np.zeros(shape[1:], np.uint8)
    labels[..., 20:24, 8:30], labels[..., 35:37, 8:30] = POSITIVE, NEGATIVE
    settings = QUICK.changed({"network": name, "dimensions": "volume" if ndim == 3 else "planes", "width": 8})
    lazy = dask_array.from_array(image, chunks=(1, *(1,) * (len(shape) - 3), 16, 16))
    eager_model, lazy_model = (run(train([Sample(part, labels, axes=axes)], settings)) for part in (image, lazy))
    assert eager_model.card.axes == axes
    assert eager_model.card.tensors_sha256 == lazy_model.card.tensors_sha256
    assert eager_model.card.n_positive_strokes == (shape[1] if "T" in axes else 1), "no stroke goes through time"
    assert run(map_tiles(eager_model, image, axes=axes)).std() > 0


@pytest.mark.parametrize("name", ["pixel", "unet"])
@pytest.mark.parametrize(("axes", "shape"), [("CYX", (1, 1200, 900)), ("CTZYX", (1, 3, 4, 300, 300))])
def test_a_large_image_is_read_in_parts(name, axes, shape, monkeypatch):
    monkeypatch.setattr(sampling, "LARGE_PX", 2**18)
    monkeypatch.setattr(sampling, "_N_WINDOWS", 24)
    monkeypatch.setattr("napari_pu_segment.core.filters.features._MAP_BYTES", 2**20)
    image, labels = noise(shape), np.zeros(shape[1:], np.uint8)
    labels[..., 20:24, 8:30], labels[..., 35:37, 8:30] = POSITIVE, NEGATIVE
    settings = QUICK.changed({"network": name, "sigmas_px": (1.0,), "width": 8, "prior": "auto"})
    seen = Recorded(image)
    model = run(train([Sample(seen, labels, axes=axes)], settings))
    again = run(train([Sample(image, labels, axes=axes)], settings))
    assert model.card == again.card.model_copy(update={"created": model.card.created})
    assert seen.largest <= image.size / 10
    first = seen.total
    run(measure([Sample(seen, axes=axes)]))
    assert 0 < seen.total - first < image.size / 4


def test_blocks_of_a_large_image_make_the_patches_of_the_whole(monkeypatch):
    sample = Sample(noise((2, 30, 150, 170)))
    stats = run(measure([sample]))
    whole = patch_images.PatchImage(sample, stats)
    monkeypatch.setattr(patch_images, "is_large", lambda shape: True)
    parts = patch_images.PatchImage(sample, stats)
    assert not np.array_equal(whole.cut((0, 0, 0), (8, 32, 32))[0], whole.cut((8, 32, 32), (8, 32, 32))[0])
    for starts in ((-7, -30, -31), (5, 50, 40), (26, 140, 165), (14, 63, 127)):
        for ours, theirs in zip(parts.cut(starts, (8, 32, 32)), whole.cut(starts, (8, 32, 32)), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_statistics_of_each_image():
    dim, labels = noise((1, 60, 70)) * 100, np.zeros((60, 70), np.uint8)
    labels[20:24, 8:30], labels[35:37, 8:30] = POSITIVE, NEGATIVE
    bright = dim * 7 + 50
    fixed, own = (run(train([Sample(dim, labels)], QUICK.changed({"statistics": s}))) for s in ("training", "image"))
    assert own.card.statistics == "image"
    before, after = (run(map_tiles(own, image)) for image in (dim, bright))
    np.testing.assert_allclose(before, after, atol=2e-3)
    assert np.abs(run(map_tiles(fixed, dim)) - run(map_tiles(fixed, bright))).max() > 0.1
    np.testing.assert_array_equal(run(map_tiles(own, bright, tile_px=32)), after)
    np.testing.assert_array_equal(
        run(map_tiles(run(own.for_image(bright)), bright[:, :, :55]))[..., :20], after[..., :20]
    )
    assert run(own.for_image(dim)).card.intensity != run(own.for_image(bright)).card.intensity
    assert run(fixed.for_image(bright)) is fixed
    with pytest.raises(InputError, match="cannot continue"):
        run(train([Sample(dim, labels)], QUICK.changed({"statistics": "training"}), start=own))
    assert run(train([Sample(dim, labels)], QUICK, start=own)).card.statistics == "image"
