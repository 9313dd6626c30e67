"""What stands apart from the rest, by measures that the outliers themselves cannot move."""

from __future__ import annotations

import numpy as np

LEAST = 8  # of fewer values none is told to stand apart


def modified_z(values: np.ndarray) -> np.ndarray:
    """How far values lie from their median, in robust standard deviations; with the sign.

    The modified z-score of Iglewicz & Hoaglin 1993 (How to Detect and Handle Outliers, ASQC Quality Press): with the
    median m and the median absolute deviation MAD, 0.6745 (x - m) / MAD; where MAD is 0, (x - m) / (1.2533 times the
    mean absolute deviation).

    Parameters
    ----------
    values : ndarray, (N, ...)
        Every column on its own.

    Returns
    -------
    ndarray, (N, ...), float64
        0 where all values are the same, and everywhere where there are fewer than `LEAST` values.
    """
    x = np.asarray(values, dtype=np.float64)
    if len(x) < LEAST:
        return np.zeros(x.shape)
    away = x - np.median(x, axis=0)
    mad, mean = np.median(np.abs(away), axis=0), np.abs(away).mean(axis=0)
    unit = np.where(mad > 0, mad / 0.6745, 1.2533 * mean)
    return np.asarray(np.divide(away, unit, out=np.zeros_like(away), where=np.broadcast_to(unit > 0, away.shape)))
