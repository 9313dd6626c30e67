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
from .cli_measure import measure
from .cli_series import timeseries
from .cli_support import (
    FILES,
    ManyValues,
    check_counts,
    check_forms,
    check_output,
    drive,
    guarded,
    make_folder,
    output_stems,
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
    from .io import read_image

    files = [(image.stem, read_image(image)) for image in images or []]
    from .gui.start import open_viewer

    open_viewer(files)


@app.command(cls=ManyValues)
@guarded
def train(
    out: Out,
    images: Annotated[list[Path] | None, typer.Argument(metavar="IMAGE...", help="Image files.")] = None,
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
    from .cli_data import samples_of_images, samples_of_patches

    strokes = {"positive": positive, "negative": negative, "ignore": ignore, "scribbles": scribbles}
    files = {name: list(given or []) for name, given in strokes.items()}
    folders = {"positive": positive_patches, "negative": negative_patches, "unlabelled": unlabelled_patches}
    check_forms(list(images or []), files, folders)
    inputs = [*(images or []), *(file for given in files.values() for file in given), *([config] if config else [])]
    check_output(out, inputs)
    settings = _settings(method, prior, changes, config, seed)
    samples = samples_of_images(images, files) if images else samples_of_patches(folders)
    from .core.methods import METHODS
    from .core.model import save_model

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


@app.command(cls=ManyValues)
@guarded
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file.", show_default=False)],
    images: Images,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.", show_default=False)],
    refine: Annotated[bool, typer.Option(help="Also write a mask refined by the dense CRF.")] = False,
    threshold: Annotated[float | None, typer.Option(help="Instead of the model's own, 0 to 1.")] = None,
    ignore: Annotated[list[Path] | None, _masks("Pixels that belong to no object (non-zero)")] = None,
    as_json: Json = False,
) -> None:
    """Segment images: write a probability, a mask and, with --refine, a refined mask of each."""
    if threshold is not None and not 0 <= threshold <= 1:
        raise InputError(f"The threshold must lie between 0 and 1; it is {threshold}.")
    left_out = list(ignore or [])
    check_counts(images, {"--ignore": left_out})
    stems, kinds = output_stems(images), ("probability", "mask", "refined")[: 3 if refine else 2]
    for stem in stems:
        for kind in kinds:
            check_output(out / f"{stem}_{kind}.tif", [model, *images, *left_out])
    from .cli_data import sample_of
    from .core.crf import CrfSettings
    from .core.doubts import doubts
    from .core.model import load_model
    from .core.pipeline import covered, segment
    from .io import read_image, write_image

    loaded, reports, crf = load_model(model), [], CrfSettings() if refine else None
    for i, (path, stem) in enumerate(zip(images, stems, strict=True)):
        file = read_image(path)
        sample = sample_of(file, path, {"ignore": left_out[i]} if left_out else {})
        loaded.check_image(sample.image.shape, f"Image {str(path)!r}", sample.channel_names)
        warnings = doubts(loaded.card, sample)
        for warning in warnings:
            typer.echo(f"Warning: {warning}", err=True)
        work = segment(loaded, sample.image, labels=sample.labels, threshold=threshold, crf=crf)
        result = drive(work, path.name)
        make_folder(out)
        outputs = {kind: out / f"{stem}_{kind}.tif" for kind in kinds}
        for kind, output in outputs.items():
            write_image(output, getattr(result, kind), file.pixel_size, file.pixel_unit)
        fraction = covered(result.mask if result.refined is None else result.refined, sample.labels)
        report = {"image": str(path), **{kind: str(output) for kind, output in outputs.items()}}
        reports.append({**report, "positive_fraction": fraction, "refined_by": result.refined_by, "warnings": warnings})
        if not as_json:
            by = f", refined by {result.refined_by}" if refine else ""
            typer.echo(f"{out / stem}_*.tif: {100 * fraction:.1f} % positive{by}")
    if as_json:
        used = loaded.card.threshold if threshold is None else threshold
        typer.echo(json.dumps({"model": str(model), "threshold": used, "images": reports}))


@app.command()
@guarded
def refine(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="Image file.", show_default=False)],
    probability: Annotated[
        Path, typer.Argument(metavar="PROBABILITY", help="Output of `predict`.", show_default=False)
    ],
    out: Out,
    changes: Sets = None,
    threshold: Annotated[float, typer.Option(help="Where a pixel is undecided, 0 to 1.")] = 0.5,
) -> None:
    """Snap a probability to the edges of its image by a dense CRF, and write the mask."""
    check_output(out, [image, probability])
    from .core import crf
    from .io import read_image, read_probability, write_image

    settings = crf.CrfSettings().changed(parse_pairs(changes or [], crf.CrfSettings))
    file = read_image(image)
    work = crf.refine(file.image, read_probability(probability), settings, threshold=threshold)
    refined = drive(work, image.name)
    make_folder(out.parent)
    write_image(out, refined.mask, file.pixel_size, file.pixel_unit)
    typer.echo(f"{out}: {100 * float(refined.mask.mean()):.1f} % positive, refined by {refined.backend}")


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
