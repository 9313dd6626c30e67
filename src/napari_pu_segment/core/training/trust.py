"""How far each label of a mask may be trusted, and where to look first."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..samples import NEGATIVE, POSITIVE


def label_trust(probability: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The probability that a label is right, by a model that was not bound to believe it.

    Parameters
    ----------
    probability : ndarray, ([T,] [Z,] Y, X), float in [0, 1]
        Of an object, by a model.
    labels : ndarray of label codes, ([T,] [Z,] Y, X)

    Returns
    -------
    ndarray, ([T,] [Z,] Y, X), float32 in [0, 1]
        The probability where the label is positive, 1 minus it where it is negative, 1 where there is no label.

    Raises
    ------
    InputError
        If the shapes differ.
    """
    if probability.shape != labels.shape:
        raise InputError(f"The mask measures {labels.shape} pixels but the probability {probability.shape}.")
    trust = np.ones(labels.shape, np.float32)
    positive, negative = labels == POSITIVE, labels == NEGATIVE
    trust[positive] = probability[positive]
    trust[negative] = 1 - probability[negative]
    return trust
