"""What the panels of one widget share: the image, the model, the present result, and the one running job."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari.layers import Image
from psygnal import Signal

from napari_pu_segment.core.crf import CRF_PRESETS, CrfSettings, Refined
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.fit import FeatureCache
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import Model, save_model
from napari_pu_segment.core.pipeline import threshold_mask
from napari_pu_segment.core.progress import Work
from napari_pu_segment.core.settings import Settings

from . import work
from .jobs import Job, JobRunner
from .layers import RESULTS, LayerBook
from .show import Show
from .work import Plan, Result

__all__ = ["Result", "Session"]

LOG = logging.getLogger(__name__)
REFINING = "Refining"


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
    method, settings : str, Settings
        How to train, as the form shows it.
    live : bool
        Whether every stroke is followed by a training; see `set_live`.
    image_changed, model_changed, result_changed, job_started : Signal(object)
    live_changed : Signal(bool)
    said : Signal(str, bool)
        A sentence for the status line, and whether it tells of a failure.
    """

    image_changed = Signal(object)
    model_changed = Signal(object)
    result_changed = Signal(object)
    job_started = Signal(object)
    live_changed = Signal(bool)
    said = Signal(str, bool)

    def __init__(self, book: LayerBook) -> None:
        self.book = book
        self.runner = JobRunner()
        self.image: Image | None = None
        self.model: Model | None = None
        self.result: Result | None = None
        self.threshold: float | None = None
        self.crf: CrfSettings | None = next(iter(CRF_PRESETS.values()))
        self.method = next(iter(METHODS))
        self.settings: Settings = METHODS[self.method].settings()
        self.live = False
        self._cache = FeatureCache()
        self._show_layers = Show(book, self._on_show_error)

    @property
    def busy(self) -> bool:
        """Whether a job runs that will make a new result; a mere refinement does not count, it gives way."""
        return self.runner.current is not None and self.runner.current.title != REFINING

    @property
    def showing(self) -> bool:
        """Whether some layers of the present result are still to be brought up to date."""
        return self._show_layers.busy

    def cancel(self) -> None:
        """Cancel the running job, if any; model and result stay as they are."""
        if self.runner.current is not None:
            self.runner.current.cancel()

    def choose_image(self, image: Image | None) -> None:
        """Make an image layer the current one."""
        if image is not self.image:
            self.image = image
            self.image_changed.emit(image)

    def set_live(self, on: bool) -> None:
        """Turn live mode on or off; `Live` does what it promises."""
        if on != self.live:
            self.live = on
            self.live_changed.emit(on)

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
        plan = Plan(method, settings, self.need_model() if warm else None)
        snapshot = self.book.snapshot(layer)
        self._start(work.trained(layer, snapshot, plan, self.threshold, self._cache), "Training", self._on_result)
        self.said.emit("You can go on painting meanwhile.", False)

    def apply(self, layer: Image) -> None:
        """Segment an image layer with the current model, in the background.

        Raises
        ------
        InputError
            If there is no model.
        """
        model, snapshot = self.need_model(), self.book.snapshot(layer)
        self._start(work.applied(layer, snapshot, model, self.threshold), "Prediction", self._on_result)

    def aside(self, job: Work[Any], title: str, on_returned: Callable[[Any], None]) -> Job:
        """Drive long work in the background, beside the main job.

        Parameters
        ----------
        job : generator of Progress
        title : str
            What is being done; an older job beside the main one with the same title is cancelled.
        on_returned : callable
            Called with the result, on the main thread. Errors are said.
        """

        def connect(job: Job) -> None:
            job.returned.connect(on_returned)
            job.failed.connect(lambda error: self.said.emit(str(error), True))

        return self.runner.start(job, title, connect, beside=True)

    def adopt(self, result: Result) -> None:
        """Make another result, and the model it came from, the current ones: an earlier round, or an alternative."""
        if not self.busy:
            self.cancel()  # a refinement of the present result
        self._set_model(result.model)
        self._show(result)

    def set_threshold(self, threshold: float | None) -> None:
        """Choose the operating threshold (None: the model's own); the mask follows at once, see also `refine`."""
        self.threshold = threshold
        if self.result is not None:
            old = self.result.segmentation
            value = self.result.model.card.threshold if threshold is None else threshold
            if value != old.threshold:
                mask = threshold_mask(old.probability, value, self.result.sample.labels)
                self._show(replace(self.result, segmentation=replace(old, mask=mask, threshold=value)))

    def refine(self) -> None:
        """Bring the refined mask up to date with `crf` and the threshold, in the background."""
        result, crf = self.result, self.crf
        if result is None or result.preview or self.busy:
            return
        self.cancel()  # an older refinement gives way
        old = result.segmentation
        if crf is None:
            self._show(replace(result, segmentation=replace(old, refined=None, refined_by=""), crf=None))
        elif (crf, old.threshold) != (result.crf, result.refined_at):
            job = work.refined(result, crf)
            self._start(job, REFINING, lambda refined: self._on_refined(refined, crf, old.threshold))

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
        """Read a model file in the background, and make it the current model."""

        def take(model: Model) -> None:
            self._set_model(model)
            self.said.emit(f"Model loaded from {path}. Choose an image and press Apply.", False)

        self._start(work.loaded(path), "Loading", take)

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
        """Cancel all jobs and wait for their threads, a bounded time."""
        self._show_layers.stop()
        if not self.runner.close():
            LOG.warning("a job did not stop in time")

    def _need_image(self) -> Image:
        if self.image is None or not self.book.contains(self.image):
            raise InputError("There is no image. Open one in napari, and choose it above.")
        return self.image

    def _start(self, job: Work[Any], title: str, on_returned: Callable[[Any], None]) -> None:
        if not self.busy:
            self.cancel()  # a refinement gives way

        def connect(job: Job) -> None:
            job.returned.connect(on_returned)
            job.failed.connect(lambda error: self.said.emit(str(error), True))
            if title != REFINING:
                job.cancelled.connect(lambda: self.said.emit(f"{title} was cancelled; nothing has changed.", False))

        self.job_started.emit(self.runner.start(job, title, connect))

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
        roles = [role for role in RESULTS if not (waits and role == "refined")]
        self._show_layers.show(result.layer, {role: getattr(result.segmentation, role) for role in roles})
        if self.result is not None:
            self.result_changed.emit(result)
        return self.result is not None

    def _on_show_error(self, error: InputError) -> None:
        self.result = None
        self.said.emit(str(error), True)

    def _summary(self, result: Result) -> str:
        mask = result.segmentation.mask if result.segmentation.refined is None else result.segmentation.refined
        return f"{100 * float(mask.mean()):.1f} % of {result.layer.name!r} is segmented."
