"""A gallery of thousands of images: small pictures that are made in the background when they come into sight."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QAbstractListModel, QModelIndex, QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor, QImage, QPainter, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QListView

from napari_pu_segment.batch.pictures import picture
from napari_pu_segment.core.errors import PuSegmentError
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.io import read_image

from ..jobs import Job, JobRunner

TITLE = "Pictures"
SIDE_PX = 76
_KEPT = 3000  # pixmaps: 70 MB at most
_WAITING = 150  # more than can be in sight; who scrolls past an image does not wait for its picture
NOWHERE = QModelIndex()


@dataclass(frozen=True)
class Entry:
    """An image of the gallery.

    Parameters
    ----------
    number : int
        Of the image; different for each.
    path : Path
    title : str
        Below its picture.
    """

    number: int
    path: Path
    title: str


class Gallery(QAbstractListModel):
    """The images that are shown, in their order.

    Parameters
    ----------
    runner : JobRunner
        Makes the pictures, beside its other jobs.
    words : callable
        Gives the tool tip of the image with a number.
    """

    def __init__(self, runner: JobRunner, words: Callable[[int], str]) -> None:
        super().__init__()
        self._runner, self._words = runner, words
        self._entries: list[Entry] = []
        self._rows: dict[int, int] = {}
        self._pixmaps: OrderedDict[int, QPixmap] = OrderedDict()
        self._waiting: deque[Entry] = deque(maxlen=_WAITING)
        self._job: Job | None = None

    def set_entries(self, entries: Sequence[Entry], *, anew: bool = False) -> None:
        """Show these; `anew` forgets the pictures of others, of which some may have the same numbers."""
        if anew:
            self.stop()
            self._pixmaps.clear()
        self.beginResetModel()
        self._entries = list(entries)
        self._rows = {entry.number: row for row, entry in enumerate(self._entries)}
        self.endResetModel()

    def entry(self, row: int) -> Entry:
        """The image of a row."""
        return self._entries[row]

    def row_of(self, number: int) -> int | None:
        """The row of an image, if it is shown."""
        return self._rows.get(number)

    def has_picture(self, number: int) -> bool:
        """Whether the picture of an image is there."""
        return number in self._pixmaps

    def stop(self) -> None:
        """Make no more pictures for now."""
        self._waiting.clear()
        if self._job is not None:
            self._job.cancel()

    def rowCount(self, parent: QModelIndex = NOWHERE) -> int:
        """Number of images shown."""
        return 0 if parent.isValid() else len(self._entries)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """A picture, made when it is first asked for; a title; words."""
        if not index.isValid():
            return None
        entry = self._entries[index.row()]
        if role == Qt.ItemDataRole.DecorationRole:
            return self._picture(entry)
        if role == Qt.ItemDataRole.DisplayRole:
            return entry.title
        return self._words(entry.number) if role == Qt.ItemDataRole.ToolTipRole else None

    def _picture(self, entry: Entry) -> QPixmap:
        if entry.number in self._pixmaps:
            self._pixmaps.move_to_end(entry.number)
            return self._pixmaps[entry.number]
        if entry not in tuple(self._waiting):  # a copy: the job takes from it while entries are compared
            self._waiting.append(entry)
        if self._job is None or not self._job.running:
            self._job = self._runner.start(making(self._waiting), TITLE, self._connect, "beside")
        return _blank()

    def _connect(self, job: Job) -> None:
        job.progress.connect(self._on_made)
        job.finished.connect(self._on_end)

    def _on_made(self, progress: Progress) -> None:
        if progress.preview is None:
            return
        made: Any = progress.preview
        entry, rgb = made
        self._pixmaps[entry.number] = pixmap_of(rgb)
        while len(self._pixmaps) > _KEPT:
            self._pixmaps.popitem(last=False)
        row = self._rows.get(entry.number)
        if row is not None:
            place = self.index(row, 0)
            self.dataChanged.emit(place, place, [Qt.ItemDataRole.DecorationRole])

    def _on_end(self) -> None:
        if self._waiting:  # something came into sight while the job was ending
            self._job = self._runner.start(making(self._waiting), TITLE, self._connect, "beside")


def making(waiting: deque[Entry]) -> Work[None]:
    """Pictures of all that waits, the latest first; each is the preview of a report: the entry and (y, x, 3) uint8."""
    while waiting:
        entry = waiting.pop()
        try:
            rgb = yield from _silent(entry)
        except PuSegmentError:  # gone or changed since
            rgb = np.full((SIDE_PX, SIDE_PX, 3), 128, np.uint8)
        yield Progress(0, 0, "Making pictures", preview=(entry, rgb))


def _silent(entry: Entry) -> Work[np.ndarray]:
    return (yield from picture(read_image(entry.path).image, side_px=SIDE_PX))


def pixmap_of(rgb: np.ndarray) -> QPixmap:
    """A picture (y, x, 3) uint8 in the middle of a square, so that all titles stand in line."""
    height, width = rgb.shape[:2]
    image = QImage(np.ascontiguousarray(rgb).tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    square = _blank()
    painter = QPainter(square)
    painter.drawImage((SIDE_PX - width) // 2, (SIDE_PX - height) // 2, image)
    painter.end()
    return square


def _blank() -> QPixmap:
    square = QPixmap(SIDE_PX, SIDE_PX)
    square.fill(QColor(128, 128, 128, 40))
    return square


class GalleryView(QListView):
    """Pictures in rows, as many as there is room for.

    Attributes
    ----------
    chosen : Signal(int)
        The user double-clicked the image with this number, or pressed Enter on it.
    current_changed : Signal()
        Another image is selected, or none.
    """

    chosen = Signal(int)
    current_changed = Signal()

    def __init__(self, gallery: Gallery) -> None:
        super().__init__()
        self.gallery = gallery
        self.setModel(gallery)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setMovement(QListView.Movement.Static)
        self.setUniformItemSizes(True)
        self.setIconSize(QSize(SIDE_PX, SIDE_PX))
        self.setGridSize(QSize(SIDE_PX + 8, SIDE_PX + self.fontMetrics().height() + 8))
        self.setTextElideMode(Qt.TextElideMode.ElideLeft)  # names of one series begin alike
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setMinimumHeight(2 * (SIDE_PX + 24))
        self.setAccessibleName("Gallery")
        self.activated.connect(self.open_current)
        selection = self.selectionModel()
        assert selection is not None
        selection.currentChanged.connect(self.current_changed)
        gallery.modelReset.connect(self.current_changed)
        bar = self.verticalScrollBar()
        assert bar is not None
        bar.rangeChanged.connect(self._keep_in_sight)  # when the pictures come into other rows

    def _keep_in_sight(self) -> None:
        if self.currentIndex().isValid():
            self.scrollTo(self.currentIndex())

    def open_current(self) -> None:
        """As if the selected image were double-clicked."""
        number = self.number()
        if number is not None:
            self.chosen.emit(number)

    def number(self) -> int | None:
        """The image that is selected."""
        index = self.currentIndex()
        return self.gallery.entry(index.row()).number if index.isValid() else None

    def select(self, number: int) -> None:
        """Select an image, and bring it into sight."""
        row = self.gallery.row_of(number)
        if row is not None:
            self.setCurrentIndex(self.gallery.index(row, 0))

    def sizeHint(self) -> QSize:
        """Three pictures wide, and two high, so that what stands below is in sight; it grows with its dock."""
        return QSize(3 * self.gridSize().width() + 24, self.minimumHeight())
