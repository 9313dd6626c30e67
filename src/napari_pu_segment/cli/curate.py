"""The command ``curate``: what there is to know about a folder of images before they are annotated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .support import drive, guarded, parse_pairs

if TYPE_CHECKING:
    from ..image_set import SetReport


@guarded
def curate(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of images.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the report.", show_default=False)],
    recursive: Annotated[bool, typer.Option("--recursive", help="Also the images in folders below.")] = False,
    pattern: Annotated[str, typer.Option(help="Only images whose names match.")] = "*",
    masks: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Masks with the names of their images: balance and errors.", show_default=False
        ),
    ] = None,
    strokes: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Strokes with the names of their images: these are annotated.", show_default=False
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="Images that it is unsure of come first.", show_default=False),
    ] = None,
    encoder: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare images by this encoder; see `pretrain`.", show_default=False),
    ] = None,
    like: Annotated[
        str, typer.Option(metavar="NAME", help="Print the images most similar to this one.", show_default=False)
    ] = "",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting (repeatable).", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same report.", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find duplicates, odd images, groups, wrong masks, and what to annotate next. Nothing is moved or deleted."""
    from ..batch.folder import check_folders
    from ..core.curation import CurateSettings
    from ..image_set import ScanSettings, curating, writing

    check_folders(folder, out)
    settings = CurateSettings().changed({"seed": seed, **parse_pairs(changes or [], CurateSettings)})
    which = ScanSettings(folder, recursive, pattern, masks, strokes, model, encoder)
    report = drive(curating(which, settings), folder.name)
    drive(writing(report, out), folder.name)
    for one in report.scan.refused:
        typer.echo(f"refused: {one.reason}", err=True)
    if as_json:
        typer.echo(json.dumps(report.to_dict()))
        return
    counts = ", ".join(f"{n} {name}" for name, n in report.summary().items() if n)
    typer.echo(f"{out / 'report.html'}: {counts}")
    if like:
        _print_similar(report, like)


def _print_similar(report: SetReport, name: str) -> None:
    from ..core.errors import InputError

    if name not in report.names:
        raise InputError(f"There is no image {name!r} in the report. Give a name as it stands in curation.csv.")
    for i, away in report.similar[report.names.index(name)]:
        typer.echo(f"{away:.2f}  {report.names[i]}")
