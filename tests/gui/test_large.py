"""Large images: read lazily, painted on in chunks, segmented from what is on screen outwards into temporary files."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari")

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.methods.pu import PuSettings
from napari_pu_segment.core.samples import IGNORE, NEGATIVE, POSITIVE
from napari_pu_segment.gui.session import Session
from napari_pu_segment.gui.viewer import boxes, masks, scratch, stores
from napari_pu_segment.gui.viewer.layers import LayerBook
from napari_pu_segment.gui.viewer.sparse import SparseLabels
from tests.helpers import dice, disks, strokes

QUICK = PuSettings(n_steps=20, prior="fixed", class_prior=0.2, threads=1, filters=("gaussian",), sigmas_px=(1.0,))
SHAPE = (300, 260)


class Counting:
    """An array that counts what is read of it, and refuses to be read whole."""

    def __init__(self, array, most):
        self.array, self.shape, self.dtype, self.ndim, self.most, self.read = (
            array,
            array.shape,
            array.dtype,
            array.ndim,
            most,
            0,
        )

    def __getitem__(self, key):
        part = self.array[key]
        assert part.size <= self.most, f"{part.shape} were read at once"
        self.read += part.size
        return part

    def __array__(self, *args, **kwargs):
        raise AssertionError("read whole")


def lazy(array, chunk=64, most=None):
    dask = pytest.importorskip("dask.array")
    counting = Counting(array, most or array.size // 2)
    return dask.from_array(counting, chunks=(*array.shape[:-2], chunk, chunk), asarray=False, fancy=False), counting


@pytest.fixture
def viewer(make_viewer):
    return make_viewer()


@pytest.fixture
def small(monkeypatch):
    """Images of this test count as large."""
    monkeypatch.setattr(stores, "LARGE_PX", 10_000)
    monkeypatch.setattr(stores, "COARSE_PX", 100)
    monkeypatch.setattr("napari_pu_segment.io.zarr_write.CHUNK_PX", 64)
    monkeypatch.setattr("napari_pu_segment.gui.viewer.grid.SPARSE_PX", 10_000)


@pytest.fixture
def session(viewer):
    session = Session(LayerBook(viewer))
    session.crf = None
    yield session
    session.close()


def wait(qtbot, session):
    qtbot.waitUntil(lambda: session.runner.current is None and not session.showing)


def big_disks():
    image, truth = disks()
    n = [-(-side // part) for side, part in zip(SHAPE, truth.shape, strict=True)]
    return tuple(np.tile(one, n)[: SHAPE[0], : SHAPE[1]] for one in (image[0], truth))


def put(session, image):
    session.choose_image(image)
    for role, code in (("positive", POSITIVE), ("negative", NEGATIVE)):
        session.book.put_strokes(image, role, strokes(SHAPE) == code)


# --- brush layers that are held in chunks


def test_sparse_labels_read_and_write_as_an_array_does():
    rng = np.random.default_rng(0)
    sparse, dense = SparseLabels((3, 1500, 1300)), np.zeros((3, 1500, 1300), np.uint8)
    assert not sparse.any()
    for _ in range(60):
        y, x, z = rng.integers(1400), rng.integers(1200), rng.integers(3)
        box = slice(z, z + 1), slice(y, y + rng.integers(1, 90)), slice(x, x + rng.integers(1, 90))
        sparse[box] = dense[box] = rng.integers(0, 2, dense[box].shape)
    points = tuple(rng.integers(0, n, 300) for n in dense.shape)
    sparse[points] = dense[points] = 1
    assert dense.any()
    assert np.array_equal(np.asarray(sparse), dense)
    for key in (1, (2, slice(5, 900, 3), slice(None, None, -7)), (..., 4), points, (0, 7, 8), (-1, -1)):
        assert np.array_equal(sparse[key], dense[key])
    again = np.zeros_like(dense)
    for box, block in sparse.blocks():
        again[box] = block
    assert np.array_equal(again, dense)
    with pytest.raises(IndexError):
        sparse[3]
    with pytest.raises(IndexError):
        sparse[np.array([0]), np.array([1500]), np.array([0])]


def test_a_copy_shares_what_is_painted_until_it_changes():
    sparse = SparseLabels((5000, 5000))
    sparse[1000:1010, 1000:1010] = 1
    twin = sparse.copy()
    assert twin.same(sparse)
    sparse[1005, 1005] = 0
    sparse[4000, 4000] = 1
    assert (twin[1005, 1005], twin[4000, 4000], twin[...].sum()) == (1, 0, 100)
    assert not twin.same(sparse)
    sparse[1005, 1005] = 1
    sparse[4000, 4000] = 0
    assert twin.same(sparse), "what is empty again is as if it had never been painted"


def test_painting_undo_and_snapshots_of_a_brush_layer_in_chunks(viewer, small):
    image = viewer.add_image(np.zeros(SHAPE), name="it")
    book, heard = LayerBook(viewer), []
    book.painted.connect(heard.append)
    book.add_brushes(image, book.classes.brushes)
    layer = book.member(image, "positive")
    assert isinstance(layer.data, SparseLabels)
    layer.paint((100, 50), 1)
    layer.events.paint(value=[])
    assert heard == [image]
    before = book.snapshot(image)
    n = before.sample().count(POSITIVE)
    assert n > 0
    book.stamp(image, "positive", (200, 100), 3)
    book.stamp(image, "negative", (250, 100), 3)
    book.stamp(image, "ignore", (200, 100), 1)
    sample = book.snapshot(image).sample()
    assert [sample.count(code) for code in (POSITIVE, NEGATIVE, IGNORE)] == [n + 29 - 5, 29, 5]
    assert before.sample().count(POSITIVE) == n, "a snapshot is not touched by later painting"
    layer.undo()
    assert book.snapshot(image).sample().count(POSITIVE) == n
    mask = np.zeros(SHAPE, bool)
    mask[10:20, 30:50] = True
    book.put_strokes(image, "positive", mask)
    assert np.array_equal(np.asarray(layer.data) != 0, mask)
    layer.undo()
    assert book.snapshot(image).sample().count(POSITIVE) == n


def test_brush_layers_of_huge_planes_are_coarser_and_lie_on_the_image(viewer, monkeypatch):
    monkeypatch.setattr("napari_pu_segment.gui.viewer.grid.BRUSH_PX", 7000)
    image = viewer.add_image(np.zeros((301, 260)), name="it", scale=(0.5, 0.5), translate=(10, 20), units=("um", "um"))
    book = LayerBook(viewer)
    book.add_brushes(image)
    layer = book.member(image, "positive")
    assert layer.data.shape == (76, 65), "a quarter of each side"
    assert np.allclose(layer.data_to_world((0, 0)), image.data_to_world((1.5, 1.5))), "the middle of 4 x 4 pixels"
    book.stamp(image, "positive", (101.5, 49.5), 0)
    sample = book.snapshot(image).sample()
    assert sample.image.shape == (1, 301, 260)
    assert sample.labels[100:104, 48:52].all()
    assert sample.count(POSITIVE) == 16
    mask = np.zeros((301, 260), bool)
    mask[5, 5] = mask[300, 100] = True
    book.put_strokes(image, "positive", mask)
    labels = book.snapshot(image).sample().labels
    assert labels[4:8, 4:8].all()
    assert labels[300, 100:104].all()
    assert labels.sum() == 20
    assert np.array_equal(book.snapshot(image).masks()["positive"], labels == POSITIVE)
    book.put_strokes(image, "positive", labels == POSITIVE)
    assert np.array_equal(book.snapshot(image).sample().labels, labels), "what was exported comes back as it was"
    with pytest.raises(InputError, match="measure"):
        book.put_strokes(image, "positive", mask[:100])


# --- results on disk


def test_a_large_array_reads_what_was_written_and_its_coarse_copies_follow(monkeypatch):
    monkeypatch.setattr(stores, "COARSE_PX", 100)
    monkeypatch.setattr("napari_pu_segment.io.zarr_write.CHUNK_PX", 64)
    rng = np.random.default_rng(0)
    array = stores.LargeArray((2, 301, 260), np.float32, "It")
    full, labels = rng.random(array.shape, np.float32), rng.integers(0, 4, array.shape, np.uint8)
    mask = masks.LargeMask(array, 0.4, labels)
    assert not np.asarray(array).any()
    assert not array.levels[1].any()
    for z in range(2):
        for y in range(0, 301, 70):
            array[z : z + 1, y : y + 70] = full[z : z + 1, y : y + 70]
    assert np.array_equal(np.asarray(array), full)
    assert np.array_equal(array[1, 5:200:3, ::-2], full[1, 5:200:3, ::-2])
    assert np.array_equal(array.levels[1], full[:, 2::4, 2::4])
    expected = (full >= np.float32(0.4)) & (labels != IGNORE)
    assert np.array_equal(np.asarray(mask), expected)
    assert np.array_equal(np.asarray(mask.levels[1][...]), expected[:, 2::4, 2::4])
    wide = masks.displayed(array, (2, 1, 301, 260))
    assert [level.shape for level in wide] == [(2, 1, 301, 260), (2, 1, 75, 65)]
    assert np.array_equal(wide[0][1, 0, 10:20, 7], full[1, 10:20, 7])
    array[0:1, 0:10, 0:10] = 7
    assert (array[0, :10, :10] == 7).all(), "what is kept in memory of it follows"
    monkeypatch.setattr(boxes, "WHOLE_PX", 1000)
    with pytest.raises(InputError, match="too large"):
        np.asarray(array)


def test_a_large_array_goes_with_its_last_reference(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "_root", lambda: tmp_path)
    array = stores.LargeArray((100, 100), np.float32, "It")
    array[:50] = 1
    assert len(list(tmp_path.iterdir())) == 1
    del array
    assert list(tmp_path.iterdir()) == []


def test_no_room_is_said_before_anything_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "_root", lambda: tmp_path)
    with pytest.raises(InputError, match="TMPDIR"):
        stores.LargeArray((2**22, 2**22), np.float32, "The result of 'slide'")
    assert list(tmp_path.iterdir()) == []


def train(qtbot, session, image, **kwargs):
    session.choose_image(image)
    session.train("pu", QUICK, warm=False, **kwargs)
    wait(qtbot, session)


def test_a_large_lazy_image_is_segmented_as_a_small_one_and_never_read_whole(
    viewer, session, qtbot, small, monkeypatch
):
    data, truth = big_disks()
    array, counting = lazy(data)
    image = viewer.add_image(array, name="it", contrast_limits=(0, 200))
    put(session, image)
    with pytest.raises(AssertionError):
        np.asarray(counting)
    train(qtbot, session, image)
    result = session.result
    assert result.large
    assert not result.preview
    layer = session.book.member(image, "probability")
    assert layer.multiscale
    assert session.book.member(image, "mask").multiscale
    assert [level.shape for level in layer.data] == [SHAPE, (75, 65)]
    probability, mask = (np.asarray(part) for part in (result.segmentation.probability, result.segmentation.mask))
    assert dice(mask, truth) > 0.8
    monkeypatch.setattr(stores, "LARGE_PX", 10**9)
    train(qtbot, session, image)
    assert not session.result.large
    assert isinstance(session.result.segmentation.probability, np.ndarray)
    assert np.array_equal(session.result.segmentation.probability, probability), "the same, to the bit"
    assert np.array_equal(session.result.segmentation.mask, mask)
    assert not session.book.member(image, "probability").multiscale


def test_what_is_on_screen_is_predicted_first(viewer, session, qtbot, small):
    data, _ = big_disks()
    image = viewer.add_image(lazy(data)[0], name="it", contrast_limits=(0, 200))
    put(session, image)
    viewer.canvas.size = (40, 40)
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0, 280, 240), 1.0
    window = session.book.window(image)
    assert window.slices == (slice(260, 300), slice(220, 260))
    parts = []
    session.job_started.connect(lambda job: job.progress.connect(lambda progress: parts.extend(progress.parts)))
    train(qtbot, session, image)
    assert len(parts) == 25
    assert parts[0] == (slice(256, 300), slice(192, 256))
    assert parts[-1] == (slice(0, 64), slice(0, 64))


def test_cancelling_keeps_what_is_there(viewer, session, qtbot, small, monkeypatch):
    data, _ = big_disks()
    image = viewer.add_image(lazy(data)[0], name="it", contrast_limits=(0, 200))
    put(session, image)
    held, seen, said = stream_that_waits(monkeypatch), [], []
    session.said.connect(lambda text, failed: said.append(text))
    session.result_changed.connect(seen.append)
    session.choose_image(image)
    session.train("pu", QUICK, warm=False)
    qtbot.waitUntil(lambda: bool(seen) and not session.showing)
    assert seen[0].preview
    session.cancel()
    held.clear()
    wait(qtbot, session)
    assert said[-1] == "Training was cancelled; what is segmented so far stays."
    probability = session.result.segmentation.probability
    assert probability is seen[0].segmentation.probability
    assert 0 < len(probability.written) < 25
    assert session.book.member(image, "probability").data[0] is probability
    session.set_threshold(0.99)
    assert np.asarray(session.result.segmentation.mask).sum() <= np.asarray(seen[0].segmentation.mask).sum()
    assert session.model is seen[0].model
    train(qtbot, session, image)
    assert not session.result.preview
    assert len(session.result.segmentation.probability.written) == 25


def stream_that_waits(monkeypatch):
    """Makes prediction stop after three tiles, until the list that comes back is emptied."""
    import time

    from napari_pu_segment.core.progress import Progress
    from napari_pu_segment.gui import work

    held = [True]

    def stream(*args, **kwargs):
        for number, report in enumerate(real(*args, **kwargs)):
            yield report
            while number >= 2 and held:
                time.sleep(0.01)
                yield Progress(0, 0, "Waiting")

    real = work.stream
    monkeypatch.setattr("napari_pu_segment.core.compute.stream.Ticker.due", lambda self: True)
    monkeypatch.setattr(work, "stream", stream)
    return held


def test_a_threshold_moves_a_large_mask_and_ignored_pixels_stay_out(viewer, session, qtbot, small):
    data, _ = big_disks()
    image = viewer.add_image(lazy(data)[0], name="it", contrast_limits=(0, 200))
    put(session, image)
    ignore = np.zeros(SHAPE, bool)
    ignore[150:250] = True
    session.book.put_strokes(image, "ignore", ignore)
    train(qtbot, session, image)
    probability = np.asarray(session.result.segmentation.probability)
    for threshold in (0.2, 0.8):
        session.set_threshold(threshold)
        expected = (probability >= np.float32(threshold)) & ~ignore
        mask = session.result.segmentation.mask
        assert np.array_equal(np.asarray(mask), expected)
        assert np.array_equal(np.asarray(mask.levels[1]), expected[2::4, 2::4])
        qtbot.waitUntil(lambda: not session.showing)
        assert session.book.member(image, "mask").data[0] is mask


def test_a_large_result_is_refined_on_disk(viewer, session, qtbot, small):
    from napari_pu_segment.core.crf import CRF_PRESETS

    data, truth = big_disks()
    image = viewer.add_image(lazy(data)[0], name="it", contrast_limits=(0, 200))
    put(session, image)
    session.crf = next(iter(CRF_PRESETS.values()))
    train(qtbot, session, image)
    wait(qtbot, session)
    refined = session.result.segmentation.refined
    assert isinstance(refined, stores.LargeArray)
    assert dice(np.asarray(refined), truth) > 0.8
    assert session.book.member(image, "refined").multiscale
    assert session.result.crf == session.crf


def test_an_array_that_is_neither_numpy_nor_dask_is_read_in_parts(viewer):
    data = np.random.default_rng(0).integers(0, 255, (6, *SHAPE), dtype=np.uint8)
    array = Counting(data, data.size // 6)
    image = viewer.add_image(array, name="it", contrast_limits=(0, 255))
    book = LayerBook(viewer)
    book.add_brushes(image)
    shown = array.read
    sample = book.snapshot(image).sample()
    assert array.read == shown, "a sample reads nothing"
    assert sample.image.shape == (1, *data.shape)
    assert np.array_equal(np.asarray(sample.image[:, 2, 5:9]), data[None, 2, 5:9])
    assert array.read == shown + 4 * SHAPE[1]
    book.channels.choose_axis(image, 0)
    assert np.array_equal(np.asarray(book.channels.grid(image).data[1, :3]), data[1, :3])


def test_a_chunk_of_dask_is_computed_once_for_all_that_is_read_of_it(viewer, monkeypatch):
    dask = pytest.importorskip("dask.array")
    computed, data = [], np.random.default_rng(0).integers(0, 255, (5, *SHAPE), dtype=np.uint8)

    def frame(block_info=None):
        at = block_info[None]["array-location"]
        computed.append((at[0][0], at[1][0]))
        return data[tuple(slice(*part) for part in at)]

    sizes = ((2, 2, 1), (64, *[50] * 3, SHAPE[0] - 214), (SHAPE[1],))  # not all of one size
    array = dask.map_blocks(frame, chunks=sizes, dtype=np.uint8, meta=data[:0])
    image = viewer.add_image(array, name="it", contrast_limits=(0, 255))
    book = LayerBook(viewer)
    book.add_brushes(image)
    sample = book.snapshot(image).sample()
    computed.clear()
    for row in range(0, 50, 5):
        assert np.array_equal(np.asarray(sample.image[:, 2, row : row + 5]), data[None, 2, row : row + 5])
        assert np.array_equal(np.asarray(array[2, row : row + 5]), data[2, row : row + 5])
    assert computed.count((2, 0)) == 11, "ten times by dask itself"
    assert np.array_equal(np.asarray(sample.image), data[None])
    computed.clear()
    monkeypatch.setattr("napari_pu_segment.gui.viewer.joined.MOST_PX", 1000)
    image_again = book.snapshot(image).sample().image
    assert np.array_equal(np.asarray(image_again[0, 4, ::7, 3]), data[4, ::7, 3]), "left to dask"
    assert computed


def test_channels_of_lazy_layers_are_joined_without_being_read(viewer):
    from napari_pu_segment.gui.viewer.joined import Joined

    class Lazy(Counting):
        def transpose(self, order):
            assert list(order) == [0, 1, 2]
            return self

    rng = np.random.default_rng(0)
    one, two = (rng.integers(0, 255, (n, *SHAPE)).astype(kind) for n, kind in ((2, np.uint8), (1, np.uint16)))
    image = Joined([Lazy(one, 5000), Lazy(two, 5000)])
    expected = np.concatenate([one, two])
    assert (image.shape, image.dtype, len(image)) == (expected.shape, expected.dtype, 3)
    for key in ((slice(None), slice(10, 20), slice(5, 50, 3)), (1, slice(0, 9), 7), (2, 3), (slice(1, 3), 4, 5)):
        assert np.array_equal(image[key], expected[key])
    with pytest.raises(AssertionError):
        np.asarray(image)


# --- what else is done with a large result


def test_suggestions_in_a_large_image_lie_where_one_looks(viewer, session, qtbot, small, monkeypatch):
    from napari_pu_segment.gui.paint.guide import Guide

    monkeypatch.setattr("napari_pu_segment.gui.paint.scope.SIDE_PX", 120)
    data, _ = big_disks()
    image = viewer.add_image(lazy(data)[0], name="it", contrast_limits=(0, 200))
    put(session, image)
    train(qtbot, session, image)
    guide = Guide(session)
    guide.start()
    viewer.canvas.size = (40, 40)
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0, 240, 200), 1.0
    guide.take_there()
    qtbot.waitUntil(lambda: guide.place is not None)
    row, column = guide.place.centre
    assert 180 <= row < 300
    assert 140 <= column < 260
    before = session.book.snapshot(image).sample().labels[row, column]
    assert before == 0
    guide.answer("positive")
    assert session.book.snapshot(image).sample().labels[row, column] == POSITIVE
    guide.stop()


@pytest.mark.parametrize("suffix", [".ome.zarr", ".tif"])
def test_a_large_result_is_kept_in_files(viewer, session, qtbot, small, tmp_path, suffix):
    from napari_pu_segment.gui.results.keep_button import KeepButton
    from napari_pu_segment.io import read_mask, read_probability

    button = KeepButton(session)
    qtbot.addWidget(button)
    data, _ = big_disks()
    image = viewer.add_image(lazy(data)[0], name="it", contrast_limits=(0, 200), scale=(0.5, 0.5), units=("um", "um"))
    put(session, image)
    assert not button.isVisibleTo(None)
    said = []
    session.said.connect(lambda text, failed: said.append((text, failed)))
    train(qtbot, session, image)
    assert button.isVisibleTo(None)
    button.keep(tmp_path / f"it{suffix}", suffix)
    qtbot.waitUntil(lambda: "was written" in said[-1][0])
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"it_mask{suffix}", f"it_probability{suffix}"]
    found = session.result.segmentation
    assert np.array_equal(read_probability(tmp_path / f"it_probability{suffix}"), np.asarray(found.probability))
    assert np.array_equal(read_mask(tmp_path / f"it_mask{suffix}"), np.asarray(found.mask) != 0)
    button.keep(tmp_path / f"it{suffix}", suffix)
    assert said[-1][1], "nothing is replaced"


# --- several images


def test_a_model_learns_from_several_images(viewer, session, qtbot):
    first, second = (viewer.add_image(disks(seed=seed)[0][0], name=f"night {seed}") for seed in (0, 1))
    third = viewer.add_image(disks(seed=2)[0][0], name="night 2")
    book = session.book
    for image, role, code in ((first, "positive", POSITIVE), (second, "negative", NEGATIVE)):
        book.add_brushes(image)
        book.put_strokes(image, role, strokes() == code)
    session.choose_image(first)
    assert session.train_on.painted(first) == [second]
    assert session.train_on.chosen(first) == []
    train(qtbot, session, first)
    card = session.model.card
    assert (card.n_positive_strokes, card.n_negative_strokes) == (3, 0)
    session.train_on.choose([second, third])
    assert session.train_on.chosen(first) == [second], "the third has no strokes"
    train(qtbot, session, first)
    card = session.model.card
    assert (card.n_positive_strokes, card.n_negative_strokes) == (3, 3)
    result = session.result
    assert result.layer is first
    assert [sample.name for sample in result.others] == ["night 1"]
    assert result.plan.also == ("night 1",)
    assert dice(result.segmentation.mask, disks()[1]) > 0.9
    viewer.layers.remove(second)
    assert session.train_on.chosen(first) == []


def test_images_that_do_not_go_together_are_refused_by_name(viewer, session, qtbot):
    flat, stack = viewer.add_image(disks()[0][0], name="flat"), viewer.add_image(np.zeros((3, 40, 50)), name="stack")
    for image in (flat, stack):
        session.book.add_brushes(image)
        session.book.stamp(image, "positive", (20, 20), 3)
    session.train_on.choose([stack])
    said = []
    session.said.connect(lambda text, failed: said.append((text, failed)))
    train(qtbot, session, flat)
    assert session.result is None
    assert said[-1][1]
    assert "flat" in said[-1][0]
    assert "stack" in said[-1][0]


def test_a_record_of_a_model_of_several_images_begins_with_that_model(viewer, session, qtbot, tmp_path):
    from napari_pu_segment.core.files.record import load_record
    from napari_pu_segment.core.files.replay import replay
    from napari_pu_segment.core.progress import run
    from napari_pu_segment.gui.model.recorder import Recorder

    first, second = (viewer.add_image(disks(seed=seed)[0][0], name=f"night {seed}") for seed in (0, 1))
    for image in (first, second):
        session.book.put_strokes(image, "positive", strokes() == POSITIVE)
    recorder, said = Recorder(session), []
    session.said.connect(lambda text, failed: said.append(text))
    session.train_on.choose([second])
    train(qtbot, session, first)
    recorder.save(tmp_path / "record.json")
    qtbot.waitUntil(lambda: "Record of" in said[-1])
    assert "begins with an embedded model" in said[-1]
    record = load_record(tmp_path / "record.json")
    assert [step.kind for step in record.steps] == ["segment"]
    assert run(replay(record, disks()[0])).differing == []
    session.train_on.choose([])
    session.train("pu", QUICK, warm=True)
    wait(qtbot, session)
    recorder.save(tmp_path / "second.json")
    qtbot.waitUntil(lambda: "second" in said[-1])
    record = load_record(tmp_path / "second.json")
    assert [step.kind for step in record.steps] == ["train", "segment"]
    assert run(replay(record, disks()[0])).differing == []


def test_which_images_to_train_on_is_ticked(viewer, session, qtbot):
    from napari_pu_segment.gui.paint.train_on_box import TrainOnBox

    images = [viewer.add_image(np.zeros((30, 40)), name=name) for name in "abc"]
    session.choose_image(images[0])
    box = TrainOnBox(session)
    qtbot.addWidget(box)
    assert not box.isVisibleTo(None)
    for image in images:
        session.book.add_brushes(image)
    assert [tick.text() for tick, _ in box.boxes] == ["b", "c"]
    assert box.fold.text() == "Train on: this image"
    box.boxes[0][0].click()
    assert session.train_on.chosen(images[0]) == [images[1]]
    assert box.fold.text() == "Train on: 2 images"
    box.all_box.click()
    assert session.train_on.chosen(images[0]) == images[1:]
    session.choose_image(images[1])
    assert [(tick.text(), tick.isChecked()) for tick, _ in box.boxes] == [("a", False), ("c", True)]
    box.all_box.click()
    box.all_box.click()
    assert session.train_on.chosen(images[1]) == []
