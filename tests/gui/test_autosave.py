"""Strokes are saved while the user paints, and offered again: after a crash, a reopening, a full disk."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("napari")

from napari_pu_segment.core.crf import CRF_PRESETS
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.files.saved import MAX_FILES, SavedFolder, image_key, make_session
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.gui.model import autosave as module
from napari_pu_segment.gui.model.autosave import VARIABLE, autosave_folder
from napari_pu_segment.gui.model.autosave_bar import AutosaveBar
from napari_pu_segment.gui.paint.train_panel import TrainPanel
from napari_pu_segment.gui.results.refine_box import RefineBox
from napari_pu_segment.gui.session import Session
from napari_pu_segment.gui.viewer.layers import LayerBook

CHOICES = {"method": "pu", "settings": METHODS["pu"].settings().to_dict(), "threshold": None, "crf": None}


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(module, "DELAY_MS", 50)
    monkeypatch.setattr(module, "RETRY_MS", 300)


@pytest.fixture
def opened(make_viewer, qtbot, quick, monkeypatch):
    """Opens the same image in a viewer of its own, with autosave into a folder; gives session, autosave and its bar."""
    kept = []

    def make(folder, name="cells", shape=(60, 80)):
        viewer = make_viewer()
        session = Session(LayerBook(viewer))
        image = viewer.add_image(np.random.default_rng(0).random(shape), name=name)
        session.choose_image(image)
        monkeypatch.setenv(VARIABLE, str(folder))
        bar = AutosaveBar(session)
        qtbot.addWidget(bar)
        kept.append((session, viewer))
        return session, bar.autosave, bar

    yield make
    for session, _ in kept:
        session.close()


def masks(session):
    layers = {role: session.book.member(session.image, role) for role in ("positive", "negative", "ignore")}
    return {role: layer.data != 0 for role, layer in layers.items() if layer is not None}


def paint(session):
    session.book.stamp(session.image, "positive", (20, 20), 5)
    session.book.stamp(session.image, "negative", (40, 60), 3)
    session.book.stamp(session.image, "ignore", (5, 5), 2)


def files(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def is_saved(qtbot, session, autosave):
    """Until the strokes of the session's image have been saved for the first time."""
    qtbot.waitUntil(lambda: autosave._last.get(session.image) is not None)


def looked(qtbot, session):
    """Until no job beside the main one runs any more."""
    qtbot.waitUntil(lambda: not any(job.running for job in session.runner._jobs))


def test_strokes_are_saved_and_offered_when_the_image_is_opened_again(qtbot, opened, tmp_path):
    session, autosave, bar = opened(tmp_path)
    looked(qtbot, session)
    assert files(tmp_path) == []
    assert bar.isHidden()
    paint(session)
    session.set_threshold(0.25)
    session.crf = CRF_PRESETS["aurora original"]
    session.settings = session.settings.changed({"n_steps": 77})
    is_saved(qtbot, session, autosave)
    assert len(files(tmp_path)) == 1
    expected = masks(session)
    assert bar.isHidden(), "one's own strokes are not offered"
    saved_at = autosave._last[session.image].saved.astimezone()

    again, autosave, bar = opened(tmp_path)
    panels = TrainPanel(again, {}), RefineBox(again)
    for panel in panels:
        qtbot.addWidget(panel)
    assert (again.threshold, again.crf) == (None, CRF_PRESETS["default"])
    qtbot.waitUntil(lambda: not bar.isHidden())
    assert bar.label.text().startswith(f"Strokes of {saved_at:%H}")
    assert masks(again) == {}
    bar.restore_button.click()
    found = masks(again)
    assert found.keys() == expected.keys()
    for role, mask in expected.items():
        assert mask.any()
        assert np.array_equal(found[role], mask)
    assert bar.isHidden()
    assert again.threshold == 0.25
    assert again.crf == CRF_PRESETS["aurora original"]
    assert again.settings.n_steps == panels[0].settings().n_steps == 77
    assert panels[1].preset_combo.currentText() == "aurora original"
    # What was restored is saved anew by this run, and only then is the old file deleted.
    is_saved(qtbot, again, autosave)
    looked(qtbot, again)
    assert len(files(tmp_path)) == 1


def test_restoring_is_undone_by_one_step_each(qtbot, opened, tmp_path):
    session, autosave, _ = opened(tmp_path)
    paint(session)
    is_saved(qtbot, session, autosave)
    again, _, bar = opened(tmp_path)
    qtbot.waitUntil(lambda: not bar.isHidden())
    again.book.stamp(again.image, "positive", (50, 10), 4)  # painted meanwhile
    mine = masks(again)["positive"]
    bar.restore_button.click()
    assert not np.array_equal(masks(again)["positive"], mine)
    again.book.member(again.image, "positive").undo()
    assert np.array_equal(masks(again)["positive"], mine)


def test_what_is_not_taken_stays_until_it_is_discarded(qtbot, opened, tmp_path):
    session, autosave, _ = opened(tmp_path)
    paint(session)
    is_saved(qtbot, session, autosave)
    (first,) = files(tmp_path)
    again, second, bar = opened(tmp_path)
    qtbot.waitUntil(lambda: not bar.isHidden())
    again.book.stamp(again.image, "positive", (50, 10), 4)
    is_saved(qtbot, again, second)
    assert first in files(tmp_path)
    assert len(files(tmp_path)) == 2, "strokes of two runs do not replace each other"
    bar.discard_button.click()
    assert bar.isHidden()
    assert len(files(tmp_path)) == 1
    assert first not in files(tmp_path)


@pytest.mark.parametrize("other", [{"name": "other"}, {"shape": (61, 80)}])
def test_another_image_is_offered_nothing(qtbot, opened, tmp_path, other):
    session, autosave, _ = opened(tmp_path)
    paint(session)
    is_saved(qtbot, session, autosave)
    again, _, bar = opened(tmp_path, **other)
    looked(qtbot, again)
    assert bar.isHidden()


def test_strokes_that_are_in_the_layers_already_are_not_offered(qtbot, opened, tmp_path):
    session, autosave, _ = opened(tmp_path)
    paint(session)
    is_saved(qtbot, session, autosave)
    again, second, bar = opened(tmp_path)
    qtbot.waitUntil(lambda: not bar.isHidden())
    paint(again)
    second._look(again.image)
    looked(qtbot, again)
    assert bar.isHidden()


def test_undo_is_saved_too(qtbot, opened, tmp_path):
    session, autosave, _ = opened(tmp_path)
    paint(session)
    is_saved(qtbot, session, autosave)
    assert autosave._last[session.image].masks((60, 80))["positive"].any()
    session.book.member(session.image, "positive").undo()
    qtbot.waitUntil(lambda: not autosave._last[session.image].masks((60, 80))["positive"].any())


def test_closing_saves_what_has_not_been_saved_yet(qtbot, opened, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "DELAY_MS", 60_000)
    session, autosave, _ = opened(tmp_path)
    paint(session)
    assert files(tmp_path) == []
    session.close()
    assert len(files(tmp_path)) == 1
    assert np.array_equal(autosave._last[session.image].masks((60, 80))["positive"], masks(session)["positive"])


@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_a_full_disk_and_a_read_only_folder_are_said_once_and_painting_goes_on(
    qtbot, opened, tmp_path, monkeypatch, kind
):
    broken = [True]
    if kind == "full":
        folder, write = tmp_path, Path.write_bytes

        def write_bytes(self, data):
            if broken[0] and self.parent == tmp_path:
                write(self, data[:10])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(self, data)

        monkeypatch.setattr(Path, "write_bytes", write_bytes)
    else:
        folder, mkdir = tmp_path / "saved", Path.mkdir

        def refuse(self, *args, **kwargs):
            if broken[0] and self == folder:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            return mkdir(self, *args, **kwargs)

        monkeypatch.setattr(Path, "mkdir", refuse)
    session, autosave, _ = opened(folder)
    said = []
    session.said.connect(lambda text, failed: said.append((text, failed)))
    paint(session)
    qtbot.waitUntil(lambda: len(said) == 1)
    text, failed = said[0]
    assert failed
    assert "\n" not in text
    assert os.strerror(errno.ENOSPC if kind == "full" else errno.EROFS) in text
    session.book.stamp(session.image, "positive", (50, 50), 3)
    assert masks(session)["positive"][50, 50], "painting goes on"
    qtbot.wait(700)  # it has tried again
    assert len(said) == 1, "it is said once"
    assert files(folder) == [], "nothing torn is left behind"
    broken[0] = False
    is_saved(qtbot, session, autosave)
    assert autosave._last[session.image].masks((60, 80))["positive"][50, 50]


def test_damaged_and_foreign_files_are_left_out(qtbot, opened, tmp_path):
    session, autosave, _ = opened(tmp_path)
    paint(session)
    is_saved(qtbot, session, autosave)
    (name,) = files(tmp_path)
    key = name.split("-")[0]
    good = (tmp_path / name).read_bytes()
    for i, content in enumerate([b"", b"{", good[:-9], good.replace(b'"format_version": 1', b'"format_version": 9')]):
        (tmp_path / f"{key}-{i}.json").write_bytes(content)
    (tmp_path / name).write_bytes(good.replace(b'"positive": "eJ', b'"positive": "!!'))
    again, _, bar = opened(tmp_path)
    looked(qtbot, again)
    assert bar.isHidden()
    (tmp_path / name).write_bytes(good)
    again, _, bar = opened(tmp_path)
    qtbot.waitUntil(lambda: not bar.isHidden())


def test_where_strokes_are_saved(monkeypatch, tmp_path):
    assert autosave_folder() is None, "tests leave the user's folder alone"
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert autosave_folder() == tmp_path
    monkeypatch.delenv(VARIABLE)
    folder = autosave_folder()
    assert folder is not None
    assert "napari-pu-segment" in str(folder)


# --- the folder, without a window


def saved(key="0" * 32, age_s=0.0, name="x"):
    session = make_session(key, {"positive": np.ones((2, 3), np.uint8)}, CHOICES, name=name, path="")
    return session.model_copy(update={"saved": datetime.now(UTC) - timedelta(seconds=age_s)})


def test_the_newest_one_of_another_run_is_found(tmp_path):
    folder = SavedFolder(tmp_path / "a/b")
    assert folder.find("0" * 32, "me") is None
    folder.write(saved(age_s=60, name="old"), "a")
    folder.write(saved(age_s=5, name="new"), "b")
    folder.write(saved(name="mine"), "me")
    folder.write(saved(key="1" * 32), "c")
    found = folder.find("0" * 32, "me")
    assert found.name == "new"
    folder.forget(found, "me")
    assert folder.find("0" * 32, "me") is None
    assert folder.find("0" * 32, "other").name == "mine"
    with pytest.raises(InputError, match="measures"):
        found.masks((3, 2))


def test_files_are_bounded_in_number_and_age(tmp_path):
    folder = SavedFolder(tmp_path)
    for i in range(MAX_FILES + 5):
        folder.write(saved(key=f"{i:032x}"), "run")
        os.utime(tmp_path / f"{i:032x}-run.json", (time.time() - 1000 + i,) * 2)
    folder.write(saved(key="f" * 32), "run")
    assert len(files(tmp_path)) == MAX_FILES
    assert f"{0:032x}-run.json" not in files(tmp_path), "the oldest ones go"
    old = tmp_path / f"{MAX_FILES:032x}-run.json"
    assert old.exists()
    os.utime(old, (time.time() - 100 * 24 * 3600,) * 2)
    folder.write(saved(key="e" * 32), "run")
    assert not old.exists()


def test_an_image_is_known_by_name_type_shape_and_pixels():
    image = np.random.default_rng(0).random((300, 400))
    others = [image + 1, image[:-1], image.astype(np.float32)]
    keys = {image_key(image, "a"), image_key(image, "b"), *(image_key(other, "a") for other in others)}
    assert len(keys) == 5
    assert image_key(image.copy(), "a") in keys


# --- a crash

PAINT = """
import os, sys, time
import numpy as np
import napari
from qtpy.QtWidgets import QApplication
from napari_pu_segment.gui.model.autosave_bar import AutosaveBar
from napari_pu_segment.gui.viewer.layers import LayerBook
from napari_pu_segment.gui.session import Session

viewer = napari.Viewer(show=False)
image = viewer.add_image(np.random.default_rng(7).random((90, 120)), name="field")
session = Session(LayerBook(viewer))
session.choose_image(image)
bar = AutosaveBar(session)
def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        QApplication.processEvents()
        time.sleep(0.01)
"""
FIRST = """
for role, centre in (("positive", (20, 30)), ("negative", (70, 90)), ("ignore", (5, 5))):
    session.book.stamp(image, role, centre, 6)
painted = time.monotonic()
until(lambda: any(name[0] != "." for name in os.listdir(sys.argv[1])))
np.save(sys.argv[2], np.stack([session.book.member(image, r).data for r in ("positive", "negative", "ignore")]))
print(time.monotonic() - painted, flush=True)
while True:
    QApplication.processEvents()
"""
SECOND = """
until(lambda: not bar.isHidden())
bar.restore_button.click()
np.save(sys.argv[2], np.stack([session.book.member(image, r).data for r in ("positive", "negative", "ignore")]))
session.close()
os._exit(0)
"""


def test_strokes_survive_a_kill(painted_screen, tmp_path):
    folder = tmp_path / "saved"
    folder.mkdir()
    env = {**os.environ, VARIABLE: str(folder)}

    def start(code, out):
        command = [sys.executable, "-c", PAINT + code, str(folder), str(out)]
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    first = start(FIRST, tmp_path / "painted.npy")
    line = first.stdout.readline()
    first.send_signal(signal.SIGKILL)
    _, errors = first.communicate(timeout=60)
    assert line, errors
    assert first.returncode == -signal.SIGKILL
    assert float(line) < 30, "seconds from the stroke to the file"
    assert not (tmp_path / "restored.npy").exists()
    second = start(SECOND, tmp_path / "restored.npy")
    _, errors = second.communicate(timeout=120)
    assert second.returncode == 0, errors
    painted, restored = np.load(tmp_path / "painted.npy"), np.load(tmp_path / "restored.npy")
    assert all(mask.any() for mask in painted)
    assert np.array_equal(painted, restored)
