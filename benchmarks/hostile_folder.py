"""A folder of small images, one in twenty of them hostile, through the command `batch`.

    python benchmarks/hostile_folder.py [--files 1000] [--keep DIR]

Hostile are: damaged and cut files, bombs (small files that claim to be huge), texts and archives with the name of an
image, files of no bytes or without permission, folders, links that lead nowhere, out of the folder or to themselves,
pipes, other channels, complex numbers, values that are not finite. Images with odd names (non-ASCII, bytes that are no
text, 200 characters, markup, leading dashes) are good ones. Prints how every kind ended, the seconds, and the peak
memory. The exit code is 0 if all good ones are done and all others refused, each with a reason that names it.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import tifffile
from PIL import Image

from napari_pu_segment import METHODS, Sample
from napari_pu_segment.core.model import save_model
from napari_pu_segment.core.progress import run
from napari_pu_segment.core.samples import codes_from_masks

_DROP, _OVERRIDES = 24, (1, 2)  # PR_CAPBSET_DROP; CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: see capabilities(7)


def give_up_rights() -> None:
    """Between fork and exec: root gives up reading and writing against the permissions of files, where it can."""
    if os.geteuid() == 0 and sys.platform == "linux":
        system = ctypes.CDLL(None)
        for right in _OVERRIDES:
            system.prctl(_DROP, right, 0, 0, 0)


def permissions_count() -> bool:
    """Whether a process that has given up its rights cannot read a file without permissions."""
    with tempfile.NamedTemporaryFile() as file:
        os.chmod(file.name, 0)
        return subprocess.run(["cat", file.name], preexec_fn=give_up_rights, capture_output=True).returncode != 0


def scene(seed: int) -> np.ndarray:
    """A noisy disc (Y, X), uint8, which is not in the same place twice."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64]
    row, column = rng.integers(20, 44, 2)
    disc = (y - row) ** 2 + (x - column) ** 2 < 13**2
    return np.clip(60 + 110 * disc + rng.normal(0, 18, disc.shape), 0, 255).astype(np.uint8)


def make_model(path: Path) -> None:
    """A small model of such scenes."""
    image, y, x = scene(0), *np.mgrid[:64, :64]
    bright = image > 140
    strokes = bright & (abs(y - y[bright].mean()) < 3) & (abs(x - x[bright].mean()) < 8)
    values = {"n_steps": 30, "threads": 1, "prior": "fixed", "class_prior": 0.15}
    settings = METHODS["pu"].settings().changed(values)
    save_model(run(METHODS["pu"].train([Sample(image[None], codes_from_masks(strokes))], settings)), path)


def write_good(folder: Path, number: int) -> str:
    """One of several forms of a good image; gives its name."""
    image, odd = scene(number), ("ünï-漢字-🔬", "-leading", "<b>&'\"", "x" * 196, "a b\tc", os.fsdecode(b"\xff\xfe"))
    name = f"{odd[number // 10 % len(odd)]}{number}"[-196:] if number % 10 == 0 else f"image{number:04}"
    forms: list[tuple[str, Callable[[Path], None]]] = [
        (".tif", lambda path: tifffile.imwrite(path, image)),
        (".tif", lambda path: tifffile.imwrite(path, image.astype(np.uint16), compression="zlib")),
        (
            ".tiff",
            lambda path: tifffile.imwrite(
                path, np.stack([image] * 3).astype(np.float32), imagej=True, metadata={"axes": "ZYX"}
            ),
        ),
        (".png", lambda path: Image.fromarray(image).save(path, "PNG")),
        (".npy", lambda path: np.save(path, image[:50])),
        (".TIF", lambda path: tifffile.imwrite(path, image, tile=(16, 16))),
    ]
    suffix, write = forms[number % len(forms)]
    write(folder / (name[: 200 - len(suffix)] + suffix))
    return name[: 200 - len(suffix)] + suffix


def png_bomb() -> bytes:
    """A PNG of 60,000 x 60,000 pixels in a few kilobytes."""
    side = 60_000

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = side.to_bytes(4, "big") * 2 + bytes((8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(2**22))) + chunk(b"IEND", b"")
    )


def tiff_bomb(path: Path) -> None:
    """A TIFF whose header claims 100,000 x 100,000 pixels, deflated."""
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as tif:
        for tag in ("ImageWidth", "ImageLength"):
            tif.pages.first.tags[tag].overwrite(100_000)


def npy_bomb(path: Path) -> None:
    """A .npy file that claims a petabyte."""
    np.save(path, np.zeros((8, 8), np.uint8))
    path.write_bytes(path.read_bytes().replace(b"(8, 8), }" + b" " * 14, b"(33554432, 33554432), }"))


def npy_of_objects(path: Path) -> None:
    """A .npy file that says its values are Python objects."""
    with path.open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, {"descr": "|O", "fortran_order": False, "shape": (1,)})
        handle.write(b"\x80\x04N.")


def hostile_kinds(outside: Path) -> dict[str, Callable[[Path], object]]:
    """What writes each kind of hostile entry to a path without suffix's end."""
    secret = outside / "secret.tif"
    tifffile.imwrite(secret, scene(1))
    whole = secret.read_bytes()

    def flipped(path: Path) -> None:
        data = bytearray(whole)
        data[4:8] = b"\xff\xff\xff\x7f"
        path.write_bytes(data)

    kinds: dict[str, Callable[[Path], object]] = {
        "cut.tif": lambda path: path.write_bytes(whole[: len(whole) // 2]),
        "damaged.tif": flipped,
        "noise.png": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + np.random.default_rng(0).bytes(3000)),
        "bomb.png": lambda path: path.write_bytes(png_bomb()),
        "bomb.tif": tiff_bomb,
        "bomb.npy": npy_bomb,
        "text.tif": lambda path: path.write_text("This is no image.\n" * 50),
        "archive.png": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(500)),
        "pickle.npy": npy_of_objects,
        "empty.tif": lambda path: path.touch(),
        "folder.tif": lambda path: path.mkdir(),
        "dangling.tif": lambda path: path.symlink_to("there-is-no-such-file"),
        "outside.tif": lambda path: path.symlink_to(secret),
        "loop.tif": lambda path: path.symlink_to(path.name),
        "device.tif": lambda path: path.symlink_to("/dev/zero"),
        "pipe.tif": os.mkfifo,
        "colour.png": lambda path: Image.fromarray(np.stack([scene(2)] * 3, -1)).save(path, "PNG"),
        "complex.npy": lambda path: np.save(path, scene(3).astype(complex)),
        "nan.npy": lambda path: np.save(path, np.full((64, 64), np.nan)),
    }
    if permissions_count():
        kinds["secret.tif"] = lambda path: (path.write_bytes(whole), path.chmod(0))
    return kinds


def make_folder(folder: Path, n_files: int) -> tuple[set[str], dict[str, str]]:
    """Write the folder; gives names of good images, and of hostile ones with their kind."""
    (folder / "in").mkdir(parents=True)
    kinds, n_hostile = hostile_kinds(folder), n_files // 20
    hostile: dict[str, str] = {}
    for i in range(n_hostile):
        kind = list(kinds)[i % len(kinds)]
        hostile[f"h{i:03}-{kind}"] = kind
        kinds[kind](folder / "in" / f"h{i:03}-{kind}")
    return {write_good(folder / "in", i) for i in range(n_files - n_hostile)}, hostile


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--keep", type=Path, help="keep the files here")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp())
    try:
        good, hostile = make_folder(folder, options.files)
        make_model(folder / "model")
        start = time.perf_counter()
        command = [sys.executable, "-m", "napari_pu_segment", "batch", folder / "model", folder / "in"]
        command += ["--out", folder / "out", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, preexec_fn=give_up_rights)
        seconds = time.perf_counter() - start
        if not done.stdout:
            sys.exit(f"exit code {done.returncode}: {done.stderr}")
        files = json.loads(done.stdout)["files"]
    finally:
        if options.keep is None:
            shutil.rmtree(folder)
    ends = Counter((hostile.get(file["name"], "good"), file["state"]) for file in files)
    for (kind, state), count in sorted(ends.items()):
        reason = next(f["reason"] for f in files if (hostile.get(f["name"], "good"), f["state"]) == (kind, state))
        print(f"{count:5} {kind:13} {state:8} {reason[:150]}")
    wrong = [f for f in files if f["state"] != ("refused" if f["name"] in hostile else "ok")]
    wrong += [f for f in files if f["state"] == "refused" and f["name"] not in f["reason"]]
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    right = not wrong and len(files) == len(good) + len(hostile) and done.returncode == 3
    skipped = "" if permissions_count() else "; no file without permission, as here they do not count"
    print(f"{len(files)} files, {len(hostile)} hostile, exit code {done.returncode}, {seconds:.1f} s, {peak_mb:.0f} MB")
    print(("all as it should be" if right else f"wrong: {wrong[:3]}") + skipped)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
