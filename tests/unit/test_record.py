"""Records: what was done comes back to the byte; damaged, foreign and hostile ones are refused in one sentence."""

from __future__ import annotations

import base64
import json
import random
import zlib
from dataclasses import replace

import numpy as np
import pytest

from napari_pu_segment import METHODS, from_strokes
from napari_pu_segment.core import seeded
from napari_pu_segment.core.crf import CrfSettings
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.files.packing import fingerprint, pack, sha256, unpack
from napari_pu_segment.core.files.record import Made, Training, load_record, make_record, save_record
from napari_pu_segment.core.files.replay import check_image, replay
from napari_pu_segment.core.methods.pu import PuSettings
from napari_pu_segment.core.objects import ObjectSettings, find_objects
from napari_pu_segment.core.pipeline import segment, train
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import IGNORE
from tests.helpers import SeededHere, disk_sample

QUICK = PuSettings(n_steps=12, prior="fixed", class_prior=0.2, threads=1)


def training(model, sample):
    return Training("pu", PuSettings(**model.card.settings), pack(sample.labels), model.card.tensors_sha256)


@pytest.fixture(scope="module")
def made():
    """Two trainings, the second warm and with more strokes, refined, and parted into objects."""
    sample, _ = disk_sample()
    first = replace(sample, labels=np.where(np.arange(80) < 50, sample.labels, 0))
    labels = sample.labels.copy()
    labels[:3] = IGNORE
    second = replace(sample, labels=labels)
    cold = train([first], QUICK)
    warm = train([second], QUICK, start=cold)
    crf = CrfSettings(steps=2)
    segmentation = run(segment(warm, second.image, labels=labels, threshold=0.4, crf=crf))
    settings = ObjectSettings(min_size_px=4)
    work = find_objects(segmentation.refined, settings, probability=segmentation.probability, ignored=labels == IGNORE)
    trainings = [training(cold, first), training(warm, second)]
    return Made(second, None, trainings, segmentation, crf, 0.4, (settings, run(work))), cold


@pytest.fixture(scope="module")
def record(made):
    return run(make_record(made[0]))


@pytest.fixture
def file(record, tmp_path):
    path = tmp_path / "card.json"
    save_record(record, path)
    return path


def test_a_replay_gives_the_same_bytes(made, record, file):
    loaded = load_record(file)
    assert loaded == record
    assert [step.kind for step in loaded.steps] == ["train", "train", "segment", "refine", "objects"]
    assert [step.warm for step in loaded.steps[:2]] == [False, True]
    assert loaded.start == ""
    image = made[0].sample.image
    assert check_image(loaded, image) == ""
    replayed = run(replay(loaded, image))
    assert replayed.differing == []
    found = made[0].segmentation
    expected = {"probability": found.probability, "mask": found.mask, "refined": found.refined}
    expected["objects"] = made[0].objects[1]
    assert set(replayed.outputs) == set(expected)
    for name, array in expected.items():
        assert array.max() > 0
        assert replayed.outputs[name].dtype == array.dtype
        assert np.array_equal(replayed.outputs[name], array)


def test_a_record_may_start_from_an_embedded_model(made, tmp_path):
    whole, cold = made
    later = replace(whole, start=cold, trainings=whole.trainings[1:])
    alone = replace(
        whole, start=train([whole.sample], QUICK, start=cold), trainings=(), objects=None, crf=None, refined_at=0.5
    )
    alone = replace(alone, segmentation=run(segment(alone.start, whole.sample.image, labels=whole.sample.labels)))
    for case in (later, alone):
        save_record(run(make_record(case)), tmp_path / "card.json")
        loaded = load_record(tmp_path / "card.json")
        assert loaded.start
        replayed = run(replay(loaded, whole.sample.image))
        assert replayed.differing == []
        assert np.array_equal(replayed.outputs["probability"], case.segmentation.probability)


def test_what_grew_from_strokes_is_replayed_without_a_model(made, tmp_path, monkeypatch):
    monkeypatch.setattr(seeded, "Child", SeededHere)
    settings, sample = METHODS["random_walker"].settings(beta=300), made[0].sample
    found = from_strokes(sample, settings, threshold=0.6)
    save_record(run(make_record(Made(sample, None, (), found, grown=settings))), tmp_path / "card.json")
    loaded = load_record(tmp_path / "card.json")
    assert [step.kind for step in loaded.steps] == ["segment"]
    assert loaded.steps[0].grown == settings.to_dict()
    again = run(replay(loaded, sample.image))
    assert again.differing == []
    assert again.outputs["mask"].tobytes() == found.mask.tobytes()
    assert 0 < found.mask.mean() < 1
    both = run(make_record(replace(made[0], grown=settings)))
    save_record(both, tmp_path / "both.json")
    with pytest.raises(InputError, match="contradicts itself"):
        load_record(tmp_path / "both.json")


def test_what_differs_is_named(made, record):
    image = made[0].sample.image.copy()
    image[0, 20, 20] += 400
    with pytest.raises(InputError, match="its pixels differ"):
        check_image(record, image)
    assert "its pixels differ" in check_image(record, image, force=True)
    replayed = run(replay(record, image))
    assert replayed.differing[:3] == ["training 1", "training 2", "probability"]
    with pytest.raises(InputError, match="its type is float64"):
        check_image(record, image.astype(float))
    for act in (lambda: check_image(record, image[:, 1:], force=True), lambda: run(replay(record, image[:, 1:]))):
        with pytest.raises(InputError, match="shape"):
            act()


def test_a_record_holds_all_that_counts(record, made):
    values = json.loads(record.model_dump_json())
    assert values["image"]["sha256"] == sha256(made[0].sample.image)
    assert values["steps"][0]["settings"] == QUICK.to_dict()
    assert values["steps"][3]["settings"]["backend"] in ("pydensecrf", "grid"), "not automatic"
    assert len(values["strokes"]) == 2, "the strokes of the last training are those of the segmentation"
    assert len(json.dumps(values)) < 10_000


# --- refused records


def change(file, **values):
    content = json.loads(file.read_text())
    for key, value in values.items():
        place, *rest = key.split("__")
        if rest:
            content[place][int(rest[0]) if rest[0].isdigit() else rest[0]] = value
        else:
            content[place] = value
    file.write_text(json.dumps(content))
    return file


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"format_version": 2}, "newer version"),
        ({"format_version": "1"}, "not a record"),
        ({"surprise": 1}, "surprise"),
        ({"threads": 0}, "threads"),
        ({"steps": []}, "contradicts itself"),
        ({"start": "AAAA"}, "contradicts itself"),
        ({"strokes": []}, "contradicts itself"),
        ({"outputs": {}}, "contradicts itself"),
        ({"image__shape": [1, -5, 4]}, "not a record"),
        ({"image__sha256": "../../x"}, "not a record"),
        ({"steps__0": {"kind": "shell", "command": "rm"}}, "not a record"),
    ],
)
def test_records_that_cannot_be_read_are_one_sentence(file, values, says):
    with pytest.raises(InputError, match=says) as caught:
        load_record(change(file, **values))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\0\1", b"3", b"[]", b"[" * 10**5, b'{"format_version":1}'])
def test_foreign_files_are_one_sentence(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(InputError, match=r"not a record|damaged"):
        load_record(tmp_path / "x")
    with pytest.raises(InputError, match="missing"):
        load_record(tmp_path / "missing")
    with pytest.raises(InputError, match="not a record"):
        load_record(tmp_path)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"strokes__0": "%%%"}, "cannot be unpacked"),
        ({"strokes__0": pack(np.zeros((5, 5)))}, "do not fit"),
        ({"strokes__0": pack(np.full((96, 80), 9))}, "label values"),
        ({"strokes__0": base64.b64encode(zlib.compress(bytes(10**8))).decode()}, "do not fit"),
    ],
)
def test_damaged_strokes_are_refused_when_they_are_used(file, made, values, says):
    loaded = load_record(change(file, **values))
    with pytest.raises(InputError, match=says):
        run(replay(loaded, made[0].sample.image))


def test_a_damaged_start_model_and_unknown_words_are_refused(made, tmp_path):
    whole, cold = made
    record = run(make_record(replace(whole, start=cold, trainings=whole.trainings[1:])))
    cases = [({"start": "A" + record.start[1:]}, "start model"), ({"start": "=" + record.start}, "start model")]
    step = record.steps[0].model_dump(mode="json")
    cases.append(({"steps__0": {**step, "method": "magic"}}, "no method called 'magic'"))
    cases.append(({"steps__0": {**step, "settings": {"n_steps": -1}}}, "n_steps"))
    for values, says in cases:
        save_record(record, tmp_path / "card.json")
        loaded = load_record(change(tmp_path / "card.json", **values))
        with pytest.raises(InputError, match=says):
            run(replay(loaded, whole.sample.image))


def test_a_thousand_mutated_records_raise_nothing_but_our_error(file, made):
    rng = random.Random(0)
    good = file.read_bytes()
    pieces = [b"1e999", b"-1", b"null", b"[]", b"{}", b'"x"', b"9" * 30, b"0.1", b"NaN", b"true", b"]", b","]
    refused, said = 0, set()
    for _ in range(1000):
        data = bytearray(good)
        place = rng.randrange(len(data))
        if rng.random() < 0.4:
            data[place] = rng.randrange(256)
        else:
            data[place : place + rng.randint(0, 12)] = rng.choice(pieces)
        file.write_bytes(data)
        try:
            record = load_record(file)
            [unpack(text, made[0].sample.labels.shape, "The record") for text in record.strokes]
        except InputError as error:
            refused += 1
            said.add(str(error).count("\n"))
    assert 700 < refused < 1000
    assert said == {0}


# --- packing


@pytest.mark.parametrize("shape", [(1, 1), (7, 9), (3, 4, 5)])
def test_packing_is_exact(shape):
    array = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert np.array_equal(unpack(pack(array), shape, "x"), array)
    assert unpack(pack(array), shape, "x").flags.writeable


def test_empty_strokes_take_no_room():
    assert len(pack(np.zeros((2048, 2048), np.uint8))) < 8000


def test_hashes_tell_pixels_types_and_shapes_apart():
    array = np.arange(24, dtype=np.int16).reshape(1, 4, 6)
    same = sha256(array)
    assert sha256(np.asfortranarray(array)) == same
    assert sha256(array.astype(">i2")) == same
    assert sha256(np.zeros((2, 2), bool)) == sha256(np.zeros((2, 2), np.uint8))
    others = [array + 1, array.reshape(1, 6, 4), array.astype(np.uint16), array.astype(np.float32)]
    assert len({same, *map(sha256, others)}) == 5
    assert len({fingerprint(array), *map(fingerprint, others)}) == 5


def test_lazy_and_large_arrays_hash_the_same():
    array = np.random.default_rng(0).random((2, 3000, 2000), np.float32)
    lazy = pytest.importorskip("dask.array").from_array(array, chunks=(1, 700, 900))
    assert sha256(lazy) == sha256(array)
    assert fingerprint(lazy) == fingerprint(array)
