"""Results of one image from its strokes alone, by a method that trains nothing: segment, threshold, refine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .classes import Thresholds, threshold_mask
from .crf import CrfSettings, refine
from .errors import InputError, pick
from .methods import METHODS
from .pipeline import Segmentation
from .progress import Work, run
from .samples import Sample
from .settings import Settings


def grow(
    sample: Sample, settings: Settings, *, threshold: Thresholds | None = None, crf: CrfSettings | None = None
) -> Work[Segmentation]:
    """What a method that trains nothing makes of an image and its strokes; see `pipeline.segment`.

    Parameters
    ----------
    sample : Sample
        With the strokes that the method needs.
    settings : Settings
        Of the method.
    threshold : float in [0, 1], optional
        Default: one half.
    crf : CrfSettings, optional

    Raises
    ------
    InputError
        If the method trains a model, or cannot use the strokes or the image.
    """
    name = str(settings.to_dict()["method"])
    method, threshold = pick(METHODS, name, "method"), 0.5 if threshold is None else threshold
    if method.segment is None:
        raise InputError(f"The method {name!r} trains a model. Train it first, and then segment with the model.")
    if len(sample.classes) > 1:
        raise InputError(
            f"The method {name!r} tells objects from background, but no classes, and there are "
            f"{', '.join(sample.classes)}. Choose another method, or leave one class."
        )
    found = yield from method.segment(sample, settings)
    result = Segmentation(
        found.probability, threshold_mask(found.probability, threshold, sample.labels), threshold, doubts=found.doubts
    )
    if crf is None:
        return result
    how: dict[str, Any] = {"labels": sample.labels, "threshold": threshold, "axes": sample.axes}
    refined = yield from refine(sample.image, found.probability, crf, **how)
    return replace(result, refined=refined.mask, refined_by=refined.backend)


def from_strokes(
    sample: Sample, settings: Settings, *, threshold: Thresholds | None = None, crf: CrfSettings | None = None
) -> Segmentation:
    """Segment an image by a method that trains nothing, and wait for it; see `grow`.

    Examples
    --------
    >>> found = from_strokes(sample, METHODS["random_walker"].settings())  # doctest: +SKIP
    """
    return run(grow(sample, settings, threshold=threshold, crf=crf))
