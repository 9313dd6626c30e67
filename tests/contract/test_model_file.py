from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from napari_pu_segment.core.errors import InputError, ModelFileError
from napari_pu_segment.core.methods.pu import PuSettings
from napari_pu_segment.core.model import load_model, save_model
from napari_pu_segment.core.pipeline import predict, train
from tests.helpers import disk_sample


@pytest.fixture(scope="module")
def model():
    sample, _ = disk_sample()
    return train([sample], PuSettings(n_steps=20, prior="fixed", class_prior=0.2))


@pytest.fixture
def file(model, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    save_model(model, path)
    return path


def rewrite(path, change_card=None, change_tensors=None, rehash=False):
    """A model file with another card or other tensors."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    card = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["card"])
    tensors = load_tensors(data)
    if change_card:
        change_card(card)
    if change_tensors:
        change_tensors(tensors)
    path.write_bytes(save_tensors(tensors, metadata={"card": json.dumps(card)}))


def test_round_trip(model, file):
    loaded = load_model(file)
    assert loaded.card == model.card
    image = disk_sample(seed=5)[0].image
    before = predict(model, image)
    assert before.std() > 0.1
    np.testing.assert_array_equal(predict(loaded, image), before)


def test_same_time_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    sample, _ = disk_sample()
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        save_model(train([sample], PuSettings(n_steps=20)), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert load_model(paths[0]).card.created.startswith("2023-11-14")


def set_(**values):
    return lambda card: card.update(values)


@pytest.mark.parametrize(
    ("change_card", "words"),
    [
        (set_(format_version=2), "newer version"),
        (set_(format_version="1"), "does not understand"),
        (set_(threshold=2.0), "does not understand"),
        (set_(surprise=1), "does not understand"),
        (lambda card: card.pop("class_prior"), "does not understand"),
        (lambda card: card["network"].update(width=10**9), "does not understand"),
        (lambda card: card["network"].update(name="nonsense"), "no network"),
        (lambda card: card["network"].update(width=48), "wrong shape"),
        (lambda card: card["network"].update(name="unet"), "does not hold the tensors"),
        (lambda card: card["network"].update(in_channels=2), "contradicts itself"),
        (set_(axes="CZYX", network=None), "does not understand"),
        (set_(tensors_sha256="0" * 64), "checksum"),
    ],
)
def test_foreign_cards(file, change_card, words):
    load_model(file)
    rewrite(file, change_card)
    with pytest.raises(InputError, match=words):
        load_model(file)


@pytest.mark.parametrize(
    ("change_tensors", "words"),
    [
        (lambda t: t.update({"layers.0.bias": t["layers.0.bias"] * float("nan")}), "not finite"),
        (lambda t: t.update({"layers.0.bias": t["layers.0.bias"] + 1}), "checksum"),
        (lambda t: t.update({"layers.0.bias": t["layers.0.bias"].double()}), "wrong shape or type"),
        (lambda t: t.update({"extra": torch.zeros(1)}), "does not hold the tensors"),
        (lambda t: t.pop("mean"), "does not hold the tensors"),
    ],
)
def test_foreign_tensors(file, change_tensors, words):
    load_model(file)
    rewrite(file, None, change_tensors)
    with pytest.raises(ModelFileError, match=words):
        load_model(file)


def test_damaged_files(file, tmp_path):
    data = file.read_bytes()
    broken = tmp_path / "broken"
    for content in (b"", b"x", data[:50], data[:-1], b"\xff" * 100, data[:8] + b"[" * 100_000, b"PK\x03\x04" + data):
        broken.write_bytes(content)
        with pytest.raises(ModelFileError):
            load_model(broken)
    for path in (tmp_path / "absent", tmp_path, "a\0b"):
        with pytest.raises(ModelFileError):
            load_model(path)


def test_three_hundred_mutated_files_give_one_kind_of_error(file, tmp_path):
    data, rng = file.read_bytes(), np.random.default_rng(0)
    broken, refusals = tmp_path / "broken", []
    for _ in range(300):
        mutated = bytearray(data)
        for place in rng.integers(0, len(data) if rng.random() < 0.5 else 3000, size=rng.integers(1, 4)):
            mutated[place] ^= 1 << int(rng.integers(8))
        broken.write_bytes(mutated)
        try:
            load_model(broken)
        except InputError as error:
            refusals.append(str(error))
    assert not any("\n" in refusal for refusal in refusals)
    assert len(refusals) > 200  # a flipped letter of the citation may pass; the tensors are under the checksum


def test_unwritable_place(model, tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "absent" / "m", tmp_path / "file" / "m"):
        with pytest.raises(InputError, match="Cannot write"):
            save_model(model, path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_a_file_from_before_planes_and_statistics_is_read(model, file):
    before = predict(model, disk_sample(seed=5)[0].image)

    def forget(card):
        assert card["statistics"] == "training"
        assert card["network"].pop("plane_px") == 1.0
        del card["statistics"]

    rewrite(file, forget)
    loaded = load_model(file)
    assert (loaded.card.statistics, loaded.card.network.plane_px) == ("training", 1.0)
    np.testing.assert_array_equal(predict(loaded, disk_sample(seed=5)[0].image), before)


@pytest.mark.parametrize(
    ("change_card", "words"),
    [
        (set_(axes="CTZYX"), ""),
        (set_(axes="CTYX"), ""),
        (set_(axes="CTX"), "does not understand"),
        (set_(statistics="tile"), "does not understand"),
        (lambda card: card["network"].update(plane_px=0.0), "does not understand"),
        (lambda card: card["network"].update(ndim=3), "contradicts itself"),
        (lambda card: card.update(axes="CTYX") or card["network"].update(ndim=3), "contradicts itself"),
    ],
)
def test_axes_and_statistics_of_a_card(file, change_card, words):
    rewrite(file, change_card)
    if not words:
        assert load_model(file).card.axes.startswith("CT")
        return
    with pytest.raises(ModelFileError, match=words):
        load_model(file)
