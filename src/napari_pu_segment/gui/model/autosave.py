"""Strokes are saved while the user paints, and offered again after a crash or when the image is opened again."""

from __future__ import annotations

import os
import secrets
import weakref
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from napari.layers import Image
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_pu_segment.core.crf import CrfSettings
from napari_pu_segment.core.errors import InputError, PuSegmentError, pick
from napari_pu_segment.core.files.saved import SavedFolder, SavedSession, image_key, make_session
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.progress import Progress, Work, run

from ..jobs import Job
from ..preferences import PLUGIN, preferences
from ..session import Session
from ..viewer.snapshots import Snapshot

DELAY_MS, RETRY_MS = 2000, 30_000
VARIABLE = "NAPARI_PU_SEGMENT_AUTOSAVE"  # a folder; or "off"
SAVING, LOOKING = "Saving strokes", "Looking for saved strokes"


def autosave_folder() -> Path | None:
    """Where strokes are saved: as the environment variable says, else the preferences, else with the user's data."""
    chosen = os.environ.get(VARIABLE, "")
    wanted = preferences()
    if chosen.lower() == "off" or not (chosen or wanted.autosave):
        return None
    return Path(chosen) if chosen else wanted.autosave_path or platformdirs.user_data_path(PLUGIN) / "autosave"


@dataclass(frozen=True, eq=False)
class _Task:
    """What is to be saved of an image."""

    image: Image
    snapshot: Snapshot
    choices: dict[str, Any]
    run: str
    replaces: SavedSession | None

    @property
    def path(self) -> str:
        return str(self.image.source.path or "")

    @property
    def name(self) -> str:
        return Path(self.path).name or self.snapshot.name

    def key(self) -> str:
        return image_key(self.snapshot.images[0], self.name)

    def session(self) -> SavedSession:
        strokes = {role: np.asarray(data) for role, data in self.snapshot.strokes.items()}
        return make_session(self.key(), strokes, self.choices, name=self.name, path=self.path)


class Autosave:
    """Saves the strokes of a session two seconds after a change, in the background, and finds those saved before.

    What cannot be saved is said once, until it can be again; painting goes on.

    Parameters
    ----------
    session : Session
    folder : Path or None
        Where to save; None saves nothing. See `autosave_folder`.

    Attributes
    ----------
    found : Signal(object)
        A `SavedSession` of the session's image was found, or None: there is nothing to offer any more.
    """

    found = Signal(object)

    def __init__(self, session: Session, folder: Path | None) -> None:
        self._session = session
        self._folder = None if folder is None else SavedFolder(folder)
        self._runs: weakref.WeakKeyDictionary[Image, str] = weakref.WeakKeyDictionary()
        self._replaces: weakref.WeakKeyDictionary[Image, SavedSession] = weakref.WeakKeyDictionary()
        self._last: weakref.WeakKeyDictionary[Image, SavedSession] = weakref.WeakKeyDictionary()
        self._changed: list[Image] = []
        self._job: Job | None = None
        self._tasks: list[_Task] = []
        self._told = False
        self.offered: SavedSession | None = None
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY_MS)
        self._timer.timeout.connect(self._save)
        if self._folder is not None:
            session.book.painted.connect(self._on_changed)
            session.result_changed.connect(lambda result: self._on_changed(result.layer))
            session.image_changed.connect(self._look)
            session.closing.connect(self.flush)
            self._look(session.image)

    def restore(self) -> None:
        """Put the strokes that were found into the brush layers, and take over the settings they were saved with.

        Undo brings back the strokes that were there.
        """
        image, saved = self._session.image, self.offered
        if image is None or saved is None:
            return
        try:
            book = self._session.book
            masks = saved.masks(book.channels.grid(image).brush_shape)
            book.classes.restore(saved.classes, saved.colours)
            for role in book.classes.brushes:
                if role in masks:
                    book.put_strokes(image, role, masks[role])
        except PuSegmentError as error:
            self._session.said.emit(str(error), True)
            return
        self._replaces[image] = saved
        self._offer(None)
        self._session.said.emit(f"Strokes of {when(saved)} restored. Undo brings back what was there.", False)
        self._choose(saved)

    def _choose(self, saved: SavedSession) -> None:
        session = self._session
        try:
            settings = pick(METHODS, saved.method, "method").settings(**saved.settings)
            crf = None if saved.crf is None else CrfSettings(**saved.crf)
        except InputError:  # of a version with other settings: the present ones stay
            return
        session.method, session.settings, session.crf = saved.method, settings, crf
        session.set_threshold(saved.threshold)
        session.choices_changed.emit()

    def discard(self) -> None:
        """Delete the strokes that were found."""
        image, saved = self._session.image, self.offered
        if image is None or saved is None or self._folder is None:
            return
        self._folder.forget(saved, self._run(image))
        self._offer(None)

    def flush(self) -> None:
        """Save now, and wait for it, what has not been saved yet: the window is being closed."""
        self._timer.stop()
        if self._job is not None:
            self._job.join()  # else it could put older strokes in the place of these
        images = [*(task.image for task in self._tasks), *self._changed]
        self._changed = []
        tasks = [task for image in dict.fromkeys(images) if (task := self._task(image)) is not None]
        if self._folder is not None and tasks:
            run(self._saved(tasks))

    def _run(self, image: Image) -> str:
        return self._runs.setdefault(image, secrets.token_hex(6))

    def _on_changed(self, image: Image) -> None:
        if image not in self._changed:
            self._changed.append(image)
        if not self._timer.isActive():  # not started anew: who never stops painting is saved too
            self._timer.start(DELAY_MS)

    def _save(self) -> None:
        if self._job is not None and self._job.running:
            self._timer.start(DELAY_MS)
            return
        images, self._changed = self._changed, []
        self._tasks = [task for image in images if (task := self._task(image)) is not None]
        if self._tasks:
            self._job = self._session.aside(self._saved(self._tasks), SAVING, self._on_saved)

    def _task(self, image: Image) -> _Task | None:
        session = self._session
        if not session.book.contains(image):
            return None
        try:
            snapshot = session.book.snapshot(image)
        except InputError:  # shapes do not fit; training says so
            return None
        if not snapshot.strokes:
            return None
        choices = {
            "method": session.method,
            "settings": session.settings.to_dict(),
            "threshold": session.threshold,
            "crf": None if session.crf is None else session.crf.to_dict(),
            "classes": snapshot.classes,
            "colours": session.book.classes.colours,
        }
        return _Task(image, snapshot, choices, self._run(image), self._replaces.get(image))

    def _saved(self, tasks: list[_Task]) -> Work[tuple[list[Image], str]]:
        """Save; returns the images whose strokes could not be saved, and why."""
        assert self._folder is not None
        for place, task in enumerate(tasks):
            yield Progress(place, len(tasks), SAVING)
            saved, last = task.session(), self._last.get(task.image)
            if last is not None and saved == last.model_copy(update={"saved": saved.saved}):
                continue
            try:
                self._folder.write(saved, task.run)
            except PuSegmentError as error:
                return [task.image for task in tasks[place:]], str(error)
            self._last[task.image] = saved
            if task.replaces is not None:
                self._folder.forget(task.replaces, task.run)
        return [], ""

    def _on_saved(self, left: tuple[list[Image], str]) -> None:
        images, error = left
        self._tasks = []
        if not error:
            self._told = False
            return
        self._changed = list(dict.fromkeys([*self._changed, *images]))
        if not self._timer.isActive():
            self._timer.start(RETRY_MS)
        if not self._told:
            self._told = True
            self._session.said.emit(f"Strokes cannot be saved as you paint; go on, but export them. {error}", True)

    def _look(self, image: Image | None) -> None:
        self._offer(None)
        if image is None:
            return
        try:
            snapshot = self._session.book.snapshot(image)
        except InputError:
            return
        work = self._looked(_Task(image, snapshot, {}, self._run(image), None))
        self._session.aside(work, LOOKING, lambda found: self._on_looked(image, found))

    def _looked(self, task: _Task) -> Work[SavedSession | None]:
        yield Progress(0, 0, LOOKING)
        assert self._folder is not None
        saved = self._folder.find(task.key(), task.run)
        if saved is None:
            return None
        try:
            strokes = task.snapshot.strokes
            shape = next(iter(strokes.values())).shape if strokes else saved.shape
            masks = saved.masks(shape)
        except InputError:
            return None
        empty = np.zeros(shape, bool)
        same = all(
            np.array_equal(masks.get(role, empty), np.asarray(strokes.get(role, empty)) != 0)
            for role in {**masks, **strokes}
        )
        return None if same or not any(mask.any() for mask in masks.values()) else saved

    def _on_looked(self, image: Image, saved: SavedSession | None) -> None:
        if image is self._session.image and image not in self._replaces:
            self._offer(saved)

    def _offer(self, saved: SavedSession | None) -> None:
        if saved is not self.offered:
            self.offered = saved
            self.found.emit(saved)


def when(saved: SavedSession) -> str:
    """The time of a saved session, with the day where it is not today."""
    then, now = saved.saved.astimezone(), datetime.now().astimezone()
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M}"
