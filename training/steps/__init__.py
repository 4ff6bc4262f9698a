"""The part of training that differs between Keras's backends: one step, and what the hardware is.

Everything else is ``keras.ops``. ``adapter()`` is the module of the backend in use,
``training.steps.tensorflow`` or ``training.steps.torch``, which offer the same names.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from training.average import WeightAverage
from training.objective import Objective
from training.request import TrainingError

Step = Callable[["NDArray[np.float32]", "NDArray[np.float32]"], "dict[str, Any]"]
"""Learns from a batch, input and target, and returns the losses before it by name, as scalars of the
backend."""


Answer = Callable[["NDArray[np.float32]"], "NDArray[np.float32]"]
"""A network's answers to a batch, as it answers when it is not learning."""


@dataclass(frozen=True)
class Card:
    """A graphics card: what it calls itself, and whether it computes with bfloat16 at full speed."""

    name: str
    bfloat16: bool


@dataclass(frozen=True)
class Learner:
    """What a step changes.

    Attributes:
        objective: the networks and their losses.
        optimiser: of the generator, built.
        discriminator_optimiser: of the discriminator, built; ``None`` where there is none.
        average: of the generator's weights; ``None`` where none is kept.
    """

    objective: Objective
    optimiser: keras.optimizers.Optimizer
    discriminator_optimiser: keras.optimizers.Optimizer | None = None
    average: WeightAverage | None = None

    def variables(self) -> dict[str, list[Any]]:
        """All variables that a step changes, by what they belong to."""
        found = {"generator": self.objective.generator.variables, "optimiser": self.optimiser.variables}
        if self.objective.discriminator is not None:
            found["discriminator"] = self.objective.discriminator.variables
        if self.discriminator_optimiser is not None:
            found["discriminator_optimiser"] = self.discriminator_optimiser.variables
        if self.average is not None:
            found["average"] = self.average.variables
        return found


class Adapter(Protocol):
    """What the module of a backend offers."""

    def make_step(self, learner: Learner, replicas: int) -> Step:
        """A step of the learner, whose batches are shared by so many cards."""

    def make_answer(self, model: keras.Model) -> Answer:
        """What asks a network, whose weights may change between two questions."""

    def replicated(self, cards: int) -> AbstractContextManager[Any]:
        """The context in which networks and optimisers are made that so many cards share."""

    def cards(self) -> list[Card]:
        """The graphics cards that the backend sees."""

    def largest_replication(self) -> int:
        """How many cards can share the work."""

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether a step failed for want of memory."""

    def release_memory(self) -> None:
        """Give back what a failed step has left."""


def adapter() -> Adapter:
    """The module of the backend that Keras runs on.

    Raises:
        TrainingError: there is no adapter for it.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from training.steps import tensorflow

        return tensorflow
    if backend == "torch":
        from training.steps import torch

        return torch
    raise TrainingError(f"training runs on TensorFlow or PyTorch, not on Keras's backend {backend}")
