"""The child process of `crf`: answers one request, for the figures of a plane or for one refined window."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compute.child_process import serve
from ..progress import Progress, Work
from . import CrfSettings
from .backends import BACKENDS
from .prepare import Figures, Problem, figures, guide, unaries, unary


def compute(arrays: dict[str, np.ndarray], parameters: dict[str, Any]) -> Work[np.ndarray]:
    """Refine a window, or measure.

    Parameters
    ----------
    arrays : dict
        ``image`` (C, [Z,] Y, X), ``probability`` ([Z,] Y, X), perhaps ``labels``; to measure, instead of a probability,
        ``sample0``, ``sample1``, ... Where ``threshold`` is a list of K, probabilities are (K, [Z,] Y, X).
    parameters : dict
        ``settings``, ``threshold``, ``origin``, and the ``figures``, or None where the window is all there is.

    Returns
    -------
    ndarray
        The refined probability, of the shape of the given one, float32; or the figures, as the bytes of their JSON.
    """
    settings, threshold = CrfSettings(**parameters["settings"]), parameters["threshold"]
    several = isinstance(threshold, list)
    image, measures = arrays["image"], "probability" not in arrays
    known = Figures(**parameters["figures"]) if parameters.get("figures") else None
    if known is None:
        keys = [f"sample{i}" for i in range(len(arrays) - 1)] if measures else ["probability"]
        widths = settings.bilateral_intensity_width, settings.bilateral_width_px
        parts = [(part, threshold) for part in map(arrays.__getitem__, keys)]
        if several:
            parts = [pair for part, _ in parts for pair in zip(part, threshold, strict=True)]
        known = figures(image, parts, *widths)
    if measures:
        return np.frombuffer(known.model_dump_json().encode(), np.uint8)
    given = arrays["probability"], arrays.get("labels"), threshold, settings.unary_confidence
    scores = unaries(*given) if several else unary(*given)[None]
    origin = tuple(parameters.get("origin") or [0] * (scores.ndim - 1))
    problem = Problem(scores, guide(image, known), known.bilateral_width_px, origin)
    del arrays, image
    refined = scores
    for step, refined in enumerate(BACKENDS[settings.backend](problem, settings), start=1):  # noqa: B007
        yield Progress(step, settings.steps, "Refining")
    return refined if several else refined[0]


if __name__ == "__main__":
    serve(compute)
