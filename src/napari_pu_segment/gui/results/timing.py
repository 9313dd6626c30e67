"""What is measured against time, a result or a labels layer, and going from frame to frame in the viewer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.frames.keogram import Frame, KeogramSettings, trace
from napari_pu_segment.core.frames.timeseries import Series, measure_series, times_of
from napari_pu_segment.core.objects import ObjectSettings
from napari_pu_segment.core.progress import Progress, Work
from napari_pu_segment.core.samples import IGNORE, Sample
from napari_pu_segment.io import list_images
from napari_pu_segment.series_files import FileSeries, in_order, open_series, write_keogram

from ..viewer.grid import Grid
from ..viewer.snapshots import Snapshot
from ..viewer.still import Still
from ..work import Result
from .measuring import mask_of

if TYPE_CHECKING:
    from napari.viewer import Viewer


@dataclass(frozen=True, eq=False)
class Scene:
    """The frames that are to be measured; a job reads them one by one.

    Parameters
    ----------
    grid : Grid
        Of the layer in which the frames lie: the image that was segmented, or a labels layer of the user's.
    source : Result or Labels
        What is measured.
    mask : array or Still, (T, [Z,] Y, X)
        Frames are planes where there is no time.
    image : Sample or Snapshot or None
        What intensities are taken from, and what is ignored in it; left out where it has another shape.
    image_grid : Grid or None
        Of the image's layer.
    """

    grid: Grid
    source: Result | Labels
    mask: Any
    image: Sample | Snapshot | None
    image_grid: Grid | None

    @property
    def layer(self) -> Image | Labels:
        """The layer in which the frames lie."""
        return self.grid.image

    def check(self) -> None:
        """Refuse what is no series.

        Raises
        ------
        InputError
            If there is a single frame.
        """
        if len(self.mask.shape) < 3:
            raise InputError(
                f"{self.layer.name!r} is a single frame. Open a series: a stack, or a folder of frames as a stack."
            )

    def sample(self) -> Sample | None:
        """What is known of the image, if it fits."""
        sample = self.image.sample() if isinstance(self.image, Snapshot) else self.image
        return sample if sample is not None and sample.spatial_shape == tuple(self.mask.shape) else None

    def frames(self, sample: Sample | None) -> Iterator[Frame]:
        """The frames, one by one; without channels where there is no sample."""
        for t in range(self.mask.shape[0]):
            mask = np.asarray(self.mask[t])
            if sample is None:
                yield Frame(np.zeros((0, *mask.shape), np.uint8), mask)
            else:
                ignored = None if sample.labels is None else sample.labels[t] == IGNORE
                yield Frame(np.asarray(sample.image[:, t]), mask, ignored)


@dataclass(frozen=True, eq=False)
class Timed:
    """A series as it was measured: of which scene or files, what came out, and how objects were told apart."""

    scene: Scene | FileSeries
    series: Series
    settings: ObjectSettings


def of_result(result: Result, grid: Grid) -> Scene:
    """The refined mask of a result where there is one, else its mask."""
    return Scene(grid, result, mask_of(result), result.sample, grid)


def of_layer(layer: Labels, image: Snapshot | None, image_grid: Grid | None) -> Scene:
    """What is labelled in a layer as it is now; with an image to take intensities and times from, if it fits."""
    return Scene(Grid(layer), layer, Still(layer), image, image_grid)


def measured(scene: Scene, objects: ObjectSettings, line: KeogramSettings, interval_s: float) -> Work[Timed]:
    """Measure the frames of a scene.

    Parameters
    ----------
    scene : Scene
    objects : ObjectSettings
    line : KeogramSettings
        Of the keogram, which volumes do not have.
    interval_s : float
        Seconds between frames; 0: as the layer tells, see `times_of_layer`.
    """
    yield Progress(0, 0, "Reading the frames")
    if isinstance(scene.mask, Still):
        yield from scene.mask.hold()
    sample, n_frames, ndim = scene.sample(), scene.mask.shape[0], len(scene.mask.shape) - 1
    grid = scene.grid if sample is None or scene.image_grid is None else scene.image_grid
    times = np.arange(n_frames) * interval_s if interval_s > 0 else times_of_layer(grid, n_frames)
    known: dict[str, Any] = {}
    if sample is not None:
        size = sample.pixel_size[-ndim:] if sample.pixel_size else ()
        known = {"pixel_size": size, "pixel_unit": sample.pixel_unit, "channel_names": sample.channel_names}
    keogram = line if ndim == 2 else None
    frames = scene.frames(sample)
    series = yield from measure_series(frames, n_frames, times=times, objects=objects, keogram=keogram, **known)
    return Timed(scene, series, objects)


def measured_files(
    images: Path, masks: Path, objects: ObjectSettings, line: KeogramSettings, interval_s: float
) -> Work[Timed]:
    """Measure frames on disk with their masks: two folders, or two stacks; see `series_files.open_series`."""
    yield Progress(0, 0, "Looking for frames")
    files = open_series([images], [masks], interval_s=interval_s)
    return Timed(files, (yield from files.measured(objects, line if files.planar else None)), objects)


def retraced(timed: Timed, line: KeogramSettings) -> Work[Timed]:
    """The same with another keogram."""
    yield Progress(0, 0, "Reading the line")
    scene, n_frames = timed.scene, len(timed.series.table)
    frames = scene.frames() if isinstance(scene, FileSeries) else scene.frames(scene.sample())
    keogram = yield from trace(frames, n_frames, line)
    return Timed(scene, Series(timed.series.table, keogram), timed.settings)


def times_of_layer(grid: Grid, n_frames: int) -> np.ndarray | None:
    """When the frames of a layer were taken, (n_frames,).

    In seconds, where its axis of time has a unit of time; datetime64, where it was opened from a folder of as many
    files whose names tell, see `core.timeseries.time_of`; else None.
    """
    axis, place = _axis(grid), grid.placement
    if place["units"][axis].is_compatible_with("second"):
        step = abs(float(place["scale"][axis])) * float((1 * place["units"][axis]).to("second").magnitude)
        return np.arange(n_frames) * step
    path = grid.image.source.path
    if path is None or not Path(path).is_dir():
        return None
    try:
        files = in_order(list_images(path))
    except InputError:
        return None
    return times_of([file.name for file in files]) if len(files) == n_frames else None


def frame_on_screen(viewer: Viewer, scene: Scene) -> int:
    """Which frame of a scene the viewer shows."""
    pixels = scene.grid.from_world(np.array([viewer.dims.point]))[0]
    return int(np.clip(round(float(pixels[_axis(scene.grid)])), 0, scene.mask.shape[0] - 1))


def show_frame(viewer: Viewer, scene: Scene, frame: int) -> None:
    """Go to a frame; the view stays where it is."""
    grid, axis = scene.grid, _axis(scene.grid)
    pixel = np.zeros(len(grid.shape))
    pixel[axis] = frame
    behind = len(grid.shape) - axis  # counted from the last axis, which the viewer and all layers share
    viewer.dims.set_point(viewer.dims.ndim - behind, float(grid.to_world(pixel[None])[0][-behind]))


def saved(series: Series, path: str | Path) -> Work[None]:
    """Write the table as CSV, or the keogram as PNG or TIFF, as the suffix says; a TIFF gets its mask beside it."""
    yield Progress(0, 0, "Writing")
    path = Path(path)
    if path.suffix.lower() == ".csv":
        series.table.write_csv(path)
    else:
        write_keogram(path, series)


def _axis(grid: Grid) -> int:
    """Which axis of the grid frames lie along: the first that is longer than one; that of time comes before planes."""
    return next((axis for axis, n in enumerate(grid.shape[:-2]) if n > 1), 0)
