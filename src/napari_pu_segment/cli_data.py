"""Training data of the command ``train``: images with stroke files, or folders of patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .core.errors import InputError
from .core.samples import NEGATIVE, POSITIVE, UNLABELED, Sample, codes_from_masks
from .io import ImageFile, list_images, read_image, read_mask, read_strokes

_CODES = {"positive": POSITIVE, "negative": NEGATIVE, "unlabelled": UNLABELED}


def samples_of_images(images: Sequence[Path], strokes: Mapping[str, Sequence[Path]]) -> list[Sample]:
    """One sample for each image.

    Parameters
    ----------
    images : sequence of Path
    strokes : mapping
        Files by kind, for each kind as many as images, or none: "positive", "negative" and "ignore" masks, or
        "scribbles" with label codes or as GeoJSON.

    Raises
    ------
    InputError
        If a file cannot be used, there are no strokes, or shapes differ.
    """
    kinds = {kind: given for kind, given in strokes.items() if given}
    if not kinds:
        raise InputError("No strokes were given. Paint at least one stroke on an object.")
    return [
        sample_of(read_image(image), image, {kind: given[i] for kind, given in kinds.items()})
        for i, image in enumerate(images)
    ]


def sample_of(file: ImageFile, path: Path, strokes: Mapping[str, Path]) -> Sample:
    """The sample of one image, with the strokes in its files by kind, if any; see `samples_of_images`."""
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
