"""Labels of one moment: modest ones copied at once, many by the job, lazy ones read by the job."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari")

import dask.array as da

from napari_pu_segment.core.objects import ObjectSettings
from napari_pu_segment.core.progress import Ticker, run
from napari_pu_segment.gui.results import measuring
from napari_pu_segment.gui.viewer import still
from napari_pu_segment.gui.viewer.sparse import SparseLabels
from napari_pu_segment.gui.viewer.still import Still


@pytest.fixture
def piecewise(monkeypatch):
    """Every array counts as large, and is copied row by row with a report after each."""
    monkeypatch.setattr(still, "AT_ONCE_BYTES", 0)
    monkeypatch.setattr(still, "_PIECE_BYTES", 1)
    monkeypatch.setattr(Ticker, "due", lambda self: True)


@pytest.mark.parametrize("data", [np.zeros((1, 20, 30), np.int32), SparseLabels((1, 20, 30))])
def test_later_painting_changes_nothing(make_viewer, data):
    layer = make_viewer().add_labels(data)
    seen = Still(layer)
    layer.paint((0, 10, 10), 5)
    assert layer.data[0, 10, 10] == 5
    assert seen.shape == (20, 30)
    assert not run(seen.whole()).any()


def test_a_large_layer_is_copied_by_the_job_in_the_state_of_one_moment(make_viewer, piecewise):
    layer = make_viewer().add_labels(np.zeros((20, 30), np.uint8))
    seen = Still(layer)
    layer.data[0, 0] = 7
    layer.refresh()
    work = seen.hold()
    for _ in range(10):
        next(work)
    layer.brush_size = 15
    layer.paint((10, 10), 5)
    before = layer.data.copy()
    assert before[5:16, 10].all(), "above what was copied and below"
    run(work)
    layer.paint((10, 25), 3)
    assert layer.data[10, 25] == 3
    found = run(seen.whole())
    assert np.array_equal(found, before)
    assert found[0, 0] == 7
    assert not layer.events.labels_update.callbacks or seen._on_change not in layer.events.labels_update.callbacks


def test_cancelling_leaves_the_layer_alone(make_viewer, piecewise):
    layer = make_viewer().add_labels(np.ones((20, 30), np.uint8))
    work = Still(layer).whole()
    next(work)
    work.close()
    layer.paint((10, 10), 5)
    assert layer.data.max() == 5


def test_lazy_labels_are_read_by_the_job(make_viewer):
    read = []

    def block(block_info=None):
        read.append(block_info[None]["chunk-location"][:2])
        labels = np.zeros(block_info[None]["chunk-shape"], np.uint8)
        labels[..., 2:5, 2:5] = 1
        return labels

    lazy = da.map_blocks(block, chunks=((1,) * 3, (1,), (20,), (30,)), dtype=np.uint8, meta=np.zeros((0,) * 4, "u1"))
    layer = make_viewer().add_labels(lazy)
    del read[:]
    work = measuring.of_layer(layer, None, ObjectSettings())
    assert read == []
    found = run(work)
    assert {place[0] for place in read} == {0, 1, 2}
    assert np.array_equal(found.mask, lazy[:, 0].compute()), "a single label is taken for a mask"
