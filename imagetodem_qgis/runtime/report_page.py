"""The environment's report as lines of text and as one self-contained page of HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from imagetodem_qgis.runtime.report import EngineDevices, EnvironmentReport

# Colours are written out: the browser inside QGIS 3 knows no CSS variables.
_STYLE = """
:root { color-scheme: light dark; }
body { background: #ffffff; color: #1b1f24; font: 15px/1.5 "Segoe UI", system-ui, sans-serif;
  max-width: 60rem; margin: 2rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
.verdict { border-radius: 6px; padding: .75rem 1rem; font-weight: 600; }
.ready { background: #dafbe1; color: #116329; }
.not-ready { background: #ffebe9; color: #82071e; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #d0d7de; padding: .4rem .75rem .4rem 0; text-align: left;
  vertical-align: top; word-wrap: break-word; overflow-wrap: anywhere; }
th { background: #ffffff; color: #57606a; font-weight: 600; }
tr.used td { font-weight: 600; }
pre { background: #f3f5f7; color: #1b1f24; padding: .75rem; border-radius: 6px; white-space: pre-wrap;
  word-wrap: break-word; font-size: 13px; }
@media (prefers-color-scheme: dark) {
  body { background: #14181d; color: #e6edf3; }
  .ready { background: #10311f; color: #7ee2a8; }
  .not-ready { background: #41191b; color: #ffb3ad; }
  th { background: #14181d; color: #9aa5b1; }
  th, td { border-color: #3a424c; }
  pre { background: #1e242b; color: #e6edf3; }
}
"""


def report_lines(report: EnvironmentReport) -> list[str]:
    """The report's summary, a line each."""
    lines = [report.verdict]
    if report.interpreter is not None:
        version = ".".join(map(str, report.interpreter.version))
        lines.append(f"Interpreter: {report.interpreter.path} (Python {version})")
        lines.append(f"Where it comes from: {report.interpreter.source}")
    lines += [f"{item.engine} {item.version}: {_computes_on(item)}" for item in report.engines]
    lines += [f"Graphics card: {card}" for card in report.cards]
    lines += [f"To do: {advice}" for advice in report.advice]
    return lines


def report_page(report: EnvironmentReport, system: Mapping[str, str]) -> str:
    """The report as a page of HTML that needs nothing else.

    Args:
        report: what to say.
        system: further facts by label, such as versions and folders.
    """
    mood = "ready" if report.ready else "not-ready"
    parts = [f'<p class="verdict {mood}">{escape(report.verdict)}</p>']
    advice = report.advice or ("Nothing: all that can be set up here is.",)
    parts.append(_section("What to do next", _list(advice)))
    parts.append(_section("Where an interpreter was looked for, in this order", _examined(report)))
    if report.interpreter is not None:
        rows = [(item.engine, item.version, item.distribution, _computes_on(item)) for item in report.engines]
        parts.append(_section("Engines", _table(("Engine", "Version", "Package", "Computes on"), rows)))
        versions = [(name, version or "unknown") for name, version in report.interpreter.packages.items()]
        parts.append(_section("Packages", _table(("Package", "Version"), versions)))
        cards = _list(report.cards) if report.cards else "<p>The system reports no NVIDIA graphics card.</p>"
        parts.append(_section("Graphics cards", cards))
    parts.append(_section("This computer", _table(("", ""), system.items())))
    if report.log:
        log = "\n".join(report.log)
        parts.append(_section("End of the last set-up's log", f"<pre>{escape(log)}</pre>"))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Machine-learning environment report</title><style>{_STYLE}</style></head>\n"
        "<body><h1>Machine-learning environment report</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _examined(report: EnvironmentReport) -> str:
    used = report.interpreter.source if report.interpreter else ""
    rows = []
    for candidate in report.examined:
        if candidate.source == used:
            finding = "used: the first that can predict"
        else:
            finding = candidate.problem or "could be used, but one before it is"
        version = candidate.facts.version_text if candidate.facts else ""
        rows.append((candidate.source, str(candidate.path or ""), version, finding))
    chosen = [candidate.source == used for candidate in report.examined]
    return _table(("Place", "Interpreter", "Python", "Finding"), rows, chosen)


def _computes_on(item: EngineDevices) -> str:
    if item.problem:
        return f"does not work: {item.problem}"
    return ", ".join(item.cards) + " and the processor" if item.cards else "the processor"


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{body}"


def _list(items: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], emphasised: Sequence[bool] = ()) -> str:
    head = "<tr>" + "".join(f"<th>{escape(text)}</th>" for text in heads) + "</tr>" if any(heads) else ""
    body = ""
    for number, row in enumerate(rows):
        style = ' class="used"' if number < len(emphasised) and emphasised[number] else ""
        body += f"<tr{style}>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>"
    return f"<table>{head}{body}</table>"
