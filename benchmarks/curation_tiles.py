"""Tiles to curate: cut from images of a folder of cases, and generated; with planted copies and odd ones.

Nothing is kept: tiles are cut and written when a measurement runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from benchmarks.cases import same_stem
from napari_pu_segment.io import list_images, read_image, read_mask, write_image
from napari_pu_segment.synthetic import aurora_frame

SIDE_PX = 128


@dataclass(frozen=True, eq=False)
class Tile:
    """A picture (C, Y, X), its mask (Y, X) where there is one, and where it comes from."""

    case: str
    name: str
    image: np.ndarray
    truth: np.ndarray | None = None


def real_tiles(folder: Path, side_px: int = SIDE_PX) -> Iterator[Tile]:
    """Tiles that do not overlap, of all images of all cases; four planes of a stack, one frame of a series."""
    for home in sorted(path.parent for path in folder.glob("*/images")):
        series = all(path.stem[1:].isdigit() for path in list_images(home / "images"))
        for path in list_images(home / "images")[: 1 if series else None]:
            image = np.asarray(read_image(path).image)
            file = same_stem(home / "truth", path.stem)
            truth = np.zeros(image.shape[1:], bool) if file is None else np.asarray(read_mask(file))
            step = max(1, math.prod(image.shape[1:-2]) // 4)
            for number, at in list(enumerate(np.ndindex(*image.shape[1:-2])))[::step]:
                plane = Tile(home.name, f"{path.stem}_{number}", image[(slice(None), *at)], truth[at])
                yield from _cut(plane, side_px)


def _cut(plane: Tile, side_px: int) -> Iterator[Tile]:
    assert plane.truth is not None
    rows, columns = (max(n // side_px, 1) for n in plane.truth.shape)
    for i in range(rows):
        for j in range(columns):
            part = slice(i * side_px, (i + 1) * side_px), slice(j * side_px, (j + 1) * side_px)
            image, truth = plane.image[(slice(None), *part)], plane.truth[part]
            yield Tile(plane.case, f"{plane.case}_{plane.name}_{i}_{j}", image, truth)


def _smooth(rng: np.random.Generator, side_px: int, sigma_px: float) -> np.ndarray:
    field = ndimage.gaussian_filter(rng.normal(size=(side_px, side_px)), sigma_px, mode="wrap")
    return np.asarray((field - field.mean()) / field.std())


def _spots(rng: np.random.Generator, side_px: int, n: int, sizes_px: tuple[float, float]) -> np.ndarray:
    y, x = np.mgrid[:side_px, :side_px]
    light = np.zeros((side_px, side_px))
    for _ in range(n):
        row, column = rng.uniform(0, side_px, 2)
        a, b = rng.uniform(*sizes_px, 2)
        turn = rng.uniform(0, np.pi)
        u = (np.cos(turn) * (y - row) + np.sin(turn) * (x - column)) / a
        v = (np.cos(turn) * (x - column) - np.sin(turn) * (y - row)) / b
        light += rng.lognormal(0, 0.5) * np.exp(-((u**2 + v**2) ** 2))
    return light


def _cells(rng: np.random.Generator, side_px: int) -> np.ndarray:
    return 30 + 110 * _spots(rng, side_px, int(rng.integers(4, 14)), (6, 13)) + 6 * rng.normal(size=(side_px, side_px))


def _stars(rng: np.random.Generator, side_px: int) -> np.ndarray:
    return 25 + 160 * _spots(rng, side_px, int(rng.integers(8, 30)), (1.2, 2.0)) + 4 * rng.normal(size=(side_px,) * 2)


def _grains(rng: np.random.Generator, side_px: int) -> np.ndarray:
    inside = ndimage.gaussian_filter((_smooth(rng, side_px, rng.uniform(3, 7)) > 0.1).astype(float), 1)
    return 70 + 90 * inside + 8 * rng.normal(size=(side_px, side_px))


def _fibres(rng: np.random.Generator, side_px: int) -> np.ndarray:
    bend = _smooth(rng, side_px, rng.uniform(8, 16))
    return 60 + 120 * np.exp(-((bend / 0.15) ** 2)) + 8 * rng.normal(size=(side_px, side_px))


def _cloud(rng: np.random.Generator, side_px: int) -> np.ndarray:
    return 120 + 35 * _smooth(rng, side_px, rng.uniform(4, 20)) + 5 * rng.normal(size=(side_px, side_px))


def _sky(rng: np.random.Generator, side_px: int) -> np.ndarray:
    return aurora_frame(int(rng.integers(2**31)), side_px).image.astype(float)


GENERATORS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "cells": _cells,
    "stars": _stars,
    "grains": _grains,
    "fibres": _fibres,
    "cloud": _cloud,
    "sky": _sky,
}


def generated_tiles(n: int, seed: int, side_px: int = SIDE_PX) -> Iterator[Tile]:
    """So many tiles, of all `GENERATORS` in turn."""
    names = list(GENERATORS)
    for i in range(n):
        name = names[i % len(names)]
        light = GENERATORS[name](np.random.default_rng([seed, i]), side_px)
        picture = np.clip(light, 0, 255).astype(np.uint8)
        yield Tile(f"made_{name}", f"made_{name}_{i:04d}", picture if picture.ndim == 3 else picture[None])


def cropped(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """95 % of each side, from anywhere."""
    rows, columns = (round(0.95 * n) for n in image.shape[-2:])
    top, left = (int(rng.integers(n - m + 1)) for n, m in zip(image.shape[-2:], (rows, columns), strict=True))
    return image[..., top : top + rows, left : left + columns]


def brighter(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """10 % brighter or darker; what is too bright for the type is cut."""
    scaled = image.astype(np.float64) * rng.choice([0.9, 1.1])
    if image.dtype.kind != "f":
        scaled = np.clip(np.round(scaled), 0, np.iinfo(image.dtype).max)
    return scaled.astype(image.dtype)


def flipped(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Left and right, or top and bottom, exchanged."""
    return np.flip(image, axis=int(rng.choice([-1, -2])))


def write_tile(folder: Path, name: str, image: np.ndarray) -> str:
    """Write a tile, as PNG where that can hold it, else its one channel as TIFF; its file name."""
    if image.dtype == np.uint8 and image.shape[0] in (1, 3):
        file = f"{name}.png"
        _picture(image).save(folder / file)
    else:
        file = f"{name}.tif"
        write_image(folder / file, image[0])
    return file


def write_jpeg(folder: Path, name: str, image: np.ndarray, quality: int = 60) -> str:
    """Write a tile as JPEG, as its whole range where it is not of 8 bits; its file name."""
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(np.percentile(image, 99.9))
        image = np.clip(255 * (image.astype(np.float64) - low) / (high - low), 0, 255).astype(np.uint8)
    _picture(image).save(folder / f"{name}.jpg", quality=quality)
    return f"{name}.jpg"


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(np.moveaxis(image, 0, -1) if len(image) == 3 else image[0]))
