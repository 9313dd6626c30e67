"""Temporary folders: what a killed run leaves is removed by the next, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from napari_pu_segment.core.compute import temporary
from napari_pu_segment.core.compute.temporary import LOCK, PREFIX, TemporaryFolder, sweep

HOLD = """
from napari_pu_segment.core.compute.temporary import TemporaryFolder
with TemporaryFolder() as folder:
    (folder / "sub").mkdir()
    (folder / "sub/file").write_text("x")
    print(folder, flush=True)
    input()
"""


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """Where temporary folders are made, here and by processes from here."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    temporary._sweep_once.cache_clear()
    yield tmp_path
    temporary._sweep_once.cache_clear()


def holding() -> tuple[subprocess.Popen, Path]:
    """A process that holds a temporary folder until it is spoken to, and the folder."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", HOLD], **pipes)
    return process, Path(process.stdout.readline().strip())


def test_folders_of_runs_that_were_killed_are_removed_by_the_next(place):
    (killed, left), (living, kept) = holding(), holding()
    others = [place / f"{PREFIX}without-a-lock", place / f"{PREFIX}link", place / "precious"]
    for folder in (others[0], others[2]):
        folder.mkdir()
    (others[2] / LOCK).touch()
    others[1].symlink_to(others[2])
    killed.kill()
    killed.wait(timeout=30)
    assert (left / "sub/file").is_file(), "what a killed run leaves"
    with TemporaryFolder() as mine:
        assert not left.exists()
        assert set(place.iterdir()) == {kept, mine, *others}
        assert (kept / "sub/file").is_file()
        assert mine.stat().st_mode & 0o077 == 0
        assert sweep(place) == []
    living.communicate("\n", timeout=30)
    assert set(place.iterdir()) == set(others)
    assert (others[2] / LOCK).is_file()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a folder away")
def test_folders_of_other_users_are_left_alone(place):
    killed, left = holding()
    killed.kill()
    killed.wait(timeout=30)
    os.chown(left, 65534, 65534)
    assert sweep(place) == []
    os.chown(left, 0, 0)
    assert sweep(place) == [left]


def test_a_link_within_is_not_followed(place):
    (place / "precious").mkdir()
    (place / "precious/file").touch()
    with TemporaryFolder() as folder:
        (folder / "link").symlink_to(place / "precious")
    assert [path.name for path in place.rglob("*")] == ["precious", "file"]


def test_what_cannot_be_removed_at_the_end_is_left_to_the_next_run(place, monkeypatch):
    folder = TemporaryFolder()
    (folder.path / "result").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(temporary.shutil, "rmtree", lambda *args, **kwargs: None)
        folder.close()
    assert (folder.path / LOCK).is_file()
    assert sweep(place) == [folder.path]
    assert not folder.path.exists()
