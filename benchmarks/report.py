"""From rows of `accuracy.py` to tables in Markdown, and from those into the documentation.

python benchmarks/report.py              fills docs/benchmarks.md, and draws its plots, from benchmarks/results
python benchmarks/report.py RUNS.csv     prints the tables of a file
"""

from __future__ import annotations

import argparse
import csv
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from math import isnan, log2
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.rows import Row, by_case, grouped, mean, read_rows, spreads, sum_of

ROOT = Path(__file__).resolve().parents[1]


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    rule = "|".join("---" for _ in header)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, *lines]).replace("\n", f"\n|{rule}|\n", 1)


def number(value: float, form: str = ".3f") -> str:
    """A number as text; nothing where it was not measured."""
    return "" if isnan(value) else format(value, form)


def _title(key: tuple[str | float, ...]) -> list[str]:
    return [f"`{key[0]}`", str(key[1]), str(key[2])]


def summary(rows: Sequence[Row]) -> str:
    """One line for each method, kind of strokes and prior: Dice with its spreads, refined, at true size; seconds."""
    header = (
        "method",
        "strokes",
        "prior",
        "Dice",
        "within",
        "between",
        "refined",
        "at true size",
        "train s",
        "s/Mpx",
    )
    lines = []
    for key, group in grouped(rows, "method", "strokes", "told_prior").items():
        within, between = spreads(group, "dice")
        columns = [number(mean(group, name)) for name in ("dice_refined", "dice_at_coverage")]
        seconds = f"{mean(group, 'train_s'):.2f}", f"{sum_of(group, 'predict_s') / sum_of(group, 'mpx'):.2f}"
        dice = [f"**{mean(group, 'dice'):.3f}**", f"{within:.3f}", f"{between:.3f}"]
        lines.append([*_title(key), *dice, *columns, *seconds])
    return table(header, lines)


def cases_table(rows: Sequence[Row], column: str = "dice") -> str:
    """Dice of each method (columns) on each case (lines), with the first prior of the file."""
    groups = grouped([row for row in rows if row["told_prior"] in ("-", rows[0]["told_prior"])], "method", "strokes")
    names = sorted({str(row["case"]) for row in rows})
    cells = {key: by_case(group, column) for key, group in groups.items()}
    header = ["case", *(f"`{method}` {strokes}" for method, strokes in groups)]
    lines = [[name, *(_mean_text(cells[key].get(name)) for key in groups)] for name in names]
    return table(header, [*lines, ["mean", *(f"**{mean(group, column):.3f}**" for group in groups.values())]])


def _mean_text(values: list[float] | None) -> str:
    return f"{statistics.fmean(values):.3f}" if values else ""


def priors_table(rows: Sequence[Row]) -> str:
    """How the class prior that our method was told, or found, changes its Dice; and how far off it was."""
    lines = []
    for key, group in grouped([row for row in rows if row["method"] == "ours"], "told_prior", "strokes").items():
        refined, worst = mean(group, "dice_refined"), worst_change(group)
        numbers = f"**{mean(group, 'dice'):.3f}**", f"{refined:.3f}", f"{worst:+.3f}", f"{prior_error(group):.2f}"
        lines.append([str(key[0]), str(key[1]), *numbers])
    header = ("prior", "strokes", "Dice", "refined", "worst change by refining", "median abs(log2(prior / truth))")
    return table(header, lines)


def prior_error(rows: Sequence[Row]) -> float:
    """Median over all rows of abs(log2(prior used / true prior))."""
    return statistics.median(abs(log2(float(row["prior"]) / float(row["true_prior"]))) for row in rows)


def worst_change(rows: Sequence[Row]) -> float:
    """The least gain in a case's mean Dice by refining."""
    before, after = by_case(rows, "dice"), by_case(rows, "dice_refined")
    return min(statistics.fmean(after[name]) - statistics.fmean(before[name]) for name in before)


def against(rows: Sequence[Row], rival: str = "forest") -> str:
    """Our Dice minus a rival's (which has both kinds of strokes), in the same run: mean and worst case."""
    lines = []
    for key, group in grouped([row for row in rows if row["method"] == "ours"], "told_prior", "strokes").items():
        for column in ("dice", "dice_refined"):
            gains = gains_over(group, rows, rival, column)
            if gains:
                worst = _least(gains)
                numbers = [f"**{statistics.fmean(gains.values()):+.3f}**", f"{gains[worst]:+.3f} ({worst})"]
                lines.append([str(key[0]), str(key[1]), column.replace("_", " "), *numbers])
    return table(("prior", "strokes", "our", f"mean gain over `{rival}`", "worst case"), lines)


def goals_table(rows: Sequence[Row], rival: str = "forest") -> str:
    """What was aimed at before the method was made, what was measured, and whether that is enough."""
    ours = grouped([row for row in rows if row["method"] == "ours"], "strokes", "told_prior")
    lines = []
    for strokes, wanted, wanted_gain in (("positive", 0.72, 0.06), ("both", 0.78, 0.10)):
        found, told = ours[strokes, "auto"], ours[strokes, "true"]
        gains = gains_over(found, rows, rival, "dice")
        goals = [
            ("Dice", ">=", wanted, mean(found, "dice")),
            (f"Dice more than `{rival}`", ">=", wanted_gain, statistics.fmean(gains.values())),
            *([(f"the same, worst case ({_least(gains)})", ">=", -0.03, min(gains.values()))] * (strokes == "both")),
            ("Dice less than with the true prior", "<=", 0.03, mean(told, "dice") - mean(found, "dice")),
            ("median abs(log2(prior / truth))", "<=", 0.5, prior_error(found)),
            ("gain by refining", ">=", 0.0, mean(found, "dice_refined") - mean(found, "dice")),
            ("the same, worst case", ">=", -0.01, worst_change(found)),
        ]
        for what, sign, bound, value in goals:
            met = value >= bound if sign == ">=" else value <= bound
            lines.append([strokes, what, f"{sign} {bound:.2f}", f"{value:.3f}", "yes" if met else "**no**"])
    return table(("strokes", "automatic prior", "aim", "measured", "reached"), lines)


def gains_over(rows: Sequence[Row], others: Sequence[Row], rival: str, column: str) -> dict[str, float]:
    """For each case, mean of a column minus the mean Dice of a rival with both kinds of strokes."""
    theirs = by_case([row for row in others if row["method"] == rival and row["strokes"] == "both"], "dice")
    return {
        name: statistics.fmean(values) - statistics.fmean(theirs[name])
        for name, values in by_case(rows, column).items()
        if name in theirs
    }


def _least(gains: dict[str, float]) -> str:
    return min(gains, key=gains.__getitem__)


def strokes_table(rows: Sequence[Row]) -> str:
    """Dice of each method (lines) against the number of simulated strokes of each kind (columns)."""
    counts = sorted({float(row["n_strokes"]) for row in rows})
    lines = []
    for key, group in grouped(rows, "method", "strokes").items():
        by_count = {n: [row for row in group if row["n_strokes"] == n] for n in counts}
        lines.append(
            [f"`{key[0]}`", str(key[1]), *(f"{mean(part, 'dice'):.3f}" if part else "" for part in by_count.values())]
        )
    return table(("method", "strokes", *(f"{n:.0f}" for n in counts)), lines)


def ablation_table(rows: Sequence[Row]) -> str:
    """Dice of the defaults, and what each variant (lines) gains, for each prior and kind of strokes (columns)."""
    groups = grouped(rows, "method", "told_prior", "strokes")
    columns = list(dict.fromkeys(key[1:] for key in groups))
    names = list(dict.fromkeys(str(key[0]) for key in groups))
    base = {column: mean(groups[(names[0], *column)], "dice") for column in columns}
    lines = [[names[0], *(f"**{value:.3f}**" for value in base.values()), _train_s(groups, names[0])]]
    for name in names[1:]:
        gains = (
            f"{mean(groups[(name, *column)], 'dice') - base[column]:+.3f}" if (name, *column) in groups else ""
            for column in columns
        )
        lines.append([name, *gains, _train_s(groups, name)])
    return table(("variant", *(f"{strokes}, {prior} prior" for prior, strokes in columns), "train s"), lines)


def _train_s(groups: dict[tuple[str | float, ...], list[Row]], name: str) -> str:
    return f"{mean(groups[name, 'auto', 'both'], 'train_s'):.2f}"


def speed_table(rows: Sequence[dict[str, str]]) -> str:
    """Seconds and peak memory of each step (lines) for each size (columns), from rows of `speed.py`."""
    shapes = list(dict.fromkeys(row["shape"] for row in rows))
    cells = {(row["step"], row["shape"]): _speed(row) for row in rows}
    steps = list(dict.fromkeys(row["step"] for row in rows))
    lines = [[step, *(cells.get((step, shape), "") for shape in shapes)] for step in steps]
    return table(("step", *shapes), lines)


def _speed(row: dict[str, str]) -> str:
    return f"{float(row['s']):.2f} s, {row['peak_mib']} MiB" if row["peak_mib"] else f"{float(row['s']):.1f} x"


TABLES: dict[str, Callable[[Sequence[Row]], str]] = {
    "summary": summary,
    "cases": cases_table,
    "priors": priors_table,
    "against": against,
    "strokes": strokes_table,
    "ablation": ablation_table,
    "goals": goals_table,
}


def fill(page: str, folder: Path) -> str:
    """A page with the text between `<!-- table NAME FILE.csv -->` and `<!-- end -->` made anew."""

    def made(match: re.Match[str]) -> str:
        name, file = match["name"], folder / match["file"]
        if name == "speed":
            with file.open(newline="") as handle:
                text = speed_table(list(csv.DictReader(handle)))
        else:
            text = TABLES[name](read_rows(file))
        return f"{match['open']}\n\n{text}\n\n<!-- end -->"

    pattern = r"(?P<open><!-- table (?P<name>\w+) (?P<file>[\w.-]+) -->).*?<!-- end -->"
    return re.sub(pattern, made, page, flags=re.DOTALL)


def main() -> None:
    """Print the tables of a file, or refresh the documentation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path, nargs="?", help="print its tables; default: refresh docs/benchmarks.md")
    arguments = parser.parse_args()
    if arguments.csv:
        rows = read_rows(arguments.csv)
        print("\n\n".join(TABLES[name](rows) for name in ("summary", "cases", "priors", "against")))
        return
    from benchmarks.plots import draw_documentation

    page = ROOT / "docs" / "benchmarks.md"
    page.write_text(fill(page.read_text("utf-8"), ROOT / "benchmarks" / "results"), "utf-8")
    draw_documentation(ROOT / "benchmarks" / "results", ROOT / "docs" / "images")


if __name__ == "__main__":
    main()
