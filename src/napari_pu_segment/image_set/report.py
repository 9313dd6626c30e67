"""What was found out about a folder, as tables and for programs; `page` writes it."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..batch.settings import shown
from ..core.curation import MEASURES, CurateSettings, Curation, curate
from ..core.progress import Work
from ..io.image_table import FORMULA
from .scan import Scan, ScanSettings, scanning

_RANKED = ("rank", "name", "order", "uncertainty", "group", "most_similar", "distance")


@dataclass(frozen=True, eq=False)
class SetReport:
    """A folder, and what was found out about its images."""

    scan: Scan
    curation: Curation

    def prepare(self) -> None:
        """Work out what is asked for again and again, so that whoever asks first does not wait."""
        _ = self.rows

    @property
    def names(self) -> list[str]:
        """The images, in the order of the curation."""
        return [look.name for look in self.scan.looks]

    def summary(self) -> dict[str, int]:
        """How many images, and how many of each finding."""
        found = self.curation
        words = Counter(word for words in found.findings for word in words)
        return {
            "images": len(found.looks),
            "refused": len(self.scan.refused),
            "exact duplicates": sum(len(group) - 1 for group in found.exact),
            "duplicates": sum(len(group) - 1 for group in found.near),
            "groups": len(found.groups),
            **dict(sorted(words.items())),
            **({} if found.suspicion is None else {"suspected masks": len(found.suspected())}),
        }

    @cached_property
    def similar(self) -> list[list[tuple[int, float]]]:
        """The images that look most like each, with their distances; at least one where there is another."""
        return self.curation.embeddings.neighbours(max(1, self.curation.settings.n_similar))

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """One row of plain values for each image."""
        found, names = self.curation, self.names
        exact, near = _places(found.exact), _places(found.near)
        rank = {i: number for number, i in enumerate(found.next, 1)}
        suspected, sample = set(found.suspected()), set(found.balanced())
        rows = []
        for i, look in enumerate(found.looks):
            group = found.groups[int(found.labels[i])]
            most = self.similar[i][:1]
            rows.append(
                {
                    "name": shown(look.name),
                    "axes": look.axes,
                    "shape": "x".join(map(str, look.shape)),
                    "dtype": look.dtype,
                    "sha256": look.digest,
                    "exact_duplicates": exact.get(i),
                    "duplicates": near.get(i),
                    "most_similar": shown(names[most[0][0]]) if most else None,
                    "distance": most[0][1] if most else None,
                    "findings": "; ".join(found.findings[i]),
                    "oddity": _number(found.oddity[i]),
                    **look.measures,
                    "group": int(found.labels[i]) + 1,
                    "group_share": group.share,
                    "weight": float(found.weights[i]),
                    "balanced_sample": i in sample,
                    "next": rank.get(i),
                    "uncertainty": None if found.doubt is None else _number(found.doubt[i]),
                    **self._of_mask(i),
                    "suspected": None if found.suspicion is None else i in suspected,
                }
            )
        return rows

    def _of_mask(self, i: int) -> dict[str, Any]:
        found = self.curation
        if found.fractions is None or found.class_weights is None or found.suspicion is None:
            return {}
        shares = {f"class_{c}": _number(found.fractions[i, at]) for at, c in enumerate(found.classes)}
        more = {"class_weight": _number(found.class_weights[i]), "suspicion": _number(found.suspicion[i])}
        return {"mask": self.scan.masks.get(self.names[i]), **shares, **more}

    def class_shares(self) -> dict[int, float]:
        """The mean fraction of each class over the images that have a mask, 0..1."""
        if self.curation.fractions is None:
            return {}
        mean = np.nanmean(self.curation.fractions, axis=0)
        return {c: float(share) for c, share in zip(self.curation.classes, mean, strict=True)}

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        from napari_pu_segment import __version__

        found, names = self.curation, [shown(name) for name in self.names]
        n = found.settings.n_similar
        similar = [[[names[j], away] for j, away in near[:n]] for near in self.similar]
        return {
            "version": __version__,
            "folder": shown(str(self.scan.settings.folder)),
            "settings": found.settings.to_dict(),
            **({"encoder_sha256": self.scan.encoder} if self.scan.encoder else {}),
            "summary": self.summary(),
            "next": [names[i] for i in found.next],
            "balanced_sample": [names[i] for i in found.balanced()],
            "exact_duplicates": [[names[i] for i in group] for group in found.exact],
            "duplicates": [[names[i] for i in group] for group in found.near],
            "pairs": [
                {"first": names[p.first], "second": names[p.second], "alike": p.alike, "second_is": p.symmetry}
                for p in found.pairs
            ],
            "groups": [
                {"share": group.share, "balance": group.balance, "images": [names[i] for i in group.members]}
                for group in found.groups
            ],
            "drifts": [{**vars(drift), "title": MEASURES[drift.measure].title} for drift in found.drifts],
            "classes": {str(c): share for c, share in self.class_shares().items()},
            "suspected_masks": [names[i] for i in found.suspected()],
            "refused": [{"name": shown(one.name), "reason": one.reason} for one in self.scan.refused],
            "files": [{**row, "similar": near} for row, near in zip(self.rows, similar, strict=True)],
        }

    def to_csv(self) -> str:
        """One line for each image (RFC 4180): points as decimals, empty where nothing is known."""
        return _csv(tuple(self.rows[0]), self.rows)

    def to_ranking(self) -> str:
        """One line for each image to annotate next, the most informative first, as CSV."""
        rows = [self.rows[i] for i in self.curation.next]
        order = {"order": self.curation.settings.order}
        return _csv(_RANKED, [{**row, **order, "rank": row["next"]} for row in rows])


def _csv(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(row[name]) for name in columns] for row in rows)
    return text.getvalue()


def _places(groups: list[list[int]]) -> dict[int, int]:
    return {i: number for number, group in enumerate(groups, 1) for i in group}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    text = f"{value:.9g}" if isinstance(value, float) else str(value)
    return "'" + text if isinstance(value, str) and text.startswith(FORMULA) else text


def curating(settings: ScanSettings, curation: CurateSettings) -> Work[SetReport]:
    """Look through a folder, and find out about its images; nothing is written. See `scanning`.

    Raises
    ------
    InputError
        If the folder cannot be read, or has no image that can be used.
    """
    scan = yield from scanning(settings, curation)
    found = curate(scan.looks, curation, masked=scan.masked, annotated=scan.annotated, doubt=scan.doubt)
    report = SetReport(scan, (yield from found))
    report.prepare()
    return report
