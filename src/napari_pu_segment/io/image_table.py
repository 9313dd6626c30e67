"""A table of images, such as ``curation.csv``: which of them to take, how often, and of which class they are."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import InputError

NAME, WEIGHT, SAMPLE = "name", "weight", "balanced_sample"
IMAGE, CLASS = "image", "class"  # of a table that the user writes
FORMULA = ("=", "+", "-", "@", "\t")  # what a spreadsheet would run: written after an apostrophe


def weights_of(path: Path) -> dict[str, float]:
    """How often images are to be drawn, by their names: the column ``weight`` of a table.

    Raises
    ------
    InputError
        If the table cannot be read, has no such column, or a weight is not above 0.
    """
    told = _read(path, WEIGHT)
    try:
        weights = {name: float(text) for name, text in told.items()}
    except ValueError:
        weights = {"": math.nan}
    if not all(0 < weight < math.inf for weight in weights.values()):
        raise InputError(f"The column {WEIGHT} of {str(path)!r} must hold numbers above 0.")
    return weights


def sample_of(path: Path) -> set[str]:
    """The images of a balanced sample: those with 1 in the column ``balanced_sample`` of a table.

    Raises
    ------
    InputError
        If the table cannot be read, has no such column, or there is none.
    """
    names = {name for name, drawn in _read(path, SAMPLE).items() if drawn == "1"}
    if not names:
        raise InputError(f"{str(path)!r} has no balanced sample. Look through the folder with --set n_balanced=100.")
    return names


def classes_of_images(path: Path, names: Sequence[Sequence[str]]) -> list[str]:
    """The class of each image by a table with the columns ``image`` and ``class``; "" where it does not tell it.

    Parameters
    ----------
    path : Path
    names : sequence of sequence of str
        What each image may be called in the table.

    Raises
    ------
    InputError
        If the table cannot be read, has no such columns, or tells of another image.
    """
    told = _read(path, CLASS, IMAGE)
    strange = set(told) - {name for each in names for name in each}
    if strange:
        raise InputError(f"{str(path)!r} tells of {min(strange)!r}, which is none of the images given.")
    return [next((told[name] for name in each if name in told), "") for each in names]


def _read(path: Path, column: str, key: str = NAME) -> dict[str, str]:
    """A column by the names of images."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as handle:
            rows = list(csv.DictReader(handle))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"The table {str(path)!r} cannot be read: {error}.") from None
    if not rows or not {key, column} <= set(rows[0]):
        known = ", such as curation.csv" if key == NAME else ", and a row or more"
        raise InputError(f"{str(path)!r} must be a table with the columns {key} and {column}{known}.")
    return {_plain(str(row[key])): str(row[column] or "").strip() for row in rows}


def _plain(name: str) -> str:
    return name[1:] if name[:1] == "'" and name[1:].startswith(FORMULA) else name
