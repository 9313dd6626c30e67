"""NETWORKS: what turns a normalised image into scores. All are tile-exact: see `Network`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import pick
from .base import Network, NetworkSpec
from .convnets import CnnNnpu, ResNet18, SmallCnn
from .pixel import PixelNetwork
from .unet import UNet

__all__ = ["NETWORKS", "Network", "NetworkRow", "NetworkSpec", "build_network"]


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
    """

    title: str
    build: Callable[[NetworkSpec], Network]
    surrogate: str
    balanced: bool
    width: int
    reference: str


NETWORKS: dict[str, NetworkRow] = {
    "pixel": NetworkRow("Filter bank", PixelNetwork, "sigmoid", True, 32, "Arganda-Carreras et al. 2017"),
    "unet": NetworkRow("Residual U-Net", UNet, "logistic", False, 64, "Kerfoot et al. 2018; MONAI"),
    "resnet18": NetworkRow("ResNet-18", ResNet18, "logistic", False, 64, "He et al. 2015, arXiv:1512.03385"),
    "cnn": NetworkRow(
        "Small CNN", SmallCnn, "logistic", False, 64, "three convolutions, as used on 32 px aurora patches"
    ),
    "cnn_nnpu": NetworkRow(
        "CNN of the nnPU paper", CnnNnpu, "logistic", False, 64, "Kiryo et al. 2017, arXiv:1703.00593"
    ),
}


def build_network(spec: NetworkSpec) -> Network:
    """A new network, on the current default device.

    Raises
    ------
    InputError
        If there is no network of that name.
    """
    return pick(NETWORKS, spec.name, "network").build(spec)
