"""A generator of five layers, for tests of training that have no need of a good one.

``python -m tests.tiny_generator ...`` is ``python -m training.train ...`` with it among the architectures.
With ``STEPS_BEFORE_SLEEP`` in its environment it is slow, and after so many steps stands still to be killed
there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from training import steps
from training.generator import ARCHITECTURES, IMAGE_INPUTS, RELIEF_OUTPUTS

TINY = "tiny_unet"


def tiny_unet(
    inputs: Sequence[str] = IMAGE_INPUTS, outputs: Sequence[str] = RELIEF_OUTPUTS, tile_size: int | None = 32
) -> keras.Model:
    """As ``training.generator.coarse_unet``, with 1,200 weights or so."""
    tile = keras.Input((tile_size, tile_size, len(inputs)), name="image")
    x = layers.Conv2D(8, 5, strides=2, padding="same", use_bias=False, name="enter_conv")(tile)
    x = layers.GroupNormalization(4, epsilon=1e-3, name="enter_norm")(x)
    x = layers.ReLU(name="enter_act")(x)
    x = layers.UpSampling2D(2, interpolation="nearest", name="up")(x)
    answer = layers.Conv2D(len(outputs), 5, padding="same", name="answer", dtype="float32")(x)
    return keras.Model(tile, answer, name=TINY)


ARCHITECTURES[TINY] = tiny_unet


def sleep_after(count: int) -> None:
    """Let training sleep instead of taking the step after ``count``."""
    adapter = steps.adapter()
    real = adapter.make_step

    def make_step(learner: steps.Learner, replicas: int) -> steps.Step:
        step = real(learner, replicas)
        left = count

        def counted(inputs: Any, target: Any) -> dict[str, Any]:
            nonlocal left
            left -= 1
            time.sleep(0.5 if left >= 0 else 600)
            return step(inputs, target)

        return counted

    adapter.make_step = make_step  # type: ignore[method-assign]


if __name__ == "__main__":
    from training.train import main

    if "STEPS_BEFORE_SLEEP" in os.environ:
        sleep_after(int(os.environ["STEPS_BEFORE_SLEEP"]))
    main()
