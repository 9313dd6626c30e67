"""The command line. Commands import what they need when they run, so that ``--help`` and ``--version`` are quick."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .. import __version__
from ..core.errors import InputError
from .batch import batch
from .classify import classify
from .corrupt import corrupt
from .curate import curate
from .evaluate import evaluate
from .measure import measure
from .predict import predict, refine
from .pretrain import pretrain
from .segment import segment
from .series import timeseries
from .stains import stains
from .support import ManyValues, check_output, guarded, make_folder
from .train import train

app = typer.Typer(
    name="napari-pu-segment",
    help="Paint a few strokes, get a segmentation: positive-unlabelled learning.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


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
    from .demo import run_demo

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
    from ..gui.start import open_files

    open_files(images or [])


app.command(cls=ManyValues)(train)
app.command(cls=ManyValues)(predict)
app.command(cls=ManyValues)(segment)
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
    from .replay import run_replay

    run_replay(card, image, out, force=force, as_json=as_json)


app.command()(evaluate)
app.command()(measure)
app.command(cls=ManyValues)(classify)
app.command()(corrupt)
app.command()(stains)
app.command()(batch)
app.command()(curate)
app.command()(pretrain)
app.command(cls=ManyValues)(timeseries)


@app.command()
@guarded
def methods() -> None:
    """List the methods and their settings."""
    from ..core.methods import METHODS

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
    from ..core.model import load_model

    card = load_model(model).card
    if as_json:
        typer.echo(card.to_json())
        return
    for key, value in card.model_dump(mode="json").items():
        typer.echo(f"{key}: {value}")


@app.command()
@guarded
def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file of a search.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Python file to write.", show_default=False)],
) -> None:
    """Write the pipelines that a search found as readable Python."""
    from ..core.files import write_atomically
    from ..core.model import load_model
    from ..core.search.export import python_of

    check_output(out, [model])
    text = python_of(load_model(model), out.name)
    make_folder(out.parent)
    write_atomically(out, text.encode())
    typer.echo(f"{out}: {text.count(chr(10))} lines")
