"""Region properties: figures worked out by hand, and the table as CSV."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.measure import label, regionprops

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.objects.measure import Table, measure_objects
from napari_pu_segment.core.progress import run


@pytest.fixture
def boxes():
    """Label 7: rows 2..4, columns 3..6, 12 px. Label 2: the first pixel."""
    objects = np.zeros((10, 12), np.int32)
    objects[2:5, 3:7] = 7
    objects[0, 0] = 2
    return objects


def measure(*args, **more):
    return run(measure_objects(*args, **more))


def test_a_box_without_units(boxes):
    table = measure(boxes)
    assert len(table) == 2
    row = table.row(1)
    assert (row["label"], row["area_px"]) == (7, 12)
    assert (row["centroid_y_px"], row["centroid_x_px"]) == (3, 4.5)
    assert row["perimeter_px"] == 2 * 2 + 2 * 3, "through the middles of the outer pixels"
    assert row["equivalent_diameter_px"] == pytest.approx(math.sqrt(4 * 12 / math.pi))
    assert row["major_axis_px"] == pytest.approx(4 * math.sqrt((16 - 1) / 12)), "4 standard deviations of 4 in a row"
    assert row["minor_axis_px"] == pytest.approx(4 * math.sqrt((9 - 1) / 12))
    assert row["eccentricity"] == pytest.approx(math.sqrt(1 - 8 / 15))
    assert row["solidity"] == 1
    assert abs(row["orientation_deg"]) == 90, "it lies along a row"
    assert (row["touches_border"], row["touches_ignored"]) == (False, False)
    assert table.row(0)["touches_border"] is True
    assert not any("intensity" in name or "um" in name for name in table.columns)


def test_units_are_in_the_names_and_the_figures(boxes):
    table = measure(boxes, pixel_size=(0.5, 0.5), pixel_unit="µm")
    plain, row = measure(boxes).row(1), table.row(1)
    assert row["area_px"] == 12
    assert row["area_um2"] == pytest.approx(12 * 0.25)
    assert (row["centroid_y_um"], row["centroid_x_um"]) == (1.5, 2.25)
    for name in ("perimeter", "major_axis", "minor_axis", "equivalent_diameter"):
        assert row[f"{name}_um"] == pytest.approx(plain[f"{name}_px"] / 2)
    assert table.units["area_um2"] == "µm^2"
    assert set(table.units) == set(table.columns)


def test_pixels_that_are_not_square(boxes):
    row = measure(boxes, pixel_size=(0.5, 2.0), pixel_unit="um").row(1)
    assert row["area_um2"] == 12
    assert row["major_axis_um"] == pytest.approx(2 * 4 * math.sqrt((16 - 1) / 12))
    assert row["minor_axis_um"] == pytest.approx(0.5 * 4 * math.sqrt((9 - 1) / 12))
    assert row["perimeter_px"] == 10
    assert "perimeter_um" not in row


def test_intensities_of_each_channel_by_name(boxes):
    image = np.zeros((2, 10, 12), np.uint8)
    image[0, 2:5, 3:5] = 10
    image[0, 2:5, 5:7] = 20
    image[1] = 200
    row = measure(boxes, image, channel_names=("DAPI", "GFP, green")).row(1)
    assert [row[f"{what}_DAPI"] for what in ("mean", "min", "max", "std")] == [15, 10, 20, 5]
    assert [row[f"{what}_GFP, green"] for what in ("mean", "min", "max", "std")] == [200, 200, 200, 0]
    assert "mean_intensity" in measure(boxes, image[:1]).columns
    assert "mean_channel_1" in measure(boxes, image).columns


def test_channels_of_one_name_do_not_meet(boxes):
    image, half = np.arange(3.0)[:, None, None] * np.ones((10, 12)), np.full((10, 12), 0.5)
    row = measure(boxes, image, probability=half, channel_names=("a", "a", "probability")).row(0)
    assert (row["mean_a"], row["mean_a_2"], row["mean_probability_2"]) == (0, 1, 2)
    assert row["mean_probability"] == 0.5


def test_what_is_not_finite_is_left_out_of_the_intensities(boxes):
    image = np.ones((1, 10, 12), np.float32)
    image[0, 2, 3] = np.nan
    image[0, 2, 4] = np.inf
    image[0, 0, 0] = np.nan
    table = measure(boxes, image)
    assert [table.row(1)[f"{what}_intensity"] for what in ("mean", "min", "max", "std")] == [1, 1, 1, 0]
    assert all(math.isnan(table.row(0)[f"{what}_intensity"]) for what in ("mean", "min", "max", "std"))


def test_ignored_pixels_are_left_out_and_noted(boxes):
    ignored = np.zeros((10, 12), bool)
    ignored[:, 6] = True
    row = measure(boxes, ignored=ignored).row(1)
    assert row["area_px"] == 9
    assert row["touches_ignored"] is True
    assert row["touches_border"] is False
    ignored[:] = True
    assert len(measure(boxes, ignored=ignored)) == 0


def test_planes_of_a_stack_and_volumes(boxes):
    stack = np.stack([boxes, boxes, np.zeros_like(boxes)])
    size = (2.0, 0.5, 0.5)
    volume = measure(stack, pixel_size=size, pixel_unit="um")
    assert "plane" not in volume.columns
    row = volume.row(1)
    assert (row["volume_px"], row["volume_um3"]) == (24, 24 * 0.5)
    assert (row["centroid_z_px"], row["centroid_z_um"], row["centroid_x_um"]) == (0.5, 1, 2.25)
    planes = measure(stack, pixel_size=size, pixel_unit="um", planewise=True)
    assert planes.columns["label"].tolist() == [2, 7, 2, 7]
    assert planes.columns["plane"].tolist() == [0, 0, 1, 1]
    assert planes.row(3)["area_um2"] == 3
    apart = np.stack([boxes, np.where(boxes, boxes + 10, 0)])
    assert measure(apart).columns["plane"].tolist() == [0, 0, 1, 1], "none goes through planes"


def test_a_plane_is_measured_as_if_it_was_alone(boxes):
    image = np.random.default_rng(0).random((2, 2, 10, 12)).astype(np.float32)
    whole = measure(np.stack([boxes, np.roll(boxes, 2, 1)]), image, planewise=True)
    alone = measure(np.roll(boxes, 2, 1), image[:, 1])
    for name, column in alone.columns.items():
        assert np.array_equal(whole.columns[name][2:], column)


@pytest.mark.parametrize("shape", [(60, 80), (16, 40, 50)])
def test_shapes_are_those_of_scikit_image(shape):
    noise = gaussian_filter(np.random.default_rng(0).normal(size=shape), 2)
    objects, size = label(noise > 0.06), (1.5, 0.5, 0.5)[-len(shape) :]
    objects[objects == 3] = 0
    regions = [region for region in regionprops(objects, spacing=size) if region.area > 3]
    assert len(regions) > 5
    table = measure(objects, pixel_size=size, pixel_unit="um", planewise=False)
    rows = {row["label"]: row for row in map(table.row, range(len(table)))}
    names = {
        "equivalent_diameter_um": "equivalent_diameter_area",
        "major_axis_um": "axis_major_length",
        "minor_axis_um": "axis_minor_length",
    }
    flat = {"area_um2": "area", "perimeter_um": "perimeter", "eccentricity": "eccentricity", "solidity": "solidity"}
    for region in regions:
        row = rows[region.label]
        for name, theirs in {**names, **(flat if len(shape) == 2 else {"volume_um3": "area"})}.items():
            assert row[name] == pytest.approx(getattr(region, theirs), abs=1e-6), name
        assert [row[f"centroid_{axis}_um"] for axis in "zyx"[-len(shape) :]] == pytest.approx(region.centroid)
        if len(shape) == 2:
            assert row["orientation_deg"] == pytest.approx(math.degrees(region.orientation))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 4), (1, 3, 3), (2, 3, 3)])
def test_full_and_empty(shape):
    full = measure(np.ones(shape, int), np.full((1, *shape), np.nan))
    assert len(full) == 1
    assert full.row(0)["area_px" if "area_px" in full.columns else "volume_px"] == np.prod(shape)
    empty = measure(np.zeros(shape, int), np.zeros((1, *shape)))
    assert len(empty) == 0
    assert "mean_intensity" in empty.columns


def test_labels_may_be_any_whole_numbers():
    objects = np.array([[-3, 0, 2**31 - 1], [5, 5, 0]], np.int64)
    table = measure(objects)
    assert table.columns["label"].tolist() == [5, 2**31 - 1]
    assert table.columns["area_px"].tolist() == [2, 1]


def test_what_does_not_fit_is_refused_by_name(boxes):
    with pytest.raises(InputError, match="fractions"):
        measure(boxes / 2)
    with pytest.raises(InputError, match="image measures"):
        measure(boxes, np.zeros((1, 3, 3)))
    with pytest.raises(InputError, match="ignored region measures"):
        measure(boxes, ignored=np.zeros((3, 3)))


def test_it_can_be_stopped_between_objects():
    objects = np.arange(1, 2501).reshape(50, 50)
    work = measure_objects(objects)
    first = next(work)
    assert 0 < first.step < first.total
    work.close()


def test_csv_is_read_back_as_it_was(boxes, tmp_path):
    image = np.ones((1, 10, 12))
    image[0, 0, 0] = np.nan
    table = measure(boxes, image, channel_names=('say "a", b',), pixel_size=(1 / 3, 1 / 3), pixel_unit="µm")
    table.write_csv(tmp_path / "t.csv")
    raw = (tmp_path / "t.csv").read_bytes()
    assert raw.count(b"\r\n") == raw.count(b"\n") == 3
    assert b'"mean_say ""a"", b"' in raw
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert list(rows[0]) == list(table.columns)
    assert rows[0]['mean_say "a", b'] == "", "NaN is an empty cell"
    assert rows[0]["touches_border"] == "1"
    assert rows[1]["area_px"] == "12"
    assert float(rows[1]["area_um2"]) == pytest.approx(12 / 9)
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_csv_that_cannot_be_written_is_said(boxes, tmp_path):
    with pytest.raises(InputError, match="Cannot write"):
        measure(boxes).write_csv(tmp_path / "nowhere" / "t.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_table_without_rows_is_a_header(tmp_path):
    Table({"label": np.zeros(0, int), "area_px": np.zeros(0)}, {"label": "", "area_px": "px"}).write_csv(
        tmp_path / "t.csv"
    )
    assert (tmp_path / "t.csv").read_bytes() == b"label,area_px\r\n"
