"""Objects found at each threshold against those of a truth: which are found, and which of those found are true."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..classes import threshold_mask
from ..coverage import Coverage
from ..curve import Curve, check_truth, no_object, thresholds_over
from ..progress import Work, shifted
from ..samples import IGNORE, alone, checked_axes
from . import ObjectSettings, find_objects

N_SCORES, N_AREAS = 11, 12  # thresholds that are tried


def object_curve(
    probability: np.ndarray,
    truth: np.ndarray,
    coverage: Coverage,
    settings: ObjectSettings,
    *,
    labels: np.ndarray | None = None,
    pixel_size: tuple[float, ...] = (),
    axes: str = "",
) -> Work[Curve]:
    """Sensitivity (completeness) and purity by objects: the objects of the mask at each threshold against a truth.

    Of n objects that are made at a threshold and N of the truth, m of which are found (see `matches`), sensitivity is
    m / N and purity m / n.

    Parameters
    ----------
    probability : ndarray, ([T,] [Z,] Y, X), in [0, 1]
    truth : ndarray of integers, ([T,] [Z,] Y, X)
        Labels of objects, 0 is background. If there is but one label, its connected parts are the objects.
    coverage : Coverage
        Histograms of the probability: they tell which thresholds are worth a try.
    settings : ObjectSettings
        How the objects of a mask are found.
    labels : ndarray of label codes, ([T,] [Z,] Y, X), optional
        There are no objects where pixels are ignored.
    pixel_size, axes
        Of the image, see `find_objects`.

    Yields
    ------
    Progress

    Returns
    -------
    Curve
        Of thresholds in equal steps of the score, and others at which the mask grows by equal factors.

    Raises
    ------
    InputError
        If the shapes differ, or the truth has no object.
    """
    check_truth(probability, truth)
    ignored = None if labels is None else labels == IGNORE
    axes = checked_axes(axes, (1, *probability.shape), "The probability")
    true = yield from _true_objects(truth, ignored, settings, axes)
    n_alone = len(alone(axes[1:], true.shape, settings.planewise)[0])
    n_true, near = int(true.max()), around(true, n_alone)
    thresholds, figures = _tried(coverage), []
    for i, threshold in enumerate(thresholds):
        mask = threshold_mask(probability, float(threshold), labels)
        work = find_objects(mask, settings, probability=probability, ignored=ignored, pixel_size=pixel_size, axes=axes)
        places = middles((yield from shifted(work, i, len(thresholds))), probability)
        hits = matches(places, near)
        figures.append((hits / n_true, hits / len(places) if len(places) else np.nan))
    sensitivity, purity = np.array(figures).T
    return Curve(thresholds, sensitivity, purity, "objects")


def middles(objects: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Middles (n, D) of the objects of a label image with D axes, pixels weighted by their probability."""
    names = np.unique(objects[objects > 0])
    weights = np.where(objects > 0, probability, 0)
    return np.array(ndimage.center_of_mass(weights, objects, names)).reshape(-1, objects.ndim)


def around(truth: np.ndarray, n_alone: int = 0) -> np.ndarray:
    """A label image whose objects are one pixel larger, but not into each other.

    Parameters
    ----------
    truth : ndarray of integers, ([T,] [Z,] Y, X)
    n_alone : int
        Along so many of the first axes nothing grows: what differs in them is of another time, or another plane.
    """
    size = (1,) * n_alone + (3,) * (truth.ndim - n_alone)
    return np.where(truth > 0, truth, ndimage.grey_dilation(truth, size=size))


def matches(places: np.ndarray, near: np.ndarray) -> int:
    """How many objects of a truth are found.

    An object is found if the middle of one that was made lies on it or one pixel beside it, as sources in the sky are
    matched. What finds none, or one that is found already, is false.

    Parameters
    ----------
    places : ndarray, (n, D)
        Middles of what was made, in pixels; see `middles`.
    near : ndarray of integers, D axes
        See `around`.
    """
    at = np.clip(np.round(places).astype(int), 0, np.array(near.shape) - 1)
    hits = near[tuple(at.T)]
    return len(np.unique(hits[hits > 0]))


def _tried(coverage: Coverage) -> np.ndarray:
    """Thresholds (n,), rising; what changes within a narrow range of scores, such as faint sources, is seen, too."""
    even = thresholds_over(coverage, N_SCORES)
    areas = [coverage.threshold_at(area) for area in np.geomspace(1, 0.001, N_AREAS + 2)[1:-1]]
    return np.unique(np.clip([*even, *areas], even[0], even[-1]))


def _true_objects(
    truth: np.ndarray, ignored: np.ndarray | None, settings: ObjectSettings, axes: str
) -> Work[np.ndarray]:
    """Labels of the truth, with others in each plane and time point that is on its own."""
    kept = np.where((truth > 0) if ignored is None else (truth > 0) & ~ignored, truth, 0)
    present = kept[kept > 0]
    if not present.size:
        raise no_object()
    if present.min() == present.max():
        whole = ObjectSettings(min_size_px=1, planewise=settings.planewise, diagonal=settings.diagonal)
        return (yield from find_objects(kept, whole, axes=axes))
    made, count = np.zeros(kept.shape, np.int32), 0
    for window in alone(axes[1:], kept.shape, settings.planewise):
        found, numbers = np.unique(kept[window], return_inverse=True)
        numbers = numbers.reshape(kept[window].shape) + (found[0] > 0)  # 0 is background, be there any or none
        made[window] = np.where(numbers > 0, numbers + count, 0)
        count += int(numbers.max())
    return made
