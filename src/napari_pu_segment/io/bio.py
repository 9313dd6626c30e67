"""Formats of microscopes (ND2, LIF, CZI) through bioio, if it is installed; nothing of it is imported before."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError
from .source import Source, Window, check_block

BIO_SUFFIXES = (".nd2", ".lif", ".czi")
_HOW = {".czi": "`pip install bioio bioio-czi` (which is under the GPL)"}


class BioSource(Source):
    """The pixels of a file that bioio reads.

    Parameters
    ----------
    path : Path
    image : bioio.BioImage
        Opened already.
    where : str
        Start of the sentence in an error.
    """

    def __init__(self, path: Path, image: Any, where: str) -> None:
        lazy = image.dask_data
        super().__init__(lazy.shape, lazy.dtype, [sizes[0] for sizes in lazy.chunks], where)
        self.path, self._image = path, image
        check_block(math.prod(self.blocks) * int(self.stored.itemsize), where)

    def read(self, window: Window) -> np.ndarray:
        """The pixels of a window."""
        if self._image is None:  # sent from another process
            self._image = _opened(self.path, self.where)
        return np.asarray(self._image.dask_data[window].compute(scheduler="synchronous"))

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_image": None}


def open_bio(path: Path, where: str) -> tuple[BioSource, str, tuple[str, ...], dict[str, float]]:
    """The pixels of a file, their axes, the names of the channels and the size of a pixel in micrometres.

    Raises
    ------
    InputError
        If bioio, or what it needs for this format, is not installed, or the file holds several images.
    """
    image = _opened(path, where)
    if len(image.scenes) > 1:
        raise InputError(f"{where} holds {len(image.scenes)} separate images. Save the one to use on its own.")
    source = BioSource(path, image, where)
    sizes = image.physical_pixel_sizes
    spacing = {axis: float(getattr(sizes, axis) or 0) for axis in "XYZ"}
    return source, str(image.dims.order), tuple(map(str, image.channel_names or ())), spacing


def _opened(path: Path, where: str) -> Any:
    try:
        from bioio import BioImage
        from bioio_base.exceptions import UnsupportedFileFormatError
    except ImportError:
        raise InputError(f"{where} needs a reader of its own. Run {_how(path)}.") from None
    try:
        return BioImage(path)
    except UnsupportedFileFormatError:
        raise InputError(f"{where} needs a reader of its own. Run {_how(path)}.") from None


def _how(path: Path) -> str:
    return _HOW.get(path.suffix.lower(), "`pip install 'napari-pu-segment[formats]'`")
