"""Remembers how every model of a session came about, so that a record of the present result can be written."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from napari.layers import Image

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.files.packing import fingerprint, pack
from napari_pu_segment.core.files.record import Made, Training, make_record, save_record
from napari_pu_segment.core.model import Model
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.core.samples import Array

from ..results.measuring import Found, mask_of
from ..session import Session
from ..work import Plan, Result

MAX_TRAININGS = 32  # a longer chain of warm trainings begins with the model that stands there, embedded


@dataclass
class _Link:
    """One training: what it did, to which pixels of which layer. The strokes are packed in the background."""

    plan: Plan
    layer: weakref.ref[Image]
    tensors_sha256: str
    labels: np.ndarray | None  # until they are packed
    image: Array
    pixels: str = ""
    strokes: str = ""

    def pack(self) -> None:
        image, labels = self.image, self.labels  # two jobs may be here at once
        if image is not None and labels is not None:
            self.pixels, self.strokes = fingerprint(image), pack(labels)
            self.image = self.labels = None


class Recorder:
    """Follows a session.

    A record goes back, training by training, to the last one that began from nothing. Where it cannot (the model was
    loaded, or trained on another image or several, or after more than `MAX_TRAININGS` trainings) it begins with the
    model as it was there, embedded.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._links: weakref.WeakKeyDictionary[Model, _Link] = weakref.WeakKeyDictionary()
        self._found: Found | None = None
        session.result_changed.connect(self._on_result)

    def note_objects(self, found: Found) -> None:
        """Objects were found; the record of the result they were found in will tell of them."""
        self._found = found

    def save(self, path: str | Path) -> None:
        """Write a record of the present result, in the background.

        Raises
        ------
        InputError
            If there is no result, or it is not complete yet.
        """
        result = self._session.result
        if result is None:
            raise InputError("There is no result to record. Train first, or apply a model.")
        if result.preview or self._session.runner.current is not None:
            raise InputError("The result is not complete yet. Wait until it is, then save the record.")
        found = self._found
        objects = None
        if found is not None and found.mask is mask_of(result):
            objects = found.settings, found.labels
        grown = result.plan.settings if result.model is None and result.plan is not None else None
        made = Made(result.sample, None, (), result.segmentation, result.crf, result.refined_at, objects, grown)
        work = _written(made, *self._lineage(result), path)
        self._session.aside(work, "Saving the record", lambda text: self._session.said.emit(text, False))

    def _on_result(self, result: Result) -> None:
        plan, labels, model = result.plan, result.sample.labels, result.model
        if plan is None or labels is None or plan.also or model is None or model in self._links:
            return  # what was learnt from several images cannot be told of one: a record begins with that model
        tensors = model.card.tensors_sha256
        self._links[model] = _Link(plan, weakref.ref(result.layer), tensors, labels, result.sample.image)
        self._forget_beyond(model)
        self._session.aside(_packed(list(self._links.values())), "Remembering the strokes", lambda _: None)

    def _forget_beyond(self, model: Model) -> None:
        at: Model | None = model
        for _ in range(MAX_TRAININGS):
            link = self._links.get(at) if at is not None else None
            at = None if link is None else link.plan.start
        if at is not None:
            self._links.pop(at, None)

    def _lineage(self, result: Result) -> tuple[Model | None, list[tuple[_Link, Model]]]:
        """Where the model of a result began, and the trainings since then over the result's own layer, with models."""
        links: list[tuple[_Link, Model]] = []
        at: Model | None = result.model
        while at is not None:
            link = self._links.get(at)
            if link is None or link.layer() is not result.layer:
                break
            links.insert(0, (link, at))
            at = link.plan.start
        return at, links


def _packed(links: list[_Link]) -> Work[None]:
    for link in links:
        yield Progress(0, 0, "Remembering the strokes")
        link.pack()


def _written(made: Made, start: Model | None, steps: list[tuple[_Link, Model]], path: str | Path) -> Work[str]:
    yield from _packed([link for link, _ in steps])
    pixels = fingerprint(made.sample.image)
    trainings: list[Training] = []
    for link, model in steps:
        if link.pixels == pixels:
            plan = link.plan
            trainings.append(Training(plan.method, plan.settings, link.strokes, link.tensors_sha256))
        else:  # on the same layer, but its pixels were others then
            start, trainings = model, []
    save_record((yield from make_record(replace(made, start=start, trainings=trainings))), path)
    begin = "" if start is None else " It begins with an embedded model."
    what = {0: "the result", 1: "1 training"}.get(len(trainings), f"{len(trainings)} trainings")
    return f"Record of {what} saved to {path}.{begin}"
