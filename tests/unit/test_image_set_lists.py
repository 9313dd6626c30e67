"""Which images of a report a gallery shows, in what order, and in what words."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from PIL import Image

from napari_pu_segment.core.curation import CurateSettings
from napari_pu_segment.core.progress import run
from napari_pu_segment.image_set import (
    ALL,
    DUPLICATES,
    NEXT,
    SUSPECTED,
    ScanSettings,
    curating,
    facts,
    lists,
    ordered,
    words_of,
)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """20 noisy pictures that grow brighter with their numbers, some with masks, a copy of the third and one that is
    empty; groups are as many as asked for."""
    home, y = tmp_path_factory.mktemp("set"), np.mgrid[:48, :48][0]
    (home / "images").mkdir()
    (home / "masks").mkdir()
    for i in range(20):
        rng = np.random.default_rng(i)
        texture = 30 * np.sin(y / 3 + i) + rng.normal(0, 8, (48, 48))
        Image.fromarray(np.clip(60 + 5 * i + texture, 0, 255).astype(np.uint8)).save(home / f"images/t{i}.png")
        if i < 2:
            Image.fromarray((y < 12 * (i + 1)).astype(np.uint8)).save(home / f"masks/t{i}.png")
    (home / "images/copy.png").write_bytes((home / "images/t2.png").read_bytes())
    Image.fromarray(np.full((48, 48), 60, np.uint8)).save(home / "images/empty.png")
    scan = ScanSettings(home / "images", masks=home / "masks")
    return run(curating(scan, CurateSettings(n_groups=2, n_next=3)))


def test_lists_hold_what_was_found(report):
    found, names = lists(report), report.names
    assert list(found)[:3] == [ALL, NEXT, DUPLICATES]
    assert found[ALL] == list(range(22))
    assert len(found[NEXT]) == 3
    assert {"t0.png", "t1.png"}.isdisjoint(names[i] for i in found[NEXT])  # they have masks
    assert [names[i] for i in found[DUPLICATES]] == ["copy.png", "t2.png"]
    assert names.index("empty.png") in found["Odd: empty"]
    assert sorted(found["Group 1"] + found["Group 2"]) == found[ALL]
    assert SUSPECTED not in found  # two masks are too few to tell, and empty lists are left out


def test_orders_put_the_highest_first_and_the_unknown_last(report):
    every, names = lists(report)[ALL], report.names
    assert ordered(report, [5, 1, 3], "As it comes") == [5, 1, 3]
    in_order = [names[i] for i in ordered(report, every, "By name")]
    assert in_order[2:6] == ["t0.png", "t1.png", "t2.png", "t3.png"]  # t10 comes after t9
    oddest = ordered(report, every, "Oddest first")
    assert np.all(np.diff(report.curation.oddity[oddest]) <= 0)
    assert ordered(report, every, "Most uncertain first") == every  # there was no model


def test_words_tell_why(report):
    copy, empty = (words_of(report, report.names.index(name)) for name in ("copy.png", "empty.png"))
    assert copy.startswith("copy.png: 1 × 48 × 48 uint8; group ")
    assert "the same as t2.png" in copy
    assert "empty" in empty
    assert "the same as" not in empty


def test_facts_tell_of_classes_and_drifts(report):
    told = facts(report)
    # rows below 12 and below 24 of 48: 25 % and 50 %
    assert "Class 1 covers 38 % of the masks." in told
    assert "Class 0 covers 62 % of the masks." in told
    assert any(one.startswith("Brightness drifts along the names, from ") for one in told)
