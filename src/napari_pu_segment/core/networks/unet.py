"""MONAI's residual U-Net, for planes and volumes."""

from __future__ import annotations

import torch
from torch import nn

from .base import ChannelNorm, Network, NetworkSpec, convolution


class UNet(Network):
    """Residual U-Net with strided convolutions (Kerfoot et al. 2018, STACOM; MONAI's `UNet`), without batch statistics.

    Four levels of width/4, width/2, width and 2 width channels, two residual units at each.
    """

    patch_px = 64
    n_labelled = 8
    n_unlabelled = 16
    rate = 0.5
    stride_px = 8
    window_px = 256
    halo_px = 96

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        from monai.networks.layers.factories import Norm  # slow to import, so only when a U-Net is built
        from monai.networks.nets.unet import UNet as MonaiUNet

        if "CHANNELNORM" not in Norm.names:
            Norm.add_factory_class("channelnorm", ChannelNorm)
        if spec.ndim == 3:
            self.window_px = 64
        w = spec.width
        self.body: nn.Module = MonaiUNet(
            spatial_dims=spec.ndim,
            in_channels=spec.in_channels,
            out_channels=max(w // 4, 1),
            channels=(max(w // 4, 1), max(w // 2, 1), w, 2 * w),
            strides=(2, 2, 2),
            num_res_units=2,
            norm="channelnorm",
        )
        # a layer of its own: the body ends in a norm over channels, which would make a single channel constant
        self.score = convolution(spec.ndim, max(w // 4, 1), 1, kernel=1)

    def head(self, features: torch.Tensor) -> torch.Tensor:
        """Scores (N, 1, [Z,] Y, X) of a normalised image (N, C, [Z,] Y, X)."""
        scores: torch.Tensor = self.score(self.body(features))
        return scores
