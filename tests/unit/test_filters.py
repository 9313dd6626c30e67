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
