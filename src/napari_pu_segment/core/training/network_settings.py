"""Settings that methods share: how images are seen, and which of `NETWORKS` is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..filters import FILTERS
from ..images.intensity import TRANSFORMS, AskedStatistics
from ..networks import NETWORKS
from ..settings import OneOf, advanced, only_if
from .fit import RunSettings, TrainSettings


class SeeingSettings(RunSettings):
    """How a method sees images."""

    intensity: Annotated[str, OneOf(TRANSFORMS)] = advanced(
        default="linear", title="Intensity scale", description="Asinh shows faint sources beside bright ones."
    )
    statistics: AskedStatistics = advanced(
        default="auto",
        title="Intensity statistics",
        description="What intensities are measured by. training: the training images', for ever. image: every image, "
        "stack or series is measured by itself, which helps where exposures differ and hides how bright it is. auto: "
        "image, where strokes on several images tell that exposures differ, else training.",
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


class DeepSettings(SeeingSettings, TrainSettings):
    """Which network is trained, and how: what every table of networks has."""

    network: str
    width: int = advanced(
        default=0,
        ge=0,
        le=512,
        title="Width",
        description="Units of the network's first layers, at least 4; 0 takes what suits the network.",
    )

    @property
    def clusters(self) -> int:
        """`NetworkSpec.clusters`: none, where nothing is clustered."""
        return 0

    @property
    def landmarks(self) -> int:
        """`NetworkSpec.landmarks`."""
        return 0


class NetworkSettings(DeepSettings):
    """Settings of methods that make a segmentation."""

    network: Annotated[str, OneOf(NETWORKS)] = Field(
        "pixel", title="Network", description="The filter bank is best for a few strokes; U-Nets want many, or a GPU."
    )
    filters: Annotated[tuple[Annotated[str, OneOf(FILTERS)], ...], Field(min_length=1)] = advanced(
        default=("gaussian", "gradient", "hessian", "opening"), title="Filters", description="Of the filter bank."
    )
    sigmas_px: Annotated[tuple[Annotated[float, Field(ge=0.3, le=64)], ...], Field(min_length=1, max_length=16)] = (
        advanced(default=(0.7, 1.0, 1.6, 3.5, 5.0, 10.0), title="Scales (px)", description="Sigmas of the filter bank.")
    )
