"""Dense CRF refinement: snap probabilities to the image's edges, in a child process, in windows where they are large.

Energy (Kraehenbuehl & Koltun 2011, NeurIPS): unary -log p; Potts pairwise terms with a Gaussian kernel over positions
(smoothness) and a bilateral kernel over positions and intensities (appearance); mean-field inference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from ..classes import Thresholds, leading, threshold_mask, thresholds_of, unnamed
from ..compute.child_process import Child
from ..compute.memory import give_back
from ..compute.regions import Slices, block_sides, regions
from ..errors import InputError
from ..images.sampling import values
from ..progress import Work, shifted
from ..samples import IGNORE, Array, Sample, check_labels
from .backends import BACKENDS as BACKENDS
from .backends import available_backend as available_backend
from .backends import installed
from .prepare import Figures
from .settings import CRF_PRESETS as CRF_PRESETS
from .settings import CrfSettings as CrfSettings
from .windowing import Window, is_whole, overlap, own_ndim, samples, window_sides, windows


@dataclass(frozen=True, eq=False)
class Refined:
    """The result of refining.

    Parameters
    ----------
    mask : array, ([T,] [Z,] Y, X), uint8
        1 where the refined probability reaches one half, or the most probable of several classes; what was given as
        `out`, where it was.
    probability : ndarray, ([T,] [Z,] Y, X), float32 in [0, 1], or None
        Refined probability; one half is the operating threshold. Of several classes `(K, [T,] [Z,] Y, X)`. None where
        the mask was written to an `out`.
    backend : str
        Which backend ran: a key of `BACKENDS`.
    """

    mask: Array
    probability: np.ndarray | None
    backend: str


class Refiner:
    """Refines an image region by region, in one child process; a context manager, which ends the child at once.

    A plane of more than `crf_windows.WHOLE_PX` is refined in windows that read a halo beside them; they depend on its
    shape alone, so that a region's result does not depend on the region. What holds for the whole plane, such as its
    intensity range and the automatic width, is measured once, on a regular grid.

    Parameters
    ----------
    image : array, (C, [T,] [Z,] Y, X)
        Numpy or lazy, of any real dtype and range; pixels that are not finite count as dark.
    probability : array, ([T,] [Z,] Y, X), in [0, 1]
        Numpy or lazy; of several classes `(K, [T,] [Z,] Y, X)`.
    settings : CrfSettings
    labels : array of integers, ([T,] [Z,] Y, X), optional
        See `refine`.
    threshold : float in [0, 1], or a tuple of K for several classes
    axes : str
        See `Sample.axes`.
    figures : mapping, optional
        What is known already of planes or volumes, by their index; see `figures`.

    Raises
    ------
    InputError
        If shapes, values or settings do not fit, or the backend asked for is not installed.
    """

    def __init__(
        self,
        image: Array,
        probability: Array,
        settings: CrfSettings,
        *,
        labels: Array | None = None,
        threshold: Thresholds = 0.5,
        axes: str = "",
        figures: Mapping[tuple[int, ...], Figures] | None = None,
    ) -> None:
        given = threshold if isinstance(threshold, tuple) else (threshold,)
        classes = unnamed(len(given))
        sample = Sample(image, labels if isinstance(labels, np.ndarray) else None, axes=axes, classes=classes)
        self.image, self.probability, self.axes = image, probability, sample.axes
        self.labels = labels if sample.labels is None else sample.labels
        self.shape, self.threshold = sample.spatial_shape, thresholds_of(given, len(given))
        stacked = (len(given), *self.shape) if len(given) > 1 else self.shape
        for array, kind, wanted in ((probability, "probabilities", stacked), (labels, "strokes", self.shape)):
            if array is not None and tuple(array.shape) != wanted:
                raise InputError(f"The image measures {wanted} pixels but its {kind} {tuple(array.shape)}.")
        self._classes = classes
        self.settings, self.backend = settings, installed(settings.backend)
        self._parameters = {
            "settings": {**settings.to_dict(), "backend": self.backend},
            "threshold": [float(np.float32(one)) for one in given] if len(given) > 1 else float(np.float32(given[0])),
        }
        self.n_own = len(self.shape) - own_ndim(self.axes, settings.planewise)  # leading axes, each on its own
        self._figures = dict(figures or {})
        self._child = Child("napari_pu_segment.core.crf.compute")

    def __enter__(self) -> Refiner:
        self._child.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.__exit__(kind, error, trace)

    def regions(self, *grids: Sequence[int]) -> list[Slices]:
        """Blocks of whole windows, and of whole parts of other grids ([T,] [Z,] Y, X), that cover the image.

        A plane of up to 2048 x 2048 px is one block.
        """
        windows_px = [1] * self.n_own + window_sides(self.shape[self.n_own :])
        return regions(self.shape, block_sides(self.shape, self.n_own, windows_px, *grids))

    def region(self, region: Slices) -> Work[np.ndarray]:
        """Refined probability of a region ([T,] [Z,] Y, X), float32 in [0, 1]; 0 where ignored.

        Of several classes `(K, [T,] [Z,] Y, X)`.

        Raises
        ------
        InputError
            If values do not fit.
        OutOfMemoryError
            If memory does not suffice.
        JobError
            If the child process fails.
        """
        size, of_all = [part.stop - part.start for part in region], leading(self.threshold)
        out = np.empty([*(len(self._classes) for _ in of_all), *size], np.float32)
        own, done = region[self.n_own :], 0
        places = list(np.ndindex(*size[: self.n_own]))
        for place in places:
            index = tuple(part.start + i for part, i in zip(region, place, strict=False))
            known = yield from self.figures(index)
            found = windows(self.shape[self.n_own :], own, self._width_px(known))
            for window in found:
                work = self._window(index, window, known)
                refined = yield from shifted(work, done, len(places) * len(found))
                target, source = overlap(window, own)
                out[(*of_all, *place, *target)] = refined[(*of_all, *source)]
                done += 1
        return out

    def mask_of(self, refined: np.ndarray) -> np.ndarray:
        """Mask ([T,] [Z,] Y, X), uint8, of what `region` gives."""
        return threshold_mask(refined, (0.5,) * len(self._classes) if isinstance(self.threshold, tuple) else 0.5)

    def figures(self, index: tuple[int, ...] = ()) -> Work[Figures | None]:
        """What is measured once of a plane or volume; None of one that is refined in one piece.

        Parameters
        ----------
        index : tuple of int
            Which one: a number for each leading axis, of time and planes, that is on its own.
        """
        shape = self.shape[self.n_own :]
        if is_whole(shape):
            return None
        if index not in self._figures:
            seen = yield from values(self.image[(slice(None), *index)] if index else self.image)
            arrays = {"image": seen[:, None]}
            for i, part in enumerate(samples(shape)):
                arrays[f"sample{i}"] = _checked(self.probability[(*leading(self.threshold), *index, *part)])
            answer = yield from self._child.ask(arrays, self._parameters)
            self._figures[index] = Figures.model_validate_json(answer.tobytes())
        return self._figures[index]

    def _window(self, index: tuple[int, ...], window: Window, known: Figures | None) -> Work[np.ndarray]:
        where: tuple[Any, ...] = (*index, *window.outer)
        probability: np.ndarray = _checked(self.probability[(*leading(self.threshold), *where)])
        arrays = {"image": np.asarray(self.image[(slice(None), *where)]), "probability": probability}
        labels = (
            None
            if self.labels is None
            else check_labels(self.labels[where], probability.shape[-len(window.outer) :], n_classes=len(self._classes))
        )
        if labels is not None:
            arrays["labels"] = labels
        parameters = {
            **self._parameters,
            "origin": [part.start for part in window.outer],
            "figures": None if known is None else known.model_dump(mode="json"),
        }
        refined = yield from self._child.ask(arrays, parameters)
        give_back()
        if labels is not None:
            refined[(..., labels == IGNORE)] = 0
        return refined

    def _width_px(self, known: Figures | None) -> float:
        settings = self.settings
        bilateral = known.bilateral_width_px if known is not None and settings.bilateral_weight else 0.0
        return max(bilateral, settings.gaussian_width_px if settings.gaussian_weight else 0.0)


def refine(
    image: Array,
    probability: Array,
    settings: CrfSettings,
    *,
    labels: Array | None = None,
    threshold: Thresholds = 0.5,
    axes: str = "",
    out: Array | None = None,
) -> Work[Refined]:
    """Refine probabilities with a dense CRF, in a child process; closing the generator ends it at once.

    Parameters
    ----------
    image : array, (C, [T,] [Z,] Y, X)
        Intensities of any real dtype and range, numpy or lazy; pixels that are not finite count as dark.
    probability : array, ([T,] [Z,] Y, X), in [0, 1]
        Numpy or lazy; of several classes `(K, [T,] [Z,] Y, X)`, which are refined together with the background.
    settings : CrfSettings
    labels : array of integers, ([T,] [Z,] Y, X), optional
        Label codes. Painted pixels keep their label. Ignored pixels
        follow their neighbours while refining and are 0 in the result.
    threshold : float in [0, 1], or a tuple of K for several classes
        The operating threshold: the probability at which a pixel is undecided.
    axes : str
        What the axes of the image are; see `Sample.axes`. Time points are refined each on its own.
    out : array, ([T,] [Z,] Y, X), optional
        Where the mask is written, block by block: anything that takes ``out[slices] = block``. Nothing as large as the
        image is then held in memory.

    Yields
    ------
    Progress
        At most ten times a second.

    Returns
    -------
    Refined

    Raises
    ------
    InputError
        If shapes, values or settings do not fit, or the backend asked for is not installed.
    OutOfMemoryError
        If memory does not suffice.
    JobError
        If the child process fails.
    """
    with Refiner(image, probability, settings, labels=labels, threshold=threshold, axes=axes) as refiner:
        shape = refiner.shape
        whole = np.empty(tuple(probability.shape), np.float32) if out is None else None
        mask = np.empty(shape, np.uint8) if out is None else out
        blocks = refiner.regions(getattr(out, "block_px", ()))
        for i, region in enumerate(blocks):
            refined = yield from shifted(refiner.region(region), i, len(blocks))
            mask[region] = refiner.mask_of(refined)
            if whole is not None:
                whole[(*leading(refiner.threshold), *region)] = refined
    return Refined(mask, whole, refiner.backend)


def _checked(probability: Array) -> np.ndarray:
    probability = np.asarray(probability)
    if probability.dtype.kind not in "buif" or not (probability.min() >= 0 and probability.max() <= 1):
        raise InputError("The probabilities must be finite numbers between 0 and 1.")
    return np.asarray(probability, np.float32)
