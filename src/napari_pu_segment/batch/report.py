"""What became of every file, to be told by ``report.json`` for programs and ``report.html`` for people; see `page`.

The only figures that differ from run to run are those called "seconds"; and what is "ok" in a run is "skipped" when it
is run again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from .pictures import outliers
from .plans import BatchPlan
from .settings import FORMATS, STATES, FileReport, shown


@dataclass(frozen=True)
class BatchReport:
    """What became of a batch.

    Parameters
    ----------
    plan : BatchPlan
    files : tuple of FileReport
        Those that ended, by name.
    n_left : int
        Files that were not reached.
    seconds : float
    stopped : str
        Why it came to an early end, or "".
    """

    plan: BatchPlan
    files: tuple[FileReport, ...]
    n_left: int
    seconds: float
    stopped: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """How many files ended in each of `STATES`."""
        found = Counter(file.state for file in self.files)
        return {state: found[state] for state in STATES}

    @property
    def all_good(self) -> bool:
        """Whether every file was done, now or before."""
        return not self.n_left and all(file.state in ("ok", "skipped") for file in self.files)

    def outliers(self) -> dict[str, tuple[str, ...]]:
        """Names of files that stand apart from the others, and in what; see `pictures.outliers`."""
        seen = [(file.name, file.facts) for file in self.files if file.facts is not None]
        columns: dict[str, list[float]] = {"area fraction": [facts.positive_fraction for _, facts in seen]}
        counts = [facts.n_objects for _, facts in seen if facts.n_objects is not None]
        if len(counts) == len(seen):
            columns["number of objects"] = [float(count) for count in counts]
        flags = {title: outliers(values) for title, values in columns.items()}
        apart = {name: tuple(t for t, marked in flags.items() if marked[i]) for i, (name, _) in enumerate(seen)}
        return {name: titles for name, titles in apart.items() if titles}

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        from napari_pu_segment import __version__

        plan, apart = self.plan, self.outliers()
        return {
            "version": __version__,
            "model": shown(str(plan.settings.model)),
            "model_sha256": plan.model_sha256,
            "folder": shown(str(plan.settings.folder)),
            "out": shown(str(plan.settings.out)),
            "outputs": list(plan.settings.outputs),
            "counts": self.counts,
            "n_left": self.n_left,
            "stopped": self.stopped,
            "seconds": self.seconds,
            "files": [_row(file, plan, apart.get(file.name, ())) for file in self.files],
        }


def _row(file: FileReport, plan: BatchPlan, apart: tuple[str, ...]) -> dict[str, Any]:
    suffixes = {kind: ".csv" if kind == "measurements" else FORMATS[plan.settings.format] for kind in file.outputs}
    return {
        "name": shown(file.name),
        "state": file.state,
        "reason": file.reason,
        "outputs": {
            kind: {"file": f"{file.stem}_{kind}{suffixes[kind]}", "n_bytes": one.n_bytes, "sha256": one.sha256}
            for kind, one in file.outputs.items()
        },
        **({} if file.facts is None else file.facts.model_dump(mode="json")),
        "outlier_in": list(apart),
        "seconds": file.seconds,
    }
