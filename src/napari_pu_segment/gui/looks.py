"""How brush layers and results look: names, colours, blending."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import Colormap, DirectLabelColormap

from .viewer.contours import outline
from .viewer.grid import Grid

# Okabe & Ito's palette, told apart with every kind of colour vision.
COLOURS = {
    "positive": "#56B4E9",  # sky blue
    "negative": "#E69F00",  # orange
    "ignore": "#999999",  # grey
    "probability": "#CC79A7",  # reddish purple
    "mask": "#009E73",  # bluish green
    "refined": "#F0E442",  # yellow
    "uncertainty": "#D55E00",  # vermilion
    "suspect": "#0072B2",  # blue
}
# Of brush layers and results of several classes, after that palette and Tol's; none is like the background's orange.
CLASS_COLOURS = (
    *(COLOURS["positive"], "#009E73", "#F0E442", "#CC79A7", "#0072B2", "#882255", "#999933", "#AA4499"),
    *("#332288", "#117733", "#DDCC77", "#CC6677"),
)
FAILED = f"color: {COLOURS['uncertainty']}; font-weight: bold;"  # of a sentence in a status line
BAND = ("#FDE725", "#21918C", "#440154")  # from what may belong to an object to what surely does: ever darker
OPACITY = {"positive": 0.8, "negative": 0.8, "ignore": 0.3, "mask": 0.8, "refined": 0.9, "band": 0.5}
FILLED_OPACITY, OBJECTS_OPACITY = 0.3, 0.6
OUTLINE_PX = 2**22  # of a plane: outlines are found while the viewer stands still, 15 ms for that


def name(image_name: str, role: str) -> str:
    """Name of a layer that belongs to an image. Layers are never found again by it: the user may change it."""
    return f"{image_name} · {role}"


def brush_layer(title: str, role: str, colour: str, data: Any, **placement: Any) -> Labels:
    """A brush layer, ([T,] [Z,] Y, X): every value but 0 has one colour.

    Parameters
    ----------
    title : str
    role : str
        "negative", "ignore", or of a class.
    colour : str
    data : array of uint8, ([T,] [Z,] Y, X)
    **placement
        Scale, units and so on, as for any layer.
    """
    opacity = OPACITY.get(role, OPACITY["positive"])
    return Labels(data, name=title, colormap=one_colour(colour), opacity=opacity, **placement)


def result_layer(image_name: str, role: str, data: Any, colours: Sequence[str] = (), **placement: Any) -> Layer:
    """A layer for a result, ([T,] [Z,] Y, X), through which the image is seen, dark or bright.

    Parameters
    ----------
    image_name : str
    role : {"probability", "uncertainty", "suspect", "band", "mask", "refined", "objects", "classes"}
        Probability, uncertainty and suspicion become clear where they are low; the masks are drawn as outlines, in
        large images filled; each object, or each class of objects, has a colour of its own.
    data : array, ([T,] [Z,] Y, X), or a list of such, of ever coarser levels
    colours : sequence of str
        Of the classes 1, 2, 3 ... in a mask of several; of a probability, that of its class.
    **placement
        Scale, units and so on, as for any layer.

    Returns
    -------
    Layer
        Outlines are found anew at every change of a layer, for a while that is seen in large images: a mask is not
        visible until it is in the viewer.
    """
    title = name(image_name, role)
    placement["multiscale"] = isinstance(data, list)
    if role in ("probability", "uncertainty", "suspect"):
        ramp = ramp_of(role, colours[0] if colours else COLOURS[role])
        return Image(
            data, name=title, contrast_limits=(0, 1), colormap=ramp, blending="translucent_no_depth", **placement
        )
    if role == "classes":
        return Labels(data, name=title, colormap=many_colours(CLASS_COLOURS), opacity=OBJECTS_OPACITY, **placement)
    if role == "objects":
        return Labels(data, name=title, opacity=OBJECTS_OPACITY, **placement)
    if role == "band":
        shades: dict[int | None, str] = {None: "transparent", 0: "transparent", **dict(enumerate(BAND, 1))}
        colours = DirectLabelColormap(color_dict=shades)
        return Labels(data, name=title, colormap=colours, opacity=OPACITY[role], **placement)
    shape = data[0].shape if isinstance(data, list) else data.shape
    outlined = shape[-2] * shape[-1] <= OUTLINE_PX
    opacity = OPACITY[role] if outlined else FILLED_OPACITY
    shades = many_colours(colours) if colours else one_colour(COLOURS[role])
    layer = Labels(data, name=title, colormap=shades, opacity=opacity, visible=False, **placement)
    if outlined:
        outline(layer, max(1, round(min(shape[-2:]) / 400)))  # still seen when zoomed out
    return layer


def recolour(layer: Layer, role: str, colours: Sequence[str]) -> None:
    """Give a result layer the colours of other classes; see `result_layer`."""
    if role == "probability":
        layer.colormap = ramp_of(role, colours[0] if colours else COLOURS[role])
    elif role in ("mask", "refined"):
        layer.colormap = many_colours(colours) if colours else one_colour(COLOURS[role])


def ramp_of(role: str, colour: str) -> Colormap:
    """From clear to a colour; napari knows it again by its name."""
    called = role if colour == COLOURS[role] else f"{role} {colour}"
    return Colormap([f"{colour}00", f"{colour}80"], name=called, display_name=role)


def stale(layer: Layer, data: Any, grid: Grid) -> bool:
    """Whether a result layer cannot show other data: of another kind, or of another level of a multiscale image."""
    many = isinstance(data, list)
    first, old = (data[0], layer.data[0]) if many and layer.multiscale else (data, layer.data)
    return many != layer.multiscale or (grid.image.multiscale and tuple(first.shape) != tuple(old.shape))


def one_colour(colour: str) -> DirectLabelColormap:
    """That colour for every label but 0."""
    return DirectLabelColormap(color_dict={None: colour, 0: "transparent", 1: colour})


def many_colours(colours: Sequence[str]) -> DirectLabelColormap:
    """A colour for each of the labels 1, 2, 3 ..."""
    shades: dict[int | None, str] = {None: colours[-1], 0: "transparent", **dict(enumerate(colours, 1))}
    return DirectLabelColormap(color_dict=shades)
