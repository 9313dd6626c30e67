"""Simulated brush strokes of several kinds, from a true mask.

A person's strokes are no random sample of the objects' pixels: they sit in the middle, on few objects, and neighbouring
pixels of a stroke say nearly the same. So every simulator paints strokes, each on one connected part of a region that
is chosen at random, and none leaves its region. The same seed gives the same strokes.

    centre_line   follows the centre line of a part, 25 px on objects and 40 px on background (the kind that figures are
                  quoted for)
    short, long   free-hand scribbles that wander inside a part: about 8 px, and about 80 px
    dots          a click of the brush somewhere in a part
    edge          follows the inner rim of a part, 25 px: the worst case, strokes where the two classes meet
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import skeletonize

from napari_pu_segment.core.samples import NEGATIVE, POSITIVE, UNLABELED

Line = Callable[[np.ndarray, np.random.Generator, float], np.ndarray]
"""From a part (Y, X) bool and a length in px to the pixels (Y, X) bool that the tip of the brush passes."""


def _near(candidates: np.ndarray, rng: np.random.Generator, length_px: float) -> np.ndarray:
    """The connected piece of `candidates` around one of them, chosen at random, at most `length_px` across."""
    ys, xs = np.nonzero(candidates)
    k = rng.integers(len(ys))
    near = (ys - ys[k]) ** 2 + (xs - xs[k]) ** 2 <= (length_px / 2) ** 2
    line = np.zeros(candidates.shape, bool)
    line[ys[near], xs[near]] = True
    pieces = label(line, connectivity=2)
    return pieces == pieces[ys[k], xs[k]]


def centre_line(part: np.ndarray, rng: np.random.Generator, length_px: float) -> np.ndarray:
    """Along the skeleton of the part."""
    skeleton = skeletonize(part)
    return _near(skeleton if skeleton.any() else part, rng, length_px)


def edge(part: np.ndarray, rng: np.random.Generator, length_px: float) -> np.ndarray:
    """Along the rim of the part, from inside; the border of the image is no rim."""
    rim = part & ~ndimage.binary_erosion(part, border_value=1)
    return _near(rim if rim.any() else part, rng, length_px)


def scribble(part: np.ndarray, rng: np.random.Generator, length_px: float) -> np.ndarray:
    """A wandering line: steps of one pixel whose heading drifts, and turns where the part ends."""
    line = np.zeros(part.shape, bool)
    place = np.argwhere(part)[rng.integers(int(part.sum()))].astype(float)
    heading = rng.uniform(0, 2 * np.pi)
    for _ in range(max(1, round(length_px))):
        line[tuple(np.rint(place).astype(int))] = True
        for turn in (0.2, 1.0, np.pi):  # straight on, else turn, else anywhere
            angle = heading + rng.normal(0, turn)
            step = place + np.array([np.sin(angle), np.cos(angle)])
            y, x = np.rint(step).astype(int)
            if 0 <= y < part.shape[0] and 0 <= x < part.shape[1] and part[y, x]:
                place, heading = step, angle
                break
    return line


def dot(part: np.ndarray, rng: np.random.Generator, length_px: float) -> np.ndarray:
    """One pixel of the part; the brush makes a dot of it."""
    return scribble(part, rng, 1)


SIMULATORS: dict[str, tuple[Line, float, float]] = {  # line, length in px on objects, and on background
    "centre_line": (centre_line, 25, 40),
    "short": (scribble, 8, 8),
    "long": (scribble, 80, 80),
    "dots": (dot, 1, 1),
    "edge": (edge, 25, 40),
}


def paint(region: np.ndarray, n: int, rng: np.random.Generator, line: Line, length_px: float) -> np.ndarray:
    """`n` strokes (Y, X) bool, three pixels wide, inside a region (Y, X) bool; nothing where the region is empty."""
    painted = np.zeros(region.shape, bool)
    parts = label(region)
    boxes = [tuple(slice(max(0, s.start - 1), s.stop + 1) for s in box) for box in ndimage.find_objects(parts)]
    for _ in range(n if boxes else 0):
        k = rng.integers(len(boxes))
        part = parts[boxes[k]] == k + 1
        stroke = line(part, rng, length_px)
        painted[boxes[k]] |= ndimage.binary_dilation(stroke, iterations=1) & part
    return painted


def simulate(
    truth: np.ndarray,
    valid: np.ndarray | None = None,
    *,
    n: int = 6,
    seed: int = 0,
    simulator: str = "centre_line",
) -> np.ndarray:
    """Strokes on objects and on background.

    Parameters
    ----------
    truth : ndarray of bool, (Y, X)
    valid : ndarray of bool, (Y, X), optional
        Nothing is painted outside.
    n : int
        Strokes of each kind.
    seed : int
    simulator : str
        A row of `SIMULATORS`.

    Returns
    -------
    ndarray of uint8, (Y, X)
        Codes 0 unlabelled, 1 positive, 2 negative.
    """
    line, on_objects_px, on_background_px = SIMULATORS[simulator]
    rng = np.random.default_rng(seed)
    inside = np.ones(truth.shape, bool) if valid is None else valid.astype(bool)
    codes = np.full(truth.shape, UNLABELED, np.uint8)
    codes[paint(truth.astype(bool) & inside, n, rng, line, on_objects_px)] = POSITIVE
    codes[paint(~truth.astype(bool) & inside, n, rng, line, on_background_px)] = NEGATIVE
    return codes
