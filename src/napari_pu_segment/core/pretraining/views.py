"""Two views of the same places: moved, turned, mirrored, brighter or darker, noisier, blurred; an encoder's lessons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..filters import gaussian
from ..images.intensity import ChannelStats
from ..progress import Progress, Ticker, Work
from ..samples import Sample
from ..training.patch_images import PatchImage

_POOL_VALUES = 2**26  # float32 numbers of all crops together: 256 MB
_MOST = 4096  # crops
_PLACES = 8  # of a crop, in one step


def draw_crops(
    samples: Sequence[Sample], stats: Sequence[Sequence[ChannelStats]], sides: Sequence[int], rng: np.random.Generator
) -> Work[torch.Tensor]:
    """Crops from everywhere in all images, as many of each.

    Parameters
    ----------
    samples : sequence of Sample
        Each is read once; of large ones only what is asked for.
    stats : sequence
        Intensity statistics of each.
    sides : sequence of int
        Of a crop, ([T,] [Z,] Y, X), with 1 for axes that are each on their own; see `crop_sides`.

    Returns
    -------
    Tensor, (M, C, [Z,] Y, X), float32
        At most 4096 of them, and no more than 256 MB.
    """
    n_values = len(stats[0]) * int(np.prod(sides))
    each = max(1, min(_MOST, _POOL_VALUES // n_values) // len(samples))
    found, ticker = [], Ticker()
    for number, (sample, stat) in enumerate(zip(samples, stats, strict=True)):
        image = PatchImage(sample, stat)
        for _ in range(each):
            if ticker.due():
                yield Progress(number, len(samples), f"Looking at {sample.name}")
            found.append(image.cut(image.anywhere(sides, rng), sides)[0])
    crops = torch.from_numpy(np.stack(found))
    own = [2 + axis for axis, side in enumerate(sides[:-2]) if side == 1]
    return crops.squeeze(own)


def crop_sides(view_sides: Sequence[int]) -> list[int]:
    """Sides of crops ([T,] [Z,] Y, X) in which views of other sides move by up to a quarter of theirs."""
    return [side + side // 4 for side in view_sides]


class Views:
    """Draws crops, and cuts two views of each.

    The views of a crop begin at different pixels. Else a network could tell its places by where they lie in the view,
    or in its own grid of strides, and would learn that instead of the image: the contrast of places was then met by
    maps that were the same for every image.

    Parameters
    ----------
    crops : Tensor, (M, C, [Z,] Y, X)
        With sides as `crop_sides` gives.
    sides : sequence of int
        Of a view, ([Z,] Y, X).
    n : int
        Crops of one step.
    """

    def __init__(self, crops: torch.Tensor, sides: Sequence[int], n: int) -> None:
        self._crops, self._sides, self._n = crops, tuple(sides), n

    def draw(self, rng: np.random.Generator) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Two views (n, C, [Z,] Y, X), and in each the flat indices (n, P) of the same P places.

        Places keep a quarter of the side from the edge, where the encoder would see what is not there.
        """
        chosen = self._crops[torch.from_numpy(rng.integers(len(self._crops), size=self._n))]
        sides = np.array(self._sides)
        starts = rng.integers(np.array(chosen.shape[2:]) - sides + 1, size=(2, len(sides)))
        low, high = starts.max(0) + sides // 4, starts.min(0) + sides - sides // 4
        inner = rng.integers(low, high, (self._n, _PLACES, len(sides)))
        numbers = torch.arange(int(sides.prod())).reshape(self._sides)
        views, places = [], []
        for start in starts:
            window = tuple(slice(at, at + side) for at, side in zip(start, sides, strict=True))
            flat = torch.from_numpy(np.ravel_multi_index(tuple(np.moveaxis(inner - start, -1, 0)), self._sides))
            turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
            changed = _changed(chosen[(slice(None), slice(None), *window)], rng)
            views.append(_turned(changed, turns, mirror).contiguous())
            moved = _turned(numbers, turns, mirror).flatten()
            back = torch.empty_like(moved)
            back[moved] = torch.arange(len(moved))
            places.append(back[flat])
        return views, places


def at_places(maps: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Rows (n P, D) of maps (n, D, [Z,] Y, X) at flat indices (n, P)."""
    flat = maps.flatten(2)
    return flat.gather(2, places[:, None].expand(-1, flat.shape[1], -1)).transpose(1, 2).flatten(0, 1)


def _turned(x: torch.Tensor, turns: int, mirror: bool) -> torch.Tensor:
    x = torch.rot90(x, turns, (-2, -1))
    return x.flip(-1) if mirror else x


def _changed(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Normalised crops (n, C, ...) with other gain, offset and gamma, each on its own, noise, and maybe a blur."""

    def drawn(low: float, high: float, channels: int = 1) -> torch.Tensor:
        values = rng.uniform(low, high, (len(x), channels, *(1,) * (x.ndim - 2)))
        return torch.from_numpy(values.astype(np.float32))

    gain = drawn(0.6, 1.5) * drawn(0.85, 1.15, x.shape[1])
    seen = x.clamp_min(0).pow(drawn(-0.4, 0.4).exp()) * gain + drawn(-0.2, 0.2)
    if rng.random() < 0.5:
        seen = gaussian(seen, float(rng.uniform(0.5, 1.2)))
    return seen + drawn(0, 0.08) * torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32))
