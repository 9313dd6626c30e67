"""A result without a stroke, and strokes made of it."""

from __future__ import annotations

import pytest

pytest.importorskip("napari")

from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.gui.paint.rounds import Rounds
from napari_pu_segment.gui.results.accept_button import AcceptButton
from napari_pu_segment.gui.session import Session
from napari_pu_segment.gui.viewer.layers import LayerBook
from tests.helpers import dice, disks

NO_STROKES = METHODS["cluster"].settings(threads=1)
STROKES = METHODS["pu"].settings(n_steps=60, threads=1)


@pytest.fixture
def session(make_viewer):
    viewer = make_viewer()
    image, _ = disks()
    session = Session(LayerBook(viewer))
    session.choose_image(viewer.add_image(image[0], name="disks"))
    session.crf = None
    yield session
    session.close()


@pytest.fixture
def said(session):
    heard = []
    session.said.connect(lambda text, failed: heard.append((text, failed)))
    return heard


def rest(qtbot, session):
    qtbot.waitUntil(lambda: session.runner.current is None and not session.showing)


def mask_of(session):
    return session.book.member(session.image, "mask").data.astype(bool)


def test_an_image_without_brush_layers_is_segmented_and_its_surest_parts_become_strokes(qtbot, session, said):
    _, truth = disks()
    rounds, button = Rounds(session), AcceptButton(session)
    assert not button.isEnabled()
    session.train("cluster", NO_STROKES, warm=False)
    rest(qtbot, session)
    assert dice(mask_of(session), truth) > 0.85
    qtbot.waitUntil(lambda: rounds.track.judged and not rounds.judging)  # nothing to judge by, and no error
    assert session.book.member(session.image, "positive") is None
    assert button.isEnabled()
    button.click()
    qtbot.waitUntil(lambda: said[-1][0].startswith("The surest parts"))
    painted = {role: session.book.member(session.image, role) for role in ("positive", "negative")}
    assert truth[painted["positive"].data != 0].mean() > 0.95
    assert truth[painted["negative"].data != 0].mean() < 0.05
    session.train("pu", STROKES, warm=False)
    rest(qtbot, session)
    assert session.model.card.n_positive_strokes >= 5
    assert dice(mask_of(session), truth) > 0.85
    for layer in painted.values():
        layer.undo()
        assert not layer.data.any()
    assert not any(failed for _, failed in said)


def test_what_is_painted_stays_and_names_the_cluster(qtbot, session, said):
    _, truth = disks()
    session.book.add_brushes(session.image, ("positive", "negative", "ignore"))
    session.book.member(session.image, "positive").data[2, 2] = 1  # the background is asked for
    session.book.member(session.image, "ignore").data[:, 70:] = 1
    session.train("cluster", NO_STROKES, warm=False)
    rest(qtbot, session)
    mask = mask_of(session)
    assert mask[2, 2]
    assert not mask[:, 70:].any()
    assert dice(mask[:, :70], ~truth[:, :70]) > 0.85
    button = AcceptButton(session)
    button._refresh(session.result)
    button.click()
    qtbot.waitUntil(lambda: said[-1][0].startswith("The surest parts"))
    positive = session.book.member(session.image, "positive").data
    assert positive[2, 2]
    assert positive[:, :70].any()
    assert not positive[:, 70:].any()
    assert session.book.member(session.image, "ignore").data[:, 70:].all()
