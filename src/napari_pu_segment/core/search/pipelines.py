"""PIPELINES: the scikit-learn classifiers that the pixel search chooses from, and what it may vary of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Parameters: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Between:
    """A number to search for: between two, on a logarithmic scale or not."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class PipelineRow:
    """One pipeline.

    Parameters
    ----------
    title : str
    make : callable
        The classifiers, not fitted, whose log odds are averaged: from parameters and a seed.
    default : mapping
        The parameters that are tried first; a whole number stays one.
    varies : mapping of str to Between
        What the search varies of them.
    reference : str
    """

    title: str
    make: Callable[[Parameters, int], list[Any]]
    default: Mapping[str, float]
    varies: Mapping[str, Between]
    reference: str


def _forest(parameters: Parameters, seed: int) -> list[Any]:
    from sklearn.ensemble import RandomForestClassifier

    return [RandomForestClassifier(**parameters, random_state=seed)]


def _extra_trees(parameters: Parameters, seed: int) -> list[Any]:
    from sklearn.ensemble import ExtraTreesClassifier

    return [ExtraTreesClassifier(**parameters, random_state=seed)]


def _boosting(parameters: Parameters, seed: int) -> list[Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return [
        HistGradientBoostingClassifier(**parameters, early_stopping=False, categorical_features=None, random_state=seed)
    ]


def _logistic(parameters: Parameters, seed: int) -> list[Any]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    return [Pipeline([("scaler", StandardScaler()), ("classifier", LogisticRegression(**parameters, max_iter=100))])]


def _mlp(parameters: Parameters, seed: int) -> list[Any]:
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    rest = {name: value for name, value in parameters.items() if name != "units"}
    network = MLPClassifier((parameters["units"],), **rest, random_state=seed)
    return [Pipeline([("scaler", StandardScaler()), ("classifier", network)])]


_LEAST_LEAF = Between(1, 50, log=True)
_LEAF_NODES = Between(4, 64, log=True)
_FEATURES = Between(0.05, 1.0, log=True)

DEFAULT_FOREST = "default_forest"

PIPELINES: dict[str, PipelineRow] = {
    "logistic": PipelineRow(
        "Logistic regression",
        _logistic,
        {"C": 0.003},
        {"C": Between(1e-5, 10.0, log=True)},
        "Cox 1958, JRSS B 20:215",
    ),
    "mlp": PipelineRow(
        "Small neural network",
        _mlp,
        {"units": 16, "alpha": 1.0, "learning_rate_init": 0.01, "max_iter": 12},
        {
            "units": Between(8, 64, log=True),
            "alpha": Between(1e-3, 30.0, log=True),
            "learning_rate_init": Between(2e-3, 2e-2, log=True),
            "max_iter": Between(6, 30),
        },
        "Rumelhart, Hinton, Williams 1986, Nature 323:533",
    ),
    "extra_trees": PipelineRow(
        "Extra trees",
        _extra_trees,
        {"n_estimators": 12, "max_leaf_nodes": 32, "min_samples_leaf": 5, "max_features": 0.2},
        {
            "n_estimators": Between(8, 24),
            "max_leaf_nodes": _LEAF_NODES,
            "min_samples_leaf": _LEAST_LEAF,
            "max_features": _FEATURES,
        },
        "Geurts, Ernst, Wehenkel 2006, Machine Learning 63:3",
    ),
    "forest": PipelineRow(
        "Random forest",
        _forest,
        {"n_estimators": 12, "max_leaf_nodes": 32, "min_samples_leaf": 5, "max_features": 0.2},
        {
            "n_estimators": Between(8, 24),
            "max_leaf_nodes": _LEAF_NODES,
            "min_samples_leaf": _LEAST_LEAF,
            "max_features": _FEATURES,
        },
        "Breiman 2001, Machine Learning 45:5",
    ),
    "boosting": PipelineRow(
        "Gradient boosting on histograms",
        _boosting,
        {"max_iter": 20, "learning_rate": 0.2, "max_leaf_nodes": 6, "min_samples_leaf": 20, "l2_regularization": 1.0},
        {
            "max_iter": Between(10, 60),
            "learning_rate": Between(0.02, 0.4, log=True),
            "max_leaf_nodes": Between(3, 24, log=True),
            "min_samples_leaf": Between(5, 100, log=True),
            "l2_regularization": Between(1e-3, 100.0, log=True),
        },
        "Ke et al. 2017, LightGBM, NeurIPS",
    ),
    DEFAULT_FOREST: PipelineRow(
        "Random forest of 100 whole trees, the default of other programs",
        _forest,
        {"n_estimators": 100},
        {},
        "Breiman 2001, Machine Learning 45:5",
    ),
}
