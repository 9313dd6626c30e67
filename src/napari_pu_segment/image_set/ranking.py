"""Ranking again: what to annotate next, now that a model has learnt from some images of the set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..core.curation import doubt_of, next_images, unfit
from ..core.errors import PuSegmentError
from ..core.model import Model
from ..core.progress import Progress, Ticker, Work, shifted
from ..io import read_image
from .report import SetReport

MOST_ASKED = 200


def ranking(report: SetReport, annotated: Sequence[int], model: Model | None, order: str) -> Work[SetReport]:
    """The report with another list of what to annotate next.

    The model is asked about at most 200 images: of a large set those that the order puts first without it. Without a
    model, what the one of the first ranking said about all of them counts, if there was one.

    Parameters
    ----------
    report : SetReport
    annotated : sequence of int
        Numbers of the images that have been annotated; those with masks or strokes in folders are known.
    model : Model or None
    order : str
        A row of `core.curation.ORDERS`.

    Raises
    ------
    InputError
        If there is no such order.
    """
    found, n, masked = report.curation, len(report.names), report.scan.masked
    annotated = sorted({*annotated, *report.scan.annotated, *(i for i, one in enumerate(masked) if one is not None)})
    left_out = unfit(found.findings, found.near, annotated)
    vectors, seed = found.embeddings.vectors, found.settings.seed
    asked = yield from next_images(vectors, order, MOST_ASKED, annotated=annotated, left_out=left_out, seed=seed)
    doubt = report.scan.doubt
    if model is not None:
        doubt, ticker = np.full(n, np.nan), Ticker()
        for step, i in enumerate(asked):
            if ticker.due():
                yield Progress(step, len(asked), "Asking the model")
            try:
                file = read_image(report.scan.path(report.names[i]))
                doubt[i] = yield from shifted(doubt_of(model, file.image, file.axes, report.names[i]), step, len(asked))
            except PuSegmentError:  # gone since, or of other channels: it cannot be annotated for this model
                continue
        known = set(np.flatnonzero(np.isfinite(doubt)).tolist())
        left_out = [i for i in range(n) if i not in known and i not in set(annotated)]
    n_next = max(1, found.settings.n_next)
    chosen = yield from next_images(
        vectors, order, n_next, annotated=annotated, left_out=left_out, doubt=doubt, seed=seed
    )
    new = SetReport(report.scan, replace(found, next=chosen, doubt=doubt))
    new.prepare()
    return new
