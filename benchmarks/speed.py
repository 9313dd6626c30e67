"""Seconds and peak memory of training, retraining, predicting and refining, and of random forests in the same run.

    python benchmarks/speed.py [--side 256 512 ... 8192] [--ndim 2 3] [--threads 1] [--repeats 3] [--csv FILE]

Times are medians over repeats, after imports. The machine's noise cancels in the ratios, which are the figures to
quote: the forest and our head see the same features of the same pixels. `forest, own features` is the rival as it is
used, with scikit-image's features. Memory is the process's peak during a step above what it held before (Linux); that
of the refinement, which runs in a process of its own, is the largest such process so far, whole. On a GPU it is torch's
peak. Beyond --forest-max and --refine-max Mpx the slow steps are left out.
"""

from __future__ import annotations

import argparse
import csv
import ctypes
import gc
import resource
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.peers import Stopwatch, features, forest
from napari_pu_segment.core.compute.runtime import set_threads
from napari_pu_segment.core.crf import CrfSettings
from napari_pu_segment.core.images.intensity import normalise
from napari_pu_segment.core.methods.pu import PuSettings, train
from napari_pu_segment.core.model import Model
from napari_pu_segment.core.pipeline import predict, refine
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import NEGATIVE, POSITIVE, Sample
from napari_pu_segment.core.training.fit import FeatureCache

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def blobs(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Image (1, [Z,] Y, X) of noisy disks (or rods) on a grid, and strokes ([Z,] Y, X) on a dozen and between."""
    rng = np.random.default_rng(0)
    y, x = np.ogrid[: shape[-2], : shape[-1]]
    disks = np.broadcast_to((((y % 64 - 32) ** 2 + (x % 64 - 32) ** 2) < 15**2) * np.float32(60), shape)
    image = rng.standard_normal(shape, dtype=np.float32)
    image *= 25
    image += disks + 100
    labels = np.zeros(shape, np.uint8)
    plane = labels if len(shape) == 2 else labels[shape[0] // 2]
    for i in range(4):
        for j in range(3):
            plane[64 * i + 30 : 64 * i + 33, 64 * j + 26 : 64 * j + 38] = POSITIVE
            plane[64 * i : 64 * i + 3, 64 * j + 20 : 64 * j + 44] = NEGATIVE
    return image[None], labels


@dataclass
class Meter:
    """Seconds and, where `memory` is asked for, peak bytes of steps, by name; preparing for the latter costs time."""

    device: torch.device
    memory: bool
    seconds: dict[str, float] = field(default_factory=dict)
    peak_bytes: dict[str, float] = field(default_factory=dict)

    def measure(self, name: str, job: Callable[[], object]) -> None:
        """Do a step."""
        before = self._reset() if self.memory else 0.0
        watch = Stopwatch()
        job()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds[name] = watch.lap()
        if self.memory:
            self.peak_bytes[name] = self._peak() - before

    def _reset(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            return float(torch.cuda.memory_allocated())
        gc.collect()
        if _RESET.exists():
            ctypes.CDLL(None).malloc_trim(0)  # what was freed is given back, else using it again costs nothing
            _RESET.write_text("5")  # the peak starts anew from what is held now
        return _status("VmRSS")

    def _peak(self) -> float:
        return float(torch.cuda.max_memory_allocated()) if self.device.type == "cuda" else _status("VmHWM")


def _status(name: str) -> float:
    """A size of this process in bytes, or nan where the system does not tell."""
    if not _STATUS.exists():
        return float("nan")
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
    return float(line.split()[1]) * 1024


def once(shape: tuple[int, ...], settings: PuSettings, options: argparse.Namespace, memory: bool = False) -> Meter:
    """All steps of one round, on the time or on memory."""
    image, labels = blobs(shape)
    cache, models = FeatureCache(), []
    meter = Meter(torch.device("cuda" if settings.device == "cuda" else "cpu"), memory)
    fewer = labels.copy()
    fewer[..., : 64 + 16, :64] = 0  # without the last stroke
    for name, strokes in (("cold train", fewer), ("retrain after a stroke", labels)):
        sample = Sample(image, strokes)
        meter.measure(name, lambda sample=sample: models.append(run(train([sample], settings, cache=cache))))
    probability = []
    meter.measure("predict", lambda: probability.append(predict(models[1], image)))
    mpx = float(np.prod(shape)) / 1e6
    if mpx <= options.refine_max:
        threshold = models[1].card.threshold
        meter.measure("refine", lambda: refine(image, probability[0], CrfSettings(), threshold=threshold))
        if memory:
            meter.peak_bytes["refine"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024.0
    if len(shape) == 2 and mpx <= options.forest_max:
        forests(image, labels, models[1], settings, meter)
    return meter


def forests(image: np.ndarray, labels: np.ndarray, ours: Model, settings: PuSettings, meter: Meter) -> None:
    """Scikit-learn's forest of 100 trees, and our head, on the same features; and the forest on its own features."""
    maps: list[torch.Tensor] = []

    def stem() -> None:
        x = torch.from_numpy(normalise(image, ours.card.intensity))[None].to(ours.device)
        with torch.inference_mode():
            maps.append(ours.network.stem(x).float())

    def head() -> None:
        with torch.inference_mode():
            ours.network.head(maps[0])

    meter.measure("features", stem)
    meter.measure("ours: on the features", head)
    rows = maps.pop()[0].flatten(1).T.contiguous().cpu().numpy()
    codes, models = labels.ravel(), [forest(settings.threads), forest(settings.threads)]
    meter.measure("forest: train", lambda: models[0].fit(rows[codes > 0], codes[codes > 0]))
    meter.measure("forest: on the features", lambda: models[0].predict_proba(rows))
    own = features(image)
    models[1].fit(own[codes > 0], codes[codes > 0])
    meter.measure("forest, own features", lambda: models[1].predict_proba(features(image)))


RATIOS = {  # of seconds, in one round
    "forest / ours, on the same features": ("forest: on the features", "ours: on the features"),
    "forest / ours, each with its own features": ("forest, own features", "predict"),
}


def show(
    shape: tuple[int, ...], rounds: list[Meter], peaks: dict[str, float], settings: PuSettings
) -> list[dict[str, object]]:
    """Print the medians and ratios of one size, and return them as rows."""
    size = {"shape": "x".join(map(str, shape)), "device": settings.device, "threads": settings.threads}
    print(f"\n{size['shape']}, {settings.threads} thread(s), {settings.device}, median of {len(rounds)}")
    pixels, rows = float(np.prod(shape)), []
    for step in rounds[0].seconds:
        seconds = statistics.median(r.seconds[step] for r in rounds)
        peak = peaks[step]
        sizes = f"{peak / 2**20:8.0f} MiB {peak / pixels:7.0f} B/px"
        print(f"  {step:24s} {seconds:8.3f} s {seconds / pixels * 1e6:8.3f} s/Mpx {sizes}")
        rows.append({**size, "step": step, "s": f"{seconds:.4g}", "peak_mib": f"{peak / 2**20:.0f}"})
    for name, (theirs, ours) in RATIOS.items():
        if theirs in rounds[0].seconds:
            ratio = statistics.median(r.seconds[theirs] / r.seconds[ours] for r in rounds)
            print(f"  {name}: {ratio:.1f} x")
            rows.append({**size, "step": name, "s": f"{ratio:.3g}", "peak_mib": ""})
    return rows


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, nargs="+", default=[512], help="sides of the images, px (from 256)")
    parser.add_argument("--ndim", type=int, nargs="+", choices=[2, 3], default=[2], help="images, stacks, or both")
    parser.add_argument("--planes", type=int, default=16, help="of a stack")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--forest-max", type=float, default=1.1, help="largest image for the forests, Mpx")
    parser.add_argument("--refine-max", type=float, default=4.2, help="largest image or stack to refine, Mpx")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of our method")
    parser.add_argument("--csv", type=Path, help="write the figures there")
    options = parser.parse_args()
    values = {"threads": options.threads, "device": options.device, **dict(pair.split("=", 1) for pair in options.set)}
    settings = PuSettings().changed(values)
    set_threads(options.threads)
    rows = []
    with threadpool_limits(options.threads):
        for ndim in options.ndim:
            sized = settings.changed({"dimensions": "volume"}) if ndim == 3 else settings
            once((256, 256) if ndim == 2 else (4, 256, 256), sized, options)  # imports and first calls
            for side in sorted(options.side):
                shape = (side, side) if ndim == 2 else (options.planes, side, side)
                peaks = once(shape, sized, options, memory=True).peak_bytes
                rows += show(shape, [once(shape, sized, options) for _ in range(options.repeats)], peaks, sized)
    if options.csv:
        options.csv.parent.mkdir(parents=True, exist_ok=True)
        with options.csv.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
