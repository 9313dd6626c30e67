"""Layers of the viewer: the one home of `layer.data`.

Brush layers belong to the user: they are made here, and from then on only read. Results go to layers of our own, found
again by identity, never by name.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer
from psygnal import Signal

from napari_pu_segment.core.errors import InputError

from ..looks import recolour, result_layer, stale
from ..preferences import preferences
from . import brushes, class_layers, view
from .channels import ChannelBook
from .classes import FIRST, ClassBook
from .grid import check_shape, own, planes
from .masks import displayed, follow
from .snapshots import Snapshot, freeze
from .tags import belongs, sign, tag
from .view import Window

if TYPE_CHECKING:
    from napari.viewer import Viewer

BRUSH_OF_PX = 4096  # in larger images one paints zoomed in, and a brush is not larger for them
RESULTS = ("probability", "mask", "refined")  # what a segmentation consists of
SHOWN = ("probability", "uncertainty", "suspect", "band", "mask", "refined", "objects", "classes")  # bottom to top


class LayerBook:
    """Which layers of a viewer belong together: an image, its brush layers and its results.

    What a layer is and whose is written in the layer's own metadata, as weak references, so that names are free, a
    duplicate is never mistaken for the original, and a widget that is opened later finds everything again.

    Parameters
    ----------
    viewer : napari.Viewer
        Given by napari as a proxy; its layers are unwrapped, since identity counts here, and written here alone.

    Attributes
    ----------
    changed : Signal()
        A layer was added, removed, moved or renamed, or other channels were chosen.
    painted : Signal(Image)
        The strokes of that image are others now: painted, erased, filled, undone, redone, replaced.
    """

    changed = Signal()
    painted = Signal(object)

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self._watches: weakref.WeakKeyDictionary[Layer, brushes.StrokeWatch] = weakref.WeakKeyDictionary()
        self.channels, self.classes = ChannelBook(), ClassBook()
        self.classes.changed.connect(lambda: class_layers.follow(self.classes, self._layers(), viewer))
        self.channels.changed.connect(self.changed.emit)
        events = viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            event.connect(self._on_layers)
        for layer in self._layers():
            self._meet(layer)

    def images(self) -> list[Image]:
        """The user's image layers, from bottom to top; our results are left out."""
        return [layer for layer in self._layers() if isinstance(layer, Image) and tag(layer).get("role") not in SHOWN]

    def contains(self, layer: Layer | None) -> bool:
        """Whether the layer is (still) in the viewer."""
        return any(own is layer for own in self._layers())

    def selected_image(self) -> Image | None:
        """The selected image, or the image of the selected brush layer or result."""
        active = own(self.viewer.layers.selection.active)
        for image in self.images():
            if active is image or (active is not None and belongs(active, image)):
                return image
        return None

    def member(self, image: Image, role: str) -> Layer | None:
        """The brush layer or result of an image, or None if there is none in the viewer."""
        for layer in self._layers():
            if tag(layer).get("role") == role and belongs(layer, image):
                return layer
        return None

    def add_brushes(self, image: Image, roles: tuple[str, ...] = (FIRST, "negative")) -> None:
        """Add the brush layers that the image does not have yet.

        Raises
        ------
        InputError
            If the image has an axis besides channels, time, planes, rows, columns and RGB samples.
        """
        grid = self.channels.grid(image)
        for role in reversed(roles):  # the positive one ends on top
            layer = self.member(image, role)
            if layer is None:
                layer = class_layers.new_brush(self.classes, image, role, grid)
                self._add(image, role, layer, above=self._layers()[-1])
            elif "layer" not in tag(layer):  # brought along by sample data
                sign(layer, role, image)
            else:
                continue
            class_layers.adopt(self.classes, layer)
            shorter = min(min(grid.shape[-2:]), BRUSH_OF_PX) / grid.brush_factor
            layer.brush_size = max(1, round(shorter * preferences().brush_percent / 100))

    def paint(self, image: Image, role: str) -> bool:
        """Select a brush layer and take up the brush; False if the image has no such brush layer."""
        layer = self.member(image, role)
        if layer is None:
            return False
        layer.visible = True
        self.viewer.layers.selection.active = layer
        layer.mode = "paint"
        layer.selected_label = 1
        return True

    def stamp(self, image: Image, role: str, centre: Sequence[float], radius_px: float) -> None:
        """One dab of a brush, a disk, which napari's undo takes back; the brush layer is added where it is missing.

        Parameters
        ----------
        image : Image
        role : one of `ClassBook.brushes`
        centre : sequence of float, ([T,] [Z,] Y, X)
            In pixels of the image array.
        radius_px : float
        """
        brushes.dab(self._brush(image, role), centre, radius_px, self.channels.grid(image).brush_factor)

    def put_strokes(self, image: Image, role: str, mask: np.ndarray) -> None:
        """Replace all strokes of a role, as one step that napari's undo takes back; see also `stamp`.

        Parameters
        ----------
        image : Image
        role : one of `ClassBook.brushes`
        mask : ndarray, ([T,] [Z,] Y, X)
            Painted where it is not 0; in pixels of the image, or of its brush layers where these are coarser.

        Raises
        ------
        InputError
            If the mask has another shape than the image.
        """
        grid, layer = self.channels.grid(image), self._brush(image, role)
        check_shape(layer, tuple(layer.data.shape), image, grid.brush_shape)
        brushes.put(layer, *brushes.fitted(mask, grid))

    def set_channels(self, image: Image, layers: Sequence[Image]) -> None:
        """Choose further layers of one channel each to be used together with an image, after its own channels.

        Raises
        ------
        InputError
            If a layer has channels of its own, or another shape than the image.
        """
        self.channels.choose_layers(image, layers)

    def set_channel_axis(self, image: Image, axis: int | None) -> None:
        """Choose that the first axis of an image (0) or none (None) holds channels; until then its name decides.

        Raises
        ------
        InputError
            If it is another axis, an RGB image, or an image without an axis to spare.
        """
        self.channels.choose_axis(image, axis)

    def snapshot(self, image: Image) -> Snapshot:
        """Freeze an image, the further layers of its channels, and its strokes.

        Raises
        ------
        InputError
            If the image has an axis besides channels, time, planes, rows, columns and RGB samples, or the shape of a
            brush layer or of a channel changed.
        """
        channels = self.channels.of(image, self.images())
        grids = [self.channels.grid(one) for one in (image, *channels.layers)]
        roles = self.classes.brushes
        strokes = {role: layer for role in roles if (layer := self.member(image, role)) is not None}
        return freeze(grids, strokes, channels.names, self.classes.names)

    def show(self, image: Image, role: str, data: Any, colours: Sequence[str] = ()) -> None:
        """Show one result over its image: update our layer, or make it where it is missing.

        The selected layer and its mode stay as they are, so that the user can go on painting.

        Parameters
        ----------
        image : Image
        role : one of `SHOWN`
        data : ndarray, `LargeArray` or `LargeMask`, ([T,] [Z,] Y, X), or None
            None takes the layer away: an old result beside a new one would be a lie.
        colours : sequence of str
            See `looks.result_layer`.

        Raises
        ------
        InputError
            If the image is no longer in the viewer, or no longer of that shape.
        """
        if data is None and self.contains(image):
            self.hide(image, role)
            return
        shape = (grid := self.channels.grid(image)).shape
        if data is None or not self.contains(image) or data.shape not in (shape, planes(shape)):
            raise InputError(
                f"The image {image.name!r} was removed or changed its shape meanwhile, so its result is not shown."
            )
        follow(data)
        layer = self.member(image, role)
        if layer is not None and stale(layer, displayed(data, shape), grid):
            self.hide(image, role)
            layer = None
        if layer is None:
            below = [self.member(image, lower) for lower in SHOWN[: SHOWN.index(role)]]
            layer = result_layer(image.name, role, displayed(data, shape), colours, **grid.placement)
            self._add(image, role, layer, above=next((one for one in reversed(below) if one is not None), image))
            tag(layer).update(shown=data, colours=tuple(colours))
            return
        if tag(layer).get("colours", ()) != tuple(colours):
            tag(layer)["colours"] = tuple(colours)
            recolour(layer, role, colours)
        if tag(layer).get("shown") is data:  # changed in place
            layer.refresh(thumbnail=False, highlight=False, extent=False)
        else:
            layer.data = displayed(data, shape)
            tag(layer)["shown"] = data

    def hide(self, image: Image, role: str) -> None:
        """Take a result of ours away, if it is there."""
        layer = self.member(image, role)
        if layer is not None and role in SHOWN:
            self.viewer.layers.remove(layer)

    def window(self, image: Image) -> Window | None:
        """What of an image is on screen now; None where nothing is, or in a 3-D view."""
        return view.window(self.viewer, self.channels.grid(image)) if self.contains(image) else None

    def go_to(self, image: Image, centre: Sequence[float], extent_px: float = 0) -> None:
        """Bring a point of an image array, ([T,] [Z,] Y, X), to the middle of the screen; see `view.go_to`."""
        view.go_to(self.viewer, self.channels.grid(image), centre, extent_px)

    def _layers(self) -> list[Layer]:
        return [own(layer) for layer in self.viewer.layers]

    def _add(self, image: Image, role: str, layer: Layer, above: Layer) -> None:
        layers = self.viewer.layers
        selection, active = {own(one) for one in layers.selection}, own(layers.selection.active)
        index = next(i for i, own in enumerate(self._layers()) if own is above)
        sign(layer, role, image)  # before those who hear of the new layer ask whose it is
        layers.insert(index + 1, layer)
        layer.visible = True  # see `looks.result_layer`
        layers.selection.clear()
        layers.selection.update(selection)
        layers.selection.active = active

    def _brush(self, image: Image, role: str) -> Labels:
        if self.member(image, role) is None:
            self.add_brushes(image, (role,))
        layer = self.member(image, role)
        assert isinstance(layer, Labels)
        return layer

    def _on_layers(self, event: Any) -> None:
        if event.type == "inserted":
            self._meet(own(event.value))
        elif event.type == "removed" and (watch := self._watches.pop(own(event.value), None)) is not None:
            watch.stop()
        self.changed.emit()

    def _meet(self, layer: Layer) -> None:
        layer.events.name.connect(self._on_layers)
        if tag(layer).get("role", SHOWN[0]) not in SHOWN and isinstance(layer, Labels):
            self._watches[layer] = brushes.StrokeWatch(layer, partial(self._on_painted, weakref.ref(layer)))

    def _on_painted(self, ref: weakref.ref[Layer]) -> None:
        layer = ref()
        for image in self.images():
            if layer is not None and belongs(layer, image):
                self.painted.emit(image)
                return
