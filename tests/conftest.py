"""Fixtures of the GUI tests. They run on a screen with OpenGL, real or Xvfb."""

from __future__ import annotations

import gc
import os

import numpy as np
import pytest

from tests.patience import PatientBot

os.environ["NAPARI_CONFIG"] = ""  # neither read nor write the settings of whoever runs the tests
os.environ["NAPARI_PU_SEGMENT_AUTOSAVE"] = "off"  # nor their saved strokes


@pytest.fixture
def qtbot(qapp, request) -> PatientBot:
    """That of pytest-qt, with more patience."""
    return PatientBot(request)


@pytest.fixture(scope="session")
def painted_screen(qapp):
    """Assert once that the canvas really draws: without OpenGL it would be black, and tests would prove nothing."""
    import napari

    import napari_pu_segment.gui.main_widget  # noqa: F401

    viewer = napari.Viewer()
    layer = viewer.add_image(np.ones((64, 64)), contrast_limits=(0, 1))
    qapp.processEvents()
    shots = [viewer.screenshot(canvas_only=True, flash=False)]
    layer.visible = False
    shots.append(viewer.screenshot(canvas_only=True, flash=False))
    viewer.close()
    shown, hidden = (int(shot[shot.shape[0] // 2, shot.shape[1] // 2, :3].min()) for shot in shots)
    assert shown == 255, "a white test image shows black: this screen has no OpenGL"
    assert hidden < 255, "the canvas is white by itself, so that nothing was tested"
    gc.collect()
    gc.freeze()  # what is there now stays; to look through it after every test would take half of the time of all


@pytest.fixture
def make_viewer(painted_screen, qapp):
    """Makes napari viewers, and closes them and all that hangs on them afterwards."""
    import napari

    viewers = []

    def make(**kwargs):
        viewers.append(napari.Viewer(show=kwargs.pop("show", False), **kwargs))
        return viewers[-1]

    yield make
    for viewer in viewers:
        viewer.close()
    viewers.clear()
    qapp.processEvents()
    gc.collect()
