"""What every network is: a frozen stem that makes features, and a head that is trained on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer
from torch import nn
from torch.nn import functional

from .. import filters


class EncoderSpec(BaseModel):
    """Which encoder a network looks through beside its filter bank, and at how many of its maps; part of the card.

    Its sha256 is that of the encoder's tensors, so that two encoders of one shape are told apart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str
    width: Annotated[int, Field(ge=4, le=512)]
    n_maps: Annotated[int, Field(ge=1, le=512)]
    plane_px: Annotated[float, Field(ge=0.01, le=100)] = 1.0
    sha256: str


class NetworkSpec(BaseModel):
    """All that is needed to build a network again; part of the model card."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str
    in_channels: Annotated[int, Field(ge=1, le=512)]
    ndim: Literal[2, 3]
    width: Annotated[int, Field(ge=4, le=512)]
    filters: Annotated[tuple[str, ...], Field(max_length=64)] = ()
    sigmas_px: Annotated[tuple[Annotated[float, Field(gt=0, le=64)], ...], Field(max_length=16)] = ()
    plane_px: Annotated[float, Field(ge=0.01, le=100)] = 1.0  # distance of planes, in pixels, to a network in 3-D
    clusters: Annotated[int, Field(ge=0, le=64)] = 0  # of a network that needs no labels
    landmarks: Annotated[int, Field(ge=0, le=256)] = 0  # that clusters are joined from; 0: each is one Gaussian
    encoder: EncoderSpec | None = None
    n_bytes: Annotated[int, Field(ge=0, le=2**28)] = 0  # of the classifiers that a search found

    @model_serializer(mode="wrap")
    def _serialise(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `landmarks` where there are none, as files were before there could be any."""
        values: dict[str, Any] = handler(self)
        return {name: value for name, value in values.items() if name != "landmarks" or value}

    @property
    def n_features(self) -> int:
        """Maps of the filter bank, and of the encoder beside it; the channels alone where there is no bank."""
        bank = filters.count(self.in_channels, self.ndim, self.filters, self.sigmas_px)
        return bank + (self.encoder.n_maps if self.encoder else 0)


@dataclass(frozen=True)
class Reach:
    """What a network asks of a tile along one axis; see `Network` for the three."""

    halo_px: int
    stride_px: int = 1
    window_px: int = 0


ON_ITS_OWN = Reach(0)  # time, and planes to a network for planes: one at a time, and nothing beside it is looked at


class Network(nn.Module):
    """A fully convolutional network, one score for each pixel.

    It is tile-exact: a score depends only on pixels within `halo_px`, so no norm may take statistics over the tile
    (use `ChannelNorm`, or none), and tiles start at multiples of `stride_px`.

    Attributes
    ----------
    halo_px : int
        Half the receptive field, in pixels along rows and columns, and along planes where `planes` is not set.
    stride_px : int
        Sides of an input must be multiples of this, and so must the positions of tiles.
    window_px : int
        Side of the one input size at which arithmetic is repeatable, or 0 where any size gives the same bits.
        Library convolutions choose their order of additions by the size of the input.
    planes : Reach or None
        The same three through the planes of a volume, in planes, where they differ.
    patch_px : int
        Side of a training patch of the stem's output; 1 means that pixels are trained on one by one.
    patch_planes : int
        Planes of a training patch of a volume; 0 means as many as it has pixels along a side.
    n_labelled, n_unlabelled : int
        Patches of each kind that one training step takes.
    rate : float
        Factor on the learning rate: a deep network wants smaller steps.
    """

    halo_px: int
    stride_px: int = 1
    window_px: int = 0
    planes: Reach | None = None
    patch_px: int = 1
    patch_planes: int = 0
    n_labelled: int = 256
    n_unlabelled: int = 1024
    rate: float = 1.0

    def along(self, n_axes: int, n_own: int) -> list[Reach]:
        """What is asked of a tile along each of `n_axes` axes ([T,] [Z,] Y, X), of which the first are on their own."""
        row = Reach(self.halo_px, self.stride_px, self.window_px)
        return [ON_ITS_OWN] * n_own + [self.planes or row] * (n_axes - n_own - 2) + [row] * 2

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        """Features (N, F, [Z,] Y, X) of a normalised image (N, C, [Z,] Y, X); nothing here is trained."""
        return x

    def head(self, features: torch.Tensor) -> torch.Tensor:
        """Scores (N, K, [Z,] Y, X), before the sigmoid, of features (N, F, [Z,] Y, X).

        K is 1 but for `OneVsRest`, whose scores are those of each class against the background.
        """
        raise NotImplementedError

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the head takes (N, F, [Z,] Y, X), of a normalised image (N, C, [Z,] Y, X)."""
        return self.stem(x)

    def calibrate(self, features: torch.Tensor) -> None:
        """Learn the scale of features (N, F, ...) before the first training step, where the network wants it."""

    def check(self) -> None:
        """Refuse tensors that were loaded, where a look at their shapes is not enough; raises `ModelFileError`."""

    @torch.no_grad()
    def rescale(self, offset: float, factor: float) -> None:
        """Turn every score s into (s - offset) * factor, by the weights of the last layer."""
        *_, last = (layer for layer in self.modules() if isinstance(layer, nn.Linear | nn.Conv2d | nn.Conv3d))
        assert last.bias is not None
        last.weight.mul_(factor)
        last.bias.sub_(offset).mul_(factor)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores (N, 1, [Z,] Y, X) of a normalised image (N, C, [Z,] Y, X)."""
        return self.head(self.features(x))


def stacked(x: torch.Tensor, n_own: int) -> torch.Tensor:
    """An image (C, ...) whose first `n_own` axes are on their own, as a batch (N, C, [Z,] Y, X) of what is left."""
    return x.flatten(1, n_own).transpose(0, 1) if n_own else x[None]


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each pixel on its own (Ba et al. 2016, arXiv:1607.06450).

    Unlike batch, group and instance norm it takes nothing from other pixels, so tiles agree with the whole image.
    """

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised (N, C, ...) of (N, C, ...)."""
        last = x.movedim(1, -1)
        return functional.layer_norm(last, last.shape[-1:], self.weight, self.bias).movedim(-1, 1)


def convolution(ndim: int, n_in: int, n_out: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Module:
    """A 2-D or 3-D convolution that keeps the size (or divides it by the stride)."""
    kind = nn.Conv2d if ndim == 2 else nn.Conv3d
    return kind(n_in, n_out, kernel, stride=stride, dilation=dilation, padding=dilation * (kernel // 2))


def enlarge(scores: torch.Tensor, factor: int) -> torch.Tensor:
    """(N, C, [Z,] Y, X) enlarged by linear interpolation; exact at every position for powers of two."""
    mode = "bilinear" if scores.ndim == 4 else "trilinear"
    return functional.interpolate(scores, scale_factor=factor, mode=mode, align_corners=False)
