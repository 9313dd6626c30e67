"""The command ``measure``: from a mask to its objects and a table of their measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .support import check_output, drive, guarded, make_folder, parse_pairs


def _file(what: str, option: str) -> Any:
    return typer.Option(option, metavar="FILE", help=what, show_default=False)


@guarded
def measure(
    mask: Annotated[Path, typer.Argument(metavar="MASK", help="Mask (non-zero).", show_default=False)],
    out: Annotated[Path, _file("Table to write, CSV.", "--out")],
    image: Annotated[Path | None, typer.Argument(metavar="[IMAGE]", help="Image to measure intensities in.")] = None,
    objects: Annotated[Path | None, _file("Also write the objects, a TIFF of labels.", "--objects")] = None,
    probability: Annotated[
        Path | None, _file("Output of `predict`, for --set splitter=probability.", "--probability")
    ] = None,
    ignore: Annotated[Path | None, _file("Pixels to leave out (non-zero).", "--ignore")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting (repeatable).")
    ] = None,
) -> None:
    """Find the objects of a mask, and write a table of their sizes, shapes and intensities."""
    from ..core.objects import ObjectSettings, find_objects
    from ..core.objects.measure import measure_objects
    from ..io import read_image, read_mask, read_probability, storable, write_image

    inputs = [path for path in (mask, image, probability, ignore) if path is not None]
    for path in (out, *([objects] if objects else [])):
        check_output(path, inputs)
    settings = ObjectSettings().changed(parse_pairs(changes or [], ObjectSettings))
    files = [read_image(path) for path in (image, mask) if path is not None]
    size, unit = next(((file.pixel_size, file.pixel_unit) for file in files if file.pixel_size), ((), "px"))
    axes = files[0].axes
    chances = None if probability is None else read_probability(probability)
    left_out = None if ignore is None else read_mask(ignore)
    work = find_objects(read_mask(mask), settings, probability=chances, ignored=left_out, pixel_size=size, axes=axes)
    labels = drive(work, mask.name)
    table = drive(
        measure_objects(
            labels,
            None if image is None else files[0].image,
            probability=chances,
            ignored=left_out,
            pixel_size=size,
            pixel_unit=unit,
            channel_names=files[0].channel_names if image else (),
            planewise=settings.planewise,
            axes=axes,
        ),
        mask.name,
    )
    if objects is not None:
        make_folder(objects.parent)
        write_image(objects, storable(labels), size, unit, axes[1:])
    make_folder(out.parent)
    table.write_csv(out)
    typer.echo(f"{out}: {len(table)} objects" + (f"; {objects}" if objects else ""))
