"""Large images block by block: each is read with its halo, computed, and written; serially, or by several processes.

A block's result does not depend on the block, so that the blocks of an image together are what `tiles.map_tiles` and
`crf.refine` make of it, bit for bit. The functions here take and give plain values, and any of them may run in another
process, with outputs that it opened for itself: `blocks` tells which parts may be written at the same time.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..classes import Thresholds, alone_or_stacked, leading, threshold_mask, thresholds_of
from ..crf import Refiner
from ..crf.prepare import Figures
from ..model import Model
from ..networks import Reach
from ..progress import Progress, Ticker, Work
from ..samples import IGNORE, Array
from .memory import give_back
from .regions import Slices, block_sides, grown, regions
from .runtime import set_threads
from .tiles import halving, sides_of, tile_at


@dataclass(frozen=True)
class Counts:
    """Numbers of pixels; those of several blocks can be added.

    Parameters
    ----------
    seen : int
        Pixels that are not ignored.
    positive : int
        Pixels of the mask.
    """

    seen: int = 0
    positive: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.seen + other.seen, self.positive + other.positive)

    @property
    def positive_fraction(self) -> float:
        """0..1; 0 where all is ignored."""
        return self.positive / max(self.seen, 1)


class Held:
    """A part of an image in memory, under the image's own coordinates; only slices with both ends can be taken.

    Parameters
    ----------
    part : ndarray, (C, ...)
    region : tuple of slice
        Where the part lies in the image, without the channels.
    shape : tuple of int
        Of the whole image.
    """

    def __init__(self, part: np.ndarray, region: Slices, shape: tuple[int, ...]) -> None:
        self.part, self.shape, self.dtype = part, shape, part.dtype
        self._starts = [place.start for place in region]

    def __getitem__(self, where: tuple[slice, ...]) -> np.ndarray:
        return self.part[self._own(where)]

    def __setitem__(self, where: tuple[slice, ...], values: np.ndarray) -> None:
        self.part[self._own(where)] = values

    def _own(self, where: tuple[slice, ...]) -> tuple[slice, ...]:
        moved = [slice(w.start - a, w.stop - a) for w, a in zip(where[1:], self._starts, strict=True)]
        return (where[0], *moved)


def blocks(model: Model, shape: Sequence[int], outs: Mapping[str, Array] | None = None) -> list[Slices]:
    """Blocks to predict of an image (C, [T,] [Z,] Y, X), in reading order.

    They measure 2048 x 2048 px of a plane or 64 x 512 x 512 px of a volume, and more where chunks of an output or tiles
    of the network do not fit into that whole: any two blocks may be written at the same time.
    """
    shape = tuple(shape[1:])
    return regions(
        shape, block_sides(shape, model.n_own(len(shape)), _window_grid(model, shape), *_grids(outs, len(shape)))
    )


def written(
    outs: Mapping[str, Array], block: Slices, threshold: Thresholds, labels: Array | None = None
) -> Counts | None:
    """What a block of `outs` counts that was written in an earlier try; None if something of it is missing.

    Parameters
    ----------
    outs : mapping
        "refined", or "probability", or "mask" with or without it; outputs that have no method `holds` are taken as new.
    """
    where = {name: (*leading(threshold), *block) if name == "probability" else block for name in outs}
    if not outs or not all(hasattr(out, "holds") and out.holds(where[name]) for name, out in outs.items()):
        return None
    codes = None if labels is None else np.asarray(labels[block])
    if "probability" in outs and "mask" not in outs:
        return _counts(threshold_mask(outs["probability"][where["probability"]], threshold, codes), codes)
    return _counts(outs["mask" if "mask" in outs else "refined"][block], codes)


def predict_block(
    model: Model,
    image: Array,
    outs: Mapping[str, Array],
    block: Slices,
    *,
    labels: Array | None = None,
    threshold: Thresholds | None = None,
    tile_px: int = 0,
) -> Work[Counts]:
    """Predict one block and write it.

    Parameters
    ----------
    model : Model
    image : array, (C, [T,] [Z,] Y, X)
        Numpy or lazy; the block and its halo are read, once.
    outs : mapping
        "probability" and "mask", or one of them: arrays ([T,] [Z,] Y, X) that take ``out[slices] = block``; the
        probability of several classes (K, [T,] [Z,] Y, X).
    block : tuple of slice
        Of `blocks`.
    labels : array of label codes, ([T,] [Z,] Y, X), optional
        Ignored pixels are left out of the mask.
    threshold : float in [0, 1], or a tuple of K, optional
        Instead of the model's own.
    tile_px : int
        Side of a tile, 0 for automatic: the block is read whole and predicted in tiles.

    Yields
    ------
    Progress
        At most ten times a second.

    Raises
    ------
    OutOfMemoryError
        If memory runs out at a given or at the smallest tile size.
    """
    probability = yield from _predicted((yield from model.for_image(image)), image, block, tile_px)
    codes = None if labels is None else np.asarray(labels[block])
    threshold = model.threshold if threshold is None else thresholds_of(threshold, len(model.classes))
    mask = threshold_mask(probability, threshold, codes)
    if "probability" in outs:
        outs["probability"][(*leading(threshold), *block)] = probability
    if "mask" in outs:
        outs["mask"][block] = mask
    give_back()
    return _counts(mask, codes)


def refine_block(refiner: Refiner, out: Array, block: Slices) -> Work[Counts]:
    """Refine one block of `Refiner.regions`, and write its mask.

    Parameters
    ----------
    refiner : Refiner
        Of the image and its probability, which may be lazy, with labels or without; entered.
    out : array, ([T,] [Z,] Y, X)
        Takes ``out[slices] = block``.
    """
    mask = refiner.mask_of((yield from refiner.region(block)))
    out[block] = mask
    return _counts(mask, None if refiner.labels is None else np.asarray(refiner.labels[block]))


def measure_planes(refiner: Refiner) -> Work[dict[tuple[int, ...], Figures]]:
    """What is measured once of each plane or volume that is refined in windows, for `Refiner(figures=...)`."""
    found = {}
    for index in np.ndindex(*refiner.shape[: refiner.n_own]):
        known = yield from refiner.figures(index)
        if known is not None:
            found[index] = known
    return found


def _predicted(model: Model, image: Array, block: Slices, tile_px: int) -> Work[np.ndarray]:
    """Probability of a block ([T,] [Z,] Y, X), or of K classes (K, [T,] [Z,] Y, X).

    In tiles that become smaller when memory runs out.
    """
    set_threads(int(model.card.settings.get("threads", 0)))
    shape, network, k = tuple(image.shape[1:]), model.network, len(model.classes)
    reaches = network.along(len(shape), model.n_own(len(shape)))
    outer = grown(block, [reach.halo_px for reach in reaches], shape)
    held = Held(np.asarray(image[(slice(None), *outer)]), outer, tuple(image.shape))
    out = Held(np.empty((k, *(part.stop - part.start for part in block)), np.float32), block, (k, *shape))
    sides = sides_of(network, model.n_values, shape, model.n_own(len(shape)), tile_px)
    fixed = bool(tile_px or network.window_px)
    yield from halving(lambda sides: _tiles(model, held, out, block, sides), sides, fixed=fixed)
    return alone_or_stacked(out.part)


def _tiles(model: Model, held: Held, out: Held, block: Slices, sides: Sequence[int]) -> Work[None]:
    reaches = model.network.along(len(block), model.n_own(len(block)))
    steps = [_even(part, side, reach) for part, side, reach in zip(block, sides, reaches, strict=True)]
    corners = list(itertools.product(*(range(p.start, p.stop, step) for p, step in zip(block, steps, strict=True))))
    ticker = Ticker()
    for done, corner in enumerate(corners):
        inner = [slice(a, min(a + step, p.stop)) for a, step, p in zip(corner, steps, block, strict=True)]
        tile = tile_at(inner, held.shape[1:], sides, reaches)
        out[(slice(None), *inner)] = tile.cut(model.predict(tile.read(held)))
        if ticker.due():
            yield Progress(done + 1, len(corners), "Predicting")


def _even(part: slice, side: int, reach: Reach) -> int:
    """Step of the tiles along one axis of a block: at most `side`, and all about as long, if the network allows it."""
    if reach.window_px:
        return side
    length: int = part.stop - part.start
    step = -(-length // -(-length // side))
    stride: int = reach.stride_px
    return max(1, min(side, -(-step // stride) * stride))


def _window_grid(model: Model, shape: tuple[int, ...]) -> list[int]:
    """Sides of tiles that are of one size: a block is made up of whole ones."""
    n_own = model.n_own(len(shape))
    sides = sides_of(model.network, model.n_values, shape, n_own, 0)
    reaches = model.network.along(len(shape), n_own)
    return [side if reach.window_px else reach.stride_px for side, reach in zip(sides, reaches, strict=True)]


def _grids(outs: Mapping[str, Array] | None, n_axes: int) -> list[Sequence[int]]:
    """Sides of the chunks of outputs along the axes of the image: a probability may have classes before them."""
    grids: list[Sequence[int]] = []
    for name, out in (outs or {}).items():
        sides = tuple(getattr(out, "block_px", ()))
        grids.append(sides[len(sides) - n_axes :] if name == "probability" and sides else sides)
    return grids


def _counts(mask: np.ndarray, codes: np.ndarray | None) -> Counts:
    seen = mask.size - (0 if codes is None else int(np.count_nonzero(codes == IGNORE)))
    return Counts(seen, int(np.count_nonzero(mask)))
