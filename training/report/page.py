"""The report of a training run: one page of HTML that needs neither network nor scripts."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from training.report.curves import chart_svg, charts_of
from training.report.figures import MODEL, Figures, cell, columns_of, in_words
from training.report.pictures import TilePictures, epoch_of
from training.report.style import STYLE

_QUALITY = 88
"""Of the picture in the page; the one in the folder is lossless."""

_EXPLANATION = (
    "An error is given as a share of a tile's relief, the standard deviation σ of its true heights: 0 is "
    "perfect, 1 is no better than level ground. Each tile's heights are shifted and scaled to fit first, "
    "since those from a single image have no zero of their own; a raw error includes the tile's height above "
    "the sea. Figures are medians over tiles of areas that "
    "training never saw."
)
_CAUTION = (
    "A single image does not determine heights: where a free global DEM is current, that DEM is more "
    "accurate. Use the model where there is none, or where the ground has changed since."
)


def write_report(
    path: Path,
    facts: Mapping[str, Mapping[str, Any]],
    history: Sequence[Mapping[str, Any]],
    pictures: TilePictures | None = None,
    figures: Figures | None = None,
    best_epoch: int | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Write the report, under its name only when whole.

    Args:
        path: of the page.
        facts: sections by their titles (recipe, data, machine, ...), each of labels with texts, numbers,
            lists or mappings.
        history: a row an epoch; see :func:`training.report.curves.charts_of`.
        pictures: of held-out tiles.
        figures: accuracy on held-out tiles beside the baselines'.
        best_epoch: whose weights were kept.
        notes: what the run warned of.
    """
    figures = figures or {}
    parts = [_verdict(history, figures, best_epoch)]
    if notes:
        parts.append(_section("What the run warned of", _list(notes)))
    if figures:
        parts.append(_section("Accuracy on held-out tiles", _accuracy(figures)))
    if history:
        parts.append(_section("Loss curves", _curves(history, best_epoch)))
    if pictures is not None and pictures.paths():
        parts.append(_section("Held-out tiles", _tiles(pictures, best_epoch)))
    parts += [_section(title, _facts(values)) for title, values in facts.items()]
    if history:
        parts.append(_section("All epochs", _epochs(history)))
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # Browsers ask for an icon unless they are given one.
        '<link rel="icon" href="data:,">'
        f"<title>Training report</title><style>{STYLE}</style></head>\n"
        "<body><h1>Training report</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )
    partial = path.with_name(path.name + ".partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)


def _verdict(history: Sequence[Mapping[str, Any]], figures: Figures, best_epoch: int | None) -> str:
    lines = [escape(sentence) for sentence in in_words(figures)]
    if history:
        done = f"{history[-1].get('epoch', len(history)):g} epochs were trained"
        lines.append(f"{done}; the weights of epoch {best_epoch} were kept." if best_epoch else f"{done}.")
    lines.append(_CAUTION)
    return '<div class="verdict">' + "".join(f"<p>{line}</p>" for line in lines) + "</div>"


def _accuracy(figures: Figures) -> str:
    columns = columns_of(figures)
    heads = ["Held-out tiles", "Answer", *(column.heading for column in columns)]
    rows, chosen = [], []
    for source, answers in figures.items():
        for name, row in answers.items():
            rows.append([source, name, *(cell(row, column) for column in columns)])
            chosen.append(name == MODEL)
    return _table(heads, rows, chosen) + f"<p>{_EXPLANATION}</p>"


def _curves(history: Sequence[Mapping[str, Any]], best_epoch: int | None) -> str:
    figures = []
    for chart in charts_of(history):
        keys = "".join(
            f'<span class="key {kind}">{kind}</span>'
            for kind, points in (("training", chart.training), ("validation", chart.validation))
            if points
        )
        caption = f"<figcaption>{escape(chart.title)} {keys}</figcaption>"
        figures.append(f"<figure>{caption}{chart_svg(chart, best_epoch)}</figure>")
    return f'<div class="charts">{"".join(figures)}</div>'


def _tiles(pictures: TilePictures, best_epoch: int | None) -> str:
    shown = pictures.nearest(best_epoch) if best_epoch is not None else pictures.paths()[-1]
    animation = pictures.animation()
    parts = ['<div class="charts">']
    if shown is not None:
        words = f"Epoch {epoch_of(shown)}"
        parts.append(_figure(_as_jpeg(shown), "image/jpeg", words, "tiles"))
    if animation is not None and len(pictures.paths()) > 1:
        parts.append(_figure(animation.read_bytes(), "image/webp", "Over the epochs", "tiles animation"))
    return "".join(parts) + "</div>"


def _figure(content: bytes, kind: str, words: str, style: str) -> str:
    data = base64.b64encode(content).decode()
    text = "Fixed held-out tiles, a row each: what goes in, what is predicted, what is true."
    return (
        f'<figure class="{style}"><figcaption>{words}</figcaption>'
        f'<img alt="{text}" src="data:{kind};base64,{data}"></figure>'
    )


def _as_jpeg(path: Path) -> bytes:
    content = io.BytesIO()
    with Image.open(path) as picture:
        picture.convert("RGB").save(content, "JPEG", quality=_QUALITY)
    return content.getvalue()


def _facts(values: Mapping[str, Any]) -> str:
    return _table((), [(label, _in_text(value)) for label, value in values.items()])


def _in_text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_in_text(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_in_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _epochs(history: Sequence[Mapping[str, Any]]) -> str:
    keys = list(dict.fromkeys(key for row in history for key in row))
    rows = [[_in_text(row[key]) if key in row else "" for key in keys] for row in history]
    table = _table([key.replace("_", " ") for key in keys], rows)
    return f"<details><summary>{len(history)} rows, seconds since the start</summary>{table}</details>"


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{body}"


def _list(items: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], emphasised: Sequence[bool] = ()) -> str:
    head = "<tr>" + "".join(f"<th>{escape(text)}</th>" for text in heads) + "</tr>" if heads else ""
    body = ""
    for number, row in enumerate(rows):
        style = ' class="used"' if number < len(emphasised) and emphasised[number] else ""
        body += f"<tr{style}>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>"
    # A keyboard can scroll what it can reach.
    return f'<div class="wide" tabindex="0"><table>{head}{body}</table></div>'
