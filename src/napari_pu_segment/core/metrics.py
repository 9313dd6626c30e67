"""How well a segmentation agrees with the truth, and which figures hold when no negative is known.

All of them need a truth that is complete inside `valid`. With positive labels alone (every other pixel unknown):
recall still holds if the labelled positives are a fair sample of all positives; precision, Dice, IoU and average
precision do not: unlabelled positives count as errors, so they are only lower bounds, by an unknown amount.
"""

from __future__ import annotations

import numpy as np

from .errors import InputError


def scores(prediction: np.ndarray, truth: np.ndarray, valid: np.ndarray | None = None) -> dict[str, float]:
    """Dice, IoU, precision, recall, specificity and accuracy of a mask.

    With the numbers of true positives TP, false positives FP, false negatives FN and true negatives TN of n pixels:
    precision = TP / (TP + FP), recall (sensitivity) = TP / (TP + FN), specificity = TN / (TN + FP),
    accuracy = (TP + TN) / n, dice = 2 TP / (2 TP + FP + FN) (Dice 1945), iou = TP / (TP + FP + FN) (Jaccard 1912).
    Where prediction and truth are both empty all are 1; else a quotient 0 / 0 is 0. Without known negatives only recall
    can be trusted, see the module.

    Parameters
    ----------
    prediction, truth : ndarray, any shape
        Non-zero is positive.
    valid : ndarray, optional
        Only pixels where it is non-zero are scored.

    Returns
    -------
    dict of float in 0..1
        Keys dice, iou, precision, recall, specificity, accuracy.

    Raises
    ------
    InputError
        If the shapes differ or no pixel is valid.
    """
    predicted, true = (values != 0 for values in _scored(prediction, truth, valid))
    both = int(np.count_nonzero(predicted & true))
    n_predicted, n_true = int(np.count_nonzero(predicted)), int(np.count_nonzero(true))
    if n_predicted == n_true == 0:
        return dict.fromkeys(("dice", "iou", "precision", "recall", "specificity", "accuracy"), 1.0)
    neither = predicted.size - n_predicted - n_true + both
    return {
        "dice": 2 * both / (n_predicted + n_true),
        "iou": both / (n_predicted + n_true - both),
        "precision": both / n_predicted if n_predicted else 0.0,
        "recall": both / n_true if n_true else 0.0,
        "specificity": neither / (predicted.size - n_true) if n_true < predicted.size else 0.0,
        "accuracy": (both + neither) / predicted.size,
    }


def scores_of_classes(
    prediction: np.ndarray, truth: np.ndarray, valid: np.ndarray | None = None
) -> dict[str, float | dict[str, float]]:
    """Dice of every class of two images of class numbers, and their mean.

    Parameters
    ----------
    prediction, truth : ndarray of integers, any shape
        0 is background.
    valid : ndarray, optional
        Only pixels where it is non-zero are scored.

    Returns
    -------
    dict
        "dice" by number, "0" (the background) to the highest in either; "mean_dice" of these, "mean_dice_objects"
        without the background.

    Raises
    ------
    InputError
        If the shapes differ or no pixel is valid.
    """
    predicted, true = _scored(prediction, truth, valid)
    numbers = range(int(max(predicted.max(initial=0), true.max(initial=0))) + 1)
    dice = {str(number): scores(predicted == number, true == number)["dice"] for number in numbers}
    values = list(dice.values())
    mean_objects = float(np.mean(values[1:])) if len(values) > 1 else 1.0
    return {"dice": dice, "mean_dice": float(np.mean(values)), "mean_dice_objects": mean_objects}


def average_precision(probability: np.ndarray, truth: np.ndarray, valid: np.ndarray | None = None) -> float:
    """Area under the precision-recall curve: the quality of the ranking, whatever the threshold.

    AP = sum over thresholds n, from the highest, of (recall_n - recall_n-1) * precision_n; equal probabilities share
    one threshold (Manning et al. 2008, section 8.4). A constant probability gives the fraction of positives; a truth
    without positives gives 0. Without known negatives it is a lower bound, see the module.

    Parameters
    ----------
    probability : ndarray, any shape
        Any finite scores; higher is more positive.
    truth : ndarray
        Non-zero is positive.
    valid : ndarray, optional
        Only pixels where it is non-zero are scored.

    Returns
    -------
    float in 0..1

    Raises
    ------
    InputError
        If the shapes differ, no pixel is valid, or a probability is not finite.
    """
    values, true = _scored(probability, truth, valid)
    if not np.isfinite(values).all():
        raise InputError("The probabilities to score have values that are not finite.")
    order = np.argsort(values)[::-1]
    values, true = values[order], true[order] != 0
    last_of_ties = np.append(np.flatnonzero(np.diff(values)), values.size - 1)
    found = np.cumsum(true)[last_of_ties]  # true positives at each threshold
    if found[-1] == 0:
        return 0.0
    precision = found / (last_of_ties + 1)
    return float(np.sum(np.diff(found, prepend=0) * precision) / found[-1])


def _scored(prediction: np.ndarray, truth: np.ndarray, valid: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    shapes = {np.shape(array) for array in (prediction, truth, valid) if array is not None}
    if len(shapes) > 1:
        raise InputError(f"What is compared must have one shape; here are {', '.join(map(str, sorted(shapes)))}.")
    if valid is None:
        valid = np.ones(np.shape(truth), bool)
    inside = np.asarray(valid) != 0
    if not inside.any():
        raise InputError("There is no valid pixel to score.")
    return np.asarray(prediction)[inside], np.asarray(truth)[inside]
