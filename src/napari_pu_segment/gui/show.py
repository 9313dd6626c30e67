"""The present result, and how it comes to the screen: one layer at a time, and part by part."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QTimer

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.samples import ONE_CLASS

from .looks import CLASS_COLOURS
from .viewer.boxes import meets
from .viewer.layers import RESULTS, LayerBook
from .viewer.stores import Stacked
from .work import Result, fill_mask

LARGE_S = 1.0  # between two drawings of a large result
OUTLINES_S = 0.5  # between two drawings of a growing mask
PAUSE_MS = 20  # between two layers, to draw: a new layer takes napari up to a tenth of a second


class Results:
    """The present result and the latest complete one; what is shown of them.

    Parameters
    ----------
    book : LayerBook
    on_change : callable
        Called with every other present result.
    on_error : callable
        Called with the error where a result cannot be shown; there is none then.
    """

    def __init__(
        self, book: LayerBook, on_change: Callable[[Result], None], on_error: Callable[[InputError], None]
    ) -> None:
        self._book, self._on_change, self._on_error = book, on_change, on_error
        self.present: Result | None = None
        self.complete: Result | None = None
        self._image: Image | None = None
        self._waiting: dict[str, np.ndarray | None] = {}
        self._shown: dict[str, np.ndarray | None] = {}
        self._worn: dict[str, tuple[str, ...]] = {}  # the colours of what is shown
        self._outlined_s = 0.0
        self._grown: list[tuple[slice, ...]] = []  # parts of a large result that have not been drawn yet
        self.shown_class = 0
        self._split: tuple[Any, list[Any]] = None, []  # a probability of several classes, and that of each
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE_MS)
        self._timer.timeout.connect(self._next)
        book.classes.changed.connect(self._recolour)

    @property
    def busy(self) -> bool:
        """Whether some layers are still to be brought up to date."""
        return bool(self._waiting)

    def put(self, result: Result, *, refines: bool) -> bool:
        """Make a result the present one, and show it; False if it cannot be shown.

        Parameters
        ----------
        result : Result
        refines : bool
            It will be refined: where it has no refined mask yet, the old one stays until then.
        """
        self.present = result
        if result.preview:
            self._outlined_s, self._grown = time.monotonic(), []
        else:
            self.complete = result
        waits = refines and result.segmentation.refined is None
        self._show(result, [role for role in RESULTS if not (waits and role == "refined")])
        if self.present is not None:
            self._on_change(result)
        return self.present is not None

    def show_class(self, index: int) -> None:
        """Show the probability of another class of the present result, counted from 0."""
        self.shown_class = index
        if self.present is not None and self._book.contains(self.present.layer):
            self._show(self.present, ("probability",))
            self._on_change(self.present)

    def _array(self, result: Result, role: str) -> Any:
        """What is shown: of several classes, the probability of one."""
        array, n_classes = getattr(result.segmentation, role), len(result.sample.classes)
        if role != "probability" or n_classes == 1:
            return array
        if self._split[0] is not array:
            self._split = array, list(array.parts if isinstance(array, Stacked) else array)
        return self._split[1][min(self.shown_class, n_classes - 1)]

    def _colours(self, result: Result, role: str) -> tuple[str, ...]:
        """See `looks.result_layer`; those of the model's classes, as far as they are still there."""
        names, known = result.sample.classes, self._book.classes
        if role not in RESULTS or (names == ONE_CLASS and len(known) == 1):
            return ()
        found = [known.called(name) for name in names]
        colours = tuple(
            CLASS_COLOURS[k % len(CLASS_COLOURS)] if one is None else one.colour for k, one in enumerate(found)
        )
        return (colours[min(self.shown_class, len(colours) - 1)],) if role == "probability" else colours

    def _recolour(self) -> None:
        """Show the present result in the colours that its classes have now."""
        if self.present is None or not self._book.contains(self.present.layer):
            return
        for role in self._shown.keys() & self._worn.keys():
            if self._worn[role] != self._colours(self.present, role):
                self._waiting[role] = self._shown[role]
        if not self._timer.isActive():
            self._next()

    def holds(self, preview: Result) -> bool:
        """Whether the present result has grown out of a preview; its mask may be another one by now."""
        return self.present is not None and self.present.segmentation.probability is preview.segmentation.probability

    def grow(self, parts: Iterable[tuple[slice, ...]], refined: Any = None) -> None:
        """Show parts of the present result that were filled meanwhile; of a large one `refined` may be filled, too."""
        if self.present is None:
            return
        if self.present.large:
            self._grow_large(parts, refined)
        else:
            fill_mask(self.present, parts)
            # the outlines of a mask are found anew each time it is drawn, and it is a second layer to draw
            now = time.monotonic()
            outlined = now >= self._outlined_s + OUTLINES_S
            self._outlined_s = now if outlined else self._outlined_s
            self._show(self.present, ("probability", "mask") if outlined else ("probability",), again=True)

    def _grow_large(self, parts: Iterable[tuple[slice, ...]], refined: Any) -> None:
        """Draw again now and then, if something on screen has changed: it is read from disk for it."""
        present, now = self.present, time.monotonic()
        self._grown += parts
        if present is None or now < self._outlined_s + LARGE_S:
            return
        grown, self._grown, self._outlined_s = self._grown, [], now
        if grown and not self._seen(grown):
            return
        if refined is not None:
            present = replace(present, segmentation=replace(present.segmentation, refined=refined))
        self._show(present, ("probability", "mask") if refined is None else ("refined",), again=True)
        while self._waiting:  # at once: drawing takes longer than that
            self._next()

    def _seen(self, parts: Iterable[tuple[slice, ...]]) -> bool:
        """Whether any of these parts of the present result is on screen."""
        assert self.present is not None
        image = self.present.layer
        window = self._book.window(image) if self._book.contains(image) else None
        if window is None:
            return True
        shape = self._book.channels.grid(image).shape
        kept = [part for part, n in zip(window.slices[:-2], shape[:-2], strict=True) if n > 1]
        return any(meets(part, (*kept, *window.slices[-2:])) for part in parts)

    def finish(self, preview: Result, *, refines: bool) -> bool:
        """The preview is complete; False if it is no longer the present result."""
        if self.present is None or not self.holds(preview):
            return False
        self._show(self.present, ("probability", "mask"), again=True)
        return self.put(replace(self.present, preview=False), refines=refines)

    def drop_preview(self) -> Result | None:
        """The complete result that a preview shall give way to, if any; a large preview stays as far as it is."""
        if self.present is None or not self.present.preview:
            return None
        if self.present.large:
            self.draw()
            return None
        return self.complete

    def draw(self) -> None:
        """Draw the present result again: nothing grows any more."""
        if self.present is not None and self._book.contains(self.present.layer):
            self._show(self.present, ("probability", "mask"), again=True)

    def stop(self) -> None:
        """Drop what is still to be shown."""
        self._timer.stop()
        self._waiting, self._shown = {}, {}

    def _show(self, result: Result, roles: Iterable[str], *, again: bool = False) -> None:
        if result.layer is not self._image:
            self._image, self._waiting, self._shown = result.layer, {}, {}
        for role in roles:
            array = self._array(result, role)
            if again or role not in self._shown or self._shown[role] is not array:
                self._waiting[role] = self._shown[role] = array
        if not self._timer.isActive():
            self._next()

    def _next(self) -> None:
        if self._image is None or not self._waiting:
            return
        role = next(iter(self._waiting))
        colours = () if self.present is None else self._colours(self.present, role)
        try:
            self._book.show(self._image, role, self._waiting.pop(role), colours)
            self._worn[role] = colours
            self._timer.start()
        except InputError as error:
            self.stop()
            self.present = self.complete = None
            self._on_error(error)
