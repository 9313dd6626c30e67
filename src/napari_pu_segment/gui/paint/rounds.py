"""The rounds of painting and training on each image: judged in the background, kept if better, undone at will."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np
from napari.layers import Image
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_pu_segment.core.progress import Work
from napari_pu_segment.core.training.fit import FeatureCache
from napari_pu_segment.core.training.judge import judge
from napari_pu_segment.core.training.rounds import Judgement, Round, compare, mask_change

from ..jobs import Job
from ..session import LIVE, TRAINING, Result, Session

JUDGING = "Judging"
SOON_MS, REST_MS = 100, 1500  # after a result; in live mode after the strokes have rested


@dataclass(eq=False)
class Track:
    """The rounds on one image. Of all their results only the last two are kept.

    Parameters
    ----------
    rounds : list of Round
        From the first to the latest.
    old, new : Result or None
        The result that was in use before the latest round, and that of the latest round.
    old_round : int
        Which of the rounds `old` is.
    taken : bool
        Whether the new one is in use; else the old one is, and the new one is on offer.
    """

    rounds: list[Round] = field(default_factory=list)
    old: Result | None = None
    new: Result | None = None
    old_round: int = -1
    taken: bool = True

    @property
    def in_use(self) -> Result | None:
        """The result that the user works with."""
        return self.new if self.taken else self.old

    @property
    def other(self) -> Result | None:
        """The one of the two that is not in use."""
        return self.old if self.taken else self.new

    @property
    def judged(self) -> bool:
        """Whether there is nothing to judge."""
        return not self.rounds or self.rounds[-1].judgement is not None

    def begin(self, result: Result, seconds: float, *, merge: bool) -> None:
        """A new round; with `merge` it takes the place of the latest one."""
        if merge:
            seconds += self.rounds.pop().seconds
        elif self.new is not None:
            self.old_round = len(self.rounds) - 1 if self.taken else self.old_round
            self.old = self.in_use
        self.new, self.taken = result, True
        assert result.model is not None
        card = result.model.card
        self.rounds.append(Round(len(self.rounds) + 1, card.n_positive_strokes, card.n_negative_strokes, seconds))

    def update(self, result: Result) -> bool:
        """Another threshold or refinement of one of the two; False if it is neither."""
        if self.new is not None and result.model is self.new.model:
            self.new = result
        elif self.old is not None and result.model is self.old.model:
            self.old = result
        else:
            return False
        return True


class Rounds:
    """Follows the results of a session: each training is a round.

    When a result is complete (in live mode: when the strokes have rested), it is judged beside the session's other work
    by strokes that are held out. If it looks worse than the result before, that one is shown again, and the new one
    is on offer.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    keep_if_better : bool
        Whether a verdict against a new result takes it back.
    judging : bool
        Whether the latest round is being judged.
    changed : Signal()
        Something that a panel shows is different.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self.keep_if_better = True
        self.judging = False
        self._tracks: dict[Image, Track] = {}
        self._job: Job | None = None
        self._began_s = time.perf_counter()
        self._soon = QTimer()
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._judge)
        session.result_changed.connect(self._on_result)
        session.job_started.connect(self._on_job)
        session.image_changed.connect(self._on_image)
        session.closing.connect(self._rest)
        session.book.changed.connect(self._on_layers)

    @property
    def track(self) -> Track:
        """The rounds on the session's image."""
        image = self._session.image
        return Track() if image is None else self._tracks.get(image, Track())

    @property
    def peeking(self) -> bool:
        """Whether the result that is not in use is on screen."""
        other, shown = self.track.other, self._session.result
        return other is not None and shown is not None and shown.model is other.model

    def peek(self, on: bool) -> None:
        """Show the result that is not in use, or again the one that is."""
        result = self.track.other if on else self.track.in_use
        if result is not None and on != self.peeking:
            self._adopt(result)

    def keep_new(self) -> None:
        """Take the new result, whatever the verdict."""
        self._take(True)

    def revert(self) -> None:
        """Go back to the result before the latest round; the new one stays on offer."""
        self._take(False)

    def _take(self, new: bool) -> None:
        track = self.track
        if track.old is not None:
            track.taken = new
            if track.in_use is not None:
                self._adopt(track.in_use)
                number = track.rounds[-1 if new else track.old_round].number
                self._session.said.emit(f"Round {number} is in use.", False)

    def _adopt(self, result: Result) -> None:
        self._session.adopt(result)
        self._session.set_threshold(self._session.threshold)  # as it was chosen for the other one
        self._session.refine()

    def _on_job(self, job: Job) -> None:
        if job.title in (TRAINING, LIVE):
            self._began_s = time.perf_counter()
            self._rest()  # the training comes first
            job.finished.connect(self._wait)

    def _on_result(self, result: Result) -> None:
        if result.preview or result.model is None:  # what grew from the strokes is judged by the eye
            return
        track = self._tracks.get(result.layer)
        if (track is None or not track.update(result)) and result.plan is not None:
            track = self._tracks.setdefault(result.layer, Track())
            merge = self._session.live and not track.judged and track.taken
            track.begin(result, time.perf_counter() - self._began_s, merge=merge)
            self._wait()
        self.changed.emit()

    def _on_image(self) -> None:
        self._rest()
        self._wait()
        self.changed.emit()

    def _on_layers(self) -> None:
        for image in [image for image in self._tracks if not self._session.book.contains(image)]:
            del self._tracks[image]

    def _rest(self) -> None:
        self._soon.stop()
        if self._job is not None:
            self._job.cancel()

    def _wait(self) -> None:
        if not self.track.judged and not self.judging:
            self._soon.start(REST_MS if self._session.live else SOON_MS)

    def _judge(self) -> None:
        track, session = self.track, self._session
        if track.judged or track.new is None:
            return
        running = session.runner.current
        if session.showing or (running is not None and running.title in (TRAINING, LIVE)):
            self._wait()
            return
        known = track.rounds[track.old_round].judgement if track.old is not None else None
        new = track.new
        self.judging = True
        work = _judging(track.old, known, new, session.cache)
        self._job = session.aside(work, JUDGING, lambda found: self._on_judged(track, new, found))
        self._job.finished.connect(self._on_finished)
        self.changed.emit()

    def _on_finished(self) -> None:
        self.judging = False
        self.changed.emit()

    def _on_judged(self, track: Track, new: Result, found: _Found) -> None:
        if track.new is None or track.new.model is not new.model:
            return
        verdict = None
        if found.old is not None:
            track.rounds[track.old_round] = replace(track.rounds[track.old_round], judgement=found.old)
            verdict = compare(found.old, found.new)
        track.rounds[-1] = replace(
            track.rounds[-1],
            judgement=found.new,
            verdict=verdict,
            change=found.change,
            new_strokes=found.new_strokes,
        )
        worse = verdict is not None and not verdict.keep
        if worse and self.keep_if_better and track is self.track and track.taken and not _picked(new):
            self.revert()
            self._session.said.emit(
                f"Round {track.rounds[-1].number} looks worse, so the result before is kept.", False
            )


def _picked(result: Result) -> bool:
    """Whether the model was taken by hand from the table of a search; then it is not for us to decide."""
    found = None if result.model is None else result.model.card.found
    return found is not None and not found.n_tried and result.plan is not None and result.plan.anew


@dataclass(frozen=True)
class _Found:
    old: Judgement | None
    new: Judgement
    change: float | None
    new_strokes: bool


def _judging(old: Result | None, known: Judgement | None, new: Result, cache: FeatureCache) -> Work[_Found]:
    """Judge a result, and the one before where it has not been; compare their masks and strokes."""
    judged = yield from _judged(new, cache)
    if old is None:
        return _Found(None, judged, None, True)
    if known is None:
        known = yield from _judged(old, cache)
    masks, labels = (old.segmentation.mask, new.segmentation.mask), (old.sample.labels, new.sample.labels)
    alike = masks[0].shape == masks[1].shape and not (old.large or new.large)  # masks that can be held and compared
    same = labels[0] is not None and labels[1] is not None and np.array_equal(labels[0], labels[1])
    return _Found(known, judged, mask_change(*masks) if alike else None, not same)


def _judged(result: Result, cache: FeatureCache) -> Work[Judgement]:
    assert result.model is not None
    at = result.segmentation.threshold
    return (yield from judge((result.sample, *result.others), result.model, threshold=at, cache=cache))
