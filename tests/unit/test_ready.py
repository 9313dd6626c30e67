"""Libraries that are imported ahead, without Python's search for garbage in between."""

from __future__ import annotations

import gc
import sys

import pytest

pytest.importorskip("qtpy")

from napari_pu_segment.core.progress import run
from napari_pu_segment.gui.curation.ready import importing

MODULE = "wsgiref.validate"  # that nothing else here imports


@pytest.fixture
def fresh(monkeypatch):
    monkeypatch.delitem(sys.modules, MODULE, raising=False)


def test_modules_are_imported_while_no_garbage_is_looked_for(fresh):
    seen = []
    assert MODULE not in sys.modules
    assert gc.isenabled()
    run(importing([MODULE, MODULE]), lambda _: seen.append((MODULE in sys.modules, gc.isenabled())))
    assert seen == [(False, False), (True, False)]
    assert gc.isenabled()


def test_it_is_looked_for_again_after_a_cancel_and_not_against_the_will_of_others(fresh):
    work = importing([MODULE])
    next(work)
    assert not gc.isenabled()
    work.close()
    assert gc.isenabled()
    assert MODULE not in sys.modules
    gc.disable()
    try:
        run(importing([MODULE]))
        assert not gc.isenabled()
    finally:
        gc.enable()
