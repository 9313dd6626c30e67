"""What a model is worth with so many images annotated, from strokes alone."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..samples import NEGATIVE, POSITIVE


def agreement(probability: np.ndarray, threshold: float, labels: np.ndarray) -> float:
    """How far a model agrees with strokes on an image that it did not learn from.

    The mean, over the kinds of stroke that were painted, of the share of their pixels that are on the side they were
    painted for. Asked before the image is learnt from, image by image, it is a prequential score (Dawid 1984, JRSS A
    147:278): each annotated image is a test first and a lesson then.

    Parameters
    ----------
    probability : ndarray, ([T,] [Z,] Y, X), in [0, 1]
    threshold : float in [0, 1]
    labels : ndarray of label codes, ([T,] [Z,] Y, X)

    Returns
    -------
    float, 0..1
        NaN where nothing is painted. It is optimistic, since people paint what they are sure of: it is for comparing
        budgets, not for reporting quality.

    Raises
    ------
    InputError
        If the shapes differ.
    """
    if probability.shape != labels.shape:
        raise InputError(f"The strokes measure {labels.shape} pixels but the probability {probability.shape}.")
    positive, negative = probability[labels == POSITIVE], probability[labels == NEGATIVE]
    sides = [positive >= threshold, negative < threshold]
    shares = [float(side.mean()) for side in sides if side.size]
    return float(np.mean(shares)) if shares else float("nan")
