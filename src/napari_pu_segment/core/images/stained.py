"""Stains of whole images, of any size that fits into memory: measured, normalised and separated block by block."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial

import numpy as np

from ..errors import pick
from ..progress import Progress, Ticker, Work, run
from ..samples import Array
from .stains import NORMALISERS, Target, check_colour, check_plane, coloured, light_of, separate

MEASURED_PX = 2**20
"""Of an image with more pixels, stains are measured in every n-th along rows and columns: no step takes long."""

_BLOCK_PX = 512  # side of what is worked on at once: a tenth of a second


def measuring(method: str, image: Array, name: str = "The image") -> Work[Target]:
    """What `NORMALISERS[method].measure` finds in an image (3, Y, X); of a large one see `MEASURED_PX`.

    Raises
    ------
    InputError
        If there is no such method, `check_rgb` refuses the image, or it shows no stains.
    """
    row = pick(NORMALISERS, method, "stain normalisation")
    seen = yield from _looking(image, name)
    yield Progress(0, 0, "Measuring stains")
    return row.measure(seen, name)


def normalising(image: Array, target: Target, name: str = "The image") -> Work[np.ndarray]:
    """An image with the stains of a target, block by block.

    Parameters
    ----------
    image : array, (3, Y, X), of integers, or float in [0, 1]
    target : ReinhardTarget or MacenkoTarget
        What `measuring` found in another image.
    name : str
        Of the image, for messages.

    Returns
    -------
    ndarray, (3, Y, X), float32 in [0, 1]

    Raises
    ------
    InputError
        If `check_rgb` refuses the image, or it shows no stains.
    """
    own = yield from measuring(target.method, image, name)
    apply = partial(NORMALISERS[target.method].apply, own=own, target=target)
    return (yield from _filled(image, apply, name, "Normalising stains"))


def separating(image: Array, name: str = "The image") -> Work[np.ndarray]:
    """How much of each of `STAINS` there is in an image (3, Y, X), block by block; see `separate` and `check_rgb`."""
    yield from _looking(image, name)
    return (yield from _filled(image, separate, name, "Separating stains"))


def normalise_stains(image: Array, target: Target, name: str = "The image") -> np.ndarray:
    """`normalising`, waited for."""
    return run(normalising(image, target, name))


def _looking(image: Array, name: str) -> Work[np.ndarray]:
    """Check an image, as `check_rgb` does; the pixels that stains are measured in, (3, y, x), float32."""
    check_plane(image, name)
    step = max(1, math.ceil(math.sqrt(math.prod(image.shape[1:]) / MEASURED_PX)))
    seen = np.empty((3, *(-(-n // step) for n in image.shape[1:])), np.float32)
    colours = []

    def look(window: tuple[slice, slice], light: np.ndarray) -> None:
        colours.append(coloured(light))
        firsts = [-part.start % step for part in window]
        block = light[:, firsts[0] :: step, firsts[1] :: step]
        rows, columns = (slice(-(-part.start // step), -(-part.stop // step)) for part in window)
        seen[:, rows, columns] = block

    yield from _each_block(image, look, name, "Looking at the image")
    check_colour(any(colours), name)
    return seen


def _filled(image: Array, change: Callable[[np.ndarray], np.ndarray], name: str, message: str) -> Work[np.ndarray]:
    """A function of the light of each block, put together, (3, Y, X), float32."""
    found = np.empty(image.shape, np.float32)

    def fill(window: tuple[slice, slice], light: np.ndarray) -> None:
        found[(slice(None), *window)] = change(light)

    yield from _each_block(image, fill, name, message)
    return found


def _each_block(
    image: Array, use: Callable[[tuple[slice, slice], np.ndarray], None], name: str, message: str
) -> Work[None]:
    """Hand over the place of every block of an image (3, Y, X), and its light."""
    parts = [[slice(a, min(a + _BLOCK_PX, n)) for a in range(0, n, _BLOCK_PX)] for n in image.shape[1:]]
    ticker, total = Ticker(), math.prod(map(len, parts))
    for step, (rows, columns) in enumerate(itertools.product(*parts)):
        if ticker.due():
            yield Progress(step, total, message)
        use((rows, columns), light_of(np.asarray(image[:, rows, columns]), name))
