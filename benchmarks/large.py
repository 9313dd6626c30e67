"""What large images cost: seconds, processor seconds and memory of ``predict`` and ``refine`` on whole files.

The commands run as a user runs them, each in a process of its own, on a synthetic uint16 image of noisy disks as tiled
TIFF and as OME-Zarr. Memory is the resident size of the process and all its children together, looked at every 20 ms.
The time to start (imports, reading the model) is measured on its own and taken off. `--part N` does no more than N
blocks of each step, with outputs of the full size: the memory of an image for which there is no time.

    python benchmarks/large.py --side 512 2048 8192 20000 --csv benchmarks/results/large.csv
    python benchmarks/large.py --side 40000 --part 12
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import psutil
import tifffile

from napari_pu_segment.core.compute.blocks import blocks, predict_block, refine_block
from napari_pu_segment.core.crf import CrfSettings, Refiner
from napari_pu_segment.core.methods.pu import PuSettings
from napari_pu_segment.core.model import load_model, save_model
from napari_pu_segment.core.pipeline import train
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import Sample
from napari_pu_segment.io import create_output, read_image

SUFFIXES = {"tiff": ".tif", "ome-zarr": ".ome.zarr"}
_TILE_PX, _PERIOD_PX = 512, 2048
_COMMAND = [sys.executable, "-m", "napari_pu_segment"]


def scene() -> np.ndarray:
    """One period (Y, X), uint16, of an endless image of noisy disks."""
    from benchmarks.speed import blobs

    image, _ = blobs((_PERIOD_PX, _PERIOD_PX))
    return np.clip(image[0] * 20, 0, 65535).astype(np.uint16)


def make_image(path: Path, side: int) -> None:
    """Write a square image of `side` px, as the suffix says."""
    period = scene()

    def tiles(rows: int) -> Iterator[np.ndarray]:
        for y in range(0, side, rows):
            for x in range(0, side, rows):
                place = [(start % _PERIOD_PX, min(rows, side - start)) for start in (y, x)]
                (a, height), (b, width) = place
                yield period[a : a + height, b : b + width]

    if path.suffix == ".tif":
        whole = (np.pad(t, [(0, _TILE_PX - n) for n in t.shape]) for t in tiles(_TILE_PX))
        form = {"shape": (side, side), "dtype": np.uint16, "tile": (_TILE_PX, _TILE_PX), "photometric": "minisblack"}
        tifffile.imwrite(path, whole, bigtiff=True, metadata=None, **form)
        return
    output, parts = create_output(path, (side, side), np.uint16), tiles(_PERIOD_PX)
    for y in range(0, side, _PERIOD_PX):
        for x in range(0, side, _PERIOD_PX):
            output[y : min(y + _PERIOD_PX, side), x : min(x + _PERIOD_PX, side)] = next(parts)
    output.finish()


def make_model(path: Path, threads: int) -> None:
    """Train on a crop of the scene and write the model."""
    from benchmarks.speed import blobs

    image, labels = blobs((512, 512))
    crop = np.clip(image * 20, 0, 65535).astype(np.uint16)
    save_model(train([Sample(crop, labels)], PuSettings().changed({"threads": threads})), path)


@dataclass(frozen=True)
class Cost:
    """Of one command.

    Parameters
    ----------
    seconds, cpu_s : float
        On the clock, and of processors in it and its children.
    peak_mib : float
        Of the process and its children together.
    """

    seconds: float
    cpu_s: float
    peak_mib: float


def cost(command: Sequence[str]) -> Cost:
    """Run a command and look at its memory.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails.
    """
    start, before, peak = time.perf_counter(), os.times(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, _resident(watched))
            time.sleep(0.02)
    seconds, after = time.perf_counter() - start, os.times()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(seconds, used, peak / 2**20)


def _resident(process: psutil.Process) -> int:
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


def rounds(side: int, form: str, folder: Path, options: argparse.Namespace, startup: Cost) -> list[dict[str, object]]:
    """Rows of one size and format: the median of several rounds of small images, one of large ones."""
    image, model, out = folder / f"image{SUFFIXES[form]}", folder / "model.safetensors", folder / "results"
    make_image(image, side)
    probability, refined = out / f"image_probability{SUFFIXES[form]}", out / f"image_refined{SUFFIXES[form]}"
    if options.part:
        me = [sys.executable, __file__, "--model", str(model), "--image", str(image), "--part", str(options.part)]
        steps = {"predict + refine, in part": [*me, "--folder", str(out)]}
    else:
        steps = {
            "predict": [*_COMMAND, "predict", str(model), str(image), "--out", str(out)],
            "refine": [*_COMMAND, "refine", str(image), str(probability), "--out", str(refined)],
        }
    rows = []
    for step, command in steps.items():
        costs = [cost(command) for _ in range(options.repeats if side <= options.repeat_max else 1)]
        seconds = statistics.median(c.seconds for c in costs) - startup.seconds
        cpu_s = statistics.median(c.cpu_s for c in costs) - startup.cpu_s
        mpx = side * side / 1e6
        row = {"format": form, "side_px": side, "mpx": f"{mpx:.3g}", "step": step, "s": f"{seconds:.1f}"}
        per = {"s_per_mpx": f"{seconds / mpx:.3f}", "cpu_s_per_mpx": f"{cpu_s / mpx:.3f}"}
        rows.append({**row, **per, "peak_mib": f"{max(c.peak_mib for c in costs):.0f}"})
        print(rows[-1], flush=True)
    for path in (image, out):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return rows


def do_part(model_path: Path, image_path: Path, folder: Path, n_blocks: int) -> None:
    """The first blocks of an image, predicted and refined, in outputs of the full size."""
    model, image = load_model(model_path), read_image(image_path).image
    folder.mkdir()
    outs = {
        kind: create_output(folder / f"{kind}{SUFFIXES['ome-zarr']}", image.shape[1:], dtype)
        for kind, dtype in (("probability", np.float32), ("mask", np.uint8), ("refined", np.uint8))
    }
    for block in blocks(model, image.shape, outs)[:n_blocks]:
        run(predict_block(model, image, outs, block))
    with Refiner(image, outs["probability"], CrfSettings()) as refiner:
        for block in refiner.regions(outs["refined"].block_px)[:n_blocks]:
            run(refine_block(refiner, outs["refined"], block))


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, nargs="+", default=[512, 2048], help="sides of the images, px")
    parser.add_argument("--format", nargs="+", choices=list(SUFFIXES), default=list(SUFFIXES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--repeat-max", type=int, default=4096, help="larger images are done once")
    parser.add_argument("--part", type=int, default=0, metavar="N", help="no more than N blocks of each step")
    parser.add_argument("--csv", type=Path, help="write the figures there")
    parser.add_argument("--folder", type=Path, help="where the files are made, and removed again")
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--image", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.model:
        do_part(options.model, options.image, options.folder, options.part)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder, rows = Path(name), []
        make_model(folder / "model.safetensors", options.threads)
        info = [*_COMMAND, "info", str(folder / "model.safetensors")]
        starts = [cost(info) for _ in range(3)]
        startup = Cost(
            *(statistics.median(getattr(c, key) for c in starts) for key in ("seconds", "cpu_s", "peak_mib"))
        )
        print("start", startup)
        for side in options.side:
            for form in options.format:
                rows += rounds(side, form, folder, options, startup)
                if options.csv:
                    write(options.csv, rows)


def write(path: Path, rows: list[dict[str, object]]) -> None:
    """Write the figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
