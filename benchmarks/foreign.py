"""Runs the peers of `external.py`, each in a child process with the Python of its own environment."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.peers import Job, Outcome, Peer, toy_job
from napari_pu_segment.core.samples import IGNORE, UNLABELED

TITLES = {"apoc": "APOC (OpenCL)", "convpaint": "napari-convpaint (gaussian, CatBoost)"}


class Worker:
    """A peer's process, started and warmed up at the first job; it ends when its input closes."""

    def __init__(self, name: str, python: str) -> None:
        self._name, self._python = name, python
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, job: Job) -> Outcome:
        if self._process is None:
            self._process = self._start(job.threads)
            self._ask(toy_job())
        return self._ask(job)

    def _start(self, threads: int) -> subprocess.Popen[str]:
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POCL_MAX_PTHREAD_COUNT"), str(threads))
        return subprocess.Popen(
            [self._python, str(Path(__file__).with_name("external.py")), self._name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **limits, "QT_QPA_PLATFORM": "offscreen"},
        )

    def _ask(self, job: Job) -> Outcome:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.TemporaryDirectory() as name:
            files = {key: str(Path(name) / f"{key}.npy") for key in ("image", "labels", "out")}
            np.save(files["image"], job.case.image)
            np.save(files["labels"], np.where(job.labels == IGNORE, UNLABELED, job.labels))
            try:
                self._process.stdin.write(json.dumps(files) + "\n")
                self._process.stdin.flush()
                answer = json.loads(self._process.stdout.readline())
            except (OSError, ValueError):
                raise RuntimeError(
                    f"The peer {self._name!r} failed in {self._python}. Run benchmarks/external.py {self._name} there."
                ) from None
            return Outcome(np.load(files["out"]), answer["train_s"], answer["predict_s"])


def foreign_peers(pairs: list[str]) -> dict[str, Peer]:
    """Rows for pairs such as "apoc=/path/to/python"."""
    rows = {}
    for pair in pairs:
        name, _, python = pair.partition("=")
        if name not in TITLES or not python:
            raise ValueError(f"--external takes NAME=PYTHON with a name of {', '.join(TITLES)}; this is {pair!r}.")
        rows[name] = Peer(TITLES[name], Worker(name, python), ("both",))
    return rows
