"""Self-supervised pretraining: an encoder learns from images alone what tells their places apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ..compute.runtime import set_threads
from ..errors import InputError
from ..losses.pu import Risk
from ..model import Model
from ..networks import Encoder, built
from ..networks.published import Published
from ..pretraining.self_supervised import OBJECTIVES
from ..pretraining.settings import PretrainSettings
from ..pretraining.views import Views, crop_sides, draw_crops
from ..pretraining.weights import Weights
from ..progress import Progress, Ticker, Work
from ..samples import Sample
from ..training.building import Basis, prepare_basis
from ..training.checkpoint import Checkpoint
from ..training.fit import FeatureCache, fit
from ..training.patches import patch_sides
from ..training.prior import Estimate

__all__ = ["PretrainSettings", "train"]

_SEEN = 20_000  # places by which the maps are chosen


def train(
    samples: Sequence[Sample],
    settings: PretrainSettings,
    *,
    start: Model | None = None,
    cache: FeatureCache | None = None,
    checkpoint: Path | None = None,
    weights: Weights | None = None,
) -> Work[Model]:
    """Train an encoder. Labels are not looked at.

    Parameters
    ----------
    samples : sequence of Sample
    settings : PretrainSettings
    start : Model, optional
        An encoder of the same shape to go on from.
    cache : FeatureCache, optional
        Not used: features change with the weights.
    checkpoint : Path, optional
        Where the training is kept from time to time and when it is cancelled. It goes on from a file that is there;
        who keeps the model removes it.
    weights : Weights, optional
        Published ones to begin with, of the encoder that the settings ask for.

    Yields
    ------
    Progress

    Returns
    -------
    Model
        An encoder: give it to another method as its `start`.

    Raises
    ------
    InputError
        If images and settings do not fit together, the images are the same everywhere, the checkpoint is of another
        training, or there is nothing to begin with and no step to take.
    """
    if not (settings.n_steps or start or weights):
        raise InputError(
            "An encoder of 0 training steps has learnt nothing. Take more steps, or give published weights."
        )
    set_threads(settings.threads)
    bare = [replace(sample, labels=None) for sample in samples]
    basis = yield from prepare_basis(bare, settings, start)
    network = basis.network()
    assert isinstance(network, Encoder)
    rng, ndim = np.random.default_rng(settings.seed), basis.spec.ndim
    sides = patch_sides(network, len(bare[0].spatial_shape) - ndim, ndim)
    crops = yield from draw_crops(bare, basis.stats, crop_sides(sides), rng)
    if not bool((crops != crops.flatten()[0]).any()):
        raise InputError("The images have no contrast: all pixels are the same, so there is nothing to learn.")
    device, views = next(network.parameters()).device, Views(crops, sides[-ndim:], network.n_unlabelled)
    learner = built(lambda: OBJECTIVES[settings.objective].make(network), settings.seed).to(device)
    if basis.encoder is not None:
        network.load_state_dict(basis.encoder.state_dict())
    if weights is not None:
        assert isinstance(network, Published)
        network.take(weights.tensors)
        basis = replace(basis, weights=weights.origin)

    def step(rng: np.random.Generator) -> Risk:
        looks, places = views.draw(rng)
        loss = learner.loss([look.to(device) for look in looks], [place.to(device) for place in places])
        return Risk(loss.detach(), loss)

    kept = Checkpoint(checkpoint, _about(basis, crops)) if checkpoint else None
    limit_s = 60 * settings.max_minutes
    yield from fit(learner, step, settings, message="Learning features", limit_s=limit_s, checkpoint=kept)
    network.compress((yield from _rows(network, crops, sides[-ndim:], rng)))
    return basis.model(network, Estimate(0.0, (0.0, 0.0), "none"), n_positive_strokes=0, n_negative_strokes=0)


def _about(basis: Basis, crops: torch.Tensor) -> str:
    """What a checkpoint must be of to go on from it; only how long it may take can change."""
    begun = [basis.weights.sha256] if basis.weights else []
    told = json.dumps([basis.spec.model_dump(mode="json"), {**basis.settings.to_dict(), "max_minutes": 0}, *begun])
    return hashlib.sha256(told.encode() + crops.numpy().tobytes()).hexdigest()


def _rows(network: Encoder, crops: torch.Tensor, sides: Sequence[int], rng: np.random.Generator) -> Work[torch.Tensor]:
    """Traits (n, F) at places in the middle of views of some sides, each of one crop."""
    device, ticker, found = next(network.parameters()).device, Ticker(), []
    chosen = crops[torch.from_numpy(rng.permutation(len(crops))[: _SEEN // 64])]
    chosen = chosen[(slice(None), slice(None), *(slice(side) for side in sides))]
    inner = [slice(side // 4, side - side // 4) for side in sides]
    for number, crop in enumerate(chosen):
        if ticker.due():
            yield Progress(number, len(chosen), "Choosing features")
        with torch.inference_mode():
            traits = network.traits(crop[None].to(device))[0][(slice(None), *inner)].flatten(1)
        found.append(traits[:, :: max(1, traits.shape[1] // 64)].T.cpu())
    return torch.cat(found)
