"""Segmentation of one image from strokes of both kinds, without training: random walker and watershed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..progress import Work
from ..samples import Sample
from ..seeded import Seeded, SeededSettings, grow

WALKER_MAX_PX = 2**22
"""Its linear system takes about 0.5 kB for each pixel."""

WATERSHED_MAX_PX = 2**25


class RandomWalkerSettings(SeededSettings):
    """Settings of the random walker."""

    method: Literal["random_walker"] = Field("random_walker", title="Method", description="Tag of these settings.")
    beta: float = Field(
        1000.0,
        gt=0,
        le=1e6,
        title="Edge strength",
        description="How hard it is to cross an edge. Larger values follow weaker edges, and are slower.",
    )


class WatershedSettings(SeededSettings):
    """Settings of the watershed."""

    method: Literal["watershed"] = Field("watershed", title="Method", description="Tag of these settings.")


def random_walker(sample: Sample, settings: RandomWalkerSettings) -> Work[Seeded]:
    """The chance that a walker who starts at a pixel, and shuns edges, comes to a positive stroke first.

    It solves ``L x = 0`` with ``x = 1`` on positive and 0 on negative strokes, where L is the Laplacian of the graph
    of neighbouring pixels with weights ``exp(-beta |g_i - g_j|^2 / (10 s sqrt(C) d^2))``: g the normalised intensities
    of C channels, s their standard deviation, d the distance of the pixels (Grady 2006; scikit-image).

    Raises
    ------
    InputError
        If a kind of stroke is missing, or the image is constant or has more than `WALKER_MAX_PX`.
    """
    return (yield from grow(sample, settings, "The random walker", WALKER_MAX_PX, beta=settings.beta))


def watershed(sample: Sample, settings: WatershedSettings) -> Work[Seeded]:
    """Strokes flood the squared gradient of the image; where floods meet is the outline (Beucher, Lantuejoul 1979).

    The probability is 0 or 1.

    Raises
    ------
    InputError
        If a kind of stroke is missing, or the image has more than `WATERSHED_MAX_PX`.
    """
    return (yield from grow(sample, settings, "The watershed", WATERSHED_MAX_PX))
