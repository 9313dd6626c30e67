"""What each filter of the bank costs: seconds of computing for each megapixel, at three scales, in planes and volumes.

    python benchmarks/filters.py [--repeats 5] [--csv FILE]

Each filter is computed on its own, with the smoothing that it needs and the rounding of its maps, on one thread; the
quickest of the repeats counts. In a bank filters share the smoothed image.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from napari_pu_segment.core.compute.runtime import set_threads
from napari_pu_segment.core.filters import FILTERS, compute

SIGMAS_PX = (1.0, 4.0, 10.0)
SHAPES = {"plane": (512, 512), "volume": (32, 96, 96)}


def cost(name: str, shape: tuple[int, ...], sigma: float, repeats: int) -> float:
    """Seconds for each megapixel."""
    image, seconds = torch.rand((1, 1, *shape), generator=torch.Generator().manual_seed(0)), []
    for _ in range(repeats):
        began = time.thread_time()
        with torch.inference_mode():
            compute(image, [name], [sigma], dtype=torch.float16)
        seconds.append(time.thread_time() - began)
    return min(seconds) / image.numel() * 1e6


def main() -> None:
    """Measure all, write one row for each, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--csv", type=Path, default=Path("filters.csv"))
    options = parser.parse_args()
    set_threads(1)
    columns = [f"{where} {sigma:g} px" for where in SHAPES for sigma in SIGMAS_PX]
    print("| Filter | " + " | ".join(columns) + " |\n" + "|---" * (len(columns) + 1) + "|")
    with options.csv.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(("filter", *columns))
        for name in FILTERS:
            found = [cost(name, shape, sigma, options.repeats) for shape in SHAPES.values() for sigma in SIGMAS_PX]
            writer.writerow((name, *(f"{one:.4f}" for one in found)))
            handle.flush()
            print(f"| {name} | " + " | ".join(f"{one:.3f}" for one in found) + " |", flush=True)


if __name__ == "__main__":
    main()
