"""The session: one job at a time, the model survives what goes wrong, choices made meanwhile are heeded."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("napari")

from napari_pu_segment.core.crf import CRF_PRESETS
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import load_model
from napari_pu_segment.core.progress import Progress
from napari_pu_segment.gui.session import Session
from napari_pu_segment.gui.viewer.layers import RESULTS, LayerBook
from tests.patience import SOON_S

QUICK = METHODS["pu"].settings(n_steps=20, prior="fixed", class_prior=0.1, threads=1)
SQUARE = (slice(10, 30), slice(10, 30))


@pytest.fixture
def viewer(make_viewer):
    return make_viewer()


@pytest.fixture
def session(viewer):
    """A session on a bright square, with a stroke on it and one beside it."""
    image = np.random.default_rng(0).normal(0, 0.1, (64, 64)).astype(np.float32)
    image[SQUARE] += 1
    session = Session(LayerBook(viewer))
    session.choose_image(viewer.add_image(image, name="square"))
    session.book.add_brushes(session.image)
    session.book.member(session.image, "positive").data[20, 12:28] = 1
    session.book.member(session.image, "negative").data[50, 12:48] = 1
    session.crf = None
    yield session
    session.close()


@pytest.fixture
def said(session):
    heard = []
    session.said.connect(lambda text, failed: heard.append((text, failed)))
    return heard


@pytest.fixture
def slow(monkeypatch):
    """A method that never ends by itself; its steps can be held up."""
    begun, hold = threading.Event(), threading.Event()
    hold.set()

    def train(samples, settings, *, start=None, cache=None):
        for step in range(10_000):
            begun.set()
            hold.wait(10)
            time.sleep(0.005)
            yield Progress(step, 10_000, "Slowly")

    monkeypatch.setitem(METHODS, "slow", replace(METHODS["pu"], train=train))
    return begun, hold


def hashes(viewer):
    return {
        id(layer): hashlib.sha256(np.ascontiguousarray(layer.data)).hexdigest()
        for layer in viewer.layers
        if layer.metadata.get("napari_pu_segment", {}).get("role") not in RESULTS
    }


def wait(qtbot, session):
    """Until no job runs and all results are shown."""
    qtbot.waitUntil(lambda: session.runner.current is None and not session.showing)


def trained(qtbot, session):
    session.train("pu", QUICK, warm=False)
    wait(qtbot, session)
    assert session.model is not None
    return session.model


def test_training_makes_a_model_and_results(qtbot, viewer, session, said):
    assert session.model is None
    assert len(viewer.layers) == 3
    session.train("pu", QUICK, warm=False)
    assert session.busy
    wait(qtbot, session)
    assert session.model is not None
    mask = session.book.member(session.image, "mask").data.astype(bool)
    inside = np.zeros(mask.shape, bool)
    inside[SQUARE] = True
    assert 2 * (mask & inside).sum() / (mask.sum() + inside.sum()) > 0.8
    assert said[-1][0].startswith("Done.")
    assert not said[-1][1]


def lazy(stack):
    return pytest.importorskip("dask.array").from_array(stack, chunks=(1, 32, 32))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda square: {"data": np.stack([square] * 3)}, (3, 64, 64)),
        (lambda square: {"data": lazy(np.stack([square] * 3))}, (3, 64, 64)),
        (lambda square: {"data": np.stack([(square * 200 + 20).clip(0, 255).astype(np.uint8)] * 4, -1)}, (64, 64)),
        (lambda square: {"data": [square, square[::2, ::2]], "multiscale": True}, (64, 64)),
        (lambda square: {"data": np.where(square > 1, np.nan, square)}, (64, 64)),
    ],
    ids=["stack", "lazy stack", "RGBA", "multiscale", "NaN"],
)
def test_images_of_every_kind_are_segmented(qtbot, viewer, session, said, make, shape):
    image = viewer.add_image(name="kind", **make(session.image.data))
    session.choose_image(image)
    session.book.add_brushes(image)
    session.book.member(image, "positive").data[..., 20, 12:28] = 1
    session.crf = CRF_PRESETS["default"]
    assert session.book.member(image, "probability") is None
    trained(qtbot, session)
    assert not said[-1][1], said[-1][0]
    for role in RESULTS:
        assert session.book.member(image, role).data.shape == shape
    assert np.isfinite(session.book.member(image, "probability").data).all()


def test_an_image_without_contrast_is_doubted(qtbot, viewer, session, said):
    image = viewer.add_image(np.full((64, 64), 7, np.uint8), name="flat")
    session.choose_image(image)
    session.book.add_brushes(image)
    session.book.member(image, "positive").data[20, 12:28] = 1
    assert not any("no contrast" in text for text, _ in said)
    with qtbot.waitSignal(session.result_changed):
        session.train("pu", QUICK, warm=False)
    assert "'flat' has no contrast" in said[-1][0]


def test_what_is_missing_is_said(session, viewer):
    with pytest.raises(InputError, match="no model yet"):
        session.train("pu", QUICK, warm=True)
    with pytest.raises(InputError, match="no model yet"):
        session.apply(session.image)
    session.choose_image(viewer.add_image(np.zeros((9, 9))))
    with pytest.raises(InputError, match="no strokes"):
        session.train("pu", QUICK, warm=False)
    session.choose_image(None)
    with pytest.raises(InputError, match="no image"):
        session.train("pu", QUICK, warm=False)
    assert session.runner.current is None


def test_empty_strokes_are_one_sentence(qtbot, session, said):
    session.book.member(session.image, "positive").data[:] = 0
    session.train("pu", QUICK, warm=False)
    wait(qtbot, session)
    assert session.model is None
    assert said[-1][1]
    assert "\n" not in said[-1][0]


def test_cancel_keeps_model_and_results(qtbot, viewer, session, said, slow):
    model = trained(qtbot, session)
    before, result = hashes(viewer), session.result
    session.train("slow", QUICK, warm=False)
    qtbot.waitUntil(slow[0].is_set)
    assert session.busy
    begin = time.monotonic()
    session.cancel()
    wait(qtbot, session)
    assert time.monotonic() - begin < SOON_S
    assert session.model is model
    assert session.result is result
    assert hashes(viewer) == before
    assert "cancelled" in said[-1][0]


def test_a_failure_keeps_model_and_results(qtbot, viewer, session, said, monkeypatch):
    model = trained(qtbot, session)
    before = hashes(viewer)

    def train(samples, settings, *, start=None, cache=None):
        yield Progress(0, 1, "About to fail")
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setitem(METHODS, "failing", replace(METHODS["pu"], train=train))
    session.train("failing", QUICK, warm=False)
    wait(qtbot, session)
    assert said[-1][1]
    assert "RuntimeError: mat1" in said[-1][0]
    assert session.model is model
    assert hashes(viewer) == before


def test_user_layers_stay_as_they_are(qtbot, viewer, session):
    viewer.add_points([[1, 2]], name="theirs")
    extra = viewer.add_labels(np.ones((64, 64), np.int32), name="square · mask")
    before = hashes(viewer)
    trained(qtbot, session)
    assert hashes(viewer) == before
    assert extra.data.min() == 1, "a user's layer of that name is not ours"
    session.image.name = "renamed"
    trained(qtbot, session)
    assert hashes(viewer) == before
    viewer.layers.remove(session.book.member(session.image, "mask"))
    trained(qtbot, session)
    assert hashes(viewer) == before
    positive = session.book.member(session.image, "positive")
    positive.data_setitem((np.array([5]), np.array([5])), 1)
    changed = hashes(viewer)
    assert changed != before
    positive.undo()
    assert hashes(viewer) == before
    trained(qtbot, session)
    assert hashes(viewer) == before


def test_a_second_job_is_refused_while_one_runs(qtbot, session, slow):
    session.train("slow", QUICK, warm=False)
    job = session.runner.current
    with pytest.raises(Exception, match="Training is still running"):
        session.train("pu", QUICK, warm=False)
    assert session.runner.current is job


def test_a_removed_image_drops_the_result_with_a_sentence(qtbot, viewer, session, said):
    session.train("pu", QUICK, warm=False)
    viewer.layers.remove(session.image)
    wait(qtbot, session)
    assert any(failed and "was removed" in text for text, failed in said)
    assert session.result is None
    assert session.model is not None, "the model itself is good"
    assert len(viewer.layers) == 2


def test_an_image_of_another_shape_drops_the_result_with_a_sentence(qtbot, session, said):
    session.train("pu", QUICK, warm=False)
    session.image.data = session.image.data[:40, :30]
    wait(qtbot, session)
    assert any(failed and "changed its shape" in text for text, failed in said)
    assert session.result is None
    assert session.model is not None, "the model itself is good"
    assert session.book.member(session.image, "mask") is None
    with pytest.raises(InputError, match="add it again"):
        session.train("pu", QUICK, warm=False)


def test_the_threshold_moves_the_mask_at_once(qtbot, session):
    trained(qtbot, session)
    mask = session.book.member(session.image, "mask")
    probability = session.book.member(session.image, "probability").data
    for threshold in (0.2, 0.9):
        session.set_threshold(threshold)
        wait(qtbot, session)
        assert np.array_equal(mask.data, probability >= np.float32(threshold))
        assert session.result.segmentation.threshold == threshold
    session.set_threshold(None)
    assert session.result.segmentation.threshold == session.model.card.threshold


def test_refinement_follows_the_choices(qtbot, session):
    trained(qtbot, session)
    assert session.book.member(session.image, "refined") is None
    session.crf = CRF_PRESETS["default"]
    session.refine()
    wait(qtbot, session)
    refined = session.book.member(session.image, "refined")
    assert refined is not None
    assert session.result.segmentation.refined_by
    first = session.result
    session.refine()
    assert session.runner.current is None, "nothing has changed, so nothing is computed"
    session.set_threshold(0.9)
    session.refine()
    session.crf = CRF_PRESETS["aurora original"]
    session.refine()  # the first one gives way
    wait(qtbot, session)
    assert session.result is not first
    assert (session.result.crf, session.result.refined_at) == (CRF_PRESETS["aurora original"], 0.9)
    assert session.book.member(session.image, "refined") is refined
    session.crf = None
    session.refine()
    wait(qtbot, session)
    assert session.book.member(session.image, "refined") is None


def test_training_goes_before_refinement(qtbot, session):
    trained(qtbot, session)
    first = session.model
    session.crf = CRF_PRESETS["default"]
    session.refine()
    assert session.runner.current is not None
    assert not session.busy
    session.train("pu", QUICK.changed({"n_steps": 21}), warm=False)
    assert session.busy
    wait(qtbot, session)
    assert session.model is not first
    assert session.book.member(session.image, "refined") is not None


def test_choices_made_during_a_training_are_heeded(qtbot, session):
    session.train("pu", QUICK, warm=False)
    session.set_threshold(0.77)
    session.crf = CRF_PRESETS["default"]
    wait(qtbot, session)
    assert session.result.segmentation.threshold == 0.77
    assert session.book.member(session.image, "refined") is not None


def test_save_load_and_apply_to_another_image(qtbot, viewer, session, tmp_path, said):
    with pytest.raises(InputError, match="no model"):
        session.save(tmp_path / "early.safetensors")
    trained(qtbot, session)
    first = session.book.member(session.image, "probability").data
    session.save(tmp_path / "model.safetensors")
    twin = viewer.add_image(session.image.data.copy(), name="twin")
    fresh = Session(session.book)
    fresh.crf = None
    fresh.load(tmp_path / "model.safetensors")
    assert fresh.busy
    assert fresh.model is None
    wait(qtbot, fresh)
    fresh.apply(twin)
    wait(qtbot, fresh)
    assert session.book.member(twin, "probability").data.tobytes() == first.tobytes()
    (tmp_path / "broken.safetensors").write_bytes(b"not a model")
    before, heard = fresh.model, []
    fresh.said.connect(lambda text, failed: heard.append((text, failed)))
    fresh.load(tmp_path / "broken.safetensors")
    wait(qtbot, fresh)
    assert fresh.model is before is not None, "the model before stays"
    assert heard[-1][1]
    assert "broken.safetensors" in heard[-1][0]


def test_files_and_lazy_images_are_never_read_on_the_main_thread(qtbot, viewer, session, tmp_path, monkeypatch):
    dask, array = pytest.importorskip("dask"), pytest.importorskip("dask.array")
    square, readers = session.image.data.copy(), []

    def read(given):
        readers.append(threading.current_thread())
        return load_model(given) if isinstance(given, Path) else given

    chunks = array.from_array(square, chunks=32).map_blocks(read, dtype=square.dtype, meta=square)
    image = viewer.add_image(chunks, name="lazy", contrast_limits=(0, 1))
    session.choose_image(image)
    session.book.add_brushes(image)
    session.book.member(image, "positive").data[20, 12:28] = 1
    trained(qtbot, session)
    session.save(tmp_path / "model.safetensors")
    image.visible = False  # napari itself reads what it draws
    with dask.config.set(scheduler="synchronous"):
        readers.clear()
        session.crf = CRF_PRESETS["default"]
        session.refine()
        wait(qtbot, session)
        session.train("pu", QUICK, warm=False)
        wait(qtbot, session)
    assert session.book.member(image, "refined") is not None
    assert readers
    assert threading.main_thread() not in readers
    monkeypatch.setattr("napari_pu_segment.gui.work.load_model", read)
    readers.clear()
    session.load(tmp_path / "model.safetensors")
    wait(qtbot, session)
    assert len(readers) == 1
    assert threading.main_thread() not in readers


def test_a_model_for_other_channels_is_refused_by_name(qtbot, viewer, session, said):
    trained(qtbot, session)
    colour = viewer.add_image(np.zeros((20, 20, 3), np.uint8), rgb=True, name="colour")
    session.apply(colour)
    wait(qtbot, session)
    assert said[-1][1]
    assert said[-1][0].startswith("The image 'colour' has 3 channel")
    assert session.book.member(colour, "probability") is None
