"""The files of a report: ``curation.csv``, ``ranking.csv`` (what to annotate next) and ``curation.json`` for programs,
``report.html`` for people: small pictures, a page that needs nothing from elsewhere.

The same images, settings and seed give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..batch.folder import check_folders
from ..batch.page import document, safe
from ..batch.pictures import SIDE_PX, histogram, thumbnail
from ..core.curation import MEASURES, Drift, natural
from ..core.errors import OutputError, PuSegmentError
from ..core.files import write_atomically
from ..core.progress import Progress, Ticker, Work, shifted
from ..io import read_image
from .report import SetReport
from .scan import read_values

REPORTS = ("curation.csv", "ranking.csv", "curation.json", "report.html")

_MOST = 60  # pictures of one part
_PER_GROUP = 8
_MOST_ROWS = 2000

Figure = tuple[int, str]  # the number of an image, and what stands below it, as HTML
Part = tuple[str, str, list[Figure]]  # title, words as HTML, figures


def page(report: SetReport) -> Work[str]:
    """The report as HTML; the images that it shows are read once more. All text from files or names is escaped."""
    parts = [part for make in _PARTS if (part := make(report)) is not None]
    pictures = yield from _pictures(report, sorted({i for _, _, figures in parts for i, _ in figures}))
    counts = "".join(f"<tr><td>{safe(name)}</td><td>{n}</td></tr>" for name, n in report.summary().items() if n)
    body = [
        f"<h1>{len(report.names)} images</h1>",
        f'<p class="soft">{safe(str(report.scan.settings.folder))}<br>Nothing was moved or deleted. All figures stand '
        "in curation.csv and curation.json.</p>",
        f"<table>{counts}</table>",
    ]
    for title, words, figures in parts:
        grid = "".join(_figure(report, i, words_below, pictures[i]) for i, words_below in figures)
        body.append(f"<h2>{title}</h2>{words}" + (f'<div class="grid">{grid}</div>' if grid else ""))
    return document("Curation report", [*body, _table(report)])


def _pictures(report: SetReport, wanted: Sequence[int]) -> Work[dict[int, str]]:
    """Small pictures, base64, with the outline of the mask where there is one; empty where a file has gone since."""
    found, ticker = {}, Ticker()
    for step, i in enumerate(wanted):
        if ticker.due():
            yield Progress(step, len(wanted), "Making pictures")
        try:
            image, mask = read_image(report.scan.path(report.names[i])).image, report.scan.mask_path(report.names[i])
            found[i] = yield from shifted(
                thumbnail(image, None if mask is None else read_values(mask)), step, len(wanted)
            )
        except PuSegmentError:
            found[i] = ""
    return found


def _figure(report: SetReport, i: int, words: str, picture: str) -> str:
    name = safe(report.names[i])
    source = f"data:image/jpeg;base64,{picture}" if picture else "data:,"
    return (
        f'<figure class="apart"><img src="{source}" width="{SIDE_PX}" alt="{name}">'
        f"<figcaption>{name}<br>{words}</figcaption></figure>"
    )


def _first(figures: list[Figure]) -> tuple[str, list[Figure]]:
    """The figures that are shown, and words on how many there are."""
    more = f" The first {_MOST} of {len(figures)} are shown." if len(figures) > _MOST else ""
    return more, figures[:_MOST]


def _next(report: SetReport) -> Part | None:
    found = report.curation
    if not found.next:
        return None
    doubt = found.doubt
    figures = [
        (i, f"<b>{rank}</b>" + ("" if doubt is None else f" uncertainty {doubt[i]:.2f}"))
        for rank, i in enumerate(found.next, 1)
    ]
    more, some = _first(figures)
    return "To annotate next", f'<p class="soft">The most informative first.{more}</p>', some


def _duplicates(report: SetReport) -> Part | None:
    found = report.curation
    same = {i for group in found.exact for i in group}
    best: dict[int, tuple[float, str]] = {}
    for pair in found.pairs:
        best[pair.second] = max(best.get(pair.second, (-1.0, "")), (pair.alike, pair.symmetry))
    figures = []
    for number, group in enumerate(found.near, 1):
        for i in group:
            kind = "same pixels" if i in same else "" if i not in best else f"{best[i][0]:.2f} alike, {best[i][1]}"
            figures.append((i, f"<b>{number}</b> {kind}"))
    if not figures:
        return None
    more, some = _first(figures)
    words = (
        "The same number, the same picture: with the same pixels, or cropped, compressed, brighter, flipped or turned. "
        f"How much the details are alike, 0 to 1, and how the picture is to be turned, is told to one before it.{more}"
    )
    return "Duplicates", f'<p class="soft">{words}</p>', some


def _odd(report: SetReport) -> Part | None:
    found = report.curation
    members = sorted((i for i, words in enumerate(found.findings) if words), key=lambda i: -found.oddity[i])
    figures = [(i, f"<b>{safe(', '.join(found.findings[i]))}</b> {found.oddity[i]:.2f}") for i in members]
    if not figures:
        return None
    more, some = _first(figures)
    return "Odd images", f'<p class="soft">The oddest first: 0 to 1, about 0.5 and more is odd.{more}</p>', some


def _drifts(report: SetReport) -> Part | None:
    drifts = report.curation.drifts
    plots = "".join(_plot(report, drift) for drift in drifts)
    words = '<p class="soft">In the order of names, from left to right.</p>'
    return ("Drifts", f'{words}<div class="plots">{plots}</div>', []) if drifts else None


def _plot(report: SetReport, drift: Drift) -> str:
    """A measure against the place in the order of names, as an SVG."""
    looks = sorted(report.scan.looks, key=lambda look: natural(look.name))
    values = [look.measures[drift.measure] for look in looks]
    low, high, title = min(values), max(values), MEASURES[drift.measure].title
    dots = "".join(
        f'<circle cx="{12 + 396 * at / (len(values) - 1):.1f}" cy="{136 - 112 * (value - low) / (high - low):.1f}" '
        'r="2" class="bar"/>'
        for at, value in enumerate(values)
    )
    head = f'<text x="12" y="15">{title}: from {drift.first:.4g} to {drift.last:.4g}</text>'
    ends = f'<text x="12" y="162">{low:.4g} to {high:.4g}; rank correlation {drift.rho:.2f}</text>'
    axis = '<line x1="12" y1="142" x2="408" y2="142" class="axis"/>'
    return f'<svg viewBox="0 0 420 170" role="img" aria-label="{title}">{head}{dots}{axis}{ends}</svg>'


def _groups(report: SetReport) -> Part | None:
    found = report.curation
    if len(found.groups) < 2:
        return None
    figures = [
        (i, f"<b>{number}</b> {100 * group.share:.1f} % {group.balance if first == 0 else ''}")
        for number, group in enumerate(found.groups, 1)
        for first, i in enumerate(group.members[:_PER_GROUP])
    ]
    words = f"Images that look alike, the largest group first; of each its {_PER_GROUP} most typical, and its share."
    return "Groups", f'<p class="soft">{words} Weights that bring them into balance stand in curation.csv.</p>', figures


def _masks(report: SetReport) -> Part | None:
    found, shares = report.curation, report.class_shares()
    if found.suspicion is None or found.fractions is None:
        return None
    rows = "".join(f"<tr><td>class {c}</td><td>{100 * share:.2f} %</td></tr>" for c, share in shares.items())
    empty = {c: int((found.fractions[:, at] == 0).sum()) for at, c in enumerate(found.classes)}
    lacking = "; ".join(f"{n} without class {c}" for c, n in empty.items() if n)
    spread = histogram(list(found.suspicion[np.isfinite(found.suspicion)]), "Suspicion")
    figures = [(i, f"<b>{100 * found.suspicion[i]:.0f} %</b> of the labels doubted") for i in found.suspected()]
    more, some = _first(figures)
    words = (
        f"{len(report.scan.masks)} masks{': ' if lacking else ''}{lacking}. The mean share of each class; and masks "
        f"that a classifier which never saw them disagrees with more than with others, the most suspect first.{more}"
    )
    return "Masks", f'<p class="soft">{words}</p><table>{rows}</table>{spread}', some


def _refused(report: SetReport) -> Part | None:
    rows = "".join(f"<tr><td>{safe(one.name)}</td><td>{safe(one.reason)}</td></tr>" for one in report.scan.refused)
    return ("Files that cannot be used", f"<table>{rows}</table>", []) if rows else None


_PARTS: tuple[Callable[[SetReport], Part | None], ...] = (
    *(_next, _duplicates, _odd, _masks, _groups, _drifts),
    _refused,
)


def _table(report: SetReport) -> str:
    heads = "".join(f"<th>{head}</th>" for head in ("File", "Shape", "Type", "Group", "Duplicates", "Findings"))
    rows = []
    for row in report.rows[:_MOST_ROWS]:
        cells = (row["shape"], row["dtype"], str(row["group"]), str(row["duplicates"] or ""), row["findings"])
        rows.append(f"<tr><td>{safe(row['name'])}</td>" + "".join(f"<td>{safe(cell)}</td>" for cell in cells) + "</tr>")
    more = f" (the first {_MOST_ROWS})" if len(report.rows) > _MOST_ROWS else ""
    return f"<h2>All images{more}</h2><table><tr>{heads}</tr>{''.join(rows)}</table>"


def writing(report: SetReport, out: Path) -> Work[None]:
    """Write the `REPORTS` into a folder; nothing else is touched.

    Raises
    ------
    InputError
        If the folder is that of the images or lies in it.
    OutputError
        If they cannot be written.
    """
    check_folders(report.scan.settings.folder, out)
    told = json.dumps(report.to_dict(), indent=1, allow_nan=False)
    shown_page = yield from page(report)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot make the folder {str(out)!r}: {error.strerror}. Choose another one.") from None
    for name, text in zip(REPORTS, (report.to_csv(), report.to_ranking(), told, shown_page), strict=True):
        write_atomically(out / name, text.encode("utf-8", "backslashreplace"))
