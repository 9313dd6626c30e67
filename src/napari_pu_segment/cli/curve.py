"""Curves of sensitivity and purity as tables, for the commands ``evaluate`` and ``predict``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import InputError
from .support import drive, make_folder

if TYPE_CHECKING:
    import numpy as np

    from ..core.classes import Thresholds
    from ..core.curve import Curve
    from ..core.objects import ObjectSettings
    from ..io import ImageFile


def write_estimated(
    path: Path, probability: Any, mask: Any, labels: Any, limits: Thresholds, own: Thresholds, classes: Sequence[str]
) -> None:
    """Write what is estimated of a result, a class below the other.

    Parameters
    ----------
    path : Path
    probability, mask, labels : array
        Of the image; see `Segmentation` and `Sample`.
    limits, own : float, or a tuple of K
        The thresholds of the mask, and those that the model found.
    classes : sequence of K str
    """
    from ..core.classes import of_class
    from ..core.coverage import measure_coverage
    from ..core.curve import curve_table, estimated_curve

    curves = []
    for index, one in enumerate(_each(probability, limits)):
        coverage = drive(measure_coverage(one, mask, labels), path.name)
        curves.append(estimated_curve(coverage, of_class(own, index)))
    curve_table(curves, classes if len(classes) > 1 else ()).write_csv(path)


def write_measured(
    path: Path, probability: Path, truth: Path, valid: Any, settings: ObjectSettings | None, *, classes: bool
) -> None:
    """Write what a truth says of a probability by pixels, and by objects where their settings are given.

    Parameters
    ----------
    path, probability, truth : Path
    valid : array or None
        Non-zero where pixels count.
    settings : ObjectSettings or None
    classes : bool
        Whether the truth holds numbers of classes, and the probability several.

    Raises
    ------
    InputError
        If these do not fit together.
    """
    import numpy as np

    from ..core.classes import thresholds_of
    from ..core.curve import check_truth, curve_table, no_object
    from ..core.samples import IGNORE
    from ..io import read_probability

    (true, file), chances = _truth(truth), read_probability(probability)
    stacked = len(chances.shape) > len(true.shape)
    if classes != stacked:
        raise InputError(
            "--classes goes with a --probability of several classes, as `predict` writes it, and only then."
        )
    limits = thresholds_of(0.5, len(chances)) if stacked else 0.5
    labels = None if valid is None else np.where(np.asarray(valid), 0, IGNORE).astype(np.uint8)
    numbers = np.unique(true if labels is None else true[labels != IGNORE])
    curves: list[Curve] = []
    names: list[str] = []
    for index, one in enumerate(_each(chances, limits)):
        if stacked and index + 1 not in numbers:
            continue  # nothing of that class can be found or missed
        check_truth(one, true)
        found = _measured(one, true == index + 1 if stacked else true, labels, settings, file, path.name)
        curves += found
        names += [str(index + 1)] * len(found)
    if not curves:
        raise no_object()
    make_folder(path.parent)
    curve_table(curves, names if stacked else ()).write_csv(path)


def _measured(
    probability: Any, truth: Any, labels: Any, settings: ObjectSettings | None, file: ImageFile, title: str
) -> list[Curve]:
    import numpy as np

    from ..core.coverage import measure_coverage
    from ..core.curve import pixel_curve
    from ..core.objects.detections import object_curve

    coverage = drive(measure_coverage(probability, truth, labels, axes=file.axes), title)
    curves = [drive(pixel_curve(probability, truth, coverage, labels), title)]
    if settings is not None:
        whole = np.asarray(probability)
        size = file.pixel_size
        work = object_curve(whole, truth, coverage, settings, labels=labels, pixel_size=size, axes=file.axes)
        curves.append(drive(work, title))
    return curves


def _each(probability: Any, limits: Thresholds) -> Iterator[Any]:
    """The probability ([T,] [Z,] Y, X) of each class, against the likeliest of all else; of a lazy one lazily."""
    import numpy as np

    from ..core.classes import against_rest
    from ..io.lazy import LazyImage, Mapped

    if not isinstance(limits, tuple):
        yield probability
        return
    for index in range(len(limits)):
        against = partial(against_rest, thresholds=limits, index=index)
        if isinstance(probability, LazyImage):
            yield LazyImage.of(Mapped(probability, against, np.float32, "The probability"))
        else:
            yield against(probability)


def _truth(path: Path) -> tuple[np.ndarray, ImageFile]:
    """Labels ([T,] [Z,] Y, X) of a truth, numbered where the file numbers them, and the file."""
    import numpy as np

    from ..io import read_image, read_mask

    file = read_image(path)
    numbered = len(file.image) == 1 and np.dtype(file.image.dtype).kind in "ui"
    return np.asarray(file.image[0] if numbered else read_mask(path)), file
