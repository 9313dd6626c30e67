"""MONAI's residual U-Net, for planes and volumes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from .base import ChannelNorm, NetworkSpec, Reach, convolution
from .encoder import Encoder


class UNet(Encoder):
    """Residual U-Net with strided convolutions (Kerfoot et al. 2018, STACOM; MONAI's `UNet`), without batch statistics.

    Four levels of width/4, width/2, width and 2 width channels, two residual units at each. Of a volume whose planes
    are farther apart than its pixels, planes are halved only where pixels have become as large: a level that halves
    rows and columns leaves the planes while they lie at least two pixels of the level apart (as in nnU-Net,
    Isensee et al. 2021, Nat Methods 18:203).
    """

    patch_px = 64
    n_labelled = 8
    n_unlabelled = 16
    rate = 0.5
    stride_px = 8
    window_px = 256
    halo_px = 64

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        from monai.networks.layers.factories import Norm  # slow to import, so only when a U-Net is built
        from monai.networks.nets.unet import UNet as MonaiUNet

        if "CHANNELNORM" not in Norm.names:
            Norm.add_factory_class("channelnorm", ChannelNorm)
        steps = _plane_steps(spec.plane_px)
        if spec.ndim == 3:
            self._fit_planes(steps, spec.plane_px)
        w = spec.width
        self.body: nn.Module = MonaiUNet(
            spatial_dims=spec.ndim,
            in_channels=spec.in_channels,
            out_channels=max(w // 4, 1),
            channels=(max(w // 4, 1), max(w // 2, 1), w, 2 * w),
            strides=(2, 2, 2) if spec.ndim == 2 else [(step, 2, 2) for step in steps],  # type: ignore[misc]
            num_res_units=2,
            norm="channelnorm",
        )
        self.n_traits = self.n_maps = self.n_shared = max(w // 4, 1)
        # a layer of its own: the body ends in a norm over channels, which would make a single channel constant
        self.score = convolution(spec.ndim, max(w // 4, 1), 1, kernel=1)

    def head(self, features: torch.Tensor) -> torch.Tensor:
        """Scores (N, 1, [Z,] Y, X) of a normalised image (N, C, [Z,] Y, X)."""
        scores: torch.Tensor = self.score(self.body(features))
        return scores

    def traits(self, x: torch.Tensor) -> torch.Tensor:
        """What the last layer scores, (N, width / 4, [Z,] Y, X); these are the maps, too."""
        found: torch.Tensor = self.body(x)
        return found

    def _fit_planes(self, steps: Sequence[int], plane_px: float) -> None:
        """Sizes for volumes: as many voxels in a patch, and about as many in a window, as planes lie far apart."""
        stride = math.prod(steps)
        far = min(max(plane_px, 1.0), 64.0)
        self.patch_px = _multiple(32 * far ** (1 / 3), 8)
        self.patch_planes = _multiple(32 / far ** (2 / 3), stride)
        self.window_px = 64 if stride == 8 else 128
        self.planes = Reach(_multiple(_reach(steps), stride), stride, _multiple(64 / far, stride))


def _plane_steps(plane_px: float) -> list[int]:
    """By how much each level divides the planes: 2 where they lie less than two of its pixels apart, else 1."""
    steps, pixel = [], 1
    for _ in range(3):
        steps.append(2 if plane_px < 2 * pixel else 1)
        plane_px, pixel = plane_px * steps[-1], 2 * pixel
    return steps


def _reach(steps: Sequence[int]) -> int:
    """Half the receptive field along an axis that the levels divide so: every convolution looks one step further."""
    reach, step = 0, 1
    for factor in steps:  # down: the dividing convolution, and the second of its unit
        reach, step = reach + step + step * factor, step * factor
    reach += 2 * step
    for factor in reversed(steps):  # up: the transposed convolution, and the one after it
        reach, step = reach + step + step // factor, step // factor
    return reach


def _multiple(value: float, of: int) -> int:
    return max(1, math.ceil(value / of - 1e-9)) * of
