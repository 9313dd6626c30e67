"""Take the pictures of the documentation from the real window: `opened`, `strokes`, `result`, `window`.

Needs a screen with OpenGL of at least 1280 x 1024, such as Xvfb (see CONTRIBUTING).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("NAPARI_CONFIG", "")  # napari as it comes, not as its user set it
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import napari
import numpy as np
from napari.settings import get_settings
from qtpy.QtCore import QEventLoop, Qt
from qtpy.QtWidgets import QApplication

from napari_pu_segment.gui.main_widget import PLUGIN, TITLE, MainWidget
from napari_pu_segment.synthetic import aurora_frame
from tests.mouse import canvas_of, paint, paths

IMAGES = Path(__file__).resolve().parents[1] / "images"
# Rows and columns of strokes on a bright arc behind cloud, the edge of which the first round misses.
MISSED = [np.array([[195, 422], [215, 432], [228, 437]]), np.array([[205, 385], [222, 405], [240, 415]])]


def spin(seconds: float) -> None:
    """Run the event loop."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)


def open_window(sample: str, width: int) -> tuple[napari.Viewer, MainWidget]:
    """The viewer with a sample and the widget, `width` px wide."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 900)
    viewer.open_sample(PLUGIN, sample)
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, TITLE)
    spin(0.5)
    widget.window().resizeDocks([widget.parent()], [width], Qt.Orientation.Horizontal)
    spin(0.5)
    viewer.reset_view()
    return viewer, widget


def bright_first(strokes: np.ndarray, image: np.ndarray) -> list[np.ndarray]:
    """Paths of strokes, those on the brightest pixels first."""
    grey = image.mean(axis=0)
    return sorted(paths(strokes, 12), key=lambda path: -grey[tuple(path.astype(int).T)].mean())


def train(widget: MainWidget) -> None:
    """Press Train and wait until the results are shown."""
    widget.train_panel.train_button.click()
    while widget.session.runner.current is not None or widget.session.showing:
        spin(0.1)


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=IMAGES)
    parser.add_argument("--theme", default="dark", choices=["dark", "light"])
    parser.add_argument("--width", type=int, default=350, help="of the widget, px")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    get_settings().appearance.theme = options.theme
    viewer, widget = open_window("aurora", options.width)

    def take(name: str) -> None:
        spin(0.5)
        widget.window().grab().save(str(options.out / f"{name}.png"))

    take("opened")
    frame, panel = aurora_frame(0), widget.train_panel
    panel.add_brushes()
    for path in paths(frame.positive, 12):
        paint(viewer, canvas_of(viewer, widget), path)
    panel.paint("negative")
    for path in bright_first(frame.negative, frame.image)[:4]:
        paint(viewer, canvas_of(viewer, widget), path)
    take("strokes")
    train(widget)
    take("result")
    panel.paint("positive")
    for path in MISSED:
        paint(viewer, canvas_of(viewer, widget), path)
    train(widget)
    take("window")
    viewer.close()


if __name__ == "__main__":
    main()
