"""Training data of the command ``train``: images with stroke files, folders of these, or folders of patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from .core.errors import InputError
from .core.samples import NEGATIVE, POSITIVE, UNLABELED, Sample, codes_from_masks
from .io import ImageFile, list_images, read_image, read_mask, read_strokes
from .io.names import ZARR_SUFFIX

_DRAWN = "scribbles"  # holds strokes of every kind
_STROKES = ("positive", "negative", "ignore", _DRAWN)
_CODES = {"positive": POSITIVE, "negative": NEGATIVE, "unlabelled": UNLABELED}


Pair: TypeAlias = tuple[Path, Mapping[str, Path]]
"""An image, and the files of its strokes by kind: "positive", "negative", "ignore" masks, or "scribbles"."""


def pairs_of(images: Sequence[Path], strokes: Mapping[str, Sequence[Path]]) -> list[Pair]:
    """Images with their strokes: as they were given, or as they lie in folders.

    In a folder, the strokes of ``x.tif`` are ``x_positive.*``, ``x_negative.*`` and ``x_ignore.*``; or
    ``x_scribbles.*`` with label codes; or ``x.geojson``. An image without strokes serves as unlabelled.

    Parameters
    ----------
    images : sequence of Path
        Files, or folders.
    strokes : mapping
        Files by kind, for each kind as many as images, or none.

    Raises
    ------
    InputError
        If there are no strokes, folders and files are mixed, or files of a folder do not fit together.
    """
    given = {kind: files for kind, files in strokes.items() if files}
    folders = [image for image in images if image.is_dir() and image.suffix.lower() != ZARR_SUFFIX]
    if folders and (given or len(folders) < len(images)):
        raise InputError("Give images with their strokes, or folders that hold both; one form at a time.")
    pairs: list[Pair] = []
    for i, image in enumerate(images):
        pairs += _pairs_in(image) if folders else [(image, {kind: files[i] for kind, files in given.items()})]
    if not any(found for _, found in pairs):
        raise InputError("No strokes were given. Paint at least one stroke on an object.")
    return pairs


def _pairs_in(folder: Path) -> list[Pair]:
    files = list_images(folder)
    stems = [_stem(file) for file in files]
    strokes: dict[str, dict[str, Path]] = {}
    drawn = [file for file in sorted(folder.iterdir()) if file.suffix.lower() == ".geojson"]
    for file in [*files, *drawn]:
        name, _, kind = _stem(file).rpartition("_")
        if file in drawn and kind != _DRAWN:
            name, kind = _stem(file), _DRAWN
        if kind in _STROKES:
            _check_strokes(file, stems.count(name), strokes.get(name, {}), kind)
            strokes.setdefault(name, {})[kind] = file
    painted = {file for found in strokes.values() for file in found.values()}
    return [(file, strokes.get(stem, {})) for file, stem in zip(files, stems, strict=True) if file not in painted]


def _check_strokes(file: Path, n_images: int, others: Mapping[str, Path], kind: str) -> None:
    """Refuse a file of strokes that does not belong to exactly one image, or that another one contradicts."""
    if n_images != 1:
        found = "there is no such image" if n_images == 0 else f"there are {n_images} images of that name"
        raise InputError(f"Strokes {str(file)!r} belong to an image, but {found} beside them. Rename or move a file.")
    rival = next((one for one in others if _DRAWN in (one, kind) or one == kind), None)
    if rival is not None:
        raise InputError(f"Strokes {str(file)!r} and {str(others[rival])!r} are of the same image. Keep one of them.")


def _stem(file: Path) -> str:
    return file.stem.removesuffix(".ome")


def sample_of(file: ImageFile, path: Path, strokes: Mapping[str, Path]) -> Sample:
    """The sample of one image, with the strokes in its files by kind, if any; see `Pair`.

    Raises
    ------
    InputError
        If a file of strokes cannot be used, or its shape is another one.
    """
    labels = None
    if "scribbles" in strokes:
        labels = codes_from_masks(**read_strokes(strokes["scribbles"], file.image.shape[1:], file.axes))
    elif strokes:
        labels = codes_from_masks(**{kind: read_mask(given) for kind, given in strokes.items()})
    return file.sample(str(path), labels)


def samples_of_patches(folders: Mapping[str, Path | None]) -> list[Sample]:
    """One sample for each patch, labelled all over.

    Parameters
    ----------
    folders : mapping
        Folders of image files by kind: "positive", "negative", "unlabelled"; None where there is none.

    Raises
    ------
    InputError
        If a folder or one of its images cannot be used.
    """
    samples = []
    for kind, folder in folders.items():
        for path in list_images(folder) if folder else []:
            file = read_image(path)
            labels = np.full(file.image.shape[1:], _CODES[kind], np.uint8)
            samples.append(Sample(file.image, labels, "clean", str(path), file.channel_names))
    return samples
