"""Files of a report: ``report.json``; ``report.html``, which shows all by itself, without anything from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from ..core.files import write_atomically
from .markers import REPORTS, read_marker
from .pictures import SIDE_PX, histogram
from .report import BatchReport
from .settings import STATES, FileReport, shown

MAX_PICTURES = 300
_STYLE = """
:root { color-scheme: light dark; --soft: #767680; --line: #8884; --bar: #4477aa; --mark: #d1477a; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.soft { color: var(--soft); } .plots { display: flex; flex-wrap: wrap; gap: 1rem; }
svg { width: 26rem; max-width: 100%; } svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
.bar { fill: var(--bar); } .mark { fill: var(--mark); } .axis { stroke: currentColor; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: 1rem; }
figure { margin: 0; overflow-wrap: anywhere; } figure img { max-width: 100%; display: block; }
figcaption { font-size: 0.8rem; } .apart figcaption b { color: var(--mark); }
table { border-collapse: collapse; width: 100%; font-size: 0.85rem; }
td, th { text-align: left; vertical-align: top; padding: 0.25rem 0.6rem; border-bottom: 1px solid var(--line); }
td { overflow-wrap: anywhere; } td:nth-child(2), .number { white-space: nowrap; } .number { text-align: right; }
""".strip()


def write_report(report: BatchReport) -> None:
    """Write ``report.json`` and ``report.html`` into the folder of results.

    Raises
    ------
    OutputError
        If they cannot be written.
    """
    told = json.dumps(report.to_dict(), indent=1, allow_nan=False)
    for name, text in zip(REPORTS, (told, page(report)), strict=True):
        write_atomically(report.plan.settings.out / name, text.encode("utf-8", "backslashreplace"))


def page(report: BatchReport) -> str:
    """The report as HTML. Every text that comes from files or their names is escaped."""
    counts = ", ".join(f"{count} {state}" for state, count in report.counts.items())
    left = f", {report.n_left} not reached" if report.n_left else ""
    plan = report.plan
    stopped = f"<p><b>It stopped early:</b> {safe(report.stopped)}</p>" if report.stopped else ""
    body = [
        f"<h1>{len(report.files)} files: {counts}{left}</h1>",
        f'<p class="soft">Images: {safe(str(plan.settings.folder))}<br>Model: {safe(str(plan.settings.model))} '
        f"(sha256 {plan.model_sha256[:16]}…)<br>Outputs: {safe(', '.join(plan.settings.outputs))}; "
        f"{report.seconds:.1f} s</p>{stopped}",
        _plots(report),
        _troubles(report),
        _pictures(report),
        _table(report),
    ]
    return document("Batch report", body)


def document(title: str, body: Sequence[str]) -> str:
    """A page that needs nothing from elsewhere, and lets nothing run: of parts that are HTML already."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def safe(text: str) -> str:
    """Text from files or their names, as HTML that shows it and nothing else."""
    return escape(shown(text))


def _plots(report: BatchReport) -> str:
    seen = [(file.name, file.facts) for file in report.files if file.facts is not None]
    if not seen:
        return ""
    apart = report.outliers()
    percents = {name: 100 * facts.positive_fraction for name, facts in seen}
    plots = [_plot(percents, "Area fraction (%)", "area fraction", apart)]
    counts = {name: float(facts.n_objects) for name, facts in seen if facts.n_objects is not None}
    if counts:
        plots.append(_plot(counts, "Number of objects", "number of objects", apart))
    return f'<h2>How the files are spread</h2><div class="plots">{"".join(plots)}</div>'


def _plot(values: dict[str, float], title: str, what: str, apart: dict[str, tuple[str, ...]]) -> str:
    return histogram(list(values.values()), title, [x for name, x in values.items() if what in apart.get(name, ())])


def _troubles(report: BatchReport) -> str:
    troubled = [file for file in report.files if file.state in ("refused", "failed")]
    if not troubled:
        return ""
    rows = "".join(
        f"<tr><td>{safe(file.name)}</td><td>{file.state}</td><td>{safe(file.reason)}</td></tr>" for file in troubled
    )
    return f"<h2>Files without results</h2><table><tr><th>File</th><th></th><th>Why</th></tr>{rows}</table>"


def _pictures(report: BatchReport) -> str:
    """Outliers first, then others at equal distances, so that the page stays small enough to be opened."""
    apart, done = report.outliers(), [file for file in report.files if file.facts is not None]
    first = [file for file in done if file.name in apart]
    others = [file for file in done if file.name not in apart]
    room = max(MAX_PICTURES - len(first), 0)
    if len(others) > room:
        others = [others[i * len(others) // room] for i in range(room)]
    sections = ""
    for title, group in (("Stand apart from the others", first[:MAX_PICTURES]), ("Images and outlines", others)):
        if group:
            figures = "".join(_figure(report, file, apart.get(file.name, ())) for file in group)
            more = f" ({len(group)} of {len(done)} files)" if len(group) < len(done) else ""
            sections += f'<h2>{title}{more}</h2><div class="grid">{figures}</div>'
    return sections


def _figure(report: BatchReport, file: FileReport, apart: Sequence[str]) -> str:
    marker, facts = read_marker(report.plan.settings.out, file.stem), file.facts
    assert facts is not None
    source = f"data:image/jpeg;base64,{escape(marker.picture)}" if marker is not None else "data:,"
    why = f"<br><b>{safe(', '.join(apart))}</b>" if apart else ""
    objects = "" if facts.n_objects is None else f", {facts.n_objects} objects"
    caption = f"{safe(file.name)}<br>{100 * facts.positive_fraction:.1f} %{objects}{why}"
    kind = ' class="apart"' if apart else ""
    return (
        f'<figure{kind}><img src="{source}" width="{SIDE_PX}" alt="{safe(file.name)}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _table(report: BatchReport) -> str:
    rows = []
    for file in report.files:
        facts = file.facts
        cells = ["", "", "", ""]
        if facts is not None:
            shape = " × ".join(map(str, facts.shape))
            objects = "" if facts.n_objects is None else str(facts.n_objects)
            cells = [f"{facts.axes} {shape}", facts.dtype, f"{100 * facts.positive_fraction:.2f} %", objects]
        notes = " ".join([file.reason if file.state != "skipped" else "", *(facts.warnings if facts else ())])
        numbers = "".join(f'<td class="number">{safe(cell)}</td>' for cell in cells)
        rows.append(f"<tr><td>{safe(file.name)}</td><td>{file.state}</td>{numbers}<td>{safe(notes)}</td></tr>")
    heads = "".join(f"<th>{head}</th>" for head in ("File", "", "Shape", "Type", "Area", "Objects", "Notes"))
    legend = "; ".join(f"{state}: {text}" for state, text in STATES.items())
    return f'<h2>All files</h2><p class="soft">{legend}</p><table><tr>{heads}</tr>{"".join(rows)}</table>'
