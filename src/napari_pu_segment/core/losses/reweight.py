r"""How far each pixel of an unreliable mask may be believed, learnt from a few reliable pixels.

Mirikharaji, Yan and Hamarneh 2019 (arXiv:1906.03639), after Ren et al. 2018 (arXiv:1803.09050): take a virtual step on
the noisy loss with a weight epsilon on every pixel, and ask how the loss on clean pixels would change with them:

    theta'(epsilon) = theta - rate * grad sum_ij epsilon_ij l_ij(theta)
    w_ij = max(0, -d L_clean(theta') / d epsilon_ij at epsilon = 0),        normalised to sum 1.

By the chain rule w_ij is rate * <grad l_ij, grad L_clean>: the derivative of the pixel's loss along the clean gradient.
``forward`` computes it as one forward-mode derivative; ``unrolled`` differentiates through the virtual step, as
published (the same numbers, at about twice the time); ``last_layer`` takes only the last layer's weights into account.

Where the unreliable labels are right, such weights mislead: they drop what differs from the few clean pixels for good
reason. So they are mixed with uniform ones (ours),

    w_ij = (1 - doubt) / n + doubt * w_ij,

and `doubt` comes from what a model that believes the unreliable labels leaves unexplained; see `doubt_of`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.func import grad, jvp
from torch.nn import functional

_BELIEVED, _DOUBTED = 1 / 5, 1 / 3  # what is unexplained of labels that are wholly believed, and not at all

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


def unexplained(scores: Sequence[torch.Tensor], batches: Sequence[Labelled]) -> float:
    """The part of what labels tell that a model leaves unexplained, at least 0.

    Their mean cross-entropy under the model, as a part of what it would be under their mean `q`, that is of
    ``-q ln q - (1 - q) ln(1 - q)``. 0 where all labels are the same.

    Parameters
    ----------
    scores : sequence of Tensor
        Of each batch, of the shape of its targets.
    batches : sequence of Labelled
    """
    losses = sum(
        float((pixel_losses(z, batch) * batch.weights).sum()) for z, batch in zip(scores, batches, strict=True)
    )
    total = sum(float(batch.weights.sum()) for batch in batches)
    q = sum(float((batch.targets * batch.weights).sum()) for batch in batches) / max(total, 1e-12)
    if not 0 < q < 1:
        return 0.0
    return losses / total / -(q * math.log(q) + (1 - q) * math.log(1 - q))


def doubt_of(part: float) -> float:
    """How far labels are to be weighed, 0 to 1, of which a model leaves that part unexplained.

    Up to a fifth not at all: outlines and difficult places of true masks leave about as much. From a third on wholly:
    so much remains where every third pixel of the objects is missing. In proportion between the two.
    """
    return min(1.0, max(0.0, (part - _BELIEVED) / (_DOUBTED - _BELIEVED)))


def pixel_weights(
    head: Head, parameters: Parameters, noisy: Labelled, clean: Labelled, gradient: str = "forward", doubt: float = 1.0
) -> torch.Tensor:
    """Weights of the pixels of a noisy batch, of the shape of its targets; at least 0.

    Their sum is 1, or `1 - doubt` where no pixel would help.

    Parameters
    ----------
    head : callable
    parameters : mapping of str to Tensor
        In the order of the layers; nothing is tracked back through them.
    noisy, clean : Labelled
    gradient : str
        Row of `GRADIENTS`.
    doubt : float in 0..1
        0 weighs all pixels alike.
    """
    alike = noisy.weights / noisy.weights.sum().clamp_min(1e-12)
    if not doubt:
        return alike
    parameters = {name: value.detach() for name, value in parameters.items()}
    weights = GRADIENTS[gradient](head, parameters, noisy, clean).detach().clamp_min(0) * noisy.weights
    return (1 - doubt) * alike + doubt * weights / weights.sum().clamp_min(1e-12)
