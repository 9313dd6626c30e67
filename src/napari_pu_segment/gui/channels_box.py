"""Choose the channels of an image."""

from __future__ import annotations

from napari.layers import Image
from qtpy.QtWidgets import QCheckBox, QLabel, QSizePolicy, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_pu_segment.core.errors import InputError

from .session import Session
from .settings_form import fold

MAX_LETTERS = 30  # of a name, in a narrow dock


class ChannelsBox(QWidget):
    """Whether the first axis holds channels, and which further layers are channels; hidden where there is no choice.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.axis_box = QCheckBox("First axis holds channels")
        self.axis_box.setToolTip(
            "Tick this where the first axis of the array counts channels, such as stains; else it counts planes."
        )
        self.names_label = QLabel()
        self.names_label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # widens no dock
        self.layer_boxes: list[tuple[QCheckBox, Image]] = []
        inner = QWidget()
        self._rows = QVBoxLayout(inner)
        self._rows.setContentsMargins(8, 0, 0, 0)
        self._rows.setSpacing(2)
        self._rows.addWidget(self.axis_box)
        self._rows.addWidget(self.names_label)
        self.fold = fold("Channels", inner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.fold)
        self.axis_box.clicked.connect(self._choose_axis)
        session.image_changed.connect(self.refresh)
        session.book.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what the session's image consists of."""
        image, book = self._session.image, self._session.book
        if image is None or not book.contains(image):
            self.hide()
            return
        images = book.images()
        fitting = [layer for layer in images if layer is not image and book.channels.fits(image, layer)]
        fitting.sort(key=lambda layer: layer.name.casefold())  # so that the order does not depend on that of the clicks
        channels = book.channels.of(image, images)
        may_have_axis = image.ndim > 2 and not image.rgb
        with signals_blocked(self.axis_box):
            self.axis_box.setChecked(channels.axis is not None)
        self.axis_box.setVisible(may_have_axis)
        self._show_layers(fitting, channels.layers)
        n, own = len(channels.names), channels.names[: len(channels.names) - len(channels.layers)]
        order = f"Used in this order: {', '.join(channels.names)}"
        self.fold.setText(f"Channels: {n}" if n else "Channels")
        self.fold.setToolTip(order if n else "What the model sees of each pixel")
        self.names_label.setText(", ".join(own))
        self.names_label.setToolTip(order)
        self.names_label.setVisible(len(own) > 1)
        self.setVisible(bool(fitting) or may_have_axis or n > 1)
        if self.fold.isExpanded():
            self.fold.expand(animate=False)  # takes the height of what is in it now

    def _show_layers(self, fitting: list[Image], ticked: tuple[Image, ...]) -> None:
        if [layer for _, layer in self.layer_boxes] != fitting:
            for box, _ in self.layer_boxes:
                self._rows.removeWidget(box)
                box.deleteLater()
            self.layer_boxes = [(self._new_box(), layer) for layer in fitting]
        for box, layer in self.layer_boxes:
            box.setText(short(layer.name).replace("&", "&&"))  # a single & would mark a key
            box.setToolTip(f"Use the layer {layer.name!r} as a further channel")
            box.setChecked(any(layer is one for one in ticked))

    def _new_box(self) -> QCheckBox:
        box = QCheckBox()
        box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        box.clicked.connect(self._choose_layers)
        self._rows.addWidget(box)
        box.show()  # now, so that the height is right
        return box

    def _choose_axis(self, on: bool) -> None:
        image = self._session.image
        if image is not None:
            self._session.book.set_channel_axis(image, 0 if on else None)

    def _choose_layers(self) -> None:
        image = self._session.image
        try:
            if image is not None:
                ticked = [layer for box, layer in self.layer_boxes if box.isChecked()]
                self._session.book.set_channels(image, ticked)
        except InputError as error:  # the layer changed its shape meanwhile
            self._session.said.emit(str(error), True)
            self.refresh()


def short(name: str) -> str:
    """A name that fits into a narrow dock."""
    return name if len(name) <= MAX_LETTERS else f"{name[: MAX_LETTERS // 2 - 1]}…{name[-MAX_LETTERS // 2 :]}"
