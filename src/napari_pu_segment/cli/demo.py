"""The command ``demo``: the whole job on the built-in frame, with strokes of one kind and of both."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ..core.crf import CrfSettings, Refined, refine
from ..core.methods import METHODS
from ..core.metrics import scores
from ..core.model import Model, save_model
from ..core.pipeline import Segmentation, segment
from ..core.samples import Sample, codes_from_masks
from ..figures import Panel, colour, overview, with_outline, with_strokes
from ..io import write_image, write_picture
from ..synthetic import AuroraFrame, aurora_frame
from .support import drive, make_folder

_TITLES = {"P": "P: strokes on aurora alone", "P+N": "P+N: strokes on aurora and on sky without it"}


@dataclass(frozen=True, eq=False)
class Trial:
    """One way of painting the frame, and what came of it."""

    strokes: str
    negative: np.ndarray | None
    model: Model
    segmentation: Segmentation
    refined: Refined
    dice: float
    dice_refined: float
    seconds: tuple[float, float, float]  # to train, predict and refine


def run_demo(out: Path, seed: int) -> None:
    """Train, predict and refine; print a table, and write all files and an overview picture.

    Dice is that of the pixels inside the rim of the sky.

    Parameters
    ----------
    out : Path
        Folder for the results; made where it is missing.
    seed : int
        Of the training; the frame is always the same.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    frame = aurora_frame()
    trials = [
        _trial(frame, "P", None, seed),
        _trial(frame, "P+N", frame.negative, seed),
    ]
    make_folder(out)
    _write_frame(frame, out)
    for trial in trials:
        save_model(trial.model, out / f"{trial.strokes}_model.safetensors")
        write_image(out / f"{trial.strokes}_probability.tif", trial.segmentation.probability)
        write_image(out / f"{trial.strokes}_mask.tif", trial.segmentation.mask)
        write_image(out / f"{trial.strokes}_refined.tif", trial.refined.mask)
    write_picture(out / "overview.png", _overview(frame, trials))
    console = Console()
    console.print(_table(trials))
    console.print(f"Pictures and models are in {out}; begin with {out / 'overview.png'}.", markup=False, soft_wrap=True)


def _trial(frame: AuroraFrame, strokes: str, negative: np.ndarray | None, seed: int) -> Trial:
    labels = codes_from_masks(frame.positive, negative, ~frame.valid)
    sample = Sample(frame.image, labels, name="aurora", channel_names=("red", "green", "blue"))
    method = METHODS["pu"]
    settings = method.settings().changed({"seed": seed})
    times = [time.perf_counter()]
    model = drive(method.train([sample], settings), "Training")
    times.append(time.perf_counter())
    segmentation = drive(segment(model, sample.image, labels=labels), "Predicting")
    times.append(time.perf_counter())
    work = refine(frame.image, segmentation.probability, CrfSettings(), labels=labels, threshold=segmentation.threshold)
    refined = drive(work, "Refining")
    times.append(time.perf_counter())
    dice, dice_refined = (scores(mask, frame.truth, frame.valid)["dice"] for mask in (segmentation.mask, refined.mask))
    train_s, predict_s, refine_s = np.diff(times)
    seconds = (train_s, predict_s, refine_s)
    return Trial(strokes, negative, model, segmentation, refined, dice, dice_refined, seconds)


def _write_frame(frame: AuroraFrame, out: Path) -> None:
    write_picture(out / "image.png", np.moveaxis(frame.image, 0, -1))
    masks = {"positive": frame.positive, "negative": frame.negative, "truth": frame.truth}
    for name, mask in {**masks, "valid": frame.valid, "ignore": ~frame.valid}.items():
        write_picture(out / f"{name}.png", mask.astype(np.uint8) * 255)


def _table(trials: list[Trial]) -> Table:
    table = Table(title="Built-in aurora frame")
    for head in ("strokes", "class prior", "Dice mask", "Dice refined", "train s", "predict s", "refine s"):
        table.add_column(head, justify="left" if head == "strokes" else "right")
    for trial in trials:
        seconds = [f"{value:.1f}" for value in trial.seconds]
        prior = f"{trial.model.card.class_prior:.2f}"
        table.add_row(trial.strokes, prior, f"{trial.dice:.3f}", f"{trial.dice_refined:.3f}", *seconds)
    return table


def _overview(frame: AuroraFrame, trials: list[Trial]) -> np.ndarray:
    image, rows = np.moveaxis(frame.image, 0, -1), []
    for trial in trials:
        panels = [
            Panel("image", image),
            Panel("strokes", with_strokes(image, frame.positive, trial.negative)),
            Panel("probability", colour(trial.segmentation.probability)),
            Panel(f"mask, Dice {trial.dice:.3f}", with_outline(trial.segmentation.mask, frame.truth)),
            Panel(f"refined, Dice {trial.dice_refined:.3f}", with_outline(trial.refined.mask, frame.truth)),
        ]
        rows.append((_TITLES[trial.strokes], panels))
    return overview("From a few strokes to a segmentation", rows)
