"""Settings of clustering without strokes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..filters import FILTERS
from ..losses.vae import LATENT_LOSSES
from ..networks import CLUSTERINGS
from ..settings import OneOf, advanced, only_if
from ..training.network_settings import NetworkSettings
from .clusters import ASKED, CLUSTERERS, CLUSTERERS_TOLD, NAMINGS

_PRIORS = {"auto": "Automatic", "fixed": "Fixed"}
_ENCODER = {"network": ("autoencoder", "hypercolumns")}


class ClusterSettings(NetworkSettings):
    """Settings of a segmentation that needs no strokes."""

    method: Literal["cluster"] = Field("cluster", title="Method", description="Tag of these settings.")
    network: Annotated[str, OneOf(CLUSTERINGS)] = Field(
        "bank", title="Features", description="What pixels are told apart by; an autoencoder learns it from the images."
    )
    objects: Annotated[str, OneOf(NAMINGS)] = Field(
        "auto", title="Objects are", description="Which clusters are objects. A positive dab on an object names them."
    )
    prior: Annotated[str, OneOf(_PRIORS)] = Field(
        "auto", title="Class prior", description="How much of the image is object: as it is found, or a known fraction."
    )
    class_prior: float = only_if(
        other={"prior": "fixed"},
        default=0.2,
        gt=0,
        lt=1,
        title="Fixed prior (fraction)",
        description="The mask covers this fraction of the images.",
    )
    one_sided: bool = Field(
        False,
        title="To one side alone",
        description="Objects are brighter than background, or darker: what differs to the other side is none.",
    )
    clusterer: Annotated[str, OneOf(CLUSTERERS)] = advanced(
        default="gaussians", title="Clusters", description=CLUSTERERS_TOLD
    )
    n_clusters: int = only_if(
        other={"clusterer": ASKED},
        folded=True,
        default=2,
        ge=2,
        le=64,
        title="Number of clusters",
        description="More of them want to be named by dabs. Spectral ones are 32 at most.",
    )
    filters: Annotated[tuple[Annotated[str, OneOf(FILTERS)], ...], Field(min_length=1)] = advanced(
        default=("gaussian",), title="Filters", description="Of the filter bank."
    )
    sigmas_px: Annotated[tuple[Annotated[float, Field(ge=0.3, le=64)], ...], Field(min_length=1, max_length=16)] = (
        advanced(default=(0.7, 1.6), title="Scales (px)", description="Sigmas of the filter bank.")
    )
    n_steps: int = only_if(
        other=_ENCODER,
        folded=True,
        default=300,
        ge=1,
        le=100_000,
        title="Training steps",
        description="Optimiser steps of the autoencoder.",
    )
    latent_loss: Annotated[str, OneOf(LATENT_LOSSES)] = only_if(
        other=_ENCODER,
        folded=True,
        default="kl",
        title="Code",
        description="What the autoencoder's code is held to. Peaks: one for objects, one for background.",
    )
    latent_weight: float = only_if(
        other=_ENCODER,
        folded=True,
        default=0.01,
        ge=0,
        le=100,
        title="Weight of the code",
        description="Of that loss, beside the error of the image that is drawn again.",
    )
    noise: float = only_if(
        other=_ENCODER,
        folded=True,
        default=0.1,
        ge=0,
        le=10,
        title="Noise",
        description="Added to what the autoencoder sees, in units of the normalised intensity; it learns to remove it.",
    )
    skip: bool = only_if(
        other=_ENCODER,
        folded=True,
        default=False,
        title="Skip connections",
        description="Let the autoencoder draw with its finer maps, too.",
    )

    @property
    def clusters(self) -> int:
        """How many clusters are asked for; 0 where they are counted."""
        return 0 if CLUSTERERS[self.clusterer].counts else self.n_clusters

    @property
    def landmarks(self) -> int:
        """How many landmarks they are joined from; 0 where each cluster is one Gaussian."""
        return CLUSTERERS[self.clusterer].landmarks
