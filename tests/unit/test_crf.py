"""Dense CRF: input, output, strokes, thresholds, stacks, cancelling, and children that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_pu_segment.core import crf
from napari_pu_segment.core.compute import child_process
from napari_pu_segment.core.crf import BACKENDS, CRF_PRESETS, CrfSettings, refine
from napari_pu_segment.core.crf import backends as crf_backends
from napari_pu_segment.core.crf import compute as crf_compute
from napari_pu_segment.core.crf import windowing as crf_windows
from napari_pu_segment.core.crf.prepare import figures, object_width_px, unary
from napari_pu_segment.core.crf.prepare import guide as guide_of
from napari_pu_segment.core.errors import InputError, JobError, OutOfMemoryError
from napari_pu_segment.core.progress import Progress, run
from napari_pu_segment.core.samples import IGNORE, NEGATIVE, POSITIVE
from tests.patience import SOON_S

GRID = CrfSettings(backend="grid")
UNARY_ALONE = CrfSettings(backend="grid", gaussian_weight=0, bilateral_weight=0)


def disk(n=48, seed=0):
    """Image (1, Y, X), probability and truth (Y, X) of a bright disk; the probability is noisy."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:n, :n]
    truth = (y - n / 2) ** 2 + (x - n / 2) ** 2 < (n / 4) ** 2
    image = (1000 * truth + rng.normal(0, 80, truth.shape)).astype(np.float32)[None]
    probability = np.clip(np.where(truth, 0.7, 0.3) + rng.normal(0, 0.2, truth.shape), 0, 1)
    return image, probability, truth


def guide(image, intensity_width):
    return guide_of(image, figures(image, [(np.zeros(image.shape[1:]), 0.5)], intensity_width, 0.0))


def dice(a, b):
    return 2 * np.sum(a & b) / (a.sum() + b.sum())


def test_refining_improves_a_noisy_mask_and_reports_progress():
    image, probability, truth = disk()
    assert 0.5 < dice(probability > 0.5, truth) < 0.9
    reports: list[Progress] = []
    refined = run(refine(image, probability, GRID), reports.append)
    assert dice(refined.mask == 1, truth) > 0.98
    assert refined.mask.dtype == np.uint8
    assert set(np.unique(refined.mask)) == {0, 1}
    assert refined.probability.dtype == np.float32
    assert 0 <= refined.probability.min() <= refined.probability.max() <= 1
    assert refined.mask.shape == refined.probability.shape == truth.shape
    np.testing.assert_array_equal(refined.mask, refined.probability >= 0.5)
    assert reports
    assert all(0 <= report.step <= report.total for report in reports)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_input_gives_the_same_bytes(backend, needs_backend):
    needs_backend(backend)
    image, probability, _ = disk()
    settings = CrfSettings(backend=backend)
    first, second = (run(refine(image, probability, settings)) for _ in range(2))
    assert first.probability.tobytes() == second.probability.tobytes()
    assert first.backend == backend


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 17), (17, 1), (1, 1, 1), (3, 1, 5)])
@pytest.mark.parametrize("value", [0.0, 0.2, 0.8, 1.0])
def test_degenerate_shapes_and_one_class_input_keep_their_class(backend, shape, value, needs_backend):
    needs_backend(backend)
    problem_image = np.full((2, *shape), np.nan, np.float32)  # nothing to see at all
    probability = np.full(shape, value)
    arrays = {"image": problem_image, "probability": probability.astype(np.float32)}
    settings = CrfSettings(backend=backend, planewise=False)
    refined = run(crf_compute.compute(arrays, {"settings": settings.to_dict(), "threshold": 0.5}))
    assert refined.shape == shape
    np.testing.assert_array_equal(refined > 0.5, value > 0.5)


@pytest.mark.parametrize("value", [0.0, 0.3, 0.7, 1.0])
def test_one_class_probabilities_stay_one_class(value):
    image, probability, _ = disk()
    refined = run(refine(image, np.full_like(probability, value), GRID))
    np.testing.assert_array_equal(refined.mask, int(value > 0.5))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint16, np.float16, np.float32, np.float64])
def test_any_real_dtype_and_scale(dtype):
    image, probability, truth = disk()
    image = (image > 500) if dtype is bool else np.clip(image / 10, 0, 120)
    assert dice(run(refine(image.astype(dtype), probability, GRID)).mask == 1, truth) > 0.98


def test_non_finite_pixels_are_replaced():
    image, probability, truth = disk()
    image[0, :3, :5], image[0, 5, 5], image[0, 6, 6] = np.nan, np.inf, -np.inf
    refined = run(refine(image, probability, GRID))
    assert np.isfinite(refined.probability).all()
    assert dice(refined.mask == 1, truth) > 0.97


def test_constant_image_is_smoothed_without_edges():
    _, probability, truth = disk()
    assert len(guide(np.full((3, 48, 48), 7.0), 13)) == 0
    refined = run(refine(np.full((3, 48, 48), 7.0), probability, GRID))
    assert dice(refined.mask == 1, truth) > dice(probability > 0.5, truth)


def test_painted_pixels_keep_their_label_and_ignored_ones_leave_the_result():
    image, _, truth = disk()
    labels = np.zeros(truth.shape, np.uint8)
    labels[2, 2:9], labels[24, 20:28], labels[20, 20:28] = POSITIVE, NEGATIVE, IGNORE
    probability = np.where(truth, 0.99, 0.01)
    before = run(refine(image, probability, GRID)).mask
    assert before[2, 2:9].max() == 0
    assert before[24, 20:28].min() == 1
    assert before[20, 20:28].min() == 1
    strong = GRID.changed({"gaussian_weight": 100, "bilateral_weight": 100})
    for settings in (GRID, strong):
        after = run(refine(image, probability, settings, labels=labels))
        assert after.mask[labels == POSITIVE].min() == 1
        assert after.mask[labels == NEGATIVE].max() == 0
        assert after.probability[labels == IGNORE].max() == 0


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5, 0.83, 1.0])
def test_the_operating_threshold_is_where_a_pixel_is_undecided(threshold):
    image, probability, _ = disk()
    probability[0, :5] = threshold
    refined = run(refine(image, probability, UNARY_ALONE, threshold=threshold))
    np.testing.assert_array_equal(refined.mask, probability.astype(np.float32) >= np.float32(threshold))


def test_unary_scores_by_hand():
    labels = np.array([[0, POSITIVE, NEGATIVE, IGNORE, 0, 0]], np.uint8)
    probability = np.array([[0.2, 0.2, 0.2, 0.2, 1.0, 0.5]], np.float32)
    scores = unary(probability, labels, threshold=0.2, confidence=0.99)
    logit_half = -np.log(0.2 / 0.8)  # logit(0.5) - logit(0.2)
    np.testing.assert_allclose(scores, [[0, 1000, -1000, 0, np.log(99), logit_half]], atol=1e-6)


def test_a_saturated_network_with_a_threshold_near_one_is_still_refined():
    image, _, truth = disk()
    assert len(np.unique(truth)) == 2
    for outside, threshold in ((0.9, 1.0), (0.9, 1 - 2e-7), (1e-9, 1e-7)):
        probability = np.where(truth, np.float32(1), np.float32(outside))
        np.testing.assert_array_equal(run(refine(image, probability, GRID, threshold=threshold)).mask, truth)


def test_guide_keeps_colour_distances_and_drops_what_is_flat():
    rng = np.random.default_rng(0)
    flat = rng.random((2, 40, 40))
    image = np.stack([flat[0], flat[1], flat[0]])  # a plane in colour space: two axes hold all of it
    features = guide(image, 10).reshape(2, -1)
    clipped = 255 * np.clip([(c - np.percentile(c, 1)) / np.ptp(np.percentile(c, [1, 99.5])) for c in image], 0, 1)
    colours = clipped.reshape(3, -1)
    distance = np.linalg.norm(colours[:, 0] - colours[:, 1])
    assert distance > 10
    np.testing.assert_allclose(np.linalg.norm(features[:, 0] - features[:, 1]), distance, rtol=1e-4)
    assert len(guide(rng.random((7, 40, 40)), 10)) == 2


def test_automatic_width_follows_the_object():
    y, x = np.mgrid[:200, :200]
    distance = np.hypot(y - 100, x - 100)
    widths = [object_width_px([((distance < radius).astype(np.float32), 0.5)]) for radius in (5, 40, 80)]
    np.testing.assert_allclose(widths, [10, 80, 160], rtol=0.1)
    assert object_width_px([(np.zeros((5, 5), np.float32), 0.5)]) == 0
    assert object_width_px([(np.ones((5, 5), np.float32), 0.5)]) == 0


def test_planewise_equals_each_plane_alone_and_differs_from_a_volume():
    parts = [disk(seed=seed) for seed in range(3)]
    image = np.stack([image for image, _, _ in parts], axis=1)
    probability = np.stack([probability for _, probability, _ in parts])
    stack = run(refine(image, probability, GRID)).probability
    for plane, (alone, p, _) in enumerate(parts):
        np.testing.assert_array_equal(stack[plane], run(refine(alone, p, GRID)).probability)
    volume = run(refine(image, probability, GRID.changed({"planewise": False}))).probability
    assert volume.shape == stack.shape
    assert not np.array_equal(volume, stack)
    assert dice(volume > 0.5, np.stack([truth for _, _, truth in parts])) > 0.98


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": np.zeros((48, 48))}, "axes"),
        ({"image": np.zeros((1, 47, 48))}, "47, 48"),
        ({"image": np.zeros((1, 0, 48))}, "empty"),
        ({"image": np.zeros((1, 48, 48), complex)}, "real numbers"),
        ({"probability": np.full((48, 48), np.nan)}, "between 0 and 1"),
        ({"probability": np.full((48, 48), 1.5)}, "between 0 and 1"),
        ({"probability": np.full((48, 48), -0.1)}, "between 0 and 1"),
        ({"probability": np.full((48, 48), "a")}, "between 0 and 1"),
        ({"labels": np.zeros((4, 4), np.uint8)}, "strokes"),
        ({"labels": np.full((48, 48), 9)}, "label values"),
        ({"threshold": 1.2}, "threshold"),
        ({"threshold": np.nan}, "threshold"),
    ],
)
def test_bad_input_is_refused_before_a_child_starts(change, words, monkeypatch):
    image, probability, _ = disk()
    monkeypatch.setattr(child_process.subprocess, "Popen", lambda *_, **__: pytest.fail("a child was started"))
    arguments = {"image": image, "probability": probability, "settings": GRID, **change}
    with pytest.raises(InputError, match=words) as caught:
        run(refine(**arguments))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"gaussian_width_px": 0},
        {"bilateral_width_px": -1},
        {"bilateral_width_px": 0.01},
        {"bilateral_intensity_width": 0},
        {"bilateral_intensity_width": float("nan")},
        {"bilateral_weight": -1},
        {"gaussian_weight": float("inf")},
        {"steps": 0},
        {"unary_confidence": 0.5},
        {"unary_confidence": 1.0},
        {"backend": "gpu"},
        {"sxy": 3},
    ],
)
def test_parameters_out_of_range_are_refused_by_name(values):
    with pytest.raises(InputError, match=next(iter(values))):
        CrfSettings(**values)


def test_every_setting_explains_itself_and_presets_are_what_they_say():
    for name, field in CrfSettings.model_fields.items():
        assert field.title, name
        assert field.description, name
    original = CRF_PRESETS["aurora original"]
    assert (original.gaussian_width_px, original.gaussian_weight) == (3, 3)
    assert (original.bilateral_width_px, original.bilateral_intensity_width, original.bilateral_weight) == (80, 13, 10)
    assert (original.steps, original.unary_confidence) == (5, 0.8)
    assert CRF_PRESETS["default"] == CrfSettings()


def test_a_missing_pydensecrf_is_named_and_auto_goes_on_without_it(monkeypatch):
    monkeypatch.setattr(crf_backends, "find_spec", lambda _: None)
    image, probability, _ = disk()
    with pytest.raises(InputError, match=r'pip install "napari-pu-segment\[crf\]" \(this needs a C\+\+ compiler\)'):
        run(refine(image, probability, CrfSettings(backend="pydensecrf")))
    assert run(refine(image, probability, CrfSettings())).backend == "grid"


@pytest.fixture
def children(monkeypatch):
    """All children started in a test."""
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def spy(*args, **kwargs):
        started.append(real(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(child_process.subprocess, "Popen", spy)
    return started


def large(n=700):
    rng = np.random.default_rng(0)
    return rng.random((1, n, n), np.float32), rng.random((n, n), np.float32)


@pytest.mark.parametrize("backend", BACKENDS)
def test_cancelling_kills_the_child_at_once_and_leaves_nothing(backend, children, needs_backend):
    needs_backend(backend)
    work = refine(*large(), CrfSettings(backend=backend, steps=100))
    report = next(work)
    while report.step < 1:
        report = next(work)
    (child,) = children
    folder = Path(child.args[-1])
    assert child.poll() is None
    assert folder.is_dir()
    start = time.monotonic()
    work.close()
    assert time.monotonic() - start < SOON_S
    assert child.returncode is not None
    assert not folder.exists()


def test_a_finished_child_leaves_nothing(children):
    image, probability, _ = disk()
    run(refine(image, probability, GRID))
    (child,) = children
    assert child.returncode == 0
    assert not Path(child.args[-1]).exists()


def textured(n=360):
    """A noisy image with objects all over, and its probability."""
    rng = np.random.default_rng(0)
    shapes = gaussian_filter(rng.normal(size=(n, n)), 6)
    shapes /= shapes.std()
    image = 60 * (shapes > 0.6) + 100 + rng.normal(0, 12, (n, n))
    return image[None], np.clip(1 / (1 + np.exp(2 - 3 * shapes)) + rng.normal(0, 0.15, (n, n)), 0, 1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("width_px", [4.5, 12.0])
def test_windows_leave_no_seams(backend, width_px, needs_backend, monkeypatch):
    needs_backend(backend)
    image, probability = textured()
    settings = CrfSettings(backend=backend, bilateral_width_px=width_px)
    whole = run(refine(image, probability, settings))
    assert np.mean(whole.mask != (probability >= 0.5)) > 0.05
    monkeypatch.setattr(crf_windows, "WHOLE_PX", 200)
    monkeypatch.setattr(crf_windows, "WINDOW_PX", (90, 90))
    assert len(crf_windows.windows((360, 360), (slice(0, 360),) * 2, width_px)) == 16
    windows = run(refine(image, probability, settings))
    assert np.mean(windows.mask != whole.mask) < 5e-4  # ten times as many, with pydensecrf, where lattices do not align


def test_a_plane_in_windows_takes_one_child_and_one_width(children, monkeypatch):
    monkeypatch.setattr(crf_windows, "WHOLE_PX", 100)
    monkeypatch.setattr(crf_windows, "WINDOW_PX", (64, 64))
    image, probability = textured(150)
    with crf.Refiner(image, probability, GRID) as refiner:
        known = run(refiner.figures())
        assert run(refiner.figures()) is known
        refined = run(refiner.region((slice(0, 150), slice(0, 150))))
    assert len(children) == 1
    assert children[0].returncode == 0
    assert known.bilateral_width_px == figures(image, [(probability, 0.5)], 13.0, 0.0).bilateral_width_px
    again = run(refine(image, probability, GRID.changed({"bilateral_width_px": known.bilateral_width_px})))
    np.testing.assert_array_equal(again.probability, refined)


def _width(*probabilities):
    return object_width_px([(probability, 0.5) for probability in probabilities])


def test_the_width_of_windows_counts_those_that_are_full():
    full, empty = np.ones((40, 40)), np.zeros((40, 40))
    y, x = np.mgrid[:200, :200]
    disk_of = (np.hypot(y - 100, x - 100) < 40).astype(float)
    assert _width(disk_of, empty) == _width(disk_of)
    assert _width(disk_of, full) > _width(disk_of)
    assert _width(full, full) == _width(empty, empty) == 0


def test_time_points_are_refined_each_on_its_own():
    parts = [disk(n=20, seed=seed) for seed in range(4)]
    image = np.stack([image for image, _, _ in parts], axis=1).reshape(1, 2, 2, 20, 20)
    probability = np.stack([probability for _, probability, _ in parts]).reshape(2, 2, 20, 20)
    for planewise in (True, False):
        settings = GRID.changed({"planewise": planewise})
        series = run(refine(image, probability, settings)).probability
        for t in range(2):
            alone = run(refine(image[:, t], probability[t], settings)).probability
            np.testing.assert_array_equal(series[t], alone)
    volume = run(refine(image[:, 0], probability[0], GRID.changed({"planewise": False}))).probability
    time = run(refine(image[:, 0], probability[0], GRID.changed({"planewise": False}), axes="CTYX")).probability
    assert not np.array_equal(volume, time)


PARENT = """
import subprocess, sys
import numpy as np
from napari_pu_segment.core.crf import CrfSettings, refine
real = subprocess.Popen
def spy(*args, **kwargs):
    child = real(*args, **kwargs)
    print(child.pid, child.args[-1], flush=True)
    return child
subprocess.Popen = spy
rng = np.random.default_rng(0)
for _ in refine(rng.random((1, 1500, 1500)), rng.random((1500, 1500)), CrfSettings(backend="grid", steps=100)):
    print("working", flush=True)
"""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the child in /proc")
def test_the_child_does_not_outlive_a_killed_parent():
    package_root = str(Path(crf.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": package_root}
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        pid, folder = parent.stdout.readline().split()
        for _ in range(10):  # the child is at work by now
            assert parent.stdout.readline() == "working\n"
        assert alive(pid)
        parent.kill()
    end = time.monotonic() + 60
    while (alive(pid) or Path(folder).exists()) and time.monotonic() < end:
        time.sleep(0.02)
    assert not alive(pid)
    assert not Path(folder).exists()


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (f"import os; os.kill(os.getpid(), {signal.SIGSEGV:d})", JobError, "Segmentation fault"),
        ("import os; os.kill(os.getpid(), 9)", OutOfMemoryError, "out of memory"),
        ("import sys; sys.exit('terminate called: std::bad_alloc')", OutOfMemoryError, "out of memory"),
        ("raise ValueError('no luck')", JobError, "ValueError: no luck"),
        ("import os; os._exit(7)", JobError, "exit code 7"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_a_child_that_dies_gives_one_sentence(code, error, words, monkeypatch):
    image, probability, _ = disk()
    real = subprocess.Popen
    monkeypatch.setattr(
        child_process.subprocess, "Popen", lambda _, **kwargs: real([sys.executable, "-c", code], **kwargs)
    )
    with pytest.raises(error, match=words) as caught:
        run(refine(image, probability, GRID))
    assert "\n" not in str(caught.value)


def test_what_goes_wrong_inside_the_child_comes_back():
    arrays = {"image": np.zeros((1, 4, 4)), "probability": np.zeros((4, 4), np.float32)}
    for parameters, kind, words in (
        ({"settings": {"steps": 0}, "threshold": 0.5}, InputError, "steps"),
        ({}, JobError, "KeyError"),
    ):
        with pytest.raises(kind, match=words), child_process.Child("napari_pu_segment.core.crf.compute") as child:
            run(child.ask(arrays, parameters))


def test_a_full_temporary_disk_gives_one_sentence(monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    image, probability, _ = disk()
    monkeypatch.setattr(child_process.np, "savez", full)
    with pytest.raises(JobError, match="No space left"):
        run(refine(image, probability, GRID))


def test_the_child_imports_neither_torch_nor_a_window():
    code = (
        "import sys, napari_pu_segment.core.crf; print(sorted({'torch', 'monai', 'napari', 'qtpy'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(crf.__file__).parents[2])}
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert output.stdout == "[]\n"


@pytest.fixture
def needs_backend():
    def check(backend):
        if backend == "pydensecrf" and crf.available_backend() != backend:
            pytest.skip("pydensecrf is not installed")

    return check
