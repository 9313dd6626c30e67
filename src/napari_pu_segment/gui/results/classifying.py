"""Long work of classes without labels: of the objects of one open image, or of several together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.model import Model
from napari_pu_segment.core.objects.classify import Classes, ClassifySettings, Scene, classify, painted, with_classes
from napari_pu_segment.core.objects.embedding_map import embedding_map
from napari_pu_segment.core.objects.image_classes import Learnt, group_images, image_table, learn_images
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.core.table import Table
from napari_pu_segment.io.image_table import classes_of_images

from ..viewer.snapshots import Snapshot
from .measuring import Found

_EXTRA = "mean_probability"  # of objects that were found in a result; others have none


@dataclass(frozen=True, eq=False)
class Classified:
    """Objects of some images with their classes, where each class lies, a map of the objects, and classes of images.

    Parameters
    ----------
    found : tuple of Found
        Of each image; the classes in the tables.
    layers : tuple of ndarray of uint8, ([T,] [Z,] Y, X)
    classes : Classes
        Of all objects, image after image.
    points : ndarray, (n, 2)
        None, (0, 2), where no map can be drawn.
    images : Table
        A row for each image.
    hindrance : str
        Why there is no map, or nothing.
    learnt : Learnt or None
        Classes of the images, as learnt from those that were known.
    """

    found: tuple[Found, ...]
    layers: tuple[np.ndarray, ...]
    classes: Classes
    points: np.ndarray
    images: Table
    hindrance: str = ""
    learnt: Learnt | None = None


def classes_of(
    parts: Sequence[tuple[Found, Snapshot]],
    settings: ClassifySettings,
    encoder: Model | None,
    n_image_classes: int = 0,
    known: Path | None = None,
) -> Work[Classified]:
    """Classes of the objects of some images together, by how they look; and of the images, if asked for.

    Parameters
    ----------
    parts : sequence of (Found, Snapshot)
        The objects of each image, and the image.
    settings : ClassifySettings
    encoder : Model or None
    n_image_classes : int
        0 for none.
    known : Path, optional
        A table of the classes of some of the images, by their names; the others' are learnt from them.

    Raises
    ------
    InputError
        If an image has another shape than its objects, the images differ in what is measured, or there are too few
        objects or images, or the table cannot be used.
    """
    yield Progress(0, 0, "Reading the image")
    names = [snapshot.name for _, snapshot in parts]
    labels = None if known is None else classes_of_images(known, [(name,) for name in names])
    shared = all(_EXTRA in found.table.columns for found, _ in parts)
    scenes = [_scene(found, snapshot, keep=shared) for found, snapshot in parts]
    classes = yield from classify(scenes, settings, encoder)
    groups = None
    if n_image_classes:
        groups = yield from group_images(classes.proportions(), n_image_classes, settings.seed)
    learnt = None
    if labels is not None:
        learnt = yield from learn_images(classes.proportions(), labels, settings.seed)
    points, hindrance = np.zeros((0, 2)), ""
    try:
        points = yield from embedding_map(classes.embedding, settings.seed)
    except InputError as error:  # classes are worth having without a map
        hindrance = str(error)
    numbers = classes.of_scenes()
    return Classified(
        tuple(
            replace(found, table=with_classes(found.table, own)) for (found, _), own in zip(parts, numbers, strict=True)
        ),
        tuple(painted(scene, own) for scene, own in zip(scenes, numbers, strict=True)),
        classes,
        points,
        image_table(names, classes, groups, learnt),
        hindrance,
        learnt,
    )


def _scene(found: Found, snapshot: Snapshot, *, keep: bool) -> Scene:
    sample, table = snapshot.sample(), found.table
    if sample.spatial_shape != found.labels.shape:
        raise InputError(
            f"The image {sample.name!r} has another shape than the objects. Choose the image that they lie in."
        )
    if not keep:
        table = Table({name: one for name, one in table.columns.items() if name != _EXTRA}, table.units)
    return Scene(sample.image, found.labels, table, f"The image {sample.name!r}", sample.axes)
