"""What every method that makes a network begins with, and the model that it ends with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .card import make_card
from .doubts import SCALE_LIMIT
from .errors import InputError
from .intensity import ChannelStats, measure
from .model import Model
from .network_settings import NetworkSettings, SeeingSettings
from .networks import Network, NetworkSpec, build_network, network_row
from .prior import Estimate
from .progress import Work
from .runtime import choose_device
from .samples import Sample, common_axes


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
    start : Model or None
        The model that is continued from.
    """

    samples: Sequence[Sample]
    settings: SeeingSettings
    spec: NetworkSpec
    intensity: tuple[ChannelStats, ...]
    stats: tuple[tuple[ChannelStats, ...], ...]
    start: Model | None

    def network(self) -> Network:
        """A new network on its device, or a copy of the one that is continued from.

        Raises
        ------
        InputError
            If that one is another network than the settings ask for.
        """
        start, network = self.start, build_network(self.spec, self.settings.seed)
        if start is not None:
            if start.card.network != self.spec or start.card.statistics != self.settings.statistics:
                raise InputError(
                    f"The current model is a {start.card.network.name!r} network of another shape, or it "
                    "sees intensities otherwise, so training cannot continue from it. Train anew, or restore its "
                    "settings."
                )
            network.load_state_dict(start.network.state_dict())
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
            statistics=self.settings.statistics,
            class_prior=estimate.prior,
            class_prior_interval=estimate.interval,
            class_prior_source=estimate.source,
            threshold=0.5,
            pixel_size=first.pixel_size,
            pixel_unit=first.pixel_unit,
            **fields,
        )
        return Model(network, card)


def prepare_basis(samples: Sequence[Sample], settings: NetworkSettings, start: Model | None) -> Work[Basis]:
    """Look at the samples, before any training.

    Raises
    ------
    InputError
        If they do not fit together, nor to the settings or to the model that is continued from.
    """
    axes = common_axes(samples)
    if start is not None:
        for sample in samples:
            start.check_image(sample.image.shape, f"Image {sample.name!r}", sample.channel_names, sample.axes)
    intensity, stats = yield from _statistics(samples, settings, start)
    return Basis(samples, settings, spec_of(settings, samples, _ndim(settings, axes)), intensity, stats, start)


def spec_of(settings: NetworkSettings, samples: Sequence[Sample], ndim: int) -> NetworkSpec:
    """The network that settings ask for, for images such as the samples'."""
    row = network_row(settings.network)
    return NetworkSpec(
        name=settings.network,
        in_channels=samples[0].image.shape[0],
        ndim=3 if ndim == 3 else 2,
        width=max(settings.width, 4) if settings.width else row.width,
        filters=settings.filters if row.bank else (),
        sigmas_px=settings.sigmas_px if row.bank else (),
        plane_px=_plane_px(settings, samples, ndim),
        clusters=settings.clusters,
    )


def _ndim(settings: NetworkSettings, axes: str) -> int:
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
    samples: Sequence[Sample], settings: NetworkSettings, start: Model | None
) -> Work[tuple[tuple[ChannelStats, ...], tuple[tuple[ChannelStats, ...], ...]]]:
    """Statistics of all samples together, and those that each of them is seen with."""
    everywhere = start.card.intensity if start else (yield from measure(samples, settings.intensity))
    if settings.statistics == "training":
        return everywhere, (everywhere,) * len(samples)
    # as `Model.for_image` will measure them: what is ignored makes no difference there
    each = []
    for sample in samples:
        each.append((yield from measure([Sample(sample.image)], everywhere[0].transform)))
    return everywhere, tuple(each)


def _plane_px(settings: NetworkSettings, samples: Sequence[Sample], ndim: int) -> float:
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
