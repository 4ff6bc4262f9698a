from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training import ablation
from training.ablation import Ablation, Row, ablate, read_rows
from training.ablation_table import table
from training.data.pair import Pair
from training.data.sampling import Augmentation, random_sample
from training.recipe import read_recipe


def figures(error: float) -> dict[str, Any]:
    row = {"tiles": 7, "mosaics": 2, "rmse_raw_m": 900.0, "rmse_by_sigma_mosaic": error + 0.01}
    row |= {"rmse_by_sigma_shift_scale": error, "slope_rmse_deg": 2.5, "correlation": 0.6}
    return {"hills": {"model": row, "luminance": {**row, "rmse_by_sigma_shift_scale": 0.93}}}


def run(error: float, **changes: Any) -> dict[str, Any]:
    machine = {"device": "CPU", "precision": "float32", "backend": "tensorflow"}
    done = {"epochs": 4, "best_epoch": 3, "seconds": 60, "machine": machine, "libraries": {"keras": "3"}}
    return {"figures": figures(error), **done, **changes}


CONDITIONS = {"data": ["pairs"], "terrains": None, "budget_seconds": 60.0, "split": "validation"}


def cells(page: str, row: str) -> list[str]:
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {row} |") and "0." in line]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_rows_are_steps_from_the_paper_to_the_default():
    rows = {row.name: row.recipe() for row in read_rows()}
    names = list(rows)
    assert names[0] == "paper"
    assert replace(rows["paper"], name="", description="") == replace(
        read_recipe("paper"), name="", description=""
    )
    assert replace(rows["default"], name="", description="") == replace(
        read_recipe("default"), name="", description=""
    )
    # Each step changes something, and what it changes stays so until the default.
    contents = [recipe.as_json() for recipe in rows.values()]
    for before, after in zip(contents, contents[1:]):
        assert {k: v for k, v in before.items() if k not in ("name", "description")} != {
            k: v for k, v in after.items() if k not in ("name", "description")
        }
    steps = names[: names.index("default") + 1]
    of_default = dict(read_recipe("default").augmentation)
    assert rows["default"].augmentation == of_default
    del of_default["albedo"]
    assert rows[steps[-3]].augmentation == of_default
    del of_default["colour"]
    for name in steps[1:-3]:
        assert rows[name].augmentation == of_default
    assert replace(rows[steps[-2]], name="", description="", architecture={}) == replace(
        rows["default"], name="", description="", architecture={}
    )
    assert [name for name in names if rows[name].architecture.get("muted")] == ["default"]
    for name in steps[2:]:
        assert rows[name].adversarial == 0.0


def test_finished_runs_are_not_repeated(tmp_path, monkeypatch):
    asked: list[tuple[str, int]] = []
    broken = {("default", 2)}

    def answer(self: Ablation, row: Row, seed: int) -> dict[str, Any]:
        asked.append((row.name, seed))
        if (row.name, seed) in broken:
            raise KeyboardInterrupt
        return run(0.8)

    monkeypatch.setattr(Ablation, "run", answer)
    rows = [Row(name, "paper", name) for name in ("paper", "default")]
    shared = Ablation((tmp_path / "pairs",), None, 60.0, "validation", tmp_path / "runs")
    output = tmp_path / "table.md"
    with pytest.raises(KeyboardInterrupt):
        ablate(shared, rows, [1, 2], output)
    assert asked == [("paper", 1), ("default", 1), ("paper", 2), ("default", 2)]
    page = output.read_text(encoding="utf-8")
    assert "--seeds 1 2 --rows paper`" in page
    assert "--seeds 1 --rows default`" in page
    asked.clear()
    broken.clear()
    ablate(shared, rows, [1, 2], output)
    assert asked == [("default", 2)]
    asked.clear()
    ablate(shared, rows[:1], [3], output)
    assert asked == [("paper", 3)]
    page = output.read_text(encoding="utf-8")
    assert "--seeds 1 2 3 --rows paper`" in page
    assert "--seeds 1 2 --rows default`" in page
    with pytest.raises(ValueError, match="choose another --output"):
        ablate(replace(shared, budget=61.0), rows, [1], output)
    assert not list(tmp_path.glob("*.part"))


def test_the_table_gives_medians_and_ranges_over_seeds():
    says = {"paper": "the published recipe", "default": "ours", "later": "not run yet"}
    runs = {
        "paper": {"1": run(0.9)},
        "default": {"1": run(0.70), "2": run(0.74), "3": run(0.71, epochs=6)},
        "later": {},
    }
    page = table(CONDITIONS, says, runs, "Linux on x86_64")
    shared = "- `python -m training.ablation --data pairs --budget 60 --split validation --runs RUNS"
    assert f"{shared} --seeds 1 --rows paper`\n{shared} --seeds 1 2 3 --rows default`\n" in page
    assert "CPU, float32; Linux on x86_64; keras 3" in page
    assert "## hills: 7 tiles, 2 mosaics" in page
    assert cells(page, "paper") == ["paper", "900.0", "0.900", "0.910", "2.50", "0.60"]
    default = cells(page, "default")
    assert default[2] == "0.710 (0.700-0.740)"
    assert default[3] == "0.720 (0.710-0.750)"
    assert cells(page, "*luminance*")[2] == "0.930"
    assert "| default | ours | 3 | 4 | 3 |" in page
    assert "later" not in page


def test_guided_rows_are_told_against_bicubic():
    row = {"tiles": 3, "rmse_by_bicubic": 0.9, "slope_rmse_by_bicubic": 0.8}
    blind = {"tiles": 3, "rmse_by_bicubic": 0.97, "slope_rmse_by_bicubic": 0.98}
    answers = {"model": row, "model, image left out": blind, "bicubic": {"tiles": 3}}
    runs = {"guided": {"1": run(0.0, figures={"hills, cells of 16 pixels": answers})}}
    page = table(CONDITIONS, {"guided": "with a coarse DEM"}, runs, "m")
    twin = table(CONDITIONS, {"guided, no image": "its twin"}, {"guided, no image": runs["guided"]}, "m")
    assert "--rows 'guided, no image'`" in twin
    assert "| hills, cells of 16 pixels | guided | 0.900 | 0.800 |" in page
    assert "| hills, cells of 16 pixels | guided, asked without the image | 0.970 | 0.980 |" in page
    assert "## hills, cells" not in page


def test_a_run_is_a_training_of_its_own(tmp_path, monkeypatch):
    """The command is the public one; a model that is there already is not trained again."""
    commands: list[list[str]] = []

    def train(command: list[str], cwd: Path, check: bool) -> None:
        commands.append(command)
        model = Path(command[command.index("--output") + 1]) / "model"
        model.mkdir()
        content = {"metrics": {"validation": figures(0.5)}, "libraries": {}}
        content["training"] = {"epochs": 2, "best_epoch": 1, "seconds": 60, "machine": {}}
        (model / "model.json").write_text(json.dumps(content))

    monkeypatch.setattr(ablation.subprocess, "run", train)
    shared = Ablation((tmp_path / "a", tmp_path / "b"), tmp_path / "dems", 60.0, "validation", tmp_path)
    row = Row("paper, augmented", "paper", "augmented", {"augmentation": {"scale": True}})
    first = shared.run(row, 3)
    assert first["figures"] == figures(0.5)
    assert first == shared.run(row, 3)
    (command,) = commands
    assert command[1:3] == ["-m", "training.train"]
    for words in (["--seed", "3"], ["--budget", "60.0"], ["--terrains", str(tmp_path / "dems")]):
        assert command[command.index(words[0]) + 1] == words[1]
    assert [command[i + 1] for i, word in enumerate(command) if word == "--data"] == [
        str(tmp_path / "a"),
        str(tmp_path / "b"),
    ]
    recipe = read_recipe(command[command.index("--recipe") + 1])
    assert (recipe.name, recipe.augmentation) == ("paper, augmented", {"scale": True})
    assert recipe.stages == read_recipe("paper").stages


def test_any_sun_comes_in_all_eight_ways_and_turns_the_target_with_the_image():
    random = np.random.default_rng(5)
    dem = random.normal(100.0, 10.0, (16, 16)).astype(np.float32)
    image = np.repeat(dem[..., None], 3, axis=-1)
    pair = Pair("p", image, dem, np.ones((16, 16), bool), 10.0, "train")
    plain = {"scale": False, "turn": False, "mirror": False, "contrast": False}
    still = random_sample(pair, 16, np.random.default_rng(1), Augmentation(**plain))
    seen = set()
    for seed in range(60):
        sample = random_sample(pair, 16, np.random.default_rng(seed), Augmentation(**plain, any_sun=True))
        seen.add(sample.target[..., 0].tobytes())
        first, second = sample.inputs[..., 0].ravel(), sample.target[..., 0].ravel()
        # The image is the heights, but for the stretch's ends.
        inner = np.abs(first) < 1.0
        assert np.corrcoef(first[inner], second[inner])[0, 1] > 0.999
        np.testing.assert_array_equal(np.sort(second), np.sort(still.target[..., 0].ravel()))
    assert len(seen) == 8
