"""A table with units, and how it is written."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .files import write_atomically


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of one length, each with a unit.

    Parameters
    ----------
    columns : dict of str to ndarray, (n,)
        The names hold the units, as in "area_um2".
    units : dict of str to str
        The unit of each column, as it is shown: "um^2", "px", or "" where there is none.
    """

    columns: dict[str, np.ndarray]
    units: dict[str, str]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def row(self, index: int) -> dict[str, Any]:
        """One row as plain numbers by column."""
        return {name: column[index].item() for name, column in self.columns.items()}

    def write_csv(self, path: str | Path) -> None:
        """Write the table as CSV (RFC 4180, UTF-8): commas, points as decimals whatever the locale, empty for NaN.

        Raises
        ------
        InputError
            If the file cannot be written; nothing is left behind.
        """
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(self.columns)
        writer.writerows(zip(*(map(_cell, column) for column in self.columns.values()), strict=True))
        write_atomically(path, text.getvalue().encode())


def _cell(value: Any) -> str:
    if isinstance(value, np.floating):
        return "" if math.isnan(value) else f"{value:.9g}"
    if isinstance(value, np.datetime64 | np.str_):
        return str(value)
    return str(int(value))
