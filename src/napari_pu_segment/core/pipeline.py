"""The one pipeline of the viewer, the command line and Python: train, predict, threshold, refine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import crf as dense_crf
from .crf import CrfSettings, Refined
from .errors import InputError, pick
from .methods import METHODS
from .model import Model
from .progress import Work, run
from .samples import IGNORE, Array, Sample
from .settings import Settings
from .tiles import map_tiles


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a model makes of an image.

    Parameters
    ----------
    probability : ndarray, ([Z,] Y, X), float32 in [0, 1]
    mask : ndarray, ([Z,] Y, X), uint8 0 or 1
        Where the probability reaches the threshold.
    threshold : float
    refined : ndarray, ([Z,] Y, X), uint8 0 or 1, or None
        The mask after the dense CRF, where it was asked for.
    refined_by : str
        The backend that refined, or "".
    """

    probability: np.ndarray
    mask: np.ndarray
    threshold: float
    refined: np.ndarray | None = None
    refined_by: str = ""


def threshold_mask(probability: np.ndarray, threshold: float, labels: np.ndarray | None = None) -> np.ndarray:
    """Mask ([Z,] Y, X) uint8 of the pixels that reach the threshold and are not ignored."""
    mask = (probability >= np.float32(threshold)).astype(np.uint8)
    if labels is not None:
        mask[labels == IGNORE] = 0
    return mask


def covered(mask: np.ndarray, labels: np.ndarray | None = None) -> float:
    """Fraction, 0..1, of the pixels that are not ignored which a mask ([Z,] Y, X) covers; 0 where all are ignored."""
    seen = mask.size if labels is None else int(np.count_nonzero(labels != IGNORE))
    return float(np.count_nonzero(mask) / max(seen, 1))


def segment(
    model: Model,
    image: Array,
    *,
    labels: np.ndarray | None = None,
    threshold: float | None = None,
    crf: CrfSettings | None = None,
    tile_px: int = 0,
    name: str = "The image",
) -> Work[Segmentation]:
    """Probability, mask and, where `crf` is given, refined mask of an image.

    Parameters
    ----------
    model : Model
    image : array, (C, [Z,] Y, X)
    labels : ndarray of label codes, ([Z,] Y, X), optional
        Strokes are kept by the CRF, ignored pixels are left out of both masks.
    threshold : float in [0, 1], optional
        Instead of the model's own.
    crf : CrfSettings, optional
    tile_px : int
        Side of a tile, 0 for automatic.
    name : str
        Of the image, for messages.

    Raises
    ------
    InputError
        If the model cannot see such an image.
    """
    probability = (yield from map_tiles(model, image, tile_px=tile_px, name=name))[0]
    threshold = model.card.threshold if threshold is None else threshold
    mask = threshold_mask(probability, threshold, labels)
    if crf is None:
        return Segmentation(probability, mask, threshold)
    refined = yield from dense_crf.refine(np.asarray(image), probability, crf, labels=labels, threshold=threshold)
    return Segmentation(probability, mask, threshold, refined.mask, refined.backend)


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


def predict(model: Model, image: Array, *, tile_px: int = 0) -> np.ndarray:
    """Probability ([Z,] Y, X), float32 in [0, 1], of an image (C, [Z,] Y, X); waits for it."""
    result: np.ndarray = run(map_tiles(model, image, tile_px=tile_px))[0]
    return result


def refine(
    image: Array,
    probability: np.ndarray,
    settings: CrfSettings | None = None,
    *,
    labels: np.ndarray | None = None,
    threshold: float = 0.5,
) -> Refined:
    """Refine a probability with the dense CRF, and wait for it; see `crf.refine`."""
    work = dense_crf.refine(
        np.asarray(image), probability, settings or CrfSettings(), labels=labels, threshold=threshold
    )
    return run(work)
