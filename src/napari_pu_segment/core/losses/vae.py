"""LATENT_LOSSES: what an autoencoder's code is held to, beside drawing the image again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

PEAK = 2.0  # where the two peaks stand, in standard deviations of each
_LOG_VARIANCE = 8.0  # a code is no surer, and no less sure, than that


@dataclass(frozen=True)
class LatentRow:
    """One loss of a code.

    Parameters
    ----------
    title : str
    compute : callable
        Of mean and log variance, (N, L, ...), and of the weight of the upper peak, 0..1: the loss at each place,
        (N, ...).
    variational : bool
        Whether the code is drawn at random around its mean while training.
    reference : str
    """

    title: str
    compute: Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]
    variational: bool
    reference: str


def divergence(mean: torch.Tensor, log_variance: torch.Tensor, centre: float = 0.0) -> torch.Tensor:
    """KL(N(mean, variance) || N(centre, 1)) of every entry: (variance + (mean - centre)^2 - 1 - log variance) / 2."""
    log_variance = log_variance.clamp(-_LOG_VARIANCE, _LOG_VARIANCE)
    return (log_variance.exp() + (mean - centre).square() - 1 - log_variance) / 2


def kl(mean: torch.Tensor, log_variance: torch.Tensor, weight: float) -> torch.Tensor:
    """The divergence from a standard normal code, summed over the L entries."""
    return divergence(mean, log_variance).sum(1)


def two_peaks(mean: torch.Tensor, log_variance: torch.Tensor, weight: float) -> torch.Tensor:
    """The divergence from a code with two peaks along its first entry, w N(m, 1) + (1 - w) N(-m, 1), m = `PEAK`.

    The divergence from a mixture has no closed form; this is the bound -log sum_b w_b exp(-KL(q || p_b)) of Hershey &
    Olsen 2007, ICASSP IV:317. All other entries are held to a standard normal distribution.
    """
    first = divergence(mean[:, 0], log_variance[:, 0], PEAK) - math.log(weight)
    second = divergence(mean[:, 0], log_variance[:, 0], -PEAK) - math.log(1 - weight)
    return divergence(mean[:, 1:], log_variance[:, 1:]).sum(1) - torch.logaddexp(-first, -second)


LATENT_LOSSES: dict[str, LatentRow] = {
    "none": LatentRow(
        "None (autoencoder)",
        lambda mean, log_variance, weight: 0 * mean[:, 0],
        False,
        "Vincent et al. 2010, JMLR 11:3371",
    ),
    "kl": LatentRow("One peak (VAE)", kl, True, "Kingma & Welling 2014, arXiv:1312.6114"),
    "two_peaks": LatentRow(
        "Two peaks alike",
        lambda mean, log_variance, weight: two_peaks(mean, log_variance, 0.5),
        True,
        "after Dilokthanakul et al. 2016, arXiv:1611.02648",
    ),
    "weighted_peaks": LatentRow(
        "Two peaks, weighed by the prior", two_peaks, True, "after Dilokthanakul et al. 2016, arXiv:1611.02648"
    ),
}
