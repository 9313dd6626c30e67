"""OBJECTIVES: what an encoder is trained to do on images without labels."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from ..losses.contrastive import nt_xent, self_distillation, swapped_prediction
from ..networks import Encoder, Network
from .views import at_places

_HIDDEN, _WORDS = 64, 32
_ANSWERS = 64  # of self-distillation, and prototypes: fewer than the places of a step
_TEMPERATURE, _SWAPPED_TEMPERATURE = 0.2, 0.1
_KEPT, _CENTRE_KEPT = 0.98, 0.9  # of the teacher, and of the centre, after a step


class Learner(Network):
    """An encoder and what is thrown away after its training.

    A place stands for the patch that the encoder sees around it: its vector of traits is that of the patch, and all
    patches of an image are computed at once.

    Parameters
    ----------
    encoder : Encoder
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.rate = encoder.rate

    def loss(self, views: list[torch.Tensor], places: list[torch.Tensor]) -> torch.Tensor:
        """The loss of two views (N, C, ...) at the same places (N, P) of both; see `views.Views`."""
        raise NotImplementedError


class SimClr(Learner):
    """Chen et al. 2020: the vectors of two views of a place, through a small head, shall find each other."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.first, self.second = nn.Linear(encoder.n_traits, _HIDDEN), nn.Linear(_HIDDEN, _WORDS)

    def loss(self, views: list[torch.Tensor], places: list[torch.Tensor]) -> torch.Tensor:
        """See `Learner.loss`."""
        rows = [at_places(self.encoder.traits(view), place) for view, place in zip(views, places, strict=True)]
        first, second = (self.second(torch.relu(self.first(row))) for row in rows)
        return nt_xent(first, second, _TEMPERATURE)


class _Speaker(nn.Module):
    """An encoder and a head whose answers are cosines, of a place's vector with one direction for each answer.

    Parameters
    ----------
    encoder : Encoder
    standardised : bool
        Whether the head's hidden numbers are brought to mean 0 and variance 1 over the places of a view.
    """

    def __init__(self, encoder: Encoder, *, standardised: bool = False) -> None:
        super().__init__()
        self.encoder, self._standardised = encoder, standardised
        self.first, self.second = nn.Linear(encoder.n_traits, _HIDDEN), nn.Linear(_HIDDEN, _WORDS)
        self.directions = nn.Linear(_WORDS, _ANSWERS, bias=False)

    def forward(self, view: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Answers (N P, K) about places (N, P) of a view (N, C, ...)."""
        hidden = self.first(at_places(self.encoder.traits(view), places))
        if self._standardised:
            hidden = functional.batch_norm(hidden, None, None, training=True)
        vector = self.second(torch.relu(hidden))
        directions = functional.normalize(self.directions.weight, dim=1)
        return functional.normalize(vector, dim=1) @ directions.T


class Dino(Learner):
    """Caron et al. 2021: a student says of one view what a teacher, its own running mean, says of the other."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.student = _Speaker(encoder)
        self.teacher = copy.deepcopy(self.student).requires_grad_(requires_grad=False)
        self.centre: torch.Tensor
        self.begun: torch.Tensor
        self.register_buffer("centre", torch.zeros(_ANSWERS))
        self.register_buffer("begun", torch.zeros(()))

    def loss(self, views: list[torch.Tensor], places: list[torch.Tensor]) -> torch.Tensor:
        """See `Learner.loss`; the teacher follows the student first."""
        self._follow()
        said = [self.student(view, place) for view, place in zip(views, places, strict=True)]
        with torch.no_grad():
            taught = [self.teacher(view, place) for view, place in zip(views, places, strict=True)]
        parts = [self_distillation(said[1 - i], taught[i], self.centre) for i in range(2)]
        self.centre.mul_(_CENTRE_KEPT).add_(torch.cat(taught).mean(0), alpha=1 - _CENTRE_KEPT)
        return (parts[0] + parts[1]) / 2

    @torch.no_grad()
    def _follow(self) -> None:
        kept = _KEPT * float(self.begun)  # it begins as the student
        for mean, now in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            mean.mul_(kept).add_(now, alpha=1 - kept)
        self.begun.fill_(1)


class Swav(Learner):
    """Caron et al. 2020: one view of a place tells which prototypes the other one was given, all used as often.

    As there, the head has a batch norm: without it, vectors that were alike at the beginning came to be as far from all
    prototypes, and nothing was learnt from smooth textures.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.speaker = _Speaker(encoder, standardised=True)

    def loss(self, views: list[torch.Tensor], places: list[torch.Tensor]) -> torch.Tensor:
        """See `Learner.loss`."""
        first, second = (self.speaker(view, place) for view, place in zip(views, places, strict=True))
        return swapped_prediction(first, second, _SWAPPED_TEMPERATURE)


@dataclass(frozen=True)
class Objective:
    """One row of the table of objectives."""

    title: str
    make: Callable[[Encoder], Learner]
    reference: str


OBJECTIVES: dict[str, Objective] = {
    "simclr": Objective("Contrast of places (SimCLR)", SimClr, "Chen et al. 2020, arXiv:2002.05709"),
    "dino": Objective("Self-distillation (DINO)", Dino, "Caron et al. 2021, arXiv:2104.14294"),
    "swav": Objective("Prototypes (SwAV)", Swav, "Caron et al. 2020, arXiv:2006.09882"),
}
