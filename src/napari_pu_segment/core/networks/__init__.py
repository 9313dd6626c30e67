"""NETWORKS, CLUSTERINGS and ENCODERS: what turns a normalised image into scores. All are tile-exact: see `Network`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from ..errors import InputError, pick
from .base import EncoderSpec, Network, NetworkSpec, Reach, stacked
from .convnets import CnnNnpu, ResNet18, SmallCnn
from .efficientnet import EfficientNetLite, TfEfficientNetLite
from .encoder import Encoder, SmallEncoder
from .mixture import BankMixture, EncoderMixture
from .one_vs_rest import OneVsRest
from .pipeline import PipelineNetwork
from .pixel import PixelNetwork
from .resnet import ResNetStages
from .unet import UNet

__all__ = [
    "CLUSTERINGS",
    "ENCODERS",
    "FOUND",
    "NETWORKS",
    "Encoder",
    "EncoderSpec",
    "Network",
    "NetworkRow",
    "NetworkSpec",
    "OneVsRest",
    "Reach",
    "build_encoder",
    "build_network",
    "built",
    "network_row",
    "stacked",
]

NetworkT = TypeVar("NetworkT", bound=Network)


@dataclass(frozen=True)
class NetworkRow:
    """One network, and the form of the risk that suits its capacity.

    Parameters
    ----------
    title : str
    build : callable
    surrogate : str
        Row of `RISKS`' surrogates that is best for it: the bounded sigmoid lets a deep network memorise the strokes.
    balanced : bool
        Whether the imbalanced form of the risk (target prior 1/2) is best for it.
    width : int
        `NetworkSpec.width` where nobody asks for another.
    reference : str
    heeds_planes : bool
        Whether its form for volumes follows `NetworkSpec.plane_px`; where it does not, planes count as pixels.
    bank : bool
        Whether it sees the filter bank, and beside it the maps of an encoder where there is one.
    published : bool
        Whether it can begin with weights that others have published.
    """

    title: str
    build: Callable[[NetworkSpec], Network]
    surrogate: str
    balanced: bool
    width: int
    reference: str
    heeds_planes: bool = False
    bank: bool = False
    published: bool = False


def _pixel(spec: NetworkSpec) -> PixelNetwork:
    return PixelNetwork(spec, None if spec.encoder is None else build_encoder(spec))


def _bank(spec: NetworkSpec) -> BankMixture:
    return BankMixture(spec, None if spec.encoder is None else build_encoder(spec))


NETWORKS: dict[str, NetworkRow] = {
    "pixel": NetworkRow("Filter bank", _pixel, "sigmoid", True, 32, "Arganda-Carreras et al. 2017", True, True),
    "unet": NetworkRow("Residual U-Net", UNet, "logistic", False, 64, "Kerfoot et al. 2018; MONAI", True),
    "resnet18": NetworkRow("ResNet-18", ResNet18, "logistic", False, 64, "He et al. 2015, arXiv:1512.03385"),
    "cnn": NetworkRow(
        "Small CNN", SmallCnn, "logistic", False, 64, "three convolutions, as used on 32 px aurora patches"
    ),
    "cnn_nnpu": NetworkRow(
        "CNN of the nnPU paper", CnnNnpu, "logistic", False, 64, "Kiryo et al. 2017, arXiv:1703.00593"
    ),
}

# Those that need no labels; no risk is trained on them.
CLUSTERINGS: dict[str, NetworkRow] = {
    "bank": NetworkRow("Filter bank", _bank, "", False, 4, "Arganda-Carreras et al. 2017", True, True),
    "autoencoder": NetworkRow("Autoencoder", EncoderMixture, "", False, 8, "Vincent et al. 2010, JMLR 11:3371"),
    "hypercolumns": NetworkRow(
        "Hypercolumns (autoencoder)",
        lambda spec: EncoderMixture(spec, hypercolumn=True),
        "",
        False,
        8,
        "Hariharan et al. 2015, arXiv:1411.5752",
    ),
}

# Those that are trained on images alone, and serve other networks.
ENCODERS: dict[str, NetworkRow] = {
    "small": NetworkRow("Small encoder", SmallEncoder, "", False, 8, "Hariharan et al. 2015, arXiv:1411.5752"),
    "unet": NETWORKS["unet"],
    "efficientnet_lite0": NetworkRow(
        "EfficientNet-Lite0", EfficientNetLite, "", False, 32, "Tan & Le 2019, arXiv:1905.11946", published=True
    ),
    "tf_efficientnet_lite0": NetworkRow(
        "TF EfficientNet-Lite0",
        TfEfficientNetLite,
        "",
        False,
        32,
        "Tan & Le 2019, arXiv:1905.11946",
        published=True,
    ),
    "resnet18_stages": NetworkRow(
        "ResNet-18, two stages", ResNetStages, "", False, 64, "He et al. 2015, arXiv:1512.03385", published=True
    ),
}

# Those that a search finds; nobody asks for them by name.
FOUND: dict[str, NetworkRow] = {
    "pipeline": NetworkRow(
        "Filter bank, scikit-learn", PipelineNetwork, "", False, 4, "Pedregosa et al. 2011, JMLR 12:2825", True, True
    ),
}


def network_row(name: str) -> NetworkRow:
    """The row of a network, whether it is trained on labels, needs none, or is found by a search.

    Raises
    ------
    InputError
        If there is no network of that name.
    """
    return pick({**NETWORKS, **CLUSTERINGS, **ENCODERS, **FOUND}, name, "network")


def build_encoder(spec: NetworkSpec) -> Encoder:
    """The encoder that a network looks through, with any weights; it is not trained further.

    Raises
    ------
    InputError
        If there is no encoder of that name, or it gives fewer maps.
    """
    asked = spec.encoder
    assert asked is not None
    own = NetworkSpec(
        name=asked.name,
        in_channels=spec.in_channels,
        ndim=spec.ndim,
        width=asked.width,
        plane_px=asked.plane_px,
    )
    encoder = pick(ENCODERS, asked.name, "encoder").build(own)
    assert isinstance(encoder, Encoder)
    if encoder.n_maps < asked.n_maps:
        raise InputError(f"The encoder {asked.name!r} gives {encoder.n_maps} maps, not {asked.n_maps}.")
    return encoder.requires_grad_(requires_grad=False)


def build_network(spec: NetworkSpec, seed: int | None = None, n_classes: int = 1, n_parts: int = 1) -> Network:
    """A new network, on the current default device.

    Parameters
    ----------
    spec : NetworkSpec
    seed : int, optional
        Of the initial weights, uniform in +-1 / sqrt(fan in) (LeCun et al. 1998). They come from a generator of their
        own: torch's is shared by all threads, and another training may draw from it at the same time.

    n_classes, n_parts : int
        How many classes of objects it tells apart, and by how many parts; see `OneVsRest`.

    Raises
    ------
    InputError
        If there is no network of that name.
    """
    build = network_row(spec.name).build
    if spec.name in FOUND:
        return built(lambda: PipelineNetwork(spec, n_classes), seed)
    if n_classes == 1:
        return built(lambda: build(spec), seed)
    return built(lambda: OneVsRest([build(spec) for _ in range(n_parts)], n_classes), seed)


def built(build: Callable[[], NetworkT], seed: int | None) -> NetworkT:
    """What `build` makes, with the initial weights of a seed; see `build_network`."""
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are none of our business
        network = build()
    if seed is not None:
        _initialise(network, torch.Generator().manual_seed(seed))
    return network


@torch.no_grad()
def _initialise(network: Network, generator: torch.Generator) -> None:
    for module in network.modules():
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if not isinstance(weight, torch.Tensor) or weight.ndim < 2:
            continue  # norms begin at one and zero
        bound = weight[0].numel() ** -0.5
        weight.uniform_(-bound, bound, generator=generator)
        if isinstance(bias, torch.Tensor):
            bias.uniform_(-bound, bound, generator=generator)
