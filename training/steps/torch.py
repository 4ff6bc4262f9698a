"""A training step on PyTorch."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import numpy as np
import torch
from keras import ops
from numpy.typing import NDArray

from training.objective import DISCRIMINATOR_LOSS, GENERATOR_LOSS
from training.steps import Answer, Card, Learner, Step


def make_step(learner: Learner, replicas: int = 1) -> Step:
    """See :class:`training.steps.Adapter`. Both networks learn from the same forward pass."""
    objective = learner.objective

    def step(inputs: NDArray[np.float32], target: NDArray[np.float32]) -> dict[str, Any]:
        losses = objective.losses(ops.convert_to_tensor(inputs), ops.convert_to_tensor(target))
        generator = objective.generator.trainable_variables
        # Each loss is differentiated by its own network's weights alone, before either network has moved.
        gradients = torch.autograd.grad(
            learner.optimiser.scale_loss(losses[GENERATOR_LOSS]),
            [variable.value for variable in generator],
            retain_graph=objective.discriminator is not None,
        )
        if learner.discriminator_optimiser is not None and objective.discriminator is not None:
            discriminator = objective.discriminator.trainable_variables
            opposed = torch.autograd.grad(
                learner.discriminator_optimiser.scale_loss(losses[DISCRIMINATOR_LOSS]),
                [variable.value for variable in discriminator],
            )
            with torch.no_grad():
                learner.discriminator_optimiser.apply(opposed, discriminator)
        with torch.no_grad():
            learner.optimiser.apply(gradients, generator)
            if learner.average is not None:
                learner.average.update()
        return {name: loss.detach() for name, loss in losses.items()}

    return step


def make_answer(model: keras.Model) -> Answer:
    """See :class:`training.steps.Adapter`."""

    def ask(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            answer = model(ops.convert_to_tensor(inputs), training=False)
        return np.asarray(ops.convert_to_numpy(ops.cast(answer, "float32")), np.float32)

    return ask


def replicated(cards: int) -> AbstractContextManager[Any]:
    """See :class:`training.steps.Adapter`."""
    return nullcontext()


def cards() -> list[Card]:
    """See :class:`training.steps.Adapter`."""
    if torch.cuda.is_available():
        bfloat16 = torch.cuda.is_bf16_supported()
        return [Card(torch.cuda.get_device_name(n), bfloat16) for n in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        return [Card("Apple GPU", False)]
    return []


def largest_replication() -> int:
    """See :class:`training.steps.Adapter`. Keras shares no work between cards on PyTorch."""
    return 1


def is_out_of_memory(error: BaseException) -> bool:
    """See :class:`training.steps.Adapter`."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # On a processor PyTorch has no error of its own for it.
    return isinstance(error, RuntimeError) and "not enough memory" in str(error)


def release_memory() -> None:
    """See :class:`training.steps.Adapter`."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
