"""One training step on the environment's Keras backend: ``python -m tests.one_step START END [DEVICES]``.

``START`` holds the weights of both networks and a batch; ``END`` gets the losses and the weights after the
step. Run once on each backend, it shows whether they do the same.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers

from training import steps
from training.average import WeightAverage
from training.discriminator import patch_discriminator
from training.objective import Objective

SIZE = 32
RATE = 0.05


def objective() -> Objective:
    """A small generator and its opponent."""
    tile = keras.Input((SIZE, SIZE, 4))
    x = layers.Conv2D(8, 3, strides=2, padding="same")(tile)
    x = layers.ReLU()(layers.GroupNormalization(4)(x))
    x = layers.UpSampling2D(2)(layers.Conv2D(8, 3, padding="same")(x))
    generator = keras.Model(tile, layers.Conv2D(2, 3, padding="same")(layers.ReLU()(x)))
    opponent = patch_discriminator(4, 1, SIZE, filters=(4, 4, 8, 8), normalisation="sample")
    return Objective(generator, {"relief": 1.0, "l1": 0.3}, opponent, 0.7)


def take_step(start: Path, end: Path, replicas: int = 1) -> None:
    """Learn from the batch once, shared by so many devices."""
    with np.load(start) as file:
        given = dict(file)
    adapter = steps.adapter()
    with adapter.replicated(replicas):
        made = objective()
        models = (made.generator, made.discriminator)
        for name, model in zip(("generator", "discriminator"), models):
            model.set_weights([given[f"{name}{n}"] for n in range(len(model.get_weights()))])
        # Plain descent: with Adam, rounding decides the sign of a step where a gradient is next to nothing.
        optimisers = [keras.optimizers.SGD(RATE) for _ in models]
        for optimiser, model in zip(optimisers, models):
            optimiser.build(model.trainable_variables)
        average = WeightAverage(made.generator, 0.9)
    learner = steps.Learner(made, *optimisers, average)
    losses = adapter.make_step(learner, replicas)(given["inputs"], given["target"])
    results = {f"loss {name}": np.float64(float(loss)) for name, loss in losses.items()}
    for name, model in zip(("generator", "discriminator"), models):
        results.update({f"{name}{n}": weight for n, weight in enumerate(model.get_weights())})
    with average.in_place():
        results.update({f"average{n}": weight for n, weight in enumerate(made.generator.get_weights())})
    np.savez(end, **results)


def split_processor(parts: int) -> None:
    """Let TensorFlow see the processor as several, before it is used."""
    import tensorflow as tf

    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * parts)


if __name__ == "__main__":
    devices = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    if devices > 1:
        split_processor(devices)
    take_step(Path(sys.argv[1]), Path(sys.argv[2]), devices)
