"""The command `batch` on a real disk: hostile folders, kills at any moment, full disks, and every byte compared."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import tifffile

from benchmarks import hostile_folder, kills
from tests.batch_work import digests, write_images, write_model

ALL = "probability,mask,instances,measurements"
POSIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A model file; do not change it."""
    return write_model(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture
def folder(tmp_path):
    """A folder of three images."""
    return write_images(tmp_path / "in")


def test_a_folder_from_the_command_line(cli, model, folder, tmp_path, files_in):
    done = cli("batch", model, folder, "--out", tmp_path / "out", "--outputs", ALL)
    assert (done.code, done.err) == (0, "")
    assert "3 ok, 0 skipped, 0 refused, 0 failed" in done.out
    written = {name for name in files_in(tmp_path / "out") if not name.startswith(".")}
    kinds = {f"{kind}.{'csv' if kind == 'measurements' else 'tif'}" for kind in ALL.split(",")}
    assert written == {"report.json", "report.html"} | {f"image{i}_{kind}" for i in range(3) for kind in kinds}
    before = digests(tmp_path / "out")
    done = cli("batch", model, folder, "--out", tmp_path / "out", "--outputs", ALL, "--json")
    told = json.loads(done.out)
    assert told["counts"] == {"ok": 0, "skipped": 3, "refused": 0, "failed": 0}
    assert digests(tmp_path / "out") == before


def test_the_same_results_as_predict(cli, model, folder, tmp_path):
    images = sorted(folder.iterdir())
    assert cli("predict", model, *images, "--out", tmp_path / "one").code == 0
    assert cli("batch", model, folder, "--out", tmp_path / "all").code == 0
    for name, digest in digests(tmp_path / "one").items():
        assert digests(tmp_path / "all")[name] == digest
    assert len(digests(tmp_path / "one")) == 6


def test_a_dry_run_writes_nothing(cli, model, folder, tmp_path):
    (folder / "bad.tif").write_text("no image")
    done = cli("batch", model, folder, "--out", tmp_path / "out", "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert "3 file(s) to do" in done.out
    assert "bad.tif" in done.out
    told = json.loads(cli("batch", model, folder, "--out", tmp_path / "out", "--dry-run", "--json").out)
    assert (told["n_files"], len(told["refused"])) == (3, 1)
    assert not (tmp_path / "out").exists()


def test_exit_codes(cli, model, folder, tmp_path):
    (folder / "bad.tif").write_text("no image")
    done = cli("batch", model, folder, "--out", tmp_path / "out")
    assert done.code == 3
    assert done.err.count("\n") == 1
    assert "bad.tif" in done.err
    before = digests(tmp_path)
    for args, says in (
        ((model, folder, "--out", folder / "out"), "lies in it"),
        ((model, folder, "--out", tmp_path / "out", "--threshold", "0.9"), "other settings"),
        ((model, tmp_path / "gone", "--out", tmp_path / "new"), "not a folder"),
        ((folder / "bad.tif", folder, "--out", tmp_path / "new"), "not a model"),
        ((model, folder, "--out", tmp_path / "new", "--outputs", "masks"), "choose one of"),
        ((model, folder, "--out", tmp_path / "new", "--format", "gif"), "choose one of"),
        ((model, folder, "--out", tmp_path / "new", "--crf", "steps=0"), "steps"),
    ):
        done = cli("batch", *args)
        assert done.code == 1, done
        assert done.err.count("\n") == 1
        assert says in done.err
    assert digests(tmp_path) == before


def test_settings_of_refinement_and_objects(cli, model, folder, tmp_path):
    options = "--refine", "--crf", "backend=grid", "--crf", "steps=2", "--objects", "min_size_px=100000"
    done = cli("batch", model, folder, "--out", tmp_path / "out", "--outputs", "instances", *options, "--json")
    assert done.code == 0
    told = json.loads(done.out)
    assert {(file["refined_by"], file["n_objects"]) for file in told["files"]} == {("grid", 0)}
    assert set(told["files"][0]["outputs"]) == {"instances", "refined"}


def test_subfolders_patterns_and_same_names(cli, model, folder, tmp_path, files_in):
    shutil.copytree(folder, folder / "sub")
    np.save(folder / "image0.npy", tifffile.imread(folder / "image0.tif"))
    done = cli("batch", model, folder, "--out", tmp_path / "out", "--recursive", "--pattern", "image[01]*")
    assert done.code == 0
    masks = {name for name in files_in(tmp_path / "out") if name.endswith("_mask.tif")}
    names = {"image0_tif", "image0_npy", "image1", "sub/image0", "sub/image1"}
    assert masks == {f"{name}_mask.tif" for name in names}


@POSIX
def test_a_hostile_folder(tmp_path):
    n_files = 20 * len(hostile_folder.hostile_kinds(tmp_path)) // 2  # one in twenty; twice as many below
    good, hostile = hostile_folder.make_folder(tmp_path / "made", n_files)
    for i, (kind, write) in enumerate(hostile_folder.hostile_kinds(tmp_path).items()):
        if kind not in hostile.values():
            hostile[f"more{i}-{kind}"] = kind
            write(tmp_path / "made/in" / f"more{i}-{kind}")
    hostile_folder.make_model(tmp_path / "model")
    command = [sys.executable, "-m", "napari_pu_segment", "batch", tmp_path / "model", tmp_path / "made/in"]
    command += ["--out", tmp_path / "out", "--json"]
    humble = hostile_folder.give_up_rights
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, preexec_fn=humble)
    assert done.returncode == 3
    files = {file["name"]: file for file in json.loads(done.stdout)["files"]}
    assert {name for name, file in files.items() if file["state"] == "refused"} == set(hostile)
    assert len([file for file in files.values() if file["state"] == "ok"]) == len(good) == len(files) - len(hostile)
    assert all(name in files[name]["reason"] for name in hostile)
    assert "Traceback" not in done.stderr
    assert set(os.listdir(tmp_path)) == {"made", "model", "out", "secret.tif"}


def benchmark(*options: object) -> str:
    """What a short run of benchmarks/kills.py says; a process of its own, since it forks."""
    command = [sys.executable, kills.__file__, *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def may_mount() -> bool:
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not sys.platform.startswith("linux"):
        return False
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True).returncode == 0
        if mounted:
            subprocess.run(["umount", folder], check=True)
    return mounted


@POSIX
@pytest.mark.parametrize("form", ["tiff", "ome-zarr"])
def test_kills_at_random_moments_and_full_disks(form):
    n_full = 4 if may_mount() else 0  # only root may mount a small disk
    said = benchmark("--kills", 5, "--full", n_full, "--files", 4, "--side", 64, "--format", form)
    assert "5 kills" in said
    assert "0 left a torn file, 0 differ" in said
    assert not n_full or "4 stopped with one sentence, nothing torn, the same after the resume" in said


def test_the_checks_of_kills_would_notice(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x.tif").write_bytes(b"whole")
    right = kills.digests(tmp_path / "a")
    assert kills.torn(tmp_path / "a", right) == []
    (tmp_path / "a/x.tif").write_bytes(b"whol")
    assert kills.torn(tmp_path / "a", right) == ["x.tif"]
    (tmp_path / "a/.part-123").write_bytes(b"unfinished")
    assert kills.torn(tmp_path / "a", right) == ["x.tif"]
    (tmp_path / "b/s.zarr").mkdir(parents=True)
    for name in ("c0", "c1"):
        (tmp_path / "b/s.zarr" / name).write_bytes(b"chunk")
    right = kills.digests(tmp_path / "b")
    (tmp_path / "b/s.zarr/c1").unlink()
    assert kills.torn(tmp_path / "b", right) == ["s.zarr/c1"]


def test_ctrl_c_ends_a_batch_in_good_order(cli, model, folder, tmp_path, monkeypatch):
    from napari_pu_segment.batch import results

    real = results.segment

    def interrupted(model, image, **more):
        if "image1" in more["name"]:
            raise KeyboardInterrupt
        return real(model, image, **more)

    monkeypatch.setattr(results, "segment", interrupted)
    done = cli("batch", model, folder, "--out", tmp_path / "out")
    assert (done.code, done.err.count("\n")) == (130, 1)
    assert "Run the same command again" in done.err
    told = json.loads((tmp_path / "out/report.json").read_text())
    assert (told["counts"]["ok"], told["n_left"]) == (1, 2)
    monkeypatch.undo()
    done = cli("batch", model, folder, "--out", tmp_path / "out")
    assert done.code == 0
    assert "2 ok, 1 skipped" in done.out
