"""The commands ``predict`` and ``refine``, for images of any size: results are written block by block."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import InputError
from .support import FILES, check_counts, check_output, drive, guarded, make_folder, output_stems, parse_pairs

if TYPE_CHECKING:
    import numpy as np

    from ..core.classes import Thresholds
    from ..core.crf import CrfSettings
    from ..core.model import Model
    from ..core.pipeline import Summary
    from ..io import ImageFile, Output

KINDS = ("probability", "mask", "refined")


class Format(StrEnum):
    """What results are written as."""

    auto = "auto"
    tiff = "tiff"
    ome_zarr = "ome-zarr"

    def suffix(self, image: Path) -> str:
        """Of the results of an image: OME-Zarr for OME-Zarr and TIFF for all else, unless one is asked for."""
        if self is Format.auto:
            return ".ome.zarr" if image.is_dir() else ".tif"
        return ".ome.zarr" if self is Format.ome_zarr else ".tif"


@guarded
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file.", show_default=False)],
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE...", help="Image files, or folders of OME-Zarr images.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.", show_default=False)],
    refine: Annotated[bool, typer.Option(help="Also write a mask refined by the dense CRF.")] = False,
    threshold: Annotated[float | None, typer.Option(help="Instead of the model's own, 0 to 1.")] = None,
    ignore: Annotated[
        list[Path] | None,
        typer.Option(
            metavar=FILES, help="Pixels that belong to no object (non-zero), one for each image.", show_default=False
        ),
    ] = None,
    format_: Annotated[
        Format, typer.Option("--format", help="Of the results; auto: OME-Zarr for OME-Zarr images, else TIFF.")
    ] = Format.auto,
    curve: Annotated[
        bool, typer.Option("--curve", help="Also write sensitivity and purity by threshold, estimated, as CSV.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Segment images: write a probability, a mask and, with --refine, a refined mask of each."""
    if threshold is not None and not 0 <= threshold <= 1:
        raise InputError(f"The threshold must lie between 0 and 1; it is {threshold}.")
    left_out = list(ignore or [])
    check_counts(images, {"--ignore": left_out})
    kinds, targets = KINDS[: 3 if refine else 2], []
    for image, stem in zip(images, output_stems(images), strict=True):
        targets.append({kind: out / f"{stem}_{kind}{format_.suffix(image)}" for kind in kinds})
        if curve:
            targets[-1]["curve"] = out / f"{stem}_curve.csv"
        for path in targets[-1].values():
            check_output(path, [model, *images, *left_out])
    from ..core.crf import CrfSettings
    from ..core.model import load_model

    loaded, reports, crf = load_model(model), [], CrfSettings() if refine else None
    for i, (image, paths) in enumerate(zip(images, targets, strict=True)):
        report = _predict(loaded, image, paths, left_out[i] if left_out else None, threshold, crf)
        reports.append(report)
        if not as_json:
            by = f", refined by {report['refined_by']}" if refine else ""
            stem = str(paths["mask"]).removesuffix(f"mask{format_.suffix(image)}")
            typer.echo(f"{stem}*{format_.suffix(image)}: {100 * report['positive_fraction']:.1f} % positive{by}")
    if as_json:
        used = loaded.threshold if threshold is None else threshold
        typer.echo(json.dumps({"model": str(model), "threshold": used, "images": reports}))


def _predict(
    model: Model,
    path: Path,
    paths: Mapping[str, Path],
    ignore: Path | None,
    threshold: float | None,
    crf: CrfSettings | None,
) -> dict[str, Any]:
    """Segment one image; what is told of it."""
    from ..core.images.doubts import doubts
    from ..core.pipeline import segment_into
    from ..io import read_image

    file = read_image(path)
    where = f"Image {str(path)!r}"
    model.check_image(tuple(file.image.shape), where, file.channel_names, file.axes)
    warnings = drive(doubts(model.card, file.sample(str(path))), path.name)
    for warning in warnings:
        typer.echo(f"Warning: {warning}", err=True)
    labels = None if ignore is None else _Ignored(ignore, tuple(file.image.shape[1:]), str(path))
    make_folder(next(iter(paths.values())).parent)

    def work(outs: Mapping[str, Output]) -> Summary:
        done = segment_into(
            model, file.image, outs, labels=labels, threshold=threshold, crf=crf, name=where, axes=file.axes
        )
        return drive(done, path.name)

    images = {kind: output for kind, output in paths.items() if kind in KINDS}
    summary = written(file, images, work, model.classes)
    if "curve" in paths:
        _estimate(model, paths, labels, summary.threshold)
    fraction = summary.positive_fraction if summary.refined_fraction is None else summary.refined_fraction
    outputs = {kind: str(output) for kind, output in paths.items()}
    told = {"positive_fraction": fraction, "refined_by": summary.refined_by, "warnings": warnings}
    return {"image": str(path), **outputs, **told}


def _estimate(model: Model, paths: Mapping[str, Path], labels: Any, threshold: Thresholds) -> None:
    """Write the curve of sensitivity and purity of a result that was written."""
    from ..io import read_numbers, read_probability
    from .curve import write_estimated

    probability, mask = read_probability(paths["probability"]), read_numbers(paths["mask"])
    write_estimated(paths["curve"], probability, mask, labels, threshold, model.threshold, model.classes)


def written(file: ImageFile, paths: Mapping[str, Path], work: Any, classes: Sequence[str] = ()) -> Any:
    """Do work that fills outputs of an image, then put each in its place; those that are not whole are thrown away."""
    from ..io import create_output

    with ExitStack() as stack:
        outs = {}
        for kind, path in paths.items():
            is_mask, shape = kind != "probability", tuple(file.image.shape[1:])
            stacked = not is_mask and len(classes) > 1
            outs[kind] = create_output(
                path,
                (len(classes), *shape) if stacked else shape,
                "uint8" if is_mask else "float32",
                pixel_size=file.pixel_size,
                pixel_unit=file.pixel_unit,
                axes=file.axes,
                labels=is_mask,
                channel_names=classes if stacked else (),
            )
            stack.callback(outs[kind].discard)  # of one that is finished, nothing is left to throw away
        result = work(outs)
        for output in outs.values():
            drive(output.finishing(), output.path.name)
    return result


class _Ignored:
    """Label codes ([T,] [Z,] Y, X) of what a mask file leaves out, read where they are asked for."""

    def __init__(self, path: Path, shape: tuple[int, ...], image: str) -> None:
        from ..io import read_mask

        self._mask, self.shape = read_mask(path), shape
        if tuple(self._mask.shape) != shape:
            measures = f"measures {shape} pixels but the mask {str(path)!r} {tuple(self._mask.shape)}"
            raise InputError(f"Image {image!r} {measures}. Give a mask of the image's size.")

    def __getitem__(self, where: tuple[slice, ...]) -> np.ndarray:
        import numpy as np

        from ..core.samples import IGNORE, UNLABELED

        return np.where(np.asarray(self._mask[where]), np.uint8(IGNORE), np.uint8(UNLABELED))


@guarded
def refine(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="Image file.", show_default=False)],
    probability: Annotated[
        Path, typer.Argument(metavar="PROBABILITY", help="Output of `predict`.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="File to write, .tif or .ome.zarr.", show_default=False)
    ],
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting (repeatable).")
    ] = None,
    threshold: Annotated[float, typer.Option(help="Where a pixel is undecided, 0 to 1.")] = 0.5,
) -> None:
    """Snap a probability to the edges of its image by a dense CRF, and write the mask."""
    check_output(out, [image, probability])
    from ..core.classes import thresholds_of
    from ..core.crf import CrfSettings, Refiner
    from ..core.pipeline import refine_all
    from ..io import read_image, read_probability

    settings = CrfSettings().changed(parse_pairs(changes or [], CrfSettings))
    file, given = read_image(image), read_probability(probability)
    n_classes = 1 if len(given.shape) < len(file.image.shape) else len(given)
    limits = thresholds_of(threshold, n_classes)
    refiner = Refiner(file.image, given, settings, threshold=limits, axes=file.axes)
    make_folder(out.parent)

    def work(outs: Mapping[str, Output]) -> float:
        with refiner:
            return drive(refine_all(refiner, outs["refined"]), image.name).positive_fraction

    fraction = written(file, {"refined": out}, work)
    typer.echo(f"{out}: {100 * fraction:.1f} % positive, refined by {refiner.backend}")
