"""What each step from the paper's recipe to the default one brings:
``python -m training.ablation --data DATA --budget SECONDS --seeds 1 2 3 --output training/ablation.md``.

Every row of the table is a recipe that was trained from scratch on the same data for the same time and
compared on the same held-out ground. What is finished is kept in a file beside the table: started again, the
command goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imagetodem_qgis.core.card import CARD_FILE
from training.ablation_table import table
from training.evaluate import evaluate
from training.recipe import RECIPES, Recipe, parse_recipe, read_recipe

ROWS_FILE = RECIPES / "ablation" / "rows.json"
_MODEL = "model"
"""Where a run's folder holds its model."""
_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Row:
    """A recipe of the table.

    Attributes:
        name: of the row.
        like: name of the recipe that it is, but for its changes.
        says: what it adds to the row before it, or how it differs.
        changes: keys of the recipe with other values.
    """

    name: str
    like: str
    says: str
    changes: Mapping[str, Any] = field(default_factory=dict)

    def recipe(self) -> Recipe:
        """The row's recipe.

        Raises:
            RecipeError: it is none.
        """
        own = {"name": self.name, "description": self.says}
        content = {**read_recipe(self.like).as_json(), **self.changes, **own}
        return parse_recipe(content, f"{ROWS_FILE.name}: {self.name}")


@dataclass(frozen=True)
class Ablation:
    """What all rows share.

    Attributes:
        data: folders of pairs.
        terrains: folder of DEMs to render images over, if any.
        budget: seconds of training of each run.
        split: held-out ground that the table is about.
        runs: folder for the runs.
    """

    data: tuple[Path, ...]
    terrains: Path | None
    budget: float
    split: str
    runs: Path

    def conditions(self) -> dict[str, Any]:
        """What must be alike for two runs to be compared."""
        return {
            "data": [folder.name for folder in self.data],
            "terrains": None if self.terrains is None else self.terrains.name,
            "budget_seconds": self.budget,
            "split": self.split,
        }

    def run(self, row: Row, seed: int) -> dict[str, Any]:
        """Train a row with a seed, unless its model is there, and compare the model.

        Returns:
            ``figures``, ``epochs``, ``best_epoch``, ``seconds``, ``machine`` and ``libraries``.

        Raises:
            subprocess.CalledProcessError: the training failed.
        """
        folder = self.runs / f"{row.name.replace(', ', '_').replace(' ', '_')}_{seed}"
        model = folder / _MODEL
        if not (model / CARD_FILE).exists():
            folder.mkdir(parents=True, exist_ok=True)
            recipe = folder / "recipe.json"
            recipe.write_text(json.dumps(row.recipe().as_json(), indent=1), encoding="utf-8")
            # In a process of its own: what a run does to the libraries' state does not reach the next one.
            subprocess.run(self._command(recipe, seed, folder), cwd=_ROOT, check=True)
        card = json.loads((model / CARD_FILE).read_text(encoding="utf-8"))
        figures = card["metrics"].get(self.split)
        if figures is None:
            compared = [evaluate(model, folder, self.split) for folder in self.data]
            figures = {source: answers for of in compared for source, answers in of.items()}
        training = card["training"]
        return {
            "figures": figures,
            "epochs": training["epochs"],
            "best_epoch": training["best_epoch"],
            "seconds": training["seconds"],
            "machine": training["machine"],
            "libraries": card["libraries"],
        }

    def _command(self, recipe: Path, seed: int, folder: Path) -> list[str]:
        command = [sys.executable, "-m", "training.train", "--recipe", str(recipe)]
        command += [word for data in self.data for word in ("--data", str(data))]
        command += ["--budget", str(self.budget), "--seed", str(seed), "--output", str(folder), "--resume"]
        return command if self.terrains is None else [*command, "--terrains", str(self.terrains)]


def read_rows(path: Path = ROWS_FILE) -> list[Row]:
    """The rows of the table, in order."""
    return [Row(**content) for content in json.loads(path.read_text(encoding="utf-8"))]


def ablate(ablation: Ablation, rows: Sequence[Row], seeds: Sequence[int], output: Path) -> None:
    """Run what is not finished and write the table after each run.

    Args:
        ablation: what all rows share.
        rows: of the table.
        seeds: of the runs of each row; all rows' first seeds come before any second one.
        output: the table, of these rows and of those that an earlier command made for it; its runs' figures
            are kept beside it.

    Raises:
        ValueError: the file beside it is about other data, another budget or another split.
    """
    kept = output.with_suffix(".json")
    conditions = ablation.conditions()
    state: dict[str, Any] = {"conditions": conditions, "runs": {}}
    if kept.exists():
        state = json.loads(kept.read_text(encoding="utf-8"))
        if state["conditions"] != conditions:
            raise ValueError(
                f"{kept} is about {state['conditions']}, not {conditions}: choose another --output"
            )
    says = {row.name: row.says for row in (*read_rows(), *rows)}
    for seed in seeds:
        for row in rows:
            runs = state["runs"].setdefault(row.name, {})
            if str(seed) not in runs:
                print(f"{row.name}, seed {seed}", flush=True)
                runs[str(seed)] = ablation.run(row, seed)
                _write(kept, json.dumps(state, indent=1, ensure_ascii=False) + "\n")
            _write(output, table(conditions, says, state["runs"], _machine()))


def _machine() -> str:
    return f"{platform.system()} on {platform.machine()}"


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def main() -> None:
    """Command line."""
    rows = read_rows()
    parser = argparse.ArgumentParser(prog="python -m training.ablation", description=__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        required=True,
        help="folder of pairs; may be given several times",
    )
    parser.add_argument("--terrains", type=Path, help="folder of DEMs to render further images over")
    parser.add_argument("--budget", type=float, required=True, help="seconds of training of each run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--rows", nargs="+", choices=[row.name for row in rows], help="all, unless given")
    parser.add_argument("--runs", type=Path, required=True, help="folder for the runs: models, logs, reports")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    terrains = None if options.terrains is None else options.terrains.resolve()
    ablation = Ablation(
        tuple(folder.resolve() for folder in options.data),
        terrains,
        options.budget,
        options.split,
        options.runs.resolve(),
    )
    chosen = [row for row in rows if options.rows is None or row.name in options.rows]
    try:
        ablate(ablation, chosen, options.seeds, options.output)
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
