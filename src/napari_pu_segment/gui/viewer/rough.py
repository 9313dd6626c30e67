"""Which labels layer is the rough mask of which image."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from napari.layers import Image, Labels
from psygnal import Signal

from napari_pu_segment.core.errors import InputError

from .brushes import StrokeWatch
from .grid import own
from .layers import LayerBook
from .snapshots import Snapshot
from .stores import LARGE_PX
from .tags import KEY


class RoughMasks:
    """Remembers the mask that was chosen for an image, for as long as their layers live.

    Parameters
    ----------
    book : LayerBook

    Attributes
    ----------
    changed : Signal()
        Another one was chosen.
    edited : Signal(Image)
        The pixels of that image's mask are others now.
    """

    changed = Signal()
    edited = Signal(object)

    def __init__(self, book: LayerBook) -> None:
        self._book = book
        self._chosen: weakref.WeakKeyDictionary[Image, weakref.ref[Labels]] = weakref.WeakKeyDictionary()
        self._watches: weakref.WeakKeyDictionary[Image, StrokeWatch] = weakref.WeakKeyDictionary()

    def offered(self, image: Image) -> list[Labels]:
        """The user's labels layers that have the shape of an image; brush layers and results of ours are left out.

        So are lazy ones and those of large images: a mask is copied whole, at once, when a training begins.
        """
        shape = self._book.channels.grid(image).shape
        if math.prod(shape) > LARGE_PX:
            return []
        layers = [own(layer) for layer in self._book.viewer.layers]
        masks = [layer for layer in layers if isinstance(layer, Labels) and KEY not in layer.metadata]
        return [layer for layer in masks if isinstance(layer.data, np.ndarray) and layer.data.shape == tuple(shape)]

    def choose(self, image: Image, mask: Labels | None) -> None:
        """Take a labels layer for the rough mask of an image, or none."""
        watch = self._watches.pop(image, None)
        if watch is not None:
            watch.stop()
        if mask is None:
            self._chosen.pop(image, None)
        else:
            self._chosen[image] = weakref.ref(mask)
            self._watches[image] = StrokeWatch(mask, partial(self._on_edited, weakref.ref(image)))
        self.changed.emit()

    def of(self, image: Image) -> Labels | None:
        """The rough mask of an image, if it is still there and of its shape."""
        ref = self._chosen.get(image)
        mask = None if ref is None else ref()
        return mask if mask is not None and any(mask is one for one in self.offered(image)) else None

    def names(self, images: Sequence[Image]) -> tuple[str, ...]:
        """Names of the rough masks of some images."""
        masks = [self.of(image) for image in images]
        return tuple(mask.name for mask in masks if mask is not None)

    def added(self, snapshot: Snapshot, image: Image) -> Snapshot:
        """The snapshot of an image with a copy of its rough mask, where it has one.

        Raises
        ------
        InputError
            If the mask would not fit into memory.
        """
        mask = self.of(image)
        if mask is None:
            return snapshot
        try:
            return replace(snapshot, rough=np.asarray(mask.data) != 0)
        except MemoryError:
            raise InputError(
                f"The rough mask {mask.name!r} does not fit into memory. Choose a smaller image."
            ) from None

    def _on_edited(self, ref: weakref.ref[Image]) -> None:
        image = ref()
        if image is not None:
            self.edited.emit(image)
