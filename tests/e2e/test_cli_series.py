"""The command ``timeseries``: stacks, lists and folders of frames, its table, its keograms, its words."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from napari_pu_segment.io import create_output, read_image, write_image


@pytest.fixture
def night(tmp_path):
    """Twelve frames of 20 x 30 px, half a minute apart, in a folder; in frame t the first t columns are segmented."""
    for folder in ("sky", "results"):
        (tmp_path / folder).mkdir()
    for t in range(12):
        name = f"20120217_10{t // 2:02d}{30 * (t % 2):02d}"
        Image.fromarray(np.full((20, 30, 3), (t, 2 * t, 7), np.uint8)).save(tmp_path / "sky" / f"{name}.png")
        mask = np.zeros((20, 30), np.uint8)
        mask[:, :t] = 1
        write_image(tmp_path / "results" / f"{name}_mask.tif", mask)
        write_image(tmp_path / "results" / f"{name}_probability.tif", mask.astype(np.float32))
    return tmp_path


def table(path):
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def stack_of(night):
    """The same series as stacks of one channel and their mask."""
    frames = [np.full((20, 30), t, np.uint8) for t in range(12)]
    masks = [np.tile(np.arange(30) < t, (20, 1)) for t in range(12)]
    write_image(night / "stack.tif", np.stack(frames), (1.0, 0.5, 0.5), "um")
    write_image(night / "stack_mask.tif", np.stack(masks))
    return night / "stack.tif", night / "stack_mask.tif"


def test_a_folder_of_frames_and_a_folder_of_results(night, cli):
    done = cli("timeseries", night / "sky", "--mask", night / "results", "--out", night / "new" / "s.csv")
    assert (done.code, done.err, done.out) == (0, "", f"{night / 'new' / 's.csv'}: 12 frames\n")
    rows = table(night / "new" / "s.csv")
    assert [row["time"] for row in rows][:2] == ["2012-02-17T10:00:00.000", "2012-02-17T10:00:30.000"]
    assert [float(row["elapsed_s"]) for row in rows] == [30.0 * t for t in range(12)]
    assert [float(row["area_fraction"]) for row in rows] == pytest.approx([t / 30 for t in range(12)], rel=1e-8)
    assert [row["objects"] for row in rows] == ["0", *["1"] * 11]
    assert (rows[5]["mean_red"], rows[5]["mean_green"], rows[5]["mean_blue"]) == ("5", "10", "7")
    assert rows[5]["file"] == "20120217_100230.png"


def test_a_refined_mask_goes_before_a_mask(night, cli):
    write_image(night / "results" / "20120217_100000_refined.tif", np.ones((20, 30), np.uint8))
    assert cli("timeseries", night / "sky", night / "results", "--out", night / "s.csv").code == 0
    assert [row["area_px"] for row in table(night / "s.csv")][:3] == ["600", "20", "40"]


def test_frames_and_results_in_ome_zarr(night, cli):
    for t in range(2):
        for place in (f"zarr/f{t}.ome.zarr", f"masks/f{t}_mask.ome.zarr"):
            (night / place).parent.mkdir(exist_ok=True)
            output = create_output(night / place, (20, 30), np.uint8)
            output[...] = t
            output.finish()
    assert cli("timeseries", night / "zarr", "--mask", night / "masks", "--out", night / "s.csv").code == 0
    assert [row["area_px"] for row in table(night / "s.csv")] == ["0", "600"]


def test_no_frame_of_a_folder_is_replaced(night, cli):
    frame = night / "sky" / "20120217_100000.png"
    before = frame.read_bytes()
    done = cli("timeseries", night / "sky", night / "results", "--out", night / "s.csv", "--keogram", frame)
    assert (done.code, "replace an input" in done.err, frame.read_bytes()) == (1, True, before)


def test_files_in_the_order_given(night, cli):
    names = ["20120217_100130", "20120217_100200"]
    images = [night / "sky" / f"{name}.png" for name in names]
    masks = [night / "results" / f"{name}_mask.tif" for name in names]
    done = cli("timeseries", *images, "--mask", *masks, "--out", night / "s.csv")
    assert done.code == 0
    assert [row["area_px"] for row in table(night / "s.csv")] == ["60", "80"]
    done = cli("timeseries", *images[::-1], "--mask", *masks[::-1], "--out", night / "s.csv")
    assert done.code == 1
    assert "was taken before" in done.err
    done = cli("timeseries", *images[::-1], "--mask", *masks[::-1], "--out", night / "s.csv", "--interval", "2")
    assert done.code == 0
    assert [row["elapsed_s"] for row in table(night / "s.csv")] == ["0", "2"]


def test_numbers_in_names_are_ordered_by_value(night, cli):
    (night / "n").mkdir()
    for t in (1, 2, 10):
        write_image(night / "n" / f"frame_{t}.tif", np.full((20, 30), t, np.uint8))
        write_image(night / "n" / f"frame_{t}_mask.tif", np.ones((20, 30), np.uint8))
    images = sorted((night / "n").glob("frame_*[0-9].tif"))
    assert [path.stem for path in images] == ["frame_1", "frame_10", "frame_2"]
    (night / "m").mkdir()
    for path in (night / "n").glob("*_mask.tif"):
        path.rename(night / "m" / path.name)
    assert cli("timeseries", night / "n", night / "m", "--out", night / "s.csv").code == 0
    assert [row["mean_intensity"] for row in table(night / "s.csv")] == ["1", "2", "10"]


def test_a_stack_and_its_mask(night, cli):
    image, mask = stack_of(night)
    base = ("timeseries", image, mask, "--out", night / "s.csv")
    assert cli(*base).code == 0
    rows = table(night / "s.csv")
    assert len(rows) == 12
    assert (rows[4]["area_px"], rows[4]["area_um2"], rows[4]["mean_intensity"]) == ("80", "20", "4")
    assert not {"time", "elapsed_s", "file"} & set(rows[0])
    assert cli(*base, "--interval", "30", "--set", "min_size_px=100").code == 0
    rows = table(night / "s.csv")
    assert [row["elapsed_s"] for row in rows[:3]] == ["0", "30", "60"]
    assert [row["objects"] for row in rows] == ["0"] * 5 + ["1"] * 7


def test_what_is_left_out_of_every_frame(night, cli):
    image, mask = stack_of(night)
    ignore = np.zeros((20, 30), np.uint8)
    ignore[:, :3] = 1
    write_image(night / "ignore.tif", ignore)
    assert cli("timeseries", image, mask, "--ignore", night / "ignore.tif", "--out", night / "s.csv").code == 0
    assert [float(row["area_fraction"]) for row in table(night / "s.csv")][:6] == pytest.approx(
        [0, 0, 0, 0, 1 / 27, 2 / 27]
    )


def test_keograms_as_tiff_and_as_a_picture(night, cli, files_in):
    before = files_in(night)
    base = ("timeseries", night / "sky", night / "results", "--out", night / "s.csv", "--keogram")
    done = cli(*base, night / "k.tif", "--angle", "90")
    assert (done.code, done.out) == (0, f"{night / 's.csv'}: 12 frames; {night / 'k.tif'}; {night / 'k_mask.tif'}\n")
    assert cli(*base, night / "k.png", "--centre", "3,4", "--width", "2").code == 0
    assert files_in(night) - before == {"s.csv", "k.tif", "k_mask.tif", "k.png"}
    image, mask = read_image(night / "k.tif").image.squeeze(), read_image(night / "k_mask.tif").image.squeeze()
    assert image.shape == (3, 30, 12), "channels, places along a row, frames"
    assert image[:, 0, 5].tolist() == [5, 10, 7]
    assert np.array_equal(mask, np.arange(30)[:, None] < np.arange(12))
    picture = np.asarray(Image.open(night / "k.png"))
    assert picture.shape[1] > 720
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 12


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (("--keogram", "k.jpg"), 1, "a keogram is a PNG or a TIFF"),
        (("--keogram", "k.png", "--centre", "3"), 1, "a row and a column"),
        (("--keogram", "k.png", "--centre", "30,3"), 1, "lies outside"),
        (("--keogram", "k.png", "--angle", "500"), 1, "angle_deg"),
        (("--set", "min=3"), 1, "There is no setting called"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(night, cli, monkeypatch, files_in, more, code, said):
    monkeypatch.chdir(night)
    before = files_in(night)
    done = cli("timeseries", "sky", "results", "--out", "s.csv", *more)
    assert done.code == code
    assert said in done.err
    assert files_in(night) == before


def test_masks_must_be_there_and_fit(night, cli, files_in):
    image, _ = stack_of(night)
    before = files_in(night)
    assert cli("timeseries", night / "sky", "--out", night / "s.csv").code == 2
    done = cli("timeseries", night / "sky", "--mask", night / "sky", "--out", night / "s.csv")
    assert done.code == 1
    assert "no mask of '20120217_100000.png'" in done.err
    one = night / "results" / "20120217_100000_mask.tif"
    done = cli("timeseries", night / "sky", "--mask", one, "--out", night / "s.csv")
    assert (done.code, "12 images and 1 masks" in done.err) == (1, True)
    done = cli("timeseries", image, "--mask", one, "--out", night / "s.csv")
    assert (done.code, "mask of the same frames" in done.err) == (1, True)
    done = cli("timeseries", image, "--mask", image, "--out", image)
    assert (done.code, "would replace an input" in done.err) == (1, True)
    assert files_in(night) == before
