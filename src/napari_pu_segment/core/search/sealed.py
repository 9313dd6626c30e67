"""Scikit-learn classifiers as bytes: written by skops, without pickle, and read with an explicit list of types."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from ..errors import InputError, ModelFileError
from .classifiers import odds_of, one_thread

_MAX_BYTES = 2**30  # of what a classifier may unpack to
_MAX_FILES = 20_000
_MAX_MEMBERS = 64
Group: TypeAlias = tuple[np.ndarray, list[Any]]  # which features are seen, and classifiers that see them

_FIXED = (1980, 1, 1, 0, 0, 0)  # date of every file within, so that the same classifier gives the same bytes
_SPENT = ("_optimizer", "_random_state", "_feature_subsample_rng")  # of no use after fitting
_TREES = "sklearn.ensemble._hist_gradient_boosting"
TRUSTED = frozenset({
    *(f"builtins.{name}" for name in ("dict", "list", "str", "tuple")),
    *(f"numpy.{name}" for name in ("ndarray", "bool", "float32", "float64", "int32", "int64", "uint32", "uint64")),
    "sklearn._loss._loss.CyHalfBinomialLoss",
    "sklearn._loss._loss.CyHalfMultinomialLoss",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfMultinomialLoss",
    "sklearn.ensemble._forest.ExtraTreesClassifier",
    "sklearn.ensemble._forest.RandomForestClassifier",
    f"{_TREES}.binning._BinMapper",
    f"{_TREES}.gradient_boosting.HistGradientBoostingClassifier",
    f"{_TREES}.predictor.TreePredictor",
    "sklearn.linear_model._logistic.LogisticRegression",
    "sklearn.neural_network._multilayer_perceptron.MLPClassifier",
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing._data.StandardScaler",
    "sklearn.preprocessing._label.LabelBinarizer",
    "sklearn.preprocessing._label.LabelEncoder",
    "sklearn.tree._classes.DecisionTreeClassifier",
    "sklearn.tree._classes.ExtraTreeClassifier",
    "sklearn.tree._tree.Tree",
})  # fmt: skip


def need_search() -> None:
    """Refuse what needs scikit-learn, skops and Optuna where they are not installed.

    Raises
    ------
    InputError
        Which tells the command that installs them.
    """
    try:
        import optuna  # noqa: F401
        import sklearn  # noqa: F401
        import skops  # noqa: F401
    except ImportError:
        raise InputError(
            "The pixel search needs optuna, scikit-learn and skops: pip install 'napari-pu-segment[search]'"
        ) from None


def seal(groups: Sequence[Group]) -> bytes:
    """Fitted classifiers as bytes, the same for the same; what they keep for fitting on is left out."""
    need_search()
    from skops.io import dumps

    for part in (part for _, members in groups for one in members for part in _parts(one)):
        for name in _SPENT:
            vars(part).pop(name, None)
    with zipfile.ZipFile(io.BytesIO(dumps([list(group) for group in groups]))) as found:
        schema = json.loads(found.read("schema.json"))
        names: dict[str, str] = {}
        for node in _nodes(schema):
            node.pop("__id__", None)  # places in memory
            if "file" in node:
                node["file"] = names.setdefault(node["file"], f"{len(names)}.npy")
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as sealed:
            contents = {new: found.read(old) for old, new in names.items()}
            for name, content in [("schema.json", json.dumps(schema).encode()), *contents.items()]:
                sealed.writestr(zipfile.ZipInfo(name, _FIXED), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def unseal(data: bytes, n_features: int, n_classes: int) -> list[Group]:
    """Classifiers of so many features and classes from bytes that hold no other types than those of `TRUSTED`.

    Raises
    ------
    ModelFileError
        If the bytes are damaged, hold any other type, or no classifiers that the search makes.
    InputError
        If scikit-learn or skops are not installed.
    """
    need_search()
    from skops.io import loads

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as found:
            sizes = [info.file_size for info in found.infolist()]
            if sum(sizes) > _MAX_BYTES or len(sizes) > _MAX_FILES:
                raise ModelFileError("The classifier in the model file is too large.")
            schema = json.loads(found.read("schema.json"))
        foreign = {name for node in _nodes(schema) if (name := _type_of(node)) and name not in TRUSTED}
        if foreign:
            raise ModelFileError(f"The model file holds a type that is not trusted: {sorted(foreign)[0]!r}.")
        groups = [(columns, members) for columns, members in loads(data, trusted=sorted(TRUSTED))]
        if not 0 < sum(len(members) for _, members in groups) <= _MAX_MEMBERS:
            raise ModelFileError("The model file holds no classifiers that the pixel search makes.")
        for columns, members in groups:
            _check_columns(columns, n_features)
            for one in members:
                _check(one, len(columns), n_classes)
    except ModelFileError:
        raise
    except Exception as error:  # hostile bytes fail in any way they like
        raise ModelFileError(f"The classifier in the model file is damaged ({type(error).__name__}).") from None
    return groups


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    for part in node if isinstance(node, list) else ():
        yield from _nodes(part)


def _type_of(node: dict[str, Any]) -> str:
    return f"{node.get('__module__')}.{node['__class__']}" if "__class__" in node else ""


def _parts(classifier: Any) -> list[Any]:
    return [classifier, *(part for _, part in getattr(classifier, "steps", ()))]


def _check_columns(columns: Any, n_features: int) -> None:
    if not isinstance(columns, np.ndarray) or columns.dtype != np.int64 or columns.ndim != 1:
        raise ModelFileError("The model file does not tell which features its classifiers see.")
    if not len(columns) or (np.diff(columns) <= 0).any() or columns[0] < 0 or columns[-1] >= n_features:
        raise ModelFileError("The classifiers in the model file see features that there are not.")


def _check(classifier: Any, n_features: int, n_classes: int) -> None:
    """Refuse what would read outside its memory, or predicts other classes than 0 to `n_classes` - 1."""
    from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    kinds = [type(part) for part in _parts(classifier)]
    forests = (RandomForestClassifier, ExtraTreesClassifier)
    scaled = [[Pipeline, StandardScaler, last] for last in (LogisticRegression, MLPClassifier)]
    if kinds not in [[kind] for kind in (*forests, HistGradientBoostingClassifier)] + scaled:
        raise ModelFileError("The model file holds no classifier that the pixel search makes.")
    if kinds[0] is Pipeline and classifier.memory is not None:
        raise ModelFileError("The classifier in the model file would write to disk.")
    sound = True
    if kinds[0] in forests:
        classifier.set_params(n_jobs=None)
        trees = [tree.tree_ for tree in classifier.estimators_]
        sound = all(_is_sound_tree(tree, n_features, n_classes) for tree in trees)
    if kinds[0] is HistGradientBoostingClassifier:
        sound = classifier._preprocessor is None and classifier.is_categorical_ is None
        sound = sound and all(_is_sound(p.nodes, n_features) for few in classifier._predictors for p in few)
    if not sound:
        raise ModelFileError("The trees in the model file are damaged.")
    with one_thread():
        found = classifier.predict_proba(np.zeros((3, n_features), np.float32))
        odds_of(classifier, np.arange(n_features), n_features)(torch.zeros(n_features, 3))
    known = np.asarray(classifier.classes_).tolist()
    if known != list(range(n_classes)) or found.shape != (3, n_classes) or not np.isfinite(found).all():
        raise ModelFileError("The classifier in the model file gives no probabilities.")


def _is_sound_tree(tree: Any, n_features: int, n_classes: int) -> bool:
    left, right, numbers = tree.children_left, tree.children_right, np.arange(tree.node_count)
    inner = left >= 0
    children = [side[inner] for side in (left, right)]
    return bool(
        tree.node_count > 0
        and (tree.n_features, tree.n_outputs, tree.max_n_classes) == (n_features, 1, n_classes)
        and all((side > numbers[inner]).all() and (side < tree.node_count).all() for side in children)
        and ((tree.feature[inner] >= 0) & (tree.feature[inner] < n_features)).all()
        and (left[~inner] == -1).all()
    )


def _is_sound(nodes: np.ndarray, n_features: int) -> bool:
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    if nodes.dtype != PREDICTOR_RECORD_DTYPE or nodes.ndim != 1 or not len(nodes):
        return False
    inner, numbers = nodes["is_leaf"] == 0, np.arange(len(nodes))
    children = [nodes[side][inner].astype(np.int64) for side in ("left", "right")]
    return bool(
        not nodes["is_categorical"].any()
        and all((side > numbers[inner]).all() and (side < len(nodes)).all() for side in children)
        and ((nodes["feature_idx"][inner] >= 0) & (nodes["feature_idx"][inner] < n_features)).all()
    )
