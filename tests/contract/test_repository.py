"""What the repository promises around the code: metadata, pinned versions, the commands for newcomers."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import napari_pu_segment

ROOT = Path(__file__).parents[2]
NAME = "napari-pu-segment"
QT = {"pyqt5", "pyqt6", "pyside2", "pyside6"}
NOT_HEADLESS = {*QT, "napari", "qtpy", "superqt", "magicgui", "psygnal", "vispy", "torchvision"}


@pytest.fixture(scope="module")
def config() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return {
        canonicalize_name(n): v for n, _, v in (line.partition("==") for line in lines if line[:1] not in ("#", ""))
    }


def requirements(text: str) -> list[Requirement]:
    return [Requirement(line) for line in text.splitlines() if line.strip()]


def brought_by(roots: list[Requirement]) -> set[str]:
    """Names of all installed packages that some requirements bring, themselves included."""
    seen: set[tuple[str, str]] = set()
    todo = [(r.name, extra) for r in roots for extra in ("", *r.extras)]
    while todo:
        name, extra = todo.pop()
        key = (canonicalize_name(name), extra)
        if key in seen:
            continue
        try:
            lines = distribution(name).requires or []
        except PackageNotFoundError:
            continue  # for another system, or an extra that is not installed here
        seen.add(key)
        for requirement in map(Requirement, lines):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                todo += [(requirement.name, e) for e in ("", *requirement.extras)]
    return {name for name, _ in seen}


def test_a_plain_install_is_headless(config):
    wanted = requirements(config["options"]["install_requires"])
    assert {"torch", "numpy"} <= {r.name for r in wanted}
    assert brought_by(wanted) & NOT_HEADLESS == set()


def test_only_the_extra_all_brings_a_qt_binding(config):
    extras = {name: requirements(text) for name, text in config["options.extras_require"].items()}
    assert any(str(r).startswith("napari[all]") for r in extras["all"])
    assert {"gui", "crf"} <= next(r.extras for r in extras["all"] if r.name == NAME)
    assert [r.name for r in extras["crf"]] == ["pydensecrf2"]
    for name, wanted in extras.items():
        direct = {canonicalize_name(r.name) for r in wanted}
        assert not direct & QT, name
        assert name == "all" or not any(r.name == "napari" and r.extras for r in wanted), name


def test_every_package_of_every_extra_is_pinned(config):
    roots = requirements(config["options"]["install_requires"])
    for text in config["options.extras_require"].values():
        roots += requirements(text)
    found = brought_by(roots) - {NAME, "pip"}
    assert len(found) > 100
    assert found - set(pins()) == set()
    assert pins()["torch"] == "2.13.0"


def test_the_version_is_the_same_everywhere():
    version = napari_pu_segment.__version__
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert distribution(NAME).version == version
    assert citation["version"] == version
    assert citation["authors"] == [{"name": f"{NAME} contributors"}]
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_the_licence():
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert text.startswith("BSD 3-Clause License")
    assert f"2026, {NAME} contributors" in text


def test_the_manifest_is_one_file_and_installed():
    link = ROOT / "napari.yaml"
    assert link.is_symlink()
    assert link.resolve() == (ROOT / "src" / "napari_pu_segment" / "napari.yaml").resolve()
    manifest = Path(napari_pu_segment.__file__).with_name("napari.yaml")
    assert yaml.safe_load(manifest.read_text("utf-8"))["name"] == NAME
    assert manifest.with_name("py.typed").exists()


def test_the_ci_calls_what_a_newcomer_calls():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text("utf-8").rstrip().endswith("exec make test")
    plan = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "tox run" in plan
    readme = (ROOT / "README.md").read_text("utf-8")
    assert readme.index("make demo") < readme.index("make test") < readme.index("pip install")


STAND_IN = """#!/bin/sh
# A Python whose environments hold nothing but itself, and are made at once.
case "$*" in
*"-m venv"*) for folder; do :; done; rm -rf "$folder"; mkdir -p "$folder/bin"; cp "$0" "$folder/bin/python" ;;
*"-m pip"*) echo "$@" >>"$(dirname "$0")/pip.log" ;;
esac
"""


@pytest.mark.skipif(os.name == "nt", reason="a shell script")
def test_an_environment_is_made_kept_and_made_anew_when_broken(tmp_path):
    folder, python = tmp_path / "a folder" / "venv", tmp_path / "python"
    python.write_text(STAND_IN)
    python.chmod(0o755)

    def make_venv(*arguments: str) -> str:
        command = ["sh", str(ROOT / "scripts" / "make_venv.sh"), str(folder), *arguments]
        env = {**os.environ, "PYTHON": str(python)}
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=env).stdout

    assert "making" in make_venv("pip")
    assert (folder / "bin/pip.log").read_text() == "-m pip install --constraint constraints.txt pip\n"
    assert "up to date" in make_venv("pip")
    (folder / "bin" / "python").unlink()  # as when the interpreter was removed, or the making was cut off
    assert "making" in make_venv("pip")
    (folder / ".whole").unlink()
    assert "making" in make_venv("pip")
    assert "up to date" in make_venv("pip")
    assert "making" in make_venv("pip", "tox"), "other packages are wanted"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the script does nothing elsewhere")
def test_missing_system_packages_are_named_where_they_may_not_be_installed(tmp_path):
    tools = {"uname": "echo Linux", "id": "echo 1000", "ldconfig": "true"}
    for name, line in tools.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "grep").symlink_to(shutil.which("grep"))
    script, shell = str(ROOT / "scripts" / "system_packages.sh"), shutil.which("sh")
    done = subprocess.run(
        [shell, script, sys.executable], capture_output=True, text=True, env={"PATH": str(tmp_path)}, check=False
    )
    assert done.returncode == 1
    assert "sudo apt-get install" in done.stderr
    assert {"xvfb", "libegl1", "g++"} <= set(done.stderr.split())
