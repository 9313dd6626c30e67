"""Segmentation from strokes on the objects, and on the background where the user likes: PU and PNU learning."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..compute.runtime import set_threads
from ..losses.pu import Risk, Scores
from ..model import Model
from ..networks import Network
from ..progress import Progress, Work
from ..samples import Sample
from ..training.building import prepare_basis
from ..training.cover import find_prior, make_objective, make_step, scores_of, settle
from ..training.fit import FeatureCache, fit
from ..training.patches import KINDS, Sampler
from ..training.pu_settings import PuSettings
from ..training.training_data import make_sampler, prepare

__all__ = ["PuSettings", "train"]


def train(
    samples: Sequence[Sample],
    settings: PuSettings,
    *,
    start: Model | None = None,
    cache: FeatureCache | None = None,
) -> Work[Model]:
    """Train on brush strokes.

    Parameters
    ----------
    samples : sequence of Sample
        With positive strokes on at least one; images without strokes serve as unlabelled.
    settings : PuSettings
    start : Model, optional
        Continue from this model, in a third of the steps; its intensity statistics and network are kept. Or an encoder
        to look through, in a training from nothing.
    cache : FeatureCache, optional
        Keeps features between trainings.

    Yields
    ------
    Progress

    Returns
    -------
    Model

    Raises
    ------
    InputError
        If there are no positive strokes, or images, strokes and settings do not fit together.
    """
    set_threads(settings.threads)
    basis = yield from prepare_basis(samples, settings, start)
    data = prepare(samples, basis.stats)
    network = basis.network()
    kept, held = data.split(settings.seed)
    yield Progress(0, settings.n_steps, "Reading the strokes")
    sampler = yield from make_sampler(kept, network, basis.spec, settings.seed, cache)
    if basis.start is None:
        network.calibrate(sampler.everything(np.random.default_rng(settings.seed)).features)
    estimate = yield from find_prior(data, settings, basis, cache)
    odds = settings.generosity * estimate.prior / (1 - estimate.prior)
    objective = make_objective(settings, odds / (1 + odds), bool(data.count("negative")))
    check = None
    if held is not None:
        held_sampler = yield from make_sampler(held, network, basis.spec, settings.seed, cache)
        check = _check(network, held_sampler, objective, settings.seed)
    n_steps = settings.n_steps if basis.start is None else max(1, settings.n_steps // 3)
    yield from fit(network, make_step(network, sampler, objective), settings, n_steps=n_steps, check=check)
    settle(network, sampler.everything(np.random.default_rng(settings.seed)), settings.threshold, estimate.prior)
    n_strokes = {f"n_{kind}_strokes": data.count(kind) for kind in KINDS}
    return basis.model(network, estimate, **n_strokes)


def _check(network: Network, held: Sampler, objective: Callable[[Scores], Risk], seed: int) -> Callable[[], float]:
    return lambda: float(objective(scores_of(network, held.everything(np.random.default_rng(seed)))).value)
