"""A training run from its data to its model: what ``training.train`` starts once the backend is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from training import checkpoint, steps
from training.device import Device, choose_device, choose_precision
from training.finish import finish
from training.learner import make_learner
from training.loop import Loop
from training.material import Material, gather
from training.networks import read_card, read_network
from training.recipe import Recipe, Stage
from training.recorder import Recorder
from training.request import Listener, Progress, Request, Result
from training.starting import fingerprint_of, recipe_of, state_of, with_ground_trusted
from training.state import Plan, State


class Remembering:
    """A listener that passes all on, and remembers for the report what it was warned of."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.warnings: list[str] = []

    def note(self, text: str) -> None:
        """Pass on."""
        self._listener.note(text)

    def warn(self, text: str) -> None:
        """Remember and pass on."""
        self.warnings.append(text)
        self._listener.warn(text)

    def progress(self, progress: Progress) -> None:
        """Pass on."""
        self._listener.progress(progress)

    def cancelled(self) -> bool:
        """Ask."""
        return self._listener.cancelled()


@dataclass(frozen=True)
class Session:
    """All that the stages of a run share."""

    request: Request
    recipe: Recipe
    material: Material
    device: Device
    state: State
    fingerprint: Mapping[str, Any]
    recorder: Recorder
    listener: Listener

    def train(self) -> keras.Model:
        """Train the stages that are not done; returns the last one's network, its kept weights in it."""
        start = self.request.start_from
        # A later stage has what the one before it trained, and the rest of the model that the run began with.
        earlier = [] if start is None else [read_network(start, read_card(start))]
        for number in range(self.state.stage, len(self.recipe.stages)):
            earlier.append(self._train_stage(number, earlier))
        return earlier[-1]

    def _train_stage(self, number: int, earlier: Sequence[keras.Model]) -> keras.Model:
        recipe, state, stage = self.recipe, self.state, self.recipe.stages[number]
        adapter = steps.adapter()
        # A stage's first weights do not depend on what came before it.
        keras.utils.set_random_seed(self.request.seed + number)
        cards = self.device.cards
        replicas = cards if cards > 1 and stage.batch_size % cards == 0 else 1
        if cards > 1 and replicas == 1:
            self.listener.warn(
                f"Batches of {stage.batch_size} tiles cannot be shared by {cards} GPUs: one is used. Choose "
                f"a BATCH_SIZE that is a multiple of {cards}."
            )
        with adapter.replicated(replicas):
            learner = make_learner(recipe, stage, earlier)
        if number == state.stage and state.batch_size > 0:
            checkpoint.load_variables(self.request.output, learner.variables())
        else:
            state.begin(number, stage.batch_size)
        held_out = self.material.held_out(recipe, stage)
        plan = Plan(
            recipe,
            stage,
            _steps_per_epoch(stage, self.material.pairs),
            self._seconds(stage),
            self.request.output,
            self.fingerprint,
            self.request.keep_last,
        )
        loop = Loop(
            plan,
            learner,
            adapter,
            self.material.batches(recipe, stage, (self.request.seed, number)),
            held_out,
            state,
            self.listener,
            lambda row, answers: self.recorder.add(row, held_out, answers),
            replicas,
        )
        loop.run(judge_first=self.request.start_from is not None)
        return learner.objective.generator

    def _seconds(self, stage: Stage) -> float | None:
        """The stage's part of a budget of time."""
        if self.request.budget_seconds is None:
            return None
        return self.request.budget_seconds * stage.share / sum(s.share for s in self.recipe.stages)


def _steps_per_epoch(stage: Stage, pairs: int) -> int:
    return stage.steps_per_epoch or max(stage.least_steps, -(-pairs // stage.batch_size))


def run(request: Request, told: Listener) -> Result:
    """Train a generator and make its model's folder; see :func:`training.train.train`."""
    listener = Remembering(told)
    adapter = steps.adapter()
    device = choose_device(request.device, adapter, listener)
    precision = choose_precision(request.precision, device, adapter.cards())
    recipe, card = recipe_of(request)
    material = gather(request, recipe, card, listener)
    recipe = with_ground_trusted(recipe, material.gsd[1])
    listener.note(
        f"Recipe {recipe.name}, seed {request.seed}, {precision}, Keras {keras.__version__} on "
        f"{keras.backend.backend()}; {material.pairs} training pairs, {len(material.validation)} held out."
    )
    fingerprint = fingerprint_of(request, recipe, precision)
    state = state_of(request, fingerprint, listener)
    recorder = Recorder(request.output, recipe, listener)
    session = Session(request, recipe, material, device, state, fingerprint, recorder, listener)
    policy = keras.mixed_precision.global_policy()
    try:
        keras.mixed_precision.set_global_policy(precision)
        with keras.device(device.keras_name):
            weights = session.train().get_weights()
    finally:
        recorder.close()
        keras.mixed_precision.set_global_policy(policy)
    if card is not None and state.best_epoch == 0:
        # Nothing was better than the model to start from, which goes on answering as it did.
        recipe = replace(recipe, architecture=dict(card.architecture))
    machine = {"device": device.name, "precision": precision, "backend": keras.backend.backend()}
    return finish(request, recipe, card, material, state, weights, recorder, machine, listener)
