"""A session's record gives the same bytes again; strokes leave by a file and come back."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("napari")

import tifffile
from qtpy.QtWidgets import QFileDialog
from typer.testing import CliRunner

from napari_pu_segment.cli.main import app
from napari_pu_segment.core.crf import CrfSettings
from napari_pu_segment.core.files.record import load_record
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import load_model, save_model
from napari_pu_segment.gui.model import recorder
from napari_pu_segment.gui.model.record_panel import LABELS, RecordPanel
from napari_pu_segment.gui.paint.live import DONE, Live
from napari_pu_segment.gui.results.objects_panel import ObjectsPanel
from napari_pu_segment.gui.session import Session
from napari_pu_segment.gui.viewer.layers import LayerBook

QUICK = METHODS["pu"].settings(n_steps=20, prior="fixed", class_prior=0.1)


@pytest.fixture
def viewer(make_viewer):
    return make_viewer()


@pytest.fixture
def session(viewer):
    """A session on a bright square, with a stroke on it and one beside it."""
    image = np.random.default_rng(0).normal(0, 0.1, (64, 72)).astype(np.float32)
    image[10:30, 10:30] += 1
    session = Session(LayerBook(viewer))
    session.choose_image(viewer.add_image(image, name="square"))
    session.book.stamp(session.image, "positive", (20, 20), 3)
    session.book.stamp(session.image, "negative", (50, 50), 3)
    session.crf = CrfSettings(steps=2)
    yield session
    session.close()


@pytest.fixture
def panel(qtbot, session):
    panel = RecordPanel(session)
    qtbot.addWidget(panel)
    return panel


@pytest.fixture
def said(session):
    heard = []
    session.said.connect(lambda text, failed: heard.append((text, failed)))
    return heard


@pytest.fixture
def dialogs(monkeypatch):
    """Answers of the file dialogs; what they were asked is kept."""
    answers, asked = [], []

    def ask(parent, title, start, kinds):
        asked.append((title, start))
        return answers.pop(0)

    monkeypatch.setattr(QFileDialog, "getSaveFileName", ask)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", ask)
    return answers, asked


def rest(qtbot, session):
    qtbot.waitUntil(lambda: session.runner.current is None and not session.showing)


def train(qtbot, session, *, warm, settings=QUICK):
    before = session.model
    session.train("pu", settings, warm=warm)
    rest(qtbot, session)
    assert session.model is not before


def record(qtbot, panel, said, dialogs, path):
    dialogs[0].append((str(path), ""))
    assert not path.exists()
    panel.record_button.click()
    qtbot.waitUntil(path.exists)
    qtbot.waitUntil(lambda: said[-1][0].startswith("Record of"))
    assert not said[-1][1]
    return load_record(path)


def hears(qtbot, said, text):
    """Wait until that was said last, and forget it."""
    qtbot.waitUntil(lambda: bool(said) and text in said[-1][0])
    said.clear()


def replay(*args):
    """The command, in this process."""
    return CliRunner().invoke(app, ["replay", *map(str, args)])


def test_two_rounds_are_replayed_to_the_byte_by_the_command_line(qtbot, session, panel, said, dialogs, tmp_path):
    assert not panel.record_button.isEnabled()
    train(qtbot, session, warm=False)
    session.book.stamp(session.image, "negative", (20, 50), 3)
    session.book.stamp(session.image, "ignore", (60, 5), 3)
    train(qtbot, session, warm=True)
    session.set_threshold(0.37)
    session.refine()
    rest(qtbot, session)
    found = record(qtbot, panel, said, dialogs, tmp_path / "card.json")
    assert dialogs[1][0][1] == "square_record.json"
    assert [step.kind for step in found.steps] == ["train", "train", "segment", "refine"]
    assert len(found.strokes) == 2
    np.save(tmp_path / "square.npy", session.image.data)

    words = ["replay", tmp_path / "card.json", tmp_path / "square.npy", "--out", tmp_path / "out", "--json"]
    command = [sys.executable, "-m", "napari_pu_segment", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["same"] is True
    segmentation = session.result.segmentation
    for kind in ("probability", "mask", "refined"):
        again, here = tifffile.imread(tmp_path / f"out/square_{kind}.tif"), getattr(segmentation, kind)
        assert again.dtype == here.dtype
        assert again.tobytes() == np.ascontiguousarray(here).tobytes()
        assert np.array_equal(again, session.book.member(session.image, kind).data)


def test_rounds_of_live_mode_are_replayed_to_the_byte(qtbot, session, panel, said, dialogs, tmp_path):
    live = Live(session)
    session.settings = QUICK
    session.crf = None
    models = []
    session.model_changed.connect(lambda model: models.append(model) if model not in models else None)
    session.set_live(True)
    for rounds, place in enumerate(((44, 20), (20, 60), (58, 64)), start=1):
        qtbot.waitUntil(lambda n=rounds: len(models) >= n and live.state == DONE)
        rest(qtbot, session)
        assert not session.result.preview
        if rounds < 3:
            session.book.stamp(session.image, "negative", place, 2)
    session.set_live(False)
    found = record(qtbot, panel, said, dialogs, tmp_path / "card.json")
    assert [getattr(step, "warm", None) for step in found.steps] == [False, True, True, None]
    assert len(found.strokes) == 3
    np.save(tmp_path / "square.npy", session.image.data)
    done = replay(tmp_path / "card.json", tmp_path / "square.npy", "--out", tmp_path / "out")
    assert (done.exit_code, done.stderr) == (0, "")
    again = tifffile.imread(tmp_path / "out/square_probability.tif")
    assert np.array_equal(again, session.book.member(session.image, "probability").data)


def test_objects_are_part_of_the_record(qtbot, session, panel, said, dialogs, tmp_path):
    objects = ObjectsPanel(session)
    qtbot.addWidget(objects)
    objects.found.connect(panel.recorder.note_objects)
    train(qtbot, session, warm=False)
    with qtbot.waitSignal(objects.found):
        objects.find_button.click()
    found = record(qtbot, panel, said, dialogs, tmp_path / "card.json")
    assert [step.kind for step in found.steps] == ["train", "segment", "refine", "objects"]
    np.save(tmp_path / "square.npy", session.image.data)
    done = replay(tmp_path / "card.json", tmp_path / "square.npy", "--out", tmp_path / "out")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "probability, mask, refined, objects" in done.stdout
    again = tifffile.imread(tmp_path / "out/square_objects.tif")
    assert again.max() > 0
    assert np.array_equal(again, session.book.member(session.image, "objects").data)
    session.set_threshold(0.9)
    session.refine()
    rest(qtbot, session)
    found = record(qtbot, panel, said, dialogs, tmp_path / "later.json")
    assert [step.kind for step in found.steps] == ["train", "segment", "refine"], "those objects are of another mask"


def test_another_image_is_refused_and_forced_differs(qtbot, session, panel, said, dialogs, tmp_path):
    train(qtbot, session, warm=False)
    record(qtbot, panel, said, dialogs, tmp_path / "card.json")
    np.save(tmp_path / "other.npy", session.image.data[::-1])
    done = replay(tmp_path / "card.json", tmp_path / "other.npy", "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "not the image of the record" in done.stderr
    assert not (tmp_path / "out").exists()
    done = replay(tmp_path / "card.json", tmp_path / "other.npy", "--out", tmp_path / "out", "--force")
    assert done.exit_code == 1
    assert "not the same as recorded: training 1, probability" in done.stdout
    assert done.stderr.startswith("Warning: ")
    assert (tmp_path / "out/other_mask.tif").exists()


def test_a_loaded_model_is_embedded(qtbot, session, panel, said, dialogs, tmp_path):
    train(qtbot, session, warm=False)
    save_model(session.model, tmp_path / "m")
    session.load(tmp_path / "m")
    rest(qtbot, session)
    session.apply(session.image)
    rest(qtbot, session)
    found = record(qtbot, panel, said, dialogs, tmp_path / "card.json")
    assert "begins with an embedded model" in said[-1][0]
    assert found.start
    assert [step.kind for step in found.steps] == ["segment", "refine"]
    assert load_model(tmp_path / "m").card.tensors_sha256 == session.model.card.tensors_sha256


def test_training_on_another_image_is_not_part_of_the_record(qtbot, viewer, session, panel, said, dialogs, tmp_path):
    train(qtbot, session, warm=False)
    first = session.image
    other = viewer.add_image(first.data[::-1].copy(), name="other")
    session.apply(other)
    rest(qtbot, session)
    found = record(qtbot, panel, said, dialogs, tmp_path / "a.json")
    assert (bool(found.start), [step.kind for step in found.steps]) == (True, ["segment", "refine"])
    session.choose_image(other)
    session.book.stamp(other, "positive", (43, 20), 3)
    train(qtbot, session, warm=True)
    found = record(qtbot, panel, said, dialogs, tmp_path / "b.json")
    assert found.start
    assert [(step.kind, getattr(step, "warm", None)) for step in found.steps[:2]] == [
        ("train", True),
        ("segment", None),
    ]


def test_a_change_of_the_pixels_cuts_the_chain(qtbot, session, panel, said, dialogs, tmp_path):
    train(qtbot, session, warm=False)
    session.image.data = session.image.data * 2
    train(qtbot, session, warm=True)
    found = record(qtbot, panel, said, dialogs, tmp_path / "card.json")
    assert found.start
    assert [step.kind for step in found.steps].count("train") == 1


def test_a_long_chain_begins_with_an_embedded_model(qtbot, session, panel, said, dialogs, tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "MAX_TRAININGS", 2)
    session.crf = None
    quick = QUICK.changed({"n_steps": 3})
    train(qtbot, session, warm=False, settings=quick)
    for _ in range(3):
        train(qtbot, session, warm=True, settings=quick)
    found = record(qtbot, panel, said, dialogs, tmp_path / "card.json")
    assert found.start
    assert [step.kind for step in found.steps] == ["train", "train", "segment"]
    np.save(tmp_path / "square.npy", session.image.data)
    done = replay(tmp_path / "card.json", tmp_path / "square.npy", "--out", tmp_path / "out")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "the same as recorded, to the byte" in done.stdout


def test_what_cannot_be_recorded_is_said(qtbot, session, panel, said, dialogs, tmp_path):
    dialogs[0].append((str(tmp_path / "card.json"), ""))
    panel.save_record()
    assert said[-1] == ("There is no result to record. Train first, or apply a model.", True)
    train(qtbot, session, warm=False)
    dialogs[0].append((str(tmp_path / "missing/card.json"), ""))
    panel.record_button.click()
    qtbot.waitUntil(lambda: said[-1][1])
    assert "Cannot write" in said[-1][0]
    session.train("pu", QUICK, warm=False)
    dialogs[0].append((str(tmp_path / "card.json"), ""))
    panel.save_record()
    assert "not complete yet" in said[-1][0]
    assert not (tmp_path / "card.json").exists()


# --- strokes


def masks(session):
    book = session.book
    layers = {role: book.member(session.image, role) for role in ("positive", "negative", "ignore")}
    return {role: layer.data != 0 for role, layer in layers.items() if layer is not None}


@pytest.mark.parametrize("kind", ["geojson", "labels"])
def test_strokes_go_out_and_come_back(qtbot, session, panel, said, dialogs, tmp_path, kind):
    session.book.stamp(session.image, "ignore", (5, 5), 4)
    before = masks(session)
    assert all(mask.any() for mask in before.values())
    path = tmp_path / ("strokes.geojson" if kind == "geojson" else "strokes.tif")
    dialogs[0].append((str(tmp_path / "strokes.geojson"), LABELS if kind == "labels" else ""))
    panel.export_button.click()
    hears(qtbot, said, "Strokes written")
    assert path.exists()
    for role in before:
        session.book.put_strokes(session.image, role, np.zeros((64, 72), bool))
    session.book.stamp(session.image, "positive", (60, 60), 2)  # painted meanwhile
    meanwhile = masks(session)
    dialogs[0].append((str(path), ""))
    panel.import_button.click()
    hears(qtbot, said, "Strokes imported")
    assert {role: mask.tolist() for role, mask in masks(session).items()} == {
        role: mask.tolist() for role, mask in before.items()
    }
    session.book.member(session.image, "positive").undo()
    assert np.array_equal(masks(session)["positive"], meanwhile["positive"]), "one step back: nothing is lost"


def test_strokes_of_a_stack_come_back(qtbot, viewer, session, panel, said, dialogs, tmp_path):
    session.choose_image(viewer.add_image(np.random.default_rng(0).random((4, 30, 40)), name="stack"))
    assert panel.import_button.isEnabled()
    assert not panel.export_button.isEnabled()
    session.book.stamp(session.image, "positive", (2, 10, 10), 3)
    before = masks(session)
    for suffix in ("geojson", "tif"):
        path = str(tmp_path / f"s.{suffix}")
        dialogs[0].extend([(path, ""), (path, "")])
        panel.export_button.click()
        hears(qtbot, said, "Strokes written")
        session.book.put_strokes(session.image, "positive", np.zeros((4, 30, 40), bool))
        assert not masks(session)["positive"].any()
        panel.import_button.click()
        hears(qtbot, said, "Strokes imported")
        assert np.array_equal(masks(session)["positive"], before["positive"])


def test_files_that_cannot_be_imported_change_nothing(qtbot, session, panel, said, dialogs, tmp_path):
    before = masks(session)
    (tmp_path / "bad.geojson").write_text("{")
    tifffile.imwrite(tmp_path / "wrong.tif", np.ones((5, 5), np.uint8))
    for name in ("bad.geojson", "wrong.tif", "missing.geojson"):
        dialogs[0].append((str(tmp_path / name), ""))
        said.clear()
        panel.import_button.click()
        qtbot.waitUntil(lambda: bool(said))
        assert said[-1][1]
        assert "\n" not in said[-1][0]
    assert all(np.array_equal(mask, masks(session)[role]) for role, mask in before.items())
