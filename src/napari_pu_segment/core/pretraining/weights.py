"""Published weights: files of tensors that others have trained, checked before they become part of an encoder."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from ..card import Origin
from ..errors import InputError, pick
from ..networks import ENCODERS, NetworkSpec
from ..networks.published import Published

MAX_BYTES = 2**30
_FLOATS = {"F16", "BF16", "F32", "F64"}


@dataclass(frozen=True, eq=False)
class Weights:
    """Those tensors of a file that an encoder takes, float32 and finite, and where they are from."""

    tensors: dict[str, torch.Tensor]
    origin: Origin


def read_weights(path: Path, network: str, width: int = 0, source: str = "") -> Weights:
    """Read published weights. Nothing in the file is run; tensors of other layers are left alone.

    Parameters
    ----------
    path : Path
        A file of safetensors, with timm's names.
    network : str
        Row of `ENCODERS` that shall take them.
    width : int
        `NetworkSpec.width`; 0 takes the row's.
    source : str
        What they are called; else the file's name.

    Raises
    ------
    InputError
        If that encoder takes none, or the file is missing, damaged, or of another network.
    """
    needed, where = wanted(network, width), f"The weights {str(path)!r}"
    try:
        size = os.path.getsize(path)
        if not os.path.isfile(path) or size > MAX_BYTES:
            raise InputError(f"{where} are no file of at most {MAX_BYTES >> 20} MB ({size} bytes).")
        with open(path, "rb") as handle:
            sha256 = hashlib.file_digest(handle, "sha256").hexdigest()
        with safe_open(path, "pt") as file:
            known = set(file.keys())
            for name, shape in needed.items():
                part = file.get_slice(name) if name in known else None
                if part is None or tuple(part.get_shape()) != shape or part.get_dtype() not in _FLOATS:
                    raise InputError(
                        f"{where} are not those of {network!r}: {name!r} must be numbers of shape {shape}."
                    )
            tensors = {name: file.get_tensor(name).float() for name in needed}
    except (OSError, ValueError) as error:
        raise InputError(f"{where} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    except SafetensorError as error:
        raise InputError(f"{where} are no file of safetensors, or damaged: {error}.") from None
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{where} hold values that are not finite, in {name!r}.")
    return Weights(tensors, Origin(source=source or path.name, sha256=sha256))


def wanted(network: str, width: int = 0) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the published tensors that an encoder takes, found without memory for it.

    Raises
    ------
    InputError
        If there are none.
    """
    row = pick(ENCODERS, network, "encoder")
    if not row.published:
        known = ", ".join(name for name, one in ENCODERS.items() if one.published)
        raise InputError(f"The encoder {network!r} takes no published weights. Choose one of: {known}.")
    with torch.device("meta"):
        built = row.build(NetworkSpec(name=network, in_channels=3, ndim=2, width=max(width, 4) if width else row.width))
    assert isinstance(built, Published)
    return built.published()
