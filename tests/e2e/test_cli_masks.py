"""The command ``train`` with unreliable masks, and with nothing."""

from __future__ import annotations

import json

import pytest

from napari_pu_segment.core.corrupt import CorruptSettings, corrupt
from napari_pu_segment.core.model import load_model
from napari_pu_segment.core.samples import POSITIVE
from napari_pu_segment.io import write_image
from tests.helpers import disks, strokes

QUICK = ("--set", "n_steps=60", "--set", "threads=1")


@pytest.fixture
def files(tmp_path):
    """Images a, b, c, d of disks; triangles for masks of a and b, a true mask of c, strokes on c and d; d's truth."""
    for seed, name in enumerate("abcd"):
        image, truth = disks(seed=seed)
        write_image(tmp_path / f"{name}.tif", image[0])
        write_image(tmp_path / f"{name}_noisy.tif", corrupt(truth, CorruptSettings(seed=seed)))
        write_image(tmp_path / f"{name}_clean.tif", truth)
        write_image(tmp_path / f"{name}_positive.tif", strokes() == POSITIVE)
        write_image(tmp_path / f"{name}_negative.tif", strokes() == 2)
    return tmp_path


def images(files, names):
    return [files / f"{name}.tif" for name in names]


def dice_of(cli, files, model):
    assert cli("predict", model, files / "d.tif", "--out", files / "out").code == 0
    return json.loads(cli("evaluate", files / "out/d_mask.tif", files / "d_clean.tif").out)


def test_weighing_beats_trusting_and_evaluate_tells_all(files, cli):
    base = (
        "train",
        *images(files, "abc"),
        "--method",
        "reweight",
        "--noisy-mask",
        *images(files, ["a_noisy", "b_noisy"]),
    )
    done = cli(*base, "--clean-mask", files / "c_clean.tif", *QUICK, "--out", files / "weighed.safetensors")
    assert (done.code, done.err) == (0, "")
    trusting = ("--clean-mask", files / "c_clean.tif", "--set", "learner=noisy")
    assert cli(*base, *trusting, *QUICK, "--out", files / "trusted.safetensors").code == 0
    weighed, trusted = (dice_of(cli, files, files / f"{name}.safetensors") for name in ("weighed", "trusted"))
    assert weighed["dice"] > trusted["dice"] + 0.1
    assert set(weighed) == {"dice", "iou", "precision", "recall", "specificity", "accuracy"}


def test_strokes_are_reliable_and_one_image_may_have_both(files, cli):
    out = files / "m.safetensors"
    given = ("--positive", files / "c_positive.tif", "--negative", files / "c_negative.tif")
    rough = ("--noisy-mask", *images(files, ["a_noisy", "b_noisy"]))
    assert cli("train", *images(files, "abc"), "--method", "reweight", *rough, *given, *QUICK, "--out", out).code == 0
    assert load_model(out).card.class_prior_source == "unreliable masks"
    both = ("--noisy-mask", files / "c_noisy.tif", *given)
    assert cli("train", files / "c.tif", "--method", "reweight", *both, *QUICK, "--out", out).code == 0


def test_a_folder_holds_images_and_masks_and_training_goes_on(files, cli):
    folder, first, later = files / "set", files / "first.safetensors", files / "later.safetensors"
    folder.mkdir()
    for name in ("a", "a_noisy", "b", "b_noisy", "c", "c_clean"):
        (files / f"{name}.tif").rename(folder / f"{name}.tif")
    assert cli("train", folder, "--method", "reweight", *QUICK, "--out", first).code == 0
    done = cli("train", folder, "--method", "reweight", *QUICK, "--start", first, "--out", later)
    assert (done.code, done.err) == (0, "")
    hashes = [load_model(path).card.tensors_sha256 for path in (first, later)]
    assert hashes[0] != hashes[1]
    for kind in ("noisy", "clean"):
        (folder / kind).mkdir()
        for path in folder.glob(f"?_{kind}.tif"):
            path.rename(folder / kind / path.name.replace(f"_{kind}", ""))
    assert cli("train", folder, "--method", "reweight", *QUICK, "--out", later).code == 0
    assert load_model(later).card.tensors_sha256 == hashes[0], "the same masks, in folders of their own"
    (folder / "a.tif").unlink()
    refused = cli("train", folder, "--method", "reweight", *QUICK, "--out", later)
    assert refused.code == 1
    assert "no such image" in refused.err


@pytest.mark.parametrize(("n_noisy", "n_clean"), [(2, 2), (4, 0), (1, 1), (3, 1)])
def test_numbers_of_files_that_do_not_fit_are_refused(files, cli, n_noisy, n_clean):
    rough = [files / f"{name}_noisy.tif" for name in "abcd"[:n_noisy]]
    clean = [files / f"{name}_clean.tif" for name in "abcd"[:n_clean]]
    options = ("--noisy-mask", *rough, *(("--clean-mask", *clean) if clean else ()))
    done = cli("train", *images(files, "abc"), "--method", "reweight", *options, "--out", files / "m.safetensors")
    assert done.code == 2
    assert "image(s)" in done.err
    assert not (files / "m.safetensors").exists()


def test_no_strokes_at_all(files, cli):
    model = files / "m.safetensors"
    refused = cli("train", files / "d.tif", *QUICK, "--out", model)
    assert refused.code == 1
    assert "No strokes were given" in refused.err
    done = cli("train", files / "d.tif", "--method", "cluster", "--set", "threads=1", "--out", model)
    assert done.code == 0, done.err
    assert "class prior 0.1" in done.out
    assert "positive" not in done.out
    assert dice_of(cli, files, model)["dice"] > 0.85
    done = cli("train", files / "d.tif", "--method", "cluster", "--prior", "0.05", "--out", model)
    assert done.code == 0, done.err
    assert load_model(model).card.class_prior == 0.05
