"""What the panels of one widget share: the image, the model, the present result, and the one running job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari.layers import Image
from psygnal import Signal

from napari_pu_segment.core.classes import Thresholds
from napari_pu_segment.core.crf import CRF_PRESETS, CrfSettings, Refined
from napari_pu_segment.core.errors import InputError, PuSegmentError
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.model import Model, save_model
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.core.settings import Settings
from napari_pu_segment.core.training.fit import FeatureCache

from . import sentences, work
from .jobs import Job, JobRunner, Kind
from .model.encoder import EncoderChoice
from .paint.train_on import TrainOn
from .show import Results
from .viewer.layers import LayerBook
from .viewer.rough import RoughMasks
from .viewer.snapshots import Snapshot
from .work import Result as Result  # for panels

TRAINING, LIVE, REFINING = "Training", "Live training", "Refining"  # titles of jobs


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
    threshold : float, a tuple of K for several classes, or None
        Operating threshold chosen by the user; None follows the model's own.
    crf : CrfSettings or None
        How to refine; None does not.
    method, settings : str, Settings
        How to train, as the form shows it.
    live : bool
        Whether every stroke is followed by a training; see `set_live`.
    train_on, rough, encoder : TrainOn, RoughMasks, EncoderChoice
        Further images whose strokes to learn from; the unreliable mask of each; the encoder to look through.
    cache : FeatureCache
        Features kept between trainings, also for work beside them.
    image_changed, model_changed, result_changed, job_started, live_changed : Signal(object)
    said : Signal(str, bool)
        A sentence for the status line, and whether it tells of a failure.
    choices_changed, closing : Signal()
        Method, settings or refinement were chosen elsewhere than on a panel; all jobs are about to be cancelled.
    """

    image_changed = Signal(object)
    model_changed = Signal(object)
    result_changed = Signal(object)
    job_started = Signal(object)
    live_changed = Signal(object)
    said = Signal(str, bool)
    choices_changed = Signal()
    closing = Signal()

    def __init__(self, book: LayerBook) -> None:
        self.book = book
        self.runner = JobRunner()
        self.image: Image | None = None
        self.model: Model | None = None
        self.threshold: Thresholds | None = None
        self.crf: CrfSettings | None = next(iter(CRF_PRESETS.values()))
        self.method = next(iter(METHODS))
        self.settings: Settings = METHODS[self.method].settings()
        self.live = False
        self.train_on, self.rough, self.encoder = TrainOn(book), RoughMasks(book), EncoderChoice()
        self.cache = FeatureCache()
        self.results = Results(book, self.result_changed.emit, self._on_failed)

    @property
    def result(self) -> Result | None:
        """The present result; a preview of it while live mode fills it."""
        return self.results.present

    @property
    def busy(self) -> bool:
        """Whether a job runs that others must wait for; a refinement and a round of live mode give way."""
        return self.runner.busy

    @property
    def showing(self) -> bool:
        """Whether some layers of the present result are still to be brought up to date."""
        return self.results.busy

    def cancel(self) -> None:
        """Cancel the running job, and live mode if it is a round of it.

        A preview gives way to what was before; of a large image, what is segmented so far stays.
        """
        if self.runner.current is not None:
            self.set_live(self.live and self.runner.current.title != LIVE)
            self.runner.current.cancel()
        self._drop_preview()

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

    def train(self, method: str, settings: Settings, *, warm: bool, live: Snapshot | None = None) -> None:
        """Train on the current image and its strokes (see also `train_on`), and segment it, in the background.

        `method` is a row of `METHODS`; `warm` continues from the current model; `live` makes it a round of live mode.

        Raises
        ------
        InputError
            If there is no image or no brush layer, or there is no model to continue from.
        """
        layer, row = self._need_image(), METHODS[method]
        if row.needs_strokes and not any(self.book.member(layer, role) for role in self.book.classes.names):
            raise InputError("There are no strokes yet. Press “Add brush layers” and paint a few on the objects.")
        snapshots, also = self.train_on.snapshots(layer, live, row, self.rough)
        start = self._need_model() if warm and row.segment is None else self.encoder.of(row)
        plan = work.Plan(method, settings, start, also)
        scene = self._scene(layer, *snapshots)
        if live is None:
            self._start(work.trained(scene, plan, self.cache), TRAINING, self._on_result)
            self.said.emit("You can go on painting meanwhile.", False)
        else:
            self._start(work.followed(scene, plan, self.cache, self.result), LIVE, self._on_followed)

    def apply(self, layer: Image) -> None:
        """Segment an image layer with the current model, in the background.

        Raises
        ------
        InputError
            If there is no model.
        """
        model, snapshot = self._need_model(), self.book.snapshot(layer)
        self._start(work.applied(self._scene(layer, snapshot), model), "Prediction", self._on_result)

    def aside(self, job: Work[Any], title: str, on_returned: Callable[[Any], None]) -> Job:
        """Drive long work in the background, beside the main job; errors are said.

        An older one of that title beside the main job is cancelled. `on_returned` gets the result, on the main thread.
        """

        def connect(job: Job) -> None:
            job.returned.connect(on_returned)
            job.failed.connect(lambda error: self.said.emit(str(error), True))

        return self.runner.start(job, title, connect, "beside")

    def adopt(self, result: Result) -> None:
        """Make another result, an earlier round say, and the model it came from, the current ones."""
        self.runner.give_way()
        self._set_model(result.model)
        self._show(result)

    def set_threshold(self, threshold: Thresholds | None) -> None:
        """Choose the operating threshold (None: the model's own); the mask follows at once, see also `refine`."""
        self.threshold = threshold
        new = None if self.result is None else work.moved(self.result, threshold)
        if new is not None:
            self._show(new)

    def refine(self) -> None:
        """Bring the refined mask up to date with `crf` and the threshold, in the background."""
        result, crf, running = self.result, self.crf, self.runner.current
        if result is None or result.preview or (running is not None and running.title != REFINING):
            return
        self.runner.give_way()
        old = result.segmentation
        if crf is None:
            self._show(replace(result, segmentation=replace(old, refined=None, refined_by=""), crf=None))
        elif (crf, old.threshold) != (result.crf, result.refined_at):
            self._start(work.refined(result, crf), REFINING, lambda new: self._on_refined(new, crf, old.threshold))

    def save(self, path: str | Path) -> None:
        """Write the current model to a file.

        Raises
        ------
        InputError
            If there is no model, or the file cannot be written.
        """
        save_model(self._need_model(), path)
        self.said.emit(f"Model saved to {path}.", False)

    def load(self, path: str | Path) -> None:
        """Read a model file in the background, and make it the current model."""

        def take(model: Model) -> None:
            self._set_model(model)
            self.said.emit(f"Model loaded from {path}. Choose an image and press Apply.", False)

        self._start(work.loaded(path), "Loading", take)

    def close(self) -> None:
        """Cancel all jobs and wait for their threads, a bounded time."""
        self.closing.emit()
        self.set_live(False)
        self.results.stop()
        self.runner.close()

    def _need_model(self) -> Model:
        if self.model is None:
            raise InputError("There is no model yet. Train one, or load one from a file.")
        return self.model

    def _need_image(self) -> Image:
        if self.image is None or not self.book.contains(self.image):
            raise InputError("There is no image. Open one in napari, and choose it above.")
        return self.image

    def _scene(self, layer: Image, *snapshots: Snapshot) -> work.Scene:
        return work.Scene(layer, snapshots, self.threshold, self.book.window(layer))

    def _start(self, long: Work[Any], title: str, on_returned: Callable[[Any], None]) -> None:
        kind: Kind = "yielding" if title in (REFINING, LIVE) else "main"

        def connect(job: Job) -> None:
            job.progress.connect(self._on_progress)
            job.returned.connect(on_returned)
            job.failed.connect(lambda error: self._on_failed(error, title))
            if kind == "main":
                job.cancelled.connect(lambda: self.said.emit(sentences.cancelled(title, self.result), False))

        self.job_started.emit(self.runner.start(long, title, connect, kind))

    def _on_failed(self, error: PuSegmentError, title: str = "") -> None:
        self.runner.give_way()  # if a result cannot be shown, nor can what grows of it
        self._drop_preview()
        self.said.emit(str(error), not (title == LIVE and isinstance(error, InputError)))

    def _drop_preview(self) -> None:
        whole = self.results.drop_preview()
        if whole is not None:
            self.adopt(whole)

    def _on_progress(self, progress: Progress) -> None:
        new = progress.preview
        if isinstance(new, Result) and self.results.holds(new):
            self.results.grow(progress.parts, new.segmentation.refined)
        elif isinstance(new, Result):
            self._set_model(new.model)
            work.fill_mask(new, progress.parts)
            if self._show(new):
                self.set_threshold(self.threshold)  # chosen meanwhile

    def _on_followed(self, result: Result) -> None:
        done = self.results.finish(result, refines=self.crf is not None) if result.preview else self._show(result)
        if done and self.result is not None:
            self.said.emit(f"Live: {sentences.summary(self.result)}", False)
            self.set_threshold(self.threshold)  # chosen meanwhile

    def _on_result(self, result: Result) -> None:
        if result.model is not self.model:
            self._set_model(result.model)
        refines = self.crf is not None
        if self.results.finish(result, refines=refines) if result.preview else self._show(result):
            self.said.emit(f"Done. {sentences.summary(result)}", False)
            self.set_threshold(self.threshold)  # choices made meanwhile
            self.refine()

    def _on_refined(self, refined: Refined, crf: CrfSettings, threshold: Thresholds) -> None:
        if self.result is not None:
            segmentation = replace(self.result.segmentation, refined=refined.mask, refined_by=refined.backend)
            if self._show(replace(self.result, segmentation=segmentation, crf=crf, refined_at=threshold)):
                self.said.emit(f"Refined. {sentences.summary(self.result)}", False)

    def _show(self, result: Result) -> bool:
        return self.results.put(result, refines=self.crf is not None)

    def _set_model(self, model: Model | None) -> None:
        if model is not None:  # a result that grew has none, and leaves that of another as it is
            if self.model is not None and self.model.classes != model.classes:
                self.threshold = None  # it was chosen for others
            self.model = model
            self.model_changed.emit(model)
