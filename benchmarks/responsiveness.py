"""How long the viewer stalls while a training runs and the user paints.

A timer of 10 ms ticks on the viewer's event loop while the widget trains on a 1024 x 1024 image, with and without mouse
strokes being painted on the canvas, and for comparison while nothing is trained. A tick that comes late is a stall.
Drawing counts too: where OpenGL is emulated in software, painting alone stalls the loop.

Needs a screen with OpenGL, such as Xvfb (see CONTRIBUTING).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("NAPARI_CONFIG", "")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import napari
import numpy as np
from qtpy.QtCore import QEventLoop, Qt, QTimer
from qtpy.QtWidgets import QApplication

from napari_pu_segment.gui.main_widget import MainWidget
from napari_pu_segment.synthetic import aurora_frame
from tests.mouse import canvas_of, paint, paths

TICK_S = 0.010


class Ticks:
    """Records when a precise 10 ms timer really fires."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(lambda: self.times.append(time.perf_counter()))
        self._timer.start(round(TICK_S * 1000))

    def figures(self) -> dict[str, float]:
        """Stop; gaps between ticks in ms."""
        self._timer.stop()
        gaps = np.diff(self.times) * 1000
        return {
            "ticks": len(gaps),
            "median_ms": round(float(np.median(gaps)), 1),
            "p99_ms": round(float(np.percentile(gaps, 99)), 1),
            "longest_ms": round(float(gaps.max()), 1),
        }


def spin(seconds: float) -> None:
    """Run the event loop."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 10)
        time.sleep(0.001)


def main() -> None:
    """Measure and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=1024, help="side of the image, px")
    parser.add_argument("--threads", type=int, default=0, help="torch threads; 0 as the plugin chooses")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the idle comparison")
    options = parser.parse_args()
    frame = aurora_frame(0, options.side)
    viewer = napari.Viewer()
    viewer.window.resize(1200, 850)
    viewer.add_image(np.moveaxis(frame.image, 0, -1), name="aurora", rgb=True)
    widget = MainWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Paint and segment")
    session = widget.session
    widget.train_panel.add_brushes()
    for role in ("positive", "negative"):
        session.book.member(session.image, role).data = getattr(frame, role).astype(np.uint8)
    form = widget.train_panel.form
    form.set_value(form.value().changed({"threads": options.threads}))
    spin(1.0)
    strokes = paths(frame.negative, 30)
    report("idle", lambda seconds: seconds < options.seconds)
    report("painting", lambda seconds: seconds < options.seconds, viewer, widget, strokes)
    for name in ("first training", "training", "training"):
        train(widget, name)
    train(widget, "training and painting", viewer, widget, strokes)
    viewer.close()


def train(widget: MainWidget, name: str, *painting) -> None:
    """Press Train, and report until the results are shown; `painting` as in `report`."""
    session, phases, begin = widget.session, {}, time.perf_counter()
    widget.train_panel.train_button.click()
    session.runner.current.progress.connect(
        lambda progress: phases.setdefault(progress.message, round(time.perf_counter() - begin, 1))
    )
    report(name, lambda _: session.runner.current is not None or session.showing, *painting)
    print(json.dumps({"phases begin at s": phases}))


def report(name: str, going, viewer=None, widget=None, strokes=()) -> None:
    """Run the event loop, and paint `strokes` on and on, while `going(seconds so far)`; print the ticks' figures."""
    begin, ticks, n = time.perf_counter(), Ticks(), 0
    while going(time.perf_counter() - begin):
        if strokes:
            paint(viewer, canvas_of(viewer, widget), strokes[n % len(strokes)])
            n += 1
        spin(0.05)
    seconds = round(time.perf_counter() - begin, 1)
    print(json.dumps({name: ticks.figures(), "strokes": n, "seconds": seconds, "load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
