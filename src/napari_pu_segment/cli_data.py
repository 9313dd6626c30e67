"""Training data of the command ``train``: images with stroke files, or folders of patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .core.samples import NEGATIVE, POSITIVE, UNLABELED, Sample, codes_from_masks
from .io import list_images, read_image, read_mask, read_strokes

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
    return [
        _sample(image, {kind: given[i] for kind, given in strokes.items() if given}) for i, image in enumerate(images)
    ]


def _sample(image: Path, strokes: Mapping[str, Path]) -> Sample:
    file = read_image(image)
    if "scribbles" in strokes:
        labels = codes_from_masks(**read_strokes(strokes["scribbles"], file.image.shape[1:]))
    else:
        masks = {kind: read_mask(path) for kind, path in strokes.items()}
        labels = codes_from_masks(masks.get("positive"), masks.get("negative"), masks.get("ignore"))
    return file.sample(str(image), labels)


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
