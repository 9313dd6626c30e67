"""Bad input by the command line: one sentence, exit code 1, no traceback, and nothing written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from benchmarks.hostile_folder import give_up_rights, permissions_count
from napari_pu_segment.core.errors import ModelFileError
from napari_pu_segment.core.model import load_model
from napari_pu_segment.io import create_output, write_image


@pytest.fixture
def refused(cli, files_in):
    """A function that runs a command which must fail as promised, and gives its sentence."""

    def check(folder: Path, *args: object, says: str = "") -> str:
        before = files_in(folder)
        done = cli(*args)
        assert done.code == 1, done
        assert done.out == ""
        assert done.err.count("\n") == 1, done.err
        assert done.err.rstrip().endswith(".")
        assert "Traceback" not in done.err
        assert says in done.err
        assert files_in(folder) == before
        return done.err

    return check


@pytest.fixture
def files(tmp_path, scene) -> Path:
    """A folder of good and bad files."""
    good = np.asarray(Image.open(scene / "image.png"))
    np.save(tmp_path / "good.npy", good)
    np.save(tmp_path / "strokes.npy", np.asarray(Image.open(scene / "positive.png")))
    np.save(tmp_path / "blank.npy", np.zeros_like(good))
    np.save(tmp_path / "wrong_shape.npy", np.ones((32, 64), np.uint8))
    np.save(tmp_path / "nan.npy", np.full((64, 64), np.nan))
    np.save(tmp_path / "complex.npy", good.astype(complex))
    np.save(tmp_path / "rgb.npy", np.dstack([good] * 3))
    np.save(tmp_path / "codes.npy", np.full_like(good, 250))
    np.save(tmp_path / "half.npy", np.full((64, 64), 0.5, np.float32))
    (tmp_path / "empty.tif").touch()
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "cut.png").write_bytes((scene / "image.png").read_bytes()[:-300])
    (tmp_path / "folder").mkdir()
    for name, change in {"bomb": {"shape": [10**6, 10**6]}, "code": {"codecs": [{"name": "numcodecs.pickle"}]}}.items():
        output = create_output(tmp_path / f"{name}.zarr", good.shape, np.uint8)
        output[...] = good
        header = output.finish() / "0/zarr.json"
        header.write_text(json.dumps({**json.loads(header.read_text()), **change}))
    (tmp_path / "settings.json").write_text("{not json")
    (tmp_path / "list.json").write_text("[1, 2]")
    return tmp_path


# --- train


@pytest.mark.parametrize(
    ("image", "options", "says"),
    [
        ("missing.png", ("--positive", "strokes.npy"), "missing.png"),
        ("empty.tif", ("--positive", "strokes.npy"), "0 bytes"),
        ("text.png", ("--positive", "strokes.npy"), "not an image"),
        ("cut.png", ("--positive", "strokes.npy"), "cut short"),
        ("folder", ("--positive", "strokes.npy"), "one form at a time"),
        ("nan.npy", ("--positive", "strokes.npy"), "no finite value"),
        ("complex.npy", ("--positive", "strokes.npy"), "complex"),
        ("good.npy", (), "No strokes"),
        ("good.npy", ("--positive", "blank.npy"), "no positive strokes"),
        ("good.npy", ("--scribbles", "blank.npy"), "no positive strokes"),
        ("good.npy", ("--negative", "strokes.npy"), "no positive strokes"),
        ("good.npy", ("--positive", "wrong_shape.npy"), "(32, 64)"),
        ("good.npy", ("--positive", "strokes.npy", "--negative", "wrong_shape.npy"), "differ in shape"),
        ("good.npy", ("--positive", "missing.png"), "missing.png"),
        ("good.npy", ("--positive", "half.npy"), "fractions"),
        ("good.npy", ("--scribbles", "codes.npy"), "label values"),
        ("good.npy", ("--positive", "strokes.npy", "--ignore", "strokes.npy"), "no positive strokes"),
        ("good.npy", ("--positive", "strokes.npy", "--method", "magic"), "no method called 'magic'"),
        ("good.npy", ("--positive", "strokes.npy", "--prior", "2"), "prior '2'"),
        ("good.npy", ("--positive", "strokes.npy", "--prior", "nan"), "prior 'nan'"),
        ("good.npy", ("--positive", "strokes.npy", "--prior", "some"), "prior 'some'"),
        ("good.npy", ("--positive", "strokes.npy", "--set", "stepz=3"), "no setting called 'stepz'"),
        ("good.npy", ("--positive", "strokes.npy", "--set", "n_steps=-1"), "'n_steps' = '-1'"),
        ("good.npy", ("--positive", "strokes.npy", "--set", "n_steps=many"), "'n_steps' = 'many'"),
        ("good.npy", ("--positive", "strokes.npy", "--set", "network=none"), "'network' = 'none'"),
        ("good.npy", ("--positive", "strokes.npy", "--seed", "-3"), "'seed'"),
        ("good.npy", ("--positive", "strokes.npy", "--config", "settings.json"), "not valid JSON"),
        ("good.npy", ("--positive", "strokes.npy", "--config", "list.json"), "names and values"),
        ("good.npy", ("--positive", "strokes.npy", "--config", "missing.json"), "missing.json"),
    ],
)
def test_train(files, refused, monkeypatch, image, options, says):
    monkeypatch.chdir(files)
    refused(files, "train", image, *options, "--out", "new/model", says=says)


def test_train_mixed_images(files, refused, monkeypatch, quick):
    monkeypatch.chdir(files)
    strokes = "--positive", "strokes.npy", "strokes.npy"
    refused(files, "train", "good.npy", "rgb.npy", *strokes, *quick, "--out", "m", says="number of channels")


def test_train_patch_folders(files, refused):
    folders = "--positive-patches", files / "folder", "--unlabelled-patches", files / "folder"
    refused(files, "train", *folders, "--out", files / "m", says="no images")
    folders = "--positive-patches", files / "gone", "--unlabelled-patches", files / "folder"
    refused(files, "train", *folders, "--out", files / "m", says="gone")


# --- where outputs cannot go


def outputs_in_a_file(files: Path) -> dict[str, Path]:
    return {"into a file": files / "good.npy/out.tif", "below it": files / "good.npy/a/b/out.tif"}


@pytest.mark.parametrize("where", ["into a file", "below it"])
def test_outputs_into_a_file(files, refused, model, monkeypatch, where):
    out = outputs_in_a_file(files)[where]
    monkeypatch.chdir(files)
    strokes = "--positive", "strokes.npy"
    refused(files, "train", "good.npy", *strokes, "--out", out, says="Cannot write")
    refused(files, "predict", model, "good.npy", "--out", out.parent, says="Cannot write")
    refused(files, "refine", "good.npy", "half.npy", "--out", out, says="Cannot write")
    refused(files, "demo", "--out", out.parent, says="Cannot write")


def test_outputs_onto_a_folder_and_impossible_names(files, refused, model, monkeypatch):
    monkeypatch.chdir(files)
    strokes = "--positive", "strokes.npy"
    refused(files, "train", "good.npy", *strokes, "--out", "folder", says="is a folder")
    refused(files, "refine", "good.npy", "half.npy", "--out", "folder", says="is a folder")
    refused(files, "refine", "good.npy", "half.npy", "--out", "x.png", says="ends with .tif")
    refused(files, "train", "good.npy", *strokes, "--out", "x" * 300, says="too long")


SEVERAL = """
import json, sys
from napari_pu_segment.cli.main import app
for command in json.loads(sys.argv[1]):
    try:
        app(command)
    except SystemExit as end:
        print(end.code, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="permissions of files are another thing on Windows")
def test_permissions(files, model, files_in):
    if not permissions_count():
        pytest.skip("nothing is unreadable to root here")
    (files / "secret.npy").write_bytes((files / "good.npy").read_bytes())
    (files / "secret.npy").chmod(0)
    (files / "folder").chmod(0o500)
    (files / "in").mkdir()
    (files / "in/good.npy").write_bytes((files / "good.npy").read_bytes())
    (files / "secret").write_bytes(model.read_bytes())
    (files / "secret").chmod(0)
    commands = [
        ("predict", model, files / "secret.npy", "--out", files / "new"),
        ("predict", files / "secret", files / "good.npy", "--out", files / "new"),
        ("predict", model, files / "good.npy", "--out", files / "folder"),
        ("batch", model, files / "in", "--out", files / "folder"),
        ("batch", model, files / "in", "--out", files / "folder/new"),
        ("train", files / "good.npy", "--positive", files / "strokes.npy", "--out", files / "folder/model"),
    ]
    before, told = files_in(files), json.dumps([[*map(str, command)] for command in commands])
    command = [sys.executable, "-c", SEVERAL, told]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, preexec_fn=give_up_rights)
    assert done.stdout.split() == ["1"] * len(commands), done.stderr
    sentences = done.stderr.splitlines()
    assert len(sentences) == len(commands), "one sentence each"
    assert all("Permission denied" in sentence or "written to" in sentence for sentence in sentences)
    assert ["secret" in sentence for sentence in sentences] == [True] * 2 + [False] * 4
    assert files_in(files) == before


def test_a_full_disk_leaves_nothing(files, refused, model, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tifffile.imwrite", full)
    (files / "out").mkdir()
    refused(files, "predict", model, files / "good.npy", "--out", files / "out", says="No space left")


# --- predict, refine, evaluate, info


@pytest.mark.parametrize(
    ("image", "says"),
    [
        ("missing.png", "missing.png"),
        ("empty.tif", "0 bytes"),
        ("text.png", "not an image"),
        ("nan.npy", "no finite value"),
        ("complex.npy", "complex"),
        ("bomb.zarr", "promises"),
        ("code.zarr", "numcodecs.pickle"),
        ("rgb.npy", "3 channel(s)"),
    ],
)
def test_predict_images(files, refused, model, image, says):
    refused(files, "predict", model, files / image, "--out", files / "new", says=says)
    refused(files, "predict", model, files / image, "--out", files / "new", "--json", "--refine", says=says)


@pytest.mark.parametrize("threshold", ["-0.1", "1.5", "nan"])
def test_predict_thresholds(files, refused, model, threshold):
    option = f"--threshold={threshold}"
    refused(files, "predict", model, files / "good.npy", "--out", files / "new", option, says="threshold")


def test_predict_keeps_whole_what_was_done_before_a_bad_image(files, cli, model, files_in):
    done = cli("predict", model, files / "good.npy", files / "cut.png", "--out", files / "new")
    assert done.code == 1
    assert "cut.png" in done.err
    assert files_in(files / "new") == {"good_probability.tif", "good_mask.tif"}


def test_refine_and_evaluate(files, refused, monkeypatch):
    monkeypatch.chdir(files)
    out = "--out", "new.tif"
    refused(files, "refine", "good.npy", "good.npy", *out, says="0 to 1")
    refused(files, "refine", "wrong_shape.npy", "half.npy", *out, says="64")
    refused(files, "refine", "good.npy", "half.npy", "--set", "steps=0", *out, says="'steps'")
    refused(files, "refine", "good.npy", "half.npy", "--set", "magic=0", *out, says="no setting called")
    refused(files, "refine", "good.npy", "half.npy", "--threshold", "7", *out, says="threshold")
    refused(files, "evaluate", "good.npy", "wrong_shape.npy", says="one shape")
    refused(files, "evaluate", "half.npy", "strokes.npy", says="fractions")
    refused(files, "evaluate", "good.npy", "strokes.npy", "--valid", "blank.npy", says="no valid pixel")
    refused(files, "evaluate", "good.npy", "missing.png", says="missing.png")


def damaged(model: Path) -> dict[str, bytes]:
    whole = model.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    card = json.loads(header["__metadata__"]["card"])

    def with_card(**values: object) -> bytes:
        text = json.dumps({**header, "__metadata__": {"card": json.dumps({**card, **values})}}).encode()
        return len(text).to_bytes(8, "little") + text + whole[8 + length :]

    assert with_card()[8:] != whole[8:]  # same card, only written with other spaces: still a good model
    flipped = bytearray(whole)
    flipped[-5] ^= 64
    return {
        "empty": b"",
        "short": whole[: len(whole) // 2],
        "flipped": bytes(flipped),
        "foreign": b"PK\x03\x04" + whole,
        "image": b"\x89PNG\r\n\x1a\n" + bytes(200),
        "newer": with_card(format_version=99),
        "other": with_card(threshold=3),
        "wide": with_card(network={**card["network"], "width": 5}),
        "huge": with_card(network={**card["network"], "width": 10**9}),
    }


def test_damaged_models(files, refused, model, cli):
    for name, data in damaged(model).items():
        path = files / name
        path.write_bytes(data)
        refused(files, "info", path, says=name)
        refused(files, "predict", path, files / "good.npy", "--out", files / "new", says=name)
    refused(files, "info", files / "missing", says="missing")
    refused(files, "info", files / "folder", says="folder")
    assert cli("info", model).code == 0


def test_mutated_models_raise_only_our_error(files, model):
    whole, rng, bad = model.read_bytes(), np.random.default_rng(0), 0
    start = time.perf_counter()
    for _ in range(300):
        data = bytearray(whole)
        head = rng.random() < 0.7
        for _ in range(rng.integers(1, 6)):
            data[int(rng.integers(2500 if head else len(data)))] = int(rng.integers(256))
        (files / "m").write_bytes(data if rng.random() < 0.8 else data[: int(rng.integers(len(data)))])
        try:
            load_model(files / "m")
        except ModelFileError:  # anything else fails the test
            bad += 1
    assert bad > 250
    assert time.perf_counter() - start < 120


# --- strange, but handled: a result, or one sentence


def handled(cli, files_in, folder: Path, strokes: str, image: str, quick: tuple[str, ...]) -> None:
    done = cli("train", folder / image, "--positive", folder / strokes, *quick, "--out", folder / "m")
    if done.code == 0:
        done = cli("predict", folder / "m", folder / image, "--out", folder / "out", "--refine")
    assert done.code in (0, 1)
    assert done.err.count("\n") == done.code
    if done.code == 0:
        probability = tifffile.imread(folder / "out" / f"{Path(image).stem}_probability.tif")
        assert np.isfinite(probability).all()
        assert len(files_in(folder / "out")) == 3
    else:
        assert not (folder / "out").exists()


STRANGE = {
    "constant": np.full((64, 64), 7, np.uint8),
    "one hot pixel": np.where(np.arange(4096).reshape(64, 64) == 99, 1e30, 0).astype(np.float32),
    "half nan": np.where(np.arange(64) < 32, np.nan, np.linspace(0, 1, 64)) * np.ones((64, 1)),
    "inf": np.where(np.eye(64) > 0, np.inf, np.random.default_rng(0).random((64, 64))),
    "tiny values": np.random.default_rng(0).random((64, 64)) * 1e-300,
    "huge values": np.random.default_rng(0).random((64, 64)) * 1e300,
    "bool": np.eye(64, dtype=bool),
    "uint64": np.random.default_rng(0).integers(0, 2**64 - 1, (64, 64), np.uint64),
    "float16": np.random.default_rng(0).random((64, 64)).astype(np.float16),
    "one row": np.random.default_rng(0).random((1, 4096)),
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_images(cli, files_in, tmp_path, quick, name):
    image = STRANGE[name]
    np.save(tmp_path / "x.npy", image)
    strokes = np.zeros(image.shape, np.uint8)
    strokes[:, -12:-4] = 1
    np.save(tmp_path / "s.npy", strokes)
    handled(cli, files_in, tmp_path, "s.npy", "x.npy", quick)


@pytest.mark.parametrize(("shape", "painted"), [((1, 1), 1), ((2, 3), 1), ((3, 1), 3)])
def test_tiny_images(cli, files_in, tmp_path, quick, shape, painted):
    np.save(tmp_path / "x.npy", np.arange(np.prod(shape), dtype=np.uint8).reshape(shape))
    strokes = np.zeros(shape, np.uint8)
    strokes.flat[:painted] = 1
    np.save(tmp_path / "s.npy", strokes)
    handled(cli, files_in, tmp_path, "s.npy", "x.npy", quick)


def test_strokes_that_cover_everything_are_refused(files, refused):
    np.save(files / "all.npy", np.ones((64, 64), np.uint8))
    options = "--positive", files / "all.npy", "--out", files / "m"
    refused(files, "train", files / "good.npy", *options, says="Everything is painted")


def test_one_pixel_of_stroke_is_enough(files, cli, quick):
    one = np.zeros((64, 64), np.uint8)
    one[18, 21] = 1
    np.save(files / "one.npy", one)
    done = cli("train", files / "good.npy", "--positive", files / "one.npy", *quick, "--out", files / "m")
    assert (done.code, done.err) == (0, "")


def test_links_are_read_but_not_written_through(files, cli, model, files_in):
    (files / "link.npy").symlink_to(files / "good.npy")
    (files / "out").mkdir()
    write_image(files / "precious.tif", np.ones((4, 4), np.uint8))
    before = (files / "precious.tif").read_bytes()
    (files / "out/link_mask.tif").symlink_to(files / "precious.tif")
    assert cli("predict", model, files / "link.npy", "--out", files / "out").code == 0
    assert (files / "precious.tif").read_bytes() == before
    assert not (files / "out/link_mask.tif").is_symlink()  # replaced by the result itself
    assert tifffile.imread(files / "out/link_mask.tif").shape == (64, 64)
