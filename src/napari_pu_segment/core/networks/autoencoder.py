"""A small convolutional autoencoder: what it must know of an image to draw it again serves as features."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .base import Network, NetworkSpec, convolution, enlarge

LATENT = 4  # maps of the code


class Encoder(nn.Module):
    """Three convolutions, two of them of stride 2, and a code of `LATENT` maps at a quarter of the side.

    Every place of the code is a Gaussian, its mean and the logarithm of its variance: an autoencoder that is not
    variational uses the mean alone.
    """

    stride_px = 4
    halo_px = 16  # 1 + 1 + 2 of the convolutions, 4 of the interpolation, and room

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        n, w = spec.ndim, spec.width
        self.full = convolution(n, spec.in_channels, w, 3)
        self.middle = convolution(n, w, w, 3, stride=2)
        self.coarse = convolution(n, w, w, 3, stride=2)
        self.code = convolution(n, w, 2 * LATENT, 1)

    def levels(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Maps (N, F, ...) at full, half and quarter side; mean and log variance of the code, (N, 2 LATENT, ...).

        The maps are those before their ReLU: what it cuts to 0 tells places apart, too.
        """
        found = []
        for layer in (self.full, self.middle, self.coarse):
            found.append(layer(x))
            x = functional.relu(found[-1])
        return [*found, self.code(x)]


class Autoencoder(Network):
    """An encoder and what draws the image again from its code; only the encoder is kept after training.

    Parameters
    ----------
    encoder : Encoder
    spec : NetworkSpec
    skip : bool
        Whether the finer levels of the encoder are seen, too, as in a U-Net.
    """

    patch_px = 32
    n_unlabelled = 16
    rate = 0.3

    def __init__(self, encoder: Encoder, spec: NetworkSpec, skip: bool) -> None:
        super().__init__()
        self.encoder, self.skip = encoder, skip
        n, w, more = spec.ndim, spec.width, spec.width if skip else 0
        if n == 3:
            self.patch_px, self.n_unlabelled = 16, 8
        self.first = convolution(n, LATENT, w, 3)
        self.second = convolution(n, w + more, w, 3)
        self.last = convolution(n, w + more, spec.in_channels, 3)

    def draw(self, code: torch.Tensor, levels: list[torch.Tensor]) -> torch.Tensor:
        """The image (N, C, ...) of a code (N, LATENT, ...), with help of the encoder's levels."""
        fine, half = (functional.relu(level) for level in levels[:2])
        x = enlarge(functional.relu(self.first(code)), 2)
        x = enlarge(functional.relu(self.second(torch.cat([x, half], 1) if self.skip else x)), 2)
        drawn: torch.Tensor = self.last(torch.cat([x, fine], 1) if self.skip else x)
        return drawn
