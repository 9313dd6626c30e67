"""Files of weights by name, from the Hugging Face hub; nothing else asks the internet for anything.

They are fetched in a child process, which can be killed at any moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..core.compute.child_process import Child, serve
from ..core.errors import InputError
from ..core.progress import Progress, Work

FILE = "model.safetensors"  # what the weights are called in every repository of timm's


def fetch(name: str) -> Work[Path]:
    """The file of weights of a name such as ``timm/efficientnet_lite0.ra_in1k``, fetched once, and kept.

    Yields
    ------
    Progress

    Raises
    ------
    InputError
        If it cannot be fetched, or the extra `pretrained` is not installed.
    """
    if find_spec("huggingface_hub") is None:
        raise InputError(
            'To fetch weights by name, install the extra: pip install "napari-pu-segment[pretrained]". Or download '
            f"https://huggingface.co/{name}/resolve/main/{FILE} yourself, and give that file."
        )
    with Child("napari_pu_segment.io.hub") as child:
        path = yield from child.ask({}, {"name": name})
    return Path(path.tobytes().decode("utf-8", "surrogateescape"))


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
