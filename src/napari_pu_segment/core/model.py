"""The model: a network, the card that tells all about it, and the one model file format."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch.nn import functional

from .card import FORMAT_VERSION, Card, tensors_hash
from .classes import Thresholds, thresholds_of
from .compute.runtime import choose_device
from .errors import InputError, ModelFileError
from .files import write_atomically
from .images.intensity import measure, normalise
from .networks import Network, build_network, stacked
from .progress import Work
from .samples import Array, Sample, checked_axes

_MAX_FILE_BYTES = 2**31
_MAX_CARD_BYTES = 2**20


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
        return self.card.class_names

    @property
    def threshold(self) -> Thresholds:
        """The operating threshold, or that of each of several classes."""
        return thresholds_of(self.card.thresholds, len(self.classes))

    @property
    def device(self) -> torch.device:
        """Where the network lives."""
        return next(self.network.parameters()).device

    @property
    def is_encoder(self) -> bool:
        """Whether it gives features to other networks, and no probabilities."""
        return self.card.method == "pretrain"

    @property
    def n_values(self) -> int:
        """About how many float32 values the network holds for each pixel while it predicts."""
        spec = self.card.network
        return 2 * spec.n_features if spec.filters else 4 * spec.width

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
        """Refuse an image that this model cannot segment: all of them to an encoder, else see `check_seen`."""
        if self.is_encoder:
            raise InputError("This model is an encoder: it gives features to others, no segmentation. Train with it.")
        self.check_seen(shape, name, channels, axes)

    def check_seen(
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
        ndarray, (K, [T,] [Z,] Y, X), float32 in [0, 1]
            Those of K > 1 classes add up to at most 1; the rest is the background's.
            Within `network.halo_px` of the tile's edge the values depend on pixels that were not given;
            `tiles.map_tiles` reads that halo and cuts it away.
        """
        x = torch.from_numpy(normalise(tile, self.card.intensity))  # (C, [T,] [Z,] Y, X)
        return self._probability(x, self.network)

    def predict_features(self, features: torch.Tensor) -> np.ndarray:
        """Probabilities (K, ...) of a tile of the network's features (F, [T,] [Z,] Y, X); the bits of `predict`."""
        return self._probability(features, lambda x: self.network.head(x.float()))

    def _probability(self, x: torch.Tensor, compute: Callable[[torch.Tensor], torch.Tensor]) -> np.ndarray:
        shape, n_own = x.shape[1:], self.n_own(x.ndim - 1)
        with torch.inference_mode():
            scores = compute(stacked(x, n_own).to(self.device))  # (N, K, ...)
            probability = (_sigmoid(scores) if scores.shape[1] == 1 else _softmax(scores)).transpose(0, 1).cpu().numpy()
        return np.ascontiguousarray(probability.reshape(-1, *shape), dtype=np.float32)


def _sigmoid(scores: torch.Tensor) -> torch.Tensor:
    """Sigmoid whose last bit does not depend on where in the tensor a score stands.

    Torch computes whole vectors of numbers, and the rest of them one by one with another rounding; padding leaves none.
    """
    return _padded(torch.sigmoid, scores)


def _softmax(scores: torch.Tensor) -> torch.Tensor:
    """exp(z_k) / (1 + sum over j of exp(z_j)) of scores z (N, K, ...): the background's is 0; see `_sigmoid`."""
    highest = scores.amax(1, keepdim=True).clamp_min(0)
    parts = [_padded(torch.exp, score - highest) for score in torch.split(scores, 1, 1)]
    total = _padded(torch.exp, -highest)
    for part in parts:
        total = total + part
    return torch.cat([part / total for part in parts], 1)


def _padded(function: Callable[[torch.Tensor], torch.Tensor], values: torch.Tensor) -> torch.Tensor:
    flat = values.flatten()
    return function(functional.pad(flat, (0, -len(flat) % 64)))[: len(flat)].reshape(values.shape)


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
        network = build_network(card.network, n_classes=len(card.class_names), n_parts=card.n_parts)
    except ModelFileError:
        raise
    except InputError as error:  # a network that this version does not have
        raise ModelFileError(f"{where} cannot be used: {error}") from None
    network.load_state_dict(tensors, strict=True)
    network.check()
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
    if len(set(card.class_names)) < len(card.class_names):
        raise ModelFileError(f"{where} contradicts itself: two of its classes have one name.")
    return card


def _check_tensors(tensors: dict[str, torch.Tensor], card: Card, where: str) -> None:
    with torch.device("meta"):  # shapes without memory
        expected = build_network(card.network, n_classes=len(card.class_names), n_parts=card.n_parts).state_dict()
    if set(tensors) != set(expected):
        raise ModelFileError(f"{where} does not hold the tensors of a {card.network.name!r} network.")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape or tensor.dtype != expected[name].dtype:
            raise ModelFileError(f"{where}: tensor {name!r} has the wrong shape or type.")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelFileError(f"{where}: tensor {name!r} holds values that are not finite.")
    if tensors_hash(tensors) != card.tensors_sha256:
        raise ModelFileError(f"{where} is damaged: its tensors do not match their checksum.")
