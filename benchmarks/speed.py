"""Seconds of training, retraining, predicting and refining, and of a random forest on the same features in one run.

    python benchmarks/speed.py [--side 512] [--threads 1] [--repeats 3]

Times are medians over repeats, after imports. The machine's noise cancels in the ratio, which is the figure to quote.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier

from napari_pu_segment.core import filters
from napari_pu_segment.core.crf import CrfSettings
from napari_pu_segment.core.fit import FeatureCache
from napari_pu_segment.core.intensity import normalise
from napari_pu_segment.core.methods.pu import PuSettings, train
from napari_pu_segment.core.model import Model
from napari_pu_segment.core.pipeline import predict, refine
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.runtime import set_threads
from napari_pu_segment.core.samples import NEGATIVE, POSITIVE, Sample


def blobs(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (1, side, side) of noisy disks on a grid, and strokes (side, side) on a dozen of them and between."""
    rng = np.random.default_rng(0)
    y, x = np.indices((side, side))
    truth = ((y % 64 - 32) ** 2 + (x % 64 - 32) ** 2) < 15**2
    image = (truth * 60 + rng.normal(100, 25, (side, side))).astype(np.float32)[None]
    labels = np.zeros((side, side), np.uint8)
    for i in range(4):
        for j in range(3):
            labels[64 * i + 30 : 64 * i + 33, 64 * j + 26 : 64 * j + 38] = POSITIVE
            labels[64 * i : 64 * i + 3, 64 * j + 20 : 64 * j + 44] = NEGATIVE
    return image, labels


def seconds(job: Callable[[], object]) -> float:
    """Time of one call."""
    begin = time.perf_counter()
    job()
    return time.perf_counter() - begin


def once(side: int, settings: PuSettings) -> dict[str, float]:
    """All times of one round, in seconds."""
    image, labels = blobs(side)
    cache, times = FeatureCache(), {}
    fewer = labels.copy()
    fewer[: 64 + 16, :64] = 0  # without the last stroke
    models = []
    times["cold train"] = seconds(lambda: models.append(run(train([Sample(image, fewer)], settings, cache=cache))))
    times["predict"] = seconds(lambda: predict(models[0], image))
    times["retrain after a stroke"] = seconds(
        lambda: models.append(run(train([Sample(image, labels)], settings, cache=cache)))
    )
    probability = predict(models[1], image)
    threshold = models[1].card.threshold
    times["refine"] = seconds(lambda: refine(image, probability, CrfSettings(), threshold=threshold))
    times.update(forest(image, labels, models[1], settings))
    return times


def forest(image: np.ndarray, labels: np.ndarray, ours: Model, settings: PuSettings) -> dict[str, float]:
    """Scikit-learn's forest of 100 trees, and our head, on the same features of the same pixels."""
    maps: list[torch.Tensor] = []

    def features() -> None:
        x = torch.from_numpy(normalise(image, ours.card.intensity))[None]
        maps.append(filters.compute(x, settings.filters, settings.sigmas_px))

    t_features = seconds(features)
    with torch.inference_mode():
        t_head = seconds(lambda: ours.network.head(maps[0]))
    rows, codes = maps[0][0].flatten(1).T.contiguous().numpy(), labels.ravel()
    model = RandomForestClassifier(100, n_jobs=settings.threads, random_state=0)
    t_fit = seconds(lambda: model.fit(rows[codes > 0], codes[codes > 0]))
    t_predict = seconds(lambda: model.predict_proba(rows))
    return {
        "features": t_features,
        "forest: train": t_fit,
        "forest: on the features": t_predict,
        "ours: on the features": t_head,
    }


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, nargs="+", default=[512])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    settings = PuSettings().changed({"threads": arguments.threads})
    set_threads(arguments.threads)
    once(256, settings)  # imports and first calls
    for side in arguments.side:
        rounds = [once(side, settings) for _ in range(arguments.repeats)]
        median = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
        print(f"\n{side} x {side}, {arguments.threads} thread(s), median of {arguments.repeats}")
        for name, value in median.items():
            print(f"  {name:24s} {value:8.3f} s")
        print(f"  {'cold train + predict':24s} {median['cold train'] + median['predict']:8.3f} s")
        print(f"  {'predict, per Mpx':24s} {median['predict'] / side**2 * 1e6:8.3f} s")
        ratios = [r["forest: on the features"] / r["ours: on the features"] for r in rounds]
        whole = [(r["forest: on the features"] + r["features"]) / r["predict"] for r in rounds]
        print(f"  {'forest / ours':24s} {statistics.median(ratios):8.1f} x on the same features")
        print(f"  {'':24s} {statistics.median(whole):8.1f} x with the features counted in")


if __name__ == "__main__":
    main()
