"""Batches on workers: the same bytes as one after the other, whatever dies; and who is let in to a scheduler."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile

from napari_pu_segment.batch import BatchSettings, plan, run_batch
from napari_pu_segment.batch import results as batch_results
from napari_pu_segment.cluster import Lost, Pool, executor, local, remote
from napari_pu_segment.core.errors import InputError, JobError
from napari_pu_segment.core.progress import run
from tests import cluster_work

pytest.importorskip("distributed")
N_IMAGES = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder of small images, one of them damaged."""
    folder = tmp_path_factory.mktemp("images")
    y, x = np.mgrid[:96, :96] / 96
    disc = (y - 0.4) ** 2 + (x - 0.4) ** 2 < 0.06
    for i in range(N_IMAGES):
        noise = np.random.default_rng(i).normal(0, 18, disc.shape)
        tifffile.imwrite(folder / f"image{i}.tif", np.clip(60 + 110 * disc + noise, 0, 255).astype(np.uint8))
    (folder / "damaged.tif").write_bytes(b"II*\0 and no more")
    return folder


def results(out: Path) -> dict[str, str]:
    """sha256 of every result below a folder."""
    files = [path for path in out.rglob("*") if path.is_file() and path.name not in ("report.json", "report.html")]
    mine = [path for path in files if ".napari-pu-segment" not in path.parts]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in mine}


@pytest.fixture
def serial(model, folder, cli) -> dict[str, str]:
    """What the batch makes without workers."""
    out = folder.parent / "serial"
    if not out.exists():
        assert cli("batch", model, folder, "--out", out).code == 3, "one image is damaged"
    return results(out)


def worker_ids() -> set[int]:
    """Living worker processes of this one, of whatever pool."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE and any("spawn_main" in part for part in child.cmdline()):
                found.add(child.pid)
    return found


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """Two workers for all tests that need not start their own; that takes seconds each time."""
    with local(2) as pool:
        yield pool


def test_two_workers_write_the_bytes_of_one_process(model, folder, serial, cli, tmp_path):
    others = worker_ids()
    done = cli("batch", model, folder, "--out", tmp_path / "out", "--workers", 2)
    assert done.code == 3
    assert f"{N_IMAGES} ok" in done.out
    assert done.err.startswith("refused: "), "and not a word of Dask"
    assert done.err.count("\n") == 1
    assert len(serial) == 2 * N_IMAGES
    assert results(tmp_path / "out") == serial
    assert worker_ids() <= others


def test_a_worker_that_is_killed_costs_nothing_but_time(model, folder, serial, tmp_path, pool):
    killed = 0
    for progress in run_batch(plan_of(model, folder, tmp_path / "out"), executor(pool)):
        if progress.step and not killed:
            killed = min(pool.client.run(os.getpid).values())
            os.kill(killed, signal.SIGKILL)
    assert killed
    assert results(tmp_path / "out") == serial
    assert not list((tmp_path / "out").rglob(".part-*"))


def plan_of(model: Path, folder: Path, out: Path, **more):
    return plan(BatchSettings(model=model, folder=folder, out=out, **more))


class Losing(Pool):
    """A pool without workers that loses one file."""

    def map(self, function, tasks):
        for task in tasks:
            yield task, Lost("It ended unexpectedly.") if task.name == "image2.tif" else function(task)


def test_a_file_that_is_lost_fails_and_the_others_are_done(model, folder, tmp_path):
    tasks = plan_of(model, folder, tmp_path / "out").tasks
    events = executor(Losing(None, look_after=list))(cluster_work.done, tasks)
    found = {task.name: report for task, report in events}
    assert len(found) == len(tasks) == N_IMAGES
    assert {name for name, report in found.items() if report.state == "failed"} == {"image2.tif"}
    assert "ended unexpectedly" in found["image2.tif"].reason


def test_the_command_killed_in_the_middle_leaves_no_process_and_goes_on(model, folder, serial, cli, tmp_path):
    command = ["batch", model, folder, "--out", tmp_path]
    words = [sys.executable, "-m", "napari_pu_segment", *map(str, command), "--workers", "2"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children = []
    while process.poll() is None and not list(tmp_path.glob("image*.tif")):
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(process.pid).children(recursive=True) or children
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert len(children) >= 2
    assert psutil.wait_procs(children, timeout=120)[1] == []
    assert cli(*command).code == 3
    assert results(tmp_path) == serial


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """A folder with an image of four blocks."""
    folder = tmp_path_factory.mktemp("large")
    y, x = np.mgrid[:128, :8100] / 128  # as long as four blocks, and low, so that it is soon done
    discs = (y - 0.4) ** 2 + (x % 1 - 0.4) ** 2 < 0.03
    noise = np.random.default_rng(0).normal(0, 18, discs.shape)
    image = np.clip(60 + 110 * discs + noise, 0, 255).astype(np.uint8)
    tifffile.imwrite(folder / "large.tif", image, tile=(64, 512))
    return folder


@pytest.mark.parametrize("form", ["ome-zarr", "tiff"])
def test_a_large_image_is_spread_over_workers_and_goes_on_after_a_kill(model, large, tmp_path, monkeypatch, pool, form):
    monkeypatch.setattr(batch_results, "SMALL_PX", 2**18)
    run(run_batch(plan_of(model, large, tmp_path / "serial", format=form)))
    plan = plan_of(model, large, tmp_path / "out", format=form)
    words, killed = [], 0
    with local(1) as first:
        work = run_batch(plan, executor(first))
        for progress in work:
            words.append(progress.message)
            if "50 %" in progress.message:
                break  # and then the whole computer goes, as it were
            if "25 %" in progress.message and not killed:
                (killed,) = first.client.run(os.getpid).values()
                os.kill(killed, signal.SIGKILL)
        work.close()
    assert killed
    assert words[-1].endswith(" 50 %")
    assert results(tmp_path / "out").keys() & results(tmp_path / "serial").keys() == set()
    words = [progress.message for progress in run_batch(plan, executor(pool))]
    assert not any(word.endswith((" 0 %", " 25 %")) for word in words), "the blocks that were there are not done again"
    assert words[-1] == "large.tif: ok"
    assert results(tmp_path / "out") == results(tmp_path / "serial") != {}
    assert not list((tmp_path / "out").rglob(".part-*"))


# --- a scheduler by TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    """An authority with a certificate of its own, another one, and a certificate of each for us."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder, now = tmp_path_factory.mktemp("certificates"), datetime.datetime.now(datetime.UTC)

    def make(name: str, issuer: tuple | None) -> tuple:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder(
            issuer[0].subject if issuer else subject, subject, key.public_key(), x509.random_serial_number()
        )
        builder = builder.not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        certificate = builder.sign(issuer[1] if issuer else key, hashes.SHA256())
        pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(pem))
        form = serialization.PrivateFormat.TraditionalOpenSSL
        (folder / f"{name}-key.pem").write_bytes(key.private_bytes(pem, form, plain))
        return certificate, key

    ours, foreign = make("ca", None), make("foreign-ca", None)
    make("ours", ours)
    make("foreign", foreign)
    return folder


def files(folder: Path, name: str = "ours", ca: str = "ca") -> dict[str, Path]:
    return {"certificate": folder / f"{name}.pem", "key": folder / f"{name}-key.pem", "ca": folder / f"{ca}.pem"}


@pytest.fixture(scope="module")
def scheduler(certificates, tmp_path_factory) -> Iterator[str]:
    """The address of a scheduler with one worker, both started by Dask's own commands."""
    told = tmp_path_factory.mktemp("scheduler") / "scheduler.json"
    given = files(certificates)
    pem = ["--tls-ca-file", given["ca"], "--tls-cert", given["certificate"], "--tls-key", given["key"]]
    common = [*pem, "--scheduler-file", told, "--no-dashboard"]
    dask = shutil.which("dask", path=str(Path(sys.executable).parent))
    log = open(told.with_suffix(".log"), "wb")  # noqa: SIM115
    commands = [
        [dask, "scheduler", "--protocol", "tls", "--host", "127.0.0.1", "--port", "0", *common],
        [dask, "worker", "--nthreads", "1", "--host", "127.0.0.1", *common],
    ]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    running = [subprocess.Popen([*map(str, c)], stdout=log, stderr=log, env=environ) for c in commands]
    while not (address := address_in(told)):
        assert running[0].poll() is None, Path(log.name).read_text()
        time.sleep(0.05)
    with remote(address, **given) as pool:
        pool.client.wait_for_workers(1, timeout=120)
    yield address
    for process in running[::-1]:
        process.terminate()
    for process in running:
        process.wait(timeout=120)
    log.close()


def address_in(told: Path) -> str:
    """What a scheduler has written; empty as long as it has not, or only a part of it."""
    try:
        return json.loads(told.read_text())["address"]
    except (OSError, ValueError):
        return ""


def test_a_scheduler_by_tls_does_the_batch(model, folder, serial, cli, tmp_path, scheduler, certificates):
    assert scheduler.startswith("tls://127.0.0.1:")
    pem = [word for name, path in files(certificates).items() for word in (f"--{name}", path)]
    done = cli("batch", model, folder, "--out", tmp_path / "out", "--scheduler", scheduler, *pem)
    assert done.code == 3
    assert f"{N_IMAGES} ok" in done.out
    assert results(tmp_path / "out") == serial


@pytest.mark.parametrize("name", ["", "foreign", "ours"])
def test_without_a_certificate_of_its_authority_a_scheduler_lets_nobody_in(scheduler, certificates, name):
    host, port = scheduler.removeprefix("tls://").split(":")
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    context.check_hostname = False
    if name:
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}-key.pem")
    with socket.create_connection((host, int(port)), timeout=60) as plain:
        if name == "ours":
            with context.wrap_socket(plain) as secret:
                assert secret.recv(1) != b"", "the scheduler speaks first"
        else:
            with pytest.raises(ssl.SSLError), context.wrap_socket(plain) as secret:
                secret.recv(1)


@pytest.mark.parametrize(("name", "ca"), [("foreign", "ca"), ("ours", "foreign-ca")])
def test_foreign_certificates_are_told_in_one_sentence(scheduler, certificates, name, ca):
    with (
        pytest.raises(InputError, match="cannot be reached") as caught,
        remote(scheduler, **files(certificates, name, ca)),
    ):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("tcp://127.0.0.1:8786", "not encrypted"),
        ("127.0.0.1:8786", "tls://HOST:PORT"),
        ("http://127.0.0.1:8786", "tls://HOST:PORT"),
        ("tls://127.0.0.1:8786", "needs --certificate"),
    ],
)
def test_addresses_that_are_refused(cli, model, folder, tmp_path, address, words):
    done = cli("batch", model, folder, "--out", tmp_path / "out", "--scheduler", address)
    assert (done.code, done.out) == (1, "")
    assert words in done.err
    assert done.err.count("\n") == 1


def test_other_versions_are_told(scheduler, certificates, monkeypatch):
    from napari_pu_segment.cluster import connect, pool

    other = {**pool.versions(), "torch": "1.0"}
    monkeypatch.setattr(connect, "versions", lambda: other)
    with (
        pytest.raises(JobError, match=r"torch is 1\.0 here, but .* at the scheduler"),
        remote(scheduler, **files(certificates)),
    ):
        pass
    monkeypatch.setattr(connect, "versions", pool.versions)
    monkeypatch.setattr(pool, "versions", lambda: other)
    with remote(scheduler, **files(certificates)) as late, pytest.raises(JobError, match="at a worker"):
        list(late.map(cluster_work.square, [1]))


def test_a_folder_that_the_workers_do_not_see_is_told(scheduler, certificates, tmp_path):
    with remote(scheduler, **files(certificates)) as pool:
        pool.check_paths([tmp_path])
        with pytest.raises(InputError, match=r"does not find .*nowhere"):
            pool.check_paths([tmp_path / "nowhere"])


@pytest.mark.parametrize("package", ["distributed", "cryptography"])
def test_without_the_extra_one_sentence_tells_how_to_get_it(cli, model, folder, tmp_path, monkeypatch, package):
    from napari_pu_segment.cluster import connect

    monkeypatch.setattr(connect, "find_spec", lambda name: None if name == package else object())
    done = cli("batch", model, folder, "--out", tmp_path / "out", "--workers", 2)
    assert done.code == 1
    assert package in done.err
    assert 'pip install "napari-pu-segment[cluster]"' in done.err


@pytest.mark.parametrize("words", [("--workers", 2, "--scheduler", "tls://a:1"), ("--insecure",)])
def test_options_that_do_not_go_together(cli, model, folder, tmp_path, words):
    assert cli("batch", model, folder, "--out", tmp_path / "out", *words).code == 2
    assert not (tmp_path / "out").exists()


# --- the page


@pytest.fixture
def page() -> Path:
    return Path(__file__).parents[2] / "docs" / "howto" / "cluster.md"


def free_port() -> int:
    """A port that nobody listens at, and none of those that are given away to whoever asks for any."""
    for port in range(20_000 + os.getpid() % 5_000, 30_000):
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def test_the_commands_of_the_page_run(page, model, folder, tmp_path):
    port = free_port()
    blocks = re.findall(r"^```bash\n(.*?)^```", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) == 6
    text = "\n".join(["set -euo pipefail", "trap 'kill $(jobs -p); wait' EXIT", *blocks]).replace(":8786", f":{port}")
    shutil.copy(model, tmp_path / "model.safetensors")
    (tmp_path / "frames").mkdir()
    for i in range(2):
        shutil.copy(folder / f"image{i}.tif", tmp_path / "frames")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    text = text.replace("--port 8786", f"--port {port}").replace("workers 2", "workers 1")  # as good, and quicker
    command = ["bash", "-c", text]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    assert done.stdout.decode().count("2 ok") == 2
    assert len(results(tmp_path / "results")) == 4
    assert results(tmp_path / "results-tls") == results(tmp_path / "results")
    assert (tmp_path / "tls" / "key.pem").stat().st_mode & 0o077 == 0


SLURM = {  # stand-ins for its commands; the first job dies before it has a worker, as on a node that fails
    "sbatch": """cp "$1" script  # the original is gone soon
if [ -e jobs ]; then bash script >job.log 2>&1 & else true & fi
echo $! >>jobs; echo "Submitted batch job $!" """,
    "squeue": 'while read -r job; do kill -0 "$job" 2>/dev/null && echo "$job"; done <jobs; true',
    "scancel": 'kill "$@" 2>/dev/null || true',
}


def test_the_example_for_slurm_runs_with_a_stand_in_for_slurm(page, model, folder, tmp_path):
    pytest.importorskip("dask_jobqueue")
    (text,) = re.findall(r"^```py\n(.*?)^```", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    here = {'"ib0"': '"lo"', "cores=8": "cores=2", "processes=8": "processes=2", "Path.home()": "Path.cwd()"}
    for theirs, ours in {**here, "keep_jobs(cluster, 4)": "keep_jobs(cluster, 1, every_s=1)"}.items():
        assert text.count(theirs) == 1
        text = text.replace(theirs, ours)
    (tmp_path / "slurm_batch.py").write_text(text)
    shutil.copy(model, tmp_path / "model.safetensors")
    (tmp_path / "frames").mkdir()
    shutil.copy(folder / "image0.tif", tmp_path / "frames")
    (tmp_path / "bin").mkdir()
    for name, lines in SLURM.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{lines}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    path = os.pathsep.join([str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "slurm_batch.py"],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    assert "'ok': 1" in done.stdout.decode()
    assert len(results(tmp_path / "results-slurm")) == 2
    assert len((tmp_path / "jobs").read_text().split()) == 2, "one job for the one that died, and no more"
