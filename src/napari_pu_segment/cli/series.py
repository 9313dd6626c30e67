"""The command ``timeseries``: from frames and their masks to a table over time, and a keogram."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .support import FILES, check_output, drive, guarded, make_folder, parse_pairs


def _file(what: str, option: str) -> Any:
    return typer.Option(option, metavar="FILE", help=what, show_default=False)


@guarded
def timeseries(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", help="Stack, frames in order, or a folder.", show_default=False)
    ],
    out: Annotated[Path, _file("Table to write, CSV.", "--out")],
    masks: Annotated[
        list[Path] | None,
        typer.Option("--mask", metavar=FILES, help="Mask of each image, or a folder of them.", show_default=False),
    ] = None,
    ignore: Annotated[Path | None, _file("Pixels to leave out (non-zero), of a frame or each.", "--ignore")] = None,
    interval: Annotated[
        float, typer.Option(help="Seconds between frames; 0: as file names tell, if they do.", min=0)
    ] = 0.0,
    keogram: Annotated[Path | None, _file("Also write a keogram: PNG to look at, or TIFF.", "--keogram")] = None,
    angle: Annotated[float, typer.Option(help="Of its line: 0 down a column, 90 along a row.")] = 0.0,
    width: Annotated[int, typer.Option(help="Pixels across the line that are averaged.", min=1)] = 1,
    centre: Annotated[
        str, typer.Option(metavar="ROW,COLUMN", help="Where it passes.  [default: the middle]", show_default=False)
    ] = "",
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of objects (repeatable).")
    ] = None,
) -> None:
    """Measure area, objects and intensity of each frame of a series, and make a keogram."""
    from ..core.frames.keogram import KeogramSettings
    from ..core.objects import ObjectSettings
    from ..series_files import keogram_files, open_series, write_keogram

    if not masks and len(images) == 2:  # a stack and its mask
        images, masks = images[:1], images[1:]
    if not masks:
        raise typer.BadParameter("Give the mask behind the image, or the masks behind --mask.")
    line = None
    if keogram is not None:
        line = KeogramSettings().changed({"angle_deg": angle, "width_px": width, "centre_px": _numbers(centre)})
    outputs = [out, *(keogram_files(keogram) if keogram else [])]
    for path in outputs:
        check_output(path, [*images, *masks, *([ignore] if ignore else [])])
    settings = ObjectSettings().changed(parse_pairs(changes or [], ObjectSettings))
    series = open_series(images, masks, ignore, interval)
    for path in outputs:  # of a folder, the frames are known only now
        check_output(path, [*series.images, *series.masks])
    found = drive(series.measured(settings, line), "Time series")
    make_folder(out.parent)
    found.table.write_csv(out)
    if keogram is not None:
        make_folder(keogram.parent)
        write_keogram(keogram, found)
    typer.echo(f"{out}: {len(found.table)} frames" + "".join(f"; {path}" for path in outputs[1:]))


def _numbers(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")] if text.strip() else []
