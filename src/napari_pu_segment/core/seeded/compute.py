"""The child process of methods that grow from seeds: answers one request, for one plane or volume."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy.ndimage import binary_propagation, gaussian_filter, generate_binary_structure
from skimage.segmentation import random_walker, watershed

from ..compute.child_process import serve
from ..errors import InputError
from ..images.intensity import ChannelStats, normalise
from ..progress import Progress, Work
from ..samples import IGNORE, NEGATIVE, POSITIVE, UNLABELED

_TOLERANCE = 1e-4
"""Of the residual; at 1e-3, which scikit-image has, pixels that hang together weakly are far from solved."""


def compute(arrays: dict[str, np.ndarray], parameters: dict[str, Any]) -> Work[np.ndarray]:
    """Spread the strokes of one plane or volume.

    Parameters
    ----------
    arrays : dict
        ``image`` (C, [Z,] Y, X), of any real dtype; ``labels`` ([Z,] Y, X), label codes, both kinds of strokes in it.
    parameters : dict
        ``method``; ``intensity``, the statistics of each channel; ``spacing`` ([Z,] Y, X), in pixels of a row;
        ``smooth_px``; and what the method takes besides.

    Returns
    -------
    ndarray, ([Z,] Y, X), float32 in [0, 1]
        0 where ignored, and where ignored pixels cut off from every stroke.
    """
    yield Progress(0, 1, "Spreading from the strokes")
    labels, spacing = arrays["labels"], np.array(parameters["spacing"])
    image = normalise(arrays["image"], [ChannelStats(**stats) for stats in parameters["intensity"]])
    if parameters["smooth_px"]:
        image = np.stack([gaussian_filter(channel, parameters["smooth_px"] / spacing) for channel in image])
    reached = _reached(labels)
    if not (reached & (labels == UNLABELED)).any():
        return np.asarray(labels == POSITIVE, np.float32)
    if parameters["method"] == "watershed":
        return _watershed(image, labels, reached, spacing)
    return _random_walker(image, labels, reached, spacing, parameters["beta"])


def _reached(labels: np.ndarray) -> np.ndarray:
    """Pixels that hang together with a stroke, past no ignored one."""
    seeds = (labels == POSITIVE) | (labels == NEGATIVE)
    return np.asarray(binary_propagation(seeds, generate_binary_structure(labels.ndim, 1), mask=labels != IGNORE))


def _watershed(image: np.ndarray, labels: np.ndarray, reached: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Flood the sum over channels of the squared gradient from the strokes; each pixel goes to who comes first."""
    edges = np.zeros(labels.shape, np.float32)
    for channel in image:
        for axis, step in enumerate(spacing):
            if channel.shape[axis] > 1:
                edges += (np.gradient(channel, axis=axis) / step) ** 2
    seeds = np.where(labels == IGNORE, UNLABELED, labels).astype(np.int32)
    basins = watershed(edges, seeds, mask=reached)  # type: ignore[no-untyped-call]
    return np.asarray(basins == POSITIVE, np.float32)


def _random_walker(
    image: np.ndarray, labels: np.ndarray, reached: np.ndarray, spacing: np.ndarray, beta: float
) -> np.ndarray:
    seeds = np.where(reached, labels.astype(np.int32), -1)
    if not image.std():
        raise InputError("The image has no contrast, so a random walker finds no edges. Choose other channels.")
    how = {"spacing": spacing, "channel_axis": -1, "return_full_prob": True, "tol": _TOLERANCE}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of solutions a little beyond 0..1
        found = np.maximum(random_walker(np.moveaxis(image, 0, -1), seeds, beta, **how), 0)
    # Walled in by strong edges, a pixel stays near the 0 that both solutions begin with; their ratio is right before.
    objects, total = found[POSITIVE - 1], found[POSITIVE - 1] + found[NEGATIVE - 1]
    probability = np.divide(objects, total, out=np.full_like(total, 0.5), where=total > 0)
    return np.asarray(probability * reached, np.float32)


if __name__ == "__main__":
    serve(compute)
