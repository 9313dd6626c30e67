"""The command ``replay``: make a result again from its record and its image."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from ..core.files.record import Record, load_record
from ..core.files.replay import check_image, replay
from ..io import read_image, storable, write_image
from .support import check_output, drive, make_folder, output_stems


def run_replay(card: Path, image: Path, out: Path, *, force: bool, as_json: bool) -> None:
    """Replay a record, write what comes out, and tell whether it is the same.

    Parameters
    ----------
    card : Path
        A record.
    image : Path
        The image it is about.
    out : Path
        Folder for the outputs.
    force : bool
        Replay on an image of other pixels.
    as_json : bool
        Tell it as one JSON object.

    Raises
    ------
    InputError
        If a file cannot be used, or the image is another one.
    typer.Exit
        With code 1 if an output differs from the record.
    """
    record = load_record(card)
    (stem,) = output_stems([image])
    paths = {kind: out / f"{stem}_{kind}.tif" for kind in record.outputs}
    for path in paths.values():
        check_output(path, [card, image])
    file = read_image(image)
    warning = check_image(record, file.image, force=force)
    if warning:
        typer.echo(f"Warning: {warning}", err=True)
    replayed = drive(replay(record, file.image), "Replay")
    make_folder(out)
    for kind, path in paths.items():
        array = storable(replayed.outputs[kind])
        stacked = array.ndim == len(file.axes)  # a probability of several classes
        axes, names = (file.axes, record.classes) if stacked else (file.axes[1:], ())
        write_image(path, array, file.pixel_size, file.pixel_unit, axes, names)
    same = not replayed.differing
    if as_json:
        outputs = {kind: str(path) for kind, path in paths.items()}
        typer.echo(json.dumps({"image": str(image), **outputs, "same": same, "differing": replayed.differing}))
    else:
        typer.echo(f"{out / stem}_*.tif: {_verdict(record, replayed.differing)}")
    if not same:
        raise typer.Exit(1)


def _verdict(record: Record, differing: list[str]) -> str:
    if not differing:
        return f"the same as recorded, to the byte ({', '.join(record.outputs)})."
    software = ", ".join(f"{name} {version}" for name, version in record.software.items())
    return (
        f"not the same as recorded: {', '.join(differing)}. The record was made with version {record.plugin_version}, "
        f"{software} and {record.threads} thread(s)."
    )
