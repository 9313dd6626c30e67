"""Prediction from the view outwards: the bits of the whole prediction, the view first, whatever is kept of features."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pu_segment.core.compute import stream as stream_module
from napari_pu_segment.core.compute.stream import stream
from napari_pu_segment.core.compute.tiles import map_tiles
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import Sample, codes_from_masks
from napari_pu_segment.core.training.fit import FeatureCache

QUICK = METHODS["pu"].settings(n_steps=5, prior="fixed", class_prior=0.2, threads=1)


def textured(shape, seed=0):
    """An image (C, [Z,] Y, X) with something in it at all scales, and a stroke."""
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 1, shape).cumsum(-1).cumsum(-2).astype(np.float32)
    painted = np.zeros(shape[1:], bool)
    painted[..., 10:14, 10:30] = True
    return Sample(image, codes_from_masks(painted))


def taught(sample, cache=None, **settings):
    return run(METHODS["pu"].train([sample], QUICK.changed(settings), cache=cache))


def window_at(shape, at, side):
    return tuple(slice(max(0, a - side // 2), min(n, a + side // 2)) for a, n in zip(at, shape, strict=True))


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((1, 150, 170), {}),
        ((2, 3, 90, 100), {}),
        ((1, 6, 70, 66), {"dimensions": "volume", "sigmas_px": (0.7, 1.6)}),
        ((1, 200, 210), {"network": "unet"}),
    ],
    ids=["image", "stack", "volume", "unet"],
)
@pytest.mark.parametrize("cached", [False, True])
def test_a_window_has_the_bits_of_the_whole(shape, settings, cached):
    if settings.get("network"):
        pytest.importorskip("monai")
    sample, cache = textured(shape), FeatureCache()
    model = taught(sample, cache, **settings)
    whole = run(map_tiles(model, sample.image))[0]
    assert whole.std() > 0
    spatial = shape[1:]
    window = window_at(spatial, [n // 4 for n in spatial], 40)
    out, done = np.full(spatial, np.nan, np.float32), np.zeros(spatial, bool)
    for report in stream(model, sample, out, window=window, cache=cache if cached else None, side_px=32):
        for part in report.parts:
            assert not done[part].any(), "no part comes twice"
            done[part] = True
        assert np.array_equal(out[done], whole[done])
        if not done.all():
            assert np.isnan(out[~done]).all(), "nothing is written that was not told"
    assert done.all()
    assert out.tobytes() == whole.tobytes()


def test_what_is_looked_at_comes_first(monkeypatch):
    monkeypatch.setattr(stream_module.Ticker, "due", lambda self: True)
    sample = textured((1, 4, 128, 128))
    model = taught(sample, sigmas_px=(0.7,))
    window = (slice(2, 3), slice(96, 128), slice(0, 32))
    out = np.empty(sample.spatial_shape, np.float32)
    reports = list(stream(model, sample, out, window=window, side_px=32))
    parts = [part for report in reports for part in report.parts]
    assert len(reports) == len(parts) == 4 * 4 * 4
    assert parts[0] == window
    assert [part[0].start for part in parts[:16]] == [2] * 16, "the plane on screen comes before the others"
    assert (reports[-1].step, reports[-1].total) == (64, 64)


def test_features_that_are_kept_are_not_computed_again(monkeypatch):
    sample, cache = textured((1, 90, 100)), FeatureCache()
    model = taught(sample, cache)
    monkeypatch.setattr(type(model.network), "stem", lambda self, x: pytest.fail("the features were kept"))
    out = np.empty(sample.spatial_shape, np.float32)
    run(stream(model, sample, out, cache=cache))
    other = textured((1, 90, 100), seed=1)
    with pytest.raises(pytest.fail.Exception):
        run(stream(model, other, out, cache=cache))


def test_an_image_of_other_channels_is_refused():
    model = taught(textured((1, 60, 60)))
    with pytest.raises(InputError, match="2 channel"):
        run(stream(model, textured((2, 60, 60)), np.empty((60, 60), np.float32)))
