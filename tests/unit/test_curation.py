"""Know your images: looks, duplicates, odd ones, groups, what to annotate next, wrong masks."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from napari_pu_segment.core.curation import CurateSettings, Look, agreement, curate, looking, looking_at_mask, natural
from napari_pu_segment.core.curation import suspects as suspects_of
from napari_pu_segment.core.curation.curate import UNLIKE
from napari_pu_segment.core.curation.duplicates import SYMMETRIES, joined, near_pairs, same
from napari_pu_segment.core.curation.embed import Box, Embeddings, embed, filter_statistics
from napari_pu_segment.core.curation.groups import balancing, class_weights, drawn, grouping, groups_of
from napari_pu_segment.core.curation.look import bands, shrinking, windows_of
from napari_pu_segment.core.curation.order import ORDERS, next_images
from napari_pu_segment.core.curation.quality import drifts, findings, measure
from napari_pu_segment.core.curation.suspects import Masked, standing_out, suspects
from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.progress import Progress, run
from napari_pu_segment.core.robust import modified_z
from napari_pu_segment.io import write_image
from napari_pu_segment.io.lazy import LazyImage
from napari_pu_segment.io.read import read_levels


def texture(seed: int, side_px: int = 64, sigma_px: float = 3) -> np.ndarray:
    """A grey picture (1, Y, X), uint8, of smooth noise with a little white noise."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(side_px, side_px)), sigma_px)
    picture = 120 + 30 * smooth / smooth.std() + 3 * rng.normal(size=smooth.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)[None]


def look(image: np.ndarray, name: str = "a", axes: str = "CYX") -> Look:
    return run(looking(image, axes, name))


def looks_of(images: list[np.ndarray]) -> list[Look]:
    return [look(image, f"{i:03}.png") for i, image in enumerate(images)]


@pytest.fixture(scope="module")
def plain() -> list[Look]:
    """Thirty pictures of one kind."""
    return looks_of([texture(seed) for seed in range(30)])


def test_modified_z_by_hand():
    values = np.array([1, 2, 3, 4, 5, 6, 7, 8, 100.0])
    z = modified_z(values)
    assert z[4] == 0  # the median, 5
    assert z[5] == pytest.approx(0.6745 * 1 / 2)  # distances 4 3 2 1 0 1 2 3 95: their median is 2
    assert z[8] == pytest.approx(0.6745 * 95 / 2)
    assert z[0] == pytest.approx(-0.6745 * 4 / 2)
    assert not modified_z(values[:7]).any()  # too few to tell
    one_apart = modified_z(np.array([3.0] * 9 + [4.0]))
    assert one_apart[-1] == pytest.approx(1 / (1.2533 * 0.1))  # no median deviation: by the mean one


def test_a_look_tells_the_same_pixels_and_the_small_picture(tmp_path):
    image = np.arange(3 * 128 * 256, dtype=np.uint16).reshape(3, 128, 256)
    seen = look(image)
    told = f"uint16{(3, 128, 256)}".encode() + image.tobytes()
    assert seen.digest == hashlib.sha256(told).hexdigest()
    assert np.allclose(seen.small, image.astype(float).mean(0).reshape(64, 2, 64, 4).mean((1, 3)))
    assert look(image.astype(np.int32)).digest != seen.digest
    changed = image.copy()
    changed[2, 127, 255] += 1
    assert look(changed).digest != seen.digest
    write_image(tmp_path / "a.tif", image[0])
    (lazy,) = read_levels(tmp_path / "a.tif")
    assert isinstance(lazy, LazyImage)
    assert (look(lazy).digest, look(lazy).measures) == (look(image[:1]).digest, look(image[:1]).measures)


def test_of_a_volume_the_middle_plane_is_seen_and_all_is_hashed():
    stack = np.stack([texture(seed)[0] for seed in range(5)])[None]
    middle, whole = look(stack[:, 2]), look(stack, axes="CZYX")
    assert np.array_equal(whole.small, middle.small)
    assert whole.measures == middle.measures
    changed = stack.copy()
    changed[0, 0, 0, 0] += 1
    assert look(changed, axes="CZYX").digest != whole.digest
    assert np.array_equal(look(changed, axes="CZYX").row, whole.row)


def test_windows_and_bands():
    assert windows_of((192, 100)) == [(slice(0, 192), slice(0, 100))]
    rows = sorted({(w[0].start, w[0].stop) for w in windows_of((1000, 200))})
    assert rows == [(0, 128), (436, 564), (872, 1000)]
    assert sorted({(w[1].start, w[1].stop) for w in windows_of((1000, 200))}) == [(0, 128), (72, 200)]
    two = np.stack([np.zeros((2, 2)), np.ones((2, 2))])
    assert bands(two)[:, 0, 0].tolist() == [0, 1, 0.5]
    assert bands(np.arange(6.0)[:, None, None])[:, 0, 0].tolist() == [0.5, 2.5, 4.5]
    assert [len(bands(np.zeros((n, 2, 2)))) for n in (1, 2, 3, 9)] == [1, 3, 3, 3]
    assert np.allclose(shrinking(3, 2), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]])


def test_measures_by_hand():
    picture = np.full((1, 10, 10), 50.0)
    picture[0, :5] = 200
    found = measure([picture])
    assert (found["brightness"], found["contrast"], found["clipped_fraction"]) == (125, 150, 0.49)
    assert (found["red_share"], found["blue_share"]) == (0, 0)
    colours = np.stack([np.full((10, 10), level) for level in (10.0, 20.0, 70.0)])
    assert measure([colours])["red_share"] == pytest.approx(0.1)
    assert measure([colours])["blue_share"] == pytest.approx(0.7)
    constant = measure([np.full((1, 20, 20), 7.0)])
    assert (constant["structure"], constant["contrast"], constant["clipped_fraction"]) == (-4, 0, 0)
    noise = np.random.default_rng(0).normal(size=(1, 128, 128))
    assert measure([noise])["structure"] == pytest.approx(-1.46, abs=0.05)
    assert measure([1e-12 * noise])["structure"] == pytest.approx(measure([noise])["structure"], abs=1e-4)
    smooth = texture(0, 256).astype(float)  # by 3 px: mean of g(s)^2 is as s^2 / (9 + s^2)^2
    blurred = ndimage.gaussian_filter(smooth, (0, 3, 3))
    assert measure([smooth])["sharpness"] == pytest.approx(np.log(1 / 10 * 13 / 2), abs=0.04)
    assert measure([blurred])["sharpness"] == pytest.approx(np.log(1 / 19 * 22 / 2), abs=0.04)


def test_noise_does_not_make_a_picture_sharp():
    rng, sharp = np.random.default_rng(0), np.kron(np.indices((8, 8)).sum(0)[None] % 2, np.ones((1, 20, 20)))
    noise = 0.05 * rng.normal(size=sharp.shape)
    blurred = ndimage.gaussian_filter(sharp, (0, 4, 4))
    values = [measure([picture])["sharpness"] for picture in (sharp + noise, blurred + noise, noise)]
    assert values[1] < values[0] - 0.25
    assert values[2] > values[1] + 0.3  # nothing but noise is empty, not blurred
    # of white noise by itself a tenth of the energy is left at each scale
    assert values[2] == pytest.approx(0.5 * np.log(0.0503 / 0.0178), abs=0.05)


def test_what_an_embedder_tells_does_not_depend_on_how_the_picture_lies():
    picture = np.random.default_rng(0).random((3, 60, 60))
    row = filter_statistics([picture])
    for turned in (picture[:, ::-1], picture[:, :, ::-1], np.rot90(picture, axes=(1, 2))):
        assert not np.array_equal(turned, picture)
        assert np.allclose(filter_statistics([turned]), row, atol=5e-3)
    other = filter_statistics([texture(0).astype(float)])
    assert other.shape == row.shape  # whatever the channels
    assert not np.allclose(other, row, atol=0.1)


def test_embeddings_bring_like_to_like():
    fine, coarse = ([look(texture(seed, sigma_px=sigma)).row for seed in range(10)] for sigma in (1.5, 6))
    found = embed(np.array(fine + coarse), [Box(str(i)) for i in range(20)])
    assert found.vectors.shape == (20, 16)
    assert {i for i, _ in found.nearest(0, 9)} == set(range(1, 10))
    away = [distance for _, distance in found.nearest(0, 19)]
    assert away == sorted(away)
    assert [i for i, _ in found.neighbours(3)[4]] == [i for i, _ in found.nearest(4, 3)]
    few = embed(np.array([[0.0, 5], [1, 5], [10, 5]]), [Box(name) for name in "abc"])  # too few for robust deviations
    assert few.nearest(0, 1)[0][0] == 1
    assert embed(np.array([[1.0, 2]]), [Box("a")]).neighbours(3) == [[]]
    with pytest.raises(InputError, match="no image"):
        embed(np.zeros((0, 4)), [])


TURNS = {
    "as it is": lambda a: 1.1 * a,
    "left and right exchanged": np.fliplr,
    "top and bottom exchanged": np.flipud,
    "turned by 180°": lambda a: np.rot90(a, 2),
    "rows and columns exchanged": np.transpose,
    "turned by 90° clockwise": lambda a: np.rot90(a, 1),  # so it has to be turned back
    "turned by 90° anticlockwise": lambda a: np.rot90(a, -1),
    "rows and columns exchanged, turned by 180°": lambda a: np.rot90(a, 2).T,
}


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_a_turned_picture_is_found_and_how_it_lies_is_told(symmetry):
    smalls = [texture(seed)[0].astype(np.float32) for seed in range(6)]
    assert run(near_pairs(np.stack(smalls), 0.5)) == []
    for first, last in ((4, 6), (6, 4)):  # whichever of the two comes first
        picture = TURNS[symmetry](smalls[4]) if first == 4 else smalls[4]
        original = smalls[4] if first == 4 else TURNS[symmetry](smalls[4])
        (pair,) = run(near_pairs(np.stack([*smalls[:4], original, smalls[5], picture]), 0.5))
        assert (pair.first, pair.second) == (4, 6)
        assert pair.alike == pytest.approx(1, abs=1e-3)
        inverse = {"turned by 90° clockwise": "turned by 90° anticlockwise"}
        inverse |= {back: there for there, back in inverse.items()}
        assert pair.symmetry == (symmetry if last == 6 else inverse.get(symmetry, symmetry))


def test_a_crop_that_is_darker_and_blurred_is_found():
    images = [texture(seed, 128, 4) for seed in range(12)]
    crop = ndimage.gaussian_filter(0.9 * images[3][:, 4:126, 2:124], (0, 1, 1)).astype(np.uint8)
    seen = looks_of([*images, crop])
    pairs = run(near_pairs(np.stack([one.small for one in seen]), 0.7))
    assert [(pair.first, pair.second) for pair in pairs] == [(3, 12)]
    assert 0.7 < pairs[0].alike < 1
    assert run(near_pairs(np.stack([one.small for one in seen]), 0.999)) == []


def test_pictures_of_nothing_are_no_near_duplicates():
    assert run(near_pairs(np.zeros((4, 64, 64), np.float32), 0.5)) == []
    assert run(near_pairs(np.zeros((1, 64, 64), np.float32), 0.5)) == []


def test_groups_of_copies():
    assert same(["a", "b", "a", "c", "b", "a"]) == [[0, 2, 5], [1, 4]]
    assert joined(6, [(0, 3), (3, 5), (1, 2)]) == [[0, 3, 5], [1, 2]]
    assert joined(3, []) == []


def test_odd_pictures_are_called_by_name(plain):
    everybody = [range(len(plain))]
    assert all(words == [] for words in findings(plain, everybody, 6))
    image, noise = texture(40), np.random.default_rng(0).normal(120, 3, (1, 64, 64)).astype(np.uint8)
    odd = {
        "blurred": ndimage.gaussian_filter(image, (0, 5, 5)),
        "empty": noise,
        "saturated": np.clip(image * 2.0, 0, 200).astype(np.uint8),
        "dark": (image // 8 + 3).astype(np.uint8),
        "other size": image[:, :50],
        "other type": image.astype(np.uint16),
        "other channels": np.repeat(image, 3, axis=0),
    }
    seen = [*plain, *(look(picture, name) for name, picture in odd.items())]
    found = findings(seen, [range(len(seen))], 6)
    assert {name: name in found[len(plain) + i] for i, name in enumerate(odd)} == dict.fromkeys(odd, True)
    assert all(words == [] for words in found[: len(plain)])


def test_a_picture_is_compared_with_its_group_or_with_all_where_the_group_is_small(plain):
    bright = [replace(one, measures={**one.measures, "brightness": 1000.0 + i}) for i, one in enumerate(plain)]
    first, second = list(range(30)), list(range(30, 60))
    assert all(words == [] for words in findings([*plain, *bright], [first, second], 6))
    few = [*plain, *plain, *bright[:3]]
    found = findings(few, [list(range(60)), [60, 61, 62]], 6)
    assert [i for i, words in enumerate(found) if words == ["bright"]] == [60, 61, 62]


def test_drifts_follow_the_numbers_in_names(plain):
    def of(values: list[float]) -> list[Look]:
        return [
            replace(one, name=f"t{i}.png", measures={**plain[0].measures, "brightness": value})
            for i, (one, value) in enumerate(zip(plain, values, strict=True))
        ]

    assert sorted(["t10", "t9", "t1"], key=natural) == ["t1", "t9", "t10"]
    (drift,) = drifts(of([100 - i for i in range(30)])[::-1])  # in whatever order they are given
    assert (drift.measure, drift.rho, drift.first, drift.last) == ("brightness", -1, 95.5, 75.5)
    assert drifts(of([100 + i % 7 for i in range(30)])) == []
    assert drifts(of([100 - i for i in range(30)])[:19]) == []  # too few to tell


def test_groups_their_balance_and_weights():
    rng = np.random.default_rng(0)
    vectors = np.concatenate([rng.normal(at, 0.3, (n, 2)) for at, n in ((0, 60), (10, 24), (20, 6))])
    labels = run(grouping(vectors, "kmeans", 0, 0))
    assert labels.tolist() == [0] * 60 + [1] * 24 + [2] * 6
    found = groups_of(vectors, labels)
    assert [group.balance for group in found] == ["over-represented", "", "under-represented"]
    assert found[2].share == pytest.approx(6 / 90)
    middle = vectors[84:].mean(0)
    assert found[2].members[0] == 84 + np.linalg.norm(vectors[84:] - middle, axis=1).argmin()
    assert len(set(run(grouping(vectors, "mixture", 4, 0)))) == 4
    assert set(run(grouping(rng.normal(size=(90, 16)), "kmeans", 0, 0))) == {0}  # one cloud: nothing to tell apart
    with pytest.raises(InputError, match="kmeans, mixture"):
        run(grouping(vectors, "none", 0, 0))


def test_weights_by_hand():
    # two of one group are the same picture, so it has 2 pictures, the other has 1: 1/4 1/4 1/2 | 1
    weights = balancing(np.array([0, 0, 0, 1]), [[0, 1]])
    assert np.allclose(weights, np.array([0.25, 0.25, 0.5, 1]) / 0.5)
    shares = np.array([[1.0, 0, 0], [0.5, 0.5, 0], [np.nan] * 3])  # the third class never occurs
    # means .75 and .25: (1 / .75) / 2, and (.5 / .75 + .5 / .25) / 2
    assert np.allclose(class_weights(shares), [2 / 3, 4 / 3, np.nan], equal_nan=True)


def test_a_balanced_sample():
    labels = np.array([0] * 900 + [1] * 100)
    weights = balancing(labels, [])
    n_small = [sum(labels[drawn(weights, 100, seed)]) for seed in range(20)]
    assert 40 < np.mean(n_small) < 56  # nine times as likely each; slightly fewer than half, since none comes twice
    assert abs(np.mean([sum(labels[drawn(np.ones(1000), 100, seed)]) for seed in range(20)]) - 10) < 3
    sample = drawn(weights, 100, 3)
    assert len(set(sample)) == 100
    assert sample == drawn(weights, 100, 3) != drawn(weights, 100, 4)
    assert sorted(drawn(np.array([1.0, np.nan, 2.0]), 9, 0)) == [0, 2]
    assert drawn(weights, 0, 0) == []


def test_orders_by_hand():
    vectors = np.array([[0.0], [1], [2], [10], [11], [40]])
    assert run(next_images(vectors, "cover", 3, annotated=[0])) == [5, 4, 2]
    assert run(next_images(vectors, "cover", 3, annotated=[0], left_out=[5])) == [4, 2, 1]
    doubt = np.array([0, 0, 1, 0.01, 0.01, 0.01])
    assert run(next_images(vectors, "cover", 1, annotated=[0], doubt=doubt)) == [2]  # 2 x 1 > 40 x 0.011
    assert run(next_images(vectors, "typical", 1)) == [2]  # the mean distances are 12.8 12 11.6 11.6 12 35.2
    for n in (2, 3):  # the first ones are the same however many are wanted
        assert run(next_images(vectors, "typical", n))[:2] == run(next_images(vectors, "typical", 2))
    assert set(run(next_images(vectors, "typical", 2, annotated=[0]))) < {3, 4, 5}  # of other clusters
    assert sorted(run(next_images(vectors, "random", 99, left_out=[2]))) == [0, 1, 3, 4, 5]
    for order in ORDERS:
        assert run(next_images(vectors, order, 3, annotated=range(6))) == []
        assert run(next_images(np.zeros((1, 2)), order, 3)) == [0]
    with pytest.raises(InputError, match="typical, cover, random"):
        run(next_images(vectors, "best", 1))


def test_agreement_by_hand():
    probability, labels = np.array([[0.9, 0.6, 0.2], [0.1, 0.7, 0.5]]), np.array([[1, 1, 1], [2, 2, 0]])
    assert agreement(probability, 0.5, labels) == pytest.approx((2 / 3 + 1 / 2) / 2)  # both kinds count alike
    assert agreement(probability, 0.65, labels) == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert agreement(probability, 0.5, np.where(labels == 2, 0, labels)) == pytest.approx(2 / 3)
    assert np.isnan(agreement(probability, 0.5, np.zeros((2, 3), int)))
    with pytest.raises(InputError, match="measure"):
        agreement(probability, 0.5, labels[:1])


def with_masks(n: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pictures of a bright disk on noise, and their masks."""
    y, x = np.mgrid[:48, :48]
    images, masks = [], []
    for seed in range(n):
        rng = np.random.default_rng(seed)
        row, column = rng.uniform(14, 34, 2)
        masks.append((y - row) ** 2 + (x - column) ** 2 < 121)
        images.append((80 * masks[-1] + rng.normal(60, 15, (48, 48))).astype(np.float32)[None])
    return images, masks


def test_wrong_masks_are_the_most_suspect():
    images, masks = with_masks(24)
    given = [*masks[:20], ~masks[20], np.zeros_like(masks[21]), np.roll(masks[22], 12, 1), masks[23]]
    seen = [
        looking_at_mask(image, mask, n_px=80, seed=i) for i, (image, mask) in enumerate(zip(images, given, strict=True))
    ]
    found = run(suspects([*seen, None], [], 0))
    assert set(np.argsort(-found[:24])[:3]) == {20, 21, 22}
    assert found[:20].max() < 0.5 * found[[20, 21, 22]].min()
    assert np.isnan(found[24])
    assert np.array_equal(found, run(suspects([*seen, None], [], 0)), equal_nan=True)
    assert np.isnan(run(suspects(seen[:9], [], 0))).all()  # too few to tell
    assert np.isnan(run(suspects([seen[21]] * 12, [], 0))).all()  # one class only


def test_a_picture_that_is_hard_to_tell_is_no_fault_of_its_mask(monkeypatch):
    class Forest:
        classes_ = np.array([0, 1])

        def predict_proba(self, rows):
            return np.stack([1 - rows[:, 0], rows[:, 0]], axis=1)

    def forest(*_):
        yield Progress(0, 1, "")
        return Forest()

    def one(probabilities, labels):
        return Masked(np.array(probabilities, np.float32)[:, None], np.array(labels), {0: 2, 1: 2})

    monkeypatch.setattr(suspects_of, "_forest", forest)
    clear, hard, missing = ([0.5, 0.5, 0, 0], [1, 1, 0, 0]), ([0.5] * 4, [1, 1, 0, 0]), ([0.5] * 4, [0] * 4)
    found = run(suspects([*[one(*clear)] * 10, one(*hard), one(*missing)], [], 0))
    # 0.5 is the mean of p over all labelled 1, so that each such pixel is told to be 1, and half of them should not be
    assert found[:10] == pytest.approx(-0.25)  # two such pixels of four, none of them wrong
    assert found[10] == pytest.approx(0.5 - 0.5)  # two of four are wrong, as many as expected
    assert found[11] == pytest.approx(1 - 0.5)  # all are


def test_a_suspicion_that_is_not_worth_a_look():
    careful = np.r_[np.linspace(0, 0.01, 30), 0.04]
    assert modified_z(careful)[30] > 8
    assert standing_out(careful, 3.5) == []
    assert standing_out(np.r_[careful, 0.06], 3.5) == [31]


def test_a_wrong_mask_does_not_vouch_for_its_copy():
    images, masks = with_masks(20)
    images[10:18], masks[10:18] = [images[9]] * 8, [~masks[9]] * 8  # one picture nine times, eight times inverted
    seen = [
        looking_at_mask(image, mask, n_px=80, seed=i) for i, (image, mask) in enumerate(zip(images, masks, strict=True))
    ]
    alone, together = run(suspects(seen, [], 0)), run(suspects(seen, [list(range(9, 18))], 0))
    assert alone[10:18].max() < 0.5 < together[10:18].min()


def test_masks_of_classes_and_masks_that_do_not_fit():
    image = np.zeros((1, 20, 30), np.float32)
    mask = np.zeros((20, 30), np.uint16)
    mask[:5], mask[5:10] = 3, 7
    assert looking_at_mask(image, mask).counts == {0: 300, 1: 300}
    assert looking_at_mask(image, mask, as_classes=True).counts == {0: 300, 3: 150, 7: 150}
    with pytest.raises(InputError, match="measures"):
        looking_at_mask(image, mask[:19])
    with pytest.raises(InputError, match="fractions"):
        looking_at_mask(image, mask / 2)
    with pytest.raises(InputError, match="600 classes"):
        looking_at_mask(image, np.arange(600).reshape(20, 30), as_classes=True)


def test_the_whole_of_it_and_the_same_twice(plain):
    twice = replace(plain[4], name="twice.png")
    odd = look(np.random.default_rng(0).integers(0, 255, (1, 64, 64)).astype(np.uint8), "odd.png")
    seen = [*plain, twice, odd]
    found = run(curate(seen, CurateSettings(n_next=6)))
    assert (found.exact, found.near, found.pairs) == ([[4, 30]], [[4, 30]], [])
    assert UNLIKE in found.findings[31]
    assert found.oddity.argmax() == 31
    assert len(found.next) == 6
    assert not {30, 31} & set(found.next)  # a copy and an odd one are not worth annotating
    again = run(curate(seen, CurateSettings(n_next=6)))
    assert (again.next, again.labels.tolist()) == (found.next, found.labels.tolist())
    assert np.array_equal(again.embeddings.vectors, found.embeddings.vectors)
    assert np.array_equal(again.oddity, found.oddity)


def test_a_single_image_and_none():
    found = run(curate([look(texture(0))]))
    assert (found.near, found.findings, found.next, found.weights.tolist()) == ([], [[]], [0], [1])
    assert isinstance(found.embeddings, Embeddings)
    with pytest.raises(InputError, match="no image"):
        run(curate([]))


def test_it_can_be_cancelled_anywhere(plain):
    work = curate(plain)
    messages = {next(work).message}
    work.close()
    with pytest.raises(StopIteration):
        next(work)
    run(curate(plain), lambda progress: messages.add(progress.message))
    assert {"Looking for pictures that are alike", "Finding groups", "Choosing images"} <= messages


def test_odd_shapes_types_and_values():
    shapes = [(1, 1, 1), (1, 2, 40), (2, 5, 300), (7, 300, 3)]
    for shape in shapes:
        seen = look(np.random.default_rng(0).random(shape))
        assert np.isfinite(seen.row).all()
        assert np.isfinite(list(seen.measures.values())).all()
    holes = texture(0).astype(np.float32)
    holes[0, :20] = np.nan
    holes[0, 30, 30] = np.inf
    seen = look(holes)
    assert np.isfinite(seen.row).all()
    assert np.isfinite(seen.small).all()
    assert np.isfinite(list(seen.measures.values())).all()


def test_a_few_inverted_masks_do_not_hide_one_that_is_a_little_wrong():
    suspicion = np.r_[np.zeros(30), np.linspace(0.005, 0.02, 7), 0.17, 0.93, 0.95]
    found = replace(run(curate([look(texture(0))])), suspicion=suspicion)
    assert modified_z(suspicion)[37] == pytest.approx(0.17 / (1.2533 * 2.1375 / 40))
    assert modified_z(suspicion)[37] < found.settings.odd_from  # the inverted ones make the unit so large
    assert found.suspected() == [39, 38, 37]
    unit = np.quantile(suspicion, 0.9) / 1.6449
    assert suspicion[36] / unit < found.settings.odd_from < suspicion[37] / unit
    spread = np.r_[np.linspace(0.01, 0.05, 37), suspicion[37:]]  # with a median that is not 0, as it is
    assert replace(found, suspicion=spread).suspected() == [39, 38, 37]
    assert replace(found, suspicion=np.r_[np.zeros(39), 0.5]).suspected() == [39]
    for nothing in (np.full(40, np.nan), np.zeros(40)):
        assert replace(found, suspicion=nothing).suspected() == []
