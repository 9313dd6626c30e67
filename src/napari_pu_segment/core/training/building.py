"""What every method that makes a network begins with, and the model that it ends with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..card import Origin, make_card
from ..compute.runtime import choose_device
from ..errors import InputError
from ..images.doubts import SCALE_LIMIT
from ..images.intensity import ChannelStats, Statistics, measure
from ..model import Model
from ..networks import (
    CLUSTERINGS,
    NETWORKS,
    Encoder,
    EncoderSpec,
    Network,
    NetworkSpec,
    OneVsRest,
    build_network,
    network_row,
)
from ..networks.rows import BankNetwork
from ..progress import Work
from ..samples import Sample, common_axes
from .exposure import exposures_differ
from .network_settings import DeepSettings, NetworkSettings, SeeingSettings
from .prior import Estimate


@dataclass(frozen=True, eq=False)
class Basis:
    """What a training stands on.

    Parameters
    ----------
    samples : sequence of Sample
    settings : SeeingSettings
    spec : NetworkSpec
    intensity : tuple of ChannelStats
        Statistics of all samples together.
    stats : tuple of tuple of ChannelStats
        For each sample those that it is seen with; all alike where the statistics are the training images'.
    statistics : {"training", "image"}
        Which of them, and what the model will see other images with.
    start : Model or None
        The model that is continued from.
    encoder : Encoder or None
        The encoder that the network looks through, or whose weights it begins with.
    weights : Origin or None
        Of the published weights in it, or in what is continued from.
    """

    samples: Sequence[Sample]
    settings: SeeingSettings
    spec: NetworkSpec
    intensity: tuple[ChannelStats, ...]
    stats: tuple[tuple[ChannelStats, ...], ...]
    statistics: Statistics
    start: Model | None
    encoder: Encoder | None = None
    weights: Origin | None = None

    def network(self) -> Network:
        """A new network on its device, or a copy of the one that is continued from.

        Raises
        ------
        InputError
            If that one is another network than the settings ask for.
        """
        start, network = self.start, build_network(self.spec, self.settings.seed)
        if start is not None:
            if start.card.network != self.spec or start.card.statistics != self.statistics:
                raise InputError(
                    f"The current model is a {start.card.network.name!r} network of another shape, or it "
                    "sees intensities otherwise, so training cannot continue from it. Train anew, or restore its "
                    "settings."
                )
            network.load_state_dict(start.network.state_dict())
        elif self.encoder is not None:
            own = network.encoder if isinstance(network, BankNetwork) else network
            assert own is not None
            own.load_state_dict(self.encoder.state_dict())
        return network.to(choose_device(self.settings.device))

    def model(self, network: Network, estimate: Estimate, **fields: Any) -> Model:
        """The model of a trained network whose operating threshold is a probability of one half."""
        first, settings = self.samples[0], self.settings.to_dict()
        card = make_card(
            network.state_dict(),
            method=settings["method"],
            settings=settings,
            network=self.spec,
            axes=first.axes,
            channel_names=first.channel_names,
            intensity=self.intensity,
            statistics=self.statistics,
            class_prior=estimate.prior,
            class_prior_interval=estimate.interval,
            class_prior_source=estimate.source,
            threshold=0.5,
            pixel_size=first.pixel_size,
            pixel_unit=first.pixel_unit,
            weights=self.weights,
            **fields,
        )
        return Model(network, card)


def prepare_basis(samples: Sequence[Sample], settings: DeepSettings, start: Model | None) -> Work[Basis]:
    """Look at the samples, before any training.

    Where the model that is continued from is an encoder, the training begins anew, and the network looks through it.

    Raises
    ------
    InputError
        If they do not fit together, nor to the settings or to the model that is continued from.
    """
    axes = common_axes(samples)
    if start is not None:
        for sample in samples:
            start.check_seen(sample.image.shape, f"Image {sample.name!r}", sample.channel_names, sample.axes)
    spec, encoder = spec_of(settings, samples, _ndim(settings, axes)), None
    weights = start.card.weights if start is not None else None
    if start is not None and start.is_encoder:
        assert isinstance(start.network, Encoder)
        spec, encoder, start = _through(spec, start), start.network, None
    elif start is not None:
        spec = spec.model_copy(update={"encoder": start.card.network.encoder})
    intensity, stats, statistics = yield from _statistics(samples, settings, start)
    return Basis(samples, settings, spec, intensity, stats, statistics, start, encoder, weights)


def _through(spec: NetworkSpec, encoder: Model) -> NetworkSpec:
    """The network that looks through an encoder, or begins as one.

    Raises
    ------
    InputError
        If it cannot.
    """
    own, network = encoder.card.network, encoder.network
    assert isinstance(network, Encoder)
    if own.ndim != spec.ndim:
        kinds = {2: "planes", 3: "volumes"}
        raise InputError(
            f"The encoder was made for {kinds[own.ndim]}, but the settings ask for {kinds[spec.ndim]}. Set Stacks to "
            f"{'planes' if own.ndim == 2 else 'volume'}, or make another encoder."
        )
    if spec.name == own.name:
        return spec.model_copy(update={"width": own.width, "plane_px": own.plane_px})
    if not network_row(spec.name).bank:
        served = " and ".join(repr(name) for name, row in {**NETWORKS, **CLUSTERINGS}.items() if row.bank)
        raise InputError(
            f"The encoder is a {own.name!r} network; it serves the networks {served} and its own kind, not "
            f"{spec.name!r}. Choose another network, or none of these encoders."
        )
    seen = EncoderSpec(
        name=own.name,
        width=own.width,
        n_maps=network.n_shared,
        plane_px=own.plane_px,
        sha256=encoder.card.tensors_sha256,
    )
    return spec.model_copy(update={"encoder": seen})


def encoder_of(model: Model) -> Model | None:
    """The encoder that a model looks through, as a model of its own; None where there is none."""
    first = model.network.part(0) if isinstance(model.network, OneVsRest) else model.network
    seen, network = model.card.network.encoder, getattr(first, "encoder", None)
    if seen is None or not isinstance(network, Encoder):
        return None
    own = {"name": seen.name, "width": seen.width, "plane_px": seen.plane_px, "encoder": None}
    spec = model.card.network.model_copy(update={**own, "filters": (), "sigmas_px": ()})
    card = {"classes": (), "method": "pretrain", "network": spec, "tensors_sha256": seen.sha256}
    return Model(network, model.card.model_copy(update=card))


def spec_of(settings: DeepSettings, samples: Sequence[Sample], ndim: int) -> NetworkSpec:
    """The network that settings ask for, for images such as the samples'."""
    row = network_row(settings.network)
    bank = settings if row.bank and isinstance(settings, NetworkSettings) else None
    return NetworkSpec(
        name=settings.network,
        in_channels=samples[0].image.shape[0],
        ndim=3 if ndim == 3 else 2,
        width=max(settings.width, 4) if settings.width else row.width,
        filters=bank.filters if bank else (),
        sigmas_px=bank.sigmas_px if bank else (),
        plane_px=_plane_px(settings, samples, ndim),
        clusters=settings.clusters,
        landmarks=settings.landmarks,
    )


def _ndim(settings: DeepSettings, axes: str) -> int:
    """Spatial axes of the network: time is never one of them."""
    if settings.dimensions == "planes" or axes == "CYX":
        return 2
    if "Z" not in axes:
        raise InputError(
            "The images are time series of single planes, so there are no volumes to train on. Time points are each on "
            "their own: set Stacks to planes."
        )
    return 3


def _statistics(
    samples: Sequence[Sample], settings: DeepSettings, start: Model | None
) -> Work[tuple[tuple[ChannelStats, ...], tuple[tuple[ChannelStats, ...], ...], Statistics]]:
    """Statistics of all samples together, those that each of them is seen with, and which these are."""
    everywhere = start.card.intensity if start else (yield from measure(samples, settings.intensity))
    asked = settings.statistics
    if asked == "auto":
        asked = start.card.statistics if start else "training" if len(samples) == 1 else "auto"
    if asked != "training":
        # as `Model.for_image` will measure them: what is ignored makes no difference there
        each = []
        for sample in samples:
            each.append((yield from measure([Sample(sample.image)], everywhere[0].transform)))
        if asked == "image" or (yield from exposures_differ(samples, everywhere, each)):
            return everywhere, tuple(each), "image"
    return everywhere, (everywhere,) * len(samples), "training"


def _plane_px(settings: DeepSettings, samples: Sequence[Sample], ndim: int) -> float:
    if ndim == 2 or not network_row(settings.network).heeds_planes:
        return 1.0
    known = [sample.plane_px for sample in samples if sample.plane_px]
    if settings.plane_px or not known:
        return settings.plane_px or 1.0
    if max(known) > SCALE_LIMIT * min(known):
        raise InputError(
            f"The stacks differ in how far their planes are apart: from {min(known):.3g} to {max(known):.3g} px. Give "
            "the distance of planes that shall hold for all, or train on stacks of one kind."
        )
    return min(max(round(known[0], 3), 0.01), 100.0)
