"""The images of a folder, and names for their results that never collide."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from ..core.errors import InputError
from ..io import IMAGE_SUFFIXES, ZARR_SUFFIX, sanitise_name, stem_of

_OURS = (".tif", ZARR_SUFFIX, ".csv", ".json", ".html")  # suffixes of what a batch writes


@dataclass(frozen=True)
class Found:
    """An image of a folder: its path below the folder, with slashes, and why it cannot be used, or ""."""

    name: str
    fault: str = ""


def find(folder: Path, pattern: str = "*", recursive: bool = False) -> tuple[list[Found], int]:
    """The images of a folder, by name, and how many other files there are.

    What has an image's name but is none, such as a folder, a pipe, or a link that leads out of the folder, is found
    with its fault. Hidden files are no images. Links to folders are not followed.

    Raises
    ------
    InputError
        If the folder cannot be read.
    """
    found: list[Found] = []
    others, waiting = 0, [""]
    while waiting:
        below = waiting.pop()
        try:
            entries = sorted(os.scandir(folder / below), key=lambda entry: entry.name)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            if not below:
                raise InputError(f"Folder {str(folder)!r} cannot be read: {reason}. Check the path.") from None
            found.append(Found(below, f"Folder {below!r} cannot be read: {reason}."))
            continue
        for entry in entries:
            name = f"{below}/{entry.name}" if below else entry.name
            if _is_image(name, pattern):
                found.append(Found(name, fault_of(folder, name)))
            elif recursive and _is_plain_folder(entry):
                waiting.append(name)
            else:
                others += 1
    return sorted(found, key=lambda one: one.name), others


def fault_of(folder: Path, name: str) -> str:
    """Why the entry of that name below a folder cannot be an image to be read, or ""; nothing is opened."""
    path, where = folder / name, f"Image file {name!r}"
    try:
        if path.is_symlink():
            target = path.resolve(strict=True)
            if not target.is_relative_to(folder.resolve()):
                return f"{where} is a link that leads out of the folder. Copy the image itself into the folder."
        if path.is_dir():
            return "" if _suffix(name) == ZARR_SUFFIX else f"{where} is a folder. Give an image file."
        if not path.is_file():
            return f"{where} is not an ordinary file. Give an image file." if path.exists() else f"{where} is missing."
    except (OSError, ValueError, RuntimeError) as error:
        if os.path.islink(path):  # which never raises
            return f"{where} is a link that leads nowhere. Remove it, or mend it."
        return f"{where} cannot be reached: {getattr(error, 'strerror', None) or error}."
    return ""


def check_folders(folder: Path, out: Path) -> None:
    """Refuse a folder of images that is none, and one for results that is no folder or lies in that of the images.

    Raises
    ------
    InputError
        Whose text says what to do.
    """
    try:
        images, results = folder.resolve(), out.resolve()
        if not images.is_dir():
            raise InputError(f"{str(folder)!r} is not a folder. Give the folder of the images.")
        if results.is_relative_to(images):
            raise InputError(
                f"The folder for the results, {str(out)!r}, is the folder of images or lies in it. Choose one "
                "elsewhere."
            )
        if not existing(results).is_dir():
            raise InputError(f"Cannot write to {str(out)!r}: it is no folder. Choose another one.")
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"A folder cannot be used: {getattr(error, 'strerror', None) or error}.") from None


def existing(path: Path) -> Path:
    """A path, or the nearest above it that is there."""
    return next(parent for parent in (path, *path.parents) if parent.exists())


def _is_image(name: str, pattern: str) -> bool:
    plain = PurePosixPath(name).name
    if plain.startswith(".") or _suffix(name) not in (*IMAGE_SUFFIXES, ZARR_SUFFIX):
        return False
    return fnmatchcase((name if "/" in pattern else plain).casefold(), pattern.casefold())


def _is_plain_folder(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def stems(names: Sequence[str]) -> dict[str, str]:
    """Paths of the results of each image below their folder, without "_mask.tif" and the like; no two are alike.

    Folders are kept, every part is made safe by `sanitise_name`. Images that would share a name, also on disks that
    do not tell cases or forms of accents apart, get the suffix of their file as well; where that does not help, a hash
    of their path.

    Raises
    ------
    InputError
        If names collide all the same.
    """
    levels: list[Callable[[str], str]] = [_plain, _with_suffix, _with_hash]
    chosen, level = {}, dict.fromkeys(names, 0)
    while True:
        chosen = {name: levels[level[name]](name) for name in names}
        alike = [group for group in _groups(chosen).values() if len(group) > 1]
        if not alike:
            return chosen
        lowest = [name for group in alike for name in group if level[name] < len(levels) - 1]
        if not lowest:
            raise InputError(f"The images {', '.join(map(repr, alike[0]))} would write the same files. Rename one.")
        for name in lowest:
            level[name] += 1


def _groups(chosen: dict[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, stem in chosen.items():
        groups.setdefault(unicodedata.normalize("NFC", stem).casefold(), []).append(name)
    return groups


def _plain(name: str) -> str:
    return "/".join([*map(_folder, PurePosixPath(name).parts[:-1]), sanitise_name(stem_of(name))])


def _with_suffix(name: str) -> str:
    return f"{_plain(name)}_{_suffix(name)[1:]}"


def _with_hash(name: str) -> str:
    return f"{_with_suffix(name)}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _folder(part: str) -> str:
    """A part of a path as the name of a folder that no output can have."""
    safe = sanitise_name(part)
    return safe.replace(".", "_") if safe.lower().endswith(_OURS) else safe
