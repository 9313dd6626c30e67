"""Published weights, from a file or by name from the Hugging Face hub; nothing else asks the internet.

They are fetched in a child process, which can be killed at any moment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..core.child_process import Child, serve
from ..core.errors import InputError
from ..core.pretrain_settings import PretrainSettings
from ..core.progress import Progress, Work
from ..core.weights import Weights, read_weights, wanted

FILE = "model.safetensors"  # what the weights are called in every repository of timm's
_NAME = re.compile(r"[\w.-]+/[\w.-]+(?<!\.safetensors)")


def published(which: str, settings: PretrainSettings) -> Work[Weights]:
    """The published weights that an encoder shall begin with.

    Parameters
    ----------
    which : str
        A file, or a name such as ``timm/efficientnet_lite0.ra_in1k``, whose file is fetched once, and kept.
    settings : PretrainSettings
        Of the encoder.

    Yields
    ------
    Progress

    Raises
    ------
    InputError
        If the encoder takes none, there is no such file, or it is of another network; of a name, if it cannot be
        fetched, or the extra `pretrained` is not installed.
    """
    wanted(settings.network, settings.width)  # refused before anything is fetched
    path = Path(which).expanduser()
    if path.exists() or not _NAME.fullmatch(which):
        yield Progress(0, 0, "Reading the weights")
        return read_weights(path, settings.network, settings.width)
    if find_spec("huggingface_hub") is None:
        raise InputError(
            'To fetch weights by name, install the extra: pip install "napari-pu-segment[pretrained]". Or download '
            f"https://huggingface.co/{which}/resolve/main/{FILE} yourself, and give that file."
        )
    with Child("napari_pu_segment.image_set.hub") as child:
        fetched = yield from child.ask({}, {"name": which})
    path = Path(fetched.tobytes().decode("utf-8", "surrogateescape"))
    return read_weights(path, settings.network, settings.width, which)


def _fetch(arrays: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> Work[np.ndarray]:
    """The path of the file in the library's cache, as bytes."""
    from huggingface_hub import hf_hub_download

    name = parameters["name"]
    yield Progress(0, 0, f"Fetching {name}")
    try:
        path = hf_hub_download(name, FILE)
    except Exception as error:  # of many libraries: no network, no such name, no room on the disk
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"The weights {name!r} cannot be fetched from huggingface.co ({type(error).__name__}: {reason})"
        ) from None
    return np.frombuffer(path.encode("utf-8", "surrogateescape"), np.uint8)


if __name__ == "__main__":
    serve(_fetch)
