"""Weights of the pixels of an unreliable mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pu_segment.core.losses.reweight import GRADIENTS, Labelled, doubt_of, pixel_weights, unexplained


def linear(parameters: dict[str, torch.Tensor], features: torch.Tensor) -> torch.Tensor:
    return features @ parameters["weight"] + parameters["bias"]


def batch(features: list[list[float]], targets: list[float], weights: list[float] | None = None) -> Labelled:
    return Labelled(
        torch.tensor(features), torch.tensor(targets), torch.tensor(weights) if weights else torch.ones(len(targets))
    )


START = {"weight": torch.zeros(1), "bias": torch.zeros(1)}


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_pixels_that_agree_with_clean_ones_get_all_the_weight(gradient: str) -> None:
    """At weights of 0 every score is 0: a pixel's gradient is (1/2 - y) (x, 1), the clean one's (1/2 - 1) (2, 1).

    Their products: x=1, y=1: 1/4 (2 + 1) = 3/4; x=2, y=1: 5/4; x=1, y=0: -3/4, which is cut to 0.
    """
    noisy = batch([[1.0], [2.0], [1.0]], [1.0, 1.0, 0.0])
    clean = batch([[2.0]], [1.0])
    weights = pixel_weights(linear, START, noisy, clean, gradient)
    np.testing.assert_allclose(weights, [3 / 8, 5 / 8, 0.0], atol=1e-6)


def test_without_doubt_all_pixels_weigh_alike_and_with_half_of_it_the_mean() -> None:
    noisy, clean = (
        batch([[1.0], [2.0], [1.0], [9.0]], [1.0, 1.0, 0.0, 1.0], [1.0, 1.0, 1.0, 0.0]),
        batch([[2.0]], [1.0]),
    )
    np.testing.assert_allclose(pixel_weights(linear, START, noisy, clean, doubt=0.0), [1 / 3, 1 / 3, 1 / 3, 0])
    half = pixel_weights(linear, START, noisy, clean, doubt=0.5)
    np.testing.assert_allclose(half, [1 / 6 + 3 / 16, 1 / 6 + 5 / 16, 1 / 6, 0], atol=1e-6)


def test_what_a_model_leaves_unexplained() -> None:
    """Of labels 1, 0, 0, 0 a score of ln 1/3 for each tells no more than their mean does; certainty tells all."""
    labels = batch([[0.0]] * 4, [1.0, 0.0, 0.0, 0.0])
    assert unexplained([torch.full((4,), -np.log(3.0))], [labels]) == pytest.approx(1.0)
    assert unexplained([torch.tensor([99.0, -99.0, -99.0, -99.0])], [labels]) == pytest.approx(0.0, abs=1e-6)
    half = torch.tensor([0.0, 0.0, -99.0, -99.0])  # two of them at one half: 2 ln 2 of 4 ln 4 - 3 ln 3
    assert unexplained([half], [labels]) == pytest.approx(2 * np.log(2) / (4 * np.log(4) - 3 * np.log(3)), rel=1e-5)
    parts = [batch([[0.0]] * 2, [1.0, 0.0]), batch([[0.0]] * 3, [0.0, 0.0, 1.0], [1.0, 1.0, 0.0])]
    assert unexplained([half[:2], torch.tensor([-99.0, -99.0, -99.0])], parts) == pytest.approx(
        unexplained([half], [labels]), rel=1e-5
    ), "over all batches, without what does not count"
    assert unexplained([half[:1]], [batch([[0.0]], [1.0])]) == 0.0


def test_doubt_rises_from_a_fifth_to_a_third() -> None:
    parts = (0.0, 0.2, 4 / 15, 0.3, 1 / 3, 3.0)
    assert [doubt_of(part) for part in parts] == pytest.approx([0, 0, 0.5, 0.75, 1, 1])


def test_pixels_that_do_not_count_get_no_weight() -> None:
    noisy = batch([[1.0], [2.0]], [1.0, 1.0], [1.0, 0.0])
    weights = pixel_weights(linear, START, noisy, batch([[2.0]], [1.0]))
    np.testing.assert_allclose(weights, [1.0, 0.0])


def test_where_all_disagree_nothing_is_learnt() -> None:
    noisy = batch([[1.0], [2.0]], [0.0, 0.0])
    weights = pixel_weights(linear, START, noisy, batch([[2.0]], [1.0]))
    assert weights.tolist() == [0.0, 0.0]


def test_forward_and_unrolled_agree_on_a_deep_network() -> None:
    generator = torch.Generator().manual_seed(0)
    parameters = {
        name: torch.randn(shape, generator=generator) * 0.5
        for name, shape in (("w1", (5, 8)), ("b1", (8,)), ("w2", (8, 1)), ("b2", (1,)))
    }

    def head(p: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return (torch.relu(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"])[:, 0]

    noisy, clean = (
        Labelled(
            torch.randn(64, 5, generator=generator),
            (torch.rand(64, generator=generator) > 0.5).float(),
            torch.ones(64),
        )
        for _ in range(2)
    )
    forward = pixel_weights(head, parameters, noisy, clean, "forward")
    unrolled = pixel_weights(head, parameters, noisy, clean, "unrolled")
    assert forward.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert (forward == 0).any()
    np.testing.assert_allclose(forward, unrolled, atol=1e-6)
    last = pixel_weights(head, parameters, noisy, clean, "last_layer")
    assert not np.allclose(last, forward, atol=1e-4)
