"""The command ``stains``: stained tissue normalised to the stains of another image, and its stains one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import InputError
from .support import check_output, drive, guarded, make_folder, output_stems, read_config

if TYPE_CHECKING:
    from ..core.images.stains import Target


@guarded
def stains(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="RGB images.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.", show_default=False)],
    normalise: Annotated[
        str | None, typer.Option(help="Give the images the stains of the target: macenko or reinhard.")
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Image to be like; or target.json, which an earlier run wrote."),
    ] = None,
    separated: Annotated[
        bool, typer.Option("--separate", help="Write how much haematoxylin, eosin and DAB there is, a TIFF.")
    ] = False,
) -> None:
    """Normalise the stains of RGB images to those of one, separate them, or both, one after the other."""
    from ..io import read_image, write_image, write_picture

    if (normalise is None) != (target is None):
        raise typer.BadParameter("--normalise and --target go together.")
    if normalise is None and not separated:
        raise typer.BadParameter("Give --normalise with --target, or --separate, or both.")
    kinds = {"normalised.png": normalise is not None, "stains.tif": separated}
    paths = [[out / f"{stem}_{kind}" for kind in kinds] for stem in output_stems(images)]
    told, inputs = out / "target.json", [*images, *([target] if target else [])]
    for path in [told, *(path for pair in paths for path in pair)]:
        check_output(path, [] if path == told == target else inputs)

    from ..core.images.stained import normalising, separating
    from ..core.images.stains import STAINS

    aim = _target(normalise, target) if normalise and target else None
    make_folder(out)
    if aim is not None and told != target:
        told.write_text(json.dumps(aim.to_dict(), indent=2) + "\n", "utf-8")
    for image, (picture, amounts) in zip(images, paths, strict=True):
        file = read_image(image)
        light = file.image
        if aim is not None:
            light = drive(normalising(light, aim, str(image)), image.name)
            write_picture(picture, (light.transpose(1, 2, 0) * 255).round())
            typer.echo(str(picture))
        if separated:
            found = drive(separating(light, str(image)), image.name)
            write_image(amounts, found, file.pixel_size, file.pixel_unit, "CYX", STAINS)
            typer.echo(str(amounts))


def _target(method: str, path: Path) -> Target:
    from ..core.images.stained import measuring
    from ..core.images.stains import target_of
    from ..io import read_image

    if path.suffix.lower() != ".json":
        return drive(measuring(method, read_image(path).image, str(path)), path.name)
    aim = target_of(read_config(path))
    if aim.method != method:
        raise InputError(f"{path} is a target of {aim.method}, not of {method}.")
    return aim
