"""Plots of the rows of `accuracy.py`: Dice against strokes, against the error of the prior, and against seconds; and of
those of `large.py`: processor seconds and memory against the size of the image."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from math import log2
from pathlib import Path

import matplotlib

from benchmarks.rows import Row, grouped, mean, read_rows

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes

_DASH = {"positive": "--", "both": "-"}


def _axes(x: str) -> Axes:
    axes = pyplot.subplots(figsize=(8.0, 4.2), layout="constrained")[1]
    axes.set_xlabel(x)
    axes.set_ylabel("mean Dice over cases")
    axes.grid(alpha=0.3)
    return axes


def _save(axes: Axes, path: Path) -> None:
    axes.figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    axes.figure.savefig(path, dpi=110)
    pyplot.close(axes.figure)


def _color(method: str, rows: Sequence[Row]) -> str:
    methods = list(dict.fromkeys(str(row["method"]) for row in rows))
    return f"C{methods.index(method) % 10}"


def strokes(rows: Sequence[Row], path: Path) -> None:
    """Dice against the number of simulated strokes of each kind."""
    axes = _axes("strokes of each kind")
    for (method, kind), group in grouped(rows, "method", "strokes").items():
        points = sorted((float(n[0]), mean(part, "dice")) for n, part in grouped(group, "n_strokes").items())
        style = _DASH[str(kind)] + "o"
        axes.plot(*zip(*points, strict=True), style, color=_color(str(method), rows), label=f"{method}, {kind}")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    _save(axes, path)


def priors(rows: Sequence[Row], path: Path) -> None:
    """Dice of our method against the error of the prior that it was told; the automatic prior as a line."""
    axes, ours = _axes("log2(prior told / true prior)"), [row for row in rows if row["method"] == "ours"]
    for i, (kind, group) in enumerate(grouped(ours, "strokes").items()):
        for column, style in (("dice", "-o"), ("dice_refined", "--^")):
            label = f"{kind[0]} strokes" + (", refined" if column == "dice_refined" else "")
            told = {str(prior[0]): mean(part, column) for prior, part in grouped(group, "told_prior").items()}
            points = sorted((log2(factor(name)), value) for name, value in told.items() if name != "auto")
            if points:
                axes.plot(*zip(*points, strict=True), style, color=f"C{i}", label=label)
            if "auto" in told and column == "dice":
                axes.axhline(told["auto"], color=f"C{i}", linestyle=":", label=f"{kind[0]} strokes, automatic prior")
    _save(axes, path)


def factor(told: str) -> float:
    """Factor on the true prior: "true" is 1, "x1.5" is 1.5."""
    return 1.0 if told == "true" else float(told.removeprefix("x"))


def pareto(rows: Sequence[Row], path: Path) -> None:
    """Dice against seconds of training and predicting; what is up and to the left is better. Filled: both kinds."""
    axes, first = _axes("seconds to train and predict an image (mean over cases)"), rows[0]["told_prior"]
    for (method, kind), group in grouped(
        [r for r in rows if r["told_prior"] in ("-", first)], "method", "strokes"
    ).items():
        seconds, look = mean(group, "train_s") + mean(group, "predict_s"), _color(str(method), rows)
        fill = look if kind == "both" else "none"
        label = f"{method}, {kind}"
        axes.plot(seconds, mean(group, "dice"), "o", color=look, markerfacecolor=fill, label=label)
        if method == "ours":
            refined = seconds + mean(group, "refine_s"), mean(group, "dice_refined")
            axes.plot(*refined, "^", color=look, markerfacecolor=fill, label=f"{label}, refined")
    axes.set_xscale("log")
    _save(axes, path)


def draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """All plots that the rows allow."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / "pareto.png"]
    pareto(rows, made[0])
    if len({row["told_prior"] for row in rows if row["method"] == "ours"} - {"auto"}) > 1:
        made.append(folder / "priors.png")
        priors(rows, made[-1])
    if len({row["n_strokes"] for row in rows}) > 1:
        made.append(folder / "strokes.png")
        first = rows[0]["told_prior"]
        strokes([row for row in rows if row["told_prior"] in ("-", first)], made[-1])
    return made


def large(results: Path, image: Path) -> None:
    """Processor seconds of predicting and refining, and peak memory, against megapixels; lines are linear growth."""
    with results.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    figure, (time, memory) = pyplot.subplots(1, 2, figsize=(9.0, 3.8), layout="constrained")
    for step, color in (("predict", "C0"), ("refine", "C1")):
        for form, marker in (("tiff", "o"), ("ome-zarr", "^")):
            own = [row for row in rows if (row["step"], row["format"]) == (step, form)]
            if not own:
                continue
            mpx = [float(row["mpx"]) for row in own]
            seconds = [float(row["cpu_s_per_mpx"]) * size for row, size in zip(own, mpx, strict=True)]
            label = f"{step}, {form}"
            time.plot(mpx, seconds, marker, color=color, label=label)
            memory.plot(mpx, [float(row["peak_mib"]) for row in own], f"{marker}-", color=color, label=label)
            if form == "tiff":
                time.plot(mpx, [seconds[-1] / mpx[-1] * size for size in mpx], "-", color=color, alpha=0.4)
    time.set_yscale("log")
    time.set_ylabel("processor seconds")
    memory.set_ylabel("peak memory, MiB")
    memory.set_ylim(0)
    for axes in (time, memory):
        axes.set_xscale("log")
        axes.set_xlabel("megapixels")
        axes.grid(alpha=0.3)
    time.legend(fontsize="small", frameon=False)
    figure.savefig(image, dpi=110)
    pyplot.close(figure)


def draw_documentation(results: Path, images: Path) -> None:
    """The plots of docs/benchmarks.md, from the stored results."""
    pareto(read_rows(results / "methods.csv"), images / "benchmark-pareto.png")
    priors(read_rows(results / "priors.csv"), images / "benchmark-priors.png")
    strokes(read_rows(results / "strokes.csv"), images / "benchmark-strokes.png")
    if (results / "large.csv").exists():
        large(results / "large.csv", images / "benchmark-large.png")
