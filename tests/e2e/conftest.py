"""Fixtures of the end-to-end tests: the command line in this process, and a small scene to run it on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_pu_segment.cli.main import app


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys) -> Callable[..., Outcome]:
    """A function that runs the command line and tells exit code and outputs."""

    def run(*args: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            app([str(arg) for arg in args], prog_name="napari-pu-segment")
        said = capsys.readouterr()
        return Outcome(int(left.value.code or 0), said.out, said.err)

    return run


@pytest.fixture(scope="session")
def quick() -> tuple[str, ...]:
    """Options of a training that takes a fraction of a second."""
    return ("--prior", "0.25", "--set", "n_steps=25", "--set", "threads=1")


@pytest.fixture(scope="session")
def write_scene() -> Callable[..., Path]:
    """A function that writes a noisy image of two bright discs, its truth, and strokes of both kinds."""

    def write(folder: Path, seed: int = 0) -> Path:
        y, x = np.mgrid[:64, :64] / 64
        truth = ((y - 0.3) ** 2 + (x - 0.3) ** 2 < 0.03) | ((y - 0.7) ** 2 + (x - 0.65) ** 2 < 0.04)
        noise = np.random.default_rng(seed).normal(0, 18, truth.shape)
        image = np.clip(60 + 110 * truth + noise, 0, 255).astype(np.uint8)
        positive, negative = np.zeros_like(truth), np.zeros_like(truth)
        positive[16:21, 21] = positive[48, 32:48] = True
        negative[32, :21] = negative[:21, 48] = True
        folder.mkdir(exist_ok=True, parents=True)
        Image.fromarray(image).save(folder / "image.png")
        for name, mask in {"truth": truth, "positive": positive, "negative": negative}.items():
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{name}.png")
        Image.fromarray((positive + 2 * negative).astype(np.uint8)).save(folder / "scribbles.png")
        return folder

    return write


@pytest.fixture(scope="session")
def scene(tmp_path_factory, write_scene) -> Path:
    """A folder with the scene; do not write there."""
    return write_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture
def model(scene, cli, quick, tmp_path_factory) -> Path:
    """A model file of the scene, trained with positive strokes by the command line; do not change it."""
    path = scene.parent / f"{scene.name}-model"
    if not path.exists():
        done = cli("train", scene / "image.png", "--positive", scene / "positive.png", *quick, "--out", path)
        assert (done.code, done.err) == (0, "")
    return path


@pytest.fixture(scope="session")
def files_in() -> Callable[[Path], set[str]]:
    """A function that tells all that lies below a folder."""
    return lambda folder: {str(path.relative_to(folder)) for path in folder.rglob("*")}
