"""Training data of the command ``train``: images with stroke files, folders of these, or folders of patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TypeAlias

import numpy as np

from ..core.errors import InputError
from ..core.samples import NEGATIVE, POSITIVE, UNLABELED, Sample, Trust, classes_among, codes_of_strokes
from ..io import ZARR_SUFFIX, ImageFile, list_images, read_image, read_mask, read_strokes
from ..io.image_table import sample_of

CLASS = "class "  # how the kind of strokes of a class begins, before its name
_DRAWN = "scribbles"  # holds strokes of every kind
_MASKS: tuple[Trust, ...] = ("noisy", "clean")  # kinds of files, and how far they may be trusted
_STROKES = ("positive", "negative", "ignore", _DRAWN, *_MASKS)
_CODES = {"positive": POSITIVE, "negative": NEGATIVE, "unlabelled": UNLABELED}


Pair: TypeAlias = tuple[Path, Mapping[str, Path]]
"""An image, and what is known of it, files by kind: strokes ("positive", "negative", "ignore" masks, those of a class
as "class NAME", or "scribbles"), and masks of all of it ("noisy", "clean")."""


def pairs_of(images: Sequence[Path], strokes: Mapping[str, Sequence[Path]]) -> list[Pair]:
    """Images with their strokes: as they were given, or as they lie in folders.

    In a folder, the strokes of ``x.tif`` are ``x_positive.*``, ``x_negative.*`` and ``x_ignore.*``; or
    ``x_scribbles.*`` with label codes; or ``x.geojson``; masks of all of it ``x_noisy.*`` and ``x_clean.*``, or files
    called as the image in folders ``noisy`` and ``clean``. An image without any of them serves as unlabelled.

    Parameters
    ----------
    images : sequence of Path
        Files, or folders.
    strokes : mapping
        Files by kind, for each kind as many as images, or none. Where there are fewer "noisy" ones, they are those of
        the first images, and the others of the images after these.

    Raises
    ------
    InputError
        If folders and files are mixed, or files of a folder do not fit together.
    """
    given = {kind: files for kind, files in strokes.items() if files}
    folders = [image for image in images if image.is_dir() and image.suffix.lower() != ZARR_SUFFIX]
    if folders and (given or len(folders) < len(images)):
        raise InputError("Give images with their strokes, or folders that hold both; one form at a time.")
    pairs: list[Pair] = []
    n_rough = len(given.get("noisy", ()))
    skipped = 0 if n_rough == len(images) else n_rough
    for i, image in enumerate(images):
        places = {kind: i if kind == "noisy" else i - skipped for kind in given}
        found = {kind: files[places[kind]] for kind, files in given.items() if 0 <= places[kind] < len(files)}
        pairs += _pairs_in(image) if folders else [(image, found)]
    return pairs


def only(pairs: list[Pair], table: Path | None) -> list[Pair]:
    """The images of the balanced sample of a table, by their names; all where there is no table.

    Raises
    ------
    InputError
        If the table cannot be used, or none of the images is in its sample.
    """
    if table is None:
        return pairs
    names = {PurePosixPath(name).name for name in sample_of(table)}
    kept = [pair for pair in pairs if pair[0].name in names]
    if not kept:
        raise InputError(f"None of the images is in the balanced sample of {str(table)!r}. Give those of its folder.")
    return kept


def _pairs_in(folder: Path) -> list[Pair]:
    files = list_images(folder)
    stems = [_stem(file) for file in files]
    strokes: dict[str, dict[str, Path]] = {}
    drawn = [file for file in sorted(folder.iterdir()) if file.suffix.lower() == ".geojson"]
    named = [(file, *_stem(file).rpartition("_")[::2]) for file in files]
    named += [(file, _stem(file).removesuffix(f"_{_DRAWN}"), _DRAWN) for file in drawn]
    for trust in _MASKS:
        masks = list_images(folder / trust) if (folder / trust).is_dir() else []
        named += [(file, _stem(file), trust) for file in masks]
    for file, name, kind in named:
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
    drawn = [one for one in others if one == kind or (_DRAWN in (one, kind) and not {one, kind} & set(_MASKS))]
    rival = next(iter(drawn), None)
    if rival is not None:
        raise InputError(f"Strokes {str(file)!r} and {str(others[rival])!r} are of the same image. Keep one of them.")


def _stem(file: Path) -> str:
    return file.stem.removesuffix(".ome")


def samples_of(file: ImageFile, path: Path, found: Mapping[str, Path]) -> list[Sample]:
    """What there is to learn from one image: with its strokes, if any, and with each mask of all of it; see `Pair`.

    The classes of samples may differ, see `classes.united`.

    Raises
    ------
    InputError
        If a file of strokes or a mask cannot be used, or its shape is another one.
    """
    samples: list[Sample] = []
    strokes = {kind: given for kind, given in found.items() if kind not in _MASKS}
    if strokes or not found:
        masks = _strokes(file, strokes)
        classes = classes_among(masks)
        bare = file.sample(str(path))
        samples.append(replace(bare, labels=codes_of_strokes(masks, classes) if masks else None, classes=classes))
    for trust in _MASKS:
        if trust in found:
            codes = np.where(read_mask(found[trust]), POSITIVE, NEGATIVE).astype(np.uint8)
            samples.append(replace(file.sample(str(path), codes), trust=trust))
    return samples


def _strokes(file: ImageFile, strokes: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """Masks by role."""
    if _DRAWN in strokes:
        return read_strokes(strokes[_DRAWN], file.image.shape[1:], file.axes)
    return {kind.removeprefix(CLASS): read_mask(given) for kind, given in strokes.items()}


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
