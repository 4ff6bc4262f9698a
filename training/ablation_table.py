"""The ablation's table: what its runs came to, as Markdown."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from training.report.figures import MODEL, RELATIVE_ERROR, Column

Runs = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""By row, then by seed, what :meth:`training.ablation.Ablation.run` gives."""

_COLUMNS = (
    Column("rmse_raw_m", "RMSE raw (m)", 1),
    Column(RELATIVE_ERROR, "RMSE/σ, tile's shift + scale", 3),
    Column("rmse_by_sigma_mosaic", "RMSE/σ, mosaic's shift + scale", 3),
    Column("slope_rmse_deg", "slope RMSE (°)", 2),
    Column("correlation", "r", 2),
)
_GUIDED = (Column("rmse_by_bicubic", "RMSE", 3), Column("slope_rmse_by_bicubic", "slope RMSE", 3))
_BLIND = f"{MODEL}, image left out"


def table(conditions: Mapping[str, Any], says: Mapping[str, str], runs: Runs, machine: str) -> str:
    """The page.

    Args:
        conditions: what all runs share.
        says: what each row changes, by its name, in order.
        runs: the finished ones; rows without any are left out.
        machine: in words.
    """
    done = {name: list(runs[name].values()) for name in says if runs.get(name)}
    parts = [_head(conditions, list(done), runs, machine), _rows(says, done)]
    sources = dict.fromkeys(source for of in done.values() for run in of for source in run["figures"])
    guided = [source for source in sources if _is_guided(source, done)]
    for source in sources:
        if source not in guided:
            parts.append(_source(source, done))
    if guided:
        parts.append(_guided(guided, done))
    return "\n\n".join(parts) + "\n"


def _head(conditions: Mapping[str, Any], rows: Sequence[str], runs: Runs, machine: str) -> str:
    every = [run for name in rows for run in runs[name].values()]
    devices = sorted({f"{run['machine']['device']}, {run['machine']['precision']}" for run in every})
    libraries = sorted({f"{name} {version}" for run in every for name, version in run["libraries"].items()})
    return (
        f"# From the paper's recipe to the default one\n\n{_commands(conditions, rows, runs)}\n\n"
        f"Each row was trained from scratch on the same data for {conditions['budget_seconds']:g} seconds of "
        f"training ({'; '.join(devices)}; {machine}; {', '.join(libraries)}), and compared on the held-out "
        f"ground of the {conditions['split']} split. Figures are medians over tiles, and over seeds where "
        "there are several, with the least and the largest in brackets. RMSE/σ is the error divided by the "
        "standard deviation of the true heights: 0 is perfect, 1 is no better than level ground. Baselines "
        "are fitted to the truth itself."
    )


def _commands(conditions: Mapping[str, Any], rows: Sequence[str], runs: Runs) -> str:
    """One for the rows of each number of seeds: all with the same ``--output`` make one table."""
    by_seeds: dict[tuple[int, ...], list[str]] = {}
    for name in rows:
        by_seeds.setdefault(tuple(sorted(map(int, runs[name]))), []).append(name)
    folders = " ".join(f"--data {folder}" for folder in conditions["data"])
    terrains = "" if conditions["terrains"] is None else f" --terrains {conditions['terrains']}"
    budget, split = conditions["budget_seconds"], conditions["split"]
    shared = f"{folders}{terrains} --budget {budget:g} --split {split} --runs RUNS"
    choices = (
        f"--seeds {' '.join(map(str, seeds))} --rows {shlex.join(names)}" for seeds, names in by_seeds.items()
    )
    return "Made by\n\n" + "\n".join(f"- `python -m training.ablation {shared} {c}`" for c in choices)


def _rows(says: Mapping[str, str], done: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    lines = ["| row | what it is | seeds | epochs | best epoch |", "|---|---|---|---|---|"]
    for name, of in done.items():
        epochs, best = (statistics.median(run[key] for run in of) for key in ("epochs", "best_epoch"))
        lines.append(f"| {name} | {says[name]} | {len(of)} | {epochs:g} | {best:g} |")
    return "\n".join(lines)


def _source(source: str, done: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    lines = []
    fitted: dict[str, list[Mapping[str, float]]] = {}
    tiles = mosaics = 0.0
    for name, of in done.items():
        found = [run["figures"][source] for run in of if source in run["figures"]]
        rows = [answers[MODEL] for answers in found]
        if rows:
            lines.append(_line(name, rows))
            tiles, mosaics = rows[0]["tiles"], rows[0].get("mosaics", 0)
            # The same for all runs, but for what depends on nothing that a recipe changes.
            fitted = {answer: [row] for answer, row in found[0].items() if answer != MODEL}
    lines += [_line(f"*{answer}*", rows) for answer, rows in fitted.items()]
    together = f", {mosaics:g} mosaic{'s' if mosaics > 1 else ''}" if mosaics else ""
    heads = " | ".join(column.heading for column in _COLUMNS)
    return (
        f"## {source}: {tiles:g} tile{'s' if tiles > 1 else ''}{together}\n\n"
        f"| row | {heads} |\n|---{'|---' * len(_COLUMNS)}|\n" + "\n".join(lines)
    )


def _line(name: str, rows: Sequence[Mapping[str, float]]) -> str:
    return f"| {name} | {' | '.join(_cell(rows, column) for column in _COLUMNS)} |"


def _guided(sources: Sequence[str], done: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    lines = []
    for source in sources:
        for name, of in done.items():
            found = [run["figures"][source] for run in of if source in run["figures"]]
            for answer, words in ((MODEL, name), (_BLIND, f"{name}, asked without the image")):
                rows = [answers[answer] for answers in found if answer in answers]
                if rows:
                    lines.append(f"| {source} | {words} | {' | '.join(_cell(rows, c) for c in _GUIDED)} |")
    heads = " | ".join(column.heading for column in _GUIDED)
    return (
        "## Guided by a coarse DEM, relative to its bicubic interpolation\n\n"
        f"| held-out | row | {heads} |\n|---|---{'|---' * len(_GUIDED)}|\n" + "\n".join(lines)
    )


def _is_guided(source: str, done: Mapping[str, Sequence[Mapping[str, Any]]]) -> bool:
    found = (run["figures"].get(source, {}) for of in done.values() for run in of)
    return any("bicubic" in answers for answers in found)


def _cell(rows: Sequence[Mapping[str, float]], column: Column) -> str:
    values = [row[column.key] for row in rows if column.key in row]
    if not values:
        return ""
    middle = f"{statistics.median(values):.{column.digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):.{column.digits}f}-{max(values):.{column.digits}f})"
