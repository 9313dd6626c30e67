"""A napari window that a script works in like a person: it opens, paints with the mouse, presses buttons, and waits."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import napari
import numpy as np
from napari.settings import get_settings
from PIL import Image, ImageColor
from qtpy.QtCore import QEventLoop, Qt
from qtpy.QtWidgets import QApplication, QWidget

from napari_pu_segment.gui.looks import BAND, CLASS_COLOURS, COLOURS
from napari_pu_segment.gui.main_widget import PLUGIN, TITLE, MainWidget
from tests.mouse import canvas_of, paint

MAX_KB = 390
QUIET_S = 3.0  # longer than live mode waits before it refines, and before a round is judged


class Window:
    """A viewer with a sample and the widget.

    Parameters
    ----------
    out : Path
        Folder for the pictures.
    sample : str
        Key of the sample.
    theme : {"dark", "light"}
    width : int
        Of the widget, px.
    saved : Path, optional
        Folder for autosaved strokes; default: a new one, in which no window before has left any.
    """

    def __init__(self, out: Path, sample: str, theme: str, width: int, saved: Path | None = None) -> None:
        os.environ["NAPARI_PU_SEGMENT_AUTOSAVE"] = str(saved or tempfile.mkdtemp())
        get_settings().appearance.theme = theme
        self.out = out
        self.viewer = napari.Viewer()
        self.viewer.window.resize(1280, 1050)
        self.viewer.open_sample(PLUGIN, sample)
        _, widget = self.viewer.window.add_plugin_dock_widget(PLUGIN, TITLE)
        assert isinstance(widget, MainWidget)
        self.widget = widget
        self.spin(0.5)
        self.widget.window().resizeDocks([self.widget.parent()], [width], Qt.Orientation.Horizontal)
        self.spin(0.5)
        self.viewer.reset_view()

    def spin(self, seconds: float) -> None:
        """Run the event loop."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)

    def settle(self) -> None:
        """Wait until nothing is going on any more, not even what begins only after a pause."""
        quiet = time.monotonic()
        while time.monotonic() < quiet + QUIET_S:
            self.spin(0.1)
            session, widget = self.widget.session, self.widget
            busy = session.runner.current is not None or session.showing or widget.objects_panel.running
            if busy or widget.rounds_panel.rounds.judging or widget.suggest_panel.guide.looking:
                quiet = time.monotonic()

    def stroke(self, role: str, *strokes: np.ndarray | list[tuple[int, int]]) -> None:
        """Take up a brush and paint along paths of rows and columns."""
        self.widget.train_panel.paint(role)
        self.draw(*strokes)

    def draw(self, *strokes: np.ndarray | list[tuple[int, int]]) -> None:
        """Draw with the mouse along paths of rows and columns, whatever that does."""
        for path in strokes:
            paint(self.viewer, canvas_of(self.viewer, self.widget), np.asarray(path, dtype=float))
            self.spin(0.1)

    def tab(self, title: str) -> None:
        """Show a tab of the widget."""
        tabs = self.widget.tabs
        tabs.setCurrentIndex([tabs.tabText(i) for i in range(tabs.count())].index(title))
        self.spin(0.3)

    def take(self, name: str, part: QWidget | None = None) -> None:
        """Save a picture of the window, or of a part of it."""
        self.spin(0.5)
        path = self.out / f"{name}.png"
        (part or self.widget.window()).grab().save(str(path))
        if path.stat().st_size > MAX_KB * 1024:
            with Image.open(path) as picture:
                few = _fewer_colours(picture.convert("RGB"))
            few.save(path, optimize=True)
        if path.stat().st_size > MAX_KB * 1024:
            raise SystemExit(f"{path} is larger than {MAX_KB} KB.")

    def close(self) -> None:
        """Close the window."""
        self.viewer.close()
        self.spin(0.3)


def _fewer_colours(picture: Image.Image) -> Image.Image:
    """The picture with 256 colours, among them all that strokes and results are drawn in."""
    colours = dict.fromkeys((*COLOURS.values(), *CLASS_COLOURS, *BAND))
    ours = [channel for colour in colours for channel in ImageColor.getrgb(colour)[:3]]
    palette = picture.quantize(256 - len(ours) // 3).getpalette() or []
    holder = Image.new("P", (1, 1))
    holder.putpalette([*palette, *ours])
    return picture.quantize(palette=holder)
