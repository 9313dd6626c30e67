"""The benchmark's helpers: simulated strokes, cases, rivals, tables."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from benchmarks import ablation, accuracy, patches32, plots, report, speed
from benchmarks.cases import Case, Plan, find_cases, synthetic_cases
from benchmarks.foreign import foreign_peers
from benchmarks.peers import PEERS, toy_job
from benchmarks.rows import FIELDS, TEXT, Row, mean, read_rows, spreads, write_rows
from benchmarks.strokes import SIMULATORS, simulate
from napari_pu_segment.core.metrics import scores
from napari_pu_segment.core.samples import IGNORE, NEGATIVE, POSITIVE
from napari_pu_segment.io import write_image
from tests.helpers import disks


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_strokes_keep_to_their_region_and_to_the_seed(simulator):
    _, truth = disks()
    valid = np.ones(truth.shape, bool)
    valid[:, 70:] = False
    codes = simulate(truth, valid, n=3, seed=1, simulator=simulator)
    assert set(np.unique(codes)) == {0, POSITIVE, NEGATIVE}
    assert truth[codes == POSITIVE].all()
    assert not truth[codes == NEGATIVE].any()
    assert valid[codes > 0].all()
    assert np.array_equal(codes, simulate(truth, valid, n=3, seed=1, simulator=simulator))
    assert not np.array_equal(codes, simulate(truth, valid, n=3, seed=2, simulator=simulator))


def depth(simulator: str) -> float:
    """Mean distance of positive strokes from the rim of the objects, in px."""
    _, truth = disks()
    inside = ndimage.distance_transform_edt(truth)
    return float(
        np.mean([inside[simulate(truth, n=3, seed=k, simulator=simulator) == POSITIVE].mean() for k in range(5)])
    )


def test_simulators_differ_in_the_way_their_names_say():
    _, truth = disks()
    painted = {name: (simulate(truth, n=4, simulator=name) == POSITIVE).sum() for name in SIMULATORS}
    assert painted["dots"] < painted["short"] < painted["long"]
    assert depth("edge") < 3 < depth("centre_line")


def test_more_strokes_paint_more_and_none_paint_nothing():
    _, truth = disks()
    areas = [(simulate(truth, n=n) > 0).sum() for n in (0, 1, 4)]
    assert areas[0] == 0 < areas[1] < areas[2]
    assert not (simulate(np.zeros((20, 20), bool), n=3) == POSITIVE).any()


@pytest.fixture
def folder(tmp_path):
    """A folder with two cases: one with stored strokes and a stack, one without strokes."""
    image, truth = disks()
    for case in ("stack", "plain"):
        for name in ("images", "truth"):
            (tmp_path / case / name).mkdir(parents=True)
    write_image(tmp_path / "plain" / "images" / "a.tif", image[0])
    write_image(tmp_path / "plain" / "truth" / "a.tif", truth)
    stack, strokes = np.stack([image[0]] * 3), np.zeros((3, *truth.shape), np.uint8)
    strokes[1, 18:22, 18:22] = POSITIVE
    (tmp_path / "stack" / "strokes").mkdir()
    write_image(tmp_path / "stack" / "images" / "b.tif", stack)
    write_image(tmp_path / "stack" / "truth" / "b.tif", np.stack([~truth, truth, ~truth]))
    for seed in (0, 1):
        write_image(tmp_path / "stack" / "strokes" / f"b_seed{seed}.tif", strokes)
    return tmp_path


def test_cases_are_read_with_stored_strokes_and_simulated_ones_where_there_are_none(folder):
    found = list(find_cases(folder, Plan(seeds=1)))
    assert [(case.case, case.stem, case.seed, case.simulator) for case in found] == [
        ("plain", "a", 0, "centre_line"),
        ("stack", "b", 0, "stored"),
    ]
    assert (found[1].strokes == POSITIVE).sum() == 16
    assert np.array_equal(found[1].truth, disks()[1])  # of the plane with the strokes
    assert found[0].image.shape == found[1].image.shape == (1, 96, 80)
    assert len(list(find_cases(folder / "stack", Plan()))) == 2
    counts = [(case.case, case.n_strokes) for case in find_cases(folder, Plan(1, n_strokes=(2, 4), names=("plain",)))]
    assert counts == [("plain", 2), ("plain", 4)]


def test_synthetic_frames_say_what_lies_beyond_the_rim():
    case = next(synthetic_cases(Plan(seeds=1), 1, 96))
    assert (case.labels("both") == NEGATIVE).any()
    assert not (case.labels("positive") == NEGATIVE).any()
    assert (case.labels("positive")[~case.valid] == IGNORE).all()


QUICK = [(name, mode) for name, peer in PEERS.items() if not peer.slow for mode in peer.modes]


@pytest.mark.parametrize(("name", "mode"), QUICK)
def test_every_peer_runs_and_finds_an_easy_object(name, mode):
    job = toy_job(2, mode)
    outcome = PEERS[name].run(job)
    assert outcome.probability.shape == job.labels.shape
    assert 0 <= outcome.probability.min() < outcome.probability.max() <= 1
    assert outcome.train_s + outcome.predict_s > 0
    mask = outcome.probability >= outcome.threshold
    floor = 0.2 if name.startswith("naive") else 0.85  # these take most of the object for background: their point
    assert scores(mask, job.case.truth)["dice"] > floor


def test_patch_masks_by_multiplication_count_the_others_and_the_corrected_ones_do_not():
    import torch

    values, chosen = torch.tensor([2.0, -1.0, 3.0]), torch.tensor([1.0, 0.0, 0.0])
    right = torch.sigmoid(torch.tensor(-2.0))
    assert torch.isclose(patches32.masked_mean(values, chosen, published=False), right)
    assert torch.isclose(patches32.masked_mean(values, chosen, published=True), right + 1.0)


def test_patch_loss_as_published_with_negatives_ignores_unlabelled_patches():
    import torch

    codes = torch.tensor([POSITIVE, NEGATIVE, 0])
    pairs = [torch.tensor([1.0, -1.0, u]) for u in (-4.0, 4.0)]
    published = [float(patches32.loss(scores, codes, 0.4, True)) for scores in pairs]
    corrected = [float(patches32.loss(scores, codes, 0.4, False)) for scores in pairs]
    assert published[0] == published[1]
    assert corrected[0] < corrected[1]


def test_corrected_batches_hold_every_class_and_every_patch_once():
    codes = np.repeat([POSITIVE, NEGATIVE, 0], [40, 40, 80])
    made = {form: patches32.batches(codes, np.random.default_rng(0), form) for form in (True, False)}
    assert max(map(len, made[True])) == 2
    assert all(set(codes[batch]) == {0, POSITIVE, NEGATIVE} for batch in made[False])
    for batches in made.values():
        assert sorted(np.concatenate(batches)) == list(range(160))


def test_patches_train_and_predict_every_pixel(monkeypatch):
    for name in ("N_LABELLED", "N_UNLABELLED"):
        monkeypatch.setattr(patches32, name, 8)
    job = toy_job()
    network = patches32.train(job.case.image[:, :40, :36], job.labels[:40, :36], 0.5, False, epochs=1)
    probability = patches32.predict(network, job.case.image[:, :40, :36])
    assert probability.shape == (40, 36)
    assert np.isfinite(probability).all()


def test_foreign_peers_answer_through_their_process(tmp_path, monkeypatch):
    package = tmp_path / "apoc.py"
    package.write_text(
        "import numpy as np\n"
        "class PredefinedFeatureSet:\n"
        "    class medium_quick: value = 'sobel_of_gaussian_blur=1'\n"
        "class ProbabilityMapper:\n"
        "    def __init__(self, **options): pass\n"
        "    def train(self, features, labels, image): print('noise'); self.mean = image[labels == 2].mean()\n"
        "    def predict(self, image): return (image > self.mean / 2).astype(float)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    rows = foreign_peers([f"apoc={sys.executable}"])
    job = toy_job()
    assert rows["apoc"].modes == ("both",)
    assert scores(rows["apoc"].run(job).probability, job.case.truth)["dice"] > 0.9
    package.write_text("raise ImportError\n")
    with pytest.raises(RuntimeError, match="failed in"):
        foreign_peers([f"apoc={sys.executable}"])["apoc"].run(job)
    with pytest.raises(ValueError, match="NAME=PYTHON"):
        foreign_peers(["ilastik=/usr/bin/python"])


def row(case: str, method: str, dice: float, **other) -> Row:
    base = dict.fromkeys(FIELDS, 1.0) | dict.fromkeys(TEXT, "a")
    return {**base, "case": case, "method": method, "strokes": "both", "told_prior": "auto", "dice": dice, **other}


def test_rows_survive_their_file_and_means_count_cases_not_files(tmp_path):
    rows = [
        row("a", "ours", 0.8),
        row("a", "ours", 0.6),
        row("b", "ours", 0.3),
        row("a", "forest", 0.5, told_prior="-"),
    ]
    write_rows(tmp_path / "runs.csv", iter(rows))
    again = read_rows(tmp_path / "runs.csv")
    assert again == rows
    ours = [r for r in again if r["method"] == "ours"]
    assert mean(ours, "dice") == pytest.approx(0.5)
    assert spreads(ours, "dice") == pytest.approx((0.05, 0.2))
    assert "| `ours` | both | auto | **0.500** | 0.050 | 0.200 |" in report.summary(again)
    assert "**+0.200** | +0.200 (a)" in report.against(again)  # b has no forest


def test_the_documentation_is_filled_from_stored_rows(tmp_path):
    write_rows(tmp_path / "runs.csv", [row("a", "ours", 0.8, n_strokes=2.0, prior=0.2, true_prior=0.1)])
    page = "# Title\n<!-- table priors runs.csv -->\nold\n<!-- end -->\ntext\n"
    filled = report.fill(page, tmp_path)
    assert "old" not in filled
    assert filled.startswith("# Title\n<!-- table priors runs.csv -->\n")
    assert filled.endswith("<!-- end -->\ntext\n")
    assert "| auto | both | **0.800** | 1.000 | +0.200 | 1.00 |" in filled
    assert report.fill(filled, tmp_path) == filled


def test_aims_are_reached_or_not():
    kinds = [(strokes, told) for strokes in ("positive", "both") for told in ("auto", "true")]
    runs = [row("a", "ours", 0.75, strokes=s, told_prior=t, dice_refined=0.73) for s, t in kinds]
    lines = report.goals_table([*runs, row("a", "forest", 0.8, told_prior="-")]).splitlines()[2:]
    reached = {tuple(line.split(" | ")[:2]): line.endswith("| yes |") for line in lines}
    assert reached["| positive", "Dice"]
    assert not reached["| both", "Dice"]
    assert not reached["| both", "the same, worst case (a)"]  # 0.05 below the forest
    assert reached["| both", "Dice less than with the true prior"]
    assert not reached["| both", "gain by refining"]


def test_variants_are_shown_by_what_they_gain_over_the_first():
    runs = [row("a", "default", 0.8), row("a", "default", 0.7, told_prior="true"), row("a", "wider", 0.75)]
    lines = report.ablation_table(runs).splitlines()
    assert lines[0] == "| variant | both, auto prior | both, true prior | train s |"
    assert lines[2] == "| default | **0.800** | **0.700** | 1.00 |"
    assert lines[3] == "| wider | -0.050 |  | 1.00 |"


def test_every_variant_of_the_ablation_changes_the_defaults_and_runs(folder, tmp_path, monkeypatch, capsys):
    job = replace(toy_job(), prior=0.45, settings={"n_steps": 20})
    default = ablation.VARIANTS["default"].run(job)
    assert set(ablation.TOLD_TOO) < set(ablation.VARIANTS)
    for name, peer in ablation.VARIANTS.items():
        assert (name == "default") == np.array_equal(peer.run(job).probability, default.probability), name
    few = {name: ablation.VARIANTS[name] for name in ("default", "risk: pn")}
    monkeypatch.setattr(ablation, "VARIANTS", few)
    monkeypatch.setattr(ablation, "TOLD_TOO", ("default",))
    ablation.main([str(folder), "--cases", "plain", "--csv", str(tmp_path / "ablation.csv")])
    found = [(r["method"], r["told_prior"], r["strokes"]) for r in read_rows(tmp_path / "ablation.csv")]
    assert found.count(("default", "auto", "both")) == found.count(("default", "true", "both")) == 1
    assert {mode for name, _, mode in found if name == "risk: pn"} == {"both"}
    assert "| risk: pn |" in capsys.readouterr().out


def test_the_whole_run_writes_rows_tables_and_plots(tmp_path, capsys):
    what = ["--methods", "ours", "forest", "--strokes", "both", "--prior", "auto", "true", "1.5"]
    what += ["--n-strokes", "2", "4", "--seeds", "1", "--frames", "1", "--side", "96", "--set", "n_steps=20"]
    where = ["--csv", str(tmp_path / "runs.csv"), "--plots", str(tmp_path / "plots")]
    accuracy.main([*what, *where])
    rows = read_rows(tmp_path / "runs.csv")
    assert len(rows) == 2 * (3 + 1)  # numbers of strokes x (ours with each prior, the forest)
    assert {str(r["told_prior"]) for r in rows} == {"auto", "true", "x1.5", "-"}
    told = [r for r in rows if r["told_prior"] == "x1.5"]
    assert told[0]["prior"] == pytest.approx(1.5 * float(told[0]["true_prior"]), rel=1e-3)
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"pareto.png", "priors.png", "strokes.png"}
    assert "mean gain over `forest`" in capsys.readouterr().out


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of a step is told by Linux")
def test_memory_of_a_step_is_its_peak():
    import torch

    meter = speed.Meter(torch.device("cpu"), memory=True)
    for _ in range(2):  # what an earlier step used and freed counts again
        meter.measure("step", lambda: np.ones(2**23).sum())
        assert 0.9 * 2**26 < meter.peak_bytes["step"] < 1.5 * 2**26
        meter.measure("nothing", lambda: None)
        assert meter.peak_bytes["nothing"] < 2**22
    assert meter.seconds["step"] > 0


def test_what_is_told_can_be_a_factor():
    assert [plots.factor(told) for told in ("true", "x0.5")] == [1.0, 0.5]
    truth = np.indices((10, 10))[0] < 4
    case = Case("a", "a", 0, np.zeros((1, 10, 10)), np.zeros((10, 10)), truth, np.ones_like(truth))
    assert accuracy.told_prior(case, "auto") is None
    assert accuracy.told_prior(case, "0.5") == pytest.approx(0.2)
    assert accuracy.told_prior(case, "9") < 1
    with pytest.raises(SystemExit):
        accuracy.read_options(["--prior", "large"])
