"""The command ``segment``: from images with strokes to masks, by a method that trains nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import InputError
from .predict import KINDS, Format, written
from .support import FILES, check_forms, check_output, drive, guarded, make_folder, output_stems, settings_of

if TYPE_CHECKING:
    from ..core.pipeline import Segmentation
    from ..io import Output

KINDS_OF_STROKES = ("positive", "negative", "ignore", "scribbles")


def _masks(what: str) -> Any:
    return typer.Option(metavar=FILES, help=f"{what}, one file for each image.", show_default=False)


@guarded
def segment(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", help="Image files, or folders of images and strokes.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.", show_default=False)],
    positive: Annotated[list[Path] | None, _masks("Strokes on objects (non-zero)")] = None,
    negative: Annotated[list[Path] | None, _masks("Strokes on background (non-zero)")] = None,
    ignore: Annotated[list[Path] | None, _masks("Pixels to leave out (non-zero)")] = None,
    scribbles: Annotated[list[Path] | None, _masks("Codes 0 to 3 (positive 1, negative 2), or GeoJSON")] = None,
    method: Annotated[
        str | None,
        typer.Option(help="random_walker, watershed, nuclei.  [default: random_walker]", show_default=False),
    ] = None,
    refine: Annotated[bool, typer.Option(help="Also write a mask refined by the dense CRF.")] = False,
    threshold: Annotated[float, typer.Option(help="Of the probability, 0 to 1.")] = 0.5,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting (repeatable).")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="JSON or TOML file of settings.", metavar="FILE")] = None,
    format_: Annotated[
        Format, typer.Option("--format", help="Of the results; auto: OME-Zarr for OME-Zarr images, else TIFF.")
    ] = Format.auto,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Segment each image from its own strokes, or as nuclei without any, without training a model."""
    from .data import pairs_of

    if not 0 <= threshold <= 1:
        raise InputError(f"The threshold must lie between 0 and 1; it is {threshold}.")
    given = (positive, negative, ignore, scribbles)
    strokes = {kind: list(files or []) for kind, files in zip(KINDS_OF_STROKES, given, strict=True)}
    check_forms(images, {**strokes, "noisy": [], "clean": []}, {})
    settings = settings_of("random_walker", method, changes, config)
    pairs = pairs_of(images, strokes)
    inputs = [file for image, found in pairs for file in (image, *found.values())]
    kinds, targets = KINDS[: 3 if refine else 2], []
    for (image, _), stem in zip(pairs, output_stems([image for image, _ in pairs]), strict=True):
        targets.append({kind: out / f"{stem}_{kind}{format_.suffix(image)}" for kind in kinds})
        for path in targets[-1].values():
            check_output(path, [*inputs, *filter(None, [config])])
    reports = []
    for (image, found), paths in zip(pairs, targets, strict=True):
        reports.append(_segment(image, found, paths, settings, threshold))
        if not as_json:
            typer.echo(f"{paths['mask']}: {100 * reports[-1]['positive_fraction']:.1f} % positive")
    if as_json:
        told = {"method": settings.to_dict()["method"], "threshold": threshold}
        typer.echo(json.dumps({**told, "images": reports}))


def _segment(
    path: Path, strokes: Mapping[str, Path], paths: Mapping[str, Path], settings: Any, threshold: float
) -> dict[str, Any]:
    """Segment one image; what is told of it."""
    from ..core.classes import united
    from ..core.crf import CrfSettings
    from ..core.from_strokes import grow
    from ..core.pipeline import covered
    from ..io import read_image
    from .data import samples_of

    file = read_image(path)
    (sample,) = united(
        samples_of(file, path, {kind: given for kind, given in strokes.items() if kind in KINDS_OF_STROKES})
    )
    crf = CrfSettings() if "refined" in paths else None
    found = drive(grow(sample, settings, threshold=threshold, crf=crf), path.name)
    for warning in found.doubts:
        typer.echo(f"Warning: {warning}", err=True)
    make_folder(next(iter(paths.values())).parent)

    def fill(outs: Mapping[str, Output]) -> None:
        for kind, output in outs.items():
            output[(slice(None),) * len(sample.spatial_shape)] = getattr(found, kind)

    written(file, paths, fill)
    fraction = covered(_best(found), sample.labels)
    outputs = {kind: str(output) for kind, output in paths.items()}
    told = {"positive_fraction": fraction, "refined_by": found.refined_by, "warnings": list(found.doubts)}
    return {"image": str(path), **outputs, **told}


def _best(found: Segmentation) -> Any:
    return found.mask if found.refined is None else found.refined
