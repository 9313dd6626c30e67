"""The one training loop, and what feeds it: seed, device, schedule, held-out strokes, cached features."""

from __future__ import annotations

import copy
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch.optim.adamw import adamw

from ..compute.runtime import DEVICES
from ..losses.pu import Risk
from ..networks import Network
from ..progress import Progress, Ticker, Work
from ..settings import OneOf, Settings, advanced
from .checkpoint import Checkpoint

_CACHE_BYTES = 2**30


class RunSettings(Settings):
    """Settings of every method: chance, and where to compute."""

    seed: int = advanced(default=0, ge=0, le=2**31 - 1, title="Seed", description="Same seed, same result.")
    device: Annotated[str, OneOf(DEVICES)] = advanced(
        default="auto", title="Device", description="Where to compute; automatic takes a GPU if there is one."
    )
    threads: int = advanced(
        default=0, ge=0, le=256, title="Threads", description="Processor threads; 0 leaves one core to the viewer."
    )


class TrainSettings(RunSettings):
    """Settings of every method that trains a network step by step."""

    n_steps: int = Field(150, ge=1, le=100_000, title="Training steps", description="Optimiser steps; more is slower.")
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
    draw: Callable[[np.random.Generator], Risk],
    settings: TrainSettings,
    *,
    n_steps: int = 0,
    check: Callable[[], float] | None = None,
    message: str = "Training",
    limit_s: float = 0.0,
    checkpoint: Checkpoint | None = None,
) -> Work[None]:
    """Train a network's head in place: AdamW (Loshchilov & Hutter 2019) on a one-cycle schedule (Smith 2018).

    Parameters
    ----------
    network : Network
        On its device. It is left in evaluation mode.
    draw : callable
        Draws a batch and gives its risk; asked once for every step.
    settings : TrainSettings
    n_steps : int
        Steps to take; 0 means ``settings.n_steps``.
    check : callable, optional
        Error on held-out strokes, lower is better; asked ten times in the second half of the training, and the best
        network is kept. Three checks in a row without a gain end the training.
    message : str
        For the `Progress`.
    limit_s : float
        The training ends after so many seconds, its schedule with it; 0 sets no limit.
    checkpoint : Checkpoint, optional
        Where it is kept from time to time, and when it is cancelled; it goes on from there.
    """
    n_steps = n_steps or settings.n_steps
    rng, ticker = np.random.default_rng(settings.seed), Ticker()
    optimiser = _Optimiser(network, settings.weight_decay)
    keeper, clock = _Keeper(network, check, n_steps), _Clock(limit_s)
    state = {**network.state_dict(), **optimiser.state()} if checkpoint else {}
    step = 0
    if checkpoint:
        step, clock.before_s = checkpoint.load(state, rng)
    try:
        while step < n_steps and clock.late < 1:
            network.train()
            risk = draw(rng)
            risk.surrogate.backward()  # type: ignore[no-untyped-call]
            optimiser.step(settings.learning_rate * network.rate * one_cycle(max(step / n_steps, clock.late)))
            step += 1
            if keeper.enough(step):
                break
            if checkpoint:
                checkpoint.save(state, rng, step, clock.spent_s, now=False)
            if ticker.due():
                yield Progress(step, n_steps, message, float(risk.value))
        keeper.restore()
    except GeneratorExit:  # between two steps; any other end may be in the middle of one
        if checkpoint:
            checkpoint.save(state, rng, step, clock.spent_s, now=True)
        raise
    finally:
        network.eval()


def one_cycle(done: float) -> float:
    """Factor 0..1 on the learning rate after a fraction `done` of the training (Smith & Topin 2018, arXiv:1708.07120).

    From 1/25 up to 1 in the first three tenths, then down to 0, both along half a cosine.
    """
    if done < 0.3:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * done / 0.3)) / 2
    return (1 + math.cos(math.pi * (done - 0.3) / 0.7)) / 2


class _Clock:
    """How long a training took, and how much of its time that is."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s, self._began = limit_s, time.monotonic()
        self.before_s = 0.0

    @property
    def spent_s(self) -> float:
        """Seconds, with those before it went on from a checkpoint."""
        return self.before_s + time.monotonic() - self._began

    @property
    def late(self) -> float:
        """Fraction of the time that is over; 0 where there is no limit."""
        return self.spent_s / self._limit_s if self._limit_s else 0.0


class _Optimiser:
    """AdamW over torch's own step function.

    The class torch.optim.AdamW imports torch's compiler when it is made: a second of computing that the first training
    would spend, with the viewer standing still (measured).
    """

    def __init__(self, network: Network, weight_decay: float) -> None:
        self._parameters: list[torch.Tensor] = [p for p in network.parameters() if p.requires_grad]
        self._means = [torch.zeros_like(p) for p in self._parameters]
        self._squares = [torch.zeros_like(p) for p in self._parameters]
        self._steps = [torch.zeros(()) for _ in self._parameters]
        self._weight_decay = weight_decay

    def state(self) -> dict[str, torch.Tensor]:
        """All that it remembers, by name; the tensors themselves."""
        parts = {"mean": self._means, "square": self._squares, "step": self._steps}
        return {f"{name}/{i}": one for name, part in parts.items() for i, one in enumerate(part)}

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Take a step along the gradients, clipped to norm 5, and clear them."""
        torch.nn.utils.clip_grad_norm_(self._parameters, 5.0)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._parameters]
        adamw(
            self._parameters,
            gradients,
            self._means,
            self._squares,
            [],
            self._steps,
            foreach=False,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=rate,
            weight_decay=self._weight_decay,
            eps=1e-8,
            maximize=False,
        )
        for parameter in self._parameters:
            parameter.grad = None


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
