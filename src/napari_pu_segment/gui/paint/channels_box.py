"""Choose the channels of an image."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QLabel, QSizePolicy, QWidget
from superqt.utils import signals_blocked

from napari_pu_segment.core.errors import InputError

from ..parts.ticks import Ticks
from ..session import Session


class ChannelsBox(Ticks):
    """Whether the first axis holds channels, and which further layers are channels; hidden where there is no choice.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__("Channels", parent)
        self._session = session
        self.axis_box = QCheckBox("First axis holds channels")
        self.axis_box.setToolTip(
            "Tick this where the first axis of the array counts channels, such as stains; else it counts planes."
        )
        self.names_label = QLabel()
        self.names_label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # widens no dock
        self.add_row(self.axis_box)
        self.add_row(self.names_label)
        self.axis_box.clicked.connect(self._choose_axis)
        self.clicked.connect(self._choose_layers)
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
        self.show_layers(fitting, channels.layers, "Use the layer {} as a further channel")
        n, own = len(channels.names), channels.names[: len(channels.names) - len(channels.layers)]
        order = f"Used in this order: {', '.join(channels.names)}"
        self.fold.setText(f"Channels: {n}" if n else "Channels")
        self.fold.setToolTip(order if n else "What the model sees of each pixel")
        self.names_label.setText(", ".join(own))
        self.names_label.setToolTip(order)
        self.names_label.setVisible(len(own) > 1)
        self.setVisible(bool(fitting) or may_have_axis or n > 1)

    def _choose_axis(self, on: bool) -> None:
        image = self._session.image
        if image is not None:
            self._session.book.set_channel_axis(image, 0 if on else None)

    def _choose_layers(self) -> None:
        image = self._session.image
        try:
            if image is not None:
                self._session.book.set_channels(image, self.ticked())
        except InputError as error:  # the layer changed its shape meanwhile
            self._session.said.emit(str(error), True)
            self.refresh()
