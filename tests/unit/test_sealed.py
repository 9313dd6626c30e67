"""Classifiers as bytes: hostile ones are refused before anything in them is used."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
import torch

from napari_pu_segment.core.errors import ModelFileError
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import Model, load_model, save_model, tensors_hash
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.search.sealed import seal, unseal
from tests.helpers import disk_sample

DummyClassifier = pytest.importorskip("sklearn.dummy", reason="the extra `search` is not installed").DummyClassifier
sklearn_ensemble = pytest.importorskip("sklearn.ensemble", reason="the extra `search` is not installed")
ALL = np.arange(4)


def fitted(kind=sklearn_ensemble.RandomForestClassifier, **kwargs):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4)).astype(np.float32)
    return kind(**kwargs, random_state=0).fit(x, (x[:, 0] > 0).astype(int))


def rewritten(data: bytes, change) -> bytes:
    """The same with another schema."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, json.dumps(change(json.loads(content))) if name == "schema.json" else content)
    return out.getvalue()


def test_a_type_that_is_not_trusted_is_refused():
    data = seal([(ALL, [fitted(n_estimators=3)])])
    ((columns, (found,)),) = unseal(data, 4, 2)
    assert (columns.tolist(), len(found.estimators_)) == ([0, 1, 2, 3], 3)

    def hostile(schema):
        forest = schema["content"][0]["content"][1]["content"][0]
        assert forest["__class__"] == "RandomForestClassifier"
        forest["__module__"], forest["__class__"] = "os", "system"
        return schema

    with pytest.raises(ModelFileError, match=r"not trusted: 'os.system'"):
        unseal(rewritten(data, hostile), 4, 2)
    other = DummyClassifier().fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(ModelFileError, match="not trusted"):
        unseal(seal([(ALL[:1], [other])]), 1, 2)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x80\x04K\x01.", b"x" * 1000])
def test_bytes_that_are_no_classifiers_are_refused(data):
    with pytest.raises(ModelFileError, match="damaged"):
        unseal(data, 4, 2)


def test_a_tree_that_points_outside_itself_is_refused():
    data = seal([(ALL, [fitted(n_estimators=2)])])
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        contents = {name: found.read(name) for name in found.namelist()}
    nodes = {name for name, part in contents.items() if b"left_child" in part[:500]}
    assert len(nodes) == 2
    for child, value in (("left_child", 10**6), ("right_child", 0), ("feature", 4)):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as new:
            for name, part in contents.items():
                changed = part
                if name in nodes:
                    tree = np.load(io.BytesIO(part), allow_pickle=False)
                    assert tree["left_child"][0] == 1
                    tree[child][0] = value
                    holder = io.BytesIO()
                    np.save(holder, tree, allow_pickle=False)
                    changed = holder.getvalue()
                new.writestr(name, changed)
        with pytest.raises(ModelFileError, match="trees in the model file are damaged"):
            unseal(out.getvalue(), 4, 2)


@pytest.mark.parametrize(
    "columns", [[0, 1, 2, 4], [0, 0, 1, 2], [-1, 0, 1, 2], [], [[0, 1], [2, 3]], [0.0, 1.0, 2.0, 3.0]]
)
def test_features_that_there_are_not_are_refused(columns):
    data = seal(
        [(np.array(columns, int if columns and isinstance(columns[0], int) else None), [fitted(n_estimators=1)])]
    )
    with pytest.raises(ModelFileError, match="see"):
        unseal(data, 4, 2)


@pytest.mark.parametrize("kind", ["RandomForestClassifier", "HistGradientBoostingClassifier"])
def test_a_classifier_of_other_features_or_classes_is_refused(kind):
    one = fitted(getattr(sklearn_ensemble, kind))
    assert unseal(seal([(ALL, [one])]), 4, 2)
    with pytest.raises(ModelFileError, match="damaged"):
        unseal(seal([(ALL[:3], [one])]), 4, 2)
    with pytest.raises(ModelFileError, match=r"damaged|no probabilities"):
        unseal(seal([(ALL, [one])]), 4, 3)


def test_a_model_file_with_a_foreign_classifier_is_refused(tmp_path):
    method = METHODS["pixel_search"]
    settings = method.settings(n_trials=1, threads=1, prior="fixed", filters=["gaussian"], sigmas_px=[1, 4])
    model = run(method.train([disk_sample()[0]], settings))
    hostile = np.frombuffer(bytearray(seal([(ALL, [fitted()])])), np.uint8)
    tensors = {**model.network.state_dict(), "classifiers": torch.from_numpy(hostile)}
    network = model.card.network.model_copy(update={"n_bytes": len(hostile)})
    card = model.card.model_copy(update={"network": network, "tensors_sha256": tensors_hash(tensors)})

    class Stub(torch.nn.Module):
        def state_dict(self, *args, **kwargs):
            return tensors

    save_model(Model(Stub(), card), tmp_path / "m")
    with pytest.raises(ModelFileError, match="features that there are not"):
        load_model(tmp_path / "m")
    save_model(model, tmp_path / "m")
    assert load_model(tmp_path / "m").card == model.card
