"""An encoder made in the window, and a training that looks through it."""

from __future__ import annotations

import pytest

pytest.importorskip("napari")

import torch
from qtpy.QtWidgets import QFileDialog
from safetensors.torch import save_file

from napari_pu_segment.core.files.record import load_record
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import load_model, save_model
from napari_pu_segment.core.pipeline import train
from napari_pu_segment.core.pretraining.settings import PretrainSettings
from napari_pu_segment.core.pretraining.weights import wanted
from napari_pu_segment.gui.model.encoder_panel import NONE, EncoderPanel
from napari_pu_segment.gui.model.recorder import Recorder
from napari_pu_segment.gui.paint.train_panel import TrainPanel
from napari_pu_segment.gui.session import Session
from napari_pu_segment.gui.viewer.layers import LayerBook
from napari_pu_segment.image_set import CHECKPOINT, EncodeSettings
from napari_pu_segment.io import write_image
from tests.helpers import dice, disk_sample, disks, strokes

QUICK = METHODS["pu"].settings(n_steps=30, threads=1)
SHORT = PretrainSettings(n_steps=3, threads=1)


@pytest.fixture
def session(make_viewer):
    viewer = make_viewer()
    session = Session(LayerBook(viewer))
    image, _ = disks()
    session.choose_image(viewer.add_image(image[0], name="disks"))
    session.book.add_brushes(session.image)
    for role, code in (("positive", 1), ("negative", 2)):
        session.book.member(session.image, role).data[strokes() == code] = 1
    session.crf = None
    yield session
    session.close()


@pytest.fixture
def folder(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    write_image(images / "a.tif", disks(seed=1)[0][0])
    return images


def rest(qtbot, session):
    qtbot.waitUntil(lambda: session.runner.current is None and not session.showing)


def test_an_encoder_is_made_and_looked_through(qtbot, session, folder, tmp_path):
    said = []
    session.said.connect(lambda text, failed: said.append((text, failed)))
    panel, paint, out = EncoderPanel(session), TrainPanel(session, {}), tmp_path / "e.safetensors"
    recorder = Recorder(session)
    qtbot.addWidget(panel)
    qtbot.addWidget(paint)
    assert (panel.label.text(), panel.none_button.isEnabled(), paint.encoder_label.isHidden()) == (NONE, False, True)
    panel.make()
    assert said[-1] == ("Choose the folder of images that the encoder shall learn from.", True)
    panel.begin(EncodeSettings(folder), SHORT, out)
    assert not panel.make_button.isEnabled()
    assert not panel.cancel_button.isHidden()
    qtbot.waitUntil(lambda: session.encoder.model is not None)
    qtbot.waitUntil(lambda: not panel.running)
    sha = load_model(out).card.tensors_sha256
    assert panel.make_button.isEnabled()
    assert panel.label.text().startswith("e.safetensors: Small encoder, for planes of one channel.")
    assert not paint.encoder_label.isHidden()
    session.train("pu", QUICK, warm=False)
    rest(qtbot, session)
    assert session.model.card.network.encoder.sha256 == sha
    assert dice(session.book.member(session.image, "mask").data > 0, disks()[1]) > 0.85
    session.train("pu", QUICK, warm=True)
    rest(qtbot, session)
    assert session.model.card.network.encoder.sha256 == sha
    recorder.save(tmp_path / "record.json")
    qtbot.waitUntil((tmp_path / "record.json").exists)
    record = load_record(tmp_path / "record.json")
    assert record.start
    assert [step.warm for step in record.steps if step.kind == "train"] == [True, True]
    panel.none_button.click()
    session.train("pu", QUICK, warm=False)
    rest(qtbot, session)
    assert session.model.card.network.encoder is None
    assert paint.encoder_label.isHidden()


def test_an_encoder_begins_with_published_weights(qtbot, session, folder, tmp_path, monkeypatch):
    name, said = "tf_efficientnet_lite0", []
    file, out = tmp_path / "published.safetensors", tmp_path / "e.safetensors"
    shapes = wanted(name, 8)
    save_file({key: torch.full(shape, 0.1) for key, shape in shapes.items()}, file)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(out), ""))
    session.said.connect(lambda text, failed: said.append((text, failed)))
    panel = EncoderPanel(session)
    qtbot.addWidget(panel)
    panel.folder_row.set_value(folder)
    panel.weights_row.set_value(tmp_path / "absent")
    panel.form.set_value(SHORT.changed({"n_steps": 0, "network": name, "width": 8}))
    panel.make()
    qtbot.waitUntil(lambda: any(failed for _, failed in said))
    assert "cannot be read" in said[-1][0]
    qtbot.waitUntil(lambda: not panel.running)
    assert session.encoder.model is None
    panel.weights_row.set_value(file)
    panel.make()
    assert not panel.weights_row.isEnabled()
    qtbot.waitUntil(lambda: session.encoder.model is not None)
    assert load_model(out).card.weights.source == "published.safetensors"
    assert "TF EfficientNet-Lite0, with published.safetensors" in panel.label.text()


def test_files_of_the_wrong_kind_are_refused(qtbot, session, tmp_path):
    said = []
    session.said.connect(lambda text, failed: said.append((text, failed)))
    panel, file = EncoderPanel(session), tmp_path / "model.safetensors"
    qtbot.addWidget(panel)
    save_model(train([disk_sample()[0]], QUICK), file)
    panel.take(file)
    qtbot.waitUntil(lambda: bool(said))
    assert ("is no encoder" in said[-1][0], said[-1][1]) == (True, True)
    assert session.encoder.model is None
    save_model(train([disk_sample()[0]], SHORT), file)
    session.load(file)
    rest(qtbot, session)
    assert ("is an encoder" in said[-1][0], said[-1][1]) == (True, True)
    assert session.model is None
    panel.take(file)
    qtbot.waitUntil(lambda: session.encoder.model is not None)


def test_cancelled_it_leaves_a_checkpoint(qtbot, session, folder, tmp_path):
    panel, out = EncoderPanel(session), tmp_path / "e.safetensors"
    qtbot.addWidget(panel)
    panel.begin(EncodeSettings(folder), SHORT.changed({"n_steps": 100_000}), out)
    with qtbot.waitSignal(panel._job.progress, check_params_cb=lambda progress: progress.risk is not None):
        pass
    assert not out.exists()
    panel.cancel()
    assert not panel.running
    assert panel.progress_bar.isHidden()
    qtbot.waitUntil(out.with_name(out.name + CHECKPOINT).exists)
