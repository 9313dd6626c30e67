"""What each part of our method is worth: the defaults with one setting changed at a time, all rows in a CSV file.

    python benchmarks/ablation.py FOLDER [--seeds 1] [--csv FILE]

FOLDER is laid out as for `accuracy.py`. Every variant gets the automatic class prior; those in `TOLD_TOO` are also
told the true one, which parts what a change does to the scores from what it does through an estimated prior.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from threadpoolctl import threadpool_limits

from benchmarks.accuracy import measure, read_options, warm_up
from benchmarks.cases import MODES, Plan, find_cases
from benchmarks.peers import Peer, ours
from benchmarks.report import ablation_table
from benchmarks.rows import write_rows
from napari_pu_segment.core.compute.runtime import set_threads
from napari_pu_segment.core.methods.pu import PuSettings

_DEFAULTS = PuSettings()
_FILTERS, _SIGMAS_PX = _DEFAULTS.filters, _DEFAULTS.sigmas_px
_BOTH = ("both",)  # the other kind of strokes has no negatives to learn from, or is the default


def _variant(modes: tuple[str, ...] = MODES, **settings: object) -> Peer:
    return Peer("our method", ours(**settings), modes, uses_prior=True)


VARIANTS: dict[str, Peer] = {
    "default": _variant(),
    "without opening and closing": _variant(filters=tuple(name for name in _FILTERS if name != "opening")),
    "with structure tensor": _variant(filters=(*_FILTERS, "structure")),
    "with local standard deviation": _variant(filters=(*_FILTERS, "spread")),
    "without the largest scale": _variant(sigmas_px=_SIGMAS_PX[:-1]),
    "generosity 1": _variant(generosity=1.0),
    "generosity 1.3": _variant(generosity=1.3),
    "generosity 2.5": _variant(generosity=2.5),
    "threshold: coverage": _variant(threshold="coverage"),
    "risk: upu": _variant(risk="upu"),
    "risk: nnpu": _variant(_BOTH, risk="nnpu"),
    "risk: pn": _variant(_BOTH, risk="pn"),
    "surrogate: logistic": _variant(surrogate="logistic"),
    "weighting: natural": _variant(weighting="natural"),
    "eta 0.2": _variant(_BOTH, eta=0.2),
    "eta 0.8": _variant(_BOTH, eta=0.8),
    "width 64": _variant(width=64),
    "300 steps": _variant(n_steps=300),
}
TOLD_TOO = ("default", "without opening and closing", "generosity 1", "threshold: coverage")


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line, run, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", nargs="+", default=[], help="names of cases; default: all")
    parser.add_argument("--seeds", type=int, default=1, help="use stroke seeds below this")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--csv", type=Path, default=Path("ablation.csv"))
    arguments = parser.parse_args(words)
    plan = Plan(arguments.seeds, names=tuple(arguments.cases))
    common = ["--threads", str(arguments.threads), "--refine", "--prior"]
    set_threads(arguments.threads)
    with threadpool_limits(arguments.threads):
        warm_up({"default": VARIANTS["default"]}, 1, arguments.threads)
        runs = [
            measure(find_cases(arguments.folder, plan), peers, read_options([*common, prior]))
            for prior, peers in (("auto", VARIANTS), ("true", {name: VARIANTS[name] for name in TOLD_TOO}))
        ]
        rows = write_rows(arguments.csv, chain(*runs))
    print(ablation_table(rows))


if __name__ == "__main__":
    main()
