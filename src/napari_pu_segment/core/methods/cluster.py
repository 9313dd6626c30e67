"""Segmentation without strokes: clusters of pixels, some of which are objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from ..clustering.clusters import CLUSTERERS, NAMINGS, Looks, boundary, principal
from ..clustering.settings import ClusterSettings
from ..compute.runtime import set_threads
from ..errors import InputError
from ..losses.pu import Risk
from ..losses.vae import LATENT_LOSSES
from ..model import Model
from ..networks import Network, built
from ..networks.autoencoder import LATENT, Autoencoder
from ..networks.mixture import MAX_COMPONENTS, BankMixture, EncoderMixture
from ..progress import Progress, Work
from ..samples import Sample
from ..training.building import Basis, prepare_basis
from ..training.cover import settle_at
from ..training.fit import FeatureCache, fit
from ..training.patches import KINDS, PixelSampler, find_strokes
from ..training.prior import Estimate
from ..training.threshold import ThresholdEvidence, covering
from ..training.training_data import TrainingData, make_sampler

__all__ = ["ClusterSettings", "train"]

_SEEN = 20_000  # pixels in which clusters are looked for


def train(
    samples: Sequence[Sample],
    settings: ClusterSettings,
    *,
    start: Model | None = None,
    cache: FeatureCache | None = None,
) -> Work[Model]:
    """Find clusters of pixels, and which of them are objects.

    Parameters
    ----------
    samples : sequence of Sample
        They need no strokes; where there are positive ones, these tell which clusters are objects.
    settings : ClusterSettings
    start : Model, optional
        Keep this model's clusters, and name them anew. Or an encoder, whose maps stand beside the filter bank.
    cache : FeatureCache, optional
        Keeps the filter bank's features between trainings.

    Yields
    ------
    Progress

    Returns
    -------
    Model

    Raises
    ------
    InputError
        If images and settings do not fit together, or the images are the same everywhere.
    """
    set_threads(settings.threads)
    basis = yield from prepare_basis(samples, settings, start)
    data = TrainingData(samples, find_strokes(samples), basis.stats, tuple(range(len(samples))))
    network = basis.network()
    assert isinstance(network, BankMixture | EncoderMixture)
    yield Progress(0, 0, "Looking at the images")
    if isinstance(network, EncoderMixture):
        cache = None  # its features change with its weights
        if basis.start is None:
            yield from _learn(network, data, settings, basis)
    sampler = yield from make_sampler(data, network, basis.spec, settings.seed, cache)
    assert isinstance(sampler, PixelSampler)
    if basis.start is None:
        yield from _find(network, sampler, settings)
    network.eval()
    looks = _looks(network, sampler, basis)
    _name(network, sampler, looks, settings)
    estimate = _settle(network, sampler, settings)
    n_strokes = {f"n_{kind}_strokes": data.count(kind) for kind in KINDS}
    return basis.model(network, estimate, **n_strokes)


def _learn(network: EncoderMixture, data: TrainingData, settings: ClusterSettings, basis: Basis) -> Work[None]:
    """Train the encoder to draw the images again, noise taken away."""
    whole = built(lambda: Autoencoder(network.encoder, basis.spec, settings.skip), settings.seed)
    sampler = yield from make_sampler(replace(data, strokes={}), whole, basis.spec, settings.seed, None)
    row = LATENT_LOSSES[settings.latent_loss]
    device = next(network.parameters()).device
    whole.to(device)

    def step(rng: np.random.Generator) -> Risk:
        batch = sampler.draw(rng)
        assert batch.weights is not None
        image, weights = batch.features.to(device), batch.weights.to(device)
        noise = torch.from_numpy(rng.normal(0, settings.noise, image.shape).astype(np.float32)).to(device)
        levels = whole.encoder.levels(image + noise)
        mean, log_variance = levels[-1][:, :LATENT], levels[-1][:, LATENT:]
        code = mean
        if row.variational:
            chance = torch.from_numpy(rng.standard_normal(mean.shape).astype(np.float32)).to(device)
            code = mean + chance * (log_variance.clamp(-8, 8) / 2).exp()
        error = ((whole.draw(code, levels) - image).square() * weights[:, None]).sum() / weights.sum().clamp_min(1)
        loss = error + settings.latent_weight * row.compute(mean, log_variance, settings.class_prior).mean()
        return Risk(loss.detach(), loss)

    yield from fit(whole, step, settings, message="Learning features")


def _find(network: BankMixture | EncoderMixture, sampler: PixelSampler, settings: ClusterSettings) -> Work[None]:
    network.calibrate(sampler.unlabelled)
    seen = sampler.unlabelled[:: max(1, len(sampler.unlabelled) // _SEEN)]
    rows = network.standardised(seen.T.to(network.mean.device)).T.cpu().double().numpy()
    if not (rows.std(0) > 1e-3).any():
        raise InputError("The images have no contrast: all pixels are the same, so there are no clusters.")
    kept = rows[:, network.n_left_out :]
    directions = np.zeros((rows.shape[1], min(kept.shape[1], MAX_COMPONENTS)))
    directions[network.n_left_out :] = principal(kept, MAX_COMPONENTS, settings.seed)
    found = yield from CLUSTERERS[settings.clusterer].find(rows @ directions, settings.n_clusters, settings.seed)
    weight = np.einsum("fd,kde->kef", directions, found.whitening).reshape(-1, rows.shape[1])
    bias = -np.einsum("kd,kde->ke", found.means, found.whitening).reshape(-1)
    network.mixture.set_clusters(*map(torch.from_numpy, (weight, bias, found.constants, found.groups)))


def _looks(network: BankMixture | EncoderMixture, sampler: PixelSampler, basis: Basis) -> Looks:
    """What is known of each cluster."""
    batch = sampler.everything(np.random.default_rng(basis.settings.seed))
    with torch.inference_mode():
        x = network.standardised(batch.features.T.to(network.mean.device))
        shares = network.mixture.shares(x).T.cpu().numpy()  # (n, G)
    n_channels = basis.spec.in_channels
    brightness = batch.features[batch.parts["unlabelled"], :n_channels].mean(1).numpy()
    of_kind = {
        kind: np.mean([stroke.mean(0) for stroke in sampler.strokes(kind, shares[batch.parts[kind]])], 0)
        for kind in KINDS
        if kind in batch.parts
    }
    weights = shares[batch.parts["unlabelled"]]
    unknown = np.full(weights.shape[1], np.nan)
    return Looks(
        weight=weights.mean(0),
        brightness=brightness @ weights / np.maximum(weights.sum(0), 1e-9),
        positive=of_kind.get("positive", unknown),
        negative=of_kind.get("negative", unknown),
    )


def _name(
    network: BankMixture | EncoderMixture, sampler: PixelSampler, looks: Looks, settings: ClusterSettings
) -> None:
    """Say which clusters are objects, and whether these lie to one side of the background alone."""
    mixture, objects = network.mixture, torch.from_numpy(NAMINGS[settings.objects].name(looks))
    mixture.set_objects(objects)
    if settings.one_sided:
        with torch.inference_mode():
            x = network.standardised(sampler.unlabelled.T.to(network.mean.device))  # (F, n)
            shares = mixture.shares(x)
            weights = torch.stack([shares[~objects].sum(0), shares[objects].sum(0)])
            weights = weights / weights.sum(1, keepdim=True)
            background, found = (x @ weights.T).T
            along = (found - background) @ (x - background[:, None]) / (found - background).norm()
            mixture.set_side(background, found, (along.square() * weights[0]).sum().sqrt())


def _settle(network: Network, sampler: PixelSampler, settings: ClusterSettings) -> Estimate:
    """Bring the boundary of objects to a score of 0, and tell how much of the images they cover."""
    with torch.inference_mode():
        rows = sampler.unlabelled.to(next(network.parameters()).device)
        scores = network.head(rows)[:, 0].cpu().numpy()
    if settings.prior == "fixed":
        none = np.empty(0)
        offset, source = covering(ThresholdEvidence(scores, none, none), settings.class_prior), "fixed"
    else:
        offset, source = boundary(scores), "clusters"
    settle_at(network, scores, offset)
    share = settings.class_prior if settings.prior == "fixed" else float((scores > offset).mean())
    return Estimate(share, (share, share), source)
