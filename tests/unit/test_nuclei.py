"""Proposals of nuclei: discs of known size and strength."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import rgb_from_hed

from napari_pu_segment import from_strokes, train
from napari_pu_segment.core.clustering.proposal import sure_strokes
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.files.record import Made, load_record, make_record, save_record
from napari_pu_segment.core.files.replay import replay
from napari_pu_segment.core.methods import METHODS, nuclei
from napari_pu_segment.core.methods.nuclei import NucleiSettings
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import IGNORE, NEGATIVE, POSITIVE, Sample
from napari_pu_segment.core.seeded import nuclei_compute
from tests.helpers import dice

CENTRES = ((20, 20), (20, 60), (60, 40))
SETTINGS = NucleiSettings(smallest_px=8, largest_px=20)


class Here:
    """In place of the child process: the same answers, without a second to start."""

    def __init__(self, module):
        assert module == nuclei_compute.__name__

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def ask(self, arrays, parameters):
        return nuclei_compute.compute(arrays, parameters)


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(nuclei, "Child", Here)


def discs(radius=6.0, height=0.4, eosin=0.2) -> tuple[np.ndarray, np.ndarray]:
    """Discs of haematoxylin in even eosin, (3, 80, 80), and where they are."""
    y, x = np.ogrid[:80, :80]
    truth = np.any([(y - a) ** 2 + (x - b) ** 2 <= radius**2 for a, b in CENTRES], axis=0)
    amounts = np.stack([height * truth, np.full(truth.shape, eosin), np.zeros(truth.shape)], -1)
    return np.moveaxis(10 ** -(amounts @ rgb_from_hed), -1, 0), truth


def test_discs_are_found_with_their_size(here):
    image, truth = discs()
    found = from_strokes(Sample(image), SETTINGS)
    assert [found.probability[centre] for centre in CENTRES] == pytest.approx([1, 1, 1], abs=0.03)
    assert dice(found.mask, truth) > 0.85
    assert found.probability[0, 79] == 0
    assert (found.mask.dtype, found.doubts) == (np.uint8, ())


def test_a_disc_counts_as_long_as_it_stands_out_by_the_contrast(here):
    """The Laplacian at a disc's centre is 2 / e of its height; pixels and steps of size cost some of it."""
    image, _ = discs(height=0.2)
    assert from_strokes(Sample(image), SETTINGS.changed({"contrast": 0.17})).mask.any()
    none = from_strokes(Sample(image), SETTINGS.changed({"contrast": 0.23}))
    assert not none.mask.any()
    assert "No nuclei were found" in none.doubts[0]


def test_eosin_alone_is_no_nucleus(here):
    image, truth = discs(height=0)
    assert not from_strokes(Sample(image * (1 - 0.5 * truth[None] * [[[0]], [[1]], [[0]]])), SETTINGS).mask.any()


@pytest.mark.parametrize("looks", ["bright", "dark"])
def test_bright_and_dark_nuclei_need_no_stain(looks, here):
    """Two channels of discs that stand out by the whole range of intensities."""
    truth = discs()[1]
    image = np.where(truth, 110.0, 100.0)[None] * [[[1.0]], [[3.0]]]
    image = image if looks == "bright" else 1000 - image
    found = from_strokes(Sample(image), SETTINGS.changed({"looks": looks, "contrast": 0.5}))
    assert dice(found.mask, truth) > 0.8
    other = "dark" if looks == "bright" else "bright"
    wrong = from_strokes(Sample(image), SETTINGS.changed({"looks": other, "contrast": 0.5}))
    assert not any(wrong.mask[centre] for centre in CENTRES)
    none = from_strokes(Sample(image), SETTINGS.changed({"looks": looks, "contrast": 1.2}))
    assert not none.mask.any(), "a disc stands out by the whole range"


def test_what_is_ignored_gets_nothing_and_makes_no_rim(here):
    image, _ = discs()
    labels = np.zeros((80, 80), np.uint8)
    labels[:40, :40] = IGNORE
    found = from_strokes(Sample(image, labels), SETTINGS)
    assert not found.probability[:40, :40].any()
    assert found.probability[20, 60] > 0.9
    everything = from_strokes(Sample(image, np.full((80, 80), IGNORE, np.uint8)), SETTINGS)
    assert not everything.probability.any()


def test_planes_are_each_on_their_own(here):
    image, _ = discs()
    empty, _ = discs(height=0)
    stack = from_strokes(Sample(np.stack([image, empty], 1)), SETTINGS)
    assert np.array_equal(stack.probability[0], from_strokes(Sample(image), SETTINGS).probability)
    assert not stack.probability[1].any()


def test_the_surest_of_it_are_strokes_on_nuclei_and_on_the_rest(here):
    image, truth = discs()
    found = from_strokes(Sample(image), SETTINGS)
    codes = sure_strokes(found.probability, 0.5)
    assert (codes == POSITIVE).any()
    assert truth[codes == POSITIVE].all()
    assert not truth[codes == NEGATIVE].any()


def test_the_child_process_gives_the_same(here, monkeypatch):
    sample = Sample((discs()[0] * 255).astype(np.uint8))
    expected = from_strokes(sample, SETTINGS).probability
    monkeypatch.undo()
    assert expected.any()
    assert np.array_equal(from_strokes(sample, SETTINGS).probability, expected)


def test_it_refuses_what_is_not_stained_tissue(here, monkeypatch):
    with pytest.raises(InputError, match=r"has 1 channel\(s\). Say that nuclei are bright"):
        from_strokes(Sample(np.zeros((1, 20, 20))), SETTINGS)
    with pytest.raises(InputError, match="is grey"):
        from_strokes(Sample(np.zeros((3, 20, 20))), SETTINGS)
    with pytest.raises(InputError, match="must not be smaller"):
        NucleiSettings(smallest_px=30, largest_px=20)
    with pytest.raises(InputError, match="no model"):
        train([Sample(discs()[0])], SETTINGS)
    monkeypatch.setattr(nuclei, "MAX_PX", 100)
    with pytest.raises(InputError, match="million pixels at once"):
        from_strokes(Sample(discs()[0]), SETTINGS)
    assert not METHODS["nuclei"].needs_strokes


def test_a_record_of_it_is_replayed_to_the_byte(here, tmp_path):
    sample = Sample(discs()[0])
    found = from_strokes(sample, SETTINGS)
    save_record(run(make_record(Made(sample, None, (), found, grown=SETTINGS))), tmp_path / "card.json")
    loaded = load_record(tmp_path / "card.json")
    assert loaded.steps[0].grown == SETTINGS.to_dict()
    again = run(replay(loaded, sample.image))
    assert again.differing == []
    assert again.outputs["mask"].tobytes() == found.mask.tobytes()
