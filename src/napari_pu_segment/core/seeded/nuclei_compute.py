"""The child process of the method `nuclei`: finds the nuclei of one plane."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from skimage.feature import blob_log

from ..compute.child_process import serve
from ..images.stains import STAINS, check_rgb, separate
from ..progress import Progress, Work

_PEAK = 2 / math.e
"""Of the scale-normalised Laplacian of Gaussian at the centre of a disc of height 1, where sigma is r / sqrt(2)."""

_N_SIZES = 8
_REACH = 3.0  # radii; farther out, a probability is under 0.002


def compute(arrays: dict[str, np.ndarray], parameters: dict[str, Any]) -> Work[np.ndarray]:
    """Find nuclei as blobs of haematoxylin, or of intensity.

    Parameters
    ----------
    arrays : dict
        ``image`` (C, Y, X), RGB or normalised intensities; ``ignored`` (Y, X), bool.
    parameters : dict
        ``smallest_px``, ``largest_px``, ``contrast``, ``looks``; ``name`` of the image.

    Returns
    -------
    ndarray, (Y, X), float32 in [0, 1]
        ``2 ** -(d / r)**2`` at the distance d from the centre of a nucleus of radius r; the largest where they overlap.
    """
    yield Progress(0, 1, "Looking for nuclei")
    if parameters["looks"] == "haematoxylin":
        seen = separate(check_rgb(arrays["image"], parameters["name"]))[STAINS.index("haematoxylin")]
    else:
        seen = arrays["image"].mean(0) * (1 if parameters["looks"] == "bright" else -1)
    ignored = arrays["ignored"]
    if ignored.all():
        return np.zeros(seen.shape, np.float32)
    seen = np.where(ignored, np.median(seen[~ignored]), seen)  # what is ignored is no blob, and its rim no edge
    low, high = (parameters[size] / 2 / math.sqrt(2) for size in ("smallest_px", "largest_px"))
    blobs = blob_log(seen.astype(np.float64), low, high, num_sigma=_N_SIZES, threshold=_PEAK * parameters["contrast"])  # type: ignore[no-untyped-call]
    return np.where(ignored, np.float32(0), _drawn(blobs, seen.shape))


def _drawn(blobs: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Each blob (y, x, sigma) as a bump that is one half at its radius."""
    found = np.zeros(shape, np.float32)
    for y, x, sigma in blobs:
        radius = sigma * math.sqrt(2)
        reach = math.ceil(_REACH * radius)
        rows, columns = (slice(max(int(at) - reach, 0), int(at) + reach + 1) for at in (y, x))
        part = found[rows, columns]
        grid = np.ogrid[rows.start : rows.start + part.shape[0], columns.start : columns.start + part.shape[1]]
        far = ((grid[0] - y) ** 2 + (grid[1] - x) ** 2) / radius**2
        np.maximum(part, np.where(far <= _REACH**2, 2.0**-far, 0), out=part)
    return found


if __name__ == "__main__":
    serve(compute)
