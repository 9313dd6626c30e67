"""Scikit-learn classifiers at work: fitted with weights, and asked for log odds, fast and the same in every tile."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import torch

LIMIT = 5.0  # log odds beyond this are no better known
_LARGEST = 65504.0  # of float16; a hot pixel may be beyond

Odds: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


@cache
def _controller() -> Any:
    import sklearn.ensemble
    import sklearn.neural_network  # noqa: F401  with all libraries that they load
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()  # looks through all libraries that are loaded, which takes a while


def one_thread() -> AbstractContextManager[Any]:
    """While it lasts, libraries below scikit-learn compute on one thread: more spin beside a busy viewer."""
    limited: AbstractContextManager[Any] = _controller().limit(limits=1)
    return limited


def fit_classifier(classifier: Any, rows: np.ndarray, classes: np.ndarray, weights: np.ndarray, seed: int) -> Any:
    """Fit a classifier to rows (n, F) with weights (n,), and return it.

    Gradient boosting gets rows drawn by their weights instead: its bins would be weighted quantiles, which takes 60
    times as long (measured).
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    counts = weights > 0
    rows, classes, weights = rows[counts], classes[counts], weights[counts] * (counts.sum() / weights.sum())
    with warnings.catch_warnings(), one_thread():
        warnings.simplefilter("ignore")  # that a small network could have been trained for longer
        if isinstance(classifier, HistGradientBoostingClassifier):
            rng, share = np.random.default_rng(seed), weights / weights.sum()
            drawn = np.concatenate(
                [np.unique(classes, return_index=True)[1], rng.choice(len(rows), len(rows), p=share)]
            )
            return classifier.fit(rows[drawn], classes[drawn])
        name = f"{classifier.steps[-1][0]}__sample_weight" if hasattr(classifier, "steps") else "sample_weight"
        return classifier.fit(rows, classes, **{name: weights})


def log_odds(members: Sequence[Any], rows: np.ndarray) -> np.ndarray:
    """Log odds (n, K) of the classes 1 to K against class 0, the mean over some classifiers of rows (n, F)."""
    features = torch.from_numpy(np.ascontiguousarray(rows.T, dtype=np.float32))
    everything = np.arange(len(features))
    with torch.inference_mode():
        found = sum(odds_of(member, everything, len(features))(features) for member in members) / len(members)
    return np.ascontiguousarray(found.numpy().T)  # type: ignore[union-attr]


def odds_of(classifier: Any, columns: np.ndarray, n_features: int) -> Odds:
    """What turns features (F, n) into log odds (K, n) of each class against class 0, within +-`LIMIT`.

    A scaler and what comes after it are layers for torch, which is several times faster than scikit-learn; where as
    many pixels are asked for, rounding does not depend on where one stands. Trees compare only, and add up the same
    numbers in the same order. Where a feature is not finite, layers answer 0, and trees get a very large number.

    Parameters
    ----------
    classifier : a scikit-learn classifier
        Fitted.
    columns : ndarray of int
        Which of the features it sees.
    n_features : int
        F.
    """
    if hasattr(classifier, "steps"):
        return _dense(_layers(classifier, columns, n_features))
    return _trees(classifier, columns)


def _dense(layers: list[tuple[torch.Tensor, torch.Tensor]]) -> Odds:
    def odds(features: torch.Tensor) -> torch.Tensor:
        x = features
        for number, (weight, bias) in enumerate(layers):
            x = torch.addmm(bias, weight, x.relu_() if number else x)
        return (x if len(x) == 1 else x[1:] - x[:1]).nan_to_num_(0.0).clamp_(-LIMIT, LIMIT)

    return odds


def _layers(classifier: Any, columns: np.ndarray, n_features: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Weights (m, n) and biases (m, 1) of each layer; the scaler is in the first one, which sees all features."""
    (_, scaler), (_, last) = classifier.steps
    if hasattr(last, "coefs_"):
        layers = [(weight.T, bias) for weight, bias in zip(last.coefs_, last.intercepts_, strict=True)]
    else:
        layers = [(last.coef_, last.intercept_)]
    weight, bias = layers[0]
    scaled = weight / scaler.scale_
    whole = np.zeros((len(weight), n_features))
    whole[:, columns] = scaled
    layers[0] = (whole, bias - scaled @ scaler.mean_)
    return [tuple(torch.tensor(part, dtype=torch.float32) for part in (w, b[:, None])) for w, b in layers]  # type: ignore[misc]


def _trees(classifier: Any, columns: np.ndarray) -> Odds:
    from sklearn.ensemble import HistGradientBoostingClassifier

    boosted = isinstance(classifier, HistGradientBoostingClassifier)
    trees = [] if boosted else classifier.estimators_
    asked = np.unique(np.concatenate([tree.tree_.feature for tree in trees] or [np.arange(len(columns))]))
    asked = asked[asked >= 0]  # leaves ask for none
    seen = torch.from_numpy(columns[asked])

    def odds(features: torch.Tensor) -> torch.Tensor:
        rows = np.zeros((features.shape[1], len(columns)), np.float32)
        rows[:, asked] = torch.nan_to_num(features[seen], nan=0.0, posinf=_LARGEST, neginf=-_LARGEST).numpy().T
        with one_thread():
            if boosted:
                shares = classifier.predict_proba(rows)
            else:
                shares = sum(tree.predict_proba(rows, check_input=False) for tree in trees) / len(trees)
        logs = np.log(np.maximum(shares, np.exp(-2 * LIMIT))).T
        return torch.from_numpy(np.float32(logs[1:] - logs[:1])).clamp_(-LIMIT, LIMIT)

    return odds
