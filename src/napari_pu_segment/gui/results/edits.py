"""Objects split and merged by strokes in their labels layer, each as one step that napari's undo takes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
from napari.layers import Labels
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.objects.edit_objects import Edit, merge, split

from ..session import Session
from ..viewer.axes import lead_axes
from ..viewer.brushes import StrokeWatch
from .measuring import Found, note_classes

Mode: TypeAlias = Literal["", "split", "merge"]
HINTS = {
    "split": "Draw a stroke right across an object to cut it. Napari's undo takes it back.",
    "merge": "Draw a stroke from object to object to make them one. Napari's undo takes it back.",
}
TITLES = {"split": "Splitting", "merge": "Merging"}
FOLLOW_MS = 300  # after a change of the labels; a burst of them is followed once
SCREEN_PX = 3  # width of a stroke


class Edits:
    """Takes strokes that are painted on a labels layer for cuts or links, while its mode says so.

    A stroke is painted with a label that no object has. When it ends it is taken back, and what it means is done.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    mode : {"", "split", "merge"}
        What a stroke does; "" leaves painting to napari.
    mode_changed : Signal(str)
    changed : Signal()
        The labels are others now, by a stroke of ours, by napari's brushes, or by undo.
    """

    mode_changed = Signal(str)
    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self.mode: Mode = ""
        self._layer: Labels | None = None
        self._min_size_px = 1
        self._watch: StrokeWatch | None = None
        self._before: dict[str, Any] = {}  # how the layer was when a mode began
        self._quiet = False  # what is heard now is of our own making
        self._soon = QTimer()
        self._soon.setSingleShot(True)
        self._soon.setInterval(FOLLOW_MS)
        self._soon.timeout.connect(self.changed.emit)
        session.closing.connect(lambda: self.follow(None))
        session.book.viewer.layers.selection.events.active.connect(self._on_active)

    def follow(self, layer: Labels | None, min_size_px: int = 1) -> None:
        """Edit this layer from now on; parts of fewer than `min_size_px` pixels are no objects."""
        self._min_size_px = min_size_px
        if layer is self._layer:
            return  # changes that are still to be told of are not forgotten
        self.set_mode("")
        self._soon.stop()
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        self._connect(layer)
        if layer is not None and _in_memory(layer) and layer.data.flags.c_contiguous:  # others cannot be told cheaply
            self._watch = StrokeWatch(layer, self._on_changed)

    def show(self, found: Found) -> None:
        """Show objects that were found over an image or a labels layer; this is no edit.

        Raises
        ------
        InputError
            If the layer was removed or changed its shape meanwhile.
        """
        with self._hushed():
            self._session.book.show(found.layer, "objects", found.labels)
        note_classes(self._session.book.member(found.layer, "objects"), found)

    def set_mode(self, mode: Mode) -> None:
        """Begin to split or to merge, or leave off; where there is nothing to edit that is said."""
        hindrance = self._hindrance() if mode else ""
        if hindrance:
            self._session.said.emit(hindrance, False)
            mode = ""
        before, self.mode = self.mode, mode
        if mode and not before:
            self._take_up()
        elif before and not mode:
            self._put_down()
        if mode:
            self._session.said.emit(HINTS[mode], False)
        if mode or before or hindrance:
            self.mode_changed.emit(mode)

    def _connect(self, layer: Labels | None) -> None:
        handlers = {"paint": self._on_paint, "mode": self._on_mode, "selected_label": self._on_mode}
        for name, handler in handlers.items():
            if self._layer is not None:
                getattr(self._layer.events, name).disconnect(handler)
            if layer is not None:
                getattr(layer.events, name).connect(handler)
        self._layer = layer

    def _hindrance(self) -> str:
        layer, book = self._layer, self._session.book
        if layer is None or not book.contains(layer):
            return "There are no objects to edit yet. Find them first, or choose a labels layer and measure it."
        if not _in_memory(layer) or not layer.editable:
            return f"The labels of {layer.name!r} do not lie in memory, so they cannot be edited."
        if book.viewer.dims.ndisplay == 3:
            return "Objects are split and merged in the 2-D view. Press napari's 2D/3D button first."
        if int(layer.data.max(initial=0)) >= _stroke_label(layer):
            return f"{layer.name!r} has no room for another label. Convert its data type: right click on the layer."
        try:
            self._frame_axis(layer)
        except InputError as error:
            return str(error)
        return ""

    def _take_up(self) -> None:
        layer, viewer = self._layer, self._session.book.viewer
        assert layer is not None
        kept = ("mode", "brush_size", "n_edit_dimensions", "preserve_labels", "selected_label")
        self._before = {name: getattr(layer, name) for name in kept}
        with self._hushed():
            layer.visible = True
            viewer.layers.selection.active = layer
            layer.show_selected_label, layer.preserve_labels, layer.n_edit_dimensions = False, False, 2
            layer.mode = "paint"
            pixel = abs(float(layer.scale[-1])) * viewer.scene.camera.zoom  # on screen
            layer.brush_size = max(1, round(SCREEN_PX / pixel))
            layer.selected_label = _stroke_label(layer)

    def _put_down(self) -> None:
        layer, before = self._layer, self._before
        if layer is None or not self._session.book.contains(layer):
            return
        with self._hushed():
            if layer.mode not in ("paint", "pan_zoom"):
                before.pop("mode")  # the user chose another tool meanwhile
            if layer.selected_label != _stroke_label(layer):
                before.pop("selected_label")
            for name, value in before.items():
                setattr(layer, name, value)

    @contextmanager
    def _hushed(self) -> Iterator[None]:
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    def _on_mode(self) -> None:
        """Another tool or label was taken up: what is painted now is no stroke of ours. Moving the image is no tool."""
        layer = self._layer
        if not self.mode or self._quiet or layer is None:
            return
        if layer.mode not in ("paint", "pan_zoom") or layer.selected_label != _stroke_label(layer):
            self.set_mode("")

    def _on_active(self) -> None:
        active = self._session.book.viewer.layers.selection.active
        if self.mode and not self._quiet and getattr(active, "__wrapped__", active) is not self._layer:
            self.set_mode("")

    def _on_changed(self) -> None:
        if self._quiet:
            return
        if self.mode and len(self._stroke()):  # a stroke, or one that redo brought back
            self._on_paint()
        else:
            self._soon.start()

    def _on_paint(self) -> None:
        if self.mode and not self._quiet:
            QTimer.singleShot(0, self._take)  # napari is in the midst of it

    def _stroke(self) -> np.ndarray:
        """Places (n, D) in the layer's data of what was drawn in the plane on screen."""
        layer, dims = self._layer, self._session.book.viewer.dims
        assert layer is not None
        point = layer.world_to_data(dims.point[-layer.ndim :])
        key = [slice(round(at), round(at) + 1) for at in point]
        for axis in self._drawn(layer):
            key[axis] = slice(0, layer.data.shape[axis])
        found = np.argwhere(layer.data[tuple(key)] == _stroke_label(layer))
        return np.asarray(found + [part.start for part in key])

    def _drawn(self, layer: Labels) -> list[int]:
        dims = self._session.book.viewer.dims
        return sorted(axis - dims.ndim + layer.ndim for axis in dims.displayed)

    def _frame_axis(self, layer: Labels) -> int | None:
        """The axis of time of a layer: as that of the image of its shape, or as its name tells."""
        book, image = self._session.book, self._session.image
        grid = None if image is None or not book.contains(image) else book.channels.grid(image)
        lead = grid.lead if grid is not None and grid.shape == layer.data.shape else lead_axes(layer, 0, None)
        return lead.index("T") if "T" in lead else None

    def _take(self) -> None:
        """Do what a stroke means."""
        layer = self._layer
        if not self.mode or layer is None or not self._session.book.contains(layer):
            return
        stroke = self._stroke()
        if not len(stroke):
            return
        with self._hushed():
            layer.undo()
        time, drawn = self._frame_axis(layer), self._drawn(layer)
        if time in drawn:
            self._session.said.emit("Objects are split and merged in planes, not along time.", True)
            return
        frame = None if time is None else int(stroke[0, 0])
        labels = layer.data if frame is None else layer.data[frame]
        lost = 0 if frame is None else 1  # axes; time is the first
        through = [axis for axis in range(labels.ndim) if axis + lost not in drawn]
        if self.mode == "split":
            work = split(labels, stroke[:, lost:], through=through, min_size_px=self._min_size_px)
        else:
            work = merge(labels, stroke[:, lost:])
        self._session.aside(work, TITLES[self.mode], partial(self._apply, layer, frame))

    def _apply(self, layer: Labels, frame: int | None, edit: Edit) -> None:
        there = layer is self._layer and self._session.book.contains(layer)
        if not there:
            return
        places = edit.places if frame is None else (np.full(len(edit.after), frame), *edit.places)
        same = layer.data[places] == edit.before  # the user may have painted meanwhile
        with self._hushed(), layer.block_history():
            layer.data_setitem(tuple(axis[same] for axis in places), edit.after[same])
        self._session.said.emit(_told(edit), False)
        self._soon.start()


def _in_memory(layer: Labels) -> bool:
    return not layer.multiscale and isinstance(layer.data, np.ndarray)


def _stroke_label(layer: Labels) -> int:
    """What strokes are painted with: no object has it, nor had it before what undo may bring back."""
    return min(int(np.iinfo(layer.data.dtype).max), 2**31 - 1)


def _told(edit: Edit) -> str:
    if len(edit.new) == 1:
        return f"Objects {_listed((*edit.new, *edit.old))} are one now: {edit.new[0]}."
    return f"Object{'s' if len(edit.old) > 1 else ''} {_listed(edit.old)} became {_listed(edit.new)}."


def _listed(labels: tuple[int, ...]) -> str:
    return " and ".join(filter(None, [", ".join(map(str, labels[:-1])), str(labels[-1])]))
