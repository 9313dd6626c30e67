"""Kill a batch at random moments, or fill its disk, run it again, and compare every byte with an undisturbed run.

    python benchmarks/kills.py [--kills 100] [--full 20] [--files 12] [--format tiff] [--refine] [--workers 0]

A kill is SIGKILL to the whole process group at a moment drawn evenly from the time that the batch takes, in a process
forked from this one, which has imported everything; then the batch is run again to its end. With workers the time
counts from its first file on, for until then they only start. Each kill has a folder of its own. Right after a kill,
whatever has its final name must be whole. A full disk is a small file system in memory (this needs root on Linux) on
which a ballast leaves room for a part of the results only; the batch must stop with one sentence, leave nothing torn,
and end well once the ballast is gone. Prints the figures; the exit code is 0 if no byte differs.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import tifffile

from benchmarks.hostile_folder import make_model, scene
from napari_pu_segment.batch import OUTPUTS, BatchSettings, plan, run_batch
from napari_pu_segment.core.errors import PuSegmentError
from napari_pu_segment.core.progress import run

STOPPED = 9  # exit code of a forked batch that stopped with a sentence
REPORTS = {"report.json", "report.html"}  # they tell the seconds, and which files were done before


def settings_of(folder: Path, out: Path, form: str, refine: bool) -> BatchSettings:
    """A batch of all outputs."""
    outputs = tuple(kind for kind in OUTPUTS if refine or kind != "refined")
    return BatchSettings(model=folder / "model", folder=folder / "in", out=out, outputs=outputs, format=form)


def forked(
    settings: BatchSettings,
    ballast: Callable[[], object] = lambda: None,
    workers: int = 0,
    said: Path = Path(os.devnull),
) -> int:
    """Run a batch in a forked process that leads a group of its own; gives its id.

    `ballast` is called between plan and run. The sentence of a batch that stops goes to `said`.
    """
    child = os.fork()
    if child:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.setpgid(child, child)
        return child
    code = 1
    try:
        os.setpgid(0, 0)
        planned = plan(settings)
        ballast()
        with executor(workers) as given:
            run(run_batch(planned, given))
        code = 0
    except PuSegmentError as error:
        said.write_text(str(error))
        code = STOPPED
    finally:
        os._exit(code)


@contextlib.contextmanager
def executor(workers: int) -> Iterator[object]:
    """None, or one with so many local workers."""
    if not workers:
        yield None
        return
    from napari_pu_segment import cluster

    with cluster.local(workers) as pool:
        yield cluster.executor(pool)


def ended(child: int) -> int:
    """Wait for a forked batch; gives its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def digests(out: Path) -> dict[str, str]:
    """sha256 of every file of a folder by its path, but for the reports."""
    files = [path for path in out.rglob("*") if path.is_file() and path.name not in REPORTS]
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def torn(out: Path, right: dict[str, str]) -> list[str]:
    """Files with a final name that are not whole, and folders that are images of which a part is missing."""
    unfinished = {name for name in digests(out) if any(part.startswith(".part-") for part in Path(name).parts)}
    found = {name: digest for name, digest in digests(out).items() if name not in unfinished}
    wrong = [name for name, digest in found.items() if right.get(name) != digest]
    stores = {
        Path(*Path(name).parts[: i + 1]).as_posix()
        for name in found
        for i, p in enumerate(Path(name).parts)
        if p.endswith(".zarr")
    }
    wrong += [name for name in right if any(name.startswith(f"{store}/") for store in stores) and name not in found]
    return wrong


def writes(out: Path) -> None:
    """Wait until a batch has begun to write."""
    while not out.exists():
        time.sleep(0.005)


def kills(folder: Path, n_kills: int, form: str, refine: bool, workers: int, seed: int) -> bool:
    """Kill and resume; prints the figures."""
    start = time.perf_counter()
    reference = settings_of(folder, folder / "undisturbed", form, refine)
    assert ended(forked(reference)) == 0
    serial_s, right = time.perf_counter() - start, digests(folder / "undisturbed")
    if workers:  # kills are spread over what the workers take
        child = forked(settings_of(folder, folder / "timed", form, refine), workers=workers)
        writes(folder / "timed")
        start = time.perf_counter()
        assert ended(child) == 0
        serial_s = time.perf_counter() - start
    rng, phases = np.random.default_rng(seed), Counter[str]()
    n_torn, differing, begun = 0, 0, time.perf_counter()
    number = 0
    while number < n_kills:
        out = folder / f"killed{number}"
        settings = settings_of(folder, out, form, refine)
        child, moment = forked(settings, workers=workers), rng.uniform(0, serial_s)
        if workers:
            writes(out)
        time.sleep(moment)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        if ended(child) == 0:  # it was through before: no kill
            serial_s = min(serial_s, 1.05 * moment)
            shutil.rmtree(out)
            continue
        number += 1
        done = len([path for path in out.glob(".napari-pu-segment/*.json") if not path.name.startswith(".")])
        phases[f"{done:2} files done" if out.exists() else "before it wrote"] += 1
        wrong = torn(out, right)
        again = ended(forked(settings, workers=workers))
        same = digests(out) == right and again == 0
        n_torn, differing = n_torn + bool(wrong), differing + (not same)
        if wrong or not same:
            names = {name for name in {*digests(out), *right} if digests(out).get(name) != right.get(name)}
            print(f"kill {number}: torn {wrong[:3]}, differing {sorted(names)[:3]}, exit code {again}")
        shutil.rmtree(out, ignore_errors=True)
    print(f"{n_kills} kills of {form}{' with refinement' if refine else ''}, {workers or 'no'} workers: ", end="")
    print(f"{n_torn} left a torn file, {differing} differ after the resume; {len(right)} files compared each time")
    print(f"a run takes {serial_s:.1f} s, all {time.perf_counter() - begun:.0f} s; {dict(sorted(phases.items()))}")
    return n_torn == differing == 0


@contextlib.contextmanager
def small_disk(folder: Path, n_bytes: int) -> Iterator[Path]:
    """A file system of so many bytes in memory."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={n_bytes}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def full_disks(folder: Path, n_points: int, form: str, refine: bool) -> bool:
    """Fill the disk at several points and resume; prints the figures."""
    assert ended(forked(settings_of(folder, folder / "undisturbed2", form, refine))) == 0
    right = digests(folder / "undisturbed2")
    used = sum(
        -(-path.stat().st_size // 4096) * 4096 for path in (folder / "undisturbed2").rglob("*") if path.is_file()
    )
    good, sentences = 0, Counter[str]()
    for point in range(n_points):
        left = int(used * (point + 0.5) / n_points)
        with small_disk(folder / f"disk{point}", 4 * used + 2**24) as disk:
            settings = settings_of(folder, disk / "out", form, refine)

            def ballast(disk: Path = disk, left: int = left) -> None:
                room = shutil.disk_usage(disk).free
                with open(disk / "ballast", "wb") as handle:
                    os.posix_fallocate(handle.fileno(), 0, max(room - left, 1))

            file = folder / f"said{point}.txt"
            code = ended(forked(settings, ballast, said=file))
            (disk / "ballast").unlink()
            said = file.read_text() if file.exists() else ""
            wrong = torn(disk / "out", right) + [str(path) for path in (disk / "out").rglob(".part-*")]
            again = ended(forked(settings))
            same = digests(disk / "out") == right
            ok = code == STOPPED and "\n" not in said and not wrong and again == 0 and same
            good += ok
            sentences[said.replace(str(disk), "…")[:200]] += 1
            if not ok:
                print(f"point {point}: exit {code}, said {said!r}, torn {wrong[:3]}, then exit {again}, same {same}")
    print(f"{n_points} full disks of {form}: {good} stopped with one sentence, nothing torn, the same after the resume")
    print("for example:", *list(sentences)[:2], sep="\n  ")
    return good == n_points


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--full", type=int, default=20)
    parser.add_argument("--files", type=int, default=12)
    parser.add_argument("--side", type=int, default=128, help="of an image, in pixels")
    parser.add_argument("--format", default="tiff")
    parser.add_argument("--refine", action="store_true")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        (folder / "in").mkdir()
        repeats = -(-options.side // 64)
        for i in range(options.files):
            image = np.tile(scene(i), (repeats, repeats))[: options.side, : options.side]
            tifffile.imwrite(folder / "in" / f"image{i:03}.tif", image)
        make_model(folder / "model")
        form, refine = options.format, options.refine
        good = kills(folder, options.kills, form, refine, options.workers, options.seed) if options.kills else True
        return 0 if (full_disks(folder, options.full, form, refine) if options.full else True) and good else 1
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
