"""Batches from plan to report: every file ends with a reason, and what was done is never done twice or by halves."""

from __future__ import annotations

import errno
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_pu_segment.batch import BatchSettings, FileReport, markers, plan, plans, process, results, run_batch
from napari_pu_segment.batch import work as work_module
from napari_pu_segment.core import files as files_module
from napari_pu_segment.core.errors import InputError, OutputError
from napari_pu_segment.core.model import load_model
from napari_pu_segment.core.pipeline import segment
from napari_pu_segment.core.progress import run
from napari_pu_segment.io import create_output, read_image
from napari_pu_segment.io import read as io_read
from tests.batch_work import digests, write_images, write_model
from tests.helpers import disks

ALL = ("probability", "mask", "instances", "measurements")


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A model file; do not change it."""
    return write_model(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture
def settings_in(tmp_path, model):
    """A function that makes settings for a folder of images and a folder of results."""

    def make(n: int = 3, out: str = "out", **values: object) -> BatchSettings:
        if not (tmp_path / "in").exists():
            write_images(tmp_path / "in", n)
        return BatchSettings(model=model, folder=tmp_path / "in", out=tmp_path / out, **values)

    return make


def states(report) -> dict[str, str]:
    return {file.name: file.state for file in report.files}


def after_one(work):
    """A batch of which the first file has just ended."""
    while next(work).preview is None:
        pass
    return work


def finish(settings: BatchSettings):
    return run(run_batch(plan(settings)))


# --- what comes out


@pytest.mark.parametrize("form", ["tiff", "ome-zarr"])
def test_results_are_those_of_the_pipeline(settings_in, form):
    settings = settings_in(outputs=ALL, format=form)
    report = finish(settings)
    assert states(report) == dict.fromkeys(["image0.tif", "image1.tif", "image2.tif"], "ok")
    suffix = {"tiff": "tif", "ome-zarr": "ome.zarr"}[form]
    image, model = read_image(settings.folder / "image1.tif").image, load_model(settings.model)
    expected = run(segment(model, image))
    kinds = {"probability": expected.probability, "mask": expected.mask}
    for kind, array in kinds.items():
        assert np.array_equal(read_image(settings.out / f"image1_{kind}.{suffix}").image[0], array)
    objects = read_image(settings.out / f"image1_instances.{suffix}").image[0]
    assert not (objects > 0)[expected.mask == 0].any()
    rows = (settings.out / "image1_measurements.csv").read_text().splitlines()
    assert len(rows) - 1 == objects.max() == report.files[1].facts.n_objects > 0
    assert report.files[1].facts.positive_fraction == expected.mask.mean()


def test_refined_masks_are_those_of_the_pipeline(settings_in):
    from napari_pu_segment.core.crf import CrfSettings

    settings = settings_in(n=1, outputs=("refined",), crf=CrfSettings(backend="grid"))
    report = finish(settings)
    image = read_image(settings.folder / "image0.tif").image
    expected = run(segment(load_model(settings.model), image, crf=settings.crf))
    assert np.array_equal(tifffile.imread(settings.out / "image0_refined.tif"), expected.refined)
    assert report.files[0].facts.refined_by == "grid"
    assert report.files[0].facts.positive_fraction == expected.refined.mean() != expected.mask.mean()
    assert not (settings.out / "image0_mask.tif").exists()


@pytest.mark.parametrize("form", ["tiff", "ome-zarr"])
def test_large_images_give_what_small_ones_give(settings_in, monkeypatch, form):
    settings = settings_in(n=1, outputs=(*ALL, "refined"), format=form)
    whole = finish(settings)
    monkeypatch.setattr(results, "SMALL_PX", 100)
    monkeypatch.setattr(io_read, "LAZY_BYTES", 100)
    assert not isinstance(read_image(settings.folder / "image0.tif").image, np.ndarray)
    blocks = finish(settings.changed({"out": str(settings.out) + "2"}))
    assert states(blocks) == {"image0.tif": "ok"}
    assert blocks.files[0].facts == whole.files[0].facts
    suffix = {"tiff": "tif", "ome-zarr": "ome.zarr"}[form]
    for kind in ("probability", "mask", "refined", "instances"):
        pair = [read_image(Path(str(settings.out) + end) / f"image0_{kind}.{suffix}").image for end in ("", "2")]
        assert np.array_equal(*pair)
    assert (settings.out / "image0_measurements.csv").read_bytes() == (
        Path(str(settings.out) + "2") / "image0_measurements.csv"
    ).read_bytes()
    assert not list(Path(str(settings.out) + "2").rglob(".part-*"))


@pytest.mark.parametrize("kinds", [("probability",), ("mask",), ("instances",), ("measurements",)])
def test_large_images_give_just_what_is_asked_for(settings_in, monkeypatch, kinds):
    monkeypatch.setattr(results, "SMALL_PX", 100)
    settings = settings_in(n=1, outputs=kinds)
    assert states(finish(settings)) == {"image0.tif": "ok"}
    written = {path.name for path in settings.out.iterdir()} - {".napari-pu-segment", "report.json", "report.html"}
    assert written == {f"image0_{kinds[0]}.{'csv' if kinds[0] == 'measurements' else 'tif'}"}


def test_objects_of_a_series_are_numbered_on_and_told_by_frame(settings_in, tmp_path):
    frames = np.stack([disks(seed=i)[0][0].clip(0, 255).astype(np.uint8) for i in range(3)])
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in/series.tif", frames, imagej=True, metadata={"axes": "TYX"})
    for i, frame in enumerate(frames):
        tifffile.imwrite(tmp_path / "in" / f"frame{i}.tif", frame)
    settings = settings_in(outputs=ALL)
    report = finish(settings)
    assert {file.facts.axes for file in report.files} == {"CTYX", "CYX"}
    alone = [tifffile.imread(settings.out / f"frame{i}_instances.tif").astype(int) for i in range(3)]
    together, before = tifffile.imread(settings.out / "series_instances.tif"), 0
    for i, objects in enumerate(alone):
        assert np.array_equal(together[i], np.where(objects, objects + before, 0))
        before += objects.max()
    rows = (settings.out / "series_measurements.csv").read_text().splitlines()
    assert rows[0].startswith("frame,label,")
    assert [row.split(",")[:2] for row in rows[1:]] == [
        [str(t), str(int(label))] for t in range(3) for label in np.unique(together[t]) if label
    ]


# --- refused, failed, skipped


def test_mixed_files_are_handled_or_refused_by_name(settings_in, tmp_path):
    folder, image = write_images(tmp_path / "in", 1), disks()[0][0]
    tifffile.imwrite(folder / "sixteen.tif", image.clip(0).astype(np.uint16))
    np.save(folder / "float.npy", image[:50, :33])
    np.save(folder / "stack.npy", np.stack([image] * 2))
    Image.fromarray(np.stack([image.clip(0, 255).astype(np.uint8)] * 3, -1)).save(folder / "colour.png")
    (folder / "text.tif").write_text("no image")
    (folder / "empty.png").touch()
    (folder / "readme.txt").write_text("left alone")
    report = finish(settings_in())
    assert states(report) == {
        "colour.png": "refused",
        "empty.png": "refused",
        "float.npy": "ok",
        "image0.tif": "ok",
        "sixteen.tif": "ok",
        "stack.npy": "ok",
        "text.tif": "refused",
    }
    bad = [file for file in report.files if file.state == "refused"]
    assert all(file.name in file.reason and file.reason.endswith(".") for file in bad)
    assert plan(settings_in()).n_others == 1


def test_a_file_that_makes_us_fail_does_not_stop_the_others(settings_in, monkeypatch):
    real = results.segment

    def fragile(model, image, **more):
        if "image1" in more["name"]:
            raise ZeroDivisionError("planted")
        return real(model, image, **more)

    monkeypatch.setattr(results, "segment", fragile)
    report = finish(settings_in())
    assert states(report) == {"image0.tif": "ok", "image1.tif": "failed", "image2.tif": "ok"}
    assert "ZeroDivisionError: planted" in report.files[1].reason
    monkeypatch.undo()
    assert states(finish(settings_in())) == {"image0.tif": "skipped", "image1.tif": "ok", "image2.tif": "skipped"}


def test_what_was_done_is_not_done_again_unless_it_is_not_whole(settings_in, tmp_path):
    settings = settings_in(outputs=ALL)
    finish(settings)
    before = digests(settings.out)
    times = {name: (settings.out / name).stat().st_mtime_ns for name in before}
    assert set(states(finish(settings)).values()) == {"skipped"}
    again = {name for name in before if (settings.out / name).stat().st_mtime_ns != times[name]}
    assert again == {".napari-pu-segment/.batch.json"} | ({".napari-pu-segment/.lock"} & again)
    (settings.out / "image0_mask.tif").unlink()
    flipped = bytearray((settings.out / "image1_probability.tif").read_bytes())
    flipped[-9] ^= 1
    (settings.out / "image1_probability.tif").write_bytes(flipped)
    assert states(finish(settings)) == {"image0.tif": "ok", "image1.tif": "ok", "image2.tif": "skipped"}
    assert digests(settings.out) == before


def test_an_image_that_was_replaced_is_done_again(settings_in):
    settings = settings_in()
    finish(settings)
    before = digests(settings.out)
    path = settings.folder / "image1.tif"
    tifffile.imwrite(path, disks(seed=9)[0][0].clip(0, 255).astype(np.uint8))
    assert states(finish(settings)) == {"image0.tif": "skipped", "image1.tif": "ok", "image2.tif": "skipped"}
    differ = {name for name, digest in digests(settings.out).items() if before[name] != digest}
    assert differ == {"image1_mask.tif", "image1_probability.tif", ".napari-pu-segment/image1.json"}


def test_damaged_and_foreign_markers_count_for_nothing(settings_in):
    settings = settings_in()
    finish(settings)
    before = digests(settings.out)
    folder = settings.out / ".napari-pu-segment"
    told = json.loads((folder / "image2.json").read_text())
    (folder / "image0.json").write_text("{")
    (folder / "image1.json").write_text(json.dumps({**told, "key": "0" * 64}))
    (folder / "image2.json").write_text(json.dumps({**told, "extra": 1}))
    assert set(states(finish(settings)).values()) == {"ok"}
    assert digests(settings.out) == before


def test_a_large_image_that_was_replaced_does_not_go_on_where_the_other_was_cut(settings_in, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "SMALL_PX", 1000)
    noise = np.random.default_rng(0).integers(0, 255, (2, 60, 2100), np.uint8)
    images = np.zeros((2, 2100, 2100), np.uint8)
    images[:, 1000:1060] = noise  # far from both ends of the file
    folder = tmp_path / "in"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", images[0])
    work = run_batch(plan(settings_in()))
    while len(list((tmp_path / "out").glob(".part-*/image/0/c/*/*"))) < 2:
        next(work)
    work.close()
    tifffile.imwrite(folder / "a.tif", images[1])
    os.utime(folder / "a.tif", (1, 1))
    assert states(finish(settings_in())) == {"a.tif": "ok"}
    finish(settings_in(out="fresh"))
    name = "a_probability.tif"
    assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "fresh" / name).read_bytes()


# --- whose folder it is


def test_another_folder_of_images_does_not_replace_results_unasked(settings_in, tmp_path):
    settings = settings_in()
    finish(settings)
    before = digests(settings.out)
    moved = settings.changed({"folder": (tmp_path / "in").rename(tmp_path / "moved")})
    assert set(states(finish(moved)).values()) == {"skipped"}
    (tmp_path / "other").mkdir()
    tifffile.imwrite(tmp_path / "other/image1.tif", disks(seed=9)[0][0].clip(0, 255).astype(np.uint8))
    other = settings.changed({"folder": tmp_path / "other"})
    with pytest.raises(InputError, match=r"moved.*image1"):
        plan(other)
    after = digests(settings.out)
    assert {name for name in after if after[name] != before[name]} <= {".napari-pu-segment/.batch.json"}
    assert states(finish(other.changed({"overwrite": True}))) == {"image1.tif": "ok"}


@pytest.mark.parametrize(
    "changes",
    [
        {"outputs": {"x/../../precious": {"n_bytes": 1, "sha256": ""}}},
        {"format": "gif"},
        {"facts": {"axes": "CYX", "shape": [1], "dtype": "u", "positive_fraction": 1e308, "threshold": 0.5}},
        {
            "facts": {
                "axes": "CYX",
                "shape": [1],
                "dtype": "u",
                "positive_fraction": 0,
                "threshold": 0,
                "n_objects": 10**400,
            }
        },
    ],
)
def test_markers_made_to_harm_count_for_nothing(settings_in, tmp_path, changes):
    settings = settings_in(n=1)
    finish(settings)
    precious = tmp_path / "precious.tif"
    precious.write_text("precious")
    (settings.out / "image0_x").mkdir()
    marker = settings.out / ".napari-pu-segment/image0.json"
    told = json.loads(marker.read_text())
    marker.write_text(json.dumps({**told, **changes}))
    assert states(finish(settings)) == {"image0.tif": "ok"}
    assert precious.read_text() == "precious"
    assert json.loads(marker.read_text()) == told


def test_links_and_pipes_among_our_own_files_are_not_followed(settings_in, tmp_path):
    settings = settings_in()
    finish(settings)
    home, precious = settings.out / ".napari-pu-segment", tmp_path / "precious"
    precious.write_text("precious")
    (home / ".lock").unlink()
    (home / ".lock").symlink_to(precious)
    with pytest.raises(OutputError, match="out"):
        finish(settings)
    assert precious.read_text() == "precious"
    (home / ".lock").unlink()
    os.mkfifo(home / ".lock")
    (settings.out / "image0_mask.tif").unlink()
    os.mkfifo(settings.out / "image0_mask.tif")
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(finish, settings).result(timeout=60)
    assert states(found) == {"image0.tif": "ok", "image1.tif": "skipped", "image2.tif": "skipped"}
    home.rename(tmp_path / "away")
    home.symlink_to(tmp_path / "away")
    (tmp_path / "away/.part-of-another").write_text("precious")
    with pytest.raises(OutputError, match="is a link"):
        finish(settings)
    assert (tmp_path / "away/.part-of-another").exists()


def test_results_of_others_are_not_replaced_unasked(settings_in, tmp_path):
    settings = settings_in(outputs=ALL)
    finish(settings)
    before = digests(settings.out)
    other = settings.changed({"threshold": 0.9, "outputs": ("mask",)})
    with pytest.raises(InputError, match="other settings"):
        plan(other)
    assert digests(settings.out) == before
    assert set(states(finish(other.changed({"overwrite": True}))).values()) == {"ok"}
    assert not list(settings.out.glob("*_instances.tif"))  # of the threshold before: they would mislead
    assert set(states(finish(other)).values()) == {"skipped"}


def test_files_from_elsewhere_are_not_replaced_unasked(settings_in):
    settings = settings_in()
    settings.out.mkdir()
    (settings.out / "image1_mask.tif").write_text("precious")
    with pytest.raises(InputError, match=r"image1_mask\.tif"):
        plan(settings)
    assert (settings.out / "image1_mask.tif").read_text() == "precious"
    assert set(states(finish(settings.changed({"overwrite": True}))).values()) == {"ok"}


@pytest.mark.parametrize("out", ["in", "in/out", "in/../in/deep/er"])
def test_results_never_go_into_the_folder_of_images(settings_in, out):
    settings = settings_in(out=out)
    before = digests(settings.folder)
    with pytest.raises(InputError, match="lies in it"):
        plan(settings)
    assert digests(settings.folder) == before


def test_links_among_the_results_are_not_followed(settings_in, tmp_path):
    write_images(tmp_path / "in/sub", 1)
    write_images(tmp_path / "in/other", 1)
    settings = settings_in(recursive=True)
    (tmp_path / "away").mkdir()
    settings.out.mkdir()
    (settings.out / "sub").symlink_to(tmp_path / "away")
    (settings.out / "other").symlink_to(tmp_path / "in/sub")
    report = finish(settings)
    assert states(report) == {"other/image0.tif": "refused", "sub/image0.tif": "refused"}
    assert all("leads elsewhere" in file.reason for file in report.files)
    assert not list((tmp_path / "away").iterdir())
    assert len(list((tmp_path / "in/sub").iterdir())) == 1


def test_a_link_made_after_the_plan_is_refused(settings_in, tmp_path):
    settings = settings_in()
    planned = plan(settings)
    secret = write_images(tmp_path / "secret", 1) / "image0.tif"
    (settings.folder / "image1.tif").unlink()
    (settings.folder / "image1.tif").symlink_to(secret)
    assert states(run(run_batch(planned)))["image1.tif"] == "refused"


def test_two_batches_do_not_write_to_one_folder(settings_in):
    settings = settings_in()
    planned = plan(settings)
    first = run_batch(planned)
    next(first)
    with pytest.raises(InputError, match="Another batch"):
        run(run_batch(planned))
    first.close()
    assert run(run_batch(planned)).all_good


# --- plan


def test_a_plan_tells_and_writes_nothing(settings_in, tmp_path):
    settings = settings_in(outputs=ALL)
    (settings.folder / "bad.tif").write_text("no image")
    planned = plan(settings)
    assert not settings.out.exists()
    assert [task.name for task in planned.tasks] == ["image0.tif", "image1.tif", "image2.tif"]
    assert [file.name for file in planned.refused] == ["bad.tif"]
    assert planned.n_px == 3 * 96 * 80
    assert 0 < planned.seconds < 600
    assert "3 file(s) to do" in planned.in_words()
    assert "bad.tif" in planned.in_words()
    report = run(run_batch(planned))
    used = sum(path.stat().st_size for path in settings.out.rglob("*") if path.is_file())
    assert used < planned.n_bytes + 2**16
    later = plan(settings)
    assert (later.n_done, later.n_px, later.seconds) == (3, 0, 0.0)
    assert report.counts["refused"] == 1


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(settings_in, monkeypatch):
    settings = settings_in()
    assert plan(settings).n_bytes > 1000
    monkeypatch.setattr(plans.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(InputError, match="has only 1 kB free"):
        finish(settings)
    assert not settings.out.exists()


def test_nothing_can_begin(settings_in, tmp_path, model):
    good = settings_in()
    (tmp_path / "none").mkdir()
    damaged = tmp_path / "damaged"
    damaged.write_bytes(model.read_bytes()[:-100])
    for values, says in (
        ({"folder": tmp_path / "none"}, "no image"),
        ({"folder": tmp_path / "gone"}, "not a folder"),
        ({"model": tmp_path / "gone"}, "gone"),
        ({"model": damaged}, "damaged"),
        ({"out": model / "out"}, "Cannot write"),
        ({"pattern": "*.bmp"}, "matches"),
    ):
        with pytest.raises(InputError, match=says):
            plan(good.model_copy(update=values))
    for values in ({"outputs": ("masks",)}, {"outputs": ()}, {"format": "png"}, {"threshold": 2}):
        with pytest.raises(InputError):
            good.changed(values)


def test_a_link_in_an_ome_zarr_image_is_no_part_of_it(settings_in, tmp_path):
    image = disks(seed=0)[0][0].clip(0, 255).astype(np.uint8)
    output = create_output(write_images(tmp_path / "in", 0) / "a.ome.zarr", image.shape, np.uint8)
    output[...] = image
    (output.finish() / "note").symlink_to(tmp_path / "gone")
    assert states(finish(settings_in())) == {"a.ome.zarr": "ok"}
    assert states(finish(settings_in())) == {"a.ome.zarr": "skipped"}


def test_objects_of_too_large_images_are_refused_by_name(settings_in, monkeypatch):
    monkeypatch.setattr(work_module, "MAX_PX", 100)
    assert states(finish(settings_in())) == dict.fromkeys(["image0.tif", "image1.tif", "image2.tif"], "ok")
    report = finish(settings_in(out="out2", outputs=("instances",)))
    assert set(states(report).values()) == {"refused"}
    assert "image0.tif" in report.files[0].reason


# --- progress, cancel, workers


def test_progress_tells_each_file_as_it_ends(settings_in):
    settings = settings_in()
    (settings.folder / "bad.tif").write_text("no image")
    seen = list(run_batch(plan(settings)))
    events = [progress.preview for progress in seen if isinstance(progress.preview, FileReport)]
    assert [event.state for event in events] == ["refused", "ok", "ok", "ok"]
    assert [p.step for p in seen if p.preview] == [1, 2, 3, 4]
    assert {progress.total for progress in seen} == {4}
    assert any("Predicting" in progress.message and "image1.tif" in progress.message for progress in seen)


def test_a_cancelled_batch_reports_what_is_done_and_goes_on_later(settings_in):
    settings = settings_in(outputs=ALL)
    undisturbed = finish(settings.changed({"out": str(settings.out) + "2"}))
    assert undisturbed.all_good
    after_one(run_batch(plan(settings))).close()
    told = json.loads((settings.out / "report.json").read_text())
    assert (told["counts"]["ok"], told["n_left"], told["stopped"]) == (1, 2, "Cancelled.")
    assert states(finish(settings)) == {"image0.tif": "skipped", "image1.tif": "ok", "image2.tif": "ok"}
    assert digests(settings.out) == digests(Path(str(settings.out) + "2"))


def test_an_executor_may_take_files_in_any_order(settings_in):
    settings = settings_in(outputs=ALL)
    undisturbed = finish(settings.changed({"out": str(settings.out) + "2"}))

    def elsewhere(function, tasks):
        assert function is process
        for task in reversed(list(tasks)):
            yield None
            yield task, function(task)

    report = run(run_batch(plan(settings), elsewhere))
    assert states(report) == states(undisturbed)
    assert digests(settings.out) == digests(Path(str(settings.out) + "2"))


# --- full and vanished disks


@pytest.mark.parametrize("when", range(12))
def test_a_disk_that_fills_up_stops_the_batch_and_leaves_nothing_torn(settings_in, monkeypatch, when):
    settings = settings_in(outputs=ALL)
    undisturbed = settings.changed({"out": str(settings.out) + "2"})
    finish(undisturbed)
    right, planned = digests(undisturbed.out), plan(settings)
    calls, real = [], os.fsync

    def fsync(handle):
        calls.append(handle)
        if len(calls) > when + 1:  # the first is that of the folder's owner
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(files_module.os, "fsync", fsync)
    with pytest.raises(OutputError, match="No space left on device") as stopped:
        run(run_batch(planned))
    monkeypatch.undo()
    assert "goes on from there" in str(stopped.value)
    there = digests(settings.out)
    assert len(calls) > when + 1
    assert {name: right[name] for name in there} == there  # what is there is whole
    assert finish(settings).all_good
    assert digests(settings.out) == right


def test_a_folder_of_results_that_vanishes_stops_the_batch_and_is_not_made_anew(settings_in):
    settings = settings_in()
    work = after_one(run_batch(plan(settings)))
    shutil.rmtree(settings.out)
    with pytest.raises(OutputError, match=r"is gone.*2 file\(s\) left"):
        run(work)
    assert not settings.out.exists()


def test_a_folder_of_images_that_vanishes_stops_the_batch(settings_in):
    settings = settings_in()
    work = after_one(run_batch(plan(settings)))
    for path in settings.folder.iterdir():
        path.unlink()
    with pytest.raises(OutputError, match="gone or empty"):
        run(work)


def test_an_image_that_vanishes_is_one_file_only(settings_in):
    settings = settings_in()
    planned = plan(settings)
    (settings.folder / "image1.tif").unlink()
    assert states(run(run_batch(planned))) == {"image0.tif": "ok", "image1.tif": "refused", "image2.tif": "ok"}


def test_a_model_that_changes_meanwhile_stops_the_batch(settings_in, tmp_path, model):
    copy = tmp_path / "copy"
    copy.write_bytes(model.read_bytes())
    planned = plan(settings_in().model_copy(update={"model": copy}))
    write_model(copy, seed=1)
    with pytest.raises(OutputError, match="has changed"):
        run(run_batch(planned))


def test_an_image_that_changes_while_it_is_read_is_not_marked_as_done(settings_in, monkeypatch):
    settings = settings_in(n=1)
    real = work_module.read_image

    def read(path):
        file = real(path)
        os.utime(path, ns=(1, 1))
        return file

    monkeypatch.setattr(work_module, "read_image", read)
    report = finish(settings)
    assert states(report) == {"image0.tif": "failed"}
    assert "changed while it was read" in report.files[0].reason
    assert markers.read_marker(settings.out, "image0") is None
    assert not list(settings.out.glob("image0*"))


def test_folders_of_results_that_cannot_be_made_concern_their_files_only(settings_in):
    write_images(settings_in().folder / "sub", 1)
    settings = settings_in(recursive=True)
    settings.out.mkdir()
    (settings.out / "sub").write_text("in the way")
    report = finish(settings)
    assert states(report)["sub/image0.tif"] == "failed"
    assert "Cannot make the folder" in report.files[-1].reason
    assert report.counts["ok"] == 3


def test_a_report_from_elsewhere_is_not_replaced_unasked(settings_in):
    settings = settings_in()
    settings.out.mkdir()
    (settings.out / "report.html").write_text("precious")
    with pytest.raises(InputError, match=r"report\.html"):
        plan(settings)


def test_one_file_that_cannot_be_written_is_one_file_only(settings_in):
    settings = settings_in()
    (settings.out / "image1_mask.tif" / "in the way").mkdir(parents=True)
    report = finish(settings.changed({"overwrite": True}))
    assert states(report) == {"image0.tif": "ok", "image1.tif": "failed", "image2.tif": "ok"}
    assert process(plan(settings).tasks[1]).state == "failed"
