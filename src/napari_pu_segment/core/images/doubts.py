"""What speaks against using a model on an image, short of making it impossible."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..card import Card
from ..progress import Work
from ..samples import Sample
from .intensity import ranges
from .sampling import values

FAR = 8.0  # times wider or narrower: another bit depth, gain or exposure, not another field of view
SCALE_LIMIT = 1.5  # a network sees objects at one scale; brush strokes vary by less than this
METRES = {"nm": 1e-9, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "mm": 1e-3, "cm": 1e-2, "m": 1.0}


def doubts(card: Card, sample: Sample) -> Work[tuple[str, ...]]:
    """Reasons, one sentence each, why a model's result on an image may be wrong; empty where there are none.

    What makes a prediction impossible, such as another number of channels, is refused by `Model.check_image`; here it
    is no matter. The image is read on a coarse grid.

    Parameters
    ----------
    card : Card
        Of the model.
    sample : Sample
        The image, with channel names and pixel size where they are known.
    """
    found = (
        _names(card, sample),
        _pixel_size(card, sample),
        _planes(card, sample),
        (yield from _intensity(card, sample)),
    )
    return tuple(sentence for sentence in found if sentence)


def training_doubts(samples: Sequence[Sample]) -> Work[tuple[str, ...]]:
    """Reasons, one sentence each, why little can be learnt from images: channels whose pixels are all the same.

    The images are read on a coarse grid.
    """
    found = []
    for sample in samples:
        flat = [i for i, part in enumerate((yield from values(sample.image, sample.labels))) if not _varies(part)]
        if len(flat) == sample.image.shape[0]:
            found.append(f"{sample.name!r} has no contrast: all its pixels are the same, so it tells nothing.")
        elif flat:
            which = ", ".join(_channel(sample.channel_names, i) for i in flat)
            found.append(f"{sample.name!r} has no contrast in channel {which}: all pixels are the same there.")
    return tuple(found)


def _varies(part: np.ndarray) -> bool:
    seen = part[np.isfinite(part)]
    return bool(seen.size) and bool(seen.max() > seen.min())


def _names(card: Card, sample: Sample) -> str:
    ours, theirs = sample.channel_names, card.channel_names
    if len(ours) != len(theirs) or [_plain(name) for name in ours] == [_plain(name) for name in theirs]:
        return ""
    order = "are in another order" if sorted(map(_plain, ours)) == sorted(map(_plain, theirs)) else "have other names"
    return (
        f"The channels of {sample.name!r} ({', '.join(ours)}) {order} than those that the model was trained on "
        f"({', '.join(theirs)})."
    )


def _pixel_size(card: Card, sample: Sample) -> str:
    ours, theirs = METRES.get(sample.pixel_unit), METRES.get(card.pixel_unit)
    if not (ours and theirs and sample.pixel_size and card.pixel_size):
        return ""
    ratio = sample.pixel_size[-1] * ours / (card.pixel_size[-1] * theirs)
    if 1 / SCALE_LIMIT <= ratio <= SCALE_LIMIT:
        return ""
    return (
        f"A pixel of {sample.name!r} measures {_size(sample.pixel_size, sample.pixel_unit)}, but the model was trained "
        f"on pixels of {_size(card.pixel_size, card.pixel_unit)}: objects look {max(ratio, 1 / ratio):.3g} times "
        f"{'smaller' if ratio > 1 else 'larger'} to it."
    )


def _planes(card: Card, sample: Sample) -> str:
    ours, theirs = sample.plane_px, card.network.plane_px
    if card.network.ndim == 2 or not ours or 1 / SCALE_LIMIT <= ours / theirs <= SCALE_LIMIT:
        return ""
    return (
        f"The planes of {sample.name!r} are {ours:.3g} px apart, but those that the model was trained on are taken to "
        f"be {theirs:.3g} px apart: objects look {'shorter' if ours > theirs else 'longer'} to it through the planes."
    )


def _intensity(card: Card, sample: Sample) -> Work[str]:
    """Whether some channel's values lie apart from the model's range, or are spread far wider or narrower.

    An image without objects has a narrow range too; so narrow means narrower than the noise the model was trained with.
    A constant image, or one of a few hot pixels, tells nothing about its scale.
    """
    if len(card.intensity) != sample.image.shape[0] or card.statistics == "image":
        return ""
    for i, (stats, (low, high)) in enumerate(zip(card.intensity, (yield from ranges(sample)), strict=True)):
        wide, own = stats.high - stats.low, high - low
        apart = high < stats.low or low > stats.high
        narrow = 0 < own < wide / FAR and own < stats.softening
        if apart or own > FAR * wide or narrow:
            where = f" in channel {_channel(card.channel_names, i)}" if len(card.intensity) > 1 else ""
            return (
                f"The intensities of {sample.name!r}{where} ({_number(low)} to {_number(high)}) are far from those "
                f"that the model was trained on ({_number(stats.low)} to {_number(stats.high)}), so that its result "
                "will hardly be right: bring the image to the same scale, or train on it."
            )
    return ""


def _channel(names: Sequence[str], index: int) -> str:
    return repr(names[index]) if index < len(names) else str(index + 1)


def _number(value: float) -> str:
    return f"{value:.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.3g}"


def _size(pixel_size: Sequence[float], unit: str) -> str:
    return f"{pixel_size[-1]:.3g} {unit.replace('um', 'µm')}"


def _plain(name: str) -> str:
    return name.strip().casefold()
