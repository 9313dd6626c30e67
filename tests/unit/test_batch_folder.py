"""Which files a batch takes, what it calls their results, and what it says of those it cannot take."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_pu_segment.batch.folder import fault_of, find, stems
from napari_pu_segment.core.errors import InputError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def names_in(folder: Path, **options: object) -> list[str]:
    return [one.name for one in find(folder, **options)[0] if not one.fault]


def test_images_by_name_and_pattern_with_and_without_subfolders(tmp_path):
    folder = touch(tmp_path, "b.tif", "A.PNG", "notes.txt", ".hidden.tif", "sub/c.npy", "sub/d.txt", ".git/e.tif")
    assert find(folder) == (find(folder, "*", False)[0], 4)  # notes, the hidden one, two folders
    assert names_in(folder) == ["A.PNG", "b.tif"]
    assert names_in(folder, recursive=True) == ["A.PNG", "b.tif", "sub/c.npy"]
    assert find(folder, recursive=True)[1] == 4  # notes, the hidden file and folder, sub/d.txt
    assert names_in(folder, pattern="*.tif", recursive=True) == ["b.tif"]
    assert names_in(folder, pattern="a*", recursive=True) == ["A.PNG"]  # whatever the case
    assert names_in(folder, pattern="sub/*", recursive=True) == ["sub/c.npy"]


def test_what_only_looks_like_an_image_is_found_with_its_fault(tmp_path):
    folder = touch(tmp_path / "in", "good.tif")
    touch(tmp_path, "secret.tif")
    (folder / "folder.tif").mkdir()
    (folder / "store.ome.zarr").mkdir()
    os.mkfifo(folder / "pipe.tif")
    for name, target in {
        "dangling.tif": "nowhere",
        "loop.tif": "loop.tif",
        "outside.tif": "../secret.tif",
        "inside.tif": "good.tif",
        "linked.tif": "folder.tif",
    }.items():
        (folder / name).symlink_to(target)
    (folder / "away").symlink_to(tmp_path)
    found, n_others = find(folder, recursive=True)
    assert n_others == 1  # the link to a folder, which is not followed
    faults = {one.name: one.fault for one in found}
    assert faults.pop("good.tif") == faults.pop("inside.tif") == faults.pop("store.ome.zarr") == ""
    says = {
        "folder.tif": "is a folder",
        "linked.tif": "is a folder",
        "pipe.tif": "not an ordinary file",
        "dangling.tif": "leads nowhere",
        "loop.tif": "leads nowhere",
        "outside.tif": "out of the folder",
    }
    assert set(faults) == set(says)
    assert all(words in faults[name] and repr(name) in faults[name] for name, words in says.items())
    assert "missing" in fault_of(folder, "gone.tif")


def test_a_folder_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="gone"):
        find(tmp_path / "gone")
    with pytest.raises(InputError, match=r"Not a directory|cannot be read"):
        find(touch(tmp_path, "file.tif") / "file.tif")


def test_a_folder_whose_files_cannot_be_reached_is_their_fault_alone(tmp_path, monkeypatch):
    touch(tmp_path, "a.tif")
    (tmp_path / "sub").mkdir()
    touch(tmp_path / "sub", "b.tif")
    lstat = Path.lstat

    def denied(path):
        if path.name == "b.tif":
            raise PermissionError(13, "Permission denied", str(path))
        return lstat(path)

    monkeypatch.setattr(Path, "lstat", denied)
    found, _ = find(tmp_path, recursive=True)
    assert [(one.name, "Permission denied" in one.fault) for one in found] == [("a.tif", False), ("sub/b.tif", True)]


def test_very_deep_folders(tmp_path):
    (tmp_path / Path(*["d"] * 400)).mkdir(parents=True)
    touch(tmp_path / Path(*["d"] * 400), "deep.tif")
    assert [PurePosixPath(name).name for name in names_in(tmp_path, recursive=True)] == ["deep.tif"]


def test_results_are_named_after_their_images():
    assert stems(["a.tif", "sub/b.ome.zarr", "sub/c.x.png", "d.zarr"]) == {
        "a.tif": "a",
        "sub/b.ome.zarr": "sub/b",
        "sub/c.x.png": "sub/c.x",
        "d.zarr": "d",
    }


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.tif", "a.png", "b.tif"], {"a.tif": "a_tif", "a.png": "a_png", "b.tif": "b"}),
        (["a.tif", "A.png"], {"a.tif": "a_tif", "A.png": "A_png"}),
        (["a.tif", "a.png", "a_png.tif"], {"a.tif": "a_tif", "a_png.tif": "a_png_tif"}),
        (["x/a.tif", "y/a.tif"], {"x/a.tif": "x/a", "y/a.tif": "y/a"}),
        (["x_mask.tif/a.png", "x.png"], {"x_mask.tif/a.png": "x_mask_tif/a", "x.png": "x"}),
        (["con.tif"], {"con.tif": "_con"}),
    ],
)
def test_names_that_would_collide(names, expected):
    chosen = stems(names)
    assert len({stem.casefold() for stem in chosen.values()}) == len(names)
    assert {name: chosen[name] for name in expected} == expected


def test_names_that_only_a_hash_tells_apart():
    for names in (["a?.tif", "a*.tif"], ["e\u0301.tif", "\u00e9.tif"], ["a.TIF", "A.tif"]):
        first, second = stems(names).values()
        assert first != second
        assert all(PurePosixPath(stem).name.rpartition("-")[2].isalnum() for stem in (first, second))


# the same texts each time, and however slow a busy machine is at that moment
@settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=300), unique=True, max_size=8))
def test_names_of_any_text_are_safe_and_never_alike(parts):
    names = [f"{part}.{suffix}" for part in parts for suffix in ("tif", "png")]
    chosen = stems(names)
    assert len({stem.casefold() for stem in chosen.values()}) == len(names)
    for stem in chosen.values():
        assert "/" not in stem
        assert not stem.startswith(".")
        assert 0 < len(f"{stem}_measurements.csv".encode()) < 230
