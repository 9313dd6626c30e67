"""Take all pictures of the documentation that show the window, from the real window.

Needs a screen with OpenGL of at least 1280 x 1024, such as Xvfb; `make docs-pictures` brings one.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("NAPARI_CONFIG", "")  # napari as it comes, not as its user set it
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from image_folder import image_folder
from scipy import ndimage
from skimage.data import coins, immunohistochemistry
from skimage.filters import threshold_otsu
from window import Window

from napari_pu_segment.core.methods.seeded import WatershedSettings
from napari_pu_segment.core.objects import ObjectSettings
from napari_pu_segment.synthetic import aurora_frame
from tests.mouse import paths

IMAGES = Path(__file__).resolve().parents[1] / "images"
# Rows and columns on the sample of stained glands.
GLANDS = [
    *([(150, 95), (175, 120)], [(60, 390), (90, 420)], [(400, 300), (420, 330)]),
    *([(300, 75), (330, 95)], [(450, 120), (470, 130)]),
]
SEAMS = [  # between glands that touch
    [(136, 0), (155, 14), (178, 34), (200, 55), (216, 72), (236, 96)],
    [(0, 236), (35, 250), (70, 262), (110, 270), (145, 274), (175, 278)],
]
# On the aurora's frame: the halo of the moon, and cloud in its light, that the first strokes do not tell of.
NOT_AURORA = [[(222, 208), (236, 224), (256, 224)], [(210, 135), (240, 140)], [(274, 108), (300, 132)]]
# On the coins: some of them, and the table where it is bright, dark, and scratched.
COINS = [[(55, 40), (52, 50)], [(120, 270), (128, 280)], [(262, 170), (256, 180)], [(190, 340), (184, 352)]]
TABLE = [[(14, 20), (10, 60)], [(12, 110), (8, 150)], [(82, 60), (84, 120)], [(150, 215), (156, 240)]]
# The middles of all coins, strokes on what is between the rows, and a careless stroke that joins two coins.
ALL_COINS = [
    *[(51, 45), (56, 100), (51, 155), (51, 215), (52, 276), (44, 335), (124, 45), (126, 102), (127, 153), (124, 205)],
    *[(119, 271), (124, 336), (197, 44), (196, 102), (198, 154), (193, 212), (193, 273), (187, 347), (260, 46)],
    *[(266, 114), (261, 172), (263, 244), (263, 301), (268, 358)],
]
BETWEEN = [[(row, 15), (row, 190), (row, 370)] for row in (10, 88, 151, 228, 295)]
# On the stained glands: nuclei of the tissue between the glands, and what is neither.
NUCLEI = [
    *([(345, 188), (368, 192)], [(308, 436), (334, 430)], [(337, 501), (362, 489)], [(268, 293), (280, 298)]),
    *([(228, 485), (250, 479)], [(346, 418), (366, 416)], [(418, 212), (434, 222)], [(272, 240), (288, 231)]),
]
NEITHER = [
    *([(310, 10), (345, 28)], [(75, 318), (110, 331)], [(290, 160), (318, 172)], [(402, 440), (432, 446)]),
    *([(455, 395), (485, 390)], [(470, 180), (500, 188)], [(262, 330), (272, 345)]),
]
JOINED, CUT = [(263, 244), (263, 272), (263, 301)], [(235, 272), (263, 272), (290, 272)]


def glands(out: Path, width: int, saved: Path) -> None:
    """The tutorial: live mode, suggestions, the result, the objects, the model."""
    window = Window(out, "ihc", "dark", width, saved)
    widget = window.widget
    window.take("opened")
    widget.train_panel.add_brushes()
    widget.live_panel.button.click()
    window.stroke("positive", GLANDS[0])
    window.settle()
    window.take("live-first")
    window.stroke("ignore", *SEAMS)
    window.stroke("positive", *GLANDS[1:])
    window.settle()
    window.take("live")
    suggestions(window)
    widget.live_panel.button.click()
    window.viewer.reset_view()
    window.tab("Result")
    window.take("result")
    widget.result_panel.curve_box.fold.expand(animate=False)
    window.settle()
    window.take("curve", widget.result_panel.mask_group)
    widget.result_panel.curve_box.fold.collapse(animate=False)
    widget.result_panel.extras.boxes["uncertainty"].click()
    window.settle()
    window.take("uncertainty")
    widget.result_panel.extras.boxes["uncertainty"].click()
    objects(window)
    window.tab("Model")
    window.take("model", widget)
    window.close()


def suggestions(window: Window) -> None:
    """Answer what the plugin asks: brown is gland, and the nuclei in it too."""
    red, _, blue = np.moveaxis(immunohistochemistry().astype(float), -1, 0)
    brown = ndimage.gaussian_filter(red - blue, 8)
    panel, column = window.widget.suggest_panel, window.widget.tabs.currentWidget()
    panel.go_button.click()
    for number in range(5):
        window.settle()
        if number == 0:
            column.ensureWidgetVisible(panel)
            window.take("suggestion")
        row, col = (round(place) for place in panel.guide.place.centre)
        sure = panel.object_button if brown[row, col] > 55 else panel.background_button
        (panel.skip_button if 25 < brown[row, col] < 55 else sure).click()
    window.settle()
    window.viewer.reset_view()
    window.take("rounds")
    keep_new(window)
    panel.guide.stop()


def keep_new(window: Window) -> None:
    """Take the latest round where it is held back: few strokes judge it badly, and the eye can see more."""
    if window.widget.rounds_panel.keep_button.isEnabled():
        window.widget.rounds_panel.keep_button.click()
        window.settle()


def objects(window: Window) -> None:
    """Find the glands, and go to one."""
    panel = window.widget.objects_panel
    window.tab("Objects")
    panel.form.set_value(ObjectSettings(min_size_px=1000, max_hole_px=2000))
    panel.only_box.setChecked(False)
    panel.find_button.click()
    window.settle()
    panel.table_view.selectRow(2)
    window.viewer.reset_view()
    window.take("objects")


def restore(out: Path, width: int, saved: Path) -> None:
    """The strokes of the window before, offered again."""
    window = Window(out, "ihc", "dark", width, saved)
    window.settle()
    window.take("restore", window.widget)
    window.close()


def aurora(out: Path, theme: str, width: int) -> None:
    """The all-sky tutorial: the rim, the strokes, the result; in the light theme the last picture alone."""
    window, frame = Window(out, "aurora", theme, width), aurora_frame(0)
    widget, dark = window.widget, theme == "dark"
    window.viewer.layers.remove(widget.session.book.member(widget.session.image, "ignore"))
    widget.train_panel.add_brushes()
    widget.train_panel.rim_button.click()
    window.settle()
    if dark:
        window.take("aurora-rim")
    window.stroke("positive", *paths(frame.positive, 12))
    window.stroke("negative", *paths(frame.negative, 12))
    if dark:
        window.take("aurora-strokes")
    widget.train_panel.train_button.click()
    window.settle()
    if dark:
        window.take("aurora-trained")
    window.stroke("negative", *NOT_AURORA)
    widget.train_panel.train_button.click()
    window.settle()
    keep_new(window)
    if dark:
        window.take("aurora-mended")
    window.tab("Result")
    window.take("window" if dark else "window-light")
    if dark:
        widget.result_panel.extras.boxes["band"].click()
        window.settle()
        window.take("aurora-band")
    window.close()


def rough_mask(out: Path, theme: str, width: int) -> None:
    """Learning from a rough mask: a threshold takes the bright part of the table for coins."""
    window, image = Window(out, "coins", theme, width), coins()
    panel, suggestions = window.widget.train_panel, window.widget.suggest_panel
    layer = window.viewer.add_labels((image > threshold_otsu(image)).astype(np.uint8), name="threshold", opacity=0.3)
    panel.method_combo.setCurrentIndex(panel.method_combo.findData("reweight"))
    panel.rough_box.combo.setCurrentIndex(1)
    window.stroke("positive", *COINS)
    window.stroke("negative", *TABLE)
    window.take("rough-mask")
    panel.train_button.click()
    window.settle()
    layer.visible = False
    panel.rough_box.suspect_box.click()
    suggestions.kind_combo.setCurrentIndex(suggestions.kind_combo.findData("suspect"))
    window.settle()
    window.take("suspect")
    suggestions.go_button.click()
    window.settle()
    suggestions.background_button.click()
    window.take("suspect-place", suggestions)
    window.close()


def grown(out: Path, width: int) -> None:
    """A method that trains nothing, and an object that is cut by a stroke."""
    window = Window(out, "coins", "dark", width)
    panel, edits = window.widget.train_panel, window.widget.objects_panel.edit_box
    panel.method_combo.setCurrentIndex(panel.method_combo.findData("watershed"))
    panel.form.set_value(WatershedSettings(smooth_px=2))
    panel.add_brushes()
    window.stroke("positive", *([(row, column - 7), (row, column + 7)] for row, column in ALL_COINS), JOINED)
    window.stroke("negative", *BETWEEN)
    panel.train_button.click()
    window.settle()
    window.take("grown")
    window.tab("Objects")
    window.widget.objects_panel.find_button.click()
    window.settle()
    edits.buttons["split"].click()
    window.draw(CUT)
    window.settle()
    window.take("split")
    window.close()


def stains(out: Path, width: int) -> None:
    """Proposals of nuclei, without a stroke."""
    window = Window(out, "ihc", "dark", width)
    panel = window.widget.train_panel
    panel.method_combo.setCurrentIndex(panel.method_combo.findData("nuclei"))
    panel.train_button.click()
    window.settle()
    window.take("stains")
    window.close()


def classes(out: Path, width: int) -> None:
    """Two classes of objects: glands, and the nuclei around them."""
    window = Window(out, "ihc", "dark", width)
    panel, book = window.widget.train_panel, window.widget.session.book.classes
    panel.add_brushes()
    panel.classes_box.add_button.click()
    for one, name in zip(book.all(), ("gland", "nucleus"), strict=True):
        book.rename(one.role, name)
    window.stroke("positive", *GLANDS)
    window.stroke("class 2", *NUCLEI)
    window.stroke("negative", *NEITHER)
    window.take("classes-painted")
    panel.train_button.click()
    window.settle()
    window.tab("Result")
    window.widget.result_panel.class_combo.setCurrentIndex(1)
    window.settle()
    window.take("classes")
    window.tab("Objects")
    window.widget.objects_panel.form.set_value(ObjectSettings(min_size_px=40))
    window.widget.objects_panel.find_button.click()
    window.settle()
    window.take("classes-objects", window.widget)
    window.close()


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=IMAGES)
    parser.add_argument(
        "--only",
        choices=["glands", "aurora", "rough", "grown", "folder", "classes", "stains"],
        help="take the pictures of one tutorial",
    )
    parser.add_argument("--width", type=int, default=350, help="of the widget, px")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.only in (None, "rough"):
        rough_mask(options.out, "dark", options.width)
    if options.only in (None, "glands"):
        saved = Path(tempfile.mkdtemp())
        glands(options.out, options.width, saved)
        restore(options.out, options.width, saved)
    if options.only in (None, "grown"):
        grown(options.out, options.width)
    if options.only in (None, "folder"):
        image_folder(options.out, options.width)
    if options.only in (None, "stains"):
        stains(options.out, options.width)
    if options.only in (None, "classes"):
        classes(options.out, options.width)
    if options.only in (None, "aurora"):
        for theme in ("dark", "light"):
            aurora(options.out, theme, options.width)


if __name__ == "__main__":
    main()
