"""The one training loop, and what feeds it: seed, device, schedule, held-out strokes, cached features."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Protocol

import numpy as np
import torch
from pydantic import Field

from .losses.pu import Risk, Scores
from .networks import Network
from .patches import Batch
from .progress import Progress, Ticker, Work
from .runtime import DEVICES
from .settings import OneOf, Settings, advanced

_CACHE_BYTES = 2**30


class TrainSettings(Settings):
    """Settings of every method that trains a network."""

    n_steps: int = Field(150, ge=1, le=100_000, title="Training steps", description="Optimiser steps; more is slower.")
    seed: int = advanced(default=0, ge=0, le=2**31 - 1, title="Seed", description="Same seed, same result.")
    learning_rate: float = advanced(
        default=1e-2,
        gt=0,
        le=1,
        title="Learning rate",
        description="Highest step size of the one-cycle schedule; deep networks take a part of it.",
    )
    weight_decay: float = advanced(
        default=1e-2, ge=0, le=1, title="Weight decay", description="Pull of the weights towards zero (AdamW)."
    )
    device: Annotated[str, OneOf(DEVICES)] = advanced(
        default="auto", title="Device", description="Where to compute; automatic takes a GPU if there is one."
    )
    threads: int = advanced(
        default=0, ge=0, le=256, title="Threads", description="Processor threads; 0 leaves one core to the viewer."
    )


class Sampler(Protocol):
    """Anything that draws training batches."""

    def draw(self, rng: np.random.Generator) -> Batch:
        """One step's batch."""
        ...

    def everything(self, rng: np.random.Generator) -> Batch:
        """A larger batch, for scores that are reported rather than trained on."""
        ...


class FeatureCache:
    """Feature maps kept between trainings, least recently used dropped first.

    Keep one for as long as the user works on an image: a retrain after another stroke then computes no features.
    """

    def __init__(self, max_bytes: int = _CACHE_BYTES) -> None:
        self._maps: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._max_bytes = max_bytes

    def get(self, key: str) -> torch.Tensor | None:
        """The maps kept under a key, if there are any."""
        if key in self._maps:
            self._maps.move_to_end(key)
        return self._maps.get(key)

    def put(self, key: str, maps: torch.Tensor) -> None:
        """Keep maps, unless they alone exceed the budget."""
        if maps.nbytes > self._max_bytes:
            return
        self._maps[key] = maps
        while sum(kept.nbytes for kept in self._maps.values()) > self._max_bytes:
            self._maps.popitem(last=False)


def fit(
    network: Network,
    sampler: Sampler,
    objective: Callable[[Scores], Risk],
    settings: TrainSettings,
    *,
    n_steps: int = 0,
    check: Callable[[], float] | None = None,
    message: str = "Training",
) -> Work[None]:
    """Train a network's head in place: AdamW (Loshchilov & Hutter 2019) on a one-cycle schedule (Smith 2018).

    Parameters
    ----------
    network : Network
        On its device. It is left in evaluation mode.
    sampler : Sampler
    objective : callable
        The risk of a batch's scores.
    settings : TrainSettings
    n_steps : int
        Steps to take; 0 means ``settings.n_steps``.
    check : callable, optional
        Error on held-out strokes, lower is better; asked ten times in the second half of the training, and the best
        network is kept. Three checks in a row without a gain end the training.
    message : str
        For the `Progress`.
    """
    n_steps = n_steps or settings.n_steps
    rng, ticker, device = np.random.default_rng(settings.seed), Ticker(), next(network.parameters()).device
    rate = settings.learning_rate * network.rate
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=n_steps + 1)
    keeper = _Keeper(network, check, n_steps)
    try:
        for step in range(n_steps):
            network.train()
            batch = sampler.draw(rng).to(device)
            risk = objective(batch.scores(network.head(batch.features)))
            optimiser.zero_grad(set_to_none=True)
            risk.surrogate.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            if keeper.enough(step + 1):
                break
            if ticker.due():
                yield Progress(step + 1, n_steps, message, float(risk.value))
        keeper.restore()
    finally:
        network.eval()


class _Keeper:
    """Keeps the network that does best on held-out strokes."""

    def __init__(self, network: Network, check: Callable[[], float] | None, n_steps: int) -> None:
        self._network, self._check = network, check
        self._every, self._from = max(1, n_steps // 20), n_steps // 2
        self._best, self._misses = float("inf"), 0
        self._state: dict[str, torch.Tensor] | None = None

    def enough(self, step: int) -> bool:
        """Look at held-out strokes where it is time to; whether there is no more to gain."""
        if self._check is None or step < self._from or step % self._every:
            return False
        self._network.eval()
        with torch.inference_mode():
            error = self._check()
        if error < self._best:
            self._best, self._misses = error, 0
            self._state = copy.deepcopy(self._network.state_dict())
        else:
            self._misses += 1
        return self._misses >= 3

    def restore(self) -> None:
        """Put the best network back."""
        if self._state is not None:
            self._network.load_state_dict(self._state)
