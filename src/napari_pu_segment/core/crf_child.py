"""Long work in a child process: it can be killed at any moment, and it may hold the GIL for as long as it likes.

Request and result travel as plain files (.npy without pickle, and JSON) in a private temporary folder: unlike pipes,
files cannot dead-lock, however large the arrays are. The child's standard input is only a life line: the parent holds
its other end and never writes to it, so that the child sees it close when the parent ends, however it ends.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import numpy as np

from .errors import InputError, JobError, OutOfMemoryError, PuSegmentError
from .progress import Progress, Work, run

Compute: TypeAlias = Callable[[dict[str, np.ndarray], dict[str, Any]], Work[np.ndarray]]

_POLL_S = 0.05
_EXIT_INPUT, _EXIT_MEMORY = 10, 11
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def in_child(module: str, arrays: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> Work[np.ndarray]:
    """Do the work of another module in a child process; closing the generator kills the child.

    Parameters
    ----------
    module : str
        Full name of a module that calls `serve` when it is run with ``python -m``.
    arrays : mapping of str to ndarray of numbers
    parameters : mapping of str to JSON values

    Yields
    ------
    Progress
        About every 50 ms.

    Returns
    -------
    ndarray

    Raises
    ------
    InputError
        If the child refuses the input.
    OutOfMemoryError
        If the child runs out of memory, or the system kills it.
    JobError
        If the child cannot be started, or ends in any other way.
    """
    with tempfile.TemporaryDirectory(prefix="napari-pu-segment-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        process = _start(module, folder, arrays, parameters)
        try:
            while process.poll() is None:
                yield _latest(folder)
                time.sleep(_POLL_S)
        finally:
            process.kill()
            process.wait()
            assert process.stdin is not None
            process.stdin.close()
        return _result(folder, process.returncode)


def serve(compute: Compute) -> NoReturn:
    """The child's whole life: read the request, compute, write the result, exit."""
    folder = Path(sys.argv[1])
    threading.Thread(target=_end_with_parent, args=(folder,), daemon=True).start()
    code = 0
    try:
        with np.load(folder / "arrays.npz", allow_pickle=False) as request:
            arrays = dict(request)
        parameters = json.loads((folder / "parameters.json").read_text("utf-8"))
        result = run(compute(arrays, parameters), _report)
        np.save(folder / "result.npy", result, allow_pickle=False)
    except PuSegmentError as error:
        sys.stderr.write(f"{error}\n")
        code = _EXIT_INPUT
    except MemoryError:
        code = _EXIT_MEMORY
    except Exception:
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os._exit(code)  # at once: the life line's thread still waits in a read


def _start(
    module: str, folder: Path, arrays: Mapping[str, np.ndarray], parameters: Mapping[str, Any]
) -> subprocess.Popen[bytes]:
    package_root = str(Path(__file__).parents[2])
    search_path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-P", "-m", module, str(folder)]  # -P: nothing is imported from the current folder
    try:
        np.savez(folder / "arrays.npz", **arrays)  # type: ignore[arg-type]
        (folder / "parameters.json").write_text(json.dumps(parameters), "utf-8")
        with open(folder / "progress", "wb") as progress, open(folder / "errors", "wb") as errors:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=progress,
                stderr=errors,
                env={**os.environ, **_ONE_THREAD, "PYTHONPATH": search_path},
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # exists on Windows alone
            )
    except OSError as error:
        raise JobError(f"A helper process could not be started in {tempfile.gettempdir()!r}: {error}.") from error


def _latest(folder: Path) -> Progress:
    """The last whole line that the child wrote."""
    lines = (folder / "progress").read_text("utf-8").split("\n")
    if len(lines) < 2:
        return Progress(0, 0, "Starting")
    return Progress(**json.loads(lines[-2]))


def _report(progress: Progress) -> None:
    fields = {"step": progress.step, "total": progress.total, "message": progress.message}
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def _result(folder: Path, code: int) -> np.ndarray:
    if code == 0:
        return np.asarray(np.load(folder / "result.npy", allow_pickle=False))
    errors = (folder / "errors").read_text("utf-8", errors="replace").strip()
    last_line = errors.rsplit("\n", 1)[-1]
    if code == _EXIT_INPUT:
        raise InputError(last_line)
    killed = sys.platform != "win32" and code == -signal.SIGKILL  # not by us: what Linux does when memory runs out
    if code == _EXIT_MEMORY or killed or "bad_alloc" in errors:
        raise OutOfMemoryError("The computer ran out of memory. Close other programs, or use a smaller image.")
    reason = signal.strsignal(-code) if code < 0 else last_line
    raise JobError(f"A helper process ended unexpectedly ({reason or f'exit code {code}'}).")


def _end_with_parent(folder: Path) -> NoReturn:
    os.read(sys.stdin.fileno(), 1)  # returns when the parent has ended, as the parent writes nothing
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
