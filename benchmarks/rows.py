"""Rows of measurements: written as they are made, read again, grouped, and averaged.

Means are taken over the stroke files of a case first, then over cases, so that a case counts once however many images
it has. Two spreads are given: within (standard deviation over the stroke files of a case, averaged over cases), and
between (standard deviation over the cases' means).
"""

from __future__ import annotations

import csv
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

TEXT = ("case", "image", "strokes", "simulator", "method", "told_prior")
FIELDS = (
    *("case", "image", "seed", "strokes", "n_strokes", "simulator", "method", "told_prior", "true_prior", "prior"),
    *("dice", "dice_refined", "dice_at_coverage", "dice_at_half", "precision", "recall"),
    *("train_s", "predict_s", "refine_s", "mpx"),
)

Row = dict[str, str | float]


def write_rows(path: Path, rows: Iterable[Row]) -> list[Row]:
    """Write rows as they come, so that an interrupted run leaves what it measured; and return them."""
    done = []
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, FIELDS)
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _cell(row[name]) for name in FIELDS})
            handle.flush()
            done.append(row)
    return done


def read_rows(path: Path) -> list[Row]:
    """Rows of a file of `write_rows`, with numbers as numbers."""
    with path.open(newline="") as handle:
        return [
            {name: row[name] if name in TEXT else float(row[name]) for name in FIELDS} for row in csv.DictReader(handle)
        ]


def _cell(value: str | float) -> str | float:
    return float(f"{value:.5g}") if isinstance(value, float) else value


def grouped(rows: Iterable[Row], *names: str) -> dict[tuple[str | float, ...], list[Row]]:
    """Rows by the values of some columns, in order of appearance."""
    groups: dict[tuple[str | float, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in names)].append(row)
    return groups


def by_case(rows: Sequence[Row], column: str) -> dict[str, list[float]]:
    """Values of a column for each case."""
    return {str(case): [float(row[column]) for row in group] for (case,), group in grouped(rows, "case").items()}


def mean(rows: Sequence[Row], column: str) -> float:
    """Mean over cases of the mean over the stroke files of a case."""
    return statistics.fmean(statistics.fmean(values) for values in by_case(rows, column).values())


def spreads(rows: Sequence[Row], column: str) -> tuple[float, float]:
    """Standard deviation within cases (averaged) and between cases."""
    cases = by_case(rows, column).values()
    within = statistics.fmean(statistics.pstdev(values) for values in cases)
    return within, statistics.pstdev([statistics.fmean(values) for values in cases])


def sum_of(rows: Sequence[Row], column: str) -> float:
    """Sum of a column."""
    return sum(float(row[column]) for row in rows)
