"""Three classifiers of patches, made fully convolutional: one pass scores every pixel, no patch is cut for each.

Where the originals flatten a patch and connect it fully, these use a convolution of the same extent; where they average
over the patch, a mean of fixed extent; and their batch norms are per-pixel channel norms, so that tiles agree. The
scores of the coarse grid are enlarged by linear interpolation.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .base import ChannelNorm, Network, NetworkSpec, convolution, enlarge


class _PatchClassifier(Network):
    patch_px = 32
    n_labelled = 8
    n_unlabelled = 16
    rate = 0.2
    window_px = 256

    layers: nn.Module

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        if spec.ndim == 3:
            self.window_px, self.patch_px = 64, 16

    def head(self, features: torch.Tensor) -> torch.Tensor:
        """Scores (N, 1, [Z,] Y, X) of a normalised image (N, C, [Z,] Y, X)."""
        return enlarge(self.layers(features), self.stride_px)


def _block(ndim: int, n_in: int, n_out: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(convolution(ndim, n_in, n_out, kernel, stride, dilation), ChannelNorm(n_out), nn.ReLU())


class SmallCnn(_PatchClassifier):
    """Two strided convolutions, one more, then a window of 28 px connected to 4 x `width` units and one score.

    The shape of the small CNN with which auroras were first segmented by PU learning on 32 px patches: 256 and 128
    channels at stride 2, 64 channels, 256 tanh units, with `width` = 64.
    """

    stride_px = 4
    halo_px = 24  # 1 + 2 + 4 + 3 * 4 = 19 of the convolutions, 4 of the interpolation, rounded up to the stride

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        w, n = spec.width, spec.ndim
        self.layers = nn.Sequential(
            _block(n, spec.in_channels, 4 * w, stride=2),
            _block(n, 4 * w, 2 * w, stride=2),
            _block(n, 2 * w, w),
            convolution(n, w, 4 * w, kernel=7),
            nn.Tanh(),
            convolution(n, 4 * w, 1, kernel=1),
        )


class CnnNnpu(_PatchClassifier):
    """The all-convolutional network of the nnPU paper for CIFAR-10 (Kiryo et al. 2017, section 4).

    3 x 3 convolutions: twice 1.5 `width` channels, once at stride 2, twice 3 `width`, once at stride 2, once more;
    1 x 1 convolutions to 3 `width` and 10; then 1000, 1000 and 1 unit on each position.
    """

    stride_px = 4
    halo_px = 24  # 1 + 1 + 1 + 2 + 2 + 2 + 4 = 13, and the interpolation's 4, rounded up with room to spare

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        n, a, b = spec.ndim, 3 * spec.width // 2, 3 * spec.width
        self.layers = nn.Sequential(
            _block(n, spec.in_channels, a),
            _block(n, a, a),
            _block(n, a, a, stride=2),
            _block(n, a, b),
            _block(n, b, b),
            _block(n, b, b, stride=2),
            _block(n, b, b),
            _block(n, b, b, kernel=1),
            _block(n, b, 10, kernel=1),
            convolution(n, 10, 1000, kernel=1),
            nn.ReLU(),
            convolution(n, 1000, 1000, kernel=1),
            nn.ReLU(),
            convolution(n, 1000, 1, kernel=1),
        )


class _Residual(nn.Module):
    def __init__(self, ndim: int, n_in: int, n_out: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.first = _block(ndim, n_in, n_out, stride=stride, dilation=dilation)
        self.second = nn.Sequential(convolution(ndim, n_out, n_out, 3, dilation=dilation), ChannelNorm(n_out))
        same = n_in == n_out and stride == 1
        self.shortcut = nn.Identity() if same else convolution(ndim, n_in, n_out, 1, stride=stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.shortcut(x) + self.second(self.first(x)))


class ResNet18(_PatchClassifier):
    """ResNet-18 (He et al. 2015, arXiv:1512.03385) at an output stride of 8.

    The last two stages are dilated instead of strided (Yu, Koltun, Funkhouser 2017, arXiv:1705.09914), so that the
    score map keeps the detail of 8 px; `width` is the number of channels of the first stage, 64 in the paper.
    """

    stride_px = 8
    # 3 + 2 (stem) + 4 * 4 (stage 1) + 4 + 3 * 8 (2) + 8 + 3 * 16 (3) + 4 * 32 (4) = 233, and the interpolation's 8
    halo_px = 248

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        w, n = spec.width, spec.ndim
        pool = nn.MaxPool2d(3, 2, 1) if n == 2 else nn.MaxPool3d(3, 2, 1)
        self.layers = nn.Sequential(
            _block(n, spec.in_channels, w, kernel=7, stride=2),
            pool,
            _Residual(n, w, w),
            _Residual(n, w, w),
            _Residual(n, w, 2 * w, stride=2),
            _Residual(n, 2 * w, 2 * w),
            _Residual(n, 2 * w, 4 * w, dilation=2),
            _Residual(n, 4 * w, 4 * w, dilation=2),
            _Residual(n, 4 * w, 8 * w, dilation=4),
            _Residual(n, 8 * w, 8 * w, dilation=4),
            convolution(n, 8 * w, 1, kernel=1),
        )
