"""The model: a network, the card that tells all about it, and the one model file format."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch.nn import functional

from .errors import InputError, ModelFileError
from .files import write_atomically
from .filters import count
from .intensity import ChannelStats, Statistics, measure, normalise
from .networks import Network, NetworkSpec, build_network, stacked
from .progress import Work
from .runtime import choose_device
from .samples import Array, Sample, checked_axes

FORMAT_VERSION = 1
CITATION = "napari-pu-segment: positive-unlabelled segmentation from brush strokes (see CITATION.cff)"
_MAX_FILE_BYTES = 2**31
_MAX_CARD_BYTES = 2**20

Fraction = Annotated[float, Field(ge=0, le=1)]


class Card(BaseModel):
    """All that a person or a program must know to use a model again; stored as JSON in the model file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    format_version: Literal[1] = 1
    plugin_version: str
    method: str
    settings: dict[str, Any]
    network: NetworkSpec
    axes: Literal["CYX", "CZYX", "CTYX", "CTZYX"]
    channel_names: tuple[str, ...]
    intensity: tuple[ChannelStats, ...]
    statistics: Statistics = "training"
    class_prior: Fraction
    class_prior_interval: tuple[Fraction, Fraction]
    class_prior_source: str
    threshold: Fraction
    pixel_size: tuple[float, ...]
    pixel_unit: str
    n_positive_strokes: Annotated[int, Field(ge=0)]
    n_negative_strokes: Annotated[int, Field(ge=0)]
    tensors_sha256: str
    created: str
    citation: str = CITATION

    def to_json(self) -> str:
        """The card as one line of JSON."""
        return json.dumps(self.model_dump(mode="json"), allow_nan=False)


@dataclass(frozen=True, eq=False)
class Model:
    """What training returns: turns a tile of an image into probabilities.

    Parameters
    ----------
    network : Network
        In evaluation mode, on the device where it shall run.
    card : Card
    """

    network: Network
    card: Card

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K probability maps."""
        return ("positive",)

    @property
    def device(self) -> torch.device:
        """Where the network lives."""
        return next(self.network.parameters()).device

    @property
    def n_values(self) -> int:
        """About how many float32 values the network holds for each pixel while it predicts."""
        spec = self.card.network
        if spec.filters:
            return 2 * count(spec.in_channels, spec.ndim, spec.filters, spec.sigmas_px)
        return 4 * spec.width

    def for_image(self, image: Array) -> Work[Model]:
        """This model with the intensity statistics that hold for an image (C, [T,] [Z,] Y, X).

        Where they are those of the training images it is this model itself. Else the image is measured, read on a
        regular grid; every part of it must then be predicted with the model that is returned, and the same again gives
        the same. Strokes and ignored pixels make no difference.
        """
        if self.card.statistics == "training":
            return self
        stats = yield from measure([Sample(image)], self.card.intensity[0].transform)
        return replace(self, card=self.card.model_copy(update={"intensity": stats, "statistics": "training"}))

    def n_own(self, n_axes: int) -> int:
        """How many of an image's leading axes, of `n_axes` ([T,] [Z,] Y, X), are each on their own to the network."""
        return n_axes - self.card.network.ndim

    def check_image(
        self, shape: tuple[int, ...], name: str = "The image", channels: Sequence[str] = (), axes: str = ""
    ) -> None:
        """Refuse an image that this model cannot see.

        Parameters
        ----------
        shape : tuple of int
            (C, [T,] [Z,] Y, X).
        name : str
            Start of the sentence in an error.
        channels : sequence of str
            Names of its channels, where they are known.
        axes : str
            See `Sample.axes`.

        Raises
        ------
        InputError
            If shape and axes are not an image's, the number of channels differs from the training image's, or a
            volume model gets no planes.
        """
        wanted, axes = len(self.card.intensity), checked_axes(axes, tuple(shape), name)
        if shape[0] != wanted:
            own, known = (f" ({', '.join(names)})" if names else "" for names in (channels, self.card.channel_names))
            raise InputError(
                f"{name} has {shape[0]} channel(s){own}, but the model was trained on {wanted}{known}. "
                "Choose an image with the same channels."
            )
        if self.card.network.ndim == 3 and "Z" not in axes:
            kind = "a time series of single planes" if "T" in axes else "a single plane"
            raise InputError(f"{name} is {kind}, but the model was trained on volumes. Choose a stack.")

    def predict(self, tile: np.ndarray) -> np.ndarray:
        """Probabilities of a tile.

        Parameters
        ----------
        tile : ndarray, (C, [T,] [Z,] Y, X)
            Raw intensities, in any units. Time points are each on their own, and planes to a network for planes.

        Returns
        -------
        ndarray, (1, [T,] [Z,] Y, X), float32 in [0, 1]
            Within `network.halo_px` of the tile's edge the values depend on pixels that were not given;
            `tiles.map_tiles` reads that halo and cuts it away.
        """
        x = torch.from_numpy(normalise(tile, self.card.intensity))  # (C, [T,] [Z,] Y, X)
        return self._probability(x, self.network)

    def predict_features(self, features: torch.Tensor) -> np.ndarray:
        """Probabilities (1, ...) of a tile of the network's features (F, [T,] [Z,] Y, X); the bits of `predict`."""
        return self._probability(features, lambda x: self.network.head(x.float()))

    def _probability(self, x: torch.Tensor, compute: Callable[[torch.Tensor], torch.Tensor]) -> np.ndarray:
        shape, n_own = x.shape[1:], self.n_own(x.ndim - 1)
        with torch.inference_mode():
            scores = compute(stacked(x, n_own).to(self.device))  # (N, 1, ...)
            probability = _sigmoid(scores).cpu().numpy()
        return np.ascontiguousarray(probability.reshape(1, *shape), dtype=np.float32)


def _sigmoid(scores: torch.Tensor) -> torch.Tensor:
    """Sigmoid whose last bit does not depend on where in the tensor a score stands.

    Torch computes whole vectors of numbers, and the rest of them one by one with another rounding; padding leaves none.
    """
    flat = scores.flatten()
    return torch.sigmoid(functional.pad(flat, (0, -len(flat) % 64)))[: len(flat)].reshape(scores.shape)


def make_card(tensors: dict[str, torch.Tensor], **fields: Any) -> Card:
    """A card for a state dict, with the hash, the version and the time filled in.

    The time is SOURCE_DATE_EPOCH where that variable is set, so that model files can be made reproducible to the byte.
    """
    from napari_pu_segment import __version__

    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    now = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    created = now.isoformat(timespec="seconds")
    return Card(plugin_version=__version__, created=created, tensors_sha256=tensors_hash(tensors), **fields)


def tensors_hash(tensors: dict[str, torch.Tensor]) -> str:
    """sha256 over names, dtypes, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def save_model(model: Model, path: str | Path) -> None:
    """Write a model file; it is whole or absent.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.network.state_dict().items()}
    write_atomically(path, save_tensors(tensors, metadata={"card": model.card.to_json()}))


def load_model(path: str | Path) -> Model:
    """Read a model file. Nothing in it is run: tensors and a card, all checked before a network is built.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, foreign, or from a newer version.
    """
    where = f"Model file {str(path)!r}"
    try:
        size = os.path.getsize(path)
        if not os.path.isfile(path) or size > _MAX_FILE_BYTES or size < 8:
            raise ModelFileError(f"{where} is not a model of this plugin (size {size} bytes).")
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{where} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    card = _read_card(data, where)
    try:
        tensors = load_tensors(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError, OverflowError) as error:
        raise ModelFileError(f"{where} is damaged: {error}.") from None
    try:
        _check_tensors(tensors, card, where)
        network = build_network(card.network)
    except ModelFileError:
        raise
    except InputError as error:  # a network that this version does not have
        raise ModelFileError(f"{where} cannot be used: {error}") from None
    network.load_state_dict(tensors, strict=True)
    return Model(network.to(choose_device()).eval(), card)


def _read_card(data: bytes, where: str) -> Card:
    length = int.from_bytes(data[:8], "little")
    if length > min(len(data) - 8, _MAX_CARD_BYTES):
        raise ModelFileError(f"{where} is not a model of this plugin, or it is cut short.")
    try:
        text = json.loads(data[8 : 8 + length])["__metadata__"]["card"]
        values = json.loads(text)
        version = values["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ModelFileError(f"{where} is not a model of this plugin, or it is damaged.") from None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ModelFileError(f"{where} was written by a newer version of the plugin. Update the plugin to open it.")
    try:
        card = Card.model_validate_json(text)
    except (ValidationError, RecursionError):
        raise ModelFileError(f"{where} has a card that this version does not understand; it may be damaged.") from None
    axes_fit = card.network.ndim == 2 or "Z" in card.axes
    if card.network.in_channels != len(card.intensity) or not axes_fit:
        raise ModelFileError(f"{where} contradicts itself: channels or axes do not fit its network.")
    return card


def _check_tensors(tensors: dict[str, torch.Tensor], card: Card, where: str) -> None:
    with torch.device("meta"):  # shapes without memory
        expected = build_network(card.network).state_dict()
    if set(tensors) != set(expected):
        raise ModelFileError(f"{where} does not hold the tensors of a {card.network.name!r} network.")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape or tensor.dtype != expected[name].dtype:
            raise ModelFileError(f"{where}: tensor {name!r} has the wrong shape or type.")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelFileError(f"{where}: tensor {name!r} holds values that are not finite.")
    if tensors_hash(tensors) != card.tensors_sha256:
        raise ModelFileError(f"{where} is damaged: its tensors do not match their checksum.")
