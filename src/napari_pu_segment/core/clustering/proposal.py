"""From a result to strokes: the surest parts of a mask, to be corrected by hand and learnt from."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..errors import InputError
from ..samples import IGNORE, NEGATIVE, POSITIVE, check_spatial, neighbours

SHARE = 0.5  # of the objects' pixels, and of the background's, that become strokes; measured on real images
_SMOOTH_PX = 3.0  # a stroke is no single pixel: fewer and larger ones are easier to correct, and teach more


def sure_strokes(
    probability: np.ndarray,
    threshold: float,
    *,
    labels: np.ndarray | None = None,
    share: float = SHARE,
    axes: str = "",
) -> np.ndarray:
    """Label codes of the pixels that a result is surest of.

    Of the pixels in the mask those whose smoothed probability is in its upper `share`, and of all others those in the
    lower `share`; pixels at the rim between the two, where every result is least sure, are left out. Planes and time
    points are smoothed each on their own.

    Parameters
    ----------
    probability : ndarray, ([T,] [Z,] Y, X), float in [0, 1]
    threshold : float
        Where the mask begins.
    labels : ndarray of label codes, ([T,] [Z,] Y, X), optional
        What is ignored stays so and becomes no stroke; strokes that were painted are kept as they are.
    share : float in 0..1
    axes : str
        Of the image; see `Sample.axes`.

    Returns
    -------
    ndarray of uint8, ([T,] [Z,] Y, X)

    Raises
    ------
    InputError
        If nothing, or everything, is in the mask.
    """
    probability = check_spatial("probability", probability)
    open_ = np.ones(probability.shape, bool) if labels is None else labels != IGNORE
    mask = probability >= np.float32(threshold)
    if not (mask & open_).any() or not (~mask & open_).any():
        raise InputError(
            "The mask covers nothing, or all of the image: there is nothing to tell apart. Move the threshold."
        )
    codes = np.zeros(probability.shape, np.uint8)
    smooth = ndimage.gaussian_filter(probability, [0.0] * (probability.ndim - 2) + [_SMOOTH_PX] * 2)
    for code, side, sign in ((POSITIVE, mask, 1), (NEGATIVE, ~mask, -1)):
        side = side & open_
        surest = sign * smooth >= np.quantile(sign * smooth[side], 1 - share)
        codes[_inner(side | ~open_, axes) & side & surest] = code
    if labels is not None:
        codes = np.where(labels != 0, labels, codes)
    return codes.astype(np.uint8)


def _inner(mask: np.ndarray, axes: str) -> np.ndarray:
    """A mask without the pixels that touch what is not in it; beyond the image's edge nothing counts."""
    axes = axes or {2: "CYX", 3: "CZYX", 4: "CTZYX"}[mask.ndim]
    structure = neighbours(axes, diagonal=False)
    return np.asarray(ndimage.binary_erosion(mask, structure, border_value=1))
