"""Mean-field inference of a dense CRF with numpy and scipy: the backend that is always there.

Background and any number of classes, Potts compatibility, symmetric normalisation of the kernels as in pydensecrf, any
number of spatial axes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array
from scipy.special import expit

Kernel: TypeAlias = Callable[[np.ndarray], np.ndarray]

_BLUR_VARIANCE = 2 / 3  # in cells; splatting and slicing blur by a variance of 1/6 each, which makes 1
_REACH = 2  # cells; the weight further away is 0.001


def mean_field(logit: np.ndarray, kernels: Sequence[tuple[float, Kernel]], steps: int) -> Iterator[np.ndarray]:
    """Parallel mean-field updates of a dense CRF.

    Parameters
    ----------
    logit : ndarray, (K, [Z,] Y, X), float32
        Unary scores z_k of each class against the background.
    kernels : sequence of (weight, kernel)
        Kernel k maps q to sum over j of k(i, j) q(j), self included.
    steps : int
        Number of updates.

    Yields
    ------
    ndarray, (K, [Z,] Y, X), float32 in [0, 1]
        The probability of each class after each step.

    Notes
    -----
    q <- softmax(z + sum over kernels of w (K q - K q_0)), the background's score being 0, where K = D k D with
    D = diag(k 1)^(-1/2) (Kraehenbuehl & Koltun 2011, NeurIPS, algorithm 1; the symmetric normalisation is pydensecrf's
    default). K is linear, so that only the classes are filtered: K q_0 = K 1 - sum over classes of K q.
    """
    parts = []
    for weight, kernel in kernels:
        scale = 1 / np.sqrt(kernel(np.ones_like(logit[0])) + 1e-20)
        parts.append((weight, kernel, scale, scale * kernel(scale)))
    q = _probabilities(logit)
    for _ in range(steps):
        score = logit.copy()
        for weight, kernel, scale, total in parts:
            near = [scale * kernel(scale * one) for one in q]
            of_all = np.add.reduce(near)
            for one, own in zip(score, near, strict=True):
                one += weight * (own + of_all - total)
        q = _probabilities(score)
        yield q


def _probabilities(scores: np.ndarray) -> np.ndarray:
    """exp(z_k) / (1 + sum over j of exp(z_j)) of scores z (K, ...)."""
    nothing = np.zeros_like(scores[0])
    found = []
    for k, score in enumerate(scores):
        others = [nothing, *scores[:k], *scores[k + 1 :]]
        found.append(expit(score - np.logaddexp.reduce(others)))
    return np.stack(found)


def gaussian(width_px: float) -> Kernel:
    """Kernel exp(-|i - j|^2 / (2 width_px^2)) over positions, up to a factor."""
    return lambda q: gaussian_filter(q, width_px, mode="constant")


def bilateral(guide: np.ndarray, width_px: float, intensity_width: float, origin: Sequence[int]) -> Kernel:
    """Kernel exp(-|i - j|^2 / (2 width_px^2) - |g_i - g_j|^2 / (2 intensity_width^2)), up to a factor.

    Parameters
    ----------
    guide : ndarray, (F, [Z,] Y, X), float32
        The image's features g; F may be 0.
    width_px, intensity_width : float, > 0
    origin : sequence of int, ([Z,] Y, X)
        Where the guide begins in its plane or volume: the cells lie the same whatever window is looked at.

    Notes
    -----
    The bilateral grid (Paris & Durand 2006, ECCV; Chen, Paris & Durand 2007, SIGGRAPH): pixels are splat into a grid
    over position and intensity with multilinear weights, the grid is blurred along each axis, and read at the pixels.
    A cell is one standard deviation. Only cells that a pixel touches exist, so that memory follows the number of
    pixels (as in the permutohedral lattice of Adams, Baek & Davis 2010); splat and blurs are sparse matrices.
    """
    spatial = guide.shape[1:]
    places = [np.arange(start, start + n) / width_px for start, n in zip(origin, spatial, strict=True)]
    axes = np.ix_(*[_from_first_cell(axis) for axis in places])
    coordinates = [np.broadcast_to(axis, spatial).ravel() for axis in axes]
    coordinates += [_from_first_cell(feature.ravel() / intensity_width) for feature in guide]
    splat, keys, strides = _splat(coordinates)
    blurs = [_blur(keys, stride) for stride in strides]
    gather = splat.T  # the same memory, seen as its transpose

    def kernel(q: np.ndarray) -> np.ndarray:
        cells = gather @ q.ravel()
        for blur in blurs:
            cells = blur @ cells
        return np.asarray(splat @ cells).reshape(q.shape)

    return kernel


def _from_first_cell(coordinate: np.ndarray) -> np.ndarray:
    """A coordinate in cells, counted from the first cell that is touched."""
    return np.asarray(coordinate - np.floor(coordinate.min()), dtype=np.float32)


def _splat(coordinates: list[np.ndarray]) -> tuple[csr_array, np.ndarray, np.ndarray]:
    """Multilinear weights (pixels, cells), the cells' sorted keys, and the step in key along each axis.

    A key is the cell's index in a virtual dense grid, with a margin so that no neighbour wraps around.
    """
    lengths = [int(axis.max()) + 2 + _REACH for axis in coordinates]
    strides = np.cumprod([1, *lengths[:0:-1]], dtype=np.int64)[::-1]
    corners = (np.arange(2 ** len(lengths))[:, None] >> np.arange(len(lengths))) & 1  # (corners, axes) of 0 and 1
    base = np.zeros(len(coordinates[0]), np.int64)
    weights = np.ones((len(base), len(corners)), np.float32)
    for axis, stride, upper in zip(coordinates, strides, corners.T, strict=True):
        low = np.floor(axis)
        fraction = (axis - low)[:, None]
        weights *= np.where(upper, fraction, 1 - fraction)
        base += low.astype(np.int64) * stride
    bases, base_of_pixel = np.unique(base, return_inverse=True)
    keys, cell_of_corner = np.unique(bases[:, None] + corners @ strides, return_inverse=True)
    cells = cell_of_corner.astype(np.int32).reshape(len(bases), len(corners))[base_of_pixel]
    starts = np.arange(0, cells.size + 1, len(corners))
    return csr_array((weights.ravel(), cells.ravel(), starts), shape=(len(base), len(keys))), keys, strides


def _blur(keys: np.ndarray, stride: int) -> csr_array:
    """Gaussian blur of the cells along one axis, (cells, cells); missing neighbours count as empty."""
    here = np.arange(len(keys), dtype=np.int32)
    rows, columns, values = [here], [here], [np.ones(len(keys), np.float32)]
    for reach in range(1, _REACH + 1):
        wanted = keys + reach * stride
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        exists = keys[place] == wanted
        near, far = here[exists], place[exists].astype(np.int32)
        rows += [near, far]
        columns += [far, near]
        values += [np.full(2 * len(near), np.exp(-(reach**2) / (2 * _BLUR_VARIANCE)), np.float32)]
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    return csr_array(entries, shape=(len(keys), len(keys)))
