"""Dense CRF refinement: snap probabilities to the image's edges. The only user of pydensecrf, in a child process.

Energy (Kraehenbuehl & Koltun 2011, NeurIPS): unary -log p; Potts pairwise terms with a Gaussian kernel over positions
(smoothness) and a bilateral kernel over positions and intensities (appearance); mean-field inference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Any, TypeAlias

import numpy as np
from pydantic import Field, field_validator

from . import crf_grid
from .crf_child import in_child, serve
from .crf_prepare import Problem, guide, object_width_px, unary
from .errors import InputError
from .progress import Progress, Work
from .samples import IGNORE, Array, Sample
from .settings import OneOf, Settings, advanced

_WIDTH_SHARE, _WIDTH_RANGE_PX = 0.15, (2.0, 20.0)  # automatic bilateral width: this share of the object width

Backend: TypeAlias = Callable[[Problem, "CrfSettings"], Iterator[np.ndarray]]
"""Yields the positive probability ([Z,] Y, X), float32, after each step."""


def _grid(problem: Problem, settings: CrfSettings) -> Iterator[np.ndarray]:
    kernels = []
    if settings.gaussian_weight:
        kernels.append((settings.gaussian_weight, crf_grid.gaussian(settings.gaussian_width_px)))
    if settings.bilateral_weight:
        kernel = crf_grid.bilateral(problem.guide, problem.bilateral_width_px, settings.bilateral_intensity_width)
        kernels.append((settings.bilateral_weight, kernel))
    return crf_grid.mean_field(problem.logit, kernels, settings.steps)


def _pydensecrf(problem: Problem, settings: CrfSettings) -> Iterator[np.ndarray]:
    from pydensecrf.densecrf import DenseCRF

    shape = problem.logit.shape
    score = problem.logit.ravel()
    crf = DenseCRF(score.size, 2)
    energies = np.stack([np.logaddexp(0, score), np.logaddexp(0, -score)])  # -log(1 - p), -log p
    crf.setUnaryEnergy(np.ascontiguousarray(energies, dtype=np.float32))
    positions = np.indices(shape, dtype=np.float32).reshape(len(shape), -1)
    if settings.gaussian_weight:
        crf.addPairwiseEnergy(positions / np.float32(settings.gaussian_width_px), compat=settings.gaussian_weight)
    if settings.bilateral_weight:
        looks = problem.guide.reshape(len(problem.guide), score.size) / np.float32(settings.bilateral_intensity_width)
        features = np.concatenate([positions / np.float32(problem.bilateral_width_px), looks])
        crf.addPairwiseEnergy(np.ascontiguousarray(features), compat=settings.bilateral_weight)
    q, buffer, other_buffer = crf.startInference()
    for _ in range(settings.steps):
        crf.stepInference(q, buffer, other_buffer)
        yield np.array(q, dtype=np.float32)[1].reshape(shape)


BACKENDS: dict[str, Backend] = {"pydensecrf": _pydensecrf, "grid": _grid}


class CrfSettings(Settings):
    """Settings of the dense CRF."""

    bilateral_width_px: float = Field(
        default=0.0,
        ge=0,
        le=500,
        title="Bilateral width (px, 0 = automatic)",
        description="How far apart two pixels of similar colour still influence each other: the standard deviation of "
        "the bilateral kernel over positions. 0 follows the size of the objects: 0.15 times the mean object "
        "width in the unrefined mask, at least 2 and at most 20 px.",
    )
    bilateral_intensity_width: float = Field(
        default=13.0,
        ge=1,
        le=255,
        title="Bilateral intensity width (0..255)",
        description="How different two pixels may look and still influence each other: the standard deviation of the "
        "bilateral kernel over intensities, on a scale where the image's 1st and 99.5th percentile are 0 and 255. "
        "Smaller values follow faint edges.",
    )
    bilateral_weight: float = Field(
        default=4.0,
        ge=0,
        le=100,
        title="Bilateral weight",
        description="How strongly similar pixels pull each other to the same side. 0 turns this kernel off.",
    )
    gaussian_width_px: float = Field(
        default=1.5,
        ge=0.5,
        le=100,
        title="Gaussian width (px)",
        description="Standard deviation of the Gaussian kernel, which smooths outlines and removes specks "
        "whatever the image shows.",
    )
    gaussian_weight: float = Field(
        default=2.0,
        ge=0,
        le=100,
        title="Gaussian weight",
        description="How strongly near pixels pull each other to the same side. 0 turns this kernel off.",
    )
    steps: int = Field(
        default=5,
        ge=1,
        le=100,
        title="Steps",
        description="Number of mean-field updates. The time grows with it; after 5 to 10 little changes.",
    )
    unary_confidence: float = advanced(
        default=0.95,
        ge=0.51,
        le=0.9999,
        title="Largest confidence of a probability",
        description="Probabilities are clipped to 1 - this .. this before refining, so that neighbours can still "
        "overrule a pixel that looks certain: the gt_prob of other CRF tools. Painted pixels are not clipped: "
        "they keep their label.",
    )
    planewise: bool = advanced(
        default=True,
        title="Plane by plane",
        description="Refine each plane of a stack on its own, exactly as if it was given alone. Turn off for volumes "
        "whose planes are about as far apart as their pixels: all planes are then refined together.",
    )
    backend: Annotated[str, OneOf({"auto": None, **BACKENDS})] = advanced(
        default="auto",
        title="Backend",
        description="pydensecrf (where it is installed), or grid, the bilateral grid that is always there; their "
        "results agree on about 99.9 % of the pixels. auto takes pydensecrf where it is installed.",
    )

    @field_validator("bilateral_width_px")
    @classmethod
    def _wide_enough(cls, value: float) -> float:
        if 0 < value < 0.5:
            raise ValueError("it must be 0 (automatic) or at least 0.5")
        return value


CRF_PRESETS: dict[str, CrfSettings] = {
    "default": CrfSettings(),
    # There the unary came from hard labels, each taken as right with probability gt_prob = 0.8. Here probabilities
    # stay soft and are clipped to 0.2..0.8: a surer pixel weighs as much as a hard label did, a less sure one less.
    "aurora original": CrfSettings(
        gaussian_width_px=3,
        gaussian_weight=3,
        bilateral_width_px=80,
        bilateral_intensity_width=13,
        bilateral_weight=10,
        steps=5,
        unary_confidence=0.8,
    ),
}


@dataclass(frozen=True, eq=False)
class Refined:
    """The result of refining.

    Parameters
    ----------
    mask : ndarray, ([Z,] Y, X), uint8
        1 where the refined probability reaches one half.
    probability : ndarray, ([Z,] Y, X), float32 in [0, 1]
        Refined probability; one half is the operating threshold.
    backend : str
        Which backend ran: a key of `BACKENDS`.
    """

    mask: np.ndarray
    probability: np.ndarray
    backend: str


def available_backend() -> str:
    """The backend that "auto" takes: "pydensecrf" where it is installed, else "grid"."""
    try:
        return "pydensecrf" if find_spec("pydensecrf.densecrf") else "grid"
    except ModuleNotFoundError:
        return "grid"


def refine(
    image: Array,
    probability: np.ndarray,
    settings: CrfSettings,
    *,
    labels: np.ndarray | None = None,
    threshold: float = 0.5,
) -> Work[Refined]:
    """Refine probabilities with a dense CRF, in a child process; closing the generator ends it at once.

    Parameters
    ----------
    image : array, (C, [Z,] Y, X)
        Intensities of any real dtype and range; pixels that are not finite count as dark.
    probability : ndarray, ([Z,] Y, X), in [0, 1]
    settings : CrfSettings
    labels : ndarray of integers, ([Z,] Y, X), optional
        Codes 0 unlabelled, 1 positive, 2 negative, 3 ignore. Painted pixels keep their label. Ignored pixels
        follow their neighbours while refining and are 0 in the result.
    threshold : float in [0, 1]
        The operating threshold: the probability at which a pixel is undecided.

    Yields
    ------
    Progress
        One step for each mean-field update of each plane.

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
    sample = Sample(image, labels)
    arrays = {"image": np.asarray(image), "probability": _check_probability(probability, sample.spatial_shape)}
    if sample.labels is not None:
        arrays["labels"] = sample.labels
    if not 0 <= threshold <= 1:
        raise InputError(f"The threshold must lie between 0 and 1; it is {threshold}.")
    backend = _installed(settings.backend)
    parameters = {"settings": {**settings.to_dict(), "backend": backend}, "threshold": float(np.float32(threshold))}
    refined = yield from in_child(__spec__.name, arrays, parameters)
    if sample.labels is not None:
        refined[sample.labels == IGNORE] = 0
    mask = (refined >= 0.5).astype(np.uint8)
    return Refined(mask, refined, backend)


def _check_probability(probability: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    probability = np.asarray(probability)
    if probability.shape != shape:
        raise InputError(f"The image measures {shape} pixels but its probabilities {probability.shape}.")
    if probability.dtype.kind not in "buif" or not (probability.min() >= 0 and probability.max() <= 1):
        raise InputError("The probabilities must be finite numbers between 0 and 1.")
    return probability.astype(np.float32)


def _installed(name: str) -> str:
    if name == "auto":
        return available_backend()
    if name == "pydensecrf" and available_backend() != name:
        raise InputError(
            "The CRF backend pydensecrf is not installed. Choose the backend auto or grid, or install it: "
            'pip install "napari-pu-segment[crf]" (this needs a C++ compiler).'
        )
    return name


def _compute(arrays: dict[str, np.ndarray], parameters: dict[str, Any]) -> Work[np.ndarray]:
    settings = CrfSettings(**parameters["settings"])
    probability = arrays["probability"]
    planewise = probability.ndim == 3 and settings.planewise
    result = np.empty_like(probability)
    windows: list[Any] = list(range(len(probability))) if planewise else [...]
    total = len(windows) * settings.steps
    for done, window in enumerate(windows):
        problem = _problem(arrays, window, parameters["threshold"], settings)
        for step, refined in enumerate(BACKENDS[settings.backend](problem, settings), start=1):
            result[window] = refined
            yield Progress(done * settings.steps + step, total, "Refining")
    return result


def _problem(arrays: dict[str, np.ndarray], window: Any, threshold: float, settings: CrfSettings) -> Problem:
    probability = arrays["probability"][window]
    labels = arrays["labels"][window] if "labels" in arrays else None
    scores = unary(probability, labels, threshold, settings.unary_confidence)
    looks = guide(arrays["image"][:, window], settings.bilateral_intensity_width)
    automatic = np.clip(_WIDTH_SHARE * object_width_px(probability, threshold), *_WIDTH_RANGE_PX)
    return Problem(scores, looks, settings.bilateral_width_px or float(automatic))


if __name__ == "__main__":
    serve(_compute)
