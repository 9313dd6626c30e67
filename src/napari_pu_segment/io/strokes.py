"""Strokes on disk: GeoJSON, or an image of label codes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..core.classes import unnamed
from ..core.errors import InputError
from ..core.files import write_atomically
from ..core.files.strokes_file import MAX_BYTES, from_geojson, to_geojson
from ..core.samples import (
    IGNORE,
    MAX_CLASSES,
    NEGATIVE,
    POSITIVE,
    check_labels,
    classes_among,
    classes_of,
    code_of,
    codes_of_strokes,
)
from .read import read_labels
from .write import write_image

GEOJSON_SUFFIXES = (".geojson", ".json")
_CODES = {"positive": POSITIVE, "negative": NEGATIVE, "ignore": IGNORE}


def read_strokes(path: str | Path, shape: tuple[int, ...], axes: str = "") -> dict[str, np.ndarray]:
    """Read strokes on an image of a shape `([T,] [Z,] Y, X)` and axes (see `Sample.axes`): GeoJSON, or label codes.

    Returns
    -------
    dict of str to ndarray of bool, `([T,] [Z,] Y, X)`
        By role: "positive", "negative", "ignore", and the names of other classes; those of label codes are "class 2",
        "class 3" and so on.

    Raises
    ------
    InputError
        If the file cannot be used, or is of another shape.
    """
    path, where = Path(path), f"Stroke file {str(path)!r}"
    if path.suffix.lower() not in GEOJSON_SUFFIXES:
        labels = check_labels(read_labels(path), shape, "The image", MAX_CLASSES)
        n_classes = max(1, int(classes_of(labels).max(initial=0)))
        codes = _CODES | {name: code_of(index) for index, name in enumerate(unnamed(n_classes))}
        return {role: labels == code for role, code in codes.items()}
    try:
        if path.stat().st_size > MAX_BYTES or not path.is_file():
            raise InputError(f"{where} is no GeoJSON file, or it is too large. Give an image of label codes.")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"{where} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    return from_geojson(content, shape, where=where, axes=axes)


def write_strokes(
    path: str | Path,
    strokes: Mapping[str, np.ndarray],
    pixel_size: tuple[float, ...] = (),
    pixel_unit: str = "px",
    axes: str = "",
) -> None:
    """Write strokes, masks `([T,] [Z,] Y, X)` by role, as GeoJSON or as a TIFF of label codes, as the suffix says.

    In a TIFF a pixel has one code: what is painted in two ways is ignored, as it is in training. Classes get codes in
    their order, and lose their names.

    Raises
    ------
    InputError
        If the suffix is another one, or the file cannot be written.
    """
    if Path(path).suffix.lower() in GEOJSON_SUFFIXES:
        write_atomically(path, to_geojson(strokes, axes))
    else:
        write_image(
            path, codes_of_strokes(strokes, classes_among(strokes)), pixel_size, pixel_unit, axes.removeprefix("C")
        )
