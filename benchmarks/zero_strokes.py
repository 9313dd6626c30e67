"""Segmentation without strokes, against Otsu's threshold and K-means of intensities.

    python benchmarks/zero_strokes.py FOLDER [--seeds 5] [--ways cluster otsu] [--out FILE.csv]

FOLDER holds cases with images/ and truth/. Every image is on its own: what is found in it knows no other. No way knows
the truth, nor which side of a threshold is meant: it is the smaller one, for all of them. `accepted` are strokes made
of the surest parts of what `cluster` found, learnt from by positive-unlabelled training with its defaults. `encoder`
looks for clusters through an encoder that learnt from this image alone, by 300 steps of SimCLR.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from skimage.filters import threshold_otsu
from sklearn.cluster import KMeans

from napari_pu_segment.core.clustering.proposal import sure_strokes
from napari_pu_segment.core.clustering.settings import ClusterSettings
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import Model
from napari_pu_segment.core.pipeline import predict
from napari_pu_segment.core.pretraining.settings import PretrainSettings
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import Sample
from napari_pu_segment.core.training.pu_settings import PuSettings
from napari_pu_segment.io import read_image

CASES = ("nuclei_fluo", "phase_t98g", "em_vnc_3d")
COLUMNS = ("case", "image", "seed", "way", "dice", "seconds")
Way = Callable[[np.ndarray, int], np.ndarray]


def smaller(mask: np.ndarray) -> np.ndarray:
    """The side of a mask that covers less."""
    return mask if mask.mean() <= 0.5 else ~mask


def otsu(image: np.ndarray, seed: int) -> np.ndarray:
    """Otsu's threshold of the intensities."""
    return smaller(image[0] > threshold_otsu(image[0]))


def k_means(image: np.ndarray, seed: int) -> np.ndarray:
    """K-means of the intensities, K = 2, begun four times."""
    rows = image.reshape(len(image), -1).T.astype(np.float64)
    seen = np.random.default_rng(seed).integers(len(rows), size=20_000)
    found = KMeans(2, n_init=4, random_state=seed).fit(rows[seen])
    return smaller(found.predict(rows).reshape(image.shape[1:]) == 1)


def clustered(image: np.ndarray, seed: int, encoder: Model | None = None, **settings: object) -> np.ndarray:
    """The probability that the method `cluster` gives."""
    chosen = ClusterSettings(threads=1, seed=seed).changed(settings)
    return predict(run(METHODS["cluster"].train([Sample(image)], chosen, start=encoder)), image)


def through_encoder(image: np.ndarray, seed: int) -> np.ndarray:
    """Clusters looked for through an encoder of the image."""
    settings = PretrainSettings(threads=1, seed=seed, n_steps=300)
    return clustered(image, seed, run(METHODS["pretrain"].train([Sample(image)], settings))) >= 0.5


def accepted(image: np.ndarray, seed: int) -> np.ndarray:
    """Strokes made of the surest parts of what was found, and a PU training on them."""
    codes = sure_strokes(clustered(image, seed), 0.5)
    model = run(METHODS["pu"].train([Sample(image, codes)], PuSettings(threads=1, seed=seed)))
    return predict(model, image) >= 0.5


WAYS: dict[str, Way] = {
    "otsu": otsu,
    "k_means": k_means,
    "cluster": lambda image, seed: clustered(image, seed) >= 0.5,
    **{
        f"cluster {name}": lambda image, seed, name=name: clustered(image, seed, clusterer=name) >= 0.5  # type: ignore[misc]
        for name in ("k_means", "spectral", "dbscan")
    },
    **{
        f"{network} {loss}": lambda image, seed, network=network, loss=loss: (  # type: ignore[misc]
            clustered(image, seed, network=network, latent_loss=loss) >= 0.5
        )
        for network in ("autoencoder", "hypercolumns")
        for loss in ("none", "kl", "two_peaks", "weighted_peaks")
    },
    "encoder": through_encoder,
    "accepted": accepted,
}


def images_of(folder: Path, planes: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, image (C, [Z,] Y, X) and truth ([Z,] Y, X) of every image; of a stack so many planes, or all for 0."""
    for path in sorted((folder / "images").iterdir()):
        truth = next((folder / "truth").glob(path.stem + ".*"))
        image, mask = np.asarray(read_image(path).image), np.asarray(read_image(truth).image[0]) > 0
        if image.ndim == 4 and planes:
            kept = np.linspace(0, image.shape[1] - 1, planes).round().astype(int)
            image, mask = image[:, kept], mask[kept]
        yield path.stem, image, mask


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    """Overlap of two masks."""
    return float(2 * (found & truth).sum() / max(found.sum() + truth.sum(), 1))


def main() -> None:
    """Measure, print the means and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cases", nargs="*", default=CASES)
    parser.add_argument("--ways", nargs="*", default=list(WAYS))
    parser.add_argument("--planes", type=int, default=4, help="of a stack; 0: all")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/zero_strokes.csv"))
    given = parser.parse_args()
    rows: list[tuple[object, ...]] = []
    for case in given.cases:
        for name, image, truth in images_of(given.folder / case, given.planes):
            for way in given.ways:
                for seed in range(given.seeds):
                    began = time.process_time()
                    score = dice(WAYS[way](image, seed), truth)
                    rows.append((case, name, seed, way, round(score, 4), round(time.process_time() - began, 2)))
                    with open(given.out, "w", newline="") as handle:
                        csv.writer(handle).writerows([COLUMNS, *rows])
        for way in given.ways:
            part = [row for row in rows if row[0] == case and row[3] == way]
            means = [np.mean([float(str(row[4])) for row in part if row[2] == seed]) for seed in range(given.seeds)]
            seconds = np.median([float(str(row[5])) for row in part])
            spread = f"({min(means):.3f} to {max(means):.3f})"
            print(f"{case:12s} {way:24s} Dice {np.mean(means):.3f} {spread}, {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
