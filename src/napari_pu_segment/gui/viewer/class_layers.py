"""Brush layers of classes: made with the name and colour of their class, which they follow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from napari.layers import Image, Labels, Layer

from ..looks import COLOURS, brush_layer, name, one_colour
from .classes import OTHERS, ClassBook
from .grid import Grid
from .tags import tag

if TYPE_CHECKING:
    from napari.viewer import Viewer


def new_brush(classes: ClassBook, image: Image, role: str, grid: Grid) -> Labels:
    """A brush layer of an image on which nothing is painted."""
    one = classes.of(role)
    called, colour = (role, COLOURS[role]) if one is None else (one.name, one.colour)
    return brush_layer(name(image.name, called), role, colour, grid.new_strokes(), **grid.brush_placement)


def adopt(classes: ClassBook, layer: Layer) -> None:
    """Note how a brush layer looks, so that it can follow its class."""
    entry = tag(layer)
    one = classes.of(entry["role"])
    entry["title"], entry["colour"] = layer.name, COLOURS.get(entry["role"])
    if one is not None:
        _wear(layer, one.colour)


def follow(classes: ClassBook, layers: Iterable[Layer], viewer: Viewer) -> None:
    """Let brush layers have the names and colours of their classes; remove those of classes that are gone.

    A name that the user gave a layer stays.

    Parameters
    ----------
    layers : iterable of Layer
        All layers of the viewer.
    """
    names = classes.names | {role: role for role in OTHERS}
    for layer in list(layers):
        entry = tag(layer)
        role, title = entry.get("role", ""), entry.get("title", "")
        if title and role not in names:
            viewer.layers.remove(layer)
            continue
        if title and layer.name == title and (image := entry["image"]()) is not None:
            layer.name = entry["title"] = name(image.name, names[role])
        if title and (one := classes.of(role)) is not None:
            _wear(layer, one.colour)


def _wear(layer: Layer, colour: str) -> None:
    """Give a brush layer another colour, if its class has got one: one that the user gave the layer stays."""
    if tag(layer)["colour"] != colour:
        layer.colormap = one_colour(colour)
        tag(layer)["colour"] = colour
