"""How well classes that were found without labels agree with true ones."""

from __future__ import annotations

import numpy as np

from ..errors import InputError


def class_scores(found: np.ndarray, chances: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Figures of merit of classes against the truth; only to name the classes is the truth looked at.

    With n_kj the number of objects of class k that are of true class j (Manning, Raghavan, Schuetze 2008, section 16.3;
    Zhao & Karypis 2001 for F):

    - purity: sum_k max_j n_kj / n, 0..1
    - entropy: of the true classes within each class found, weighed by its size; in units of log J: 0 is pure
    - f_score: sum_j n_j / n max_k 2 n_kj / (n_k + n_j), 0..1
    - auc: of each true class against the rest, averaged over them; an object's value is its chance to be of a class
      that goes by the name of the true one. A class goes by the name of that whose share in it is most above its share
      in all.

    Parameters
    ----------
    found : ndarray of int, (n,)
        Classes 1..K.
    chances : ndarray, (n, K)
    truth : ndarray of int, (n,)
        True classes, any numbers.

    Raises
    ------
    InputError
        If there are fewer than two true classes.
    """
    from sklearn.metrics import roc_auc_score

    names, places = np.unique(truth, return_inverse=True)
    if len(names) < 2:
        raise InputError("All objects with a true class are of one class, so there is nothing to tell apart.")
    n, n_classes = len(found), chances.shape[1]
    counts = np.zeros((n_classes, len(names)))
    np.add.at(counts, (found - 1, places), 1)
    of_found, of_true = counts.sum(1, keepdims=True), counts.sum(0, keepdims=True)
    shares = counts / np.maximum(of_found, 1)
    entropies = -np.sum(shares * np.log(np.maximum(shares, 1e-300)), 1) / np.log(len(names))
    f_scores = 2 * counts / (of_found + of_true)
    name_of = np.argmax((counts + 1e-9) / (of_found + 1e-9) / of_true, 1)
    values = [chances[:, name_of == j].sum(1) for j in range(len(names))]
    return {
        "purity": float(counts.max(1).sum() / n),
        "entropy": float((of_found[:, 0] * entropies).sum() / n),
        "f_score": float((of_true[0] * f_scores.max(0)).sum() / n),
        "auc": float(np.mean([roc_auc_score(places == j, value) for j, value in enumerate(values)])),
    }
