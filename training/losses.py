"""Losses on heights that are only known up to a constant, written with ``keras.ops`` alone.

Shapes: ``target`` is (n, rows, columns, 2): height in units of a pixel, and 1 where it is known, else 0.
``answer`` is (n, rows, columns, 2): predicted height, and ln of the predicted Laplace scale of its error.
"""

from __future__ import annotations

from typing import Any

from keras import ops

_GRADIENT_SCALES = 5
_GRADIENT_WEIGHT = 0.5
_L1_WEIGHT = 0.5
_SPREAD_WEIGHT = 0.05
_LEAST_RELIEF = 0.05
"""Pixels of relief that count as none: the sea and plains are not to be told apart by their noise."""
_LEAST_DETAIL = 0.01
"""The same for what a coarse DEM lacks."""
_SLOPE_WEIGHT = 0.4
_LEAST_SLOPE = 0.005
"""Radians of a slope's error that count as none."""


def relief_loss(target: Any, answer: Any) -> Any:
    """Shift-invariant L1, correlation and multi-scale gradient matching, relative to the tile's own relief,
    plus the likelihood of the predicted spread.

    L1 and the gradients follow the loss of Ranftl et al. 2020 (MiDaS, eq. 6 and 11) without its scale
    invariance, since heights here have a unit. Dividing by the tile's relief lets a plain and a mountain
    weigh alike. While a network knows little, L1 draws its answers towards 0; the correlation, which does not
    see their scale, keeps telling it the right shape. The spread learns from the height's error without
    changing it (Kendall & Gal 2017, Laplace likelihood).

    Returns:
        One number per sample, shape (n,).
    """
    target = ops.cast(target, "float32")
    answer = ops.cast(answer, "float32")
    known = target[..., 1:]
    count = ops.sum(known, axis=(1, 2, 3), keepdims=True) + 1.0
    height = target[..., :1]
    relief = ops.sqrt(ops.sum(known * height * height, axis=(1, 2, 3), keepdims=True) / count)
    relief = relief + _LEAST_RELIEF
    predicted = answer[..., :1] * known
    predicted = predicted - known * ops.sum(predicted, axis=(1, 2, 3), keepdims=True) / count
    error = predicted - height
    loss = _L1_WEIGHT * ops.sum(ops.abs(error), axis=(1, 2, 3), keepdims=True) / count / relief
    spread = ops.sqrt(ops.sum(predicted * predicted, axis=(1, 2, 3), keepdims=True) / count + 1e-6)
    product = ops.sum(predicted * height, axis=(1, 2, 3), keepdims=True) / count
    loss = loss + 1.0 - product / (spread * relief)
    loss = loss + _GRADIENT_WEIGHT * _gradient_matching(error / relief, known)
    loss = loss + _SPREAD_WEIGHT * _likelihood(error, answer[..., 1:], known)
    return loss[:, 0, 0, 0]


def _likelihood(error: Any, log_scale: Any, known: Any) -> Any:
    """Mean negative logarithm of the error's likelihood under the predicted Laplace scale, which alone learns
    from it, (n, 1, 1, 1)."""
    log_scale = ops.clip(log_scale, -8.0, 8.0)
    likelihood = ops.abs(ops.stop_gradient(error)) * ops.exp(-log_scale) + log_scale
    count = ops.sum(known, axis=(1, 2, 3), keepdims=True) + 1.0
    return ops.sum(known * likelihood, axis=(1, 2, 3), keepdims=True) / count


def detail_loss(target: Any, answer: Any) -> Any:
    """What a guided network is judged by: its error, in height and in slope, over that of the coarse DEM.

    The height's and the slope's root mean squares, each divided by what the coarse DEM alone has, and
    gradient matching as in :func:`relief_loss`. The slope needs a term of its own: the mean of what may
    be there, which the others ask for, is smoother than any terrain.

    Args:
        target: (n, rows, columns, 3): what the coarse DEM lacks and the coarse DEM, in units of a pixel,
            and 1 where they are known, else 0.
        answer: (n, rows, columns, 2): what is predicted to be lacking, and ln of its error's Laplace scale.

    Returns:
        One number per sample, shape (n,).
    """
    target = ops.cast(target, "float32")
    answer = ops.cast(answer, "float32")
    lacking, coarse, known = target[..., :1], target[..., 1:2], target[..., 2:]
    predicted = answer[..., :1] * known
    error = predicted - lacking * known
    relief = _root_mean_square(lacking, known) + _LEAST_DETAIL
    loss = _root_mean_square(error, known) / relief + _GRADIENT_WEIGHT * _gradient_matching(
        error / relief, known
    )
    slope, known_slope = _slope(coarse + lacking, known)
    smooth, _ = _slope(coarse, known)
    sharpened, _ = _slope(coarse + predicted, known)
    missed = _root_mean_square(smooth - slope, known_slope) + _LEAST_SLOPE
    loss = loss + _SLOPE_WEIGHT * _root_mean_square(sharpened - slope, known_slope) / missed
    return (loss + _SPREAD_WEIGHT * _likelihood(error, answer[..., 1:], known))[:, 0, 0, 0]


def _root_mean_square(values: Any, known: Any) -> Any:
    """Of what is known, per sample, (n, 1, 1, 1)."""
    count = ops.sum(known, axis=(1, 2, 3), keepdims=True) + 1.0
    # The root's derivative has no bound at 0.
    return ops.sqrt(ops.sum(known * values * values, axis=(1, 2, 3), keepdims=True) / count + 1e-8)


def _slope(height: Any, known: Any) -> tuple[Any, Any]:
    """Slope in radians of heights in units of a pixel, by central differences, (n, rows - 2, columns - 2, 1),
    and where it is known."""
    height, known = height[..., 0], known[..., 0]
    below, above = _neighbours(_inner(height, 2), 1, 2)
    right, left = _neighbours(_inner(height, 1), 2, 2)
    down, across = (below - above) / 2.0, (right - left) / 2.0
    below, above = _neighbours(_inner(known, 2), 1, 2)
    right, left = _neighbours(_inner(known, 1), 2, 2)
    everywhere = below * above * right * left
    slope = ops.arctan(ops.sqrt(down * down + across * across + 1e-6))
    return slope[..., None], everywhere[..., None]


def l1_loss(target: Any, answer: Any) -> Any:
    """Mean absolute difference where the target is known (Isola et al. 2017, eq. 3).

    Args:
        target: (n, rows, columns, bands + 1), the last plane 1 where the rest is known, else 0.
        answer: (n, rows, columns, bands) or more planes, which are left out.

    Returns:
        One number per sample, shape (n,).
    """
    target = ops.cast(target, "float32")
    bands = target.shape[-1] - 1
    known = target[..., bands:]
    error = ops.abs(ops.cast(answer, "float32")[..., :bands] - target[..., :bands]) * known
    return ops.sum(error, axis=(1, 2, 3)) / (bands * ops.sum(known, axis=(1, 2, 3)) + 1e-6)


def gradient_loss(target: Any, answer: Any) -> Any:
    """How far the differences between neighbours 1, 2, 4, 8 and 16 pixels apart are from the truth's (Ranftl
    et al. 2020, eq. 11): it keeps edges sharp where L1 alone blurs them.

    Args:
        target: (n, rows, columns, bands + 1), the last plane 1 where the rest is known, else 0.
        answer: (n, rows, columns, bands) or more planes, which are left out.

    Returns:
        One number per sample, shape (n,).
    """
    target = ops.cast(target, "float32")
    bands = target.shape[-1] - 1
    known = target[..., bands:]
    error = ops.cast(answer, "float32")[..., :bands] - target[..., :bands]
    return _gradient_matching(error, known)[:, 0, 0, 0] / bands


def _gradient_matching(error: Any, known: Any) -> Any:
    """Mean absolute difference of the error between neighbours that are 1, 2, 4, ... pixels apart,
    (n, 1, 1, 1), summed over its planes."""
    bands = error.shape[-1]
    # Bands lie within rows, for a processor is slow at cutting where the innermost axis is short.
    shape = (-1, error.shape[1], error.shape[2] * bands)
    error = ops.reshape(error, shape)
    known = ops.reshape(known if bands == 1 else ops.repeat(known, bands, axis=-1), shape)
    total: Any = 0.0
    for scale in range(_GRADIENT_SCALES):
        differences, pairs = 0.0, 0.0
        for axis, step in ((1, 2**scale), (2, 2**scale * bands)):
            one, other = _neighbours(error, axis, step)
            one_known, other_known = _neighbours(known, axis, step)
            both = one_known * other_known
            differences = differences + ops.sum(ops.abs(one - other) * both, axis=(1, 2))
            pairs = pairs + ops.sum(both, axis=(1, 2))
        total = total + differences / (pairs / bands + 1.0)
    return total[:, None, None, None] / _GRADIENT_SCALES


def _neighbours(values: Any, axis: int, step: int) -> tuple[Any, Any]:
    """All values but the first ones along an axis, and all but the last ones."""
    # Split off, not cut out: TensorFlow's derivative of a cut is an order of magnitude slower.
    first = ops.split(values, [values.shape[axis] - step], axis=axis)[0]
    return ops.split(values, [step], axis=axis)[1], first


def _inner(values: Any, axis: int) -> Any:
    """All values but the first and the last ones along an axis."""
    return ops.split(values, [1, values.shape[axis] - 1], axis=axis)[1]
