"""The benchmark of cells: smears whose kinds are known, and figures of images worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.cells import of_images
from benchmarks.smears import smear


def test_a_smear_is_what_is_known_of_it():
    one, again = smear(0, "ill"), smear(0, "ill")
    assert (one.image == again.image).all()
    assert (one.image != smear(0, "well").image).any()
    assert one.image.shape == (3, *one.nuclei.shape)
    assert ((one.nuclei > 0) == (one.kinds > 0)).all()
    labels = range(1, one.nuclei.max() + 1)
    kinds = [set(one.kinds[one.nuclei == k].tolist()) for k in labels]
    assert all(len(kind) == 1 for kind in kinds), "a nucleus is of one kind"
    areas = {kind: [(one.nuclei == k).sum() for k in labels if kinds[k - 1] == {kind}] for kind in (1, 2, 3)}
    assert np.median(areas[1]) < np.median(areas[2]) < np.median(areas[3])
    assert one.image[0][one.nuclei > 0].mean() < one.image[0][one.nuclei == 0].mean(), "nuclei let less red through"


def test_ill_smears_have_more_of_the_third_kind():
    shares = {name: np.mean([(smear(i, name).kinds == 3).sum() for i in range(4)]) for name in ("well", "ill")}
    assert shares["ill"] > 1.5 * shares["well"]


def test_figures_of_images_worked_out_by_hand():
    share = np.r_[np.full(8, 0.1), np.full(8, 0.6)] + np.linspace(0, 0.02, 16)
    shares = np.stack([share, 1 - share], 1)
    names = ["well"] * 8 + ["ill"] * 8
    assert of_images(shares, names, 0) == {"images_unlabelled": 1, "images_folds": 1, "images_few": 1}
    swapped = of_images(shares, ["ill", *names[1:]], 0)
    assert swapped["images_unlabelled"] == pytest.approx(15 / 16)
