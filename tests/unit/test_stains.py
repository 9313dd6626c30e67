"""Stains: optical densities worked out by hand, what normalising brings, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import rgb_from_hed
from skimage.data import immunohistochemistry

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.images import stained
from napari_pu_segment.core.images.stained import measuring, normalise_stains, separating
from napari_pu_segment.core.images.stains import NORMALISERS, check_rgb, density, measure_macenko, separate, target_of
from napari_pu_segment.core.progress import run

H, E = (np.array(v) / np.linalg.norm(v) for v in ([0.65, 0.70, 0.29], [0.07, 0.99, 0.11]))
BOTH = pytest.mark.parametrize("method", NORMALISERS)


def tissue(first=H, second=E, side=60, seed=0) -> np.ndarray:
    """Light through known amounts of two stains; half of the pixels have only one of them, or none."""
    rng = np.random.default_rng(seed)
    amounts = rng.uniform(0.3, 0.9, (side * side, 2))
    kind = rng.integers(0, 6, side * side)
    amounts[kind == 0, 1] = amounts[kind == 1, 0] = 0
    amounts[kind == 2] = 0
    return (10 ** -(amounts @ [first, second])).T.reshape(3, side, side)


def angle(one, other) -> float:
    return float(np.degrees(np.arccos(np.clip(np.dot(one, other), -1, 1))))


def test_density_is_the_negative_decadic_logarithm_of_light():
    light = np.array([1, 0.1, 0.01, 0]).reshape(1, 1, 4).repeat(3, 0)
    assert density(light)[:, 0] == pytest.approx([0, 1, 2, np.log10(255)])


def test_known_amounts_of_three_stains_are_separated_exactly():
    amounts = np.array([[0, 0, 0], [0.5, 0, 0], [0, 0.4, 0], [0, 0, 0.3], [0.2, 0.3, 0.1]])
    light = (10 ** -(amounts @ rgb_from_hed)).T.reshape(3, 1, 5)
    found = separate(light)[:, 0].T
    assert found == pytest.approx(amounts, abs=1e-6)
    assert separate(light).dtype == np.float32


def test_macenko_finds_the_two_stains_and_how_strong_they_are():
    found = measure_macenko(tissue())
    assert angle(H, E) > 30
    assert angle(found.stains[0], H) < 1
    assert angle(found.stains[1], E) < 1
    assert found.strongest == pytest.approx([0.9, 0.9], abs=0.03)
    swapped = measure_macenko(tissue(E, H))
    assert angle(swapped.stains[0], H) < 1  # the bluer one is the first, however much there is of it


def test_macenko_gives_known_amounts_in_the_stains_of_the_target():
    other = np.array([0.5, 0.8, 0.3]) / np.linalg.norm([0.5, 0.8, 0.3])
    aim, moved = tissue(), tissue(other, E)
    assert np.abs(moved - aim).max() > 0.08
    again = normalise_stains(check_rgb(moved), measure_macenko(aim))
    assert np.abs(again - aim).max() < 0.03


@BOTH
def test_a_recoloured_copy_comes_nearer_and_the_image_itself_stays(method):
    light = check_rgb(immunohistochemistry()[:160, :160].transpose(2, 0, 1))
    aim = NORMALISERS[method].measure(light)
    recoloured = np.clip(light ** np.array([1.4, 0.8, 1.1], np.float32)[:, None, None] * 0.95, 0, 1)
    before = np.abs(recoloured - light).mean()
    after = np.abs(normalise_stains(recoloured, aim) - light).mean()
    assert before > 0.05
    assert after < before / 2
    assert np.array_equal(normalise_stains(recoloured, aim), normalise_stains(recoloured, aim))


@BOTH
def test_after_it_an_image_measures_as_the_target(method):
    aim = NORMALISERS[method].measure(tissue())
    other = tissue(first=np.array([0.5, 0.8, 0.3]) / np.linalg.norm([0.5, 0.8, 0.3]), seed=1)
    numbers = {"macenko": "stains", "reinhard": "mean"}[method]
    after = NORMALISERS[method].measure(normalise_stains(check_rgb(other), aim))
    wanted, found = np.array(getattr(aim, numbers)), np.array(getattr(after, numbers))
    before = np.array(getattr(NORMALISERS[method].measure(other), numbers))
    assert np.abs(before - wanted).max() > 5 * np.abs(found - wanted).max()


@BOTH
def test_a_target_travels_as_json(method):
    aim = NORMALISERS[method].measure(tissue())
    assert target_of(aim.to_dict()) == aim
    with pytest.raises(InputError, match="no stain normalisation called 'vahadane'"):
        target_of({"method": "vahadane"})
    with pytest.raises(InputError, match="no setting called 'white'"):
        target_of({**aim.to_dict(), "white": 1})


@BOTH
def test_a_large_image_is_measured_in_some_pixels_and_changed_in_blocks(method, monkeypatch):
    image = (255 * tissue(side=61)).astype(np.uint8)
    light, aim = check_rgb(image), NORMALISERS[method].measure(tissue(seed=3))
    whole = normalise_stains(image, aim), run(separating(image))
    np.testing.assert_allclose(whole[1], separate(light), atol=1e-6)
    monkeypatch.setattr(stained, "_BLOCK_PX", 16)
    assert normalise_stains(image, aim) == pytest.approx(whole[0], abs=1e-6)
    np.testing.assert_allclose(run(separating(image)), whole[1], atol=1e-6)
    monkeypatch.setattr(stained, "MEASURED_PX", 500)
    assert run(measuring(method, image)) == NORMALISERS[method].measure(light[:, ::3, ::3])
    assert run(measuring(method, image)) != NORMALISERS[method].measure(light)
    steps = [progress.step for progress in separating(image)]
    assert steps[0] == 0


def test_grey_blocks_are_no_grey_image_and_the_rest_is_refused_by_blocks(monkeypatch):
    monkeypatch.setattr(stained, "_BLOCK_PX", 4)
    image = np.full((3, 9, 9), 7, np.uint8)
    with pytest.raises(InputError, match="is grey"):
        run(separating(image))
    image[0, 8, 8] = 200
    assert run(separating(image)).shape == (3, 9, 9)
    floats = np.full((3, 9, 9), 0.5)
    floats[1, 8, 0] = np.nan
    with pytest.raises(InputError, match="without values"):
        run(separating(floats))


def test_integers_of_any_depth_are_the_same_light():
    levels = np.array([[[0, 255]], [[51, 102]], [[255, 0]]], np.uint8)
    expected = np.array([[[0, 1]], [[0.2, 0.4]], [[1, 0]]])
    assert check_rgb(levels) == pytest.approx(expected)
    assert check_rgb(levels.astype(np.uint16) * 257) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (np.zeros((1, 5, 5), np.uint8), "one plane in red, green and blue"),
        (np.zeros((3, 2, 5, 5), np.uint8), "one plane in red, green and blue"),
        (np.full((3, 5, 5), 7, np.uint8), "is grey"),
        (np.full((3, 5, 5), 7.0), "beyond 0 to 1"),
        (np.full((3, 5, 5), np.nan), "without values"),
    ],
)
def test_what_has_no_colour_is_refused(image, why):
    with pytest.raises(InputError, match=why):
        check_rgb(image)


def test_an_image_without_tissue_or_with_one_stain_is_refused():
    white = np.ones((3, 40, 40))
    white[0, 0, 0] = 0.9
    with pytest.raises(InputError, match="no stained tissue"):
        measure_macenko(white)
    with pytest.raises(InputError, match="same colour"):
        NORMALISERS["reinhard"].measure(np.ones((3, 40, 40)))
    with pytest.raises(InputError, match="one stain only"):
        measure_macenko(tissue(H, H))
