"""The command ``pretrain``: from a folder of images without labels to the file of an encoder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from .support import check_output, drive, guarded, make_folder, parse_pairs, read_config


@guarded
def pretrain(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of images.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write.", show_default=False)],
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="FILE or NAME",
            help="Begin with published weights of the network, e.g. timm/tf_efficientnet_lite0.in1k.",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after so many minutes.  [default: all steps]", show_default=False)
    ] = None,
    recursive: Annotated[bool, typer.Option("--recursive", help="Also the images in folders below.")] = False,
    pattern: Annotated[str, typer.Option(help="Only images whose names match.")] = "*",
    n_images: Annotated[
        int, typer.Option("--images", min=1, help="Of a larger folder, choose so many by chance.")
    ] = 256,
    balance: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Draw the images by the weights that `curate` writes.", show_default=False),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting (repeatable).", show_default=False),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="JSON or TOML file of settings.", metavar="FILE")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same result.  [default: 0]", show_default=False)] = None,
) -> None:
    """Learn features from images alone. A training that was interrupted goes on when the command is given again."""
    check_output(out, [Path(one) for one in (weights, balance) if one])
    from ..core.pretraining.settings import PretrainSettings
    from ..image_set import CHECKPOINT, EncodeSettings, encoding

    values = read_config(config) if config else {}
    values |= {"seed": seed} if seed is not None else {}
    values |= {"max_minutes": minutes} if minutes is not None else {}
    settings = PretrainSettings().changed({**values, **parse_pairs(changes or [], PretrainSettings)})
    which = EncodeSettings(folder, recursive, pattern, n_images, weights or "", balance)
    make_folder(out.parent)
    if out.with_name(out.name + CHECKPOINT).exists():
        typer.echo("Going on from the checkpoint of an earlier call.", err=True)
    began = time.perf_counter()
    done = drive(encoding(which, settings, out), "Pretraining")
    for one in done.refused:
        typer.echo(f"refused: {one.reason}", err=True)
    typer.echo(f"{out}: an encoder from {done.n_images} image(s), {time.perf_counter() - began:.1f} s")
