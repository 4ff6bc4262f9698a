"""A training step on TensorFlow."""

from __future__ import annotations

import gc
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.objective import DISCRIMINATOR_LOSS, GENERATOR_LOSS
from training.steps import Answer, Card, Learner, Step

_BFLOAT16_CAPABILITY = (8, 0)
"""Compute capability of the first NVIDIA generation with bfloat16 (Ampere)."""

_strategies: dict[int, tf.distribute.Strategy] = {}


def make_step(learner: Learner, replicas: int = 1) -> Step:
    """See :class:`training.steps.Adapter`. Both networks learn from the same forward pass."""
    objective = learner.objective

    def learn(inputs: Any, target: Any) -> dict[str, Any]:
        generator = [variable.value for variable in objective.generator.trainable_variables]
        opponent = objective.discriminator.trainable_variables if objective.discriminator is not None else []
        with tf.GradientTape(persistent=bool(opponent)) as tape:
            losses = objective.losses(inputs, target)
            # Gradients are summed over the cards, and are to be those of the mean over the whole batch.
            loss = learner.optimiser.scale_loss(losses[GENERATOR_LOSS] / replicas)
            if learner.discriminator_optimiser is not None:
                opposed = learner.discriminator_optimiser.scale_loss(losses[DISCRIMINATOR_LOSS] / replicas)
        gradients = tape.gradient(loss, generator)
        if learner.discriminator_optimiser is not None:
            opposed_gradients = tape.gradient(opposed, [variable.value for variable in opponent])
            learner.discriminator_optimiser.apply(opposed_gradients, opponent)
        learner.optimiser.apply(gradients, objective.generator.trainable_variables)
        if learner.average is not None:
            learner.average.update()
        return losses

    if replicas == 1:
        return tf.function(learn, reduce_retracing=True)  # type: ignore[no-any-return]
    strategy = _strategies[replicas]

    @tf.function(reduce_retracing=True)
    def learn_together(inputs: Any, target: Any) -> dict[str, Any]:
        losses = strategy.run(learn, args=(inputs, target))
        return {
            name: strategy.reduce(tf.distribute.ReduceOp.MEAN, loss, axis=None)
            for name, loss in losses.items()
        }

    def step(inputs: NDArray[np.float32], target: NDArray[np.float32]) -> dict[str, Any]:
        def shared(batch: NDArray[np.float32]) -> Any:
            parts = np.split(batch, replicas)
            return strategy.experimental_distribute_values_from_function(
                lambda context: tf.constant(parts[context.replica_id_in_sync_group])
            )

        losses: dict[str, Any] = learn_together(shared(inputs), shared(target))
        return losses

    return step


def make_answer(model: keras.Model) -> Answer:
    """See :class:`training.steps.Adapter`."""
    ask = tf.function(lambda inputs: model(inputs, training=False), reduce_retracing=True)
    return lambda inputs: np.asarray(ask(tf.constant(inputs)), np.float32)


def replicated(cards: int) -> AbstractContextManager[Any]:
    """See :class:`training.steps.Adapter`.

    ``keras.distribution`` shares work on JAX only. On TensorFlow Keras's layers and optimisers are made for
    ``tf.distribute``, whose mirrored strategy this is: each card has the same weights and its part of a
    batch, and gradients are summed over the cards.
    """
    if cards == 1:
        return nullcontext()
    if cards not in _strategies:
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        names = [device.name for device in tf.config.list_logical_devices(kind)[:cards]]
        _strategies[cards] = tf.distribute.MirroredStrategy(names)
    scope: AbstractContextManager[Any] = _strategies[cards].scope()
    return scope


def cards() -> list[Card]:
    """See :class:`training.steps.Adapter`. TensorFlow is told to take a card's memory as it needs it: other
    programs draw on the same card."""
    found = []
    for device in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(device, True)
        except RuntimeError:
            # The card is in use already, with whatever was set then.
            continue
        finally:
            details = tf.config.experimental.get_device_details(device)
            capability = details.get("compute_capability") or (0, 0)
            found.append(Card(details.get("device_name", device.name), capability >= _BFLOAT16_CAPABILITY))
    return found


def largest_replication() -> int:
    """See :class:`training.steps.Adapter`."""
    return max(1, len(tf.config.list_logical_devices("GPU")))


def is_out_of_memory(error: BaseException) -> bool:
    """See :class:`training.steps.Adapter`."""
    return isinstance(error, (tf.errors.ResourceExhaustedError, MemoryError))


def release_memory() -> None:
    """See :class:`training.steps.Adapter`. TensorFlow keeps its pool for the next step; what Python
    still holds of the failed one must go."""
    gc.collect()
