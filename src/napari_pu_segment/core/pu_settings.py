"""Settings of positive-unlabelled training."""

from __future__ import annotations

from collections import ChainMap
from typing import Annotated, Literal

from pydantic import Field

from .filters import FILTERS
from .fit import TrainSettings
from .intensity import TRANSFORMS, Statistics
from .losses.pu import RISKS, SURROGATES
from .networks import NETWORKS
from .prior import PRIORS
from .settings import OneOf, advanced, only_if
from .threshold import THRESHOLDS

_AUTO = {"auto": "Automatic"}


class PuSettings(TrainSettings):
    """Settings of positive-unlabelled and positive-negative-unlabelled training."""

    method: Literal["pu"] = Field("pu", title="Method", description="Tag of these settings.")
    network: Annotated[str, OneOf(NETWORKS)] = Field(
        "pixel", title="Network", description="The filter bank is best for a few strokes; U-Nets want many, or a GPU."
    )
    prior: Annotated[str, OneOf(ChainMap({"fixed": "Fixed"}, PRIORS))] = Field(
        "auto", title="Class prior", description="How the expected positive fraction of the image is found."
    )
    class_prior: float = only_if(
        other={"prior": "fixed"},
        default=0.2,
        gt=0,
        lt=1,
        title="Fixed prior (fraction)",
        description="Positive fraction of the image, used where the prior is fixed. Rather too high than too low.",
    )
    risk: Annotated[str, OneOf(ChainMap(RISKS, _AUTO))] = advanced(
        default="auto", title="Risk", description="Automatic: PNU where there are negative strokes, else nnPU."
    )
    surrogate: Annotated[str, OneOf(ChainMap(SURROGATES, _AUTO))] = advanced(
        default="auto", title="Surrogate loss", description="Automatic: what suits the network."
    )
    weighting: Literal["auto", "balanced", "natural"] = advanced(
        default="auto",
        title="Class weights",
        description="Balanced: the risk weighs objects by the target prior; natural: by the class prior.",
    )
    target_prior: float = advanced(
        default=0.5, gt=0, lt=1, title="Target prior (fraction)", description="Weight of objects when balanced."
    )
    eta: float = advanced(
        default=0.5, ge=-1, le=1, title="Eta (PNU)", description="1: PU only, 0: PN only, -1: NU only."
    )
    beta: float = advanced(default=0.0, ge=0, le=1, title="Beta (nnPU)", description="Tolerance of the clipping.")
    gamma: float = advanced(default=1.0, ge=0, le=1, title="Gamma (nnPU)", description="Step size when clipped.")
    generosity: float = advanced(
        default=1.7,
        ge=0.1,
        le=10,
        title="Generosity",
        description="Training takes the odds of the class prior times this: scores then rank pixels better.",
    )
    threshold: Annotated[str, OneOf(THRESHOLDS)] = advanced(
        default="plateau", title="Threshold rule", description="How much of the training images the mask covers."
    )
    intensity: Annotated[str, OneOf(TRANSFORMS)] = advanced(
        default="linear", title="Intensity scale", description="Asinh shows faint sources beside bright ones."
    )
    statistics: Statistics = advanced(
        default="training",
        title="Intensity statistics",
        description="What intensities are measured by. training: the training images', for ever. image: every image, "
        "stack or series is measured by itself, which helps where exposures differ and hides how bright it is.",
    )
    dimensions: Literal["planes", "volume"] = advanced(
        default="planes",
        title="Stacks",
        description="Each plane on its own, or filters and networks in 3-D. Time points are always on their own.",
    )
    plane_px: float = only_if(
        other={"dimensions": "volume"},
        folded=True,
        default=0.0,
        ge=0,
        le=100,
        title="Distance of planes (px)",
        description="How many pixels wide the distance between two planes is, for volumes. 0 takes it from the image's "
        "pixel size, or 1 where that is not known; 1 treats planes and pixels alike.",
    )
    filters: Annotated[tuple[Annotated[str, OneOf(FILTERS)], ...], Field(min_length=1)] = advanced(
        default=("gaussian", "gradient", "hessian", "opening"), title="Filters", description="Of the filter bank."
    )
    sigmas_px: Annotated[tuple[Annotated[float, Field(ge=0.3, le=64)], ...], Field(min_length=1, max_length=16)] = (
        advanced(default=(0.7, 1.0, 1.6, 3.5, 5.0, 10.0), title="Scales (px)", description="Sigmas of the filter bank.")
    )
    width: int = advanced(
        default=0,
        ge=0,
        le=512,
        title="Width",
        description="Units of the network's first layers, at least 4; 0 takes what suits the network.",
    )
