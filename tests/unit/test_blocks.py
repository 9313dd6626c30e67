"""Large images block by block: the bits of the whole, whatever the blocks; bounded reads; writes that never overlap."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pu_segment.core.compute import regions
from napari_pu_segment.core.compute.blocks import Counts, blocks, measure_planes, predict_block, refine_block
from napari_pu_segment.core.compute.tiles import map_tiles
from napari_pu_segment.core.crf import CrfSettings, Refiner, refine
from napari_pu_segment.core.crf import windowing as crf_windows
from napari_pu_segment.core.errors import InputError, OutOfMemoryError
from napari_pu_segment.core.images import sampling
from napari_pu_segment.core.networks import NETWORKS
from napari_pu_segment.core.pipeline import covered, segment, segment_into
from napari_pu_segment.core.progress import Progress, run
from napari_pu_segment.core.samples import IGNORE, POSITIVE
from tests.contract.test_networks import make_model

GRID = CrfSettings(backend="grid")


class Lazy:
    """An image that is read in parts alone, and knows the largest one."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.ndim = array, array.shape, array.dtype, array.ndim
        self.largest = 0

    def __getitem__(self, where):
        part = self.array[where]
        self.largest = max(self.largest, part.size)
        return part

    def __array__(self, *_, **__):
        raise AssertionError("the whole image was read")


class Store:
    """An output: chunks of `block_px`; a chunk that was written is never touched again."""

    def __init__(self, shape, dtype, block_px=()):
        self.array, self.shape, self.dtype, self.block_px = np.zeros(shape, dtype), shape, np.dtype(dtype), block_px
        self._chunks = set()

    def __setitem__(self, where, values):
        assert values.dtype == self.dtype
        self.array[where] = values
        if self.block_px:
            spans = [range(w.start // b, -(-w.stop // b)) for w, b in zip(where, self.block_px, strict=True)]
            chunks = {tuple(chunk) for chunk in np.array(np.meshgrid(*spans)).reshape(len(spans), -1).T.tolist()}
            assert not chunks & self._chunks, "two blocks wrote into one chunk"
            self._chunks |= chunks

    def __getitem__(self, where):
        return self.array[where]


def stores(shape, block_px=(), names=("probability", "mask", "refined")):
    return {name: Store(shape, np.float32 if name == "probability" else np.uint8, block_px) for name in names}


@pytest.fixture
def small(monkeypatch):
    """Blocks and windows of a few dozen pixels, so that small images have many."""
    monkeypatch.setattr(regions, "PLANE_BLOCK_PX", (64, 64))
    monkeypatch.setattr(regions, "VOLUME_BLOCK_PX", (8, 32, 32))
    monkeypatch.setattr(sampling, "_GRID_PX", 5000)
    monkeypatch.setattr(crf_windows, "WHOLE_PX", 64)
    monkeypatch.setattr(crf_windows, "WINDOW_PX", (32, 32))
    monkeypatch.setattr(crf_windows, "VOLUME_WINDOW_PX", (4, 32, 32))
    monkeypatch.setattr(crf_windows, "_HALO_RANGE_PX", (8, 16))
    monkeypatch.setattr(crf_windows, "_SAMPLES", {2: (2, 24), 3: (2, 8)})


def noise(*shape, seed=0):
    return np.random.default_rng(seed).random(shape).astype(np.float32)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", list(NETWORKS))
def test_predicted_blocks_are_the_bits_of_the_whole(name):
    model = make_model(name)
    shape = {"pixel": (150, 300), "resnet18": (20, 760)}.get(name, (70, 530))  # more than one window
    image = Lazy(noise(2, *shape))
    outs = stores(shape, (32, 64), ("probability", "mask"))
    todo = blocks(model, image.shape, outs)
    assert len(todo) > 1
    total = sum((run(predict_block(model, image, outs, block)) for block in todo[::-1]), Counts())
    whole = run(map_tiles(model, image.array))[0]
    np.testing.assert_array_equal(outs["probability"].array, whole)
    np.testing.assert_array_equal(outs["mask"].array, whole >= 0.5)
    assert total == Counts(whole.size, int((whole >= 0.5).sum()))
    if name == "pixel":
        assert image.largest < image.array.size / 3


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("axes", "shape", "ndim"), [("CTYX", (3, 70, 80), 2), ("CZYX", (9, 70, 50), 3)])
@pytest.mark.parametrize("block_px", [(), (2, 48, 40)])
def test_time_and_volumes_in_blocks(axes, shape, ndim, block_px):
    model = make_model("pixel", ndim=ndim, stack=True)
    image = Lazy(noise(2, *shape))
    outs = stores(shape, block_px, ("probability",))
    for block in blocks(model, image.shape, outs):
        run(predict_block(model, image, outs, block))
    np.testing.assert_array_equal(outs["probability"].array, run(map_tiles(model, image.array, axes=axes))[0])


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("planewise", [True, False])
@pytest.mark.parametrize(
    ("axes", "shape"), [("CYX", (100, 150)), ("CYX", (20, 170)), ("CTYX", (2, 40, 90)), ("CTZYX", (2, 6, 40, 50))]
)
def test_refined_regions_are_the_bits_of_the_whole(axes, shape, planewise):
    image, probability = noise(2, *shape), noise(*shape, seed=1)
    labels = (noise(*shape, seed=2) < 0.01).astype(np.uint8) * IGNORE
    settings = GRID.changed({"planewise": planewise})
    whole = run(refine(image, probability, settings, labels=labels, axes=axes, threshold=0.4))
    assert 0 < whole.mask.mean() < 1
    with Refiner(image, probability, settings, labels=labels, axes=axes, threshold=0.4) as refiner:
        known = run(measure_planes(refiner))
    lazy = {"image": Lazy(image), "probability": Lazy(probability)}
    outs = stores(shape, (1,) * (len(shape) - 2) + (48, 40), ("refined",))
    counts = Counts()
    with Refiner(**lazy, settings=settings, labels=labels, axes=axes, threshold=0.4, figures=known) as refiner:
        todo = refiner.regions(outs["refined"].block_px)
        assert len(todo) > 1
        for block in todo[::-1]:
            counts += run(refine_block(refiner, outs["refined"], block))
        if len(shape) == 2:
            odd = (slice(7, 19), slice(25, 133))
            np.testing.assert_array_equal(run(refiner.region(odd)), whole.probability[odd])
    np.testing.assert_array_equal(outs["refined"].array, whole.mask)
    assert counts == Counts(int((labels == 0).sum()), int(whole.mask.sum()))


@pytest.mark.usefixtures("small")
def test_segment_into_gives_the_bits_of_segment_and_reads_no_more_than_a_block():
    model, shape = make_model("pixel"), (200, 210)
    image, labels = noise(2, *shape), np.zeros(shape, np.uint8)
    labels[20:40, 30:90], labels[100, 100:110] = IGNORE, POSITIVE
    result = run(segment(model, image, labels=labels, threshold=0.45, crf=GRID))
    lazy, outs, reports = Lazy(image), stores(shape, (32, 32)), []
    summary = run(segment_into(model, lazy, outs, labels=labels, threshold=0.45, crf=GRID), reports.append)
    for name, out in outs.items():
        np.testing.assert_array_equal(out.array, getattr(result, name))
    assert summary.positive_fraction == covered(result.mask, labels)
    assert summary.refined_fraction == covered(result.refined, labels)
    assert (summary.threshold, summary.refined_by) == (0.45, "grid")
    assert lazy.largest < image.size / 3
    steps = [report.step / report.total for report in reports if report.total]
    assert steps == sorted(steps)
    assert 0 < steps[0] < steps[-1] == 1


@pytest.mark.usefixtures("small")
def test_every_part_of_a_result_is_told_once():
    model, outs, reports = make_model("pixel"), stores((150, 130)), []
    run(segment_into(model, noise(2, 150, 130), outs, crf=GRID), reports.append)
    for message in ("Predicting", "Refining"):
        told = np.zeros((150, 130), int)
        for report in reports:
            for part in report.parts if report.message == message else ():
                told[part] += 1
        np.testing.assert_array_equal(told, 1)


@pytest.mark.usefixtures("small")
def test_refining_into_an_output_holds_no_image():
    image, probability = noise(1, 130, 140), noise(130, 140, seed=1)
    whole = run(refine(image, probability, GRID))
    out = Store((130, 140), np.uint8)
    refined = run(refine(Lazy(image), Lazy(probability), GRID, out=out))
    assert refined.mask is out
    assert refined.probability is None
    np.testing.assert_array_equal(out.array, whole.mask)


@pytest.mark.parametrize(
    ("names", "shape", "words"),
    [
        (("refined",), (40, 50), "probability too"),
        (("instances",), (40, 50), "no result called 'instances'"),
        (("mask",), (40, 51), "cannot be written"),
    ],
)
def test_outputs_that_do_not_fit_are_refused(names, shape, words):
    with pytest.raises(InputError, match=words):
        run(segment_into(make_model("pixel"), noise(2, 40, 50), stores(shape, (), names)))


def test_a_block_halves_its_tiles_when_memory_runs_out_but_never_a_given_one(monkeypatch):
    model, image = make_model("pixel"), noise(2, 150, 150)
    whole = run(map_tiles(model, image))[0]
    sides, real = [], type(model).predict

    def scarce(self, tile):
        sides.append(max(tile.shape))
        if max(tile.shape) > 120:
            raise MemoryError
        return real(self, tile)

    monkeypatch.setattr(type(model), "predict", scarce)
    outs, reports = stores((150, 150), (), ("probability",)), list[Progress]()
    run(predict_block(model, image, outs, (slice(0, 150), slice(0, 150))), reports.append)
    np.testing.assert_array_equal(outs["probability"].array, whole)
    assert any("Memory ran out" in report.message for report in reports)
    assert min(sides) < 120 < max(sides)
    with pytest.raises(OutOfMemoryError, match="150 px"):
        run(predict_block(model, image, outs, (slice(0, 150), slice(0, 150)), tile_px=500))


def test_a_plane_of_up_to_2048_px_is_one_block_and_one_window():
    for shape, n_windows in (((2048, 2048), 1), ((2049, 10), 3), ((3000, 2048), 6)):
        everything = tuple(slice(0, n) for n in shape)
        assert len(crf_windows.windows(shape, everything, 4.0)) == n_windows
        plane = np.zeros(shape, np.uint8)
        assert len(Refiner(plane[None], plane, GRID).regions()) == (1 if n_windows == 1 else 2)


def test_windows_cover_a_plane_once_and_read_their_halo():
    shape = (2500, 3100)
    seen = np.zeros(shape, np.uint8)
    for window in crf_windows.windows(shape, tuple(slice(0, n) for n in shape), 20.0):
        seen[window.inner] += 1
        for inner, outer, n in zip(window.inner, window.outer, shape, strict=True):
            assert (outer.start, outer.stop) == (max(0, inner.start - 40), min(n, inner.stop + 40))
    assert (seen == 1).all()
