"""Which channels an image consists of: RGB samples, a first axis of channels, further layers."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass

from napari.layers import Image
from psygnal import Signal

from napari_pu_segment.core.errors import InputError

from .axes import Third, has_channel_label
from .grid import RGB_NAMES, Grid


@dataclass(frozen=True, eq=False)
class Channels:
    """What an image consists of.

    Parameters
    ----------
    names : tuple of str
        One for each channel, in the order in which a model sees them; empty for an image of one channel.
    layers : tuple of Image
        Further layers of one channel each, after the image's own channels.
    axis : int or None
        0 where the first axis of the image holds channels.
    """

    names: tuple[str, ...]
    layers: tuple[Image, ...]
    axis: int | None


class ChannelBook:
    """Remembers what was chosen for each image, for as long as its layer lives.

    Attributes
    ----------
    changed : Signal()
        Something else was chosen.
    """

    changed = Signal()

    def __init__(self) -> None:
        self._layers: weakref.WeakKeyDictionary[Image, list[weakref.ref[Image]]] = weakref.WeakKeyDictionary()
        self._axes: weakref.WeakKeyDictionary[Image, int | None] = weakref.WeakKeyDictionary()
        self._thirds: weakref.WeakKeyDictionary[Image, Third] = weakref.WeakKeyDictionary()
        self._levels: weakref.WeakKeyDictionary[Image, int] = weakref.WeakKeyDictionary()

    def choose_layers(self, image: Image, layers: Sequence[Image]) -> None:
        """Use further layers, in this order; see `LayerBook.set_channels`."""
        for layer in layers:
            if layer is image or not self.fits(image, layer):
                raise InputError(
                    f"The layer {layer.name!r} cannot be a channel of {image.name!r}. Choose layers of one channel "
                    "that measure as many pixels."
                )
        self._layers[image] = [weakref.ref(layer) for layer in layers]
        self.changed.emit()

    def choose_axis(self, image: Image, axis: int | None) -> None:
        """Take the first axis (0) or none (None) for channels; see `LayerBook.set_channel_axis`."""
        if axis is not None and (axis != 0 or image.rgb or image.ndim < 3):
            raise InputError(f"The image {image.name!r} has no first axis that could hold channels.")
        self._axes[image] = axis
        self.changed.emit()

    def choose_third(self, image: Image, third: Third) -> None:
        """Take the one axis before rows for planes ("Z") or for time ("T"); until then its name decides."""
        self._thirds[image] = third
        self.changed.emit()

    def choose_level(self, image: Image, level: int) -> None:
        """Work on that level of a multiscale image, 0 the finest.

        Raises
        ------
        InputError
            If there is no such level.
        """
        if not image.multiscale or not 0 <= level < len(image.data):
            raise InputError(f"The image {image.name!r} has no level {level}.")
        self._levels[image] = level
        self.changed.emit()

    def grid(self, image: Image) -> Grid:
        """The pixels of an image."""
        return Grid(image, self._axis(image) is not None, self._thirds.get(image), self._levels.get(image))

    def fits(self, image: Image, layer: Image) -> bool:
        """Whether a layer holds one channel with the same pixels as an image."""
        try:
            single = not layer.rgb and self._axis(layer) is None
            return single and self.grid(layer).shape == self.grid(image).shape
        except InputError:
            return False

    def of(self, image: Image, there: Sequence[Image]) -> Channels:
        """What an image consists of; layers that are not among those `there` any more are left out."""
        axis = self._axis(image)
        layers = [layer for ref in self._layers.get(image, ()) if (layer := ref()) is not None]
        layers = [layer for layer in layers if any(layer is one for one in there)]
        if image.rgb and len(self.grid(image).data.shape) > image.ndim and self.grid(image).data.shape[-1] > 2:
            names = list(RGB_NAMES)
        elif axis is not None:
            names = [f"channel {i}" for i in range(self.grid(image).data.shape[0])]
        else:
            names = [image.name]
        names += [layer.name for layer in layers]
        return Channels(tuple(names) if len(names) > 1 else (), tuple(layers), axis)

    def _axis(self, image: Image) -> int | None:
        return self._axes.get(image, 0 if has_channel_label(image) else None)
