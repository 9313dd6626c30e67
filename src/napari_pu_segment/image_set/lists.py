"""Which images of a report to look at, and in what order: for a gallery."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..core.curation import MEASURES, natural
from .report import SetReport

ALL, NEXT, DUPLICATES, SUSPECTED = "All images", "To annotate next", "Duplicates", "Suspected masks"
BALANCED = "Balanced sample"


def lists(report: SetReport) -> dict[str, list[int]]:
    """Numbers of images by what was found out about them; only lists that are not empty, in the order of a menu.

    Duplicates stand group by group, suggestions and suspects in their order, all else by name.
    """
    found = report.curation
    words = sorted({word for words in found.findings for word in words})
    every = {
        ALL: list(range(len(report.names))),
        NEXT: list(found.next),
        DUPLICATES: [i for group in found.near for i in group],
        **{f"Odd: {word}": [i for i, mine in enumerate(found.findings) if word in mine] for word in words},
        SUSPECTED: found.suspected(),
        BALANCED: found.balanced(),
    }
    if len(found.groups) > 1:
        every |= {group_title(number): list(group.members) for number, group in enumerate(found.groups, 1)}
    return {title: members for title, members in every.items() if members}


def group_title(number: int) -> str:
    """What the list of a group is called; they count from 1."""
    return f"Group {number}"


def facts(report: SetReport) -> list[str]:
    """What there is to say of the set as a whole, one sentence each: balance of groups and classes, drifts."""
    found, told = report.curation, []
    for number, group in enumerate(found.groups, 1):
        if group.balance:
            told.append(f"{group_title(number)} is {group.balance}: {_percent(group.share)} of the images.")
    for drift in found.drifts:
        title = MEASURES[drift.measure].title
        told.append(f"{title} drifts along the names, from {drift.first:.3g} to {drift.last:.3g}.")
    if found.fractions is not None:
        for at, (number, share) in enumerate(report.class_shares().items()):
            lacking = int((found.fractions[:, at] == 0).sum())
            more = f"; {lacking} of {len(report.scan.masks)} masks lack it" if lacking else ""
            told.append(f"Class {number} covers {_percent(share)} of the masks{more}.")
    return told


def seen_by(report: SetReport) -> str:
    """The encoder and the model that had a say, in a sentence each; empty without them."""
    which = report.scan.settings
    told = [f"Compared by the encoder {which.encoder.name}."] if which.encoder is not None else []
    told += [f"The model {which.model.name} had a say in what comes next."] if which.model is not None else []
    return " ".join(told)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def words_of(report: SetReport, i: int) -> str:
    """All that there is to say of an image, in a sentence or two."""
    found, row = report.curation, report.rows[i]
    parts = [row["shape"].replace("x", " × ") + f" {row['dtype']}", f"group {row['group']}"]
    parts += found.findings[i]
    if row["duplicates"] is not None:
        (mine,) = (group for group in found.near if i in group)
        others = [report.names[j] for j in mine if j != i]
        parts.append("the same as " + ", ".join(others[:3]) + (" …" if len(others) > 3 else ""))
    if row["next"] is not None:
        parts.append(f"number {row['next']} to annotate")
    if row["uncertainty"] is not None:
        parts.append(f"uncertainty {row['uncertainty']:.2f}")
    if row.get("suspicion") is not None:
        parts.append(f"{100 * max(row['suspicion'], 0):.0f} % of its mask doubted")
    return f"{row['name']}: {'; '.join(parts)}."


def _by(values: Callable[[SetReport], Sequence[float] | np.ndarray | None]) -> Callable[[SetReport], list[float]]:
    """A key that puts the highest first, and what has no value last."""

    def keys(report: SetReport) -> list[float]:
        found = values(report)
        numbers = np.full(len(report.names), np.nan) if found is None else np.asarray(found, np.float64)
        return [float(-number) for number in np.where(np.isfinite(numbers), numbers, -np.inf)]

    return keys


SORTS: dict[str, Callable[[SetReport], Sequence[object]]] = {
    "As it comes": lambda report: [0] * len(report.names),
    "By name": lambda report: [natural(name) for name in report.names],
    "Oddest first": _by(lambda report: report.curation.oddity),
    "Most uncertain first": _by(lambda report: report.curation.doubt),
    "Most suspect mask first": _by(lambda report: report.curation.suspicion),
    "Sharpest first": _by(lambda report: [look.measures["sharpness"] for look in report.scan.looks]),
}


def ordered(report: SetReport, members: Sequence[int], sort: str) -> list[int]:
    """Members of a list in the order of a row of `SORTS`; what is alike stays as it was."""
    keys: Sequence[object] = SORTS[sort](report)
    return sorted(members, key=lambda i: keys[i])  # type: ignore[arg-type, return-value]
