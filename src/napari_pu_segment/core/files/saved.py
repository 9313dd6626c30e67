"""Strokes and settings that are saved while the user paints: one file for each image and each run of the program."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from ..errors import InputError
from ..samples import Array
from . import write_atomically
from .packing import fingerprint, pack, unpack

MAX_BYTES = 2**28
MAX_FILES, MAX_AGE_S = 50, 90 * 24 * 3600.0  # the newest ones of these are kept


Fraction = Annotated[float, Field(ge=0, le=1)]


class SavedSession(BaseModel):
    """What is saved of an image: its identity, its strokes by role, packed by `packing.pack`, and the settings.

    `classes` are the names of classes of objects by role, in their order, and `colours` their colours as "#RRGGBB";
    none in files of older versions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    format_version: Literal[1] = 1
    plugin_version: str
    saved: AwareDatetime
    key: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    name: str
    path: str
    shape: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=2, max_length=4)]
    strokes: dict[Annotated[str, Field(min_length=1, max_length=100)], str]
    method: str
    settings: dict[str, Any]
    threshold: Fraction | tuple[Fraction, ...] | None
    crf: dict[str, Any] | None
    classes: dict[str, str] = {}
    colours: dict[str, Annotated[str, Field(pattern="^#[0-9A-Fa-f]{6}$")]] = {}

    def masks(self, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        """The strokes as masks of bool ([Z,] Y, X) by role, for an image of that shape.

        Raises
        ------
        InputError
            If they are of another shape, or damaged.
        """
        if shape != self.shape:
            raise InputError(f"The saved strokes are for {self.shape} pixels, but the image measures {shape}.")
        return {role: unpack(text, shape, "The saved session") != 0 for role, text in self.strokes.items()}


def image_key(image: Array, name: str) -> str:
    """What an image is known by again: its name, type and shape, and some of its pixels."""
    return hashlib.sha256(f"{name}\0{fingerprint(image)}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def make_session(
    key: str, strokes: dict[str, np.ndarray], choices: dict[str, Any], *, name: str, path: str
) -> SavedSession:
    """A session to be saved now.

    Parameters
    ----------
    key : str
        See `image_key`.
    strokes : dict of str to ndarray, ([Z,] Y, X)
        By role, non-zero where painted; at least one.
    choices : dict
        `method`, `settings`, `threshold`, `crf`, `classes` and `colours`, as plain values.
    name, path : str
        Of the image, for the user.
    """
    from napari_pu_segment import __version__

    return SavedSession(
        plugin_version=__version__,
        saved=datetime.now(UTC),
        key=key,
        name=name,
        path=path,
        shape=next(iter(strokes.values())).shape,
        strokes={role: pack(mask != 0) for role, mask in strokes.items()},
        **choices,
    )


class SavedFolder:
    """The folder of saved sessions.

    A run of the program writes files of its own, so that nothing an earlier or a second one saved is ever replaced.

    Parameters
    ----------
    folder : Path
        Made when it is first written to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, session: SavedSession, run: str) -> None:
        """Save a session, whole or not at all, in place of what this run saved of that image before.

        Raises
        ------
        InputError
            If the folder cannot be made or written to, or the disk is full.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"Cannot make the folder {str(self._folder)!r}: {error.strerror}.") from None
        content = json.dumps(session.model_dump(mode="json"), allow_nan=False).encode()
        write_atomically(self._folder / f"{session.key}-{run}.json", content)
        self._prune()

    def find(self, key: str, but: str) -> SavedSession | None:
        """The newest session of an image with strokes that another run than `but` saved; damaged files do not count."""
        found = [session for path in self._others(key, but) if (session := _read(path)) is not None]
        found = [session for session in found if session.key == key and session.strokes]
        return max(found, key=lambda session: session.saved, default=None)

    def forget(self, session: SavedSession, but: str) -> None:
        """Delete a session, and older ones of its image, that other runs than `but` saved."""
        for path in self._others(session.key, but):
            other = _read(path)
            if other is None or other.saved <= session.saved:
                _delete(path)

    def _others(self, key: str, but: str) -> list[Path]:
        return [path for path in self._files() if path.name.startswith(key) and path.stem != f"{key}-{but}"]

    def _files(self) -> list[Path]:
        try:
            return [path for path in self._folder.glob("*-*.json") if path.is_file() and not path.is_symlink()]
        except OSError:
            return []

    def _prune(self) -> None:
        ages = {}
        for path in self._files():
            with contextlib.suppress(OSError):
                ages[path] = time.time() - path.stat().st_mtime
        for place, path in enumerate(sorted(ages, key=lambda path: ages[path])):
            if place >= MAX_FILES or ages[path] > MAX_AGE_S:
                _delete(path)


def _read(path: Path) -> SavedSession | None:
    try:
        if path.stat().st_size > MAX_BYTES:
            return None
        return SavedSession.model_validate_json(path.read_bytes())
    except (OSError, ValueError, ValidationError, RecursionError):
        return None


def _delete(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
