"""A ring in the viewer that shows a place, and in its middle the dab that an answer paints; a layer of ours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.layers import Image, Points
from napari.utils.transforms import Affine

from .grid import own
from .layers import LayerBook

COLOUR = "#D55E00"  # vermilion: no brush and no result has it
SCREEN_PX = 40  # across, at least, when it is drawn
RADII = 8  # across, in radii of the dab


class Marker:
    """A ring around one place of an image.

    The selected layer stays as it is, so that the user can go on painting. A layer that the user has deleted is made
    again when a place is shown next.

    Parameters
    ----------
    book : LayerBook
    """

    def __init__(self, book: LayerBook) -> None:
        self._book = book
        self._layer: Points | None = None

    @property
    def layer(self) -> Points | None:
        """The layer that shows the ring, where it is in the viewer."""
        return self._layer if self._layer is not None and self._book.contains(self._layer) else None

    def show(self, image: Image, centre: Sequence[float], radius_px: float) -> None:
        """Put the ring around a dab of that radius at `centre`, ([Z,] Y, X) in pixels of the image array."""
        place = self._book.channels.grid(image).placement
        inner = Affine(**{name: place[name] for name in ("scale", "translate", "rotate", "shear")})
        point = np.zeros(len(place["scale"]))
        point[len(point) - len(centre) :] = centre
        if self.layer is not None and self.layer.ndim != len(point):
            self.remove()
        if self.layer is None:
            self._add(len(point), place)
        layer = self.layer
        assert layer is not None
        for name in ("scale", "rotate", "shear", "affine"):
            setattr(layer, name, place[name])
        layer.translate = inner(point)  # the layer moves; its points stay at its origin
        pixel = abs(float(place["scale"][-1])) * self._book.viewer.scene.camera.zoom  # on screen
        layer.size = [max(RADII * radius_px, SCREEN_PX / pixel), 2 * radius_px]

    def remove(self) -> None:
        """Take the ring away."""
        if self.layer is not None:
            self._book.viewer.layers.remove(self.layer)
        self._layer = None

    def _add(self, ndim: int, place: dict[str, object]) -> None:
        self._layer = Points(
            np.zeros((2, ndim)),
            name="suggested place",
            symbol="disc",
            face_color="transparent",
            border_color=COLOUR,
            border_width=0.08,
            units=place["units"],
            axis_labels=place["axis_labels"],
        )
        layers = self._book.viewer.layers
        selection, active = {own(one) for one in layers.selection}, own(layers.selection.active)
        layers.append(self._layer)
        layers.selection.clear()
        layers.selection.update(selection)
        layers.selection.active = active
