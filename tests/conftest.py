"""Fixtures of the GUI tests. They run on a screen with OpenGL, real or Xvfb."""

from __future__ import annotations

import gc

import numpy as np
import pytest


@pytest.fixture(scope="session")
def painted_screen(qapp):
    """Assert once that the canvas really draws: without OpenGL it would be black, and tests would prove nothing."""
    import napari

    viewer = napari.Viewer(show=False)
    viewer.add_image(np.ones((64, 64)), contrast_limits=(0, 1))
    shot = viewer.screenshot(canvas_only=True, flash=False)
    viewer.close()
    assert shot[..., :3].max() == 255, "a white test image shows black: this screen has no OpenGL"


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
