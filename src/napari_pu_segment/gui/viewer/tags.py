"""Whose a layer is: written in the layer's own metadata, as weak references."""

from __future__ import annotations

import weakref
from typing import Any

from napari.layers import Image, Layer

KEY = "napari_pu_segment"  # our entry in a layer's metadata


def tag(layer: Layer) -> dict[str, Any]:
    """Our entry, or an empty one."""
    return layer.metadata.get(KEY, {})  # type: ignore[no-any-return]


def sign(layer: Layer, role: str, image: Image) -> None:
    """Write down that a layer plays a role for an image."""
    layer.metadata[KEY] = {"role": role, "image": weakref.ref(image), "layer": weakref.ref(layer)}


def belongs(layer: Layer, image: Image) -> bool:
    """Whether a layer was made for an image; a duplicate, which carries its original's tag, was not."""
    entry = tag(layer)
    if "layer" in entry:
        return entry["layer"]() is layer and entry["image"]() is image
    return "id" in entry and entry["id"] == tag(image).get("id")  # brought along by sample data
