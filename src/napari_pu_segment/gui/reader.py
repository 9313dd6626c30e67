"""What napari asks when a FITS file is opened or dropped; all other formats have readers of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from napari_pu_segment.io.fits import FITS_SUFFIXES

from .viewer.opening import placement, read_to_look

LayerData: TypeAlias = tuple[Any, dict[str, Any], str]
SHOWN_PERCENT = (1.0, 99.8)  # a single star must not make all else black
SEEN = 2**20  # pixels that are looked at for it


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]] | None:
    """The reader of one or several FITS files, or None for others."""
    paths = [path] if isinstance(path, str) else path
    return read if all(Path(one).suffix.lower() in FITS_SUFFIXES for one in paths) else None


def read(path: str | list[str]) -> list[LayerData]:
    """Layers of FITS files, one for each band.

    Raises
    ------
    InputError
        If a file cannot be used; napari shows the sentence.
    """
    layers: list[LayerData] = []
    for one in [path] if isinstance(path, str) else path:
        file, levels = read_to_look(Path(one))
        for i, channel in enumerate(levels[0]):
            name = file.channel_names[i] if file.channel_names else str(i)
            title = f"{Path(one).stem} {name}" if len(levels[0]) > 1 else Path(one).stem
            look = {"name": title, **placement(file), **_limits(np.asarray(channel))}
            layers.append((channel, look, "image"))
    return layers


def _limits(channel: np.ndarray) -> dict[str, Any]:
    """What is shown black and white; nothing where all pixels are the same."""
    seen = channel.ravel()[:: max(1, channel.size // SEEN)]
    low, high = np.percentile(seen[np.isfinite(seen)].astype(np.float64), SHOWN_PERCENT)
    return {"contrast_limits": (float(low), float(high))} if high > low else {}
