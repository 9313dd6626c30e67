"""The command line. Commands import what they need when they run, so that ``--help`` and ``--version`` are quick."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from . import __version__
from .cli_batch import batch
from .cli_corrupt import corrupt
from .cli_measure import measure
from .cli_predict import predict, refine
from .cli_series import timeseries
from .cli_support import (
    FILES,
    ManyValues,
    check_forms,
    check_output,
    drive,
    guarded,
    make_folder,
    parse_pairs,
    parse_prior,
    read_config,
)
from .core.errors import InputError, pick

app = typer.Typer(
    name="napari-pu-segment",
    help="Paint a few strokes, get a segmentation: positive-unlabelled learning.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Images = Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.", show_default=False)]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting (repeatable).")]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def _masks(what: str) -> Any:
    return typer.Option(metavar=FILES, help=f"{what}, one file for each image.", show_default=False)


def _folder(what: str) -> Any:
    return typer.Option(metavar="DIR", help=f"Folder of patches {what}, instead of images and strokes.")


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"napari-pu-segment {__version__}")
        raise typer.Exit


@app.command()
@guarded
def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.")] = Path("demo_output"),
    seed: Annotated[int, typer.Option(help="Seed of the training.", min=0)] = 0,
) -> None:
    """Do the whole job on a built-in image, without a window."""
    check_output(out / "overview.png", [])
    from .cli_demo import run_demo

    run_demo(out, seed)


@app.command()
@guarded
def gui(images: Annotated[list[Path] | None, typer.Argument(metavar="[IMAGE...]", help="Image files.")] = None) -> None:
    """Open napari with the images, brush layers and the widget."""
    if importlib.util.find_spec("napari") is None:
        raise InputError('napari is not installed. Run: pip install "napari-pu-segment[all]"')
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform.startswith("linux") and not any(os.environ.get(screen) for screen in screens):
        raise InputError("There is no screen for a window here. Use the commands train and predict instead.")
    from .gui.start import open_files

    open_files(images or [])


@app.command(cls=ManyValues)
@guarded
def train(
    out: Out,
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="IMAGE...", help="Image files, or folders of images and strokes.")
    ] = None,
    positive: Annotated[list[Path] | None, _masks("Strokes on objects (non-zero)")] = None,
    negative: Annotated[list[Path] | None, _masks("Strokes on background (non-zero)")] = None,
    ignore: Annotated[list[Path] | None, _masks("Pixels to leave out (non-zero)")] = None,
    scribbles: Annotated[list[Path] | None, _masks("Codes 0 to 3 (positive 1, negative 2), or GeoJSON")] = None,
    positive_patches: Annotated[Path | None, _folder("that are positive all over")] = None,
    negative_patches: Annotated[Path | None, _folder("that are negative all over")] = None,
    unlabelled_patches: Annotated[Path | None, _folder("of which nothing is known")] = None,
    method: Annotated[
        str | None, typer.Option(help="Method; see `methods`.  [default: pu]", show_default=False)
    ] = None,
    prior: Annotated[str | None, typer.Option(help="Positive fraction: auto, or a number such as 0.2.")] = None,
    changes: Sets = None,
    config: Annotated[Path | None, typer.Option(help="JSON or TOML file of settings.", metavar="FILE")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same result.  [default: 0]", show_default=False)] = None,
) -> None:
    """Train a model on images with strokes, or on folders of patches."""
    from .cli_data import pairs_of, sample_of, samples_of_patches
    from .io import read_image

    strokes = {"positive": positive, "negative": negative, "ignore": ignore, "scribbles": scribbles}
    files = {name: list(given or []) for name, given in strokes.items()}
    folders = {"positive": positive_patches, "negative": negative_patches, "unlabelled": unlabelled_patches}
    check_forms(list(images or []), files, folders)
    pairs = pairs_of(images, files) if images else []
    check_output(out, [*(file for image, found in pairs for file in (image, *found.values())), *filter(None, [config])])
    settings = _settings(method, prior, changes, config, seed)
    samples = [sample_of(read_image(image), image, found) for image, found in pairs] or samples_of_patches(folders)
    from .core.doubts import training_doubts
    from .core.methods import METHODS
    from .core.model import save_model

    for warning in training_doubts(samples):
        typer.echo(f"Warning: {warning}", err=True)
    start = time.perf_counter()
    model = drive(METHODS[settings.to_dict()["method"]].train(samples, settings), "Training")
    make_folder(out.parent)
    save_model(model, out)
    card = model.card
    low, high = card.class_prior_interval
    typer.echo(
        f"{out}: {card.n_positive_strokes} positive and {card.n_negative_strokes} negative strokes, "
        f"class prior {card.class_prior:.3f} in {low:.3f}..{high:.3f} ({card.class_prior_source}), "
        f"{time.perf_counter() - start:.1f} s"
    )


def _settings(
    method: str | None, prior: str | None, changes: list[str] | None, config: Path | None, seed: int | None
) -> Any:
    """Settings of a method: a file, then --prior and --seed, then --set."""
    from .core.methods import METHODS

    values = read_config(config) if config else {}
    method = method or str(values.get("method", "pu"))
    kind = pick(METHODS, method, "method").settings
    values |= parse_prior(prior) if prior else {}
    values |= {"seed": seed} if seed is not None else {}
    return kind().changed({**values, "method": method, **parse_pairs(changes or [], kind)})


app.command(cls=ManyValues)(predict)
app.command()(refine)


@app.command()
@guarded
def replay(
    card: Annotated[Path, typer.Argument(metavar="CARD", help="Record of a session.", show_default=False)],
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="Its image.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Replay on an image with other pixels.")] = False,
    as_json: Json = False,
) -> None:
    """Make a result again from its record; the exit code is 0 if every byte is the same."""
    from .cli_replay import run_replay

    run_replay(card, image, out, force=force, as_json=as_json)


@app.command()
@guarded
def evaluate(
    prediction: Annotated[Path, typer.Argument(metavar="PREDICTION", help="Mask (non-zero).", show_default=False)],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="Mask (non-zero).", show_default=False)],
    valid: Annotated[Path | None, typer.Option(metavar="VALID", help="Mask of the pixels that count.")] = None,
) -> None:
    """Compare a mask with the truth; prints JSON."""
    from .core.metrics import scores
    from .io import read_mask

    masks = [read_mask(path) for path in (prediction, truth, *([valid] if valid else []))]
    typer.echo(json.dumps(scores(*masks)))


app.command()(measure)
app.command()(corrupt)
app.command()(batch)
app.command(cls=ManyValues)(timeseries)


@app.command()
@guarded
def methods() -> None:
    """List the methods and their settings."""
    from .core.methods import METHODS

    for name, method in METHODS.items():
        typer.echo(f"{name}: {method.title}\n  needs: {method.needs}\n  makes: {method.makes}")
        typer.echo(f"  reference: {method.reference}\n  settings (--set key=value):")
        for key, field in method.settings.model_fields.items():
            typer.echo(f"    {key} = {field.get_default()}: {field.title}. {field.description}")


@app.command()
@guarded
def info(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Print the card of a model."""
    from .core.model import load_model

    card = load_model(model).card
    if as_json:
        typer.echo(card.to_json())
        return
    for key, value in card.model_dump(mode="json").items():
        typer.echo(f"{key}: {value}")
