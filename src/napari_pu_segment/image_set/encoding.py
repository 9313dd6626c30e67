"""An encoder from a folder of images: which of them are looked at, the training, and its file."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..batch.folder import find
from ..core.errors import InputError, PuSegmentError
from ..core.methods import METHODS
from ..core.model import Model, save_model
from ..core.pretrain_settings import PretrainSettings
from ..core.progress import Progress, Ticker, Work
from ..core.samples import Sample
from ..core.weights import Weights, read_weights, wanted
from ..io import read_image
from ..io.hub import fetch
from .scan import Refused

CHECKPOINT = ".checkpoint"  # beside the encoder's file, while it is made
_NAME = re.compile(r"[\w.-]+/[\w.-]+(?<!\.safetensors)")  # of weights on the Hugging Face hub


@dataclass(frozen=True)
class EncodeSettings:
    """Which images an encoder learns from.

    Parameters
    ----------
    folder : Path
    recursive : bool
        Also the images in folders below.
    pattern : str
        Only images whose names match; see `batch.folder.find`.
    n_images : int
        Of a larger folder, so many are chosen by chance.
    weights : str
        Published weights to begin with; see `published`. Empty: none.
    """

    folder: Path
    recursive: bool = False
    pattern: str = "*"
    n_images: int = 256
    weights: str = ""


@dataclass(frozen=True, eq=False)
class Encoded:
    """An encoder, how many images it learnt from, and what could not be used."""

    model: Model
    n_images: int
    refused: tuple[Refused, ...]


def encoding(which: EncodeSettings, settings: PretrainSettings, out: Path) -> Work[Encoded]:
    """Train an encoder on the images of a folder, and write it.

    While it is trained, a checkpoint lies beside the file; a training that was cancelled goes on from there.

    Parameters
    ----------
    which : EncodeSettings
    settings : PretrainSettings
    out : Path
        The encoder's file; its folder must be there.

    Raises
    ------
    InputError
        If there is no image that can be used, the weights are not those of the encoder, a checkpoint is of another
        training, or a file cannot be written.
    """
    weights = (yield from published(which.weights, settings)) if which.weights else None
    samples, refused = yield from _samples(which, settings.seed)
    checkpoint = out.with_name(out.name + CHECKPOINT)
    model = yield from METHODS["pretrain"].train(samples, settings, checkpoint=checkpoint, weights=weights)
    save_model(model, out)
    checkpoint.unlink(missing_ok=True)
    return Encoded(model, len(samples), refused)


def published(which: str, settings: PretrainSettings) -> Work[Weights]:
    """The published weights that an encoder shall begin with.

    Parameters
    ----------
    which : str
        A file, or a name of the hub; see `io.hub.fetch`.
    settings : PretrainSettings
        Of the encoder.

    Raises
    ------
    InputError
        If the encoder takes none, there is no such file, or it is of another network.
    """
    wanted(settings.network, settings.width)  # refused before anything is fetched
    yield Progress(0, 0, "Reading the weights")
    path = Path(which).expanduser()
    if path.exists() or not _NAME.fullmatch(which):
        return read_weights(path, settings.network, settings.width)
    return read_weights((yield from fetch(which)), settings.network, settings.width, which)


def _samples(which: EncodeSettings, seed: int) -> Work[tuple[list[Sample], tuple[Refused, ...]]]:
    """The images that can be seen together: those of the most common axes and number of channels."""
    found, _ = find(which.folder, which.pattern, which.recursive)
    refused = [Refused(one.name, one.fault) for one in found if one.fault]
    names = [one.name for one in found if not one.fault]
    chosen = np.sort(np.random.default_rng(seed).permutation(len(names))[: which.n_images])
    samples, ticker = [], Ticker()
    for step, index in enumerate(chosen):
        if ticker.due():
            yield Progress(step, len(chosen), f"Reading {names[index]}")
        try:
            samples.append(read_image(which.folder / names[index]).sample(names[index]))
        except (PuSegmentError, MemoryError) as error:
            refused.append(Refused(names[index], str(error) or "The memory ran out."))
    if not samples:
        first = f" {refused[0].reason}" if refused else ""
        raise InputError(f"There is no image in {str(which.folder)!r} that can be used.{first}")
    kinds = [(sample.axes, sample.image.shape[0]) for sample in samples]
    axes, n_channels = Counter(kinds).most_common(1)[0][0]
    for sample, kind in zip(samples, kinds, strict=True):
        if kind != (axes, n_channels):
            reason = f"{sample.name!r} has other axes or channels than most: {kind[0]}, {kind[1]}."
            refused.append(Refused(sample.name, reason))
    kept = [sample for sample, kind in zip(samples, kinds, strict=True) if kind == (axes, n_channels)]
    return kept, tuple(refused)
