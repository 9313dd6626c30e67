"""NETWORKS: what turns a normalised image into scores. All are tile-exact: see `Network`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..errors import pick
from ..settings import OneOf
from .base import Network
from .convnets import CnnNnpu, ResNet18, SmallCnn
from .pixel import PixelNetwork
from .unet import UNet

__all__ = ["NETWORKS", "Network", "NetworkRow", "NetworkSpec", "build_network"]


@dataclass(frozen=True)
class NetworkRow:
    """One network: a title for people, how to build it, and the surrogate that suits its capacity."""

    title: str
    build: Callable[[NetworkSpec], Network]
    surrogate: str
    reference: str
