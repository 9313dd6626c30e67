"""Every command, its words, its outputs and its exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_pu_segment import METHODS, Sample, __version__
from napari_pu_segment import train as train_in_python
from napari_pu_segment.core.metrics import scores
from napari_pu_segment.core.model import load_model
from napari_pu_segment.core.pipeline import predict as predict_in_python
from napari_pu_segment.core.samples import codes_from_masks
from napari_pu_segment.io import read_image, read_mask, read_probability, write_image

# --- train


def test_train_says_what_it_made_and_writes_one_file(scene, cli, tmp_path, quick, files_in):
    done = cli("train", scene / "image.png", "--positive", scene / "positive.png", *quick, "--out", tmp_path / "a/b/m")
    assert done.code == 0
    assert done.err == ""  # no bar: this is no terminal
    assert "2 positive and 0 negative strokes" in done.out
    assert files_in(tmp_path) == {"a", "a/b", "a/b/m"}
    assert load_model(tmp_path / "a/b/m").card.class_prior == 0.25


def test_masks_and_scribbles_train_the_same_model(scene, cli, tmp_path, quick):
    for name, strokes in {
        "masks": ("--positive", scene / "positive.png", "--negative", scene / "negative.png"),
        "codes": ("--scribbles", scene / "scribbles.png"),
    }.items():
        assert cli("train", scene / "image.png", *strokes, *quick, "--out", tmp_path / name).code == 0
    first, second = (load_model(tmp_path / name).card for name in ("masks", "codes"))
    assert (first.n_positive_strokes, first.n_negative_strokes) == (2, 2)
    assert first.tensors_sha256 == second.tensors_sha256


def test_several_files_behind_one_option_or_behind_repeated_ones(scene, cli, tmp_path, quick, write_scene):
    write_scene(tmp_path / "second", seed=1)
    images = scene / "image.png", tmp_path / "second/image.png"
    strokes = scene / "positive.png", tmp_path / "second/positive.png"
    forms = {
        "one": ("--positive", *strokes),
        "repeated": ("--positive", strokes[0], "--positive", strokes[1]),
        "equals": (f"--positive={strokes[0]}", f"--positive={strokes[1]}"),
    }
    hashes = set()
    for name, form in forms.items():
        done = cli("train", *images, *form, *quick, "--out", tmp_path / name)
        assert (done.code, done.err) == (0, "")
        hashes.add(load_model(tmp_path / name).card.tensors_sha256)
    assert load_model(tmp_path / "one").card.n_positive_strokes == 4
    assert len(hashes) == 1


def test_a_folder_of_images_and_strokes(scene, cli, tmp_path, quick, write_scene):
    write_scene(tmp_path / "second", seed=1)
    folder = tmp_path / "pairs"
    folder.mkdir()
    for name, source in {"a": scene, "b": tmp_path / "second"}.items():
        shutil.copy(source / "image.png", folder / f"{name}.png")
        for kind in ("positive", "negative"):
            shutil.copy(source / f"{kind}.png", folder / f"{name}_{kind}.png")
    (folder / "notes.txt").write_text("not an image")
    done = cli("train", folder, *quick, "--out", tmp_path / "m")
    assert (done.code, done.err) == (0, "")
    images = scene / "image.png", tmp_path / "second/image.png"
    strokes = (
        ("--" + kind, scene / f"{kind}.png", tmp_path / f"second/{kind}.png") for kind in ("positive", "negative")
    )
    assert (
        cli("train", *images, *(word for words in strokes for word in words), *quick, "--out", tmp_path / "n").code == 0
    )
    cards = [load_model(tmp_path / name).card for name in ("m", "n")]
    assert cards[0].tensors_sha256 == cards[1].tensors_sha256
    for kind in ("positive", "negative"):
        (folder / f"b_{kind}.png").unlink()
    assert cli("train", folder, *quick, "--out", tmp_path / "m").code == 0, "b is unlabelled now"
    assert load_model(tmp_path / "m").card.n_positive_strokes == 2
    for kind in ("positive", "negative"):
        (folder / f"a_{kind}.png").unlink()
    shutil.copy(scene / "scribbles.png", folder / "a_scribbles.png")
    assert cli("train", folder, *quick, "--out", tmp_path / "m").code == 0
    assert load_model(tmp_path / "m").card.n_negative_strokes == 2


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (("a.png",), "No strokes were given"),
        (("a.png", "b_positive.png"), "there is no such image"),
        (("a.png", "a.npy", "a_positive.png"), "2 images of that name"),
        (("a.png", "a_positive.png", "a_scribbles.png"), "are of the same image"),
        (("a.png", "a_positive.png", "a_positive.npy"), "are of the same image"),
        (("a.png", "a.geojson", "a_negative.png"), "are of the same image"),
    ],
)
def test_a_folder_whose_strokes_do_not_fit_is_refused_by_name(scene, cli, tmp_path, quick, files, said):
    for file in files:
        shutil.copy(scene / "image.png", tmp_path / file)
    done = cli("train", tmp_path, *quick, "--out", tmp_path / "out/m")
    assert done.code != 0
    assert said in done.err
    assert not (tmp_path / "out").exists()


def test_folders_and_files_do_not_mix(scene, cli, tmp_path, quick):
    done = cli("train", scene, scene / "image.png", *quick, "--out", tmp_path / "m")
    assert done.code != 0
    assert "one form at a time" in done.err


def test_an_image_without_contrast_is_warned_of(scene, cli, tmp_path, quick):
    Image.fromarray(np.full((64, 64), 7, np.uint8)).save(tmp_path / "flat.png")
    done = cli("train", tmp_path / "flat.png", "--positive", scene / "positive.png", *quick, "--out", tmp_path / "m")
    assert done.code == 0
    assert "flat.png' has no contrast" in done.err


def test_settings_from_file_options_and_set_and_who_wins(scene, cli, tmp_path):
    (tmp_path / "s.json").write_text(json.dumps({"method": "pu", "n_steps": 7, "width": 16, "seed": 1}))
    (tmp_path / "s.toml").write_text('n_steps = 7\nwidth = 16\nseed = 1\nfilters = ["gaussian"]\n')
    base = ("train", scene / "image.png", "--positive", scene / "positive.png", "--out", tmp_path / "m")
    for name in ("s.json", "s.toml"):
        more = ("--prior", "0.5", "--seed", "2", "--set", "n_steps=9", "--set", "sigmas_px=1,2.5")
        assert cli(*base, "--config", tmp_path / name, *more).code == 0
        settings = load_model(tmp_path / "m").card.settings
        assert (settings["n_steps"], settings["width"], settings["seed"]) == (9, 16, 2)
        assert (settings["prior"], settings["class_prior"]) == ("fixed", 0.5)
        assert settings["sigmas_px"] == [1.0, 2.5]
        assert (settings["filters"] == ["gaussian"]) is (name == "s.toml")
    assert cli(*base, "--config", tmp_path / "s.json").code == 0
    settings = load_model(tmp_path / "m").card.settings
    assert (settings["n_steps"], settings["seed"], settings["prior"]) == (7, 1, "auto")


def test_the_settings_of_a_card_train_the_same_model_again(scene, cli, model, tmp_path):
    card = json.loads(cli("info", model, "--json").out)
    (tmp_path / "s.json").write_text(json.dumps(card["settings"]))
    base = ("train", scene / "image.png", "--positive", scene / "positive.png", "--out", tmp_path / "m")
    assert cli(*base, "--config", tmp_path / "s.json").code == 0
    assert load_model(tmp_path / "m").card.tensors_sha256 == card["tensors_sha256"]


def test_folders_of_patches_instead_of_strokes(cli, tmp_path):
    rng = np.random.default_rng(0)
    frame = np.zeros((48, 64), np.uint8)
    frame[:, 32:] = 120
    frame = np.clip(frame + rng.normal(60, 12, frame.shape), 0, 255).astype(np.uint8)
    for i in range(4):
        for kind, column in (("positive", 40), ("negative", 0), ("unlabelled", 20)):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(frame[8 * i : 8 * i + 16, column : column + 24]).save(tmp_path / kind / f"{i}.png")
    Image.fromarray(frame).save(tmp_path / "frame.png")
    for more in ((), ("--negative-patches", tmp_path / "negative")):
        folders = "--positive-patches", tmp_path / "positive", "--unlabelled-patches", tmp_path / "unlabelled"
        done = cli("train", *folders, *more, "--prior", "0.5", "--set", "n_steps=60", "--out", tmp_path / "m")
        assert (done.code, done.err) == (0, "")
        assert f"4 positive and {4 if more else 0} negative strokes" in done.out
        assert cli("predict", tmp_path / "m", tmp_path / "frame.png", "--out", tmp_path / "out").code == 0
        probability = read_probability(tmp_path / "out/frame_probability.tif")
        assert probability[:, 36:].mean() > probability[:, :28].mean() + 0.3


# --- predict, refine, evaluate


def test_predict_writes_what_the_contract_says(scene, cli, model, tmp_path, files_in):
    done = cli("predict", model, scene / "image.png", "--out", tmp_path / "new/out")
    assert (done.code, done.err) == (0, "")
    assert files_in(tmp_path / "new/out") == {"image_probability.tif", "image_mask.tif"}
    probability = tifffile.imread(tmp_path / "new/out/image_probability.tif")
    mask = tifffile.imread(tmp_path / "new/out/image_mask.tif")
    assert (probability.dtype, mask.dtype) == (np.float32, np.uint8)
    assert 0 <= probability.min() < 0.5 < probability.max() <= 1
    assert set(np.unique(mask)) == {0, 1}
    assert scores(mask, read_mask(scene / "truth.png"))["dice"] > 0.8


def test_refine_in_one_go_or_after_and_json(scene, cli, model, tmp_path):
    done = cli("predict", model, scene / "image.png", "--out", tmp_path, "--refine", "--json", "--threshold", "0.5")
    assert (done.code, done.err) == (0, "")
    report = json.loads(done.out)  # exactly one object
    assert report["threshold"] == 0.5
    (entry,) = report["images"]
    assert entry["refined"] == str(tmp_path / "image_refined.tif")
    refined = tifffile.imread(entry["refined"])
    assert refined.dtype == np.uint8
    assert set(np.unique(refined)) == {0, 1}
    assert entry["positive_fraction"] == pytest.approx(refined.mean())
    after = cli("refine", scene / "image.png", entry["probability"], "--out", tmp_path / "later.tif")
    assert (after.code, after.err) == (0, "")
    assert (tmp_path / "later.tif").read_bytes() == Path(entry["refined"]).read_bytes()
    other = ("--set", "gaussian_weight=0", "--set", "bilateral_weight=0")
    assert cli("refine", scene / "image.png", entry["probability"], *other, "--out", tmp_path / "none.tif").code == 0
    assert np.array_equal(tifffile.imread(tmp_path / "none.tif"), tifffile.imread(entry["mask"]))
    assert not np.array_equal(tifffile.imread(tmp_path / "none.tif"), refined)


def test_what_is_ignored_is_in_no_mask_and_not_counted(scene, cli, model, tmp_path):
    ignored = np.zeros((64, 64), bool)
    ignored[:, :32] = True
    write_image(tmp_path / "ignore.tif", ignored.astype(np.uint8))
    more = ("--refine", "--json", "--out", tmp_path)
    plain = json.loads(cli("predict", model, scene / "image.png", *more).out)["images"][0]
    before = {kind: read_mask(plain[kind]) for kind in ("mask", "refined")}
    assert all((mask & ignored).any() for mask in before.values())
    done = cli("predict", model, scene / "image.png", "--ignore", tmp_path / "ignore.tif", *more)
    assert (done.code, done.err) == (0, "")
    report = json.loads(done.out)["images"][0]
    assert np.array_equal(read_mask(report["mask"]), before["mask"] & ~ignored)
    refined = read_mask(report["refined"])
    assert not (refined & ignored).any()
    assert report["positive_fraction"] == pytest.approx(refined.sum() / (~ignored).sum())


def test_ignore_masks_are_counted_and_measured(scene, cli, model, tmp_path):
    image, mask = scene / "image.png", scene / "truth.png"
    done = cli("predict", model, image, "--ignore", mask, mask, "--out", tmp_path)
    assert done.code == 2
    assert "2 file(s) for 1 image(s)" in done.err
    write_image(tmp_path / "small.tif", np.ones((5, 5), np.uint8))
    done = cli("predict", model, image, "--ignore", tmp_path / "small.tif", "--out", tmp_path)
    assert done.code == 1
    assert "(64, 64)" in done.err
    assert "(5, 5)" in done.err


def test_an_image_of_another_bit_depth_is_warned_of_and_segmented(scene, cli, model, tmp_path):
    deep = read_image(scene / "image.png").image[0].astype(np.uint16) * 257
    write_image(tmp_path / "deep.tif", deep)
    done = cli("predict", model, tmp_path / "deep.tif", scene / "image.png", "--out", tmp_path / "out", "--json")
    assert done.code == 0
    assert done.err.startswith("Warning: The intensities of ")
    assert done.err.count("\n") == 1
    assert "deep.tif" in done.err
    first, second = json.loads(done.out)["images"]
    assert (len(first["warnings"]), second["warnings"]) == (1, [])
    assert (tmp_path / "out/deep_mask.tif").is_file()


def test_the_command_line_and_python_agree_to_the_byte(scene, cli, model, tmp_path):
    assert cli("predict", model, scene / "image.png", "--out", tmp_path).code == 0
    image = read_image(scene / "image.png").image
    values = {"prior": "fixed", "class_prior": 0.25, "n_steps": 25, "threads": 1}
    sample = Sample(image, codes_from_masks(read_mask(scene / "positive.png")))
    trained = train_in_python([sample], METHODS["pu"].settings().changed(values))
    write_image(tmp_path / "python.tif", predict_in_python(trained, image))
    assert (tmp_path / "python.tif").read_bytes() == (tmp_path / "image_probability.tif").read_bytes()


def test_prediction_repeats_to_the_byte(scene, cli, model, tmp_path, files_in):
    for name in ("a", "b"):
        assert cli("predict", model, scene / "image.png", "--out", tmp_path / name).code == 0
    for name in files_in(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_pixel_size_and_unit_reach_the_outputs(scene, cli, model, tmp_path):
    write_image(tmp_path / "sized.tif", read_image(scene / "image.png").image[0], (0.5, 0.25), "um")
    assert cli("predict", model, tmp_path / "sized.tif", "--out", tmp_path).code == 0
    for kind in ("probability", "mask"):
        file = read_image(tmp_path / f"sized_{kind}.tif")
        assert file.pixel_size == pytest.approx((0.5, 0.25))
        assert file.pixel_unit == "um"


def test_a_stack_is_predicted_plane_by_plane(scene, cli, model, tmp_path):
    plane = read_image(scene / "image.png").image[0]
    write_image(tmp_path / "stack.tif", np.stack([plane, plane[::-1], plane]))
    assert cli("predict", model, tmp_path / "stack.tif", scene / "image.png", "--out", tmp_path).code == 0
    stack, alone = (read_probability(tmp_path / f"{name}_probability.tif") for name in ("stack", "image"))
    assert stack.shape == (3, *alone.shape)
    assert np.array_equal(stack[0], alone)


def test_names_of_outputs(scene, cli, model, tmp_path, files_in):
    odd = tmp_path / "größe 図 a:b?.png"
    shutil.copy(scene / "image.png", odd)
    assert cli("predict", model, odd, "--out", tmp_path / "out").code == 0
    assert files_in(tmp_path / "out") == {"größe 図 a_b__probability.tif", "größe 図 a_b__mask.tif"}


def test_images_that_would_write_the_same_files_are_refused_before_any_work(scene, cli, model, tmp_path):
    shutil.copy(scene / "image.png", tmp_path / "IMAGE.png")
    done = cli("predict", model, scene / "image.png", tmp_path / "IMAGE.png", "--out", tmp_path / "out")
    assert done.code == 1
    assert "the same files" in done.err
    assert not (tmp_path / "out").exists()


def test_no_input_is_ever_replaced(scene, cli, model, tmp_path, quick):
    shutil.copy(scene / "image.png", tmp_path / "x.png")
    write_image(tmp_path / "x_mask.tif", read_image(scene / "image.png").image[0])
    before = (tmp_path / "x_mask.tif").read_bytes()
    done = cli("predict", model, tmp_path / "x.png", tmp_path / "x_mask.tif", "--out", tmp_path)
    assert (done.code, "replace an input" in done.err) == (1, True)
    done = cli("refine", tmp_path / "x.png", tmp_path / "x_mask.tif", "--out", tmp_path / "x_mask.tif")
    assert (done.code, "replace an input" in done.err) == (1, True)
    strokes = "--positive", scene / "positive.png"
    done = cli("train", tmp_path / "x.png", *strokes, *quick, "--out", tmp_path / "x.png")
    assert (done.code, "replace an input" in done.err) == (1, True)
    assert (tmp_path / "x_mask.tif").read_bytes() == before


def test_evaluate_prints_json(cli, tmp_path):
    truth = np.zeros((1, 6), np.uint8)
    truth[0, :3] = 255
    prediction = np.array([[1, 1, 0, 1, 0, 0]], np.uint8)
    valid = np.array([[1, 1, 0, 0, 1, 1]], np.uint8)
    for name, mask in {"t": truth, "p": prediction, "v": valid}.items():
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
    done = cli("evaluate", tmp_path / "p.png", tmp_path / "t.png")
    expected = dict.fromkeys(("dice", "precision", "recall", "specificity", "accuracy"), 2 / 3) | {"iou": 0.5}
    assert json.loads(done.out) == pytest.approx(expected)
    done = cli("evaluate", tmp_path / "p.png", tmp_path / "t.png", "--valid", tmp_path / "v.png")
    assert json.loads(done.out)["dice"] == 1


def test_evaluate_tells_how_a_probability_ranks(cli, tmp_path):
    truth = np.array([[1, 0, 1, 0]], np.uint8)
    for name in ("t", "p"):
        Image.fromarray(truth).save(tmp_path / f"{name}.png")
    np.save(tmp_path / "ranks.npy", np.array([[0.9, 0.8, 0.7, 0.1]], np.float32))
    files = (tmp_path / "p.png", tmp_path / "t.png")
    assert "average_precision" not in json.loads(cli("evaluate", *files).out)
    told = json.loads(cli("evaluate", *files, "--probability", tmp_path / "ranks.npy").out)
    assert told["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert told["dice"] == 1
    done = cli("evaluate", *files, "--probability", tmp_path / "ranks.npy", "--classes")
    assert (done.code, "one class" in done.err) == (1, True)


# --- methods, info, version, usage


def test_methods_lists_the_table(cli):
    done = cli("methods")
    assert done.code == 0
    for name, method in METHODS.items():
        assert f"{name}: {method.title}" in done.out
        assert method.reference in done.out
        assert all(f"    {key} = " in done.out for key in method.settings.model_fields)


def test_info(cli, model):
    card = load_model(model).card
    assert json.loads(cli("info", model, "--json").out) == json.loads(card.to_json())
    assert f"threshold: {card.threshold}" in cli("info", model).out


def test_version_and_help_are_quick(cli):
    assert cli("--version").out == f"napari-pu-segment {__version__}\n"
    code = "import sys; sys.argv[1:] = ['{}']\ntry: from napari_pu_segment.__main__ import main; main()\n"
    code += "finally: print(*(name for name in ('torch', 'napari', 'scipy') if name in sys.modules), file=sys.stderr)"
    for option in ("--help", "--version"):
        done = subprocess.run([sys.executable, "-c", code.format(option)], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr.strip()) == (0, "")
        assert "napari-pu-segment" in done.stdout


def test_every_command_of_the_contract_is_there(cli):
    said = cli("--help").out
    for command in ("demo", "gui", "train", "predict", "refine", "evaluate", "methods", "info", "--version"):
        assert command in said
        if not command.startswith("-"):
            assert cli(command, "--help").code == 0


@pytest.mark.parametrize(
    "args",
    [
        ("nonsense",),
        ("predict",),
        ("train", "--out", "m"),
        ("train", "a.png", "b.png", "--positive", "p.png", "--out", "m"),
        ("train", "a.png", "--positive", "p.png", "q.png", "--out", "m"),
        ("train", "a.png", "--positive", "p.png"),
        ("train", "a.png", "--scribbles", "s.png", "--negative", "n.png", "--out", "m"),
        ("train", "a.png", "--positive-patches", "d", "--unlabelled-patches", "d", "--out", "m"),
        ("train", "--positive-patches", "d", "--out", "m"),
        ("train", "a.png", "--positive", "p.png", "--set", "n_steps", "--out", "m"),
        ("predict", "m", "a.png", "--out", "d", "--nonsense"),
        ("evaluate", "a.png"),
    ],
)
def test_usage_errors_have_code_2(cli, args, tmp_path, monkeypatch, files_in):
    monkeypatch.chdir(tmp_path)
    done = cli(*args)
    assert done.code == 2
    assert done.err
    assert "Traceback" not in done.err
    assert files_in(tmp_path) == set()


def test_unforeseen_errors_are_one_line_and_the_traceback_is_there_on_demand(cli, monkeypatch):
    def broken(path):
        raise ZeroDivisionError("what\nnobody thought of")

    monkeypatch.setattr("napari_pu_segment.core.model.load_model", broken)
    done = cli("info", "x")
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert "ZeroDivisionError: what nobody thought of" in done.err
    monkeypatch.setenv("NAPARI_PU_SEGMENT_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli("info", "x")


def test_gui_without_napari_or_without_a_screen_says_so(cli, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    if sys.platform.startswith("linux"):
        done = cli("gui")
        assert (done.code, "no screen" in done.err) == (1, True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = cli("gui")
    assert (done.code, 'pip install "napari-pu-segment[all]"' in done.err) == (1, True)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals here")
def test_a_terminal_gets_a_progress_bar_and_a_pipe_none(scene, cli, tmp_path, quick):
    words = ["train", scene / "image.png", "--positive", scene / "positive.png", *quick, "--out", tmp_path / "m"]
    done = cli(*words)
    assert (done.code, done.err) == (0, "")
    command = [sys.executable, "-m", "napari_pu_segment", *map(str, words)]
    controller, terminal = os.openpty()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=terminal, timeout=120, check=True)
    os.close(terminal)
    assert b"Training" in os.read(controller, 100_000)
    os.close(controller)


# --- demo


def test_demo(cli, tmp_path, files_in):
    done = cli("demo", "--out", tmp_path / "demo")
    assert (done.code, done.err) == (0, "")
    names = {f"{strokes}_{kind}.tif" for strokes in ("P", "P+N") for kind in ("probability", "mask", "refined")}
    names |= {"overview.png", "image.png", "positive.png", "negative.png", "truth.png", "valid.png"}
    assert names <= files_in(tmp_path / "demo")
    assert Image.open(tmp_path / "demo/overview.png").size[0] > 1000
    for strokes in ("P", "P+N"):
        files = [tmp_path / "demo" / name for name in (f"{strokes}_mask.tif", "truth.png")]
        again = json.loads(cli("evaluate", *files, "--valid", tmp_path / "demo/valid.png").out)
        assert again["dice"] >= 0.85
        assert f"{again['dice']:.3f}" in done.out
