"""What objects are made from, a result or a labels layer, and the long work of finding and measuring them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer

from napari_pu_segment.core.objects import ObjectSettings
from napari_pu_segment.core.objects.class_objects import find_objects_of_each, of_any_class, with_classes
from napari_pu_segment.core.objects.measure import Table, measure_objects
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.core.samples import IGNORE, ONE_CLASS, Sample
from napari_pu_segment.io import clean_unit

from ..viewer.grid import Grid, own, planes
from ..viewer.layers import LayerBook
from ..viewer.snapshots import Snapshot
from ..viewer.still import Still
from ..viewer.tags import tag
from ..work import Result

FEW_LABELS = 2**15  # 16 bits hold them, and as many again that are drawn by hand


@dataclass(frozen=True, eq=False)
class Found:
    """Objects and their measurements.

    Parameters
    ----------
    layer : Image or Labels
        Where they lie: the image that the mask was made of, or a labels layer of the user's.
    labels : ndarray of integers, ([Z,] Y, X)
    table : Table
    settings : ObjectSettings
        How they were found.
    mask : ndarray, or None
        The mask they were found in, ([Z,] Y, X); None if they are a labels layer's own.
    classes : tuple of str
        Of the numbers in the mask.
    """

    layer: Image | Labels
    labels: np.ndarray
    table: Table
    settings: ObjectSettings
    mask: np.ndarray | None
    classes: tuple[str, ...] = ONE_CLASS


def labels_layers(book: LayerBook) -> list[Labels]:
    """Labels layers whose labels may be objects: the user's, and the objects found so far, as corrected by hand."""
    layers = [own(layer) for layer in book.viewer.layers]
    return [layer for layer in layers if isinstance(layer, Labels) and _role(layer) in ("", "objects")]


def mask_of(result: Result) -> np.ndarray:
    """The refined mask of a result where there is one, else its mask."""
    segmentation = result.segmentation
    return segmentation.mask if segmentation.refined is None else segmentation.refined


def of_result(result: Result, settings: ObjectSettings) -> Work[Found]:
    """Find the objects of a result's mask, and measure them."""
    mask, probability = mask_of(result), result.segmentation.probability
    frozen = mask.copy(), probability.copy()  # a live result is still being filled
    classes = result.sample.classes
    labels, table = yield from _objects(*frozen, settings, _scene(result.sample), classes)
    return Found(result.layer, labels, table, settings, frozen[0] if result.preview else mask, classes)


def of_layer(layer: Labels, image: Snapshot | None, settings: ObjectSettings, *, as_it_is: bool = False) -> Work[Found]:
    """Measure the objects of a labels layer as it is now; one that has a single label is taken for a mask.

    Parameters
    ----------
    layer : Labels
    image : Snapshot or None
        The image that intensities are taken from, and what is ignored in it; left out where it has another shape.
    settings : ObjectSettings
    as_it_is : bool
        A single label is one object, too.

    Raises
    ------
    InputError
        If the layer has axes besides planes, rows and columns.
    """
    as_it_is = as_it_is or _role(layer) == "objects"
    return _of_layer(layer, Still(layer), _bare_scene(Grid(layer)), image, settings, as_it_is, tag(layer).get("kinds"))


def note_classes(layer: Layer | None, found: Found) -> None:
    """Write down in a layer of objects which classes they are of, for when they are edited and measured again."""
    if layer is not None and len(found.classes) > 1:
        tag(layer)["kinds"] = found.mask, found.classes
    elif layer is not None:
        tag(layer).pop("kinds", None)


def exported(table: Table, path: str | Path) -> Work[None]:
    """Write a table as CSV."""
    yield Progress(0, 0, "Writing the table")
    table.write_csv(path)


def _role(layer: Labels) -> str:
    entry = tag(layer)
    duplicate = "layer" in entry and entry["layer"]() is not layer  # it carries its original's tag, and is the user's
    return "" if duplicate else str(entry.get("role", ""))


def _of_layer(
    layer: Labels,
    still: Still,
    scene: dict[str, Any],
    image: Snapshot | None,
    settings: ObjectSettings,
    as_it_is: bool,
    kinds: tuple[np.ndarray, tuple[str, ...]] | None,
) -> Work[Found]:
    yield Progress(0, 0, "Reading the layers")
    labels = yield from still.whole()
    sample = None if image is None else image.sample()
    if sample is not None and sample.spatial_shape == labels.shape:
        scene = _scene(sample)
    painted = labels[labels > 0]
    if not as_it_is and painted.size and painted.min() == painted.max():
        found, table = yield from _objects(labels > 0, None, settings, scene)
        return Found(layer, found, table, settings, labels)
    table = yield from measure_objects(labels, **scene)
    if kinds is not None and kinds[0].shape == labels.shape:
        table = with_classes(table, labels, *kinds)
    return Found(layer, labels, table, settings, None)


def _objects(
    mask: np.ndarray,
    probability: np.ndarray | None,
    settings: ObjectSettings,
    scene: dict[str, Any],
    classes: Sequence[str] = ONE_CLASS,
) -> Work[tuple[np.ndarray, Table]]:
    place = {name: scene[name] for name in ("ignored", "pixel_size", "axes")}
    labels = yield from find_objects_of_each(mask, settings, classes, probability=probability, **place)
    if labels.max(initial=0) < FEW_LABELS:
        labels = labels.astype(np.uint16)  # napari draws them as they are; wider ones it converts on the main thread
    planewise = settings.planewise
    chances = None if probability is None else of_any_class(probability, classes)
    table = yield from measure_objects(labels, probability=chances, planewise=planewise, **scene)
    return labels, with_classes(table, labels, mask, classes)


def _scene(sample: Sample) -> dict[str, Any]:
    """What `measure_objects` needs to know of an image."""
    return {
        "image": sample.image,
        "ignored": None if sample.labels is None else sample.labels == IGNORE,
        "pixel_size": sample.pixel_size,
        "pixel_unit": sample.pixel_unit,
        "channel_names": sample.channel_names,
        "axes": sample.axes,
    }


def _bare_scene(grid: Grid) -> dict[str, Any]:
    """The same where there is no image: the size of the labels layer's pixels."""
    place, ndim = grid.placement, len(planes(grid.shape))
    unit = clean_unit(f"{place['units'][-1]:~}")
    size = tuple(abs(float(step)) for step in place["scale"][-ndim:]) if unit not in ("px", "") else ()
    return {"image": None, "ignored": None, "pixel_size": size, "pixel_unit": unit, "channel_names": (), "axes": ""}
