"""The command ``classify``: classes of objects and of images, its files, its words."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from napari_pu_segment.io import read_image, write_image


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Six images of 16 squares of 9 px each: 4 of them, or 12 in the last three, are bright in the middle alone."""
    folder = tmp_path_factory.mktemp("classify")
    rng = np.random.default_rng(0)
    for i in range(6):
        n_dots = 4 if i < 3 else 12
        image, labels, truth = rng.normal(0, 1, (88, 88)), np.zeros((88, 88), np.uint16), np.zeros((88, 88), np.uint8)
        for k in range(16):
            y, x = 12 + 21 * (k // 4), 12 + 21 * (k % 4)
            inner = 1 if k < n_dots else 4
            image[y - inner : y + inner + 1, x - inner : x + inner + 1] += 100
            labels[y - 4 : y + 5, x - 4 : x + 5] = k + 1
            truth[y, x] = 1 if k < n_dots else 2
        write_image(folder / f"i{i}.tif", image.astype(np.float32))
        write_image(folder / f"o{i}.tif", labels)
        write_image(folder / f"t{i}.tif", truth)
    (folder / "known.csv").write_text("image,class\ni0.tif,few\ni1,few\ni4,many\ni5,many\n", encoding="utf-8")
    return folder


def rows(path):
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def given(files, kind):
    return [files / f"{kind}{i}.tif" for i in range(6)]


def test_objects_and_images_get_classes(files, cli, files_in, tmp_path):
    out = tmp_path / "out"
    more = ["--truth", *given(files, "t"), "--image-classes", 2, "--image-labels", files / "known.csv", "--json"]
    done = cli("classify", *given(files, "i"), "--objects", *given(files, "o"), "--out", out, *more)
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    assert told["class_counts"] == [48, 48]
    assert told["against_truth"] == {"n_objects": 96, "purity": 1.0, "entropy": 0.0, "f_score": 1.0, "auc": 1.0}
    assert told["images_learnt"] == {"accuracy": 1.0, "folds": 2}
    assert files_in(out) == {"objects.csv", "images.csv", *(f"i{i}_classes.tif" for i in range(6))}
    objects, images = rows(out / "objects.csv"), rows(out / "images.csv")
    assert len(objects) == 96
    assert [row["image"] for row in objects[::16]] == [f"i{i}" for i in range(6)]
    dots = objects[0]["class"]
    assert [row["class"] == dots for row in objects[:16]] == [True] * 4 + [False] * 12
    assert float(objects[0][f"class_{dots}_chance"]) > 0.5
    assert [row[f"class_{dots}_fraction"] for row in images] == ["0.25"] * 3 + ["0.75"] * 3
    assert len({row["image_class"] for row in images[:3]}) == len({row["image_class"] for row in images[3:]}) == 1
    assert images[0]["image_class"] != images[5]["image_class"]
    assert [row["image_class_learnt"] for row in images] == ["few"] * 3 + ["many"] * 3
    layer = read_image(out / "i0_classes.tif").image[0]
    assert np.bincount(layer.ravel())[int(dots)] == 4 * 81
    again = tmp_path / "again"
    assert cli("classify", *given(files, "i"), "--objects", *given(files, "o"), "--out", again, *more).code == 0
    assert all((again / name).read_bytes() == (out / name).read_bytes() for name in files_in(out))


def test_masks_will_do_and_words_are_plain(files, cli, tmp_path):
    mask = (read_image(files / "o0.tif").image[0] > 0).astype(np.uint8)
    write_image(tmp_path / "mask.tif", mask)
    done = cli("classify", files / "i0.tif", "--objects", tmp_path / "mask.tif", "--out", tmp_path / "out", "--map")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{tmp_path / 'out' / 'objects.csv'}: 16 objects, 12 of class 1, 4 of class 2\n"
    places = [(row["map_x"], row["map_y"]) for row in rows(tmp_path / "out" / "objects.csv")]
    assert len(set(places)) == 16


def test_what_cannot_be_done_is_said_in_one_sentence(files, cli, tmp_path):
    image, objects = files / "i0.tif", files / "o0.tif"
    start = ("classify", image, "--objects")
    write_image(tmp_path / "small.tif", np.ones((8, 8), np.uint8))
    assert cli(*start, tmp_path / "small.tif", "--out", tmp_path / "a").err.startswith(f"'{tmp_path / 'small.tif'}'")
    assert cli(*start, objects, objects, "--out", tmp_path / "a").code == 2
    strange = tmp_path / "strange.csv"
    strange.write_text("image,class\nnone.tif,x\n", encoding="utf-8")
    done = cli(*start, objects, "--out", tmp_path / "a", "--image-labels", strange)
    assert done.code == 1
    assert "'none.tif', which is none of the images" in done.err
    strange.write_text("name\n1\n", encoding="utf-8")
    assert "columns image and class" in cli(*start, objects, "--out", tmp_path / "a", "--image-labels", strange).err
    done = cli(*start, objects, "--out", tmp_path / "a", "--set", "n_classes=9")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "9 classes want 45 or more" in done.err
    assert not (tmp_path / "a").exists()


def test_classes_are_counted(files, cli, tmp_path):
    image, objects, out = files / "i5.tif", files / "o5.tif", tmp_path / "out"
    start = ("classify", image, "--objects", objects, "--out", out, "--set", "clusterer=dbscan")
    done = cli(*start, "--json")
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    n = len(told["class_counts"])
    assert told["fits_nowhere"] == n
    assert sum(told["class_counts"]) == 16
    assert f"class_{n}_fraction" in rows(out / "images.csv")[0]
    assert f"of class {n}, which fits nowhere" in cli(*start).out
    whole = cli("classify", image, "--objects", objects, "--out", out, "--set", "clusterer=spectral", "--json")
    assert whole.code == 0
    assert "fits_nowhere" not in json.loads(whole.out)
