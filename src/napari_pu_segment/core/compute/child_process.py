"""Long work in a child process: it can be killed at any moment, and it may hold the GIL for as long as it likes.

Requests and results travel as plain files (.npy without pickle, and JSON) in a private temporary folder: unlike pipes,
files cannot dead-lock, however large the arrays are. The child's standard input is its life line: the parent writes one
empty line there for each request, and the child sees it close when the parent ends, however it ends.
"""

from __future__ import annotations

import contextlib
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
from queue import SimpleQueue
from types import TracebackType
from typing import IO, Any, NoReturn, TypeAlias

import numpy as np

from ..errors import InputError, JobError, OutOfMemoryError, PuSegmentError
from ..progress import Progress, Ticker, Work, run
from .memory import give_back
from .temporary import TemporaryFolder

Compute: TypeAlias = Callable[[dict[str, np.ndarray], dict[str, Any]], Work[np.ndarray]]

_POLL_S = 0.005
_EXIT_INPUT, _EXIT_MEMORY = 10, 11
_ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "MALLOC_ARENA_MAX": "1",  # glibc: one heap, all of which `give_back` reaches
}


class Child:
    """A child process that does the work of another module, one request after the other.

    It is started by the first request and ends with the block that it is the context of: at once, by being killed,
    where an error or `close()` on the generator leaves the block.

    Parameters
    ----------
    module : str
        Full name of a module that calls `serve` when it is run with ``python -m``.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None
        self._progress: IO[bytes] | None = None

    def __enter__(self) -> Child:
        self._temporary = TemporaryFolder()
        self._folder = self._temporary.path
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.close()
        if self._process is not None:
            if kind is not None:
                self._process.kill()
            assert self._process.stdin is not None
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            self._process.wait()
        self._temporary.close()

    def ask(self, arrays: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> Work[np.ndarray]:
        """Do one request.

        Parameters
        ----------
        arrays : mapping of str to ndarray of numbers
        parameters : mapping of str to JSON values

        Yields
        ------
        Progress
            About every 100 ms.

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
        process, ticker, latest = self._send(arrays, parameters), Ticker(), Progress(0, 0, "Starting")
        result = self._folder / "result.npy"
        while not result.exists():
            code = process.poll()
            if code is not None:
                raise _failure(self._folder, code)
            if ticker.due():
                latest = self._latest(latest)
                yield latest
            time.sleep(_POLL_S)
        answer = np.load(result, allow_pickle=False)
        result.unlink()
        self._latest(latest)  # what it still said of this request is not to be taken for the next one's
        return np.asarray(answer)

    def _send(self, arrays: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> subprocess.Popen[bytes]:
        try:
            np.savez(self._folder / "arrays.npz", **arrays)  # type: ignore[arg-type]
            (self._folder / "parameters.json").write_text(json.dumps(parameters), "utf-8")
            process = self._process = self._process or self._start()
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
        except BrokenPipeError:  # it has ended already: `ask` tells why
            process.wait()
        except OSError as error:
            raise JobError(f"A helper process could not be used in {tempfile.gettempdir()!r}: {error}.") from error
        return process

    def _start(self) -> subprocess.Popen[bytes]:
        package_root = str(Path(__file__).parents[2])
        search_path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
        # -P: nothing is imported from the current folder
        command = [sys.executable, "-P", "-m", self._module, str(self._folder)]
        with open(self._folder / "progress", "wb") as progress, open(self._folder / "errors", "wb") as errors:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=progress,
                stderr=errors,
                env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": search_path},
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # exists on Windows alone
            )
        self._progress = open(self._folder / "progress", "rb")  # noqa: SIM115 - closed with the child
        return process

    def _latest(self, before: Progress) -> Progress:
        """The last whole line that the child wrote, if it wrote any since `before`."""
        assert self._progress is not None
        lines = self._progress.read().split(b"\n")
        self._progress.seek(-len(lines[-1]), os.SEEK_CUR)
        return before if len(lines) < 2 else Progress(**json.loads(lines[-2]))


def serve(compute: Compute) -> NoReturn:
    """The child's whole life: read a request, compute, write the result, until the parent ends or lets go."""
    folder, requests = Path(sys.argv[1]), SimpleQueue[bytes]()
    threading.Thread(target=_listen, args=(folder, requests), daemon=True).start()
    while True:
        requests.get()
        code = _answer(folder, compute)
        give_back()
        if code:
            sys.stderr.flush()
            os._exit(code)  # at once: the life line's thread still waits in a read


def _answer(folder: Path, compute: Compute) -> int:
    try:
        with np.load(folder / "arrays.npz", allow_pickle=False) as request:
            arrays = dict(request)
        parameters = json.loads((folder / "parameters.json").read_text("utf-8"))
        result = run(compute(arrays, parameters), _report)
        np.save(folder / "unfinished.npy", result, allow_pickle=False)
        os.replace(folder / "unfinished.npy", folder / "result.npy")
    except PuSegmentError as error:
        sys.stderr.write(f"{error}\n")
        return _EXIT_INPUT
    except MemoryError:
        return _EXIT_MEMORY
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def _report(progress: Progress) -> None:
    fields = {"step": progress.step, "total": progress.total, "message": progress.message}
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def _failure(folder: Path, code: int) -> PuSegmentError:
    errors = (folder / "errors").read_text("utf-8", errors="replace").strip()
    last_line = errors.rsplit("\n", 1)[-1]
    if code == _EXIT_INPUT:
        return InputError(last_line)
    killed = sys.platform != "win32" and code == -signal.SIGKILL  # not by us: what Linux does when memory runs out
    if code == _EXIT_MEMORY or killed or "bad_alloc" in errors:
        return OutOfMemoryError("The computer ran out of memory. Close other programs, or use a smaller image.")
    reason = signal.strsignal(-code) if code < 0 else last_line
    return JobError(f"A helper process ended unexpectedly ({reason or f'exit code {code}'}).")


def _listen(folder: Path, requests: SimpleQueue[bytes]) -> NoReturn:
    """Pass on one line for each request; the input ends when the parent has ended, or has no more requests."""
    for line in sys.stdin.buffer:
        requests.put(line)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)
