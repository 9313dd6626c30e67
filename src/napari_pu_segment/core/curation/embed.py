"""Embeddings: images as vectors that are near each other where the images look alike; EMBEDDERS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from ..errors import InputError
from ..filters import compute
from ..images.intensity import normalise
from ..model import Model
from ..networks import Encoder
from ..robust import modified_z

N_BANDS = 3
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
_FILTERS, _SIGMAS_PX = ("gradient", "hessian", "spread"), (0.7, 1.4, 2.8, 5.6)
_FAINT = 1e-4  # responses, as fractions of the image's range, that count as none
_CLIP = 5.0  # robust deviations; one odd number must not decide alone
_DIMENSIONS = 16

Windows = Sequence[np.ndarray]
"""What is seen of a plane at full resolution: pictures (B, y, x), finite, of 1 or 3 bands."""


@dataclass(frozen=True)
class Box:
    """Where a vector comes from.

    Parameters
    ----------
    image : str
        Name of the image.
    part : tuple of slice
        The part of it, ([T,] [Z,] Y, X); empty: all of it.
    """

    image: str
    part: tuple[slice, ...] = ()


@dataclass(frozen=True, eq=False)
class Embeddings:
    """N vectors and where each came from.

    Parameters
    ----------
    vectors : ndarray, (N, D), float64
        The Euclidean distance of two tells how unlike they look; its unit is that of the set.
    boxes : tuple of Box, N
    """

    vectors: np.ndarray
    boxes: tuple[Box, ...]

    def __len__(self) -> int:
        return len(self.vectors)

    def nearest(self, index: int, n: int) -> list[tuple[int, float]]:
        """The `n` others that look most like one of them, with their distances; nearest first."""
        away = np.linalg.norm(self.vectors - self.vectors[index], axis=1)
        order = [int(i) for i in np.argsort(away, kind="stable") if i != index]
        return [(i, float(away[i])) for i in order[:n]]

    def neighbours(self, n: int) -> list[list[tuple[int, float]]]:
        """`nearest` of each."""
        from sklearn.neighbors import NearestNeighbors

        n = min(n, len(self) - 1)
        if n < 1:
            return [[] for _ in self.vectors]
        away, others = NearestNeighbors(n_neighbors=n).fit(self.vectors).kneighbors()
        return [list(zip(map(int, o), map(float, a), strict=True)) for o, a in zip(others, away, strict=True)]


@dataclass(frozen=True)
class Embedder:
    """One row of the table of embedders.

    Parameters
    ----------
    title : str
    describe : callable
        Numbers (F,) of the `Windows` of one plane: the same F for any image; invariant to flips and quarter turns.
    """

    title: str
    describe: Callable[[Windows], np.ndarray]


def filter_statistics(windows: Windows) -> np.ndarray:
    """What the filter bank and the intensities of a plane are like.

    Of every band, brought from its 1st to its 99.5th percentile to 0..1: mean, standard deviation and six quantiles of
    the size of the band itself and of each response of the filter bank at four scales, averaged over bands, on a
    logarithmic scale. Then, of every band as
    it is, `QUANTILES` and the logarithm of the range; and each band's share of the light. Nothing depends on where in
    the plane something is, nor on the direction in which it lies: responses are gradient magnitudes, eigenvalues of the
    Hessian and local spreads.

    Parameters
    ----------
    windows : sequence of ndarray, (B, y, x)

    Returns
    -------
    ndarray, (F,), float64
    """
    texture, levels = [], []
    for band in range(len(windows[0])):
        seen = [window[band] for window in windows]
        pixels = np.concatenate([window.ravel() for window in seen])
        level = np.quantile(pixels, QUANTILES)
        low, high = level[0], np.quantile(pixels, 0.995)
        unit = high - low if high > low else 1.0
        texture.append(_texture([np.clip((window - low) / unit, -1, 2) for window in seen]))
        levels.append(np.append(level, np.log(max(level[5] - level[1], np.finfo(np.float32).tiny))))
    levels = levels * (N_BANDS // len(levels))
    middles = np.abs([level[3] for level in levels])
    share = middles / max(middles.sum(), np.finfo(np.float32).tiny)
    return np.concatenate([np.log(np.maximum(np.mean(texture, axis=0), _FAINT)), *levels, share])


def _texture(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Mean, deviation and quantiles of all filter responses, over all pictures (y, x) together."""
    found = []
    for picture in pictures:
        maps = compute(torch.from_numpy(picture.astype(np.float32))[None, None], _FILTERS, _SIGMAS_PX)[0]
        found.append(np.abs(maps.reshape(len(maps), -1).numpy()))
    rows = np.sort(np.concatenate(found, axis=1), axis=1)  # sorting is faster than asking for quantiles
    places = [round(q * (rows.shape[1] - 1)) for q in QUANTILES[1:-1]]
    return np.concatenate([rows.mean(1), rows.std(1), *(rows[:, place] for place in places)]).astype(np.float64)


def through(encoder: Model, channels: Sequence[np.ndarray]) -> np.ndarray:
    """What an encoder tells of a plane: mean and standard deviation of each of its maps, over all that is seen.

    Parameters
    ----------
    encoder : Model
        An encoder for planes, with the intensity statistics that hold for the image; see `Model.for_image`.
    channels : sequence of ndarray, (C, y, x)
        The plane's pixels, in the image's units, finite.

    Returns
    -------
    ndarray, (2 n_maps,), float64
    """
    network, found = encoder.network, []
    assert isinstance(network, Encoder)
    for window in channels:
        x = torch.from_numpy(normalise(window, encoder.card.intensity))[None]
        rows, columns = x.shape[2:]
        room = (0, -columns % network.stride_px, 0, -rows % network.stride_px)
        with torch.inference_mode():
            maps = network.maps(functional.pad(x, room, mode="replicate").to(encoder.device))
        found.append(maps[0, :, :rows, :columns].flatten(1).cpu().double())
    seen = torch.cat(found, 1)
    return np.concatenate([seen.mean(1).numpy(), seen.std(1, correction=0).numpy()])


EMBEDDERS: dict[str, Embedder] = {"filters": Embedder("Filter bank and intensities", filter_statistics)}


def standardised(rows: np.ndarray) -> np.ndarray:
    """Every column (N, F) by its robust deviation within the set, cut at 5; see `robust.modified_z`."""
    return np.asarray(np.clip(modified_z(rows), -_CLIP, _CLIP))


def embed(rows: np.ndarray, boxes: Sequence[Box]) -> Embeddings:
    """Embeddings from what an embedder told of each image.

    The rows are standardised within the set; of their principal components (Pearson 1901; sign and order fixed by
    scikit-learn) the first 16 are kept. Fewer than eight images are compared by the plain rows.

    Parameters
    ----------
    rows : ndarray, (N, F)
    boxes : sequence of Box, N

    Raises
    ------
    InputError
        If there is none.
    """
    from sklearn.decomposition import PCA

    if not len(rows):
        raise InputError("There is no image to compare.")
    scaled = standardised(rows)
    if not scaled.any():
        spread = rows.std(axis=0)
        scaled = (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1)
    n = min(_DIMENSIONS, *scaled.shape)
    if len(rows) == 1:
        return Embeddings(np.zeros((1, n)), tuple(boxes))
    return Embeddings(np.asarray(PCA(n, svd_solver="full").fit_transform(scaled)), tuple(boxes))
