"""What every network is: a frozen stem that makes features, and a head that is trained on them."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn


class NetworkSpec(BaseModel):
    """All that is needed to build a network again; part of the model card."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str
    in_channels: Annotated[int, Field(ge=1, le=512)]
    ndim: Literal[2, 3]
    width: Annotated[int, Field(ge=4, le=512)]
    filters: Annotated[tuple[str, ...], Field(max_length=64)] = ()
    sigmas_px: Annotated[tuple[Annotated[float, Field(gt=0, le=64)], ...], Field(max_length=16)] = ()


class Network(nn.Module):
    """A fully convolutional network, one score for each pixel.

    It is tile-exact: a score depends only on pixels within `halo_px`, so no norm may take statistics over the tile
    (use per-pixel channel `LayerNorm`, or none), and tiles start at multiples of `stride_px`.

    Attributes
    ----------
    halo_px : int
        Half the receptive field, in pixels along each spatial axis.
    stride_px : int
        Sides of an input must be multiples of this.
    patch_px : int
        Side of a training patch, of the stem's output; 1 means that pixels are trained on one by one.
    """

    halo_px: int
    stride_px: int = 1
    patch_px: int = 1

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        """Features (N, F, [Z,] Y, X) of a normalised image (N, C, [Z,] Y, X); nothing here is trained."""
        return x

    def head(self, features: torch.Tensor) -> torch.Tensor:
        """Scores (N, 1, [Z,] Y, X), before the sigmoid, of features (N, F, [Z,] Y, X)."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores (N, 1, [Z,] Y, X) of a normalised image (N, C, [Z,] Y, X)."""
        return self.head(self.stem(x))
