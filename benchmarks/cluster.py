"""How much faster a batch is on worker processes than one file after the other, and whether the bytes are the same.

    python benchmarks/cluster.py [--workers 2] [--files 24] [--side 1024] [--repeats 3] [--refine] [--csv FILE]
    python benchmarks/cluster.py --kills 100 [--workers 2] [--files 24] [--side 256] [--refine]

Runs of both kinds take turns, each in a process of its own, so that what else the computer does weighs on both alike;
the load average before each run is told. Seconds count from the start of the batch, the start of the workers included,
to its end; "after the start" counts from the moment the workers stand ready. Processor seconds are those of a run and
of all processes it started: on cores that nobody else uses, workers could be faster by at most their number times the
ratio of these. With --kills, batches run until so many workers were killed (SIGKILL) at random moments, 0 to 4 s after
one another, while each batch runs to its end. The exit code is 1 if a byte differs.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import psutil
import tifffile

from benchmarks.hostile_folder import make_model, scene
from napari_pu_segment.batch import BatchSettings, plan, run_batch
from napari_pu_segment.cluster import executor, local
from napari_pu_segment.core.progress import run

FIELDS = ("workers", "repeat", "seconds", "seconds_after_start", "cpu_seconds", "load_before", "sha256")


def make_folder(folder: Path, n_files: int, side: int) -> None:
    """Images of `side` px, tiled from a small scene with new noise, and a model."""
    folder.mkdir(parents=True)
    image = scene(0)
    for i in range(n_files):
        noise = np.random.default_rng(i).normal(0, 9, (side, side))
        large = np.tile(image, (-(-side // image.shape[0]), -(-side // image.shape[1])))[:side, :side]
        tifffile.imwrite(folder / f"image{i:03}.tif", np.clip(large + noise, 0, 255).astype(np.uint8))


def digest(out: Path) -> str:
    """sha256 of the names and bytes of all results."""
    total = hashlib.sha256()
    for path in sorted(out.glob("*.tif")):
        total.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def one_run(model: Path, folder: Path, out: Path, workers: int, refine: bool) -> None:
    """A batch in this process; prints its times as JSON."""
    outputs = ("probability", "mask", "refined") if refine else ("probability", "mask")
    planned = plan(BatchSettings(model=model, folder=folder, out=out, outputs=outputs))
    start = time.perf_counter()
    if not workers:
        begun, report = start, run(run_batch(planned))
    else:
        with local(workers) as pool:
            begun, report = time.perf_counter(), run(run_batch(planned, executor(pool)))
    end = time.perf_counter()
    assert report.counts["ok"] == len(planned.tasks)
    print(json.dumps({"seconds": end - start, "seconds_after_start": end - begun, "sha256": digest(out)}))


def measured(model: Path, folder: Path, out: Path, workers: int, refine: bool) -> dict[str, float | str]:
    """Times of a batch in a process of its own, and the processor time of all that it started."""
    load = os.getloadavg()[0]
    command = [sys.executable, __file__, "--one", model, folder, out, "--workers", workers]
    process = subprocess.Popen([*map(str, command), *(["--refine"] if refine else [])], stdout=subprocess.PIPE)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the run with {workers} workers failed")
    return {**json.loads(said), "cpu_seconds": usage.ru_utime + usage.ru_stime, "load_before": load}


def main() -> None:
    """Measure, print, and compare bytes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--files", type=int, default=24)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--refine", action="store_true")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--one", nargs=3, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one_run(*given.one, given.workers, given.refine)
        return
    rows = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        make_folder(place / "in", given.files, given.side)
        make_model(place / "model")
        if given.kills:
            raise SystemExit(with_kills(place / "model", place / "in", place, given))
        for repeat in range(given.repeats):
            for workers in (0, given.workers):
                out = place / f"{workers}-{repeat}"
                found = measured(place / "model", place / "in", out, workers, given.refine)
                rows.append({"workers": workers, "repeat": repeat, **found})
                print(*(f"{field} {_short(rows[-1][field])}" for field in FIELDS), sep="  ", flush=True)
    if given.csv:
        with given.csv.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, FIELDS)
            writer.writeheader()
            writer.writerows(rows)
    raise SystemExit(_tell(rows, given.workers))


def with_kills(model: Path, folder: Path, place: Path, given: argparse.Namespace) -> int:
    """Run batches and kill their workers; prints how many of the batches have other bytes than a serial one."""
    outputs = ("probability", "mask", "refined") if given.refine else ("probability", "mask")
    run(run_batch(plan(BatchSettings(model=model, folder=folder, out=place / "serial", outputs=outputs))))
    wanted, rng, killed, batches, differing = digest(place / "serial"), random.Random(0), 0, 0, 0
    while killed < given.kills:
        batches += 1
        planned = plan(BatchSettings(model=model, folder=folder, out=place / f"out{batches}", outputs=outputs))
        before = killed
        with local(given.workers) as pool:
            next_s = time.monotonic() + rng.uniform(0, 4)
            for _ in run_batch(planned, executor(pool)):
                if killed < given.kills and time.monotonic() > next_s:
                    killed += _kill_one(rng)
                    next_s = time.monotonic() + rng.uniform(0, 4)
        same = digest(planned.settings.out) == wanted and not list(planned.settings.out.rglob(".part-*"))
        differing += not same
        print(f"batch {batches}: {killed - before} workers killed, {'same bytes' if same else 'DIFFERS'}", flush=True)
    print(f"{killed} workers killed in {batches} batches: {differing} of them differ")
    return 1 if differing else 0


def _kill_one(rng: random.Random) -> int:
    """Kill one of the workers of this process; gives how many that are."""
    children = psutil.Process().children()
    workers = [child for child in children if any("spawn_main" in part for part in _command(child))]
    if not workers:
        return 0
    rng.choice(workers).kill()
    return 1


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _short(value: float | str) -> str:
    return value[:8] if isinstance(value, str) else f"{value:.4g}"


def _tell(rows: list[dict[str, float | str]], workers: int) -> int:
    def median(field: str, n: int) -> float:
        return statistics.median(float(row[field]) for row in rows if row["workers"] == n)

    for field in ("seconds", "seconds_after_start", "cpu_seconds"):
        alone, together = median(field, 0), median(field, workers)
        print(f"{field}: {alone:.1f} alone, {together:.1f} with {workers} workers, ratio {alone / together:.2f}")
    same = len({row["sha256"] for row in rows}) == 1
    print("results: identical" if same else "results: they DIFFER")
    return 0 if same else 1


if __name__ == "__main__":
    main()
