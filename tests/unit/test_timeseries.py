"""Time series and keograms: exact figures of made-up series, times out of names, the axis of time."""

from __future__ import annotations

import csv
import math
import weakref

import numpy as np
import pytest

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.frames.keogram import Frame, KeogramSettings, bounds, trace
from napari_pu_segment.core.frames.timeaxis import TimeAxis, axis_of
from napari_pu_segment.core.frames.timeseries import measure_series, time_of, times_of
from napari_pu_segment.core.objects import ObjectSettings
from napari_pu_segment.core.objects.measure import Table
from napari_pu_segment.core.progress import run


def blinking(n=4, shape=(10, 20)):
    """Frames of value 10 t + 1 in which t squares of 3 x 3 pixels are segmented."""
    for t in range(n):
        mask = np.zeros(shape, np.uint8)
        for i in range(t):
            mask[2:5, 1 + 5 * i : 4 + 5 * i] = 1
        yield Frame(np.full((1, *shape), 10 * t + 1, np.uint16), mask)


def measured(frames, n, **more):
    return run(measure_series(frames, n, objects=ObjectSettings(min_size_px=1), **more))


def test_area_objects_and_intensity_of_every_frame():
    columns = measured(blinking(), 4).table.columns
    assert columns["frame"].tolist() == [0, 1, 2, 3]
    assert columns["area_fraction"].tolist() == [0, 9 / 200, 18 / 200, 27 / 200]
    assert columns["area_px"].tolist() == [0, 9, 18, 27]
    assert columns["objects"].tolist() == [0, 1, 2, 3]
    assert math.isnan(columns["mean_intensity"][0]), "nothing is segmented there"
    assert columns["mean_intensity"][1:].tolist() == [11, 21, 31]
    assert not {"time", "elapsed_s", "file"} & set(columns)


def test_ignored_pixels_and_values_that_are_not_finite_do_not_count():
    image = np.ones((2, 4, 5), np.float32)
    image[0, 0, 0] = np.nan
    image[1] = 3
    mask = np.zeros((4, 5), bool)
    mask[0] = True
    ignored = np.zeros((4, 5), bool)
    ignored[:, 4] = True
    columns = measured([Frame(image, mask, ignored)], 1, channel_names=("red", "green")).table.columns
    assert columns["area_fraction"].tolist() == [4 / 16]
    assert columns["area_px"].tolist() == [4]
    assert (columns["mean_red"].tolist(), columns["mean_green"].tolist()) == ([1], [3])
    nothing = measured([Frame(image, mask, np.ones((4, 5), bool))], 1).table.columns
    assert math.isnan(nothing["area_fraction"][0])


def test_sizes_have_units_and_volumes_are_volumes():
    table = measured(blinking(), 4, pixel_size=(0.5, 0.5), pixel_unit="µm").table
    assert table.columns["area_um2"].tolist() == [0, 2.25, 4.5, 6.75]
    assert table.units["area_um2"] == "µm^2"
    volume = [Frame(np.ones((1, 3, 4, 5)), np.ones((3, 4, 5), np.uint8))]
    table = measured(volume, 1, pixel_size=(2.0, 1.0, 1.0), pixel_unit="um").table
    assert table.columns["volume_px"].tolist() == [60]
    assert table.columns["volume_um3"].tolist() == [120]


def test_times_stand_in_the_table_and_in_the_file(tmp_path):
    times = np.array(["2012-02-17T10:15:30", "2012-02-17T10:15:45.500"], "datetime64[ms]")
    frames = [Frame(f.image, f.mask, None, name) for f, name in zip(blinking(2), ("a.png", "b,c.png"), strict=True)]
    table = measured(frames, 2, times=times).table
    assert table.columns["elapsed_s"].tolist() == [0, 15.5]
    table.write_csv(tmp_path / "s.csv")
    with open(tmp_path / "s.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["time"] for row in rows] == ["2012-02-17T10:15:30.000", "2012-02-17T10:15:45.500"]
    assert [row["file"] for row in rows] == ["a.png", "b,c.png"]
    assert [row["mean_intensity"] for row in rows] == ["", "11"]
    seconds = measured(blinking(3), 3, times=np.arange(3) * 0.25 + 7).table.columns
    assert seconds["elapsed_s"].tolist() == [0, 0.25, 0.5]
    assert "time" not in seconds


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("20120217_101530.png", "2012-02-17T10:15:30.000"),
        ("sky 2012-02-17T10:15:30.png", "2012-02-17T10:15:30.000"),
        ("2012.02.17 10-15-30.25_red.tif", "2012-02-17T10:15:30.250"),
        ("cam3_20120217101530_0001.tif", "2012-02-17T10:15:30.000"),
        ("20129917_101530_20120217T101531Z.png", "2012-02-17T10:15:31.000"),
        ("2012-02-1710:15:30", "2012-02-17T10:15:30.000"),
        ("20120217_1015.png", None),
        ("20120217_256199.png", None),
        ("frame_0012.png", None),
        ("1201202171015301.png", None),
        ("", None),
    ],
)
def test_a_time_is_read_off_a_name(name, time):
    assert time_of(name) == (None if time is None else np.datetime64(time))


def test_times_of_all_or_of_none_and_never_backwards():
    assert times_of(["20120217_101530", "20120217_101531"]).tolist()[1].second == 31
    assert times_of(["20120217_101530", "other"]) is None
    assert times_of([]) is None
    with pytest.raises(InputError, match="'20120217_101530' was taken before '20120217_101531'"):
        times_of(["20120217_101531", "20120217_101530"])


def test_only_one_frame_is_in_memory():
    seen = []

    def frames():
        for _ in range(50):
            pixels = np.zeros((1, 8, 9), np.uint8)
            seen.append(weakref.ref(pixels))
            yield Frame(pixels, np.ones((8, 9), np.uint8))
            del pixels
            assert sum(ref() is not None for ref in seen) <= 1, "frames that were measured are let go"

    table = measured(frames(), 50).table
    assert (len(table), len(seen)) == (50, 50)


def test_frames_of_another_kind_are_refused():
    first = Frame(np.zeros((1, 4, 5)), np.zeros((4, 5)))
    with pytest.raises(InputError, match=r"bad\.png measures"):
        measured([Frame(np.zeros((1, 4, 5)), np.zeros((4, 6)), None, "bad.png")], 1)
    with pytest.raises(InputError, match="frame 1 has 2 channel"):
        measured([first, Frame(np.zeros((2, 4, 5)), np.zeros((4, 5)))], 2)
    with pytest.raises(InputError, match="no frames"):
        measured([], 0)


def ramps(n=3, shape=(7, 9)):
    """Frames whose value tells place and time: 100 t + 10 row + column."""
    rows, columns = np.indices(shape)
    for t in range(n):
        yield Frame((100 * t + 10 * rows + columns)[None], (rows + columns) % 2 == t % 2)


def test_a_keogram_is_a_column_of_every_frame():
    found = run(trace(ramps(), 3, KeogramSettings()))
    assert found.image.shape == (1, 7, 3)
    assert found.image[0, :, 0].tolist() == [4, 14, 24, 34, 44, 54, 64]
    assert found.image[0, 0].tolist() == [4, 104, 204]
    assert found.mask[:, 0].tolist() == [1, 0, 1, 0, 1, 0, 1]
    assert found.mask[0].tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("angle", "line"),
    [
        (0, [4, 14, 24, 34, 44, 54, 64]),
        (180, [64, 54, 44, 34, 24, 14, 4]),
        (90, [30, 31, 32, 33, 34, 35, 36, 37, 38]),
        (-90, [38, 37, 36, 35, 34, 33, 32, 31, 30]),
    ],
)
def test_the_angle_turns_the_line(angle, line):
    found = run(trace(ramps(1), 1, KeogramSettings(angle_deg=angle)))
    assert found.image[0, :, 0].tolist() == line


def test_a_slanted_line_ends_at_the_border_and_passes_the_centre():
    settings = KeogramSettings(angle_deg=45, centre_px=(2, 3))
    line = run(trace(ramps(1, (6, 8)), 1, settings)).image[0, :, 0]
    rows, columns = line // 10, line % 10
    assert (2, 3) in set(zip(rows, columns, strict=True))
    assert ((rows - columns) == -1).mean() > 0.5, "from the upper left to the lower right"
    assert (rows[0], columns[0]) == (0, 1)
    assert max(rows[-1] - 5, columns[-1] - 7) == 0


def test_the_mean_is_taken_across_the_line():
    found = run(trace(ramps(1), 1, KeogramSettings(width_px=3)))
    assert found.image[0, :, 0].tolist() == [4, 14, 24, 34, 44, 54, 64]
    assert found.mask[:, 0] == pytest.approx([1 / 3, 2 / 3] * 3 + [1 / 3])
    image = np.full((1, 5, 5), np.nan)
    image[0, :, 3] = 6
    assert run(trace([Frame(image, np.zeros((5, 5)))], 1, KeogramSettings(width_px=3))).image[0, 0, 0] == 6


def test_the_line_stays_within_what_is_not_ignored():
    ignored = np.ones((20, 20), bool)
    ignored[2:9, 10:19] = False
    assert bounds(ignored) == (2, 9, 10, 19)
    frame = Frame(np.indices((20, 20))[1][None], np.zeros((20, 20)), ignored)
    found = run(trace([frame], 1, KeogramSettings()))
    assert found.image[0, :, 0].tolist() == [14] * 7
    assert bounds(np.ones((3, 4), bool)) == (0, 3, 0, 4)


def test_what_has_no_keogram_is_refused():
    with pytest.raises(InputError, match="volumes"):
        run(trace([Frame(np.zeros((1, 2, 4, 5)), np.zeros((2, 4, 5)))], 1, KeogramSettings()))
    with pytest.raises(InputError, match="lies outside"):
        run(trace(ramps(), 3, KeogramSettings(centre_px=(7, 0))))
    with pytest.raises(InputError, match="a row and a column"):
        run(trace(ramps(), 3, KeogramSettings(centre_px=(7,))))
    with pytest.raises(InputError, match="one size"):
        run(trace([*ramps(1), *ramps(1, (6, 9))], 2, KeogramSettings()))


def test_the_keogram_of_a_series_is_that_of_its_frames():
    settings = KeogramSettings(angle_deg=30, width_px=2)
    both = measured(ramps(), 3, keogram=settings)
    alone = run(trace(ramps(), 3, settings))
    assert len(both.table) == 3
    assert np.array_equal(both.keogram.image, alone.image)
    assert np.array_equal(both.keogram.mask, alone.mask)


def test_the_axis_without_times_counts_frames():
    axis = axis_of(Table({"frame": np.arange(10)}, {"frame": ""}))
    assert (axis.end, axis.step) == (10, 1)
    assert [axis.frame_at(axis.share_of(frame)) for frame in range(10)] == list(range(10))
    assert axis.columns(20).tolist() == [i // 2 for i in range(20)]
    assert axis.ticks(5) == [(0, "frame 0"), (0.2, "2"), (0.4, "4"), (0.6, "6"), (0.8, "8")]
    assert axis.text_of(3) == "frame 3"


def test_the_axis_of_times_has_gaps_and_round_times_of_day():
    start = np.datetime64("2012-02-17T10:14:30.000")
    places = np.array([0.0, 30, 60, 90, 600, 630])
    axis = TimeAxis(places, start, in_s=True)
    assert axis.step == 30
    assert axis.end == 660
    assert axis.columns(22).tolist() == [0, 1, 2, 3, 3, 3, *[-1] * 14, 4, 5]
    assert axis.frame_at(0.5) in (3, 4)
    ticks = axis.ticks(4)
    assert [text for _, text in ticks] == ["10:15", "10:20", "10:25"]
    assert [share * 660 for share, _ in ticks] == pytest.approx([30, 330, 630])
    assert axis.text_of(4) == "2012-02-17 10:24:30"


@pytest.mark.parametrize(
    ("end_s", "texts"),
    [(0.5, ["0 s", "0.2 s", "0.4 s"]), (50, ["0 s", "15 s", "30 s", "45 s"]), (5400, ["0 min", "30 min", "60 min"])],
)
def test_durations_have_units(end_s, texts):
    axis = TimeAxis(np.linspace(0, end_s, 101)[:-1], in_s=True)
    assert [text for _, text in axis.ticks(4)] == texts


def test_a_single_frame_has_an_axis():
    axis = TimeAxis(np.zeros(1))
    assert (axis.end, axis.frame_at(0.7), axis.columns(3).tolist()) == (1, 0, [0, 0, 0])
    assert axis.ticks(5) == [(0, "frame 0")]
