"""How far a run is, and what its stages work with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.recipe import Recipe, Stage
from training.request import Progress


@dataclass
class State:
    """How far a run is; all of it is in the checkpoint.

    Attributes:
        stage: number of the stage under way.
        step: of the stage, the next one to take.
        epoch: of the whole run, the number of those done.
        batch_size: of the stage, smaller than planned where memory ran out.
        seconds: of training so far, over all stages.
        stage_seconds: of this stage.
        best_score: least validation score of the stage.
        best_epoch: when it was reached; ``None`` before the first look.
        looks_since_best: epochs without a better one.
        sums: of the losses since the epoch began, by name.
        counted: steps that are in the sums.
        history: a row for each epoch.
    """

    stage: int = 0
    step: int = 0
    epoch: int = 0
    batch_size: int = 0
    seconds: float = 0.0
    stage_seconds: float = 0.0
    best_score: float = math.inf
    best_epoch: int | None = None
    looks_since_best: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    counted: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)

    def begin(self, stage: int, batch_size: int) -> None:
        """Go over to a stage."""
        self.stage, self.batch_size = stage, batch_size
        self.step, self.stage_seconds, self.looks_since_best = 0, 0.0, 0
        self.best_score, self.best_epoch = math.inf, None
        self.sums, self.counted = {}, 0

    def losses(self) -> dict[str, float]:
        """Their means since the epoch began."""
        return {name: total / max(1, self.counted) for name, total in self.sums.items()}


@dataclass(frozen=True)
class Plan:
    """What a stage works with.

    Attributes:
        recipe: of the run.
        stage: the part of it.
        steps_per_epoch: of the stage.
        seconds: of training after which the stage ends; ``None``: after its epochs.
        folder: of the run.
        fingerprint: of what must not change when a run goes on.
        keep_last: whether the last weights are kept, whatever the held-out tiles say of them.
    """

    recipe: Recipe
    stage: Stage
    steps_per_epoch: int
    seconds: float | None
    folder: Path
    fingerprint: Mapping[str, Any]
    keep_last: bool = False

    def fraction(self, state: State) -> float:
        """Of the stage that is done."""
        if self.seconds is not None:
            return state.stage_seconds / self.seconds
        return state.step / (self.steps_per_epoch * self.stage.epochs)

    def progress(self, state: State) -> Progress:
        """How far the run is, in words of the listener."""
        in_epoch = state.step % self.steps_per_epoch
        done, left = self._overall(state)
        last = state.history[-1] if state.history else {}
        # The look at the held-out tiles closes an epoch, also one that a budget of time has cut short.
        closed = state.step > 0 and (last.get("stage"), last.get("step")) == (self.stage.network, state.step)
        prefix = "validation_"
        return Progress(
            epoch=state.epoch if closed else state.epoch + 1,
            epochs=max(self.recipe.epochs, state.epoch),
            step=self.steps_per_epoch if state.step and not in_epoch else in_epoch,
            steps=self.steps_per_epoch,
            losses=state.losses(),
            validation={key[len(prefix) :]: row for key, row in last.items() if key.startswith(prefix)},
            seconds_left=left,
            fraction=done,
        )

    def _overall(self, state: State) -> tuple[float, float | None]:
        """The share of the run that is done, and the seconds that are left, by the stages' shares of time."""
        shares = [stage.share for stage in self.recipe.stages]
        share = shares[state.stage]
        part = min(1.0, self.fraction(state))
        done = (sum(shares[: state.stage]) + share * part) / sum(shares)
        if self.seconds is None and part <= 0.0:
            return done, None
        whole = state.stage_seconds / part if self.seconds is None else self.seconds
        return done, whole * (1.0 - part) + whole * sum(shares[state.stage + 1 :]) / share
