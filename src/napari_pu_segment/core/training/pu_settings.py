"""Settings of positive-unlabelled training."""

from __future__ import annotations

from collections import ChainMap
from typing import Annotated, Literal

from pydantic import Field

from ..losses.pu import RISKS, SURROGATES
from ..settings import OneOf, Settings, advanced, only_if
from .network_settings import NetworkSettings
from .prior import PRIORS
from .threshold import THRESHOLDS

_AUTO = {"auto": "Automatic"}


class CoverSettings(Settings):
    """How much of the images is expected to be objects, and how much of them the mask covers."""

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
    threshold: Annotated[str, OneOf(THRESHOLDS)] = advanced(
        default="plateau", title="Threshold rule", description="How much of the training images the mask covers."
    )


class PuSettings(NetworkSettings, CoverSettings):
    """Settings of positive-unlabelled and positive-negative-unlabelled training."""

    method: Literal["pu"] = Field("pu", title="Method", description="Tag of these settings.")
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
