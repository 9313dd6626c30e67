"""What every row of NETWORKS and CLUSTERINGS promises: shapes, halo, stride, tiles that agree with the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pu_segment.core.card import make_card
from napari_pu_segment.core.compute.runtime import set_threads
from napari_pu_segment.core.compute.tiles import map_tiles
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.images.intensity import ChannelStats
from napari_pu_segment.core.model import Model
from napari_pu_segment.core.networks import CLUSTERINGS, NETWORKS, NetworkSpec, build_network, network_row
from napari_pu_segment.core.progress import run

EVERY = [*NETWORKS, *CLUSTERINGS]


def spec_of(name, ndim=2, n_channels=2, width=8):
    bank = network_row(name).bank
    filters, sigmas = (("gaussian", "hessian"), (1.0, 3.5)) if bank else ((), ())
    return NetworkSpec(name=name, in_channels=n_channels, ndim=ndim, width=width, filters=filters, sigmas_px=sigmas)


def make_network(name, **kwargs):
    set_threads(1)
    torch.manual_seed(0)
    return build_network(spec_of(name, **kwargs)).eval()


def make_model(name, ndim=2, stack=False):
    network = make_network(name, ndim=ndim)
    stats = ChannelStats(low=0.0, high=1.0, softening=1.0, transform="linear")
    card = make_card(
        network.state_dict(),
        method="pu",
        settings={"threads": 1},
        network=spec_of(name, ndim=ndim),
        axes="CZYX" if stack or ndim == 3 else "CYX",
        channel_names=(),
        intensity=(stats, stats),
        class_prior=0.2,
        class_prior_interval=(0.2, 0.2),
        class_prior_source="fixed",
        threshold=0.5,
        pixel_size=(),
        pixel_unit="px",
        n_positive_strokes=1,
        n_negative_strokes=0,
    )
    return Model(network, card)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", EVERY)
def test_shapes(name, ndim):
    network = make_network(name, ndim=ndim)
    side = 16 if ndim == 3 else 40
    x = torch.rand(1, 2, *(side,) * ndim)
    with torch.inference_mode():
        scores = network(x)
    assert scores.shape == (1, 1, *(side,) * ndim)
    assert scores.isfinite().all()
    assert scores.std() > 0


@pytest.mark.parametrize("name", EVERY)
def test_scores_are_rescaled(name):
    network = make_network(name)
    side = max(16, network.stride_px)
    x = torch.rand(1, 2, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        before = network(x)
    network.rescale(offset=0.25, factor=3.0)
    with torch.inference_mode():
        after = network(x)
    assert not torch.allclose(after, before, atol=1e-3)
    torch.testing.assert_close(after, (before - 0.25) * 3.0, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", EVERY)
def test_nothing_beyond_the_halo_matters(name):
    network = make_network(name)
    side = 2 * network.halo_px + 2 * network.stride_px
    centre = side // 2
    x = torch.rand(1, 2, side, side, generator=torch.Generator().manual_seed(1))
    far, near = x.clone(), x.clone()
    far[..., : centre - network.halo_px] += 1
    near[..., centre - 1 : centre + 2] += 1
    with torch.inference_mode():
        before, after, moved = (network(image)[0, 0, centre, centre] for image in (x, far, near))
    assert torch.allclose(before, after, atol=1e-6)
    assert not torch.allclose(before, moved, atol=1e-6)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("shape", [(83, 61), (301, 277), (1, 1), (5, 400)])
def test_tiles_agree_with_the_whole(name, shape):
    if name == "resnet18" and shape == (301, 277):
        shape = (70, 530)  # more than one window, without minutes of arithmetic
    model = make_model(name)
    image = np.random.default_rng(0).random((2, *shape)).astype(np.float32)
    whole = run(map_tiles(model, image, tile_px=4096))
    assert whole.shape == (1, *shape)
    assert whole.dtype == np.float32
    assert (whole >= 0).all()
    assert (whole <= 1).all()
    for tile_px in (37, 64, 100):
        np.testing.assert_array_equal(run(map_tiles(model, image, tile_px=tile_px)), whole)


@pytest.mark.parametrize("name", EVERY)
def test_a_plane_of_a_stack_is_predicted_as_if_alone(name):
    model = make_model(name, stack=True)
    stack = np.random.default_rng(0).random((2, 3, 40, 45)).astype(np.float32)
    whole = run(map_tiles(model, stack))
    assert whole.shape == (1, 3, 40, 45)
    np.testing.assert_array_equal(run(map_tiles(model, stack[:, 1])), whole[:, 1])
    assert not np.array_equal(whole[:, 0], whole[:, 1])


def test_volume_tiles_agree():
    model = make_model("pixel", ndim=3)
    volume = np.random.default_rng(0).random((2, 9, 50, 41)).astype(np.float32)
    whole = run(map_tiles(model, volume, tile_px=512))
    np.testing.assert_array_equal(run(map_tiles(model, volume, tile_px=19)), whole)


@pytest.mark.parametrize("name", EVERY)
def test_row_is_complete(name):
    row = network_row(name)
    assert row.title
    assert row.reference
    assert (row.surrogate in ("sigmoid", "logistic")) == (name in NETWORKS)


def test_unknown_network_lists_the_known():
    with pytest.raises(InputError, match=", ".join(NETWORKS)):
        build_network(spec_of("pixel").model_copy(update={"name": "nonsense"}))


@pytest.mark.parametrize("name", EVERY)
def test_the_seed_alone_decides_the_first_weights(name):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first, again, other = (build_network(spec_of(name), seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(100)  # somebody else draws from the shared generator
    later = build_network(spec_of(name), 3).state_dict()
    assert all(torch.equal(first[key], again[key]) and torch.equal(first[key], later[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_wrong_image_is_refused():
    model = make_model("pixel")
    with pytest.raises(InputError, match="needs axes"):
        run(map_tiles(model, np.zeros((8, 8), np.float32)))
    with pytest.raises(InputError, match="cannot be"):
        run(map_tiles(model, np.zeros((2, 8, 8), np.float32), tile_px=-1))
    with pytest.raises(InputError, match="3 channel"):
        run(map_tiles(model, np.zeros((3, 8, 8), np.float32)))
    with pytest.raises(InputError, match="volumes"):
        run(map_tiles(make_model("pixel", ndim=3), np.zeros((2, 8, 8), np.float32)))
