"""What every row of SPLITTERS promises."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pu_segment.core.objects import SPLITTERS, ObjectSettings, find_objects
from napari_pu_segment.core.progress import Progress, run


@pytest.fixture(params=[(60, 70), (4, 30, 40)], ids=["image", "stack"])
def blobs(request):
    """Mask and probability of smooth blobs."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(0).normal(size=request.param)
    smooth = gaussian_filter(noise, [1] * (noise.ndim - 2) + [3, 3])
    probability = (1 / (1 + np.exp(-30 * smooth))).astype(np.float32)
    return (probability >= 0.5).astype(np.uint8), probability


@pytest.mark.parametrize("planewise", [True, False])
@pytest.mark.parametrize("splitter", SPLITTERS)
def test_objects_cover_the_mask_and_lie_in_one_piece_each(blobs, splitter, planewise):
    mask, probability = blobs
    before = mask.copy(), probability.copy()
    settings = ObjectSettings(splitter=splitter, min_size_px=1, planewise=planewise)
    labels = run(find_objects(mask, settings, probability=probability))
    assert (labels.shape, labels.dtype) == (mask.shape, np.int32)
    assert np.array_equal(labels > 0, mask > 0), "a split gives every pixel to one object"
    numbers, first = np.unique(labels[labels > 0], return_index=True)
    assert numbers.tolist() == list(range(1, labels.max() + 1))
    assert (np.diff(first) > 0).all(), "numbered as one reads"
    for number in numbers:
        alone = ObjectSettings(min_size_px=1, planewise=False)
        assert run(find_objects(labels == number, alone)).max() == 1
    assert np.array_equal(mask, before[0])
    assert np.array_equal(probability, before[1])
    assert np.array_equal(labels, run(find_objects(mask, settings, probability=probability)))


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_it_reports_and_a_row_tells_what_it_is(blobs, splitter):
    mask, probability = blobs
    work = find_objects(mask, ObjectSettings(splitter=splitter), probability=probability)
    assert isinstance(next(work), Progress)
    work.close()
    row = SPLITTERS[splitter]
    assert row.title
    assert any(letter.isdigit() for letter in row.reference)
