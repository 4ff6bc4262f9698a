"""How far a run is, in the words of who listens."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.recipe import read_recipe
from training.state import Plan, State


def plan(seconds: float | None = None) -> Plan:
    """The default recipe's first stage, 4 steps an epoch."""
    recipe = read_recipe("default")
    return Plan(recipe, recipe.stages[0], 4, seconds, Path(), {})


def told(state: State, seconds: float | None = None) -> tuple[int, int]:
    progress = plan(seconds).progress(state)
    assert progress.steps == 4
    return progress.epoch, progress.step


def look(state: State) -> None:
    """What closes an epoch."""
    state.epoch += 1
    state.history.append({"stage": "coarse_unet", "step": state.step})


def test_an_epoch_is_the_one_under_way_until_the_look_at_its_end_closes_it():
    state = State()
    assert told(state) == (1, 0)
    for epoch in (1, 2):
        for step in (1, 2, 3, 4):
            state.step += 1
            assert told(state) == (epoch, step)
        look(state)
        assert told(state) == (epoch, 4)
    state.step += 1
    assert told(state) == (3, 1)


def test_an_epoch_that_a_budget_cuts_short_is_still_the_same_one_at_its_end():
    state = State(step=6, epoch=1)
    assert told(state, 10.0) == (2, 2)
    look(state)
    assert told(state, 10.0) == (2, 2)


def test_a_look_before_the_first_step_closes_nothing():
    state = State(history=[{"stage": "coarse_unet", "step": 0}])
    assert told(state) == (1, 0)


def test_the_time_left_is_not_told_before_anything_tells_it():
    """Of the default recipe's time the first stage has five sixths."""
    assert plan().progress(State()).seconds_left is None
    assert plan(50.0).progress(State()).seconds_left == pytest.approx(60.0)
    assert plan(50.0).progress(State(step=1, stage_seconds=20.0)).seconds_left == pytest.approx(40.0)
    quarter = State(step=80, stage_seconds=30.0)
    assert plan().progress(quarter).seconds_left == pytest.approx(90.0 + 24.0)
