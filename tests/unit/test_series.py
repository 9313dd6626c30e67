"""Series, stacks and series of stacks in what comes after the prediction: every time point on its own, or refused."""

from __future__ import annotations

import numpy as np
import pytest
from dask import array as dask_array

from napari_pu_segment.core.coverage import measure_coverage
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.files.packing import pack
from napari_pu_segment.core.files.record import Made, Training, load_record, make_record, save_record
from napari_pu_segment.core.files.replay import replay
from napari_pu_segment.core.images.doubts import doubts
from napari_pu_segment.core.images.rim import find_rim
from napari_pu_segment.core.methods.pu import PuSettings, train
from napari_pu_segment.core.objects import ObjectSettings, find_objects
from napari_pu_segment.core.objects.measure import measure_objects
from napari_pu_segment.core.pipeline import segment
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import NEGATIVE, POSITIVE, Sample
from napari_pu_segment.core.suggest import SuggestSettings, suggest
from napari_pu_segment.core.suggest.uncertainty import uncertainty
from napari_pu_segment.core.training.judge import judge
from napari_pu_segment.core.training.patches import find_strokes

SHAPES = {"CTYX": (3, 48, 56), "CTZYX": (2, 3, 48, 56)}
QUICK = PuSettings(n_steps=10, prior="fixed", class_prior=0.2, threads=1, sigmas_px=(1.0, 2.0))


def moving(axes):
    """A square that moves with time, with strokes at the first time point; and where it is."""
    shape = SHAPES[axes]
    truth = np.zeros(shape, bool)
    for t in range(shape[0]):
        truth[t, ..., 10 + 6 * t : 24 + 6 * t, 20:34] = True
    image = np.random.default_rng(0).normal(np.where(truth, 100, 30), 5)[None].astype(np.float32)
    labels = np.zeros(shape, np.uint8)
    first = (0,) * (len(shape) - 2)
    labels[first][14:16, 22:32], labels[first][18:20, 22:32] = POSITIVE, POSITIVE
    labels[first][40:42, 5:30], labels[first][3:5, 5:30] = NEGATIVE, NEGATIVE
    return Sample(image, labels, axes=axes, pixel_size=(0.5, 0.5)), truth


@pytest.fixture(scope="module", params=list(SHAPES))
def case(request):
    sample, truth = moving(request.param)
    model = run(train([sample], QUICK))
    return sample, truth, model, run(segment(model, sample.image, labels=sample.labels, axes=sample.axes))


def test_objects_do_not_go_through_time(case):
    sample, truth, _, _ = case
    settings = ObjectSettings(planewise=False)
    labels = run(find_objects(truth, settings, axes=sample.axes))
    assert labels.max() == len(truth), "one object at each time, though they overlap"
    for t in range(len(truth)):
        assert np.unique(labels[t]).tolist() == [0, t + 1]
        alone = run(find_objects(truth[t], settings))
        assert np.array_equal(labels[t] > 0, alone > 0)
    if sample.axes == "CTYX":
        assert run(find_objects(truth, settings)).max() == 1, "three axes that nobody names are planes"


def test_tables_tell_the_frame(case):
    sample, truth, _, _ = case
    labels = run(find_objects(truth, ObjectSettings(planewise=False), axes=sample.axes))
    table = run(measure_objects(labels, sample.image, pixel_size=sample.pixel_size, pixel_unit="µm", axes=sample.axes))
    assert table.columns["frame"].tolist() == list(range(len(truth)))
    assert "plane" not in table.columns
    assert table.columns["centroid_y_px"].tolist() == [16.5 + 6 * t for t in range(len(truth))]
    n_planes = 1 if sample.axes == "CTYX" else truth.shape[1]
    if n_planes == 1:
        assert table.columns["area_um2"].tolist() == [14 * 14 * 0.25] * len(truth)
    else:
        assert table.columns["volume_px"].tolist() == [14 * 14 * n_planes] * len(truth)
    by_plane = run(measure_objects(labels, planewise=True, axes=sample.axes))
    assert len(by_plane) == len(truth) * n_planes
    assert ("plane" in by_plane.columns) == (n_planes > 1)


def test_strokes_and_coverage_do_not_join_times(case):
    sample, truth, _, _ = case
    everywhere = np.where(truth, POSITIVE, 0).astype(np.uint8)
    painted = Sample(sample.image, everywhere, axes=sample.axes)
    assert len(find_strokes([painted])["positive"]) == len(truth)
    sparse = np.zeros(truth.shape, np.uint8)
    sparse[..., 20:22, 25:30] = POSITIVE
    found = find_strokes([Sample(sample.image, sparse, axes=sample.axes)])["positive"]
    assert len(found) == len(truth)
    assert sum(len(stroke.pixels) for stroke in found) == sparse.sum()
    chances = truth.astype(np.float32) * 0.9
    size = run(measure_coverage(chances, truth, axes=sample.axes)).object_px
    assert size == truth[0].sum()


def test_few_and_many_painted_pixels_make_the_same_strokes(monkeypatch):
    rng = np.random.default_rng(0)
    for axes, shape in (("CYX", (40, 50)), ("CZYX", (5, 20, 21)), ("CTYX", (5, 20, 21)), ("CTZYX", (3, 4, 15, 16))):
        labels = (rng.random(shape) < 0.05).astype(np.uint8)
        sample = Sample(np.zeros((1, *shape)), labels, axes=axes)
        found = []
        for few in (1, 10**9):
            monkeypatch.setattr("napari_pu_segment.core.training.patches._FEW", few)
            found.append([stroke.pixels.tolist() for stroke in find_strokes([sample])["positive"]])
        assert found[0] == found[1]
        assert 1 < len(found[0]) < labels.sum()


def test_suggestions_are_spread_over_time(case):
    sample, _, model, found = case
    work = suggest(sample, found.probability, 0.5, model, SuggestSettings(n=12, brush_px=3))
    places = run(work)
    assert len(places) == 12
    assert len({place.centre[0] for place in places}) == len(found.probability)
    assert all(sample.labels[place.centre] == 0 for place in places)


def test_rounds_uncertainty_and_rim(case):
    sample, truth, model, found = case
    assert uncertainty(found.probability, 0.5).shape == truth.shape
    judged = run(judge([sample], model))
    assert len(judged.strokes) == 4
    assert 0 < judged.coverage < 1
    rows, columns = np.ogrid[:90, :100]
    sky = np.where((rows - 44) ** 2 + (columns - 50) ** 2 < 40**2, 100.0, 0.0)
    frames = np.broadcast_to(sky, (1, *truth.shape[:-2], 90, 100))
    rim = find_rim(dask_array.from_array(frames, chunks=(1, *(1,) * (truth.ndim - 2), 32, 32)))
    assert (rim.row, rim.column, rim.radius_px) == pytest.approx((44, 50, 40), abs=2)
    assert rim.outside(frames.shape[1:]).shape == frames.shape[1:]


def test_a_series_is_recorded_and_replayed(case, tmp_path):
    sample, _, model, found = case
    training = Training("pu", QUICK, pack(sample.labels), model.card.tensors_sha256)
    settings = ObjectSettings(planewise=False)
    objects = run(find_objects(found.mask, settings, probability=found.probability, axes=sample.axes))
    record = run(make_record(Made(sample, None, [training], found, objects=(settings, objects))))
    save_record(record, tmp_path / "record.json")
    loaded = load_record(tmp_path / "record.json")
    assert loaded.image.axes == sample.axes
    assert run(replay(loaded, sample.image)).differing == []


def test_doubts_about_planes_and_statistics(case):
    sample, _, model, _ = case
    assert run(doubts(model.card, sample)) == ()
    bright = Sample(sample.image * 1000, axes=sample.axes)
    assert "intensities" in run(doubts(model.card, bright))[0]
    own = model.card.model_copy(update={"statistics": "image"})
    assert run(doubts(own, bright)) == ()
    spec = model.card.network.model_copy(update={"ndim": 3, "plane_px": 5.0})
    card = model.card.model_copy(update={"network": spec, "pixel_size": (2.5, 0.5, 0.5), "pixel_unit": "µm"})
    stack = np.zeros((1, 3, 9, 9)) + sample.image.mean()
    near, far = (Sample(stack, pixel_size=(d, 0.5, 0.5), pixel_unit="µm") for d in (2.5, 10.0))
    assert not any("planes" in sentence for sentence in run(doubts(card, near)))
    assert any("planes" in sentence and "20 px" in sentence for sentence in run(doubts(card, far)))


def test_what_is_no_image_is_refused():
    cube = np.ones((2, 2, 2, 5, 5), bool)
    with pytest.raises(InputError, match="planes and time"):
        run(find_objects(cube, ObjectSettings()))
    with pytest.raises(InputError, match="needs axes"):
        run(find_objects(cube[0], ObjectSettings(), axes="CTYX"))
