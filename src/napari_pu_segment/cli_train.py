"""The command ``train``: from images with strokes or masks to a model file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from .cli_support import (
    FILES,
    check_forms,
    check_output,
    drive,
    guarded,
    make_folder,
    settings_of,
)
from .core.errors import InputError


def _masks(what: str) -> Any:
    return typer.Option(metavar=FILES, help=f"{what}, one file for each image.", show_default=False)


def _folder(what: str) -> Any:
    return typer.Option(metavar="DIR", help=f"Folder of patches {what}, instead of images and strokes.")


@guarded
def train(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write.", show_default=False)],
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="IMAGE...", help="Image files, or folders of images and strokes.")
    ] = None,
    positive: Annotated[list[Path] | None, _masks("Strokes on objects (non-zero)")] = None,
    negative: Annotated[list[Path] | None, _masks("Strokes on background (non-zero)")] = None,
    ignore: Annotated[list[Path] | None, _masks("Pixels to leave out (non-zero)")] = None,
    scribbles: Annotated[list[Path] | None, _masks("Codes 0 to 3 (positive 1, negative 2), or GeoJSON")] = None,
    noisy_mask: Annotated[
        list[Path] | None,
        typer.Option(metavar=FILES, help="Unreliable masks (non-zero) of the first images.", show_default=False),
    ] = None,
    clean_mask: Annotated[list[Path] | None, _masks("Reliable masks (non-zero)")] = None,
    positive_patches: Annotated[Path | None, _folder("that are positive all over")] = None,
    negative_patches: Annotated[Path | None, _folder("that are negative all over")] = None,
    unlabelled_patches: Annotated[Path | None, _folder("of which nothing is known")] = None,
    method: Annotated[
        str | None, typer.Option(help="Method; see `methods`.  [default: pu]", show_default=False)
    ] = None,
    prior: Annotated[str | None, typer.Option(help="Positive fraction: auto, or a number such as 0.2.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting (repeatable).")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="JSON or TOML file of settings.", metavar="FILE")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same result.  [default: 0]", show_default=False)] = None,
    start: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="Go on from this model, in a third of the steps.")
    ] = None,
) -> None:
    """Train a model on images with strokes or masks, or on folders of patches."""
    from .cli_data import pairs_of, samples_of, samples_of_patches
    from .core.methods import METHODS
    from .io import read_image

    strokes = {"positive": positive, "negative": negative, "ignore": ignore, "scribbles": scribbles}
    strokes |= {"noisy": noisy_mask, "clean": clean_mask}
    files = {name: list(given or []) for name, given in strokes.items()}
    folders = {"positive": positive_patches, "negative": negative_patches, "unlabelled": unlabelled_patches}
    check_forms(list(images or []), files, folders)
    pairs = pairs_of(images, files) if images else []
    inputs = [file for image, found in pairs for file in (image, *found.values())]
    check_output(out, [*inputs, *filter(None, [config])])
    settings = settings_of("pu", method, changes, config, prior=prior, seed=seed)
    if pairs and METHODS[settings.to_dict()["method"]].needs_strokes and not any(found for _, found in pairs):
        raise InputError("No strokes were given. Paint at least one stroke on an object.")
    seen = (samples_of(read_image(image), image, found) for image, found in pairs)
    samples = [sample for found in seen for sample in found] or samples_of_patches(folders)
    from .core.doubts import training_doubts
    from .core.model import load_model, save_model

    began, method_row = time.perf_counter(), METHODS[settings.to_dict()["method"]]
    model = drive(method_row.train(samples, settings, start=load_model(start) if start else None), "Training")
    for warning in drive(training_doubts(samples), "Looking at the images"):
        typer.echo(f"Warning: {warning}", err=True)
    make_folder(out.parent)
    save_model(model, out)
    card = model.card
    n_positive, n_negative = card.n_positive_strokes, card.n_negative_strokes
    strokes_text = f"{n_positive} positive and {n_negative} negative strokes, " if n_positive + n_negative else ""
    low, high = card.class_prior_interval
    typer.echo(
        f"{out}: {strokes_text}class prior {card.class_prior:.3f} in {low:.3f}..{high:.3f} "
        f"({card.class_prior_source}), {time.perf_counter() - began:.1f} s"
    )
