"""The one pipeline of the viewer, the command line and Python: train, predict, threshold, refine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from . import crf as dense_crf
from .classes import Thresholds, alone_or_stacked, threshold_mask, thresholds_of
from .compute.blocks import Counts, blocks, predict_block, refine_block, written
from .compute.tiles import map_tiles
from .crf import CrfSettings, Refined, Refiner
from .errors import InputError, pick
from .methods import METHODS
from .model import Model
from .progress import Progress, Work, run, shifted
from .samples import IGNORE, Array, Sample
from .settings import Settings

_REFINE_SHARE = 3  # refining takes about so many times as long as predicting, for a bar that moves evenly


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a model makes of an image.

    Parameters
    ----------
    probability : ndarray, ([T,] [Z,] Y, X), float32 in [0, 1]
        Of a model for K > 1 classes, `(K, [T,] [Z,] Y, X)`.
    mask : ndarray, ([T,] [Z,] Y, X), uint8
        1 where the probability reaches the threshold, else 0; of several classes their numbers 1..K, see
        `classes.threshold_mask`.
    threshold : float, or a tuple of K
    refined : ndarray, ([T,] [Z,] Y, X), uint8, or None
        The mask after the dense CRF, where it was asked for.
    refined_by : str
        The backend that refined, or "".
    doubts : tuple of str
        Sentences on what the method left out.
    """

    probability: np.ndarray
    mask: np.ndarray
    threshold: Thresholds
    refined: np.ndarray | None = None
    refined_by: str = ""
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """What is told of a segmentation that was written block by block.

    Parameters
    ----------
    threshold : float, or a tuple of K
    positive_fraction : float in [0, 1]
        Of the pixels that are not ignored: what the mask covers, of all classes together.
    refined_fraction : float in [0, 1] or None
        What the refined mask covers, where it was asked for.
    refined_by : str
        The backend that refined, or "".
    """

    threshold: Thresholds
    positive_fraction: float
    refined_fraction: float | None = None
    refined_by: str = ""


def covered(mask: np.ndarray, labels: np.ndarray | None = None) -> float:
    """Fraction, 0..1, of the pixels not ignored that a mask ([T,] [Z,] Y, X) covers; 0 where all are ignored."""
    seen = mask.size if labels is None else int(np.count_nonzero(labels != IGNORE))
    return float(np.count_nonzero(mask) / max(seen, 1))


def segment(
    model: Model,
    image: Array,
    *,
    labels: np.ndarray | None = None,
    threshold: float | tuple[float, ...] | None = None,
    crf: CrfSettings | None = None,
    tile_px: int = 0,
    name: str = "The image",
    axes: str = "",
) -> Work[Segmentation]:
    """Probability, mask and, where `crf` is given, refined mask of an image.

    Parameters
    ----------
    model : Model
    image : array, (C, [T,] [Z,] Y, X)
    labels : ndarray of label codes, ([T,] [Z,] Y, X), optional
        Strokes are kept by the CRF, ignored pixels are left out of both masks.
    threshold : float in [0, 1], or a tuple of K, optional
        Instead of the model's own.
    crf : CrfSettings, optional
    tile_px : int
        Side of a tile, 0 for automatic.
    name : str
        Of the image, for messages.
    axes : str
        What the axes of the image are; see `Sample.axes`.

    Raises
    ------
    InputError
        If the model cannot see such an image.
    """
    threshold = model.threshold if threshold is None else thresholds_of(threshold, len(model.classes))
    probability = alone_or_stacked((yield from map_tiles(model, image, tile_px=tile_px, name=name, axes=axes)))
    mask = threshold_mask(probability, threshold, labels)
    if crf is None:
        return Segmentation(probability, mask, threshold)
    refined = yield from dense_crf.refine(image, probability, crf, labels=labels, threshold=threshold, axes=axes)
    return Segmentation(probability, mask, threshold, refined.mask, refined.backend)


def segment_into(
    model: Model,
    image: Array,
    outs: Mapping[str, Array],
    *,
    labels: Array | None = None,
    threshold: float | tuple[float, ...] | None = None,
    crf: CrfSettings | None = None,
    tile_px: int = 0,
    name: str = "The image",
    axes: str = "",
) -> Work[Summary]:
    """What `segment` makes of an image, bit for bit, written block by block: memory is bounded by the block.

    Parameters
    ----------
    model : Model
    image : array, (C, [T,] [Z,] Y, X)
        Numpy or lazy.
    outs : mapping
        Where results go, arrays ([T,] [Z,] Y, X) that take ``out[slices] = block``: "probability" (float32; of several
        classes `(K, [T,] [Z,] Y, X)`), "mask" and "refined" (uint8). A refined mask needs the probability, which is
        read again: ``out[slices]``. Blocks that an `Output` holds from an earlier try are not done again.
    labels, threshold, tile_px, name, axes
        See `segment`; labels may be lazy.
    crf : CrfSettings, optional
        How to refine; default: the default settings.

    Yields
    ------
    Progress
        With the `parts` of the probability and mask, or of the refined mask while refining, that were finished.

    Raises
    ------
    InputError
        If the model cannot see such an image, or the outputs do not fit.
    """
    model.check_image(tuple(image.shape), name, axes=axes)
    _check_shapes(outs, labels, (len(model.classes), *image.shape[1:]), name)
    model = yield from model.for_image(image)
    threshold = model.threshold if threshold is None else thresholds_of(threshold, len(model.classes))
    first = {key: out for key, out in outs.items() if key != "refined"}
    predicting = _predict_all(model, image, first, labels, threshold, tile_px)
    if "refined" not in outs:
        return Summary(threshold, (yield from predicting).positive_fraction)
    counts = yield from shifted(predicting, 0, 1 + _REFINE_SHARE)
    with Refiner(image, outs["probability"], crf or CrfSettings(), labels=labels, threshold=threshold, axes=axes) as by:
        again = yield from shifted(refine_all(by, outs["refined"]), 1, 1 + _REFINE_SHARE, _REFINE_SHARE)
    return Summary(threshold, counts.positive_fraction, again.positive_fraction, by.backend)


def _predict_all(
    model: Model, image: Array, outs: Mapping[str, Array], labels: Array | None, threshold: Thresholds, tile_px: int
) -> Work[Counts]:
    counts, todo = Counts(), blocks(model, image.shape, outs)
    for i, block in enumerate(todo, start=1):
        before = written(outs, block, threshold, labels)
        if before is None:
            work = predict_block(model, image, outs, block, labels=labels, threshold=threshold, tile_px=tile_px)
            before = yield from shifted(work, i - 1, len(todo))
        counts += before
        yield Progress(i, len(todo), "Predicting", parts=(block,))
    return counts


def refine_all(refiner: Refiner, out: Array) -> Work[Counts]:
    """Refine a whole image block by block into `out` ([T,] [Z,] Y, X), uint8; each `Progress` tells its part."""
    counts, todo = Counts(), refiner.regions(getattr(out, "block_px", ()))
    for i, block in enumerate(todo, start=1):
        before = written({"refined": out}, block, 0.5, refiner.labels)
        if before is None:
            before = yield from shifted(refine_block(refiner, out, block), i - 1, len(todo))
        counts += before
        yield Progress(i, len(todo), "Refining", parts=(block,))
    return counts


def _check_shapes(outs: Mapping[str, Array], labels: Array | None, shape: tuple[int, ...], name: str) -> None:
    """Shape (K, [T,] [Z,] Y, X): of the classes and the image."""
    n_classes, *spatial = shape
    if labels is not None and list(labels.shape) != spatial:
        raise InputError(f"{name} measures {tuple(spatial)} pixels but its strokes {tuple(labels.shape)}.")
    for key, out in outs.items():
        if key not in ("probability", "mask", "refined"):
            raise InputError(f"There is no result called {key!r}. Choose from: probability, mask, refined.")
        wanted = shape if key == "probability" and n_classes > 1 else tuple(spatial)
        if tuple(out.shape) != wanted:
            raise InputError(f"The {key} of {name} has shape {wanted}; it cannot be written to {tuple(out.shape)}.")
    if "refined" in outs and "probability" not in outs:
        raise InputError("A refined mask is made from the probability. Ask for the probability too.")


def train(samples: Sequence[Sample], settings: Settings | None = None, *, start: Model | None = None) -> Model:
    """Train a model and wait for it.

    Parameters
    ----------
    samples : sequence of Sample
    settings : Settings, optional
        Of any method; default: positive-unlabelled training with its defaults.
    start : Model, optional
        Continue from this model.

    Raises
    ------
    InputError
        If samples and settings do not fit together.

    Examples
    --------
    >>> model = train([Sample(image, codes_from_masks(strokes))])  # doctest: +SKIP
    """
    if isinstance(samples, Sample):
        raise InputError("train() takes a list of samples; put the sample into a list.")
    if settings is None:
        settings = METHODS["pu"].settings()
    method = pick(METHODS, str(settings.to_dict()["method"]), "method")
    return run(method.train(samples, settings, start=start))


def predict(model: Model, image: Array, *, tile_px: int = 0, axes: str = "") -> np.ndarray:
    """Probability ``([T,] [Z,] Y, X)``, float32 in 0..1, of an image ``(C, [T,] [Z,] Y, X)``; waits for it.

    Of a model for K > 1 classes it is ``(K, [T,] [Z,] Y, X)``. `axes` tells time from planes; see `Sample.axes`.
    """
    return alone_or_stacked(run(map_tiles(model, image, tile_px=tile_px, axes=axes)))


def refine(
    image: Array,
    probability: np.ndarray,
    settings: CrfSettings | None = None,
    *,
    labels: np.ndarray | None = None,
    threshold: Thresholds = 0.5,
    axes: str = "",
) -> Refined:
    """Refine a probability with the dense CRF, and wait for it; see `crf.refine`."""
    settings = settings or CrfSettings()
    return run(dense_crf.refine(image, probability, settings, labels=labels, threshold=threshold, axes=axes))
