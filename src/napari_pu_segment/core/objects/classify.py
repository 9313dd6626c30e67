"""Objects told apart without labels: numbers that describe each, and clusters of these; DESCRIPTIONS."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import DTypeLike
from pydantic import Field
from scipy.special import logsumexp

from ..clustering.clusters import ASKED, CLUSTERERS, CLUSTERERS_TOLD, principal
from ..errors import InputError
from ..model import Model
from ..progress import Progress, Ticker, Work, shifted
from ..robust import LEAST, modified_z
from ..samples import Array, check_spatial
from ..settings import OneOf, Settings, advanced, only_if
from ..table import Table
from .encoded import map_means
from .profiles import profile, step_px

_DIMENSIONS = 4  # of the embedding in which clusters are looked for: few, so that some dozens of objects fill them
_CLIP = 3.0  # robust deviations; one odd number must not decide alone
_TRIES = 5  # clusters are looked for so often, begun differently


@dataclass(frozen=True, eq=False)
class Scene:
    """The objects of one image.

    Parameters
    ----------
    image : array, (C, [T,] [Z,] Y, X)
    objects : ndarray of integers, ([T,] [Z,] Y, X)
    table : Table
        What `measure.measure_objects` tells of them, with the image.
    name, axes : str
        Of the image; see `Sample`.
    """

    image: Array
    objects: np.ndarray
    table: Table
    name: str = "The image"
    axes: str = ""


@dataclass(frozen=True, eq=False)
class Classes:
    """What was found about the N objects of some scenes, in the order of their tables.

    Parameters
    ----------
    numbers : ndarray of int64, (N,)
        Their classes, 1..K; class 1 has most objects, but for what fits nowhere, which is the last.
    chances : ndarray, (N, K)
        How likely each is to be of each class.
    embedding : ndarray, (N, D)
        Near each other where objects are alike.
    counts : tuple of int
        Number of objects of each scene.
    odd : bool
        Whether the last class is what fits nowhere.
    """

    numbers: np.ndarray
    chances: np.ndarray
    embedding: np.ndarray
    counts: tuple[int, ...]
    odd: bool = False

    @property
    def titles(self) -> tuple[str, ...]:
        """What each class is called, in a sentence."""
        n_classes = self.chances.shape[1]
        last = (f"class {n_classes}, which fits nowhere",) if self.odd else ()
        return (*(f"class {k}" for k in range(1, n_classes + 1 - len(last))), *last)

    def of_scenes(self) -> list[np.ndarray]:
        """The classes of the objects of each scene, (n,)."""
        return np.split(self.numbers, np.cumsum(self.counts)[:-1])

    def proportions(self) -> np.ndarray:
        """Share of each class among the objects of each scene, (scenes, K); NaN of a scene without objects."""
        n_classes = self.chances.shape[1]
        counts = np.array([np.bincount(part, minlength=n_classes + 1)[1:] for part in self.of_scenes()], np.float64)
        with np.errstate(invalid="ignore"):
            return np.asarray(counts / counts.sum(1, keepdims=True))


@dataclass(frozen=True)
class DescriptionRow:
    """One way to describe objects: a title, and numbers (N, F) of all objects of some scenes together (long work).

    It is given an encoder, too, where there is one.
    """

    title: str
    describe: Callable[[Sequence[Scene], Model | None], Work[np.ndarray]]


def profiles(scenes: Sequence[Scene], _: Model | None = None) -> Work[np.ndarray]:
    """How light is spread in and around each object; see `profiles.profile`."""
    columns = joined(scenes)
    diameters = np.sqrt(columns["area_px"]) if "area_px" in columns else np.cbrt(columns["volume_px"])
    step, ticker = step_px(diameters), Ticker()
    rows: list[np.ndarray] = []
    for scene in scenes:
        for at, centre, label in _places(scene):
            rows.append(profile(scene.image, scene.objects, label, (*at, *centre), step).ravel())
            if ticker.due():
                yield Progress(len(rows), len(diameters), "Looking at objects")
    return np.stack(rows)


def shapes(scenes: Sequence[Scene], _: Model | None = None) -> Work[np.ndarray]:
    """Logarithms of diameter and axes, eccentricity and solidity, as they are measured."""
    columns = joined(scenes)
    lengths = [name for name in columns if name.startswith(("equivalent_diameter_", "major_axis_", "minor_axis_"))]
    yield Progress(0, 1, "Describing objects")
    found = [np.log(np.maximum(columns[name], np.quantile(columns[name], 0.01) + 1e-9)) for name in lengths]
    found += [columns[name] for name in ("eccentricity", "solidity") if name in columns]  # planes have them
    return np.stack(found, 1)


def intensities(scenes: Sequence[Scene], _: Model | None = None) -> Work[np.ndarray]:
    """Mean, largest value and deviation of each channel: arsinh of their robust deviations, as some outshine all."""
    columns = joined(scenes)
    names = [name for name in columns if name.startswith(("mean_", "max_", "std_")) and name != "mean_probability"]
    yield Progress(0, 1, "Describing objects")
    return np.asarray(np.arcsinh(modified_z(np.nan_to_num(np.stack([columns[name] for name in names], 1)))))


def encoded(scenes: Sequence[Scene], encoder: Model | None = None) -> Work[np.ndarray]:
    """Mean of each map of an encoder over the pixels of an object; see `encoded.map_means`.

    Raises
    ------
    InputError
        If there is no encoder, or it cannot see the images.
    """
    if encoder is None:
        raise InputError("Objects are to be described by an encoder, but none is chosen. Load one, or make one.")
    parts: list[np.ndarray] = []
    for i, scene in enumerate(scenes):
        n = len(scene.table)
        places = painted(scene, np.arange(1, n + 1), np.int32)
        work = map_means(encoder, scene.image, places, n, scene.name, scene.axes)
        parts.append((yield from shifted(work, i, len(scenes))))
    return np.concatenate(parts)


DESCRIPTIONS: dict[str, DescriptionRow] = {
    "profiles": DescriptionRow("How their light is spread", profiles),
    "shapes": DescriptionRow("Their size and shape", shapes),
    "intensities": DescriptionRow("Their intensities", intensities),
    "encoder": DescriptionRow("What an encoder tells of them", encoded),
}


class ClassifySettings(Settings):
    """Settings of classes of objects without labels."""

    n_classes: int = only_if(
        other={"clusterer": ASKED},
        default=2,
        ge=2,
        le=12,
        title="Classes",
        description="How many kinds of objects there are.",
    )
    describe: Annotated[tuple[Annotated[str, OneOf(DESCRIPTIONS)], ...], Field(min_length=1)] = advanced(
        default=("profiles",),
        title="Told apart by",
        description=f"What is looked at: {', '.join(DESCRIPTIONS)}.",
    )
    clusterer: Annotated[str, OneOf(CLUSTERERS)] = advanced(
        default="k_means", title="Clusters", description=CLUSTERERS_TOLD
    )
    seed: int = advanced(default=0, ge=0, le=2**31 - 1, title="Seed", description="Same seed, same result.")


def classify(scenes: Sequence[Scene], settings: ClassifySettings, encoder: Model | None = None) -> Work[Classes]:
    """Find classes among all objects of some scenes together, without labels.

    What describes the objects, each number by its robust deviation and cut at 3 of them, is turned to its first four
    principal components: the embedding. There, clusters are looked for; of five tries the one that makes the objects
    most likely is kept. An object's class is the cluster that it most likely belongs to.

    Raises
    ------
    InputError
        If there are too few objects, or the scenes were not measured alike.
    """
    counts = tuple(len(scene.table) for scene in scenes)
    row = CLUSTERERS[settings.clusterer]
    wanted = 2 if row.counts else settings.n_classes
    if sum(counts) < (least := max(LEAST, 5 * wanted)):
        raise InputError(f"There are {sum(counts)} objects; {wanted} classes want {least} or more. Find more objects.")
    scenes = [scene for scene in scenes if len(scene.table)]
    parts = []
    for name in settings.describe:
        parts.append((yield from DESCRIPTIONS[name].describe(scenes, encoder)))
    rows = np.clip(modified_z(np.concatenate(parts, 1)), -_CLIP, _CLIP)
    if not rows.any():
        raise InputError("All objects look the same in what is looked at, so there are no classes.")
    rows = rows - rows.mean(0)
    embedding = rows @ principal(rows, min(_DIMENSIONS, *rows.shape), settings.seed)
    best, odd = None, False
    for attempt in range(_TRIES):
        found = yield from row.find(embedding, settings.n_classes, settings.seed + attempt)
        likely = found.log_densities(embedding)
        if best is None or logsumexp(likely, 1).sum() > logsumexp(best, 1).sum():
            best, odd = likely, found.odd
    assert best is not None
    sizes = np.bincount(best.argmax(1), minlength=best.shape[1])
    sizes[-1] = -1 if odd else sizes[-1]  # what fits nowhere comes last, however much it is
    order = np.argsort(-sizes, kind="stable")
    chances = np.exp(best - logsumexp(best, 1, keepdims=True))[:, order]
    return Classes(chances.argmax(1) + 1, chances, embedding, counts, odd)


def with_classes(table: Table, numbers: np.ndarray) -> Table:
    """A table of objects with their classes (n,) behind their labels: "class", or "class_found" if there is one."""
    columns: dict[str, np.ndarray] = {}
    title = "class_found" if "class" in table.columns else "class"
    for name, column in table.columns.items():
        columns |= {name: column, **({title: numbers} if name == "label" else {})}
    return Table(columns, {**table.units, title: ""})


def painted(scene: Scene, numbers: np.ndarray, dtype: DTypeLike = np.uint8) -> np.ndarray:
    """The class (n,) of each object where it lies, ([T,] [Z,] Y, X); 0 where there is none."""
    found = np.zeros(scene.objects.shape, dtype)
    for at, here in _parts(scene):
        labels, order = np.unique(scene.table.columns["label"][here], return_index=True)
        seen = scene.objects[at]
        places = np.searchsorted(labels, seen).clip(0, len(labels) - 1)
        found[at] = np.where(labels[places] == seen, numbers[here][order][places], 0)
    return found


def true_classes(scene: Scene, truth: np.ndarray) -> np.ndarray:
    """The class (n,) of each object: the number above 0 that most of its pixels have; 0 where none has one.

    Parameters
    ----------
    scene : Scene
    truth : ndarray of integers, ([T,] [Z,] Y, X)

    Raises
    ------
    InputError
        If the shapes differ.
    """
    truth = check_spatial("true classes", truth, scene.objects.shape).astype(np.int64)
    found = np.zeros(len(scene.table), np.int64)
    for at, here in _parts(scene):
        labels, order = np.unique(scene.table.columns["label"][here], return_index=True)
        inside = np.isin(scene.objects[at], labels) & (truth[at] > 0)
        rows = np.flatnonzero(here)[order][np.searchsorted(labels, scene.objects[at][inside])]
        pairs, counts = np.unique(np.stack([rows, truth[at][inside]]), axis=1, return_counts=True)
        for place in np.argsort(counts, kind="stable"):  # the most frequent one comes last
            found[pairs[0, place]] = pairs[1, place]
    return found


def joined(scenes: Sequence[Scene]) -> dict[str, np.ndarray]:
    """The columns of all tables, one below the other.

    Raises
    ------
    InputError
        If the tables have different columns.
    """
    names = list(scenes[0].table.columns)
    if any(list(scene.table.columns) != names for scene in scenes):
        raise InputError("The images differ in channels, planes or unit, so their objects cannot be compared.")
    return {name: np.concatenate([scene.table.columns[name] for scene in scenes]) for name in names}


def _parts(scene: Scene) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    """The frames and planes that were measured on their own, as indices, and which rows (n,) are of each."""
    columns = scene.table.columns
    leads = np.array([columns[name] for name in ("frame", "plane") if name in columns], np.int64)
    for lead in np.unique(leads, axis=1).T if len(leads) else np.zeros((min(len(scene.table), 1), 0), np.int64):
        yield tuple(map(int, lead)), (leads == lead[:, None]).all(0) if len(leads) else np.ones(len(scene.table), bool)


def _places(scene: Scene) -> list[tuple[tuple[int, ...], tuple[float, float], int]]:
    """Of each object the plane of its middle, ([T,] [Z]), its row and column there, and its label."""
    columns = scene.table.columns
    lead = [columns[name] for name in ("frame", "plane", "centroid_z_px") if name in columns]
    rows = zip(columns["centroid_y_px"], columns["centroid_x_px"], columns["label"], *lead, strict=True)
    return [(tuple(round(i) for i in at), (float(y), float(x)), int(label)) for y, x, label, *at in rows]
