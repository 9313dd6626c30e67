"""The command ``corrupt``: a mask with the errors of careless annotation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .support import check_output, guarded, make_folder


@guarded
def corrupt(
    mask: Annotated[Path, typer.Argument(metavar="MASK", help="Mask, or numbered objects.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Mask to write, TIFF.", show_default=False)],
    kind: Annotated[str, typer.Option(help="polygon, box, dilate, erode, shift, missing or merged.")] = "polygon",
    vertices: Annotated[int, typer.Option(help="Of a polygon.")] = 3,
    amount_px: Annotated[int, typer.Option(help="How far to dilate, erode or shift.")] = 3,
    fraction: Annotated[float, typer.Option(help="Of the objects that are missing or merged.")] = 0.3,
    seed: Annotated[int, typer.Option(help="Same seed, same errors.")] = 0,
) -> None:
    """Make the errors of careless annotation in a mask, to test how well a method learns from rough masks."""
    import numpy as np

    from ..core.corrupt import CorruptSettings
    from ..core.corrupt import corrupt as made_worse
    from ..core.metrics import scores
    from ..io import read_image, write_image

    check_output(out, [mask])
    settings = CorruptSettings(kind=kind, vertices=vertices, amount_px=amount_px, fraction=fraction, seed=seed)
    file = read_image(mask)
    truth = np.asarray(file.image).max(axis=0)
    worse = made_worse(truth, settings)
    make_folder(out.parent)
    write_image(out, worse, file.pixel_size, file.pixel_unit, file.axes[1:])
    typer.echo(f"{out}: Dice {scores(worse, truth)['dice']:.3f} to {mask}")
