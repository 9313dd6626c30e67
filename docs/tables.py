"""A hook of mkdocs: `<!-- table: NAME -->` on a page becomes a table read from the code, so that it is never stale."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from napari_pu_segment import METHODS
from napari_pu_segment.core.clustering.clusters import CLUSTERERS, NAMINGS
from napari_pu_segment.core.crf import CRF_PRESETS, CrfSettings
from napari_pu_segment.core.filters import FILTERS
from napari_pu_segment.core.losses.pu import RISKS, SURROGATES
from napari_pu_segment.core.losses.vae import LATENT_LOSSES
from napari_pu_segment.core.networks import CLUSTERINGS, ENCODERS, NETWORKS
from napari_pu_segment.core.pretraining.self_supervised import OBJECTIVES
from napari_pu_segment.core.search.pipelines import PIPELINES
from napari_pu_segment.core.search.unlabelled import UNLABELLED
from napari_pu_segment.core.settings import OneOf, Settings
from napari_pu_segment.core.training.prior import PRIORS
from napari_pu_segment.core.training.threshold import THRESHOLDS

_BOUNDS = {Ge: ("≥", "ge"), Gt: (">", "gt"), Le: ("≤", "le"), Lt: ("<", "lt")}


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A markdown table."""
    lines = [list(head)]
    lines += [
        ["---"] * len(lines[0]),
        *([str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(value: Any) -> str:
    """A value as it is written on the command line."""
    return f"`{', '.join(map(str, value)) if isinstance(value, tuple) else value}`"


def strategies(rows: Mapping[str, Any], columns: Mapping[str, str]) -> str:
    """Table of a strategy table: its names, then some attributes of each row."""

    def cell(row: Any, attribute: str) -> str:
        value = getattr(row, attribute)
        return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)

    return table(
        ["name", *columns.values()],
        ([code(name), *(cell(row, attribute) for attribute in columns)] for name, row in rows.items()),
    )


def allowed(field: FieldInfo) -> str:
    """What values a field takes: choices or bounds."""
    inner = get_args(field.annotation)
    marks = [*field.metadata, *(mark for part in inner for mark in get_args(part)[1:])]  # of a tuple's items, too
    for mark in marks:
        if isinstance(mark, OneOf):
            return ", ".join(code(name) for name in mark.table)
    if choices := [choice for choice in inner if isinstance(choice, str)]:
        return ", ".join(code(choice) for choice in choices)
    return ", ".join(_bounds(marks)) or getattr(field.annotation, "__name__", "")


def _bounds(marks: Iterable[Any]) -> Iterable[str]:
    for mark in marks:
        for part in mark.metadata if isinstance(mark, FieldInfo) else [mark]:
            for kind, (sign, name) in _BOUNDS.items():
                if isinstance(part, kind):
                    yield f"{sign} {getattr(part, name)}"


def fields(kind: type[Settings]) -> str:
    """Table of the settings of one class, those that forms fold away last."""

    def folded(field: FieldInfo) -> bool:
        extra = field.json_schema_extra
        return isinstance(extra, dict) and bool(extra.get("advanced"))

    items = sorted(kind.model_fields.items(), key=lambda item: folded(item[1]))
    return table(
        ["setting", "meaning", "default", "allowed", "folded away"],
        (
            [
                code(name),
                f"**{f.title}.** {f.description or ''}",
                code(f.default),
                allowed(f),
                "yes" if folded(f) else "",
            ]
            for name, f in items
        ),
    )


def all_settings() -> str:
    """One section with a table for each method."""
    return "\n\n".join(f"### {row.title} (`{name}`)\n\n{fields(row.settings)}" for name, row in METHODS.items())


def presets() -> str:
    """The presets of the dense CRF, one a row, with the numbers that distinguish them."""
    every = CRF_PRESETS.values()
    names = [name for name in CrfSettings.model_fields if len({getattr(preset, name) for preset in every}) > 1]
    rows = ([code(name), *(code(getattr(preset, n)) for n in names)] for name, preset in CRF_PRESETS.items())
    return table(["preset", *(code(n) for n in names)], rows)


TABLES: dict[str, Callable[[], str]] = {
    "methods": lambda: strategies(
        METHODS, {"title": "title", "needs": "needs", "makes": "makes", "reference": "reference"}
    ),
    "settings": all_settings,
    "risks": lambda: strategies(RISKS, {"title": "title", "needs": "needs", "reference": "reference"}),
    "surrogates": lambda: table(["name"], ([code(name)] for name in SURROGATES)),
    "networks": lambda: strategies(
        NETWORKS, {"title": "title", "surrogate": "surrogate", "balanced": "balanced risk", "reference": "reference"}
    ),
    "clusterings": lambda: strategies(CLUSTERINGS, {"title": "title", "reference": "reference"}),
    "clusterers": lambda: strategies(CLUSTERERS, {"title": "title", "reference": "reference"}),
    "namings": lambda: strategies(NAMINGS, {"title": "title"}),
    "latent losses": lambda: strategies(LATENT_LOSSES, {"title": "title", "reference": "reference"}),
    "encoders": lambda: strategies(ENCODERS, {"title": "title", "reference": "reference"}),
    "objectives": lambda: strategies(OBJECTIVES, {"title": "title", "reference": "reference"}),
    "pipelines": lambda: strategies(
        {name: row for name, row in PIPELINES.items() if row.varies}, {"title": "title", "reference": "reference"}
    ),
    "unlabelled": lambda: strategies(UNLABELLED, {"title": "title", "reference": "reference"}),
    "filters": lambda: strategies(FILTERS, {"title": "title"}),
    "priors": lambda: strategies(PRIORS, {"title": "title", "reference": "reference"}),
    "thresholds": lambda: strategies(THRESHOLDS, {"title": "title", "reference": "reference"}),
    "crf settings": lambda: fields(CrfSettings),
    "crf presets": presets,
}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by mkdocs for every page; a name that is not in `TABLES` stops the build."""
    return re.sub(r"<!-- table: (.+?) -->", lambda match: TABLES[match[1]](), markdown)
