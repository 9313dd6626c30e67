"""How long the viewer stalls while a training runs and the user paints, and how soon live mode answers a stroke.

A timer of 10 ms ticks on the event loop of the viewer while the widget trains on a 1024 x 1024 image, at the press of a
button or live, with and without mouse strokes being painted on the canvas, and for comparison while nothing is trained.
A tick that comes late is a stall. Drawing counts too: where OpenGL is emulated in software, painting alone stalls the
loop; `own_` figures are of the computing time of the viewer's thread between two ticks, which a busy machine does not
lengthen.

Then, for a stroke in live mode, from the release of the mouse: seconds until the first tiles are shown (the middle of
what is on screen), until all that is on screen is, and until the whole image is; and from cancelling until the job's
thread has ended.

    python benchmarks/responsiveness.py [--side 1024] [--threads 0] [--strokes 10] [--csv FILE]

Needs a screen with OpenGL, such as Xvfb (see CONTRIBUTING).
"""

from __future__ import annotations

import argparse
import csv
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
from napari_pu_segment.gui.session import LIVE
from napari_pu_segment.synthetic import aurora_frame
from tests.mouse import canvas_of, paint, paths

TICK_S = 0.010
ANSWERS = ("first tiles shown", "view shown", "whole image shown")


class Ticks:
    """Records when a precise 10 ms timer really fires."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(lambda: self.times.append((time.perf_counter(), time.thread_time())))
        self._timer.start(round(TICK_S * 1000))

    def figures(self) -> dict[str, float]:
        """Stop; gaps between ticks in ms."""
        self._timer.stop()
        gaps, own = np.diff(np.array(self.times), axis=0).T * 1000
        return {
            "ticks": len(gaps),
            "median_ms": round(float(np.median(gaps)), 1),
            "p99_ms": round(float(np.percentile(gaps, 99)), 1),
            "longest_ms": round(float(gaps.max()), 1),
            "own_p99_ms": round(float(np.percentile(own, 99)), 1),
            "own_longest_ms": round(float(own.max()), 1),
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
    parser.add_argument("--live-side", type=int, default=512, help="side of a second image, for live mode only, px")
    parser.add_argument("--threads", type=int, default=0, help="torch threads; 0 as the plugin chooses")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the idle comparison")
    parser.add_argument("--strokes", type=int, default=10, help="strokes whose answer is timed")
    parser.add_argument("--only-live", action="store_true", help="leave out the trainings at the push of a button")
    parser.add_argument("--csv", type=Path, help="write the figures there")
    options = parser.parse_args()
    table = Table()
    for side in (options.side, options.live_side):
        desk = Desk(side, options.threads, table)
        desk.report("idle", lambda seconds: seconds < options.seconds)
        desk.report("painting", lambda seconds: seconds < options.seconds, paints=True)
        if side == options.side and not options.only_live:
            for name in ("first training", "training", "training and painting"):
                desk.train(name, paints=name.endswith("painting"))
        desk.live(options.strokes)
        desk.viewer.close()
    if options.csv:
        table.write(options.csv)


class Table:
    """The figures, one to a row."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []

    def add(self, image: str, scenario: str, **figures: float) -> None:
        """Keep and print figures."""
        load = round(os.getloadavg()[0], 1)
        rows = [
            {"image": image, "scenario": scenario, "figure": figure, "value": value, "load": load}
            for figure, value in figures.items()
        ]
        self.rows += rows
        print(json.dumps({"image": image, "scenario": scenario, **figures, "load": load}), flush=True)

    def write(self, path: Path) -> None:
        """As CSV."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, self.rows[0])
            writer.writeheader()
            writer.writerows(self.rows)


class Desk:
    """A viewer with the widget and strokes on an image."""

    def __init__(self, side: int, threads: int, table: Table) -> None:
        self.table, self.side, self.image = table, side, f"{side}x{side}"
        frame = aurora_frame(0, side)
        self.viewer = napari.Viewer()
        self.viewer.window.resize(1200, 850)
        self.viewer.add_image(np.moveaxis(frame.image, 0, -1), name="aurora", rgb=True)
        self.widget = MainWidget(self.viewer)
        self.viewer.window.add_dock_widget(self.widget, name="Paint and segment")
        self.session = self.widget.session
        self.widget.train_panel.add_brushes()
        for role in ("positive", "negative"):
            self.session.book.member(self.session.image, role).data = getattr(frame, role).astype(np.uint8)
        form = self.widget.train_panel.form
        form.set_value(form.value().changed({"threads": threads}))
        self.paths = paths(frame.negative, 30)
        self.n_painted = self.n_early = 0
        spin(1.0)

    def paint(self) -> None:
        """One more negative stroke, beside those there are; towards the middle, so that none leaves the image."""
        path = self.paths[self.n_painted % len(self.paths)]
        path = path + 10 * (1 + self.n_painted // len(self.paths)) * np.sign(self.side / 2 - path.mean(axis=0))
        paint(self.viewer, canvas_of(self.viewer, self.widget), path)
        self.n_painted += 1

    def report(self, name: str, going, paints: bool = False) -> None:
        """Run the event loop, painting or not, while `going(seconds so far)`; tell the ticks' figures."""
        self.session.book.paint(self.session.image, "negative")
        begin, ticks, n = time.perf_counter(), Ticks(), self.n_painted
        while going(time.perf_counter() - begin):
            if paints:
                self.paint()
            spin(0.05)
        seconds = round(time.perf_counter() - begin, 1)
        self.table.add(self.image, name, **ticks.figures(), strokes=self.n_painted - n, seconds=seconds)

    def train(self, name: str, paints: bool) -> None:
        """Press Train, and report until the results are shown."""
        session, phases, begin = self.session, {}, time.perf_counter()
        self.widget.train_panel.train_button.click()
        session.runner.current.progress.connect(
            lambda progress: phases.setdefault(progress.message, round(time.perf_counter() - begin, 1))
        )
        self.report(name, lambda _: session.runner.current is not None or session.showing, paints)
        print(json.dumps({"phases begin at s": phases}))

    def live(self, n_strokes: int) -> None:
        """Live mode: ticks while painting on and on, ticks and seconds of strokes one by one, seconds to cancel."""
        session = self.session
        session.set_live(True)
        self.report("live, first training", lambda _: not self.complete())
        spin(3.0)
        self.report("live, strokes on and on", lambda seconds: seconds < 10, paints=True)
        answers: list[dict[str, float]] = []

        def going(_seconds: float) -> bool:
            if len(answers) < n_strokes:
                answers.append(self.answer())
            return len(answers) < n_strokes

        self.report("live, strokes one by one", going)
        for figure in ANSWERS:
            values = [answer[figure] for answer in answers if figure in answer]
            known = (
                {"median_s": round(float(np.median(values)), 2), "longest_s": round(max(values), 2)} if values else {}
            )
            self.table.add(self.image, f"live, {figure}", **known, missing=len(answers) - len(values))
        self.table.add(self.image, "live, rounds begun within a stroke", rounds=self.n_early)
        cancels = [self.cancel() for _ in range(5)]
        self.table.add(self.image, "live, cancelled", longest_s=round(max(cancels), 3))

    def complete(self) -> bool:
        """Whether a result is there and shown, of all strokes."""
        session, live = self.session, self.widget.live_panel.live
        return live.state == "done" and not session.result.preview and not session.showing

    def answer(self) -> dict[str, float]:
        """Seconds from the end of a stroke until its result is shown; without what no round has told of.

        A round that began before the stroke was over does not answer it; such rounds are counted.
        """
        session, seen, begin = self.session, {}, None
        before, missing = session.model, np.zeros(session.result.segmentation.mask.shape, bool)
        missing[session.book.window(session.image).slices] = True

        def note(name: str) -> None:
            seen.setdefault(name, time.perf_counter() - begin)

        def progress(report) -> None:
            for part in report.parts:
                note(ANSWERS[0])
                missing[part] = False
            if not missing.any():
                note(ANSWERS[1])

        def connect(job) -> None:
            if begin is not None:
                job.progress.connect(progress)  # after the session, which shows the parts
            elif job.title == LIVE:
                self.n_early += 1

        session.job_started.connect(connect)
        self.paint()
        begin = time.perf_counter()
        while session.model is before or not self.complete() or self.widget.live_panel.live.waiting:
            assert time.perf_counter() < begin + 60, "no answer to a stroke"
            spin(0.002)
        note(ANSWERS[2])
        session.job_started.disconnect(connect)
        return seen

    def cancel(self) -> float:
        """Seconds from cancelling a round of live mode until its thread has ended."""
        session = self.session
        session.set_live(True)
        self.paint()
        painted = time.perf_counter()
        while session.runner.current is None:
            assert time.perf_counter() < painted + 60, "no answer to a stroke"
            spin(0.01)
        job = session.runner.current
        spin(0.3)
        begin = time.perf_counter()
        session.cancel()
        while job.alive:
            spin(0.002)
        return time.perf_counter() - begin


if __name__ == "__main__":
    main()
