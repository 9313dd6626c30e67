"""Sample data for File > Open Sample: offline, with brush layers ready to paint on."""

from __future__ import annotations

from typing import Any, TypeAlias
from uuid import uuid4

import numpy as np
from skimage import data

from napari_pu_segment.synthetic import aurora_frame
from napari_pu_segment.synthetic_sky import star_field

from .looks import COLOURS, OPACITY, name, one_colour
from .viewer.classes import FIRST, OTHERS
from .viewer.tags import KEY

LayerData: TypeAlias = tuple[np.ndarray, dict[str, Any], str]


def aurora() -> list[LayerData]:
    """A synthetic all-sky frame (RGB); the ignore layer covers what lies outside the sky."""
    frame = aurora_frame(0)
    return _with_brushes(np.moveaxis(frame.image, 0, -1), "aurora", ignore=~frame.valid)


def cell() -> list[LayerData]:
    """A cell, by quantitative phase imaging (grey), 0.107 µm a pixel."""
    return _with_brushes(_bundled("cell"), "cell", scale=(0.107, 0.107), units=("um", "um"))


def ihc() -> list[LayerData]:
    """Colonic glands, immunohistochemical stain (RGB)."""
    return _with_brushes(_bundled("immunohistochemistry"), "ihc")


def hubble_deep_field() -> list[LayerData]:
    """Galaxies, the Hubble eXtreme Deep Field (RGB)."""
    return _with_brushes(_bundled("hubble_deep_field"), "hubble_deep_field")


def retina() -> list[LayerData]:
    """The fundus of an eye, with its vessels (RGB)."""
    return _with_brushes(_bundled("retina"), "retina")


def coins() -> list[LayerData]:
    """Coins on an uneven background (grey)."""
    return _with_brushes(_bundled("coins"), "coins")


def microaneurysms() -> list[LayerData]:
    """Small dark spots in the fundus of an eye (grey)."""
    return _with_brushes(_bundled("microaneurysms"), "microaneurysms")


def stars() -> list[LayerData]:
    """A synthetic field of stars and galaxies (grey), shown from the noise to what is fifty times as bright."""
    (image, shown, kind), *brushes = _with_brushes(star_field(0, 512).image[0], "stars")
    return [(image, {**shown, "contrast_limits": (-2, 50), "gamma": 0.5}, kind), *brushes]


def _bundled(title: str) -> np.ndarray:
    return np.asarray(getattr(data, title)())


def _with_brushes(image: np.ndarray, title: str, ignore: np.ndarray | None = None, **placement: Any) -> list[LayerData]:
    uid = uuid4().hex  # tells the widget which brush layers belong to which image
    look = {"name": title, "rgb": image.ndim == 3, "metadata": {KEY: {"id": uid}}, **placement}
    layers: list[LayerData] = [(image, look, "image")]
    for role in reversed((FIRST, *OTHERS)):  # the positive one on top
        if role == "ignore" and ignore is None:
            continue
        strokes = np.zeros(image.shape[:2], np.uint8) if role != "ignore" else np.asarray(ignore, np.uint8)
        brush = {
            "name": name(title, role),
            "colormap": one_colour(COLOURS[role]),
            "opacity": OPACITY[role],
            **placement,
        }
        layers.append((strokes, {**brush, "metadata": {KEY: {"role": role, "id": uid}}}, "labels"))
    return layers
