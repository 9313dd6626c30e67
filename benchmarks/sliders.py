"""How soon the mask on screen follows the sliders of the result.

A 2048 x 2048 image is segmented once; then the slider of the threshold, that of the area, and the line in the histogram
are moved, 50 times each, and the time is taken from the move until the canvas has drawn the new mask. In a further run
the slider is moved every 16 ms, as a hand does it, while a 10 ms timer tells how long the viewer stalls.

Needs a screen with OpenGL, such as Xvfb (see CONTRIBUTING). Where OpenGL is emulated in software, drawing takes most of
the time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("NAPARI_CONFIG", "")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import napari
import numpy as np
from qtpy.QtCore import QEventLoop, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from benchmarks.responsiveness import Ticks, spin
from napari_pu_segment.gui.main_widget import MainWidget
from napari_pu_segment.synthetic import aurora_frame
from tests.mouse import canvas_of

MOVES = 50


def main() -> None:
    """Measure and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=2048, help="side of the image, px")
    parser.add_argument("--steps", type=int, default=60, help="training steps; the model need not be good")
    options = parser.parse_args()
    viewer, widget = opened(options.side, options.steps)
    panel = widget.result_panel
    steps = np.random.default_rng(0).permutation(np.linspace(300, 700, MOVES).astype(int))
    ways: dict[str, Callable[[int], None]] = {
        "threshold slider": panel.threshold_slider.setValue,
        "area slider": lambda step: panel.area_slider.setValue(step + 150),  # 9 to 61 % of the image
        "histogram": lambda step: click(panel.histogram, step / 1000),
    }
    for name, move in ways.items():
        print(json.dumps({name: redraws(viewer, widget, move, steps)}), flush=True)
    for box in panel.extras.boxes.values():
        box.setChecked(True)
    spin(3.0)
    print(json.dumps({"with band and uncertainty": redraws(viewer, widget, ways["threshold slider"], steps)}))
    print(json.dumps({"dragging": dragging(widget, ways["threshold slider"])}))
    viewer.close()


def opened(side: int, n_steps: int) -> tuple[napari.Viewer, MainWidget]:
    """A viewer with a segmented image, its widget on the page of the result."""
    frame = aurora_frame(0, side)
    viewer = napari.Viewer()
    viewer.window.resize(1200, 850)
    viewer.add_image(np.moveaxis(frame.image, 0, -1), name="aurora", rgb=True)
    widget = MainWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Paint and segment")
    session = widget.session
    widget.train_panel.add_brushes()
    for role in ("positive", "negative"):
        session.book.put_strokes(session.image, role, getattr(frame, role))
    widget.result_panel.refine_box.crf_box.setChecked(False)
    form = widget.train_panel.form
    form.set_value(form.value().changed({"threads": 1, "n_steps": n_steps, "prior": "fixed", "class_prior": 0.1}))
    widget.tabs.setCurrentIndex([widget.tabs.tabText(i) for i in range(widget.tabs.count())].index("Result"))
    widget.train_panel.train_button.click()
    while session.runner.current is not None or session.showing or widget.result_panel.coverage is None:
        spin(0.1)
    spin(1.0)
    return viewer, widget


def redraws(
    viewer: napari.Viewer, widget: MainWidget, move: Callable[[int], None], steps: np.ndarray
) -> dict[str, float]:
    """Times in ms from each move to the canvas with the new mask."""
    session, drawn, new = widget.session, [], []
    canvas = canvas_of(viewer, widget)
    mask = session.book.member(session.image, "mask")
    times, work = [], []
    canvas.frameSwapped.connect(lambda: drawn.append(time.perf_counter()))
    mask.events.set_data.connect(lambda: new.append(time.perf_counter()))
    move(int(steps[-1]))  # from somewhere else to the first
    for step in steps:
        spin(0.4)  # what follows at the end of a drag is over by then
        n_new, begin, worked = len(new), time.perf_counter(), time.process_time()
        move(int(step))
        while len(new) == n_new or not drawn or drawn[-1] < new[-1]:
            QApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 5)
            if time.perf_counter() - begin > 5:
                raise SystemExit("The mask did not follow.")
        times.append((time.perf_counter() - begin) * 1000)
        work.append((time.process_time() - worked) * 1000)
        assert widget.result_panel.area_box.value() > 0
    canvas.frameSwapped.disconnect()
    return {
        "moves": len(times),
        "median_ms": round(float(np.median(times)), 1),
        "p90_ms": round(float(np.percentile(times, 90)), 1),
        "longest_ms": round(max(times), 1),
        "cpu_median_ms": round(float(np.median(work)), 1),  # what it would take on a machine that is not busy
        "load": round(os.getloadavg()[0], 1),
    }


def dragging(widget: MainWidget, move: Callable[[int], None]) -> dict[str, float]:
    """Stalls, and masks drawn, while a hand drags for three seconds."""
    session, masks = widget.session, []
    session.book.member(session.image, "mask").events.set_data.connect(lambda: masks.append(1))
    ticks, begin = Ticks(), time.perf_counter()
    while (seconds := time.perf_counter() - begin) < 3:
        move(int(500 + 250 * np.sin(2 * seconds)))
        spin(0.016)
    return {**ticks.figures(), "masks_per_s": round(len(masks) / seconds, 1)}


def click(histogram: object, share: float) -> None:
    """Press the mouse in the histogram, at a share of its width, and let go."""
    point = QPointF(histogram.width() * share, histogram.height() / 2)
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    for kind, held in ((QMouseEvent.Type.MouseButtonPress, left), (QMouseEvent.Type.MouseButtonRelease, none)):
        where = QPointF(histogram.mapToGlobal(point.toPoint()))
        event = QMouseEvent(kind, point, where, left, held, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(histogram, event)


if __name__ == "__main__":
    main()
