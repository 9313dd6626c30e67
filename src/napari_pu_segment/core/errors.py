"""The errors this package raises on purpose: each says what happened, where, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Row = TypeVar("Row")


class PuSegmentError(Exception):
    """Parent of every error that is meant for the user; its text is one or two plain sentences."""


class InputError(PuSegmentError):
    """The image, the strokes, a setting or a path given by the user cannot be used."""


class ModelFileError(InputError):
    """A model file is damaged, foreign, or written by a newer version."""


class OutputError(InputError):
    """A result cannot be written: its folder is missing or protected, or the disk is full."""


class OutOfMemoryError(PuSegmentError):
    """The computer or the GPU ran out of memory."""


class JobError(PuSegmentError):
    """Something unforeseen failed inside long work; the original error is its cause."""


def pick(table: Mapping[str, Row], name: str, kind: str) -> Row:
    """Row `name` of a strategy table.

    Raises
    ------
    InputError
        If there is no such row; the text lists the names that exist.
    """
    try:
        return table[name]
    except KeyError:
        raise InputError(f"There is no {kind} called {name!r}. Choose one of: {', '.join(table)}.") from None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of numpy or torch (CPU or GPU) means that memory ran out."""
    if isinstance(error, MemoryError | OutOfMemoryError):
        return True
    # torch: a subclass of RuntimeError on a GPU, RuntimeError itself on a processor
    signs = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)
