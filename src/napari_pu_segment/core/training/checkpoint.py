"""Checkpoints: a long training goes on where it stopped, to the same bytes as if it never had."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from ..errors import InputError
from ..files import write_atomically
from ..progress import Ticker

_INTERVAL_S = 20.0
_MAX_BYTES = 2**31


class Checkpoint:
    """A file that holds a training: weights, the optimiser's moments, the state of chance, the step, the seconds.

    Nothing in it is ever run; it is tensors and JSON, as a model file.

    Parameters
    ----------
    path : Path
    about : str
        What is trained, and on what: a file that tells of something else is refused.
    """

    def __init__(self, path: Path, about: str) -> None:
        self._path, self._about = path, about
        self._ticker = Ticker(_INTERVAL_S, waits=True)

    def load(self, tensors: dict[str, torch.Tensor], rng: np.random.Generator) -> tuple[int, float]:
        """Bring a training to where the file left it, in place, and tell its step and how many seconds it took.

        Where there is no file nothing changes, and both are 0.

        Raises
        ------
        InputError
            If the file is damaged, or tells of another training.
        """
        if not self._path.exists():
            return 0, 0.0
        where = f"The checkpoint {str(self._path)!r}"
        advice = "Remove it to begin anew."
        try:
            if self._path.stat().st_size > _MAX_BYTES:
                raise InputError(f"{where} is too large to be one. {advice}")
            data = self._path.read_bytes()
            state = json.loads(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["state"])
            found = load_tensors(data)
            if state["about"] != self._about:
                raise InputError(f"{where} is of a training on other images, or with other settings. {advice}")
            if {name: one.shape for name, one in found.items()} != {name: one.shape for name, one in tensors.items()}:
                raise InputError(f"{where} is of another network. {advice}")
            rng.bit_generator.state = state["chance"]
            step, spent_s = int(state["step"]), float(state["spent_s"])
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError, RecursionError) as error:
            raise InputError(f"{where} cannot be read: {error}. {advice}") from None
        with torch.no_grad():
            for name, tensor in tensors.items():
                tensor.copy_(found[name])
        return step, spent_s

    def save(
        self, tensors: dict[str, torch.Tensor], rng: np.random.Generator, step: int, spent_s: float, *, now: bool
    ) -> None:
        """Write the file, whole or not at all; unless it is to be `now`, at most every 20 s.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        if not now and not self._ticker.due():
            return
        state = {"about": self._about, "chance": rng.bit_generator.state, "step": step, "spent_s": spent_s}
        copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        write_atomically(self._path, save_tensors(copies, metadata={"state": json.dumps(state)}))

    def remove(self) -> None:
        """Take the file away, if there is one."""
        self._path.unlink(missing_ok=True)
