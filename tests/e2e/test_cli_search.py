"""The search for a pixel classifier on the command line: what it tells, what it exports, what Ctrl-C leaves."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

pytest.importorskip("sklearn", reason="the extra `search` is not installed")

from napari_pu_segment.cli.train import _trained
from napari_pu_segment.core.methods import METHODS
from napari_pu_segment.core.samples import NEGATIVE, POSITIVE
from napari_pu_segment.core.search.searching import SearchTable
from napari_pu_segment.io import write_image
from tests.helpers import disk_sample

METHOD = METHODS["pixel_search"]
QUICK = {"prior": "fixed", "class_prior": 0.16, "threads": 1, "filters": ("gaussian", "gradient"), "sigmas_px": (1, 4)}


def test_what_is_found_is_told_and_exported(tmp_path, cli):
    sample, _ = disk_sample()
    write_image(tmp_path / "x.tif", sample.image[0])
    for name, code in (("positive", POSITIVE), ("negative", NEGATIVE)):
        write_image(tmp_path / f"{name}.tif", sample.labels == code)
    strokes = ("--positive", tmp_path / "positive.tif", "--negative", tmp_path / "negative.tif")
    words = [f"{key}={','.join(map(str, v)) if isinstance(v, tuple) else v}" for key, v in QUICK.items()]
    options = [word for one in (*words, "n_trials=2") for word in ("--set", one)]
    model, script = tmp_path / "m.safetensors", tmp_path / "p.py"
    done = cli("train", tmp_path / "x.tif", *strokes, "--method", "pixel_search", *options, "--out", model)
    assert done.code == 0, done.err
    assert "s/Mpx to predict" in done.out
    found = json.loads(cli("info", model, "--json").out)["found"]
    assert found["n_tried"] == 2
    assert found["pipeline"] in done.out
    assert cli("export", model, "--out", script).code == 0
    compile(script.read_text("utf-8"), str(script), "exec")
    assert found["pipeline"] in script.read_text("utf-8")
    assert cli("export", tmp_path / "x.tif", "--out", tmp_path / "q.py").code == 1
    assert not (tmp_path / "q.py").exists()


def test_what_was_found_until_an_interruption_is_kept():
    seen = []

    def train(samples, settings, **kwargs):
        work = METHOD.train(samples, settings, **kwargs)
        while not settings.chosen:
            progress = next(work)
            yield progress
            if isinstance(progress.preview, SearchTable) and len(progress.preview.rows) > 1:
                seen.append(progress.preview.rows[0])
                raise KeyboardInterrupt
        return (yield from work)

    settings = METHOD.settings(n_trials=1000, **QUICK)
    model = _trained(replace(METHOD, train=train), [disk_sample()[0]], settings, None)
    assert len(seen) == 1
    assert model.card.settings["chosen"] == seen[0].model_dump_json()
    assert model.card.found.pipeline == seen[0].title
