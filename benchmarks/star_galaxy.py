"""Stars told from galaxies without labels, in synthetic fields whose classes are known exactly.

    python benchmarks/star_galaxy.py [--first 100] [--seeds 10] [--out FILE.csv]

Every field is on its own: its sources are found by the method `cluster`, parted where the probability dips, and put
into two classes, all without a label. An object counts if its middle lies within 3 pixels of a source; its class is
then that of the source. The settings were chosen on the fields of seeds 0 to 5; seeds from 100 on were looked at once.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from napari_pu_segment.core.clustering.settings import ClusterSettings
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.objects import ObjectSettings, find_objects
from napari_pu_segment.core.objects.class_scores import class_scores
from napari_pu_segment.core.objects.classify import ClassifySettings, Scene, classify
from napari_pu_segment.core.objects.measure import measure_objects
from napari_pu_segment.core.pipeline import predict
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import Sample
from napari_pu_segment.synthetic_sky import star_field

FIND = ClusterSettings(intensity="asinh", sigmas_px=(1.6, 3.5), one_sided=True, threads=1)
OBJECTS = ObjectSettings(splitter="probability", min_size_px=10)
WAYS = {
    "default": ClassifySettings(),
    "three classes": ClassifySettings(n_classes=3),
    "gaussians": ClassifySettings(clusterer="gaussians"),
    "spectral": ClassifySettings(clusterer="spectral"),
    "dbscan": ClassifySettings(clusterer="dbscan"),
    "profiles and shapes": ClassifySettings(describe=("profiles", "shapes")),
    "shapes and intensities": ClassifySettings(describe=("shapes", "intensities")),
}
NEAR_PX = 3


def main() -> None:
    """Measure, print the figures and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=100, help="first seed")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/star_galaxy.csv"))
    given = parser.parse_args()
    rows: list[dict[str, object]] = []
    for seed in range(given.first, given.first + given.seeds):
        field = star_field(seed)
        model = run(METHODS["cluster"].train([Sample(field.image)], FIND))
        probability = predict(model, field.image)
        objects = run(find_objects(probability >= model.card.threshold, OBJECTS, probability=probability))
        table = run(measure_objects(objects, field.image))
        middles = np.stack([table.columns["centroid_y_px"], table.columns["centroid_x_px"]], 1)
        away, source = cKDTree(np.stack([field.y, field.x], 1)).query(middles)
        near = away < NEAR_PX
        for way, settings in WAYS.items():
            found = run(classify([Scene(field.image, objects, table)], settings))
            scores = class_scores(found.numbers[near], found.chances[near], field.is_star[source[near]].astype(int))
            counts = {"n_sources": len(field.y), "n_objects": len(table), "n_near": int(near.sum())}
            rows.append({"seed": seed, "way": way, **counts, **{key: round(one, 4) for key, one in scores.items()}})
            print(*rows[-1].values(), flush=True)
    for way in WAYS:
        values = [float(str(row["auc"])) for row in rows if row["way"] == way]
        print(f"{way:24s} AUC mean {np.mean(values):.3f}, least {min(values):.3f}, most {max(values):.3f}")
    with open(given.out, "w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
