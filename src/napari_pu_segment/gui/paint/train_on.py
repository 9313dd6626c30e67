"""Which further images a model learns from, beside the one that is segmented."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

from napari.layers import Image
from psygnal import Signal

from napari_pu_segment.core.methods import Method

from ..viewer.layers import LayerBook
from ..viewer.rough import RoughMasks
from ..viewer.snapshots import Snapshot


class TrainOn:
    """Remembers which images were ticked, for as long as their layers live.

    Parameters
    ----------
    book : LayerBook

    Attributes
    ----------
    changed : Signal()
        Others were ticked.
    """

    changed = Signal()

    def __init__(self, book: LayerBook) -> None:
        self._book = book
        self._ticked: weakref.WeakSet[Image] = weakref.WeakSet()

    def painted(self, but: Image | None) -> list[Image]:
        """The images of the viewer with brush layers, but for one, from bottom to top."""
        images = [image for image in self._book.images() if image is not but]
        roles = self._book.classes.names
        return [image for image in images if any(self._book.member(image, role) is not None for role in roles)]

    def chosen(self, but: Image | None) -> list[Image]:
        """Those of them that are ticked."""
        return [image for image in self.painted(but) if image in self._ticked]

    def snapshots(
        self, image: Image, ready: Snapshot | None, method: Method, rough: RoughMasks
    ) -> tuple[list[Snapshot], tuple[str, ...]]:
        """An image and those ticked beside it, frozen, and the names of what else is learnt from.

        A method that trains nothing gets the image alone.

        Parameters
        ----------
        image : Image
        ready : Snapshot, optional
            Of that image, where there is one.
        method : Method
        rough : RoughMasks
            Taken along where the method learns from them.

        Raises
        ------
        InputError
            If one of them has too many axes, or a brush layer of another shape.
        """
        others = self.chosen(image) if method.segment is None else []
        snapshots = [ready or self._book.snapshot(image), *map(self._book.snapshot, others)]
        names = tuple(other.name for other in others)
        if method.rough_masks:
            snapshots = [rough.added(*pair) for pair in zip(snapshots, [image, *others], strict=True)]
            names += rough.names([image, *others])
        return snapshots, names

    def choose(self, images: Sequence[Image]) -> None:
        """Tick these, and no others."""
        self._ticked = weakref.WeakSet(images)
        self.changed.emit()
