"""The way from one suggested place to the next: which are still to come, what was answered, where the user is now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from napari.layers import Image, Labels
from psygnal import Signal

from napari_pu_segment.core.classes import of_class
from napari_pu_segment.core.errors import PuSegmentError
from napari_pu_segment.core.progress import Work
from napari_pu_segment.core.suggest import Suggestion, SuggestSettings, suggest

from ..results.one_class import likeliest, merged, of_any
from ..session import Result, Session
from ..viewer.brushes import painted_at
from ..viewer.classes import FIRST, ClassBook, ObjectClass
from ..viewer.marker import Marker
from .scope import Scope

TITLE = "Looking for places"
SUSPECT = "suspect"  # the row of `core.suggest.ACQUISITIONS` that asks about the rough mask
_VIEW_RADII = 8  # so many radii of the brush shall be large enough on screen to be judged


@dataclass(frozen=True)
class Step:
    """A place that has been dealt with: `role` of the brush layer that got a dab there, "" where it was skipped."""

    place: Suggestion
    role: str

    @property
    def settled(self) -> bool:
        """Whether nobody shall be asked there again, whatever the next result: skipped, or the rough mask is right."""
        return not self.role or (self.role != "negative") == self.place.rough


class Guide:
    """Leads from place to place in the image of the present result.

    Places are looked for in the background when the first one is asked for, again when a new result is there, and when
    none are left. Use it on the main thread only.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    changed : Signal()
        Something that a panel shows is different now.
    place : Suggestion or None
        Where the user is asked now.
    looking : bool
        Whether places are being looked for.
    done : list of Step
        What can be taken back, oldest first.
    acquisition : str
        Which places to look for, a row of `core.suggest.ACQUISITIONS`; see `choose`.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._marker = Marker(session.book)
        self._result: Result | None = None  # the last whole one, from which the places come
        self._previous: np.ndarray | None = None  # the probability of the one before
        self._to_come: list[Suggestion] = []
        self._dealt_with: list[Step] = []  # so that nobody is asked there again
        self._stamping = False
        self.place: Suggestion | None = None
        self.looking = False
        self.done: list[Step] = []
        self.acquisition = SuggestSettings().acquisition
        session.result_changed.connect(self._on_result)
        session.image_changed.connect(self.start)
        session.book.painted.connect(self._on_painted)
        session.rough.edited.connect(self._on_mended)
        session.book.changed.connect(self._on_layers)

    def start(self) -> None:
        """Begin anew, with the result that the session has of its image."""
        self.stop()
        result = self._session.result
        if result is not None and result.layer is self._session.image:
            self._on_result(result)

    @property
    def classes(self) -> ClassBook:
        """The classes of objects."""
        return self._session.book.classes

    @property
    def likeliest(self) -> ObjectClass:
        """The class of objects that is the most probable at the place, as far as it is still there; else the active."""
        classes, result = self._session.book.classes, self._result
        found = None
        if result is not None and self.place is not None:
            found = classes.called(likeliest(result, self.place.centre))
        return found or classes.of(classes.active) or classes.all()[0]

    @property
    def ready(self) -> bool:
        """Whether there is a result to suggest places in."""
        return self._result is not None

    def choose(self, acquisition: str) -> None:
        """Look for another kind of places from now on."""
        self.acquisition, self._to_come = acquisition, []
        if self.place is not None:
            self.place = None
            self._look()

    def take_there(self) -> None:
        """Go to the place that is asked about, or else to the next; look for places where there are none to come."""
        if self.place is not None:
            self._go(self.place)
        elif self._to_come:
            self._go(self._to_come.pop(0))
        else:
            self._look()

    def answer(self, role: str) -> None:
        """Paint a dab at the place that is asked about, and go on to the next.

        Parameters
        ----------
        role : {"positive", "negative", ""}
            Positive is an object, of the class that is the likeliest there: see `likeliest`. "" paints nothing; that
            place is not asked about again.
        """
        place, image = self.place, self._image
        if place is None or image is None:
            return
        try:
            if role == FIRST:
                role = self.likeliest.role
            if role:
                self._stamping = True
                self._session.book.stamp(image, role, place.centre, place.radius_px)
        except PuSegmentError as error:
            self._session.said.emit(str(error), True)
            return
        finally:
            self._stamping = False
        self.done.append(Step(place, role))
        self._dealt_with.append(self.done[-1])
        self.place = None
        self.take_there()

    def back(self) -> None:
        """Take the last answer back, and ask it again."""
        if not self.done or self._image is None:
            return
        step = self.done.pop()
        layer = self._session.book.member(self._image, step.role) if step.role else None
        if isinstance(layer, Labels):
            self._stamping = True
            layer.undo()
            self._stamping = False
        self._dealt_with = [other for other in self._dealt_with if other is not step]
        if self.place is not None:
            self._to_come.insert(0, self.place)
        self._go(step.place)

    def stop(self) -> None:
        """Forget all places, and take the ring away."""
        self._marker.remove()
        self._to_come, self._dealt_with, self.done = [], [], []
        self.place, self.looking = None, False
        self._result = self._previous = None
        self.changed.emit()

    @property
    def _image(self) -> Image | None:
        return None if self._result is None else self._result.layer

    def _on_result(self, result: Result) -> None:
        if result.preview:
            return
        if self._image is not result.layer:
            self.stop()
        old, self._result = self._result, result
        if old is not None and old.segmentation.probability is result.segmentation.probability:
            return  # another threshold, or refined
        alike = old is not None and old.segmentation.mask.shape == result.segmentation.mask.shape
        self._previous = of_any(old).probability if old is not None and alike else None
        self._to_come = []  # they were those of the former result
        self._dealt_with = [step for step in self._dealt_with if step.settled]
        if self.place is not None or self.looking:
            self._look()
        self.changed.emit()

    def _on_painted(self, image: Image) -> None:
        if image is self._image and not self._stamping:
            self.done = []  # the last thing to undo is the user's own stroke now, not our dab
            self._to_come = self._unpainted(self._to_come)
            if self.place is not None and not self._unpainted([self.place]):
                self._forget()  # answered by hand
            self.changed.emit()

    def _on_mended(self, image: Image) -> None:
        """Another rough mask is suspect elsewhere."""
        if image is self._image and self.acquisition == SUSPECT:
            self._to_come = []
            self._forget()
            if self.looking:
                self._look()
            self.changed.emit()

    def _forget(self) -> None:
        self.place = None
        self._marker.remove()

    def _unpainted(self, places: list[Suggestion]) -> list[Suggestion]:
        """Those of the places whose middle is not painted."""
        image, book = self._image, self._session.book
        assert image is not None
        layers = [layer for role in book.classes.brushes if isinstance(layer := book.member(image, role), Labels)]
        factor = book.channels.grid(image).brush_factor
        return [place for place in places if not any(painted_at(layer, place.centre, factor) for layer in layers)]

    def _on_layers(self) -> None:
        if self._image is not None and not self._session.book.contains(self._image):
            self.stop()

    def _look(self) -> None:
        result, book = self._result, self._session.book
        if result is None or not book.contains(result.layer):
            self._session.said.emit("Paint a few strokes and train first; then you can be taken to places.", False)
            return
        try:
            snapshot = self._session.rough.added(book.snapshot(result.layer), result.layer)
        except PuSegmentError as error:
            self._session.said.emit(str(error), True)
            return
        brush = book.member(result.layer, book.classes.active) or book.member(result.layer, FIRST)
        factor = book.channels.grid(result.layer).brush_factor
        brush_px = min(1000.0, factor * float(brush.brush_size)) if isinstance(brush, Labels) else 0.0
        settings = SuggestSettings(acquisition=self.acquisition, brush_px=brush_px)
        seen, previous = of_any(result), self._previous
        suspicious = self.acquisition == SUSPECT
        left_out = [step.place.centre for step in self._dealt_with if suspicious or not step.role]
        left_out += [self.place.centre] if self.place is not None else []

        window = book.window(result.layer) if result.large else None

        def work() -> Work[list[Suggestion]]:
            scope = Scope(snapshot, seen.probability, previous, left_out)
            if result.large:
                scope = scope.narrowed(None if window is None else snapshot.narrowed(window.slices))
            else:
                scope = scope.held()
            places = yield from suggest(
                *(merged(scope.sample()), scope.probability, of_class(seen.threshold, 0), result.model, settings),
                previous=scope.previous,
                rough=scope.rough(),
                skipped=scope.skipped,
            )
            return scope.placed(places)

        self.looking = True
        job = self._session.aside(work(), TITLE, lambda places: self._on_places(result.layer, places))
        job.failed.connect(self._on_failed)
        self.changed.emit()

    def _on_places(self, image: Image, places: list[Suggestion]) -> None:
        if image is not self._image:
            return
        self.looking, self._to_come = False, self._unpainted(places)
        if self.place is None and self._to_come:
            self._go(self._to_come.pop(0))
        elif self.place is None:
            self._marker.remove()
            self._session.said.emit("There is no place of that kind left to go to.", False)
        self.changed.emit()

    def _on_failed(self) -> None:
        self.looking = False
        self.changed.emit()

    def _go(self, place: Suggestion) -> None:
        assert self._image is not None
        self.place = place
        try:
            self._session.book.go_to(self._image, place.centre, _VIEW_RADII * place.radius_px)
            self._marker.show(self._image, place.centre, place.radius_px)
        except PuSegmentError as error:
            self._session.said.emit(str(error), True)
        self.changed.emit()
