"""A series on disk: a stack, files in the order of time, or a folder of them, with their masks; and keograms."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .core.errors import InputError
from .core.frames.keogram import Frame, KeogramSettings
from .core.frames.timeaxis import axis_of
from .core.frames.timeseries import Series, measure_series, times_of
from .core.objects import ObjectSettings
from .core.progress import Work
from .core.samples import Array
from .figures import keogram_picture
from .io import (
    ZARR_SUFFIX,
    ImageFile,
    list_images,
    read_image,
    read_mask,
    sanitise_name,
    stem_of,
    write_image,
    write_picture,
)

MASK_KINDS = ("_refined", "_mask", "")  # what a mask's name has behind that of its image; the first there is, is taken
MASK_SUFFIXES = (".tif", ".tiff", ".ome.zarr", ".png", ".npy")
LEAST_PX, MOST_PX, TICK_PX = 720, 8000, 90  # how wide a picture of a keogram is, and how far apart its ticks


@dataclass(frozen=True, eq=False)
class FileSeries:
    """A series on disk; nothing but headers was read yet.

    Parameters
    ----------
    images, masks : tuple of Path
        One of each, a stack; or one for each frame.
    ignore : Path or None
        What does not count, in every frame or in each.
    times : ndarray or None
        When each frame was taken, see `core.timeseries.measure_series`.
    first : ImageFile
        The stack, or the first frame.
    """

    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    ignore: Path | None
    times: np.ndarray | None
    first: ImageFile

    @property
    def stack(self) -> bool:
        """Whether one file holds all frames."""
        return len(self.images) == 1 and len(self.first.image.shape) > 3

    @property
    def n_frames(self) -> int:
        """How many frames there are."""
        return int(self.first.image.shape[1]) if self.stack else len(self.images)

    @property
    def planar(self) -> bool:
        """Whether frames are of one plane."""
        return len(self.first.image.shape) - self.stack == 3

    def measured(self, objects: ObjectSettings, keogram: KeogramSettings | None) -> Work[Series]:
        """Measure all frames; see `core.timeseries.measure_series`."""
        ndim = len(self.first.image.shape) - 1 - self.stack
        return measure_series(
            self.frames(),
            self.n_frames,
            times=self.times,
            objects=objects,
            keogram=keogram,
            pixel_size=self.first.pixel_size[-ndim:],
            pixel_unit=self.first.pixel_unit,
            channel_names=self.first.channel_names,
        )

    def frames(self) -> Iterator[Frame]:
        """The frames, each read when it is asked for.

        Raises
        ------
        InputError
            If a file cannot be read, or a mask is of another shape.
        """
        ignored = None if self.ignore is None else read_mask(self.ignore)
        if self.stack:
            yield from self._frames_of_stack(ignored)
            return
        for image, mask in zip(self.images, self.masks, strict=True):
            yield Frame(read_image(image).image, read_mask(mask), ignored, image.name)

    def _frames_of_stack(self, ignored: np.ndarray | None) -> Iterator[Frame]:
        image, mask = self.first.image, read_image(self.masks[0]).image
        shape = tuple(image.shape[1:])
        if tuple(mask.shape[1:]) != shape:
            raise InputError(
                f"The image {str(self.images[0])!r} measures {shape} pixels but its mask {tuple(mask.shape[1:])}. "
                "Give a mask of the same frames."
            )
        if ignored is not None and ignored.shape not in (shape, shape[1:]):
            raise InputError(
                f"What is to be left out measures {ignored.shape} pixels but the frames {shape[1:]}. Give a mask of "
                "one frame, or of each."
            )
        for t in range(shape[0]):
            left_out = ignored[t] if ignored is not None and ignored.ndim == len(shape) else ignored
            yield Frame(np.asarray(image[:, t]), _whole(mask[:, t], self.masks[0]), left_out)


def open_series(
    images: Sequence[Path], masks: Sequence[Path], ignore: Path | None = None, interval_s: float = 0.0
) -> FileSeries:
    """Find the frames of a series and their masks.

    Parameters
    ----------
    images : sequence of Path
        A stack, whose first axis besides channels is time; or files in the order of time; or a folder of them, in the
        order of their names, numbers by their value.
    masks : sequence of Path
        As many, in the same order; or a folder in which they are found by their names: of `night_01.png` it takes
        `night_01_refined`, else `night_01_mask`, else `night_01`, so that a folder of results does.
    ignore : Path, optional
        Mask of what does not count, of one frame or of each.
    interval_s : float
        Seconds from frame to frame; 0: as the names of the files tell, see `core.timeseries.time_of`.

    Raises
    ------
    InputError
        If there is no such file, or not as many masks as images.
    """
    files, found = list(images), list(masks)
    if len(files) == 1 and _is_folder(files[0]):
        files = in_order(list_images(files[0]))
    if len(found) == 1 and _is_folder(found[0]):
        found = [_mask_of(image, found[0]) for image in files]
    if not files or len(files) != len(found):
        raise InputError(f"There are {len(files)} images and {len(found)} masks. Give a mask for each image, in order.")
    series = FileSeries(tuple(files), tuple(found), ignore, None, read_image(files[0]))
    times = None
    if interval_s > 0:
        times = np.arange(series.n_frames) * interval_s
    elif not series.stack:
        times = times_of([file.name for file in files])
    return FileSeries(series.images, series.masks, ignore, times, series.first)


def keogram_files(path: Path) -> list[Path]:
    """What a keogram is written to: a PNG of both, or a TIFF of the image and one of the segmentation.

    Raises
    ------
    InputError
        If the suffix is another one.
    """
    if path.suffix.lower() == ".png":
        return [path]
    if path.suffix.lower() in (".tif", ".tiff"):
        return [path, path.with_name(f"{path.stem}_mask{path.suffix}")]
    raise InputError(f"Cannot write {str(path)!r}: a keogram is a PNG or a TIFF. Give a name with such a suffix.")


def write_keogram(path: Path, series: Series) -> None:
    """Write the keogram of a series: as a picture on an axis of time, or its values, a column for each frame.

    Raises
    ------
    InputError
        If the suffix is another one, the series has no keogram, or the file cannot be written.
    """
    files, keogram = keogram_files(path), series.keogram
    if keogram is None:
        raise InputError("There is no keogram: it is made of frames of one plane.")
    if len(files) == 1:
        axis = axis_of(series.table)
        columns = axis.columns(min(max(len(series.table), LEAST_PX), MOST_PX))
        ticks = axis.ticks(len(columns) // TICK_PX)
        write_picture(path, keogram_picture(keogram.image, keogram.mask, columns, ticks))
        return
    write_image(path, keogram.image[0] if len(keogram.image) == 1 else keogram.image)
    write_image(files[1], keogram.mask)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and path.suffix.lower() != ZARR_SUFFIX


def in_order(files: Sequence[Path]) -> list[Path]:
    """By name, with numbers by their value: frame_2 before frame_10."""

    def key(path: Path) -> list[tuple[int, int, str]]:
        parts = re.split(r"(\d+)", path.name)
        return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]

    return sorted(files, key=key)


def _mask_of(image: Path, folder: Path) -> Path:
    stem = sanitise_name(stem_of(image.name))
    for kind in MASK_KINDS:
        for suffix in MASK_SUFFIXES:
            path = folder / f"{stem}{kind}{suffix}"
            if path.exists() and path.resolve() != image.resolve():
                return path
    raise InputError(
        f"Folder {str(folder)!r} has no mask of {image.name!r}: no {stem}_refined, {stem}_mask or {stem} with one of "
        f"the suffixes {', '.join(MASK_SUFFIXES)}."
    )


def _whole(mask: Array, path: Path) -> np.ndarray:
    """A frame's mask, bool, of values (C, [Z,] Y, X) that must be whole numbers."""
    values = np.asarray(mask)
    if values.dtype.kind == "f" and not np.array_equal(values, np.round(values)):
        raise InputError(
            f"Mask file {str(path)!r} holds fractions, not a mask. Give an image that is zero where nothing is."
        )
    return np.asarray((values != 0).any(axis=0))
