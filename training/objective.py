"""What a step makes smaller: the reconstruction losses, and the adversarial game where there is one.

Written with ``keras.ops`` alone; the adapters in ``training.steps`` differentiate it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from training import adversarial
from training.losses import detail_loss, gradient_loss, l1_loss, relief_loss

LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "relief": relief_loss,
    "detail": detail_loss,
    "l1": l1_loss,
    "gradients": gradient_loss,
}
"""Reconstruction losses by the name that a recipe gives; each takes target and answer and returns one number
per sample."""

GENERATOR_LOSS = "loss"
DISCRIMINATOR_LOSS = "discriminator"


@dataclass(frozen=True)
class Objective:
    """The losses of a generator, and of its discriminator if it has one.

    Attributes:
        generator: the network to train.
        weights: of the reconstruction losses, by name.
        discriminator: judges input and answer; ``None``: there is no game.
        adversarial_weight: of the discriminator's opinion in the generator's loss.
        relative_to_relief: show the discriminator heights around the tile's mean in units of the true tile's
            relief: bounded, as the published target is by itself.
    """

    generator: keras.Model
    weights: Mapping[str, float]
    discriminator: keras.Model | None = None
    adversarial_weight: float = 0.0
    relative_to_relief: bool = True

    def losses(self, inputs: Any, target: Any) -> dict[str, Any]:
        """The means over a batch, by name.

        Args:
            inputs: (n, rows, columns, planes) float32.
            target: (n, rows, columns, bands + 1) float32, the last plane 1 where the rest is known, else 0.

        Returns:
            Scalars: ``loss``, which the generator makes smaller; its parts unweighted; and ``discriminator``,
            which the discriminator makes smaller.
        """
        answer = self.generator(inputs, training=True)
        parts = {name: ops.mean(LOSSES[name](target, answer)) for name in self.weights}
        total = sum(self.weights[name] * part for name, part in parts.items())
        if self.discriminator is not None:
            truth, shown = self._shown(target, answer)
            opinion_of_truth = self.discriminator([inputs, truth], training=True)
            opinion_of_answer = self.discriminator([inputs, shown], training=True)
            parts["adversarial"] = ops.mean(adversarial.generator_loss(opinion_of_answer))
            total = total + self.adversarial_weight * parts["adversarial"]
            parts[DISCRIMINATOR_LOSS] = ops.mean(
                adversarial.discriminator_loss(opinion_of_truth, opinion_of_answer)
            )
        return {GENERATOR_LOSS: total, **parts}

    def _shown(self, target: Any, answer: Any) -> tuple[Any, Any]:
        """Truth and answer as the discriminator sees them, 0 where the truth is unknown."""
        bands = target.shape[-1] - 1
        known = target[..., bands:]
        truth = target[..., :bands] * known
        shown = ops.cast(answer, "float32")[..., :bands] * known
        if not self.relative_to_relief:
            return truth, shown
        count = ops.sum(known, axis=(1, 2, 3), keepdims=True) + 1.0
        shown = (shown - ops.sum(shown, axis=(1, 2, 3), keepdims=True) / count) * known
        relief = ops.sqrt(ops.sum(truth * truth, axis=(1, 2, 3), keepdims=True) / count) + 0.05
        return truth / relief, shown / relief
