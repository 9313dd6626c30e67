"""What the plugin is compared with, each really run on the same images and strokes, with the same threads.

Every row of `PEERS` takes a case and its strokes, and returns a probability and seconds. Classical pixel classifiers
get scikit-image's multi-scale features (intensity, edges and texture at several Gaussian scales), as in ilastik, Labkit
or Trainable Weka. They cannot learn from positive strokes alone; `naive` rows show what comes of calling the rest
background.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from skimage.feature import multiscale_basic_features
from skimage.filters import gaussian, threshold_otsu
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier

from benchmarks import patches32
from benchmarks.cases import MODES, Case
from napari_pu_segment.core.from_strokes import from_strokes
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.pipeline import segment
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import IGNORE, NEGATIVE, POSITIVE, Sample

SIGMAS_PX = (0.5, 4.0)  # of the pixel classifiers' 16 features: better on real images than (1, 8) and (0.5, 16)


@dataclass(frozen=True)
class Job:
    """One case, and how it is to be done.

    Parameters
    ----------
    case : Case
    mode : {"positive", "both"}
    prior : float or None
        The class prior that methods are told; None: they find it.
    threads : int
    settings : dict
        Further settings of our method.
    """

    case: Case
    mode: str
    prior: float | None
    threads: int = 1
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def labels(self) -> np.ndarray:
        """Label codes (Y, X)."""
        return self.case.labels(self.mode)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a method made of a job: probability (Y, X), its own threshold, the prior it used (or nan), seconds."""

    probability: np.ndarray
    train_s: float
    predict_s: float
    threshold: float = 0.5
    prior: float = float("nan")


@dataclass(frozen=True)
class Peer:
    """One row: a title, which strokes it can learn from, whether it is told the prior, and whether it is slow."""

    title: str
    run: Callable[[Job], Outcome]
    modes: tuple[str, ...] = MODES
    uses_prior: bool = False
    slow: bool = False


class Stopwatch:
    """Seconds since it was made, or since the last lap."""

    def __init__(self) -> None:
        self._begin = time.perf_counter()

    def lap(self) -> float:
        """Seconds since the last lap."""
        begin, self._begin = self._begin, time.perf_counter()
        return self._begin - begin


def toy_job(n_channels: int = 1, mode: str = "both", threads: int = 1) -> Job:
    """A tiny job, 64 px wide and easy: what runs first pays for imports and compilers, and shall not be timed."""
    truth = np.indices((64, 64))[0] < 20
    image = np.random.default_rng(0).normal(5 * truth, 1, (n_channels, 64, 64)).astype(np.float32)
    strokes = np.zeros((64, 64), np.uint8)
    strokes[5:10, 5:60], strokes[40:45, 5:60] = POSITIVE, NEGATIVE
    return Job(Case("toy", "toy", 0, image, strokes, truth, np.ones_like(truth)), mode, 0.3, threads)


def ours(**fixed: Any) -> Callable[[Job], Outcome]:
    """The plugin's method, with some settings fixed for a comparison."""

    def outcome(job: Job) -> Outcome:
        values = {**job.settings, **fixed, "threads": job.threads}
        if job.prior is not None:
            values |= {"prior": "fixed", "class_prior": job.prior}
        settings, watch = METHODS["pu"].settings().changed(values), Stopwatch()
        model = run(METHODS["pu"].train([Sample(job.case.image, job.labels)], settings))
        train_s = watch.lap()
        result = run(segment(model, job.case.image, labels=job.labels))
        return Outcome(result.probability, train_s, watch.lap(), result.threshold, model.card.class_prior)

    return outcome


def grown(method: str) -> Callable[[Job], Outcome]:
    """A method of the plugin that trains nothing, with its defaults; all its seconds count as prediction."""

    def outcome(job: Job) -> Outcome:
        watch = Stopwatch()
        found = from_strokes(Sample(job.case.image, job.labels), METHODS[method].settings())
        return Outcome(found.probability, 0.0, watch.lap(), found.threshold)

    return outcome


def features(image: np.ndarray) -> np.ndarray:
    """Multi-scale features (pixels, F) of an image (C, Y, X)."""
    maps = multiscale_basic_features(
        np.moveaxis(image, 0, -1).astype(np.float32),
        sigma_min=SIGMAS_PX[0],
        sigma_max=SIGMAS_PX[1],
        workers=1,
        channel_axis=-1,
    )
    return maps.reshape(-1, maps.shape[-1])


def pixel_classifier(make: Callable[[int], Any], naive: bool = False) -> Callable[[Job], Outcome]:
    """A scikit-learn classifier on `features`; naive: as many random unlabelled pixels are its background."""

    def outcome(job: Job) -> Outcome:
        watch, codes, model = Stopwatch(), job.labels.ravel(), make(job.threads)
        rows = features(job.case.image)
        positive, negative = np.flatnonzero(codes == POSITIVE), np.flatnonzero(codes == NEGATIVE)
        if naive:
            rest = np.flatnonzero((codes != POSITIVE) & (codes != IGNORE))
            negative = np.random.default_rng(0).choice(rest, min(len(positive), len(rest)), replace=False)
        chosen = np.concatenate([positive, negative])
        model.fit(rows[chosen], codes[chosen] == POSITIVE)
        train_s = watch.lap()
        probability = model.predict_proba(rows)[:, 1].reshape(job.labels.shape).astype(np.float32)
        return Outcome(probability, train_s, watch.lap())

    return outcome


def otsu(job: Job) -> Outcome:
    """Otsu's threshold of the slightly smoothed mean intensity; objects are on the side of the positive strokes."""
    watch = Stopwatch()
    grey = gaussian(job.case.image.astype(np.float32).mean(0), 1)
    grey = (grey - grey.min()) / max(float(np.ptp(grey)), 1e-12)
    threshold = float(threshold_otsu(grey))
    bright = np.median(grey[job.labels == POSITIVE]) > threshold
    probability = (grey if bright else 1 - grey).astype(np.float32)
    return Outcome(probability, 0.0, watch.lap(), threshold if bright else 1 - threshold)


def patch_network(published: bool) -> Callable[[Job], Outcome]:
    """The classifier of 32 px patches that the aurora study used, see `patches32`."""

    def outcome(job: Job) -> Outcome:
        watch = Stopwatch()
        prior = patches32.PUBLISHED_PRIOR if published else job.prior or job.case.class_prior
        network = patches32.train(job.case.image, job.labels, prior, published)
        train_s = watch.lap()
        return Outcome(patches32.predict(network, job.case.image), train_s, watch.lap(), prior=prior)

    return outcome


def forest(threads: int) -> RandomForestClassifier:
    return RandomForestClassifier(100, n_jobs=threads, random_state=0)


def _extra_trees(threads: int) -> ExtraTreesClassifier:
    return ExtraTreesClassifier(100, n_jobs=threads, random_state=0)


def _boosting(threads: int) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(random_state=0)  # its threads are OpenMP's


_BOTH = ("both",)
_POSITIVE = ("positive",)
_NO_PRIOR = {"prior": "fixed", "class_prior": 0.5, "weighting": "balanced", "threshold": "half"}

PEERS: dict[str, Peer] = {
    "ours": Peer("napari-pu-segment", ours(), uses_prior=True),
    "forest": Peer("random forest", pixel_classifier(forest), _BOTH),
    "extra_trees": Peer("extra trees", pixel_classifier(_extra_trees), _BOTH),
    "boosting": Peer("gradient boosting", pixel_classifier(_boosting), _BOTH),
    "naive_forest": Peer("random forest, unlabelled = negative", pixel_classifier(forest, naive=True), _POSITIVE),
    "naive": Peer("our network, unlabelled = negative", ours(risk="pu_naive", **_NO_PRIOR), _POSITIVE),
    "pn": Peer("our network, PN risk", ours(risk="pn", **_NO_PRIOR), _BOTH),
    "random_walker": Peer("random walker, no training", grown("random_walker"), _BOTH),
    "watershed": Peer("watershed, no training", grown("watershed"), _BOTH),
    "otsu": Peer("Otsu's threshold", otsu, _POSITIVE),
    "patches_published": Peer("32 px patches, losses as published", patch_network(True), slow=True),
    "patches_corrected": Peer("32 px patches, losses corrected", patch_network(False), slow=True),
}
