"""How long the viewer stalls while a large image is segmented and its result fills in.

A tiled TIFF of noisy disks is opened as ``napari-pu-segment gui`` opens it, a few strokes are painted on it, and
Train is pressed. A timer of 10 ms ticks on the event loop meanwhile: a tick that comes late is a stall. `own_`
figures are of the computing time of the viewer's thread between two ticks, which a busy machine does not lengthen.
The result is looked at zoomed in and zoomed out, and strokes are painted with mouse events while it fills; then it is
cancelled, and what is there has to stay. The same without a job, in the same run, is the baseline (`idle`, `idle,
painting`).

    python benchmarks/responsive_large.py [--side 20000] [--seconds 60] [--whole] [--csv FILE] [--pictures FOLDER]

Needs a screen with OpenGL, such as Xvfb (see CONTRIBUTING), and disk space: 6 bytes a pixel.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("NAPARI_CONFIG", "")
os.environ.setdefault("NAPARI_PU_SEGMENT_AUTOSAVE", "off")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from benchmarks.large import make_image
from benchmarks.responsiveness import Table, Ticks, spin
from benchmarks.speed import blobs
from napari_pu_segment.gui.main_widget import MainWidget
from napari_pu_segment.gui.start import fill
from napari_pu_segment.io import read_image, read_levels
from tests.mouse import canvas_of, paint

PERIOD_PX = 2048  # of the scene


def main() -> None:
    """Measure and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=20_000, help="side of the image, px")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each scenario")
    parser.add_argument("--threads", type=int, default=0, help="torch threads; 0 as the plugin chooses")
    parser.add_argument("--whole", action="store_true", help="wait for the whole result instead of cancelling")
    parser.add_argument("--csv", type=Path, help="write the figures there")
    parser.add_argument("--pictures", type=Path, help="write screenshots there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "disks.tif"
        make_image(path, options.side)
        desk = Desk(path, options)
        desk.measure()
        desk.viewer.close()
    if options.csv:
        desk.table.write(options.csv)


class Desk:
    """A viewer with the widget, and a large image."""

    def __init__(self, path: Path, options: argparse.Namespace) -> None:
        self.table, self.options, self.image = Table(), options, f"{options.side}x{options.side}"
        self.viewer = napari.Viewer()
        self.viewer.window.resize(1200, 850)
        begin = time.perf_counter()
        fill(self.viewer, [(path.stem, read_image(path))], [read_levels(path)])
        QApplication.processEvents()  # the window is drawn for the first time
        self.table.add(self.image, "opened", seconds=round(time.perf_counter() - begin, 2))
        (self.widget,) = [w for w in self.viewer.window.dock_widgets.values() if isinstance(w, MainWidget)]
        self.session = self.widget.session
        form = self.widget.train_panel.form
        form.set_value(form.value().changed({"threads": options.threads}))
        self.n_painted = 0

    def measure(self) -> None:
        """All scenarios."""
        seconds = self.options.seconds
        self.report("overview fills", lambda passed: self.overviews() and passed < 600)
        self.picture("overview")
        self.look(zoomed_in=True)
        self.strokes()
        self.report("idle", lambda passed: passed < seconds / 3)
        self.report("idle, painting", lambda passed: passed < seconds / 3, paints=True)
        self.train()
        self.report("result fills, zoomed in", lambda passed: passed < seconds)
        self.picture("filling_in")
        self.report("result fills, painting", lambda passed: passed < seconds, paints=True)
        self.look(zoomed_in=False)
        self.report("result fills, zoomed out", lambda passed: passed < seconds)
        self.picture("filling_out")
        running = self.session.runner.current
        assert running is not None, "the whole result was there too soon to measure how it fills"
        if self.options.whole:
            self.report("result fills, to its end", lambda _: self.session.runner.current is running)
        else:
            self.cancel()
        self.picture("end")
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.table.add(self.image, "memory", peak_mb=round(peak_mb))

    def overviews(self) -> bool:
        """Whether coarse copies of the image are still being made."""
        return any(job.running for job in self.session.runner._jobs)

    def look(self, zoomed_in: bool) -> None:
        """Look at a part of the image, pixel by pixel, or at all of it."""
        middle = self.options.side / 2
        if zoomed_in:
            self.viewer.scene.camera.center = (0, middle, middle)
            self.viewer.scene.camera.zoom = 1.0
        else:
            self.viewer.reset_view()
        spin(1.0)

    def strokes(self) -> None:
        """Dabs on a few disks and beside them, in the middle of the image."""
        _, labels = blobs((PERIOD_PX, PERIOD_PX))
        corner = self.options.side // 2 // PERIOD_PX * PERIOD_PX
        rng = np.random.default_rng(0)
        for role, code in (("positive", 1), ("negative", 2)):
            places = np.argwhere(labels == code)
            for place in places[rng.choice(len(places), 8)]:
                self.session.book.stamp(self.session.image, role, corner + place, 3)

    def train(self) -> None:
        """Press Train, and wait until the first part of the result is there."""
        begin = time.perf_counter()
        self.widget.train_panel.train_button.click()
        self.report("training", lambda _: self.session.result is None)
        shown = round(time.perf_counter() - begin, 1)
        missing = self.session.book.window(self.session.image)
        probability = self.session.result.segmentation.probability
        self.report("view fills", lambda _: not np.all(probability[missing.slices] > 0))
        self.table.add(self.image, "view", first_result_s=shown, whole_view_s=round(time.perf_counter() - begin, 1))

    def cancel(self) -> None:
        """Cancel, and see that what is there stays."""
        probability = self.session.result.segmentation.probability
        begin = time.perf_counter()
        job = self.session.runner.current
        self.session.cancel()
        while job.alive:
            spin(0.01)
        seconds, share = time.perf_counter() - begin, len(probability.written) * np.prod(probability.chunks)
        assert self.session.result.segmentation.probability is probability
        assert probability.written
        self.table.add(
            self.image,
            "cancelled",
            seconds=round(seconds, 2),
            percent_there=round(100 * float(share) / probability.size, 1),
        )

    def report(self, name: str, going: Callable[[float], bool], paints: bool = False) -> None:
        """Run the event loop, painting or not, while `going(seconds so far)`; tell the ticks' figures."""
        session = self.session
        session.book.paint(session.image, "negative")
        chunks = len(session.result.segmentation.probability.written) if session.result is not None else 0
        begin, ticks = time.perf_counter(), Ticks()
        while going(time.perf_counter() - begin):
            if paints:
                self.paint()
            spin(0.05)
        seconds = time.perf_counter() - begin
        figures = ticks.figures() if len(ticks.times) > 1 else {}
        filled = 0.0
        if session.result is not None:
            array = session.result.segmentation.probability
            filled = (len(array.written) - chunks) * float(np.prod(array.chunks)) / 1e6
        self.table.add(self.image, name, **figures, seconds=round(seconds, 1), filled_mpx=round(filled, 1))

    def paint(self) -> None:
        """One more negative stroke, of 100 px, somewhere on screen: outside it would drag the docks' borders."""
        canvas = canvas_of(self.viewer, self.widget)
        room = np.array([canvas.height() - 80, canvas.width() - 150])
        start = self.options.side / 2 - room / 2 + np.array([7 * self.n_painted, 20 * self.n_painted]) % room
        path = start + np.linspace(0, 100, 6)[:, None] * np.array([[0.3, 1.0]])
        paint(self.viewer, canvas, path)
        self.n_painted += 1

    def picture(self, name: str) -> None:
        """A screenshot of the window."""
        if self.options.pictures:
            self.options.pictures.mkdir(parents=True, exist_ok=True)
            self.viewer.screenshot(str(self.options.pictures / f"{name}.png"), canvas_only=False, flash=False)
            print(json.dumps({"picture": name, "said": self.widget.status_label.text()}), flush=True)


if __name__ == "__main__":
    main()
