"""Stains of bright-field images: how much of each there is, and images normalised to the stains of another."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from skimage.color import hed_from_rgb, lab2rgb, rgb2lab, separate_stains
from skimage.util import img_as_float32

from ..errors import InputError, pick
from ..samples import Array
from ..settings import Settings

STAINS = ("haematoxylin", "eosin", "DAB")
MAX_PX = 2**27
"""An image and what is made of it are held in memory, at 30 bytes for each pixel or less."""

_DECADES = 6.0  # scikit-image counts optical density in units of 6: it takes nothing as darker than 1e-6
_DARKEST = 1 / 255  # of light let through; one grey level of 8 bits
_BARE = 0.15  # optical density below which there is no stain (Macenko 2009)
_PERCENT = 1.0  # of pixels beyond the angles that are taken as those of the stains (Macenko 2009)
_APART = 0.05  # radians; the two stains of an image without colour have one angle
_N_STAINED = 50  # fewer pixels tell no stain
_FLAT = 1e-3  # of a spread in Lab, whose lightness goes from 0 to 100

Triple = tuple[float, float, float]


class ReinhardTarget(Settings):
    """Colours of an image: mean and standard deviation of L*, a* and b*."""

    method: Literal["reinhard"] = "reinhard"
    mean: Triple
    spread: Triple


class MacenkoTarget(Settings):
    """Stains of an image: unit vectors of optical density (R, G, B), the first the bluer, and the 99th percentile of
    how much of each there is."""

    method: Literal["macenko"] = "macenko"
    stains: tuple[Triple, Triple]
    strongest: tuple[float, float]


Target = ReinhardTarget | MacenkoTarget


def check_rgb(image: Any, name: str = "The image") -> np.ndarray:
    """Light let through in red, green and blue, (3, Y, X), float32 in [0, 1].

    Parameters
    ----------
    image : array, (3, Y, X), of integers, or float in [0, 1]

    Raises
    ------
    InputError
        If it is not in colour, no plane, too large, or of values beyond [0, 1].
    """
    check_plane(image, name)
    light = light_of(np.asarray(image), name)
    check_colour(coloured(light), name)
    return light


def check_plane(image: Array, name: str) -> None:
    """Refuse what is no plane in colour, or too large."""
    shape = tuple(image.shape)
    if len(shape) != 3 or shape[0] != 3:
        raise InputError(f"{name} has the shape {shape}; stains need one plane in red, green and blue: (3, Y, X).")
    if shape[1] * shape[2] > MAX_PX:
        raise InputError(f"{name} has more than {MAX_PX / 1e6:.0f} million pixels. Crop it, or take a coarser level.")


def light_of(values: np.ndarray, name: str) -> np.ndarray:
    """Light let through, float32 in [0, 1], of the values of an image or of a part of it (3, Y, X)."""
    if values.dtype.kind == "f" and not (values.min(initial=0) >= 0 and values.max(initial=0) <= 1):
        raise InputError(f"{name} is of floating-point values beyond 0 to 1, or without values. Scale it to 0 to 1.")
    return np.asarray(img_as_float32(values), np.float32)  # type: ignore[no-untyped-call]


def coloured(light: np.ndarray) -> bool:
    """Whether any pixel is not grey."""
    return not ((light[0] == light[1]).all() and (light[0] == light[2]).all())


def check_colour(found: bool, name: str) -> None:
    """Refuse an image in which no colour was found."""
    if not found:
        raise InputError(f"{name} is grey: without colour there are no stains to tell apart.")


def separate(light: np.ndarray) -> np.ndarray:
    """How much of each of `STAINS` there is in an image, by colour deconvolution.

    ``c = -log10(I) M^-1``, with the stains' colours M measured by Ruifrok & Johnston 2001 (scikit-image).

    Parameters
    ----------
    light : ndarray, (3, Y, X), float in [0, 1]
        See `check_rgb`.

    Returns
    -------
    ndarray, (3, Y, X), float32
        Optical density (decades), at least 0.
    """
    found = separate_stains(np.moveaxis(light.astype(np.float64), 0, -1), hed_from_rgb)
    return np.asarray(np.moveaxis(found * _DECADES, -1, 0), np.float32)


def density(light: np.ndarray) -> np.ndarray:
    """Optical density (decades) of each colour, pixel by pixel: (n, 3), float64, ``-log10(max(I, 1/255))``."""
    return np.asarray(-np.log10(np.maximum(light.reshape(3, -1).T.astype(np.float64), _DARKEST)))


def measure_reinhard(light: np.ndarray, name: str = "The image") -> ReinhardTarget:
    """Mean and spread of colours in CIELAB; see `NORMALISERS`.

    Raises
    ------
    InputError
        If the image has one colour only.
    """
    lab = rgb2lab(light.astype(np.float64), channel_axis=0).reshape(3, -1)
    spread = lab.std(1)
    if (spread < _FLAT).any():
        raise InputError(f"{name} is of the same colour, or brightness, everywhere: there is no stain to normalise.")
    return ReinhardTarget(mean=tuple(lab.mean(1).tolist()), spread=tuple(spread.tolist()))


def apply_reinhard(light: np.ndarray, own: ReinhardTarget, target: ReinhardTarget) -> np.ndarray:
    """``(x - mean) * target spread / spread + target mean``, in CIELAB; `own` is what was measured in the image."""
    lab = rgb2lab(light.astype(np.float64), channel_axis=0)
    mean, spread, to_mean, to_spread = (
        np.reshape(values, (3, 1, 1)) for values in (own.mean, own.spread, target.mean, target.spread)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of colours that no screen shows; they are clipped
        moved = lab2rgb((lab - mean) * to_spread / spread + to_mean, channel_axis=0)
    return np.asarray(np.clip(moved, 0, 1), np.float32)


def measure_macenko(light: np.ndarray, name: str = "The image") -> MacenkoTarget:
    """The two stains of an image; see `NORMALISERS`.

    Optical densities of two stains lie in a plane, which is spanned by the two strongest singular vectors; the stains
    are at the 1st and 99th percentile of the angles in it. Pixels whose density is shorter than 0.15 are left out.

    Raises
    ------
    InputError
        If there are less than 50 stained pixels, or one stain only.
    """
    every = density(light)
    stained = every[np.linalg.norm(every, axis=1) >= _BARE]
    if len(stained) < _N_STAINED:
        raise InputError(f"{name} shows no stained tissue: next to all of it is white.")
    plane = np.linalg.eigh(stained.T @ stained)[1][:, [2, 1]]  # of 3 x 3 products: the singular vectors
    plane = plane * np.where(plane.sum(0) < 0, -1, 1)
    along = stained @ plane
    low, high = np.percentile(np.arctan2(along[:, 1], along[:, 0]), [_PERCENT, 100 - _PERCENT])
    if high - low < _APART:
        raise InputError(f"{name} shows one stain only: all its colours have the same hue. Macenko needs two.")
    two = [np.maximum(plane @ [np.cos(angle), np.sin(angle)], 0) for angle in (low, high)]
    # Haematoxylin is blue: it lets less red light through than eosin, which is pink.
    stains = np.array(sorted((one / np.linalg.norm(one) for one in two), key=lambda one: -one[0]))
    strongest = np.percentile(_amounts(every, stains), 100 - _PERCENT, axis=0)
    return MacenkoTarget(
        stains=tuple(tuple(one.tolist()) for one in stains), strongest=tuple(np.maximum(strongest, 1e-6).tolist())
    )


def apply_macenko(light: np.ndarray, own: MacenkoTarget, target: MacenkoTarget) -> np.ndarray:
    """The same amounts of stain, relative to the strongest, in the stains of the target."""
    amounts = _amounts(density(light), np.array(own.stains)) * (np.array(target.strongest) / own.strongest)
    moved = 10 ** -(amounts @ np.array(target.stains))
    return np.asarray(np.clip(moved.T.reshape(light.shape), 0, 1), np.float32)


def _amounts(every: np.ndarray, stains: np.ndarray) -> np.ndarray:
    """How much of each of two stains (2, 3) there is in optical densities (n, 3), by least squares: (n, 2)."""
    return np.asarray(every @ np.linalg.pinv(stains))


@dataclass(frozen=True)
class Normaliser:
    """One row of `NORMALISERS`: what of an image is measured, and how a part of another is made to have the same."""

    title: str
    target: type[Target]
    measure: Callable[..., Target]
    apply: Callable[..., np.ndarray]
    reference: str


NORMALISERS: dict[str, Normaliser] = {
    "macenko": Normaliser(
        "Stains (Macenko)",
        MacenkoTarget,
        measure_macenko,
        apply_macenko,
        "Macenko et al. 2009, IEEE Int. Symp. Biomed. Imaging, 1107",
    ),
    "reinhard": Normaliser(
        "Colours (Reinhard)",
        ReinhardTarget,
        measure_reinhard,
        apply_reinhard,
        "Reinhard et al. 2001, IEEE Comput. Graph. Appl. 21(5), 34; in CIELAB",
    ),
}


def target_of(values: Mapping[str, Any]) -> Target:
    """A target from its JSON values.

    Raises
    ------
    InputError
        If they are not those of a target.
    """
    row = pick(NORMALISERS, str(values.get("method")), "stain normalisation")
    return row.target(**values)
