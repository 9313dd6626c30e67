"""An encoder from a folder of images: which of them are looked at, the training, and its file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..batch.folder import find
from ..core.curation import redrawn
from ..core.errors import InputError, PuSegmentError
from ..core.methods import METHODS
from ..core.model import Model, save_model
from ..core.pretraining.settings import PretrainSettings
from ..core.pretraining.weights import Weights, read_weights, wanted
from ..core.progress import Progress, Ticker, Work
from ..core.samples import Sample
from ..io import read_image
from ..io.hub import fetch
from ..io.image_table import weights_of
from .scan import Refused

_MOST_TIMES = 4  # that an image is drawn on average: each time its statistics are looked at anew
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
        Of a larger folder, so many are chosen by chance; with a balance, so many are drawn of any.
    weights : str
        Published weights to begin with; see `published`. Empty: none.
    balance : Path or None
        A table with the columns ``name`` and ``weight``, such as ``curation.csv``: the images are drawn by their
        weights, and an image may come several times.
    """

    folder: Path
    recursive: bool = False
    pattern: str = "*"
    n_images: int = 256
    weights: str = ""
    balance: Path | None = None


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
    return Encoded(model, len({sample.name for sample in samples}), refused)


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
    """The images that can be seen together: those of the most common axes and number of channels.

    Such as are drawn several times are read once, and stand there several times.
    """
    found, _ = find(which.folder, which.pattern, which.recursive)
    refused = [Refused(one.name, one.fault) for one in found if one.fault]
    names = [one.name for one in found if not one.fault]
    times, unknown = _times(which, names, seed)
    refused += unknown
    samples, ticker = [], Ticker()
    for step, (name, n) in enumerate(times.items()):
        if ticker.due():
            yield Progress(step, len(times), f"Reading {name}")
        try:
            samples += [read_image(which.folder / name).sample(name)] * n
        except (PuSegmentError, MemoryError) as error:
            refused.append(Refused(name, str(error) or "The memory ran out."))
    if not samples:
        first = f" {refused[0].reason}" if refused else ""
        raise InputError(f"There is no image in {str(which.folder)!r} that can be used.{first}")
    kinds = [(sample.axes, sample.image.shape[0]) for sample in samples]
    axes, n_channels = Counter(kinds).most_common(1)[0][0]
    for name, kind in {sample.name: kind for sample, kind in zip(samples, kinds, strict=True)}.items():
        if kind != (axes, n_channels):
            reason = f"{name!r} has other axes or channels than most: {kind[0]}, {kind[1]}."
            refused.append(Refused(name, reason))
    kept = [sample for sample, kind in zip(samples, kinds, strict=True) if kind == (axes, n_channels)]
    return kept, tuple(refused)


def _times(which: EncodeSettings, names: Sequence[str], seed: int) -> tuple[Counter[str], list[Refused]]:
    """How many times each image is drawn, by name, and those of unknown weight."""
    if which.balance is None:
        chosen = np.sort(np.random.default_rng(seed).permutation(len(names))[: which.n_images])
        return Counter(names[index] for index in chosen), []
    weights = weights_of(which.balance)
    unknown = [Refused(n, f"{str(which.balance)!r} tells no weight of {n!r}.") for n in names if n not in weights]
    known = [name for name in names if name in weights]
    n = min(which.n_images, _MOST_TIMES * len(known))
    drawn = redrawn(np.array([weights[name] for name in known]), n, seed) if known else []
    return Counter(known[i] for i in drawn), unknown
