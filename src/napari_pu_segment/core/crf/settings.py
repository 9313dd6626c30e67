"""Settings of the dense CRF, and presets of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from ..settings import OneOf, Settings, advanced
from .backends import BACKENDS


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
