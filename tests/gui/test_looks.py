"""Colours are told apart with every kind of colour vision, by figures."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

pytest.importorskip("napari")

from skimage.color import deltaE_ciede2000, rgb2lab

from napari_pu_segment.gui.looks import BAND, COLOURS

# What a person with complete colour blindness of each kind sees, as a matrix on linear RGB; Machado, Oliveira and
# Fernandes, IEEE Transactions on Visualization and Computer Graphics 15, 2009, severity 1.
VISION = {
    "normal": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def linear(colour):
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def seen(colour, vision):
    value = np.clip(VISION[vision] @ linear(colour), 0, 1)
    return rgb2lab(np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055))


def difference(one, other, vision):
    """CIEDE2000: 1 is just seen, 10 at a glance."""
    return float(deltaE_ciede2000(seen(one, vision), seen(other, vision)))


def test_the_measure_sees_what_a_deuteranope_does_not():
    red, green = "#CC3311", "#5F7F00"
    assert difference(red, green, "normal") > 40
    assert difference(red, green, "deuteranopia") < 10


@pytest.mark.parametrize("vision", VISION)
def test_brushes_are_told_apart(vision):
    assert difference(COLOURS["positive"], COLOURS["negative"], vision) > 40
    for brush in ("positive", "negative"):
        assert difference(COLOURS[brush], COLOURS["ignore"], vision) > 20
        for outline in ("mask", "refined"):
            assert difference(COLOURS[brush], COLOURS[outline], vision) > 11


@pytest.mark.parametrize("vision", VISION)
def test_bands_and_outlines_are_told_apart(vision):
    assert difference(COLOURS["mask"], COLOURS["refined"], vision) > 20
    for one, other in combinations(BAND, 2):
        assert difference(one, other, vision) > 20
    lightness = [seen(colour, vision)[0] for colour in BAND]
    assert lightness == sorted(lightness, reverse=True)


def test_brushes_are_seen_on_dark_and_on_bright_images():
    for role in ("positive", "negative"):
        luminance = float(linear(COLOURS[role]) @ [0.2126, 0.7152, 0.0722])
        assert (luminance + 0.05) / 0.05 > 9
        assert 1.05 / (luminance + 0.05) > 2
