r"""How far each pixel of an unreliable mask may be believed, learnt from a few reliable pixels.

Mirikharaji, Yan and Hamarneh 2019 (arXiv:1906.03639), after Ren et al. 2018 (arXiv:1803.09050): take a virtual step on
the noisy loss with a weight epsilon on every pixel, and ask how the loss on clean pixels would change with them:

    theta'(epsilon) = theta - rate * grad sum_ij epsilon_ij l_ij(theta)
    w_ij = max(0, -d L_clean(theta') / d epsilon_ij at epsilon = 0),        normalised to sum 1.

By the chain rule w_ij is rate * <grad l_ij, grad L_clean>: the derivative of the pixel's loss along the clean gradient.
``forward`` computes it as one forward-mode derivative; ``unrolled`` differentiates through the virtual step, as
published (the same numbers, at about twice the time); ``last_layer`` takes only the last layer's weights into account.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch.func import grad, jvp
from torch.nn import functional

Parameters = Mapping[str, torch.Tensor]
Head = Callable[[Parameters, torch.Tensor], torch.Tensor]
"""Scores (B, ...) of features (B, F, ...) under parameters."""


@dataclass(frozen=True)
class Labelled:
    """Features and what is believed of them.

    Parameters
    ----------
    features : Tensor, (B, F) or (B, F, [p,] p, p)
    targets : Tensor, (B,) or (B, [p,] p, p)
        1 for an object, 0 for background.
    weights : Tensor, of the shape of `targets`
        How much each pixel counts; 0 leaves it out.
    """

    features: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor

    def to(self, device: torch.device) -> Labelled:
        """The same on another device."""
        return Labelled(self.features.to(device), self.targets.to(device), self.weights.to(device))


def pixel_losses(scores: torch.Tensor, batch: Labelled) -> torch.Tensor:
    """Cross-entropy of every pixel, 0 where it does not count."""
    losses = functional.binary_cross_entropy_with_logits(scores, batch.targets, reduction="none")
    return torch.where(batch.weights > 0, losses, torch.zeros_like(losses))


def mean_loss(scores: torch.Tensor, batch: Labelled) -> torch.Tensor:
    """Weighted mean of the cross-entropy, a scalar."""
    return (pixel_losses(scores, batch) * batch.weights).sum() / batch.weights.sum().clamp_min(1e-12)


def _forward(head: Head, parameters: Parameters, noisy: Labelled, clean: Labelled) -> torch.Tensor:
    slope = grad(lambda p: mean_loss(head(p, clean.features), clean))(parameters)
    change = jvp(lambda p: pixel_losses(head(p, noisy.features), noisy), (parameters,), (slope,))[1]
    return change  # type: ignore[no-any-return]


def _unrolled(head: Head, parameters: Parameters, noisy: Labelled, clean: Labelled) -> torch.Tensor:
    def after(epsilon: torch.Tensor) -> torch.Tensor:
        step = grad(lambda p: (epsilon * pixel_losses(head(p, noisy.features), noisy)).sum())(parameters)
        moved = {name: value - step[name] for name, value in parameters.items()}
        return mean_loss(head(moved, clean.features), clean)

    return -grad(after)(torch.zeros_like(noisy.targets))  # type: ignore[no-any-return]


def _last_layer(head: Head, parameters: Parameters, noisy: Labelled, clean: Labelled) -> torch.Tensor:
    names = list(parameters)[-2:]  # weight and bias of the last layer
    fixed = {name: value for name, value in parameters.items() if name not in names}
    last = {name: parameters[name] for name in names}
    return _forward(lambda p, x: head({**fixed, **p}, x), last, noisy, clean)


GRADIENTS: dict[str, Callable[[Head, Parameters, Labelled, Labelled], torch.Tensor]] = {
    "forward": _forward,
    "unrolled": _unrolled,
    "last_layer": _last_layer,
}


def pixel_weights(
    head: Head, parameters: Parameters, noisy: Labelled, clean: Labelled, gradient: str = "forward"
) -> torch.Tensor:
    """Weights of the pixels of a noisy batch, of the shape of its targets; at least 0, their sum is 1, or 0.

    Parameters
    ----------
    head : callable
    parameters : mapping of str to Tensor
        In the order of the layers; nothing is tracked back through them.
    noisy, clean : Labelled
    gradient : str
        Row of `GRADIENTS`.
    """
    parameters = {name: value.detach() for name, value in parameters.items()}
    weights = GRADIENTS[gradient](head, parameters, noisy, clean).detach().clamp_min(0) * noisy.weights
    return weights / weights.sum().clamp_min(1e-12)
