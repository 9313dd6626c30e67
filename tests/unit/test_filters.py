from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_pu_segment.core import filters
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.filters import FILTERS


@pytest.mark.parametrize("shape", [(40, 31), (12, 20, 17)])
@pytest.mark.parametrize("sigma", [0.7, 2.5])
def test_gaussian_agrees_with_scipy(shape, sigma):
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    radius = int(np.ceil(filters.TRUNCATE * sigma))
    expected = ndimage.gaussian_filter(image, sigma, mode="nearest", radius=radius)
    found = filters.gaussian(torch.from_numpy(image)[None, None], sigma)[0, 0].numpy()
    assert np.abs(found - image).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_derivatives_of_a_ramp_and_a_parabola():
    y, x = torch.meshgrid(torch.arange(60.0), torch.arange(60.0), indexing="ij")
    inside = (slice(25, 35), slice(25, 35))
    ramp = filters.Scale((3 * x + 4 * y)[None, None], 2.0)
    slope = FILTERS["gradient"].compute(ramp)[0][0, 0][inside]
    np.testing.assert_allclose(slope, np.full((10, 10), 5.0 * 2.0), rtol=1e-4)  # |(4, 3)| times sigma
    parabola = filters.Scale((x * x)[None, None], 2.0)
    largest, smallest = (e[0, 0][inside] for e in FILTERS["hessian"].compute(parabola))
    np.testing.assert_allclose(largest, np.full((10, 10), 2.0 * 4.0), rtol=1e-2)  # second derivative times sigma^2
    np.testing.assert_allclose(smallest, np.zeros((10, 10)), atol=1e-2)


@pytest.mark.parametrize("shape", [(40, 31), (12, 20, 17)])
@pytest.mark.parametrize("sigma", [0.7, 1.6, 5.0])
def test_opening_and_closing_agree_with_scipy(shape, sigma):
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    size = (2 * int(np.ceil(1.3 * sigma)) + 1,) * len(shape)
    scale = filters.Scale(torch.from_numpy(image)[None, None], sigma)
    opened, closed = (part[0, 0].numpy() for part in FILTERS["opening"].compute(scale))
    assert (opened < image).any()
    assert (closed > image).any()
    np.testing.assert_array_equal(opened, ndimage.grey_opening(image, size, mode="nearest"))
    np.testing.assert_array_equal(closed, ndimage.grey_closing(image, size, mode="nearest"))


def grid(n=61):
    y, x = torch.meshgrid(torch.arange(float(n)), torch.arange(float(n)), indexing="ij")
    return y, x


def maps_of(name, image, sigma=2.0):
    return [part[0, 0] for part in FILTERS[name].compute(filters.Scale(image[None, None], sigma))]


def test_laplacian_and_difference_of_gaussians_of_a_parabola():
    y, x = grid()
    bowl = x * x + y * y  # of second derivative 2 along both; smoothing by sigma adds sigma^2 for each axis
    (laplacian,), (dog,) = maps_of("laplacian", bowl), maps_of("dog", bowl)
    assert laplacian[30, 30].item() == pytest.approx(4 * 2.0**2, rel=1e-3)
    assert dog[30, 30].item() == pytest.approx(2 * (2.0**2 - 3.2**2), rel=0.03)  # cut at three sigmas
    assert maps_of("dog", torch.full((9, 9), 3.0))[0].abs().max() < 1e-5


def test_maximum_minimum_and_neighbours_of_one_bright_pixel():
    image = torch.zeros(41, 41)
    image[20, 20] = 1.0
    highest, lowest = maps_of("extremes", image)  # a box of 2 ceil(1.3 * 2) + 1 pixels
    assert highest[17:24, 17:24].min() == 1
    assert highest.sum() == 49
    assert lowest.max() == 0
    peak = filters.gaussian(image[None, None], 2.0)[0, 0, 20, 20]
    highest, lowest = maps_of("neighbours", image)  # four pixels away along an axis, three and three along both
    assert [highest[20, 24], highest[16, 20], highest[17, 23]] == [peak] * 3
    assert highest[20, 20] < peak
    assert lowest[20, 20] == lowest.max() > 0


def test_median_and_kuwahara_keep_an_edge_and_lose_a_speck():
    edge = (grid()[1] >= 30).float()
    speck = torch.zeros(61, 61)
    speck[30, 30] = 1.0
    smooth = filters.gaussian(speck[None, None], 1.0)[0, 0]
    assert smooth[30, 30] > 0.1
    # of nine places one is on the speck, four 2 px away from it, and four sqrt(8) px: the fifth from below is 2 px away
    middle, near, far = (smooth[at].item() for at in ((30, 30), (30, 28), (28, 28)))
    assert far < near < 0.03 < middle
    assert maps_of("median", speck)[0][30, 30].item() == pytest.approx(near)
    (even,) = maps_of("kuwahara", edge)
    assert even[30, 26:34].tolist() == pytest.approx([0, 0, 0, 0, 1, 1, 1, 1], abs=0.01)
    assert not 0.02 < filters.gaussian(edge[None, None], 2.0)[0, 0, 30, 22] < 0.98
    assert 0.3 < filters.gaussian(edge[None, None], 2.0)[0, 0, 30, 29] < 0.7


def test_bilateral_mixes_what_is_alike():
    y, x = grid()
    steps = (x >= 30).float() + 0.02 * (y % 2)  # an edge of ten ranges, and ripples of a fifth of one
    (found,) = maps_of("bilateral", steps, 4.0)
    assert found[30, 27] < 0.05
    assert found[30, 33] > 0.95
    assert (found[20:40, 10] - 0.01).abs().max() < 0.005


def test_membrane_of_a_line():
    line = torch.zeros(61, 61)
    line[:, 30] = 1.0
    highest, lowest, spread = (part[30, 30].item() for part in maps_of("membrane", line))
    thin = filters.gaussian(line[None, None], 2 / 3)[0, 0, 30]
    across = [thin[30 + step].item() for step in (-4, -3, -2, -1, 0, 1, 2, 3, 4)]
    assert highest == pytest.approx(across[4], rel=1e-5)  # all nine places of the vertical line are on it
    assert lowest == pytest.approx(sum(across) / 9, rel=1e-5)  # those of the horizontal one cross it
    assert 0.1 < spread < highest - lowest
    assert [part[30, 30].item() for part in maps_of("membrane", torch.ones(61, 61))] == pytest.approx(
        [1, 1, 0], abs=1e-5
    )


def test_entropy_of_even_bins():
    y, x = grid()
    two = ((x + y) % 2) * 0.9  # half of the pixels in the first bin, half in the last
    four = (x % 2) * 0.3 + (y % 2) * 0.6
    assert maps_of("entropy", torch.full((61, 61), 0.4))[0].abs().max() < 1e-6
    assert maps_of("entropy", two)[0][30, 30].item() == pytest.approx(1 - 2 * 0.5**2, abs=1e-4)
    assert maps_of("entropy", four)[0][30, 30].item() == pytest.approx(1 - 4 * 0.25**2, abs=1e-3)


def test_gabor_answers_to_its_wave():
    x = grid()[1]
    wave = torch.cos(2 * np.pi * x / 6)  # of three sigmas
    envelope = sum(np.exp(-0.5 * (i / 2) ** 2) * np.cos(2 * np.pi * i / 6) ** 2 for i in range(-6, 7))
    share = envelope / sum(np.exp(-0.5 * (i / 2) ** 2) for i in range(-6, 7))
    kept = 1 - sum(np.exp(-0.5 * (i / 2) ** 2) * np.cos(2 * np.pi * i / 6) for i in range(-6, 7)) / sum(
        np.exp(-0.5 * (i / 2) ** 2) for i in range(-6, 7)
    )  # of a wave, after what is smooth was taken away
    strongest, mean = maps_of("gabor", wave)
    assert strongest[30, 30].item() == pytest.approx(share * kept, rel=0.02)
    assert mean[30, 30] < 0.6 * strongest[30, 30]
    assert maps_of("gabor", torch.full((61, 61), 5.0))[0][30, 30] < 1e-4
    slow = torch.cos(2 * np.pi * x / 30)
    assert maps_of("gabor", slow)[0][30, 30] < 0.3 * strongest[30, 30]


@pytest.mark.parametrize("n", [2, 3])
def test_eigenvalues_agree_with_numpy(n):
    rng = np.random.default_rng(1)
    matrices = rng.normal(size=(50, n, n))
    matrices = matrices + matrices.transpose(0, 2, 1)
    maps = [[torch.from_numpy(matrices[:, i, j].copy()) for j in range(n)] for i in range(n)]
    found = np.stack([e.numpy() for e in filters.eigenvalues(maps)], axis=1)
    np.testing.assert_allclose(found, np.linalg.eigvalsh(matrices)[:, ::-1], atol=1e-6)


def test_eigenvalues_of_equal_axes_are_finite():
    one, zero = torch.ones(4), torch.zeros(4)
    maps = [[one if i == j else zero for j in range(3)] for i in range(3)]
    for values in filters.eigenvalues(maps):
        np.testing.assert_allclose(values, np.ones(4), atol=1e-6)


@pytest.mark.parametrize("name", list(FILTERS))
@pytest.mark.parametrize("ndim", [2, 3])
def test_every_filter_keeps_its_promises(name, ndim):
    """Shapes, count, finiteness, and that nothing beyond the halo matters."""
    sigmas = (1.0, 2.2)
    side = 2 * filters.halo_px([name], sigmas) + 3
    image = torch.rand((1, 2, *(side,) * ndim), generator=torch.Generator().manual_seed(0))
    maps = filters.compute(image, [name], sigmas)
    assert maps.shape == (1, filters.count(2, ndim, [name], sigmas), *(side,) * ndim)
    assert maps.isfinite().all()
    halo, centre = filters.halo_px([name], sigmas), (..., *(side // 2,) * ndim)
    beyond, within = image.clone(), image.clone()
    beyond[..., : side // 2 - halo] += 1
    within[..., side // 2 - 1] += 1
    assert torch.equal(filters.compute(beyond, [name], sigmas)[centre], maps[centre])
    assert not torch.equal(filters.compute(within, [name], sigmas)[centre], maps[centre])


@pytest.mark.parametrize("name", list(FILTERS))
@pytest.mark.parametrize("shape", [(83, 61), (21, 37, 26)])
def test_every_filter_is_the_same_in_a_tile(name, shape):
    image = torch.rand((1, 2, *shape), generator=torch.Generator().manual_seed(0)) * 1.3 - 0.1
    sigmas = (0.7, 1.6)
    halo, whole = filters.halo_px([name], sigmas), filters.compute(image, [name], sigmas)
    for shift in (3, 9):
        inner = [slice(shift, shift + n // 3) for n in shape]
        read = [slice(max(0, at.start - halo), min(n, at.stop + halo)) for at, n in zip(inner, shape, strict=True)]
        kept = [slice(at.start - out.start, at.stop - out.start) for at, out in zip(inner, read, strict=True)]
        tile = filters.compute(image[(..., *read)].clone(), [name], sigmas)[(..., *kept)]
        assert tile.std() > 0.01
        assert torch.equal(tile, whole[(..., *inner)])
        rounded = filters.compute(image[(..., *read)], [name], sigmas, dtype=torch.float16)[(..., *kept)]
        assert torch.equal(rounded, whole[(..., *inner)].half())


@pytest.mark.parametrize("name", list(FILTERS))
def test_every_filter_is_the_same_for_a_turned_image(name):
    image = torch.rand((1, 1, 33, 33), generator=torch.Generator().manual_seed(0))
    turned = filters.compute(torch.rot90(image, 1, (2, 3)), [name], [1.5])
    np.testing.assert_allclose(torch.rot90(turned, -1, (2, 3)), filters.compute(image, [name], [1.5]), atol=1e-4)


def test_one_pixel_and_unknown_filter():
    assert filters.compute(torch.ones(1, 1, 1, 1), list(FILTERS), [1.0, 10.0]).isfinite().all()
    with pytest.raises(InputError, match="gaussian, gradient"):
        filters.compute(torch.ones(1, 1, 3, 3), ["nonsense"], [1.0])
    with pytest.raises(InputError, match="at least one filter"):
        filters.halo_px([], [1.0])
