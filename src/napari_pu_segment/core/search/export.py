"""A searched pipeline as readable Python: what it sees, how it is fitted, and how it predicts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import InputError
from ..model import Model
from ..samples import NEGATIVE, code_of
from .candidates import Candidate, parse_chosen

_SCRIPT = '''"""{title}, found by napari-pu-segment.

Probability of the right class in strokes that were held out: {score:.3f}.

    python {name} IMAGE STROKES MASK

STROKES is an image of labels: {labels}, 2 on background, 0 elsewhere. The pipeline is fitted to
them, and MASK is written: {numbers}. Needs napari-pu-segment, scikit-learn and tifffile.
"""

import sys

import numpy as np
import tifffile
import torch
from scipy import ndimage
{imports}

from napari_pu_segment import io
from napari_pu_segment.core.search.classifiers import fit_classifier, log_odds
from napari_pu_segment.core.filters import compute
from napari_pu_segment.core.images.intensity import ChannelStats, normalise
from napari_pu_segment.core.search.unlabelled import UNLABELLED, Painted

SEED = {seed}
CLASS_PRIOR = {prior:.6g}  # the expected fraction of objects
LEAST_ODDS = {offset}  # log odds from which on a pixel is an object, of each class
CODES = {codes}  # in STROKES, of background and objects
INTENSITY = [
{intensity}
]  # of each channel


def pipelines():
    """Filters, scales in pixels, the way with unlabelled pixels, and classifiers; log odds of all are averaged."""
    return [
{members}
    ]


def features(image, filters, sigmas_px):
    """Rows (pixels, F) of an image (C, Y, X){stack}."""
    x = torch.from_numpy(normalise(image, INTENSITY))
    maps = compute({batch}, filters, sigmas_px{plane_px}).half().float()
    return maps.movedim(1, -1).reshape(-1, maps.shape[1]).numpy()


def fit(image, strokes, seed=SEED):
    """Fit all pipelines to strokes; every stroke of a class weighs the same, and every class."""
    rng, fitted, pieces = np.random.default_rng(seed), [], []
    for code in CODES:
        parts, n = ndimage.label(strokes == code, structure=np.ones((3,) * strokes.ndim))
        pieces.append([np.flatnonzero(parts == i + 1) for i in range(n)])
    weights = np.concatenate([np.full(len(s), 1 / len(part) / len(s)) for part in pieces for s in part])
    pixels = np.concatenate([s for part in pieces for s in part])
    drawn = rng.choice(strokes.size, min(1500, strokes.size), replace=False)
    for filters, sigmas_px, unlabelled, classifiers in pipelines():
        rows = features(image, filters, sigmas_px)
        classes = np.array([CODES.index(code) for code in strokes.ravel()[pixels]])
        known = Painted(rows[pixels], classes, weights, rows[drawn], CLASS_PRIOR)

        def learn(x, y, w, classifiers=classifiers):
            return [fit_classifier(one, x, y, w, seed) for one in classifiers()]

        fitted.append((filters, sigmas_px, UNLABELLED[unlabelled].fit(known, learn)))
    return fitted


def predict(fitted, image):
    """Which pixels are objects, and of which class: numbers from 1, of the shape of the image's pixels."""
    several = [log_odds(classifiers, features(image, *seen)) for *seen, classifiers in fitted]
    odds = np.mean(several, axis=0) - LEAST_ODDS  # (pixels, classes), each against the background
    mask = np.where(odds.max(axis=1) >= 0, odds.argmax(axis=1) + 1, 0)
    return mask.reshape(image.shape[1:]).astype(np.uint8)


if __name__ == "__main__":
    where, labels, out = sys.argv[1:]
    picture = io.read_image(where).image
    found = predict(fit(picture, io.read_labels(labels).reshape(picture.shape[1:])), picture)
    tifffile.imwrite(out, found)
'''


def python_of(model: Model, name: str = "pipeline.py") -> str:
    """A script that fits the pipelines of a model to strokes and segments an image with them.

    Parameters
    ----------
    model : Model
        Of the method `pixel_search`.
    name : str
        Of the file that it will be written to.

    Raises
    ------
    InputError
        If the model was not searched for.
    """
    card = model.card
    if card.network.name != "pipeline":
        raise InputError(f"Only a searched pipeline can be written as Python; this model is a {card.network.name!r}.")
    chosen = parse_chosen(str(card.settings["chosen"]))
    seed = int(card.settings["seed"])
    made = [(one, one.make(seed)) for one in chosen.members]
    volume, offset = card.network.ndim == 3, model.network.state_dict()["offset"]
    codes = [code_of(k) for k in range(len(model.classes))]
    names = model.classes if len(codes) > 1 else ("objects",)
    stack = "" if card.axes == "CYX" else " or of a stack (C, Z, Y, X)"
    return _SCRIPT.format(
        title=chosen.title,
        score=chosen.score,
        labels=", ".join(f"{code} on {name}" for code, name in zip(codes, names, strict=True)),
        numbers=", ".join(f"{k} where it sees {name}" for k, name in enumerate(names, start=1)),
        codes=(NEGATIVE, *codes),
        name=name,
        imports="\n".join(sorted({line for _, few in made for one in few for line in _imports(one)})),
        seed=seed,
        prior=card.class_prior,
        offset=[float(f"{one:.6g}") for one in offset],
        intensity="\n".join(f"    {stats!r}," for stats in card.intensity),
        members="\n".join(_member(one, few) for one, few in made),
        stack=stack,
        batch="x[None]" if volume else "x[None] if x.ndim == 3 else x.movedim(1, 0)",
        plane_px=f", {card.network.plane_px:g}" if volume else "",
    )


def _imports(classifier: Any) -> Iterable[str]:
    """Lines that import what a classifier is made of."""
    for part in (classifier, *(step for _, step in getattr(classifier, "steps", ()))):
        module = type(part).__module__.partition("._")[0]
        yield f"from {module} import {type(part).__name__}"


def _member(one: Candidate, classifiers: Iterable[Any]) -> str:
    texts = ", ".join(" ".join(repr(classifier).split()) for classifier in classifiers)
    lines = (one.filters, one.sigmas_px, repr(one.unlabelled), f"lambda: [{texts}]")
    return "\n".join(["        (", *(f"            {line}," for line in lines), "        ),"])
