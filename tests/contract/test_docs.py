"""The documentation is true: it builds strictly, its commands exist, its examples run, its tables are the code's."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.main import get_command
from typer.testing import CliRunner

from napari_pu_segment import METHODS
from napari_pu_segment.cli.main import app
from napari_pu_segment.core.corrupt import corrupt
from napari_pu_segment.core.crf import CRF_PRESETS, CrfSettings
from napari_pu_segment.core.filters import FILTERS
from napari_pu_segment.core.losses.pu import RISKS
from napari_pu_segment.core.networks import CLUSTERINGS, ENCODERS, NETWORKS
from napari_pu_segment.core.pretraining.self_supervised import OBJECTIVES
from napari_pu_segment.core.pretraining.weights import wanted
from napari_pu_segment.core.training.prior import PRIORS
from napari_pu_segment.io import create_output, write_image, write_picture
from napari_pu_segment.synthetic import aurora_frame

ROOT = Path(__file__).parents[2]
PAGES = {str(p.relative_to(ROOT)): p for p in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]}
COMMAND = "napari-pu-segment"


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of one language on a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[list[str]]:
    """The calls of our command on a page, as words; a call ends with its line, unless that ends with a backslash."""
    text = "\n".join(blocks(page, "sh")).replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in text.splitlines()]
    return [words for words in lines if words[:1] == [COMMAND]]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built as it is published; every warning is an error."""
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    # Nothing may be fetched, neither now nor by who reads the pages: a proxy that is not there makes fetching fail.
    env = {**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return folder


def test_the_site_builds_strictly(site):
    assert (site / "index.html").exists()
    assert len(list(site.rglob("index.html"))) >= len(PAGES) - 1  # the README is no page of it


def test_reading_the_site_fetches_nothing(site):
    fetched = re.compile(
        r"""<(?:script|img|iframe)[^>]+src=["'](?:https?:)?//|<link[^>]+stylesheet[^>]+href=["']https?:"""
    )
    assert fetched.search('<script src="https://example.org/x.js">')
    assert [str(page) for page in site.rglob("*.html") if fetched.search(page.read_text("utf-8"))] == []


def test_the_tables_of_the_methods_page_are_those_of_the_code(site):
    page = (site / "methods" / "index.html").read_text("utf-8")
    assert "<!-- table" not in page
    names = {
        *METHODS,
        *RISKS,
        *NETWORKS,
        *CLUSTERINGS,
        *ENCODERS,
        *OBJECTIVES,
        *FILTERS,
        *PRIORS,
        *CRF_PRESETS,
        *CrfSettings.model_fields,
    }
    for row in METHODS.values():
        names |= set(row.settings.model_fields)
    assert [name for name in sorted(names) if f"<code>{name}</code>" not in page] == []


@pytest.mark.parametrize("name", PAGES)
def test_links_to_files_lead_somewhere(name):
    page = PAGES[name]
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8"))
    local = [target for target in targets if not target.startswith(("http://", "https://", "mailto:"))]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_commands_on_the_pages_exist_with_their_options():
    group = get_command(app)
    found = [(name, words) for name, page in PAGES.items() for words in commands(page)]
    assert {words[1] for _, words in found} >= {"demo", "gui", "train", "predict", "refine", "evaluate", "info"}
    for name, (_, command, *words) in found:
        if command == "--version":
            continue
        assert command in group.commands, f"{name}: there is no command {command}"
        known = {
            option
            for parameter in group.commands[command].params
            for option in parameter.opts + parameter.secondary_opts
        }
        used = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert used - known == set(), f"{name}: {command}"


# Each page for itself, but in one process: to start one takes longer than most pages do.
RUN_PAGES = "import runpy, sys; [runpy.run_path(page, run_name='__main__') for page in sys.argv[1:]]"


@pytest.fixture
def examples(tmp_path) -> Path:
    """A folder with the files that the pages' examples speak of."""
    frame = aurora_frame(seed=0, side_px=128)
    moon = np.zeros(frame.truth.shape, bool)
    moon[60:66, 60:66] = ~(frame.positive | frame.negative)[60:66, 60:66].astype(bool)
    for name in ("sky", "night1", "night2", "frame"):
        write_picture(tmp_path / f"{name}.png", frame.image.transpose(1, 2, 0))
        write_image(tmp_path / f"{name}-positive.tif", frame.positive)
        write_image(tmp_path / f"{name}-negative.tif", frame.negative)
        write_image(tmp_path / f"{name}-moon.tif", moon)
        write_image(tmp_path / f"{name}-truth.tif", frame.truth)
        write_image(tmp_path / f"{name}-clean.tif", frame.truth)
        write_image(tmp_path / f"{name}-rough.tif", corrupt(frame.truth))
    (tmp_path / "nights").mkdir()
    write_picture(tmp_path / "nights" / "x.png", frame.image.transpose(1, 2, 0))
    write_image(tmp_path / "nights" / "x_positive.tif", frame.positive)
    for kind in ("", "noisy", "clean"):
        (tmp_path / "survey" / kind).mkdir()
    for name, kind, mask in (("a", "noisy", corrupt(frame.truth)), ("b", "clean", frame.truth)):
        write_picture(tmp_path / "survey" / f"{name}.png", frame.image.transpose(1, 2, 0))
        write_image(tmp_path / "survey" / kind / f"{name}.tif", mask)
    slide = create_output(
        tmp_path / "slide.ome.zarr", frame.truth.shape, "uint8", pixel_size=(0.5, 0.5), pixel_unit="um"
    )
    slide[:, :] = frame.truth
    slide.finish()
    for folder, seeds in {"aurora": (1,), "sky": (2,), "frames": (3, 4)}.items():
        (tmp_path / folder).mkdir()
        for seed in seeds:
            patch = aurora_frame(seed=seed, side_px=64).image.transpose(1, 2, 0)
            write_picture(tmp_path / folder / f"{seed}.png", patch)
    weights = {name: torch.full(shape, 0.1) for name, shape in wanted("tf_efficientnet_lite0").items()}
    save_file(weights, tmp_path / "imagenet.safetensors")
    return tmp_path


def test_python_on_the_pages_runs(examples, tmp_path_factory):
    codes = {name: "\n".join(found) for name, page in PAGES.items() if (found := blocks(page, "python"))}
    assert {"README.md", "docs/extending.md"} <= set(codes)
    folder = tmp_path_factory.mktemp("pages")
    scripts = [folder / f"{name.replace('/', '-')}.py" for name in codes]
    for script, code in zip(scripts, codes.values(), strict=True):
        script.write_text(code, "utf-8")
    command = [sys.executable, "-c", RUN_PAGES, *map(str, scripts)]
    done = subprocess.run(command, cwd=examples, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture
def quick_training(monkeypatch):
    """Every method trains for a moment only."""
    for name, row in METHODS.items():

        def train(samples, settings, *, row=row, **more):
            few = {"n_steps": 10, "n_trials": 2}
            known = few.keys() & type(settings).model_fields.keys()
            less = settings.changed({key: min(few[key], getattr(settings, key)) for key in known})
            return row.train(samples, less, **more)

        monkeypatch.setitem(METHODS, name, replace(row, train=train))


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        *(
            f"docs/howto/{n}.md"
            for n in (
                "batch",
                "command-line",
                "several-images",
                "patches",
                "rough-masks",
                "zero-strokes",
                "pretraining",
                "without-training",
                "several-classes",
                "pixel-search",
            )
        ),
    ],
)
def test_commands_on_the_pages_run(name, examples, quick_training, monkeypatch):
    monkeypatch.chdir(examples)
    calls = [words[1:] for words in commands(PAGES[name]) if words[1] not in {"gui", "demo"}]
    assert any(words[0] in {"train", "segment"} for words in calls)
    for words in calls:
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, (words, done.output)
