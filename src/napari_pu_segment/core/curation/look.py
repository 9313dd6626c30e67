"""One image, looked at once: its identity, a small picture to compare, measures of quality, and its row of numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import pick
from ..model import Model
from ..progress import Progress, Ticker, Work
from ..samples import Array
from .embed import EMBEDDERS, N_BANDS, through
from .quality import measure

SMALL_PX = 64  # side of the small picture
_BAND_PX = 2**22  # pixels that are read at once
_WHOLE_PX, _WINDOW_PX, _N_WINDOWS = 192, 128, 3  # a side to this is seen whole; else so many windows along it


@dataclass(frozen=True, eq=False)
class Look:
    """What was seen of an image.

    Parameters
    ----------
    name : str
    axes : str
        Such as "CZYX".
    shape : tuple of int
        Along these axes.
    dtype : str
    digest : str
        sha256 of type, shape and all decoded pixels.
    small : ndarray, (64, 64), float32
        The middle plane, grey, each pixel the mean of what it covers; brought to that shape whatever its own.
    measures : dict of str to float
        See `quality.MEASURES`.
    row : ndarray, (F,)
        What the embedder tells.
    """

    name: str
    axes: str
    shape: tuple[int, ...]
    dtype: str
    digest: str
    small: np.ndarray
    measures: dict[str, float]
    row: np.ndarray


def looking(image: Array, axes: str, name: str, embedder: str = "filters", encoder: Model | None = None) -> Work[Look]:
    """Look at an image; of volumes and series at the middle plane of the middle time.

    All pixels are read once, band by band, for the hash. Measures and embedding are made of the plane where it is at
    most 192 pixels wide, else of 3 x 3 windows of 128 pixels.

    Parameters
    ----------
    image : array, (C, [T,] [Z,] Y, X)
        In memory or lazy.
    axes : str
        Of the image.
    embedder : str
        A row of `EMBEDDERS`.
    encoder : Model, optional
        What tells the numbers of an image instead; for planes.

    Raises
    ------
    InputError
        If there is no such embedder, or the encoder cannot see the image.
    """
    row = pick(EMBEDDERS, embedder, "embedder")
    digest, small = yield from _read(image, name)
    channels = [finite(image[(slice(None), *middle(image), *w)]) for w in windows_of(image.shape[-2:])]
    windows = [bands(window) for window in channels]
    if encoder is None:
        told = row.describe(windows)
    else:
        encoder.check_seen(tuple(image.shape), name, axes=axes)
        told = through((yield from encoder.for_image(image)), channels)
    shape, dtype = tuple(map(int, image.shape)), str(np.dtype(image.dtype))
    return Look(name, axes, shape, dtype, digest, small, measure(windows), told)


def middle(image: Array) -> tuple[int, ...]:
    """Indices of the middle time and plane of an image (C, [T,] [Z,] Y, X)."""
    return tuple(n // 2 for n in image.shape[1:-2])


def windows_of(shape: Sequence[int]) -> list[tuple[slice, slice]]:
    """The parts of a plane (Y, X) that are looked at: see `looking`."""
    sides = []
    for n in shape:
        m = min(_N_WINDOWS, -(-n // _WINDOW_PX))
        starts = [round(i * (n - _WINDOW_PX) / max(m - 1, 1)) for i in range(m)]
        sides.append([slice(0, n)] if n <= _WHOLE_PX else [slice(start, start + _WINDOW_PX) for start in starts])
    return [(rows, columns) for rows in sides[0] for columns in sides[1]]


def bands(channels: np.ndarray) -> np.ndarray:
    """Any channels (C, Y, X) as one band or three: (B, Y, X). Two get their mean; of more, neighbours are averaged."""
    if len(channels) == 2:
        return np.concatenate([channels, channels.mean(0, keepdims=True)])
    if len(channels) > N_BANDS:
        return np.stack([part.mean(0) for part in np.array_split(channels, N_BANDS)])
    return channels


def shrinking(n: int, m: int) -> np.ndarray:
    """The matrix (m, n) that makes m values of n: each the mean of what it covers, with fractions of pixels."""
    edges, at = np.linspace(0, n, m + 1), np.arange(n)
    covered = np.minimum(at + 1, edges[1:, None]) - np.maximum(at, edges[:-1, None])
    weights = np.clip(covered, 0, None)
    return np.asarray(weights / weights.sum(1, keepdims=True))


def finite(pixels: Array) -> np.ndarray:
    """Pixels (C, y, x) as float64; what is not finite becomes the median of its channel."""
    values = np.asarray(pixels).astype(np.float64)
    for channel in values:
        fine = np.isfinite(channel)
        channel[~fine] = np.median(channel[fine]) if fine.any() else 0
    return values


def _read(image: Array, name: str) -> Work[tuple[str, np.ndarray]]:
    """The hash of all pixels, and the small picture of the middle plane."""
    n_rows, n_columns = image.shape[-2:]
    sha, ticker, at = hashlib.sha256(f"{np.dtype(image.dtype)}{tuple(image.shape)}".encode()), Ticker(), middle(image)
    planes, step = list(np.ndindex(*image.shape[:-2])), max(1, _BAND_PX // n_columns)
    across, down = shrinking(n_columns, SMALL_PX).T, shrinking(n_rows, SMALL_PX)
    smalls = np.zeros((image.shape[0], SMALL_PX, SMALL_PX))
    for number, plane in enumerate(planes):
        for start in range(0, n_rows, step):
            if ticker.due():
                yield Progress(number, len(planes), f"Reading {name}")
            band = np.ascontiguousarray(image[(*plane, slice(start, start + step))])
            sha.update(band.data)
            if plane[1:] == at:
                smalls[plane[0]] += down[:, start : start + step] @ finite(band[None])[0] @ across
    return sha.hexdigest(), _grey(smalls)


def _grey(channels: np.ndarray) -> np.ndarray:
    """One small picture (Y, X) of the channels (C, Y, X): the mean of colours, or of channels by their spread."""
    if len(channels) != N_BANDS:
        spread = channels.std(axis=(1, 2), keepdims=True)
        channels = channels / np.where(spread > 0, spread, 1)
    return np.asarray(channels.mean(0), np.float32)
