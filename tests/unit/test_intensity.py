from __future__ import annotations

import numpy as np
import pytest

from napari_pu_segment.core.images.intensity import measure, normalise
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import Sample


def test_percentiles_of_a_ramp():
    image = np.arange(1001.0).reshape(1, 7, 143)
    (stats,) = run(measure([Sample(image)]))
    assert (stats.low, stats.high) == pytest.approx((10.0, 995.0))
    out = normalise(image, [stats])
    assert out.dtype == np.float32
    assert out.flat[10] == 0
    assert out.flat[995] == 1


@pytest.mark.parametrize("transform", ["linear", "asinh"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.float16, np.float32, np.float64, bool])
def test_any_dtype(transform, dtype):
    image = np.random.default_rng(0).random((2, 30, 30)) * 200
    image = image > 100 if dtype is bool else image.astype(dtype)
    out = normalise(image, run(measure([Sample(image)], transform)))
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    assert out.std() > 0.1


@pytest.mark.parametrize("transform", ["linear", "asinh"])
def test_nan_inf_and_outliers_change_nothing_much(transform):
    clean = np.random.default_rng(0).normal(1e-10, 1e-11, (1, 64, 64)).astype(np.float32)
    dirty = clean.copy()
    dirty[0, 0, :5] = [np.nan, np.inf, -np.inf, 1, -1]
    (a,), (b,) = run(measure([Sample(clean)], transform)), run(measure([Sample(dirty)], transform))
    assert b.low == pytest.approx(a.low, rel=0.02)
    assert b.high == pytest.approx(a.high, rel=0.02)
    out = normalise(dirty, [b])
    assert np.isfinite(out).all()
    assert out[0, 0, :3].tolist() == [0, 0, 0]
    assert out[0, 0, 3] == 2  # clipped


@pytest.mark.parametrize("value", [0, 7.5, np.nan])
def test_constant_and_empty_of_sense(value):
    image = np.full((1, 5, 5), value)
    assert normalise(image, run(measure([Sample(image)]))).tolist() == np.zeros((1, 5, 5)).tolist()


def test_asinh_shows_faint_sources():
    image = np.random.default_rng(0).normal(0, 1, (1, 100, 100))
    image[0, 10, :50] = 5  # faint
    image[0, 50:60, 50:60] = 1000  # bright
    linear, asinh = (normalise(image, run(measure([Sample(image)], t))) for t in ("linear", "asinh"))
    assert linear[0, 10, 5] < 0.02
    assert asinh[0, 10, 5] > 0.2
