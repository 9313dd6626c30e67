"""Strokes as GeoJSON, for QuPath, GIS tools and scripts.

Coordinates are pixels, x to the right and y down, with the corners of pixels at integers: the pixel in row r and column
c covers x from c to c + 1 and y from r to r + 1. A polygon covers the pixels whose centres lie in it. Outlines are
traced along the edges of pixels, so that strokes come back exactly as they were.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from scipy import ndimage

from ..errors import InputError
from ..objects.outlines import Canvas, trace
from ..samples import MAX_CLASSES, check_classes, checked_axes

ROLES = ("positive", "negative", "ignore")
MAX_BYTES = 2**27
_FORMAT = "napari_pu_segment"
_CONVENTION = "pixels, x right, y down, corners of pixels at integers"
_LARGEST = 2.0**31  # coordinates beyond it are taken for damage
# What QuPath and people call them; a star marks a class that QuPath leaves out of measurements.
_CLASSES = {
    **dict.fromkeys(("positive", "object", "objects", "foreground"), "positive"),
    **dict.fromkeys(("negative", "background"), "negative"),
    **dict.fromkeys(("ignore", "ignored"), "ignore"),
}
_DIMENSIONS = {"Point": 1, "MultiPoint": 2, "LineString": 2, "MultiLineString": 3, "Polygon": 3, "MultiPolygon": 4}


def to_geojson(strokes: Mapping[str, np.ndarray], axes: str = "") -> bytes:
    """Strokes as a GeoJSON FeatureCollection: one feature for each connected stroke of a plane at a time.

    Parameters
    ----------
    strokes : mapping of str to ndarray, ([T,] [Z,] Y, X)
        Masks by role, "positive" or the name of another class, "negative" or "ignore", where non-zero means painted;
        all of one shape.
    axes : str
        Of the image; see `Sample.axes`.

    Returns
    -------
    bytes
        A Polygon for a stroke whose pixels hang together by their edges, a MultiPolygon where some touch at corners
        only. Properties: `class` (the role), `plane` (0 where there is one alone), `time` for series, and
        `classification` for QuPath.

    Raises
    ------
    InputError
        If shapes differ.
    """
    masks = {role: np.asarray(mask) != 0 for role, mask in strokes.items()}
    if len({mask.shape for mask in masks.values()}) != 1:
        raise InputError("Strokes need masks of one shape.")
    shape = next(iter(masks.values())).shape
    axes = checked_axes(axes, (1, *shape), "The strokes' image")[1:]
    header = _text({"shape": list(shape), "coordinates": _CONVENTION})
    # One by one: Python does nothing else while it writes a long text, and a viewer would stand still.
    features = ",\n".join(_text(feature) for role, mask in masks.items() for feature in _features(role, mask, axes))
    return f'{{"type":"FeatureCollection","{_FORMAT}":{header},"features":[\n{features}\n]}}\n'.encode()


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _features(role: str, mask: np.ndarray, axes: str) -> Iterator[dict[str, Any]]:
    for place in np.ndindex(*mask.shape[:-2]):
        painted, at = mask[place], dict(zip(axes, place, strict=False))
        strokes, _ = ndimage.label(painted, np.ones((3, 3)))
        for polygons in trace(painted, strokes):
            single = len(polygons) == 1
            geometry: dict[str, Any] = {
                "type": "Polygon" if single else "MultiPolygon",
                "coordinates": polygons[0] if single else polygons,
            }
            if at:
                geometry["plane"] = {"c": -1, "z": at.get("Z", 0), "t": at.get("T", 0)}  # QuPath's own member
            shown = role.capitalize() if role in ROLES else role
            properties = {
                "objectType": "annotation",
                "class": role,
                "plane": at.get("Z", 0),
                **({"time": at["T"]} if "T" in at else {}),
                "classification": {"name": shown + ("*" if role == "ignore" else "")},
            }
            yield {"type": "Feature", "geometry": geometry, "properties": properties}


def from_geojson(
    content: bytes, shape: tuple[int, ...], *, width_px: float = 3.0, where: str = "The stroke file", axes: str = ""
) -> dict[str, np.ndarray]:
    """Strokes of GeoJSON, of this package, of QuPath or made by hand, as masks.

    Parameters
    ----------
    content : bytes
        A FeatureCollection, a list of features, or one feature. Points and lines are drawn with a round brush.
        Properties `class` or `classification.name` tell the role, and `plane` and `time` (or QuPath's
        `geometry.plane.z` and `.t`) where it lies, 0 where they are missing.
    shape : tuple of int, ([T,] [Z,] Y, X)
        Of the image.
    width_px : float
        Diameter of that brush; every pixel that a line runs through is covered in any case.
    where : str
        Start of the sentence in an error.
    axes : str
        Of the image; see `Sample.axes`.

    Returns
    -------
    dict of str to ndarray of bool, ([T,] [Z,] Y, X)
        The three `ROLES`, and what is of any other class by its name. What lies outside the image is cut off.

    Raises
    ------
    InputError
        If it is no GeoJSON, too large, of no class, made for another shape, or wholly outside the image.
    """
    if len(content) > MAX_BYTES:
        raise InputError(f"{where} is larger than {MAX_BYTES // 2**20} MB. Give the strokes as a label image.")
    try:
        values = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InputError(f"{where} is no valid GeoJSON, or it is cut short. Export it again.") from None
    features = _list_of_features(values, shape, where)
    axes = checked_axes(axes, (1, *shape), "The strokes' image")[1:]
    leading = dict(zip(axes[:-2], shape, strict=False))
    canvases = {role: Canvas(shape, width_px) for role in ROLES}
    for number, feature in enumerate(features, start=1):
        try:
            role = _role(feature)
            if role not in canvases:
                if len(canvases) == MAX_CLASSES + 2:
                    raise InputError(f"there are more than {MAX_CLASSES} classes.")
                canvases[role] = Canvas(shape, width_px)
            _draw(feature, canvases[role], leading)
        except (InputError, ValueError, TypeError, KeyError, OverflowError, AttributeError) as error:
            ours = str(error) if isinstance(error, InputError) else "it is no GeoJSON feature."
            raise InputError(f"{where} cannot be used; feature {number}: {ours}") from None
    masks = {role: canvas.mask.reshape(shape) for role, canvas in canvases.items()}
    if features and not any(mask.any() for mask in masks.values()):
        raise InputError(f"{where} covers no pixel of the image, which measures {shape}. Is it of another image?")
    return masks


def _refuse_constant(name: str) -> float:
    raise ValueError(name)  # NaN and Infinity are no JSON


def _list_of_features(values: Any, shape: tuple[int, ...], where: str) -> list[Any]:
    if isinstance(values, dict):
        header = values.get(_FORMAT)
        made_for = header.get("shape") if isinstance(header, dict) else None
        if isinstance(made_for, list) and _shape_text(made_for) != _shape_text(shape):
            raise InputError(
                f"{where} was made for an image of {_shape_text(made_for)} pixels, but this one has "
                f"{_shape_text(shape)}. Choose the strokes of this image."
            )
        values = [values] if values.get("type") == "Feature" else values.get("features")
    if not isinstance(values, list):
        raise InputError(f"{where} holds no GeoJSON features. Export annotations as a FeatureCollection.")
    return values


def _shape_text(shape: Iterable[Any]) -> str:
    kept = [str(size)[:20] for size in shape]
    return " x ".join(kept[1:] if len(kept) == 3 and kept[0] == "1" else kept)


def _draw(feature: Any, canvas: Canvas, leading: Mapping[str, int]) -> None:
    geometry, properties = feature["geometry"], feature.get("properties") or {}
    kind = geometry["type"]
    if kind not in _DIMENSIONS:
        raise InputError(f"its geometry {str(kind)[:30]!r} is not one of {', '.join(_DIMENSIONS)}.")
    plane = _plane(properties, geometry, leading)
    parts: list[Any] = [geometry["coordinates"]]
    for _ in range(_DIMENSIONS[kind] - (3 if "Polygon" in kind else 2)):
        parts = [inner for part in parts for inner in part]  # down to polygons, lines or lists of points
    for part in parts:
        if "Polygon" in kind:
            canvas.fill(plane, [_points(ring) for ring in part])
        elif "Line" in kind:
            canvas.stroke(plane, _points(part))
        else:
            for point in _points([part] if kind == "Point" else part):
                canvas.stroke(plane, point[None])


def _role(feature: Any) -> str:
    if feature["type"] != "Feature":
        raise InputError("it is no GeoJSON feature.")
    properties = feature.get("properties") or {}
    name = properties.get("class")
    if name is None:
        classification = properties.get("classification")
        name = classification.get("name") if isinstance(classification, dict) else classification
    if name is None:
        raise InputError(f"it has no class. Give it one: {', '.join(ROLES)}, or a name of your own.")
    told = str(name).strip().rstrip("*")
    role = _CLASSES.get(told.lower(), told)
    if role not in ROLES:
        check_classes([role])
    return role


def _plane(properties: Mapping[str, Any], geometry: Mapping[str, Any], leading: Mapping[str, int]) -> int:
    """Number of the plane among all planes of all times."""
    found = 0
    for axis, name in (("T", "time"), ("Z", "plane")):
        at, n = properties.get(name), leading.get(axis, 1)
        if at is None:
            place = geometry.get("plane")
            at = place.get("zt"[axis == "T"], 0) if isinstance(place, dict) else 0
        if not isinstance(at, int) or isinstance(at, bool):
            raise InputError(f"its {name} is no whole number.")
        if not 0 <= at < n:
            raise InputError(f"its {name} is {str(at)[:20]}, but the image has {n} (counted from 0).")
        found = found * n + at
    return found


def _points(coordinates: Any) -> np.ndarray:
    """Points (N, 2) of x and y; a third coordinate is left out."""
    points = np.array(coordinates)
    if points.ndim != 2 or points.dtype.kind not in "iuf" or not len(points) or points.shape[1] not in (2, 3):
        raise InputError("its coordinates are not lists of x and y.")
    points = points[:, :2].astype(np.float64)
    if not (np.abs(points) <= _LARGEST).all():  # not a number is refused too
        raise InputError("its coordinates are no pixel positions.")
    return points
