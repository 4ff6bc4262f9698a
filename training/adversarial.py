"""The adversarial losses, binary cross-entropy on patches, written with ``keras.ops`` alone."""

from __future__ import annotations

from typing import Any

from keras import ops


def _cross_entropy(label: float, logits: Any) -> Any:
    logits = ops.cast(logits, "float32")
    entropy = ops.binary_crossentropy(ops.full_like(logits, label), logits, from_logits=True)
    return ops.mean(entropy, axis=(1, 2, 3))


def generator_loss(opinion_of_answer: Any) -> Any:
    """How little the discriminator takes the generator's answers for true: -log D(x, G(x)) (Goodfellow et al.
    2014, the non-saturating form; Isola et al. 2017, §3.3).

    Args:
        opinion_of_answer: logits, (n, rows, columns, 1).

    Returns:
        One number per sample, shape (n,).
    """
    return _cross_entropy(1.0, opinion_of_answer)


def discriminator_loss(opinion_of_truth: Any, opinion_of_answer: Any) -> Any:
    """How badly the discriminator tells truth from answers: half the sum of -log D(x, y) and
    -log(1 - D(x, G(x))) (Isola et al. 2017, eq. 1; the half slows it down, §3.3).

    Args:
        opinion_of_truth: logits, (n, rows, columns, 1).
        opinion_of_answer: likewise.

    Returns:
        One number per sample, shape (n,).
    """
    return 0.5 * (_cross_entropy(1.0, opinion_of_truth) + _cross_entropy(0.0, opinion_of_answer))
