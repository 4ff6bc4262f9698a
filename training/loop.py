"""The training loop of one stage: steps, looks at the held-out tiles, checkpoints, and when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training import checkpoint
from training.data.batches import Batch, ahead
from training.request import Cancelled, Listener, TrainingError
from training.schedule import learning_rate
from training.state import Plan, State
from training.steps import Adapter, Learner
from training.validation import FloatArray, HeldOut

_SECONDS_BETWEEN_PROGRESS = 1.0
WORKERS = 3
_CHECKPOINT_COST = 0.05
"""Share of the time that writing checkpoints may take."""


class Loop:
    """Trains one stage.

    Args:
        plan: what it works with.
        learner: the networks and optimisers, in the state that ``state`` says.
        adapter: of the backend.
        batches: makes the batches of a given size.
        held_out: the tiles that it is judged by.
        state: of the run; changed in place.
        listener: who is told.
        looked: called after each look at the held-out tiles with the epoch's row and the answers.
        replicas: cards that share a batch.
    """

    def __init__(
        self,
        plan: Plan,
        learner: Learner,
        adapter: Adapter,
        batches: Callable[[int], Callable[[int], Batch]],
        held_out: HeldOut,
        state: State,
        listener: Listener,
        looked: Callable[[dict[str, Any], FloatArray], None],
        replicas: int = 1,
    ) -> None:
        self._plan, self._learner, self._adapter = plan, learner, adapter
        self._batches, self._held_out, self._state = batches, held_out, state
        self._listener, self._looked = listener, looked
        self._step = adapter.make_step(learner, replicas)
        self._ask = adapter.make_answer(learner.objective.generator)
        self._replicas = replicas
        self._pending: list[dict[str, Any]] = []
        self._clock = time.monotonic()
        self._told = self._written = self._clock
        self._write_seconds = 0.0
        self._compiling = True

    def run(self, judge_first: bool = False) -> None:
        """Train until the stage ends; its best weights, or its last, are then in the network.

        Args:
            judge_first: look at the held-out tiles before the first step, so that a network which begins well
                is only replaced by a better one.

        Raises:
            Cancelled: the listener said so; the checkpoint holds the last step.
            TrainingError: the losses became infinite, or memory is too small for one sample.
        """
        state = self._state
        if judge_first and state.step == 0 and state.best_epoch is None:
            self._look()
        if state.counted and (
            state.step % self._plan.steps_per_epoch == 0 or self._plan.fraction(state) >= 1.0
        ):
            # Interrupted between an epoch's last step and the look at the held-out tiles.
            self._look()
        while not self._over():
            self._take_steps()
        self._save()
        if state.best_epoch is not None:
            weights = checkpoint.load_weights(self._plan.folder, state.best_epoch)
            self._learner.objective.generator.set_weights(weights)

    def _over(self) -> bool:
        state, plan = self._state, self._plan
        patience = plan.recipe.patience
        if patience and state.looks_since_best >= patience:
            self._listener.note(
                f"No better validation in {patience} epochs: the stage {plan.stage.network} ends early."
            )
            return True
        return self._plan.fraction(self._state) >= 1.0

    def _take_steps(self) -> None:
        """Steps to the end of the epoch, or to where the batch must be halved."""
        state, plan = self._state, self._plan
        end = (state.step // plan.steps_per_epoch + 1) * plan.steps_per_epoch
        made = ahead(self._batches(state.batch_size), range(state.step, end), WORKERS)
        with closing(made):
            for _, (inputs, target) in made:
                self._set_learning_rate()
                try:
                    self._pending.append(self._step(inputs, target))
                except Exception as error:
                    if not self._adapter.is_out_of_memory(error):
                        raise
                    self._halve(error)
                    return
                if self._compiling:
                    # The first step also makes the step: no part of what training costs.
                    self._compiling, self._clock = False, time.monotonic()
                state.step += 1
                self._tick()
                if self._listener.cancelled():
                    self._save()
                    raise Cancelled
                if plan.seconds is not None and self._plan.fraction(self._state) >= 1.0:
                    break
        self._count_losses()
        self._look()

    def _set_learning_rate(self) -> None:
        stage = self._plan.stage
        rate = learning_rate(stage.schedule, stage.learning_rate, min(1.0, self._plan.fraction(self._state)))
        self._learner.optimiser.learning_rate = rate
        if self._learner.discriminator_optimiser is not None:
            self._learner.discriminator_optimiser.learning_rate = rate

    def _halve(self, error: BaseException) -> None:
        state = self._state
        if state.batch_size <= self._replicas:
            raise TrainingError(
                "memory is too small for a batch of one tile: close other programs, choose a lighter "
                f"ARCHITECTURE, or train on the processor (DEVICE cpu) ({type(error).__name__})"
            ) from error
        smaller = max(self._replicas, state.batch_size // 2)
        self._listener.warn(
            f"Memory ran out with batches of {state.batch_size} tiles: going on with {smaller}, from the "
            "same step."
        )
        state.batch_size = smaller
        self._adapter.release_memory()

    def _tick(self) -> None:
        now = time.monotonic()
        self._state.seconds += now - self._clock
        self._state.stage_seconds += now - self._clock
        self._clock = now
        if now - self._told >= _SECONDS_BETWEEN_PROGRESS:
            self._tell()
        pause = max(self._plan.recipe.checkpoint_seconds, self._write_seconds / _CHECKPOINT_COST)
        if now - self._written >= pause:
            self._save()

    def _count_losses(self) -> None:
        """Take in the losses of the steps since the last time; only here does the processor wait for the
        card."""
        state = self._state
        for losses in self._pending:
            for name, loss in losses.items():
                value = float(loss)
                if not math.isfinite(value):
                    raise TrainingError(
                        f"the loss '{name}' became {value} in epoch {state.epoch + 1}: begin anew with a "
                        "smaller LEARNING_RATE, or with PRECISION float32"
                    )
                state.sums[name] = state.sums.get(name, 0.0) + value
            state.counted += 1
        self._pending.clear()

    def _look(self) -> None:
        """Judge the network on the held-out tiles, keep it if it is the best or the last is wanted, and close
        the epoch."""
        state, plan = self._state, self._plan
        before = state.step == 0
        state.epoch += 0 if before else 1
        answers, weights = self._judged()
        figures = self._held_out.figures(answers)
        row = {
            "epoch": state.epoch,
            "stage": plan.stage.network,
            "step": state.step,
            "seconds": round(state.seconds, 1),
            "learning_rate": float(np.asarray(self._learner.optimiser.learning_rate)),
            "batch_size": state.batch_size,
            **state.losses(),
            **{f"validation_{name}": value for name, value in figures.items()},
        }
        state.history.append(row)
        score = figures["rmse_by_sigma"]
        if not math.isfinite(score):
            raise TrainingError(
                "the network answers with infinite numbers: begin anew with a smaller LEARNING_RATE"
            )
        if score < state.best_score or plan.keep_last:
            checkpoint.save_weights(plan.folder, state.epoch, weights)
            state.best_score, state.best_epoch, state.looks_since_best = score, state.epoch, 0
        else:
            state.looks_since_best += 1
        self._looked(row, answers)
        self._tell()
        state.sums, state.counted = {}, 0
        self._tick()
        self._save()

    def _judged(self) -> tuple[FloatArray, list[NDArray[Any]]]:
        """The held-out answers of the averaged network, and its weights."""
        generator, average = self._learner.objective.generator, self._learner.average
        if average is None:
            return self._held_out.answers(self._ask), generator.get_weights()
        with average.in_place():
            return self._held_out.answers(self._ask), generator.get_weights()

    def _save(self) -> None:
        self._count_losses()
        started = time.monotonic()
        state = {"fingerprint": dict(self._plan.fingerprint), **asdict(self._state)}
        checkpoint.save_checkpoint(self._plan.folder, self._learner.variables(), state)
        checkpoint.drop_weights(self._plan.folder, but=self._state.best_epoch)
        self._written = time.monotonic()
        self._write_seconds = self._written - started

    def _tell(self) -> None:
        self._count_losses()
        self._told = time.monotonic()
        self._listener.progress(self._plan.progress(self._state))
