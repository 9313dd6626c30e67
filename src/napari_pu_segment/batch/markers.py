"""What a batch leaves beside its results, so that it can be killed anywhere and run again.

A marker says that the results of one image are whole: it is written last, and bound to the model, the settings, the
image, and the bytes of the results. The folder itself is bound to one model, one choice of settings, and one folder of
images.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError

from ..core.crf import available_backend
from ..core.errors import InputError, OutputError
from ..core.files import PART, write_atomically
from ..core.progress import Work
from ..core.settings import OneOf
from .identity import Identity, identity, stored
from .settings import FORMATS, OUTPUTS, BatchSettings, Facts, FileReport, FileTask, Stored, Strict, shown

StrictT = TypeVar("StrictT", bound=Strict)

REPORTS = ("report.json", "report.html")
FOLDER = ".napari-pu-segment"  # below the folder of results
_OWNER, _LOCK = ".batch.json", ".lock"  # markers never begin with a dot
_MAX_BYTES = 2**22
# never through a link, nor waiting at a pipe; Windows has neither flag
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class Marker(Strict):
    """The results of one image are whole. `picture` is a small JPEG for the report, in base64."""

    key: str
    image: Identity
    outputs: dict[Annotated[str, OneOf(OUTPUTS)], Stored]
    format: Annotated[str, OneOf(FORMATS)]
    facts: Facts
    picture: Annotated[str, Field(max_length=2**20)] = ""


class Owner(Strict):
    """Whose results a folder holds; `folder` is that of the images."""

    key: str
    folder: str
    model_sha256: str
    settings: dict[str, Any]


def make_key(settings: BatchSettings, model_sha256: str) -> str:
    """sha256 of all that the bytes of the results depend on, but for the images."""
    return hashlib.sha256(json.dumps(_essence(settings, model_sha256), sort_keys=True).encode()).hexdigest()


def _essence(settings: BatchSettings, model_sha256: str) -> dict[str, Any]:
    from napari_pu_segment import __version__

    values: dict[str, Any] = {"version": __version__, "model": model_sha256, "outputs": sorted(settings.outputs)}
    values |= {"format": settings.format, "threshold": settings.threshold, "threads": settings.threads}
    values |= {"crf": settings.crf.to_dict()} if settings.refine else {}
    values |= {"objects": settings.objects.to_dict()} if settings.wants_objects else {}
    return values


def fixed(settings: BatchSettings) -> BatchSettings:
    """The settings with absolute paths, and the backend of the CRF chosen, so that every worker takes the same."""
    values: dict[str, Any] = {name: getattr(settings, name).absolute() for name in ("model", "folder", "out")}
    if settings.crf.backend == "auto":
        values["crf"] = settings.crf.changed({"backend": available_backend()})
    return settings.model_copy(update=values)


def marker_path(out: Path, stem: str) -> Path:
    """Where the marker of an image lies."""
    return out / FOLDER / f"{stem}.json"


def read_marker(out: Path, stem: str) -> Marker | None:
    """The marker of an image, or None where there is none, or a damaged one."""
    return _read(marker_path(out, stem), Marker)


def _read(path: Path, kind: type[StrictT]) -> StrictT | None:
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return None
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValueError, ValidationError, RecursionError):
        return None


def done(task: FileTask) -> FileReport | None:
    """The report of a file whose results are there, and files of their sizes, else None; see `whole`."""
    marker, outputs = read_marker(task.settings.out, task.stem), task.outputs()
    if marker is None or marker.key != task.key or set(marker.outputs) != set(outputs):
        return None
    try:
        if marker.image != identity(task.path):
            return None
        for kind, path in outputs.items():
            if not path.is_dir() and path.stat().st_size != marker.outputs[kind].n_bytes:
                return None
    except OSError:
        return None
    reason = "Done before, with the same model, settings and image."
    return FileReport(task.name, "skipped", reason, task.stem, dict(marker.outputs), marker.facts)


def whole(task: FileTask) -> Work[FileReport | None]:
    """The report of a file whose results are there with the bytes that were written, else None."""
    report = done(task)
    if report is None:
        return None
    try:
        for kind, path in task.outputs().items():
            if (yield from stored(path)) != report.outputs[kind]:
                return None
    except OSError:
        return None
    return report


def forget(task: FileTask) -> None:
    """Remove the marker of an image, and those of its results that this batch will not replace."""
    path, marker = marker_path(task.settings.out, task.stem), read_marker(task.settings.out, task.stem)
    old = {task.place(kind, marker.format) for kind in marker.outputs} if marker is not None else set()
    for place in old - set(task.outputs().values()):
        _remove(place)
    path.unlink(missing_ok=True)


def drop_outputs(task: FileTask) -> None:
    """Remove what was written of an image that has no marker."""
    for place in task.outputs().values():
        _remove(place)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        path.unlink()


def write_marker(task: FileTask, image: Identity, report: FileReport, picture: str) -> None:
    """Say that the results of an image are whole.

    Raises
    ------
    OutputError
        If that cannot be written.
    """
    assert report.facts is not None
    marker = Marker(
        key=task.key,
        image=image,
        outputs=report.outputs,
        format=task.settings.format,
        facts=report.facts,
        picture=picture,
    )
    write_atomically(marker_path(task.settings.out, task.stem), marker.model_dump_json().encode())


def check_owner(settings: BatchSettings, key: str, tasks: Sequence[FileTask]) -> None:
    """Refuse a folder with results that this very batch has not made, where it would replace them.

    Raises
    ------
    InputError
        If there are any and `settings.overwrite` does not allow it.
    """
    out, owner = settings.out, _read(settings.out / FOLDER / _OWNER, Owner)
    if settings.overwrite or (owner is not None and owner.key == key and owner.folder == _images(settings)):
        return
    if owner is not None and owner.key == key:
        _check_images(owner, tasks)
        return
    if owner is not None:
        raise InputError(
            f"Folder {str(out)!r} holds results of another model, other settings or another version. Choose another "
            "folder, or --overwrite to replace them."
        )
    planned = [*(out / name for name in REPORTS), *(path for task in tasks for path in task.outputs().values())]
    there = [path for path in planned if path.exists() or path.is_symlink()]
    if there:
        raise InputError(
            f"Folder {str(out)!r} holds {len(there)} file(s) that this batch would write and that it has not made, "
            f"such as {there[0].name!r}. Choose another folder, or --overwrite to replace them."
        )


def _check_images(owner: Owner, tasks: Sequence[FileTask]) -> None:
    """Refuse images of another folder that would replace results; a folder that was moved or copied has the same."""
    for task in tasks:
        if any(path.exists() for path in task.outputs().values()) and done(task) is None:
            raise InputError(
                f"Folder {str(task.settings.out)!r} holds results of the folder of images {owner.folder!r}; those of "
                f"{task.name!r} would be replaced. Choose another folder, or --overwrite to replace them."
            )


def _images(settings: BatchSettings) -> str:
    return shown(str(settings.folder.resolve()))


@contextlib.contextmanager
def owned(settings: BatchSettings, key: str, model_sha256: str, tasks: Sequence[FileTask]) -> Iterator[None]:
    """Make the folder of results, bind it to this batch, and keep other batches out of it for a while.

    What a killed run of these tasks left unfinished is cleared away, but for large outputs of this very batch, which go
    on from there. Nothing unfinished is left when the block ends without an error.

    Raises
    ------
    InputError
        If another batch is writing there now.
    OutputError
        If the folder cannot be made or written to.
    """
    home, where = settings.out / FOLDER, str(settings.out)
    try:
        home.mkdir(parents=True, exist_ok=True)
        if home.is_symlink():
            raise OutputError(f"Folder {str(home)!r} is a link, which is not followed. Remove it.")
        lock = os.open(home / _LOCK, _LOCK_FLAGS, 0o666)
    except OSError as error:
        raise OutputError(f"Cannot make the folder {where!r}: {error.strerror}. Choose another one.") from None
    try:
        if not _locked(lock):
            raise InputError(f"Another batch is writing to {where!r} now. Wait for it, or choose another folder.")
        stems = {Path(), *(Path(task.stem).parent for task in tasks)}
        before = _read(home / _OWNER, Owner)
        _clear(settings.out, stems, keep_folders=before is not None and before.key == key)
        essence = _essence(settings, model_sha256)
        owner = Owner(key=key, folder=_images(settings), model_sha256=model_sha256, settings=essence)
        write_atomically(home / _OWNER, owner.model_dump_json().encode())
        yield
        _clear(settings.out, stems, keep_folders=False)
    finally:
        os.close(lock)


def _clear(out: Path, stems: Iterable[Path], keep_folders: bool) -> None:
    """Remove unfinished files and, unless they are to be kept, unfinished outputs, which are folders."""
    for folder in {above / stem for above in (out, out / FOLDER) for stem in stems}:
        if not Path(os.path.realpath(folder)).is_relative_to(out.resolve()):
            continue  # a link: its file will be refused
        for path in folder.glob(f"{PART}*"):
            if not (keep_folders and path.is_dir()):
                _remove(path)


def _locked(descriptor: int) -> bool:
    """Lock an open file until it is closed or the process ends, however; where there are no locks, do without."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):  # Windows; some network disks
        return True
    return True


def is_owner(task: FileTask) -> bool:
    """Whether the folder of results is still there, and still this batch's."""
    owner = _read(task.settings.out / FOLDER / _OWNER, Owner)
    return owner is not None and owner.key == task.key
