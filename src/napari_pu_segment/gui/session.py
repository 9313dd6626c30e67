"""What the panels of one widget share: the image, the model, the present result, and the one running job."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_pu_segment.core.crf import CRF_PRESETS, CrfSettings, Refined, refine
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.fit import FeatureCache
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import Model, load_model, save_model
from napari_pu_segment.core.pipeline import Segmentation, segment, threshold_mask
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.core.samples import Sample
from napari_pu_segment.core.settings import Settings

from .jobs import Job, JobRunner
from .layers import RESULTS, LayerBook

LOG = logging.getLogger(__name__)
REFINING, SHOW_MS = "Refining", 20


@dataclass(frozen=True, eq=False)
class Result:
    """A segmentation and where it came from.

    Parameters
    ----------
    layer : Image
        The image layer it lies over.
    sample : Sample
        The image and the strokes as they were when the job began.
    model : Model
    segmentation : Segmentation
    crf : CrfSettings or None
        How it was refined.
    refined_at : float
        The threshold it was refined at.
    """

    layer: Image
    sample: Sample
    model: Model
    segmentation: Segmentation
    crf: CrfSettings | None
    refined_at: float


class Session:
    """Shared by the panels of one widget; passed in, never global. Use it on the main thread only.

    Parameters
    ----------
    book : LayerBook

    Attributes
    ----------
    image : Image or None
        The chosen image layer.
    model : Model or None
        The current model; a failed or cancelled training leaves it as it is.
    result : Result or None
    threshold : float or None
        Operating threshold chosen by the user; None follows the model's own.
    crf : CrfSettings or None
        How to refine; None does not.
    image_changed, model_changed, result_changed, job_started : Signal(object)
    said : Signal(str, bool)
        A sentence for the status line, and whether it tells of a failure.
    """

    image_changed = Signal(object)
    model_changed = Signal(object)
    result_changed = Signal(object)
    job_started = Signal(object)
    said = Signal(str, bool)

    def __init__(self, book: LayerBook) -> None:
        self.book = book
        self.runner = JobRunner()
        self.image: Image | None = None
        self.model: Model | None = None
        self.result: Result | None = None
        self.threshold: float | None = None
        self.crf: CrfSettings | None = next(iter(CRF_PRESETS.values()))
        self._cache = FeatureCache()
        self._to_show: list[str] = []

    @property
    def busy(self) -> bool:
        """Whether a job runs that will make a new result; a mere refinement does not count, it gives way."""
        return self.runner.current is not None and self.runner.current.title != REFINING

    @property
    def showing(self) -> bool:
        """Whether some layers of the present result are still to be brought up to date."""
        return bool(self._to_show)

    def cancel(self) -> None:
        """Cancel the running job, if any; model and result stay as they are."""
        if self.runner.current is not None:
            self.runner.current.cancel()

    def choose_image(self, image: Image | None) -> None:
        """Make an image layer the current one."""
        if image is not self.image:
            self.image = image
            self.image_changed.emit(image)

    def train(self, method: str, settings: Settings, *, warm: bool) -> None:
        """Train on the current image and its strokes, and segment it, in the background.

        Parameters
        ----------
        method : str
            A row of `METHODS`.
        settings : Settings
            Of that method.
        warm : bool
            Continue from the current model.

        Raises
        ------
        InputError
            If there is no image or no brush layer, or there is no model to continue from.
        """
        layer = self._need_image()
        if self.book.member(layer, "positive") is None:
            raise InputError("There are no strokes yet. Press “Add brush layers” and paint a few on the objects.")
        start = self.need_model() if warm else None
        snapshot = self.book.snapshot(layer)

        def work() -> Work[Result]:
            sample = snapshot.sample()
            model = yield from METHODS[method].train([sample], settings, start=start, cache=self._cache)
            return (yield from self._segment(layer, sample, model))

        self._start(work(), "Training", self._on_result)
        self.said.emit("You can go on painting meanwhile.", False)

    def apply(self, layer: Image) -> None:
        """Segment an image layer with the current model, in the background.

        Raises
        ------
        InputError
            If there is no model.
        """
        model, snapshot = self.need_model(), self.book.snapshot(layer)

        def work() -> Work[Result]:
            return (yield from self._segment(layer, snapshot.sample(), model))

        self._start(work(), "Prediction", self._on_result)

    def set_threshold(self, threshold: float | None) -> None:
        """Choose the operating threshold (None: the model's own); the mask follows at once, see also `refine`."""
        self.threshold = threshold
        if self.result is not None and not self.busy:
            old = self.result.segmentation
            value = self.result.model.card.threshold if threshold is None else threshold
            if value != old.threshold:
                mask = threshold_mask(old.probability, value, self.result.sample.labels)
                self._show(replace(self.result, segmentation=replace(old, mask=mask, threshold=value)))

    def refine(self) -> None:
        """Bring the refined mask up to date with `crf` and the threshold, in the background."""
        result, crf = self.result, self.crf
        if result is None or self.busy:
            return
        self.cancel()  # an older refinement gives way
        old = result.segmentation
        if crf is None:
            self._show(replace(result, segmentation=replace(old, refined=None, refined_by=""), crf=None))
        elif (crf, old.threshold) != (result.crf, result.refined_at):
            self._start(_refine(result, crf), REFINING, lambda refined: self._on_refined(refined, crf, old.threshold))

    def save(self, path: str | Path) -> None:
        """Write the current model to a file.

        Raises
        ------
        InputError
            If there is no model, or the file cannot be written.
        """
        save_model(self.need_model(), path)
        self.said.emit(f"Model saved to {path}.", False)

    def load(self, path: str | Path) -> None:
        """Read a model file in the background, and make it the current model; a U-Net's import takes seconds."""

        def work() -> Work[Model]:
            yield Progress(0, 0, "Reading the model")
            return load_model(path)

        def take(model: Model) -> None:
            self._set_model(model)
            self.said.emit(f"Model loaded from {path}. Choose an image and press Apply.", False)

        self._start(work(), "Loading", take)

    def need_model(self) -> Model:
        """The current model.

        Raises
        ------
        InputError
            If there is none.
        """
        if self.model is None:
            raise InputError("There is no model yet. Train one, or load one from a file.")
        return self.model

    def close(self) -> None:
        """Cancel the running job and wait for its thread, a bounded time."""
        self._to_show = []
        if not self.runner.close():
            LOG.warning("a job did not stop in time")

    def _need_image(self) -> Image:
        if self.image is None or not self.book.contains(self.image):
            raise InputError("There is no image. Open one in napari, and choose it above.")
        return self.image

    def _segment(self, layer: Image, sample: Sample, model: Model) -> Work[Result]:
        # No CRF here: probability and mask are shown as soon as they are known, and refined by a job of its own.
        name, at = f"The image {sample.name!r}", self.threshold
        segmentation = yield from segment(model, sample.image, labels=sample.labels, threshold=at, name=name)
        return Result(layer, sample, model, segmentation, None, segmentation.threshold)

    def _start(self, work: Work[Any], title: str, on_returned: Callable[[Any], None]) -> None:
        if not self.busy:
            self.cancel()  # a refinement gives way

        def connect(job: Job) -> None:
            job.returned.connect(on_returned)
            job.failed.connect(lambda error: self.said.emit(str(error), True))
            if title != REFINING:
                job.cancelled.connect(lambda: self.said.emit(f"{title} was cancelled; nothing has changed.", False))

        self.job_started.emit(self.runner.start(work, title, connect))

    def _on_result(self, result: Result) -> None:
        if result.model is not self.model:
            self._set_model(result.model)
        if self._show(result):
            self.said.emit(f"Done. {self._summary(result)}", False)
            self.set_threshold(self.threshold)  # choices made meanwhile
            self.refine()

    def _on_refined(self, refined: Refined, crf: CrfSettings, threshold: float) -> None:
        if self.result is not None:
            segmentation = replace(self.result.segmentation, refined=refined.mask, refined_by=refined.backend)
            if self._show(replace(self.result, segmentation=segmentation, crf=crf, refined_at=threshold)):
                self.said.emit(f"Refined. {self._summary(self.result)}", False)

    def _set_model(self, model: Model) -> None:
        self.model = model
        self.model_changed.emit(model)

    def _show(self, result: Result) -> bool:
        self.result = result
        waits = result.segmentation.refined is None and self.crf is not None  # the old refined mask stays until then
        self._to_show = [role for role in RESULTS if not (waits and role == "refined")]
        self._show_next()
        if self.result is not None:
            self.result_changed.emit(result)
        return self.result is not None

    def _show_next(self) -> None:
        # One layer at a time, with time to draw between: a new layer takes napari up to a tenth of a second.
        if self.result is None or not self._to_show:
            return
        role = self._to_show.pop(0)
        try:
            self.book.show(self.result.layer, role, getattr(self.result.segmentation, role))
            QTimer.singleShot(SHOW_MS, self._show_next)
        except InputError as error:
            self.result, self._to_show = None, []
            self.said.emit(str(error), True)

    def _summary(self, result: Result) -> str:
        mask = result.segmentation.mask if result.segmentation.refined is None else result.segmentation.refined
        return f"{100 * float(mask.mean()):.1f} % of {result.layer.name!r} is segmented."


def _refine(result: Result, crf: CrfSettings) -> Work[Refined]:
    image, old = np.asarray(result.sample.image), result.segmentation  # a lazy image is read here, in the job's thread
    return (yield from refine(image, old.probability, crf, labels=result.sample.labels, threshold=old.threshold))
