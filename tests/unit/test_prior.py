from __future__ import annotations

import numpy as np
import pytest

from napari_pu_segment.core.prior import HIGHEST, LOWEST, PRIORS, Evidence, best_bin, iterate, otsu
from napari_pu_segment.core.progress import Progress, run


def two_humps(prior, n=20_000, gap=5.0):
    rng = np.random.default_rng(0)
    inside = rng.random(n) < prior
    return Evidence(rng.normal(gap, 1, 2000), rng.normal(0, 1, n) + gap * inside)


@pytest.mark.parametrize("prior", [0.1, 0.3, 0.6])
@pytest.mark.parametrize("name", list(PRIORS))
def test_well_separated_scores(name, prior):
    assert PRIORS[name].estimate(two_humps(prior)) == pytest.approx(prior, rel=0.15)


def test_best_bin_by_hand():
    # every positive scores 1; of four unlabelled pixels one does: q_u / q_p = 1/4 at the only threshold
    assert best_bin(Evidence(np.ones(1000), np.array([0.0, 0, 0, 1]))) == pytest.approx(0.25)


def test_constant_scores_do_not_fail():
    assert otsu(Evidence(np.ones(5), np.ones(9))) == 0.5
    assert 0 <= best_bin(Evidence(np.ones(5), np.ones(9))) <= 1


def test_iterate_hands_on_and_bounds():
    asked = []

    def score(prior):
        asked.append(prior)
        yield Progress(0, 1, "scoring")
        return two_humps(0.3)

    estimates = iter([0.4, 7.0, -1.0])
    result = run(iterate(lambda evidence: next(estimates), score))
    assert asked == [None, 0.4, HIGHEST]
    assert result == LOWEST
