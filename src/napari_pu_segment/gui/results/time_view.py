"""A series against time, as it is shown: a curve to be chosen, keograms under it, and the present frame in words."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_pu_segment.core.frames.timeaxis import axis_of
from napari_pu_segment.core.frames.timeseries import Series
from napari_pu_segment.core.objects.measure import Table
from napari_pu_segment.figures import colour, keogram_rgb

from ..numbers import number_text
from ..parts.combo import Combo
from ..parts.plot import Curve, KeogramStrip, Plot
from .objects_table import nice_unit


class TimeView(QWidget):
    """Shows a series; one frame of it is the present one.

    Attributes
    ----------
    picked : Signal(int)
        The user chose this frame.
    """

    picked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._series: Series | None = None
        self.what_combo, self.frame_label = Combo(), QLabel()
        self.plot = Plot()
        self.image_strip = KeogramStrip("Keogram of the image", ticks=False)
        self.mask_strip = KeogramStrip("Keogram of the segmentation", ticks=True)
        self.what_combo.setToolTip("What is drawn against time")
        self.plot.setToolTip("Click to go to that frame; the arrow keys go to the next one")
        about = "One line of every frame, side by side. Click to go to that frame."
        self.image_strip.setToolTip(f"Keogram of the image. {about}")
        self.mask_strip.setToolTip(f"Keogram of the segmentation: violet is background, yellow segmented. {about}")
        self.frame_label.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.what_combo, self.plot, self.image_strip, self.mask_strip, self.frame_label):
            layout.addWidget(widget)
        self.what_combo.currentIndexChanged.connect(self._show_curve)
        for strip in self._strips():
            strip.picked.connect(self._on_pick)
        self.set_value(None)

    def value(self) -> Series | None:
        """What is shown."""
        return self._series

    def set_value(self, series: Series | None) -> None:
        """Show this series, or none."""
        self._series = series
        chosen = self.what_combo.currentData()
        with signals_blocked(self.what_combo):
            self.what_combo.clear()
            for name, title in ({} if series is None else titles(series.table)).items():
                self.what_combo.addItem(title, name)
            self.what_combo.setCurrentIndex(max(0, self.what_combo.findData(chosen)))
        keogram = None if series is None else series.keogram
        if series is not None and keogram is not None:
            axis, seen = axis_of(series.table), len(keogram.image) > 0
            self.image_strip.set_value(axis, keogram_rgb(keogram.image) if seen else None)
            self.mask_strip.set_value(axis, colour(keogram.mask))
        self.image_strip.setVisible(keogram is not None and len(keogram.image) > 0)
        self.mask_strip.setVisible(keogram is not None)
        self.what_combo.setVisible(series is not None)
        self.frame_label.setVisible(series is not None)
        self._show_curve()

    def frame(self) -> int:
        """The present frame."""
        return self.plot.frame()

    def set_frame(self, frame: int) -> None:
        """Mark another frame as the present one; `picked` is not emitted."""
        for strip in self._strips():
            strip.set_frame(frame)
        curve = self.plot.value()
        if curve is not None and frame < len(curve.values):
            value = float(curve.values[frame])
            shown = f"{number_text(value)} {curve.unit}".strip() if np.isfinite(value) else "nothing is segmented"
            self.frame_label.setText(f"{curve.axis.text_of(frame)}: {shown}")

    def _strips(self) -> tuple[Plot | KeogramStrip, ...]:
        return self.plot, self.image_strip, self.mask_strip

    def _show_curve(self) -> None:
        if self._series is None:
            self.plot.set_value(None)
            return
        values, unit = curve_of(self._series.table, self.what_combo.currentData())
        self.plot.set_value(Curve(axis_of(self._series.table), values, unit))
        self.set_frame(min(self.frame(), len(values) - 1))

    def _on_pick(self, frame: int) -> None:
        self.set_frame(frame)
        self.picked.emit(frame)


def titles(table: Table) -> dict[str, str]:
    """What of a table can be drawn against time, and what it is called."""
    found = {"area_fraction": "Covered area (%)", "objects": "Number of objects"}
    found |= {name: f"Mean of {name.removeprefix('mean_')}" for name in table.columns if name.startswith("mean_")}
    if "mean_intensity" in found:
        found["mean_intensity"] = "Mean intensity"
    sized = [name for name in table.columns if name.startswith(("area_", "volume_")) and name not in found]
    return found | {name: f"{name.partition('_')[0].capitalize()} ({nice_unit(table.units[name])})" for name in sized}


def curve_of(table: Table, name: str) -> tuple[np.ndarray, str]:
    """The values of a column as they are drawn, and their unit; fractions are percentages."""
    values = table.columns[name].astype(np.float64)
    if name == "area_fraction":
        return 100 * values, "%"
    return values, nice_unit(table.units[name])
