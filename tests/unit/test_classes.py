from __future__ import annotations

import json

import numpy as np
import pytest

from napari_pu_segment.core.classes import (
    BACKGROUND,
    common_classes,
    one_vs_rest,
    recoded,
    threshold_mask,
    thresholds_of,
    united,
    unnamed,
)
from napari_pu_segment.core.compute.blocks import blocks, predict_block
from napari_pu_segment.core.compute.stream import stream
from napari_pu_segment.core.compute.tiles import map_tiles
from napari_pu_segment.core.crf import CrfSettings
from napari_pu_segment.core.crf.prepare import unaries, unary
from napari_pu_segment.core.errors import InputError, ModelFileError
from napari_pu_segment.core.files.packing import pack
from napari_pu_segment.core.files.record import Made, Training, load_record, make_record, save_record
from napari_pu_segment.core.files.replay import replay
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import load_model, save_model
from napari_pu_segment.core.objects import ObjectSettings
from napari_pu_segment.core.objects.class_objects import find_objects_of_each, numbers_of
from napari_pu_segment.core.pipeline import segment, segment_into
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import IGNORE, NEGATIVE, POSITIVE, Sample, code_of, codes_of_strokes
from napari_pu_segment.core.training.one_vs_rest import mixed
from tests.helpers import dice, patchwork

QUICK = METHODS["pu"].settings(n_steps=40, sigmas_px=(1.0, 2.0), filters=("gaussian", "gradient"), prior="fixed")


@pytest.fixture(scope="module")
def trained():
    sample, truth = patchwork()
    return run(METHODS["pu"].train([sample], QUICK)), sample, truth


def test_codes_and_names():
    assert [code_of(index) for index in range(4)] == [POSITIVE, 4, 5, 6]
    assert unnamed(1) == ("positive",)
    assert unnamed(3) == ("positive", "class 2", "class 3")
    a, b, background = np.array([[1, 1, 0, 0]]), np.array([[0, 1, 1, 0]]), np.array([[0, 0, 0, 1]])
    codes = codes_of_strokes({"a": a, "b": b, "negative": background}, ("a", "b"))
    assert codes.tolist() == [[1, IGNORE, 4, NEGATIVE]]
    with pytest.raises(InputError, match="no kind of strokes called 'c'"):
        codes_of_strokes({"c": a}, ("a", "b"))


@pytest.mark.parametrize(
    ("classes", "words"),
    [(("a", "a"), "called 'a'"), (("", "b"), "1 to 60 characters"), (("negative",), "no object"), ((), "0 classes")],
)
def test_names_that_are_none(classes, words):
    with pytest.raises(InputError, match=words):
        Sample(np.zeros((1, 2, 2)), classes=classes)


def test_codes_of_a_class_that_is_not_there():
    assert Sample(np.zeros((1, 1, 3)), np.array([[1, 4, 5]]), classes=("a", "b", "c")).classes == ("a", "b", "c")
    with pytest.raises(InputError, match="4 to 4"):
        Sample(np.zeros((1, 1, 3)), np.array([[1, 4, 5]]), classes=("a", "b"))


def test_one_class_against_the_rest():
    sample = Sample(np.zeros((1, 1, 6)), np.array([[0, 1, 2, 3, 4, 5]]), classes=("a", "b", "c"))
    assert one_vs_rest([sample], 0)[0].labels.tolist() == [[0, 1, 2, 3, 2, 2]]
    assert one_vs_rest([sample], 2)[0].labels.tolist() == [[0, 2, 2, 3, 2, 1]]
    assert one_vs_rest([sample], BACKGROUND)[0].labels.tolist() == [[0, 2, 1, 3, 2, 2]]
    assert one_vs_rest([sample], 2)[0].classes == ("positive",)


def test_classes_of_several_images_are_united():
    image = np.zeros((1, 1, 4))
    first = Sample(image, np.array([[0, 1, 4, 3]]), classes=("a", "b"))
    second = Sample(image, np.array([[2, 1, 0, 5]]), classes=("c", "never", "a"))
    bare = Sample(image)
    both = united([first, second, bare])
    assert {sample.classes for sample in both} == {("a", "b", "c")}
    assert both[0].labels.tolist() == [[0, 1, 4, 3]]
    assert both[1].labels.tolist() == [[2, 5, 0, 1]]
    assert recoded(first, ("b",)).labels.tolist() == [[0, 0, 1, 3]]
    assert common_classes(both) == ("a", "b", "c")
    mask = Sample(image, np.array([[1, 1, 2, 2]]), trust="noisy")
    named = united([recoded(first, ("b",)), mask])
    assert [sample.classes for sample in named] == [("b",), ("b",)]
    assert named[1].labels.tolist() == [[1, 1, 2, 2]]
    with pytest.raises(InputError, match="on one class alone"):
        united([first, mask])
    with pytest.raises(InputError, match="no strokes of class 'c'"):
        common_classes([both[0]])
    with pytest.raises(InputError, match="other classes"):
        common_classes([first, second])


def test_the_most_probable_class_wins():
    probability = np.array([[[0.6, 0.3, 0.1, 0.45]], [[0.1, 0.4, 0.1, 0.45]]], np.float32)
    assert threshold_mask(probability, (0.5, 0.5)).tolist() == [[1, 2, 0, 2]]
    # odds against 0.8 are 1 / 4: 0.15 and 0.6 / 4 against the background's 0.3; 0.1125 against 0.1
    assert threshold_mask(probability, (0.8, 0.8)).tolist() == [[0, 0, 0, 2]]
    assert threshold_mask(probability, (0.5, 0.8)).tolist() == [[1, 1, 0, 1]]
    labels = np.array([[0, IGNORE, 0, 0]])
    assert threshold_mask(probability, (0.5, 0.5), labels).tolist() == [[1, 0, 0, 2]]
    alone = np.random.default_rng(0).random((1, 40, 50), np.float32)  # with one class it is the rule of one class
    assert np.array_equal(threshold_mask(alone, (0.3,)), threshold_mask(alone[0], 0.3))
    assert thresholds_of(0.3, 2) == (0.3, 0.3)
    assert thresholds_of((0.3,), 1) == 0.3
    with pytest.raises(InputError, match="one for each of 2"):
        thresholds_of((0.1, 0.2, 0.3), 2)


def test_scores_are_mixed_and_priors_found():
    rng = np.random.default_rng(0)

    def drawn(place: int, n: int) -> np.ndarray:
        centre = np.zeros(2) if place == 0 else 3.0 * np.eye(2)[place - 1]
        return rng.normal(centre, 0.8, (n, 2))

    known = [drawn(place, 300) for place in range(3)]
    share = np.array([0.7, 0.28, 0.02])  # background, class 1, class 2
    unlabelled = np.concatenate([drawn(place, round(20_000 * part)) for place, part in enumerate(share)])
    weights, offsets, priors = mixed(known, unlabelled, 30)
    assert weights.shape == (2, 2)
    assert priors == pytest.approx(share[1:], abs=0.015)
    z = unlabelled @ weights.T + offsets + np.log(priors / (1 - priors.sum())) / 2  # the other half of the priors
    winner = np.where(z.max(1) >= 0, z.argmax(1) + 1, 0)
    right = winner == np.repeat([0, 1, 2], np.round(20_000 * share).astype(int))
    assert right.mean() > 0.95


def test_a_model_of_several_classes(trained, tmp_path):
    model, sample, truth = trained
    assert model.classes == ("dark", "bright", "fine")
    assert [one.n_strokes for one in model.card.classes] == [2, 2, 2]
    assert (model.card.n_positive_strokes, model.card.n_negative_strokes, model.card.n_parts) == (6, 3, 4)
    found = run(segment(model, sample.image))
    assert found.probability.shape == (3, *truth.shape)
    assert (found.probability.sum(0) <= 1 + 1e-6).all()
    assert found.threshold == (0.5, 0.5, 0.5)
    for number in (0, 1, 2, 3):
        assert dice(found.mask == number, truth == number) > 0.85
    save_model(model, tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert again.card == model.card
    assert np.array_equal(run(segment(again, sample.image)).probability, found.probability)
    assert np.allclose(
        [one.class_prior for one in model.card.classes], [(truth == k).mean() for k in (1, 2, 3)], atol=0.06
    )


def test_tiles_blocks_and_stream_agree(trained):
    model, sample, _ = trained
    whole = run(segment(model, sample.image, crf=CrfSettings(backend="grid")))
    assert np.array_equal(run(map_tiles(model, sample.image, tile_px=32)), whole.probability)
    out = np.zeros_like(whole.probability)
    run(stream(model, sample, out, side_px=32))
    assert np.array_equal(out, whole.probability)
    shape = whole.mask.shape
    outs = {"probability": np.zeros_like(out), "mask": np.zeros(shape, np.uint8), "refined": np.zeros(shape, np.uint8)}
    summary = run(segment_into(model, sample.image, outs, crf=CrfSettings(backend="grid")))
    for kind, array in outs.items():
        assert np.array_equal(array, getattr(whole, kind)), kind
    assert summary.positive_fraction == np.count_nonzero(whole.mask) / whole.mask.size
    part = {"mask": np.zeros(shape, np.uint8)}
    run(predict_block(model, sample.image, part, blocks(model, sample.image.shape)[0], threshold=(0.9, 0.5, 0.5)))
    assert (part["mask"] == 1).sum() < (whole.mask == 1).sum()


def test_training_goes_on_with_the_same_classes_only(trained):
    model, sample, _ = trained
    warm = run(METHODS["pu"].train([sample], QUICK, start=model))
    assert warm.classes == model.classes
    assert warm.card.tensors_sha256 != model.card.tensors_sha256
    assert warm.card.intensity == model.card.intensity
    with pytest.raises(InputError, match="knows the classes dark, bright, fine"):
        run(METHODS["pu"].train([recoded(sample, ("dark", "bright"))], QUICK, start=model))


def test_a_method_for_one_class_refuses_several(trained):
    _, sample, _ = trained
    with pytest.raises(InputError, match="but no classes, and there are dark, bright, fine"):
        run(METHODS["cluster"].train([sample], METHODS["cluster"].settings()))


def test_one_class_with_a_name():
    sample, _ = patchwork()
    one = recoded(sample, ("bright",))
    named = run(METHODS["pu"].train([one], QUICK))
    plain = run(METHODS["pu"].train([recoded(Sample(one.image, one.labels), ("positive",))], QUICK))
    assert (named.classes, plain.classes) == (("bright",), ("positive",))
    assert named.card.tensors_sha256 == plain.card.tensors_sha256
    assert "classes" not in json.loads(plain.card.to_json())
    assert run(segment(named, one.image)).mask.max() == 1


def test_without_background_the_scores_are_left_as_they_are():
    sample, truth = patchwork()
    labels = np.where(sample.labels == NEGATIVE, 0, sample.labels)
    model = run(METHODS["pu"].train([Sample(sample.image, labels, classes=sample.classes)], QUICK))
    assert np.array_equal(model.network.weight, np.eye(3))
    assert (model.card.n_negative_strokes, model.card.n_parts) == (0, 3)
    with pytest.raises(InputError, match="without strokes on background"):
        run(METHODS["pu"].train([sample], QUICK, start=model))
    mask = run(segment(model, sample.image)).mask
    assert np.mean([dice(mask == k, truth == k) for k in (1, 2, 3)]) > 0.6


@pytest.mark.parametrize("backend", ["grid", "pydensecrf"])
def test_all_classes_are_refined_together(trained, backend):
    model, sample, truth = trained
    strokes = np.zeros(truth.shape, np.uint8)
    y, x = np.argwhere(truth == 2)[0]
    strokes[y, x], strokes[0, 0] = code_of(2), IGNORE
    found = run(segment(model, sample.image, labels=strokes, crf=CrfSettings(backend=backend)))
    assert found.refined is not None
    for number in (0, 1, 2, 3):
        assert dice(found.refined == number, truth == number) > 0.85
    assert found.refined[y, x] == 3  # what is painted stays
    assert found.refined[0, 0] == 0


def test_unary_scores_of_one_class_are_those_of_the_binary_crf():
    rng = np.random.default_rng(0)
    probability, labels = rng.random((20, 30), np.float32), rng.integers(0, 4, (20, 30)).astype(np.uint8)
    several = unaries(probability[None], labels, (0.3,), 0.9)[0]
    assert np.allclose(several, unary(probability, labels, 0.3, 0.9), atol=1e-3)


def test_objects_of_every_class():
    mask = np.zeros((9, 20), np.uint8)
    mask[1:8, 1:8] = 1  # a ring of class 1 around an object of class 2
    mask[2:7, 2:7] = 0
    mask[3:6, 3:6] = 2
    mask[2:5, 12:16] = 1
    settings = ObjectSettings(min_size_px=1, max_hole_px=1000)
    labels = run(find_objects_of_each(mask, settings, ("cell", "nucleus")))
    assert labels.max() == 3
    assert (labels[1:8, 1:8] == np.where(mask[1:8, 1:8] == 2, 3, 1)).all()  # the hole is filled up to the nucleus
    assert numbers_of(labels, mask, 3).tolist() == [1, 1, 2]


def test_a_record_of_several_classes(trained, tmp_path):
    model, sample, _ = trained
    found = run(segment(model, sample.image, labels=sample.labels, crf=CrfSettings(backend="grid")))
    training = Training("pu", QUICK, pack(sample.labels), model.card.tensors_sha256)
    objects = run(find_objects_of_each(found.refined, ObjectSettings(), model.classes, probability=found.probability))
    assert objects.max() >= 3
    crf = CrfSettings(backend="grid")
    made = Made(sample, None, (training,), found, crf, found.threshold, (ObjectSettings(), objects))
    save_record(run(make_record(made)), tmp_path / "card.json")
    record = load_record(tmp_path / "card.json")
    assert record.classes == sample.classes
    assert run(replay(record, sample.image)).differing == []
    alone = Sample(sample.image)
    assert "classes" not in run(make_record(Made(alone, model, (), found))).model_dump()


def test_a_card_whose_classes_have_one_name(trained, tmp_path):
    model, _, _ = trained
    twice = model.card.model_copy(update={"classes": (model.card.classes[0],) * 3})
    save_model(type(model)(model.network, twice), tmp_path / "model")
    with pytest.raises(ModelFileError, match="one name"):
        load_model(tmp_path / "model")
