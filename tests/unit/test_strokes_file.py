"""Strokes as GeoJSON: outlines computed by hand, exact round trips, foreign and hostile files."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import numpy as np
import pytest

from napari_pu_segment.core.errors import InputError
from napari_pu_segment.core.files.strokes_file import ROLES, from_geojson, to_geojson


def mask_of(*rows):
    return np.array([[letter == "#" for letter in row] for row in rows])


def features_of(**strokes):
    return json.loads(to_geojson(strokes))["features"]


def collection(*geometries, name="positive", plane=None):
    extra = {} if plane is None else {"plane": plane}
    features = [{"type": "Feature", "geometry": g, "properties": {"class": name, **extra}} for g in geometries]
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def same(found, **expected):
    for role in ROLES:
        want = expected.get(role)
        assert found[role].dtype == bool
        assert np.array_equal(found[role], np.zeros_like(found[role]) if want is None else want), role


# --- outlines computed by hand


def test_one_pixel_is_the_square_around_it():
    mask = np.zeros((4, 6), bool)
    mask[2, 3] = True  # row 2, column 3
    (feature,) = features_of(negative=mask)
    assert feature["geometry"] == {"type": "Polygon", "coordinates": [[[3, 2], [4, 2], [4, 3], [3, 3], [3, 2]]]}
    assert feature["properties"]["class"] == "negative"
    assert feature["properties"]["classification"]["name"] == "Negative"
    assert feature["properties"]["plane"] == 0


def test_an_l_has_six_corners():
    (feature,) = features_of(positive=mask_of("#..", "##."))
    assert feature["geometry"]["coordinates"] == [[[0, 0], [1, 0], [1, 1], [2, 1], [2, 2], [0, 2], [0, 0]]]


def test_a_hole_is_the_second_ring_and_turns_the_other_way():
    (feature,) = features_of(positive=mask_of("###", "#.#", "###"))
    outer, hole = feature["geometry"]["coordinates"]
    assert outer == [[0, 0], [3, 0], [3, 3], [0, 3], [0, 0]]
    assert sorted(map(tuple, hole[:-1])) == [(1, 1), (1, 2), (2, 1), (2, 2)]

    def doubled_area(ring):
        return sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring))

    assert (doubled_area(outer), doubled_area(hole)) == (18, -2)


def test_pixels_that_touch_at_a_corner_are_one_stroke_of_two_polygons():
    (feature,) = features_of(ignore=mask_of("#.", ".#"))
    assert feature["geometry"]["type"] == "MultiPolygon"
    assert feature["geometry"]["coordinates"] == [
        [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]],
        [[[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]]],
    ]
    assert feature["properties"]["classification"]["name"] == "Ignore*", "QuPath's name of its ignored class"


def test_a_ring_that_closes_at_a_corner_is_an_outline_and_a_hole_both_simple():
    (feature,) = features_of(positive=mask_of("###", "#.#", "##."))
    assert feature["geometry"]["type"] == "Polygon"
    rings = feature["geometry"]["coordinates"]
    assert len(rings) == 2
    for ring in rings:
        assert ring[0] == ring[-1]
        assert len({tuple(point) for point in ring}) == len(ring) - 1, "a ring comes back to a point"
    assert sorted(map(tuple, rings[1][:-1])) == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_planes_are_told_in_both_ways():
    stack = np.zeros((3, 4, 4), bool)
    stack[2, 1, 1] = stack[0, 0, 0] = True
    first, last = features_of(positive=stack)
    assert (first["properties"]["plane"], last["properties"]["plane"]) == (0, 2)
    assert last["geometry"]["plane"] == {"c": -1, "z": 2, "t": 0}


# --- round trips


@pytest.mark.parametrize("seed", range(60))
def test_any_mask_comes_back_to_the_pixel(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 24, 2 if seed % 3 else 3))
    density = rng.choice([0.03, 0.3, 0.5, 0.7, 0.97])
    strokes = {role: rng.random(shape) < density for role in ROLES}
    same(from_geojson(to_geojson(strokes), shape), **strokes)
    for feature in features_of(**strokes):
        geometry = feature["geometry"]
        polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
        for ring in (ring for polygon in polygons for ring in polygon):
            assert len({tuple(point) for point in ring}) == len(ring) - 1 >= 4


def test_nothing_everything_and_large_strokes_come_back():
    y, x = np.mgrid[:700, :900]
    rim = (y - 350) ** 2 + (x - 450) ** 2 > 300**2
    strokes = {"positive": np.zeros_like(rim), "negative": np.ones_like(rim), "ignore": rim}
    same(from_geojson(to_geojson(strokes), rim.shape), **strokes)
    assert features_of(positive=np.zeros((3, 3), bool)) == []
    same(from_geojson(to_geojson({"positive": np.zeros((3, 3), bool)}), (3, 3)))


# --- foreign files


def test_a_polygon_covers_the_pixels_whose_centres_lie_in_it():
    triangle = {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [0, 4]]]}  # not closed, as some write it
    # The centre (c + .5, r + .5) lies inside where c + r + 1 < 4; where it equals 4 it lies on the edge.
    expected = mask_of("###", "##.", "#..")
    same(from_geojson(collection(triangle), (3, 3)), positive=expected)
    half = {"type": "Polygon", "coordinates": [[[0.6, 0.4], [2.6, 0.4], [2.6, 1.4], [0.6, 1.4], [0.6, 0.4]]]}
    same(from_geojson(collection(half, name="Background"), (2, 3)), negative=mask_of(".##", "..."))


def test_overlapping_polygons_are_both_painted():
    squares = [
        {"type": "Polygon", "coordinates": [[[k, k], [k + 2, k], [k + 2, k + 2], [k, k + 2], [k, k]]]} for k in (0, 1)
    ]
    same(from_geojson(collection(*squares), (3, 3)), positive=mask_of("##.", "###", ".##"))
    several = {"type": "MultiPolygon", "coordinates": [square["coordinates"] for square in squares]}
    same(from_geojson(collection(several), (3, 3)), positive=mask_of("##.", "###", ".##"))


def test_lines_and_points_are_drawn_with_a_brush():
    line = {"type": "LineString", "coordinates": [[1.5, 2.5], [5.5, 2.5]]}
    expected = np.zeros((5, 8), bool)
    expected[2, 0:7] = True  # half a pixel beyond each end, and the ends of a brush of 3
    expected[1, 1:6] = expected[3, 1:6] = True
    found = from_geojson(collection(line), (5, 8), width_px=2.01)["positive"]
    assert np.array_equal(found, expected)
    point = {"type": "Point", "coordinates": [1.5, 1.5]}
    same(from_geojson(collection(point), (3, 3), width_px=2.01), positive=mask_of(".#.", "###", ".#."))
    dots = {"type": "MultiPoint", "coordinates": [[0.5, 0.5], [2.2, 2.9]]}
    same(from_geojson(collection(dots), (3, 3), width_px=0), positive=mask_of("#..", "...", "..#"))
    two = {"type": "MultiLineString", "coordinates": [[[0.5, 0.5], [2.5, 0.5]], [[0.5, 2.5], [2.5, 2.5]]]}
    same(from_geojson(collection(two), (3, 3), width_px=1), positive=mask_of("###", "...", "###"))


def test_a_long_thin_line_has_no_gap():
    line = {"type": "LineString", "coordinates": [[0.1, 0.1], [699.3, 433.7]]}
    found = from_geojson(collection(line), (500, 700), width_px=0)["positive"]
    t = np.linspace(0, 1, 5000)
    x, y = 0.1 + t * 699.2, 0.1 + t * 433.6
    assert found[y.astype(int), x.astype(int)].all()
    assert found.sum() < 3 * 700


def test_what_qupath_writes_is_understood():
    feature = {
        "type": "Feature",
        "id": "8b5f3c3e-0b0a-4d5e-9a5e-0f4d9a3a7e11",
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[1, 1], [3, 1], [3, 2], [1, 2], [1, 1]]],
            "plane": {"c": -1, "z": 1, "t": 0},
        },
        "properties": {"objectType": "annotation", "classification": {"name": "Ignore*", "color": [180, 180, 180]}},
    }
    expected = np.zeros((2, 3, 4), bool)
    expected[1, 1, 1:3] = True
    for content in (feature, [feature], {"type": "FeatureCollection", "features": [feature]}):
        same(from_geojson(json.dumps(content).encode(), (2, 3, 4)), ignore=expected)


def test_what_sticks_out_of_the_image_is_cut_off():
    big = {"type": "Polygon", "coordinates": [[[-5, 1], [1e6, 1], [1e6, 1e6], [-5, 1e6]]]}
    same(from_geojson(collection(big), (2, 3)), positive=mask_of("...", "###"))


# --- refused files


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no valid GeoJSON"),
        (b"\xff\xfe", "no valid GeoJSON"),
        (b"[" * 100_000, "no valid GeoJSON"),
        (b"3", "no GeoJSON features"),
        (b'{"type":"FeatureCollection","features":[4]}', "feature 1: it is no GeoJSON feature"),
        (collection({"type": "Polygon", "coordinates": [[[0, 0], [1, float("nan")], [1, 1]]]}), "no valid GeoJSON"),
        (collection({"type": "Polygon", "coordinates": [[[0, 0], [1, 1e300], [1, 1]]]}), "no pixel positions"),
        (collection({"type": "Polygon", "coordinates": [[[0, 0], [1, 10**400], [1, 1]]]}), "feature 1"),
        (collection({"type": "Polygon", "coordinates": [[["0", "0"], ["1", "2"], ["3", "1"]]]}), "lists of x and y"),
        (collection({"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}), "fewer than three points"),
        (collection({"type": "Circle", "coordinates": [0, 0]}), "'Circle'"),
        (collection({"type": "Point", "coordinates": [0.5, 0.5]}, name="x" * 61), "1 to 60 characters"),
        (collection({"type": "Point", "coordinates": [0.5, 0.5]}, name=None), "has no class"),
        (collection({"type": "Point", "coordinates": [0.5, 0.5]}, plane=1), "its plane is 1"),
        (collection({"type": "Point", "coordinates": [0.5, 0.5]}, plane="x"), "no whole number"),
        (collection({"type": "Point", "coordinates": [90, 0.5]}), "covers no pixel"),
        (to_geojson({"positive": np.ones((5, 6), bool)}), "5 x 6 pixels"),
        (collection({"type": "LineString", "coordinates": [[0, 0], [2e9, 2e9]] * 50}), "too large or too many"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(content, says):
    with pytest.raises(InputError) as caught:
        from_geojson(content, (8, 8), where="File 'x.geojson'")
    text = str(caught.value)
    assert text.startswith("File 'x.geojson'")
    assert says in text
    assert "\n" not in text
    assert len(text) < 300


def test_strokes_must_fit_together():
    with pytest.raises(InputError, match="one shape"):
        to_geojson({"positive": np.ones((2, 2)), "negative": np.ones((2, 3))})


def test_further_classes_keep_their_names():
    strokes = {name: np.zeros((6, 8), bool) for name in ("positive", "negative", "ignore", "Tumor")}
    strokes["Tumor"][1:3, 2:5] = strokes["negative"][4, :] = True
    again = from_geojson(to_geojson(strokes), (6, 8))
    assert list(again) == list(strokes)
    assert all(np.array_equal(again[name], mask) for name, mask in strokes.items())
    point = '{"type":"Feature","properties":{"class":"c%d"},"geometry":{"type":"Point","coordinates":[0,0]}}'
    many = ",".join(point % k for k in range(60))
    with pytest.raises(InputError, match="more than 50 classes"):
        from_geojson(f"[{many}]".encode(), (6, 8))


def test_a_thousand_mutated_files_raise_nothing_but_our_error():
    rng = random.Random(0)
    strokes = np.random.default_rng(0).random((2, 9, 9)) < 0.3
    good = to_geojson({"positive": strokes, "ignore": ~strokes})
    pieces = [b"1e999", b"-1", b"null", b"[]", b"{}", b'"x"', b"99999999999999999999", b"0.1", b"NaN", b"true", b"]"]
    refused, said = 0, set()
    for _ in range(1000):
        data = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(data))
            if rng.random() < 0.5:
                data[place] = rng.randrange(256)
            else:
                data[place : place + rng.randint(0, 9)] = rng.choice(pieces)
        try:
            masks = from_geojson(bytes(data), strokes.shape)
        except InputError as error:
            refused += 1
            said.add(str(error).count("\n"))
        else:
            assert all(mask.shape == strokes.shape for mask in masks.values())
    assert 300 < refused < 1000
    assert said == {0}, "a refusal is one line"


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [("CTZYX", (3, 2, 6, 7), (1, 2)), ("CTYX", (3, 6, 7), (0, 2)), ("CZYX", (3, 6, 7), (2, None))],
)
def test_planes_and_times_come_back(axes, shape, expected):
    mask = np.zeros(shape, bool)
    mask[(2, 1)[: len(shape) - 2]][1:3, 2:5] = True
    content = to_geojson({"positive": mask}, axes)
    (feature,) = json.loads(content)["features"]
    properties, place = feature["properties"], feature["geometry"]["plane"]
    assert (properties["plane"], properties.get("time")) == expected
    assert (place["z"], place["t"]) == (expected[0], expected[1] or 0)
    assert np.array_equal(from_geojson(content, shape, axes=axes)["positive"], mask)
    with pytest.raises(InputError, match="but the image has"):
        from_geojson(content.replace(str(list(shape)).replace(" ", "").encode(), b"[6,7]"), (6, 7))
