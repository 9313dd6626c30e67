"""Settings of self-supervised pretraining."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..images.intensity import Statistics
from ..networks import ENCODERS
from ..settings import OneOf, advanced
from ..training.network_settings import DeepSettings
from .self_supervised import OBJECTIVES


class PretrainSettings(DeepSettings):
    """Settings of an encoder that learns from images without labels."""

    method: Literal["pretrain"] = Field("pretrain", title="Method", description="Tag of these settings.")
    network: Annotated[str, OneOf(ENCODERS)] = Field(
        "small", title="Encoder", description="The small one serves the filter bank, the U-Net's serves both."
    )
    objective: Annotated[str, OneOf(OBJECTIVES)] = Field(
        "simclr", title="Objective", description="What it is trained to do."
    )
    n_steps: int = Field(
        600,
        ge=0,
        le=1_000_000,
        title="Training steps",
        description="Optimiser steps; more is slower. 0 takes published weights as they are.",
    )
    max_minutes: float = Field(
        0.0,
        ge=0,
        le=100_000,
        title="Minutes at most",
        description="0 takes all steps; else the computer's speed matters.",
    )
    statistics: Statistics = advanced(
        default="image",
        title="Intensity statistics",
        description="What intensities are measured by: each image by itself, or all images together.",
    )
