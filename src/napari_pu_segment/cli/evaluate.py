"""The command ``evaluate``: a mask against the truth, and the curve of sensitivity and purity."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import InputError
from .curve import write_measured
from .support import check_output, guarded, parse_pairs


@guarded
def evaluate(
    prediction: Annotated[Path, typer.Argument(metavar="PREDICTION", help="Mask (non-zero).", show_default=False)],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="Mask (non-zero).", show_default=False)],
    valid: Annotated[Path | None, typer.Option(metavar="VALID", help="Mask of the pixels that count.")] = None,
    classes: Annotated[
        bool, typer.Option("--classes", help="Compare the numbers of classes 0 (background), 1, 2 ... with each other.")
    ] = False,
    probability: Annotated[
        Path | None, typer.Option(metavar="PROBABILITY", help="Tell how well this ranks the pixels, too.")
    ] = None,
    curve: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --probability: write sensitivity and purity by threshold, CSV."),
    ] = None,
    objects: Annotated[
        bool, typer.Option("--objects", help="In the curve: by objects, too; their numbers in TRUTH are kept.")
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change how objects are found, see `measure` (repeatable)."),
    ] = None,
) -> None:
    """Compare a mask with the truth; prints JSON."""
    from ..core.metrics import average_precision, scores, scores_of_classes
    from ..core.objects import ObjectSettings
    from ..io import read_mask, read_numbers, read_probability

    if classes and probability is not None and curve is None:
        raise InputError("--probability is of one class; leave it out with --classes.")
    if (objects and curve is None) or (changes and not objects):
        raise InputError("--set says how --objects are found, and these are of the curve: add --objects and --curve.")
    if curve is not None:
        if probability is None:
            raise InputError("--curve needs the probabilities: add --probability.")
        check_output(curve, [path for path in (prediction, truth, valid, probability) if path is not None])
    settings = ObjectSettings().changed(parse_pairs(changes or [], ObjectSettings))
    left_out = [read_mask(valid)] if valid else []
    if classes:
        told = scores_of_classes(read_numbers(prediction), read_numbers(truth), *left_out)
    else:
        told = dict(scores(read_mask(prediction), read_mask(truth), *left_out))
    if probability is not None and not classes:
        told["average_precision"] = average_precision(read_probability(probability), read_mask(truth), *left_out)
    if curve is not None and probability is not None:
        ignored = left_out[0] if left_out else None
        write_measured(curve, probability, truth, ignored, settings if objects else None, classes=classes)
    typer.echo(json.dumps(told))
