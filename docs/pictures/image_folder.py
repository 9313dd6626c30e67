"""Pictures of a folder of generated images: its gallery, and how it is annotated from image to image."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QScrollArea
from scipy import ndimage
from window import PLUGIN, Window

from benchmarks.curation_tiles import flipped, generated_tiles, write_tile
from napari_pu_segment.gui.curation.curate_widget import CurateWidget
from napari_pu_segment.image_set import ALL
from napari_pu_segment.io import read_image


def image_folder(out: Path, width: int) -> None:
    """Look through a folder, and annotate three of its images."""
    window = Window(out, "coins", "dark", width)
    _, dock = window.viewer.window.add_plugin_dock_widget(PLUGIN, "Know your images")
    assert isinstance(dock, CurateWidget)
    window.viewer.layers.clear()
    window.widget.parent().hide()
    window.spin(1)
    dock.window().resizeDocks([dock.parent()], [width], Qt.Orientation.Horizontal)
    panel = dock.panel
    with tempfile.TemporaryDirectory() as name:
        _write(Path(name))
        panel.form.folder_row.set_value(Path(name))
        _look_through(window, dock)
        panel.show_combo.setCurrentIndex(panel.show_combo.findData(ALL))
        panel.view.select(panel.report.curation.near[0][0])
        while not all(panel.gallery.has_picture(panel.gallery.entry(row).number) for row in range(12)):
            window.spin(0.5)
        window.take("gallery", dock)
        panel.form.pattern_edit.setText("made_cells_*")
        _look_through(window, dock)
        _annotate(window, dock)
    window.close()


def _write(folder: Path) -> None:
    """Images of all kinds, some of them copies or blurred."""
    rng = np.random.default_rng(0)
    for i, tile in enumerate(generated_tiles(240, 0)):
        write_tile(folder, tile.name, tile.image)
        if i % 60 == 0:
            write_tile(folder, f"{tile.name}_flipped", flipped(tile.image, rng))
        if i % 80 == 0:
            blurred = ndimage.gaussian_filter(tile.image.astype(float), (0, 3, 3)).astype(np.uint8)
            write_tile(folder, f"{tile.name}_blurred", blurred)


def _look_through(window: Window, dock: CurateWidget) -> None:
    dock.panel.start_button.click()
    while dock.panel.running:
        window.spin(0.2)


def _annotate(window: Window, dock: CurateWidget) -> None:
    """Three images, and the next one with its place."""
    campaign, box, report = dock.campaign, dock.annotate_box, dock.panel.report
    assert report is not None
    for number in range(4):
        image = campaign.coming()
        assert image is not None
        box.next_button.click()
        while campaign.busy or image not in campaign.opened():
            window.spin(0.2)
        window.settle()
        if number < 3:
            _paint(window, np.asarray(read_image(report.scan.path(report.names[image])).image[0], float))
            box.learn_button.click()
            while campaign.learning or campaign.busy:
                window.spin(0.2)
    column = dock.findChild(QScrollArea)
    assert column is not None
    column.ensureWidgetVisible(box)
    window.take("campaign")


def _paint(window: Window, image: np.ndarray) -> None:
    """Short strokes where it is brightest, and where it is darkest."""
    for role, sign in (("positive", 1), ("negative", -1)):
        light = sign * ndimage.gaussian_filter(image, 3)[8:-8, 8:-8]
        for _ in range(3):
            row, column = np.unravel_index(int(light.argmax()), light.shape)
            window.stroke(role, [(row + 8, column + 5), (row + 8, column + 11)])
            light[max(0, row - 20) : row + 20, max(0, column - 20) : column + 20] = light.min()
