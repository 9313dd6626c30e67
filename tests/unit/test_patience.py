"""Work on large images and files reports so often that it can be cancelled within a second, by a clock of our own."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from napari_pu_segment.batch import identity, pictures
from napari_pu_segment.core import progress
from napari_pu_segment.core.images import sampling
from napari_pu_segment.core.images.doubts import training_doubts
from napari_pu_segment.core.images.intensity import measure
from napari_pu_segment.core.methods.pu import PuSettings, train
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import NEGATIVE, POSITIVE, Sample
from napari_pu_segment.io import create_output, tiff_write
from napari_pu_segment.io.zarr_read import ZarrSource

WINDOW_S = 0.06  # what a window of a compressed image on a slow disk may take
PIXELS = np.random.default_rng(0).random((1, 1200, 900), np.float32)
RESULT = PIXELS[0, :500, :450]


class Clock:
    """Time that passes only where it is told to; `longest` is the longest time without a report."""

    def __init__(self) -> None:
        self.now = self.last = self.longest = 0.0

    def spend(self, seconds: float, function: Callable) -> Callable:
        """The function, and then so many seconds are gone."""

        def slow(*args, **kwargs):
            self.now += seconds
            return function(*args, **kwargs)

        return slow

    def drive(self, work):
        """Run long work to its end; gives what it returns."""
        before, self.last, self.longest = self.now, self.now, 0.0
        found = run(work, self._note)
        self._note(None)
        assert self.now - before > 2, "else there is nothing to wait for"
        return found

    def _note(self, _) -> None:
        self.longest, self.last = max(self.longest, self.now - self.last), self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


class Slow:
    """A lazy image whose windows take time."""

    def __init__(self, pixels: np.ndarray, clock: Clock) -> None:
        self.shape, self.dtype, self.ndim = pixels.shape, pixels.dtype, pixels.ndim
        self._read = clock.spend(WINDOW_S, pixels.__getitem__)

    def __getitem__(self, key) -> np.ndarray:
        return self._read(key)


@pytest.fixture
def sample(clock, monkeypatch) -> Sample:
    """A large image of 180 windows, with strokes."""
    monkeypatch.setattr(sampling, "LARGE_PX", 2**18)
    monkeypatch.setattr("napari_pu_segment.core.filters.features._MAP_BYTES", 2**20)
    labels = np.zeros(PIXELS.shape[1:], np.uint8)
    labels[20:24, 8:30], labels[35:37, 8:30] = POSITIVE, NEGATIVE
    assert len(sampling.windows(labels.shape)) > 100
    return Sample(Slow(PIXELS, clock), labels)


def test_looking_at_a_large_image(clock, sample):
    plain = Sample(PIXELS, sample.labels)
    for look in (
        lambda seen: measure([seen]),
        lambda seen: training_doubts([seen]),
        lambda seen: sampling.n_usable(seen),
        lambda seen: sampling.usable_places(seen),
    ):
        found = clock.drive(look(sample))
        assert np.array_equal(found, run(look(plain)))
        assert 0 < clock.longest < 0.3


def test_training_on_a_large_image(clock, sample):
    fields = {"n_steps": 2, "threads": 1, "sigmas_px": (1.0,), "width": 8, "statistics": "image", "prior": "fixed"}
    settings = PuSettings().changed(fields)
    model = clock.drive(train([sample], settings))
    assert clock.longest < 1
    clock.drive(model.for_image(sample.image))
    assert clock.longest < 0.3


@pytest.mark.parametrize("name", ["tiled.tif", "imagej.tif", "x.ome.zarr"])
def test_putting_a_large_output_at_its_place(clock, tmp_path, name, monkeypatch):
    monkeypatch.setattr("napari_pu_segment.io.zarr_write.CHUNK_PX", 64)
    monkeypatch.setattr(tiff_write, "_BAND_PX", 64)
    monkeypatch.setattr(tiff_write, "_TILE_PX", 64)
    monkeypatch.setattr(tiff_write, "_FLUSH_BYTES", 2**16)
    if name == "tiled.tif":
        monkeypatch.setattr(tiff_write, "LAZY_BYTES", 2**16)
    output = create_output(tmp_path / name, RESULT.shape, np.float32)
    output[...] = RESULT
    monkeypatch.setattr(ZarrSource, "read", clock.spend(0.2, ZarrSource.read))
    monkeypatch.setattr(os, "fsync", clock.spend(0.2, os.fsync))
    path = clock.drive(output.finishing())
    assert clock.longest < 1
    clock.spend(3, lambda: None)()
    assert run(identity.stored(path)).n_bytes > RESULT.nbytes / 2


@pytest.mark.parametrize("name", ["tiled.tif", "imagej.tif", "x.ome.zarr"])
def test_cancelling_that_costs_nothing_that_was_written(tmp_path, name, monkeypatch):
    monkeypatch.setattr("napari_pu_segment.io.zarr_write.CHUNK_PX", 128)
    monkeypatch.setattr(tiff_write, "_TILE_PX", 128)
    monkeypatch.setattr(tiff_write, "_BAND_PX", 128)
    monkeypatch.setattr(progress.Ticker, "due", lambda self: True)
    if name == "tiled.tif":
        monkeypatch.setattr(tiff_write, "LAZY_BYTES", 2**16)
    output = create_output(tmp_path / name, RESULT.shape, np.float32)
    output[...] = RESULT
    total = sum(1 for _ in output.finishing())
    right = run(identity.stored(tmp_path / name))
    for step in range(1, total + 1, 3):
        output = create_output(tmp_path / name, RESULT.shape, np.float32)
        output[...] = RESULT
        work = output.finishing()
        for _ in range(step):
            next(work)
        work.close()
        output.finish()
        assert run(identity.stored(tmp_path / name)) == right
        assert os.listdir(tmp_path) == [name]
    assert total >= 4


def test_hashing_and_small_pictures(clock, tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "_READ_BYTES", 2**16)
    (tmp_path / "x.tif").write_bytes(PIXELS.tobytes())
    monkeypatch.setattr(identity, "open", lambda path, how: _SlowFile(clock, path.open(how)), raising=False)
    found = clock.drive(identity.stored(tmp_path / "x.tif"))
    assert clock.longest < 0.3
    monkeypatch.delattr(identity, "open")
    assert found == run(identity.stored(tmp_path / "x.tif"))
    monkeypatch.setattr(pictures, "_BAND_PX", 16)
    picture = clock.drive(pictures.thumbnail(Slow(PIXELS, clock), PIXELS[0], 0.5))
    assert clock.longest < 0.3
    assert picture == run(pictures.thumbnail(PIXELS, PIXELS[0], 0.5))


class _SlowFile:
    def __init__(self, clock: Clock, handle) -> None:
        self._handle, self.read = handle, clock.spend(WINDOW_S, handle.read)

    def __enter__(self) -> _SlowFile:
        return self

    def __exit__(self, *_) -> None:
        self._handle.close()
