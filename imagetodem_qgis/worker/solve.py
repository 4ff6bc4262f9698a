"""The tiles' levels, their offsets and gains, from their overlaps and from known heights: one sparse weighted
least squares over all of them. The equations are in ``docs/surface.md``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_ROUNDS = 12
_ROUNDING = 1e-6
"""Standard deviations of an observation that are no disagreement."""
_SETTLED = 1e-9
_HUBER = 1.5
_NORMAL_CONSISTENT = 1.4826
_GAIN_PRIOR = 0.25
"""One standard deviation of the logarithm of a gain before anything is known of it."""
_LARGEST_GAIN = 4.0
_LEAST_CORRELATION = 0.2
"""Below it, two tiles' heights in an overlap tell nothing of the ratio of their gains."""
_COMMON_VARIANCE = 0.25
"""Share of the median disagreement that no overlap's is taken to be below: on a lake two tiles agree in next
to nothing, and yet that says little about the ground around it."""
_BAD = 4.0
"""How many times the usual disagreement makes a tile one that disagrees with all its neighbours."""
_LEAST_TRUST = 0.003
_HARMLESS = 0.01
"""Disagreement, relative to the relief, below which no tile is a bad one however well the others agree: what
is left of those is rounding."""


def solve_levels(
    pairs: IntArray,
    overlaps: FloatArray,
    anchored: IntArray,
    anchors: FloatArray,
    areas: FloatArray,
    with_gains: bool = False,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Offsets and gains that make overlapping tiles agree with each other and with known heights.

    Iteratively reweighted least squares with Huber's function (Huber 1981), so that one bad tile or one wrong
    height does not bend the others, and Gauss-Newton steps, since a gain multiplies what an offset is added
    to. Where no height is known in a connected part, its offsets, weighted by the tiles' areas, have mean 0,
    or that of the parts of which one is known, and the logarithms of its gains have mean 0.

    Args:
        pairs: (n, 2) int64, indices of overlapping tiles.
        overlaps: (n, 7) float64, by column: mean height of the first and of the second tile in the overlap,
            their standard deviations, their correlation, the variance of their difference, and the number of
            independent places that these come from.
        anchored: (k,) int64, index of the tile of each known height.
        anchors: (k, 3) float64, by column: the tile's height, the known height, the variance of their
            difference.
        areas: (tiles,) float64, known pixels of each tile.
        with_gains: whether to solve for gains; otherwise they are 1.

    Returns:
        Offsets in the heights' unit, gains, and trust: what to multiply a tile's weight with, below 1 for a
        tile that disagrees with all its neighbours. (tiles,) float64 each.
    """
    tiles = len(areas)
    offsets, log_gains = np.zeros(tiles), np.zeros(tiles)
    if len(pairs) + len(anchored) == 0:
        return offsets, np.exp(log_gains), np.ones(tiles)
    parts, part = _parts(tiles, pairs)
    floating = np.ones(parts, bool)
    floating[part[anchored]] = False
    # Where nothing tells a part's height, one of its tiles is held while the others are solved.
    held = np.unique(part, return_index=True)[1][floating]
    system = _System(tiles, pairs, overlaps, anchored, anchors, held, with_gains)
    for _ in range(_ROUNDS):
        step = system.step(offsets, log_gains)
        offsets, log_gains = offsets + step[:tiles], log_gains + step[tiles:]
        log_gains = np.clip(log_gains, -np.log(_LARGEST_GAIN), np.log(_LARGEST_GAIN))
        # Without it, all gains would shrink together: smaller heights disagree by less.
        drift = np.where(floating, _means(part, parts, log_gains, areas), 0.0)[part]
        log_gains, offsets = log_gains - drift, offsets * np.exp(-drift)
        offsets -= np.where(floating, _means(part, parts, offsets, areas), 0.0)[part]
        if np.abs(step).max() <= _SETTLED * max(1.0, float(np.abs(offsets).max())):
            break
    if floating.any() and not floating.all():
        # The best guess for ground of which no height is known: as high as the rest.
        held_areas = np.where(floating[part], 0.0, areas)
        offsets += np.where(floating[part], _means(np.zeros_like(part), 1, offsets, held_areas), 0.0)
    trust = _trust(tiles, pairs, overlaps, offsets, np.exp(log_gains))
    return offsets, np.exp(log_gains), trust


def guessed_tiles(pairs: IntArray, anchored: IntArray, areas: FloatArray) -> int:
    """How many tiles with known pixels hang on no known height while others do.

    Args:
        pairs: as for :func:`solve_levels`.
        anchored: likewise.
        areas: likewise.
    """
    if not len(anchored):
        return 0
    parts, part = _parts(len(areas), pairs)
    floating = np.ones(parts, bool)
    floating[part[anchored]] = False
    return int((floating[part] & (areas > 0.0)).sum())


class _System:
    """The equations, linearised around given offsets and logarithms of gains."""

    def __init__(
        self,
        tiles: int,
        pairs: IntArray,
        overlaps: FloatArray,
        anchored: IntArray,
        anchors: FloatArray,
        held: IntArray,
        with_gains: bool,
    ) -> None:
        self._tiles, self._pairs, self._anchored, self._held = tiles, pairs, anchored, held
        self._means = overlaps[:, 0:2]
        self._heights, self._known = anchors[:, 0], anchors[:, 1]
        variance, places = overlaps[:, 5], np.maximum(overlaps[:, 6], 1e-3)
        common = _COMMON_VARIANCE * float(np.median(variance)) if len(variance) else 0.0
        level = (variance + common + _rounding(overlaps)) / places
        self._deviations = [np.sqrt(level), np.sqrt(np.maximum(anchors[:, 2], 1e-12))]
        self._with_gains = with_gains
        deviations, correlation = overlaps[:, 2:4], overlaps[:, 4]
        telling = (correlation > _LEAST_CORRELATION) & (deviations > 0.0).all(axis=1)
        self._telling = telling
        self._ratios = np.log(deviations[telling, 1] / deviations[telling, 0])
        spread = np.sqrt((1.0 - correlation[telling] ** 2 + 1e-4) / places[telling])
        self._deviations += [spread, np.full(tiles, _GAIN_PRIOR)]

    def step(self, offsets: FloatArray, log_gains: FloatArray) -> FloatArray:
        """The change of offsets and logarithms of gains, (2 · tiles,), that one round asks for."""
        gains = np.exp(log_gains)
        designs, residuals = self._levels(offsets, gains)
        groups = list(zip(designs, residuals, self._deviations[:2]))
        if self._with_gains:
            designs, residuals = self._of_gains(log_gains)
            groups += list(zip(designs, residuals, self._deviations[2:]))
        groups = [group for group in groups if len(group[1])]
        trust = [_huber(residual / deviation) for _, residual, deviation in groups]
        if self._with_gains:
            # A gain must stay near 1 whatever its tile's overlaps say.
            trust[-1][:] = 1.0
        weights = [factor / group[2] ** 2 for factor, group in zip(trust, groups)]
        design = sparse.vstack([group[0] for group in groups], format="csr")
        if not self._with_gains:
            design = design[:, : self._tiles]
        weighted = design.T @ sparse.diags(np.concatenate(weights))
        normal = (weighted @ design).tocsc()
        diagonal = normal.diagonal()
        stiff = np.zeros(len(diagonal))
        stiff[self._held] = np.where(diagonal[self._held] > 0.0, diagonal[self._held], 1.0)
        normal += sparse.diags(stiff, format="csc")
        factors = splu(normal, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
                       options={"SymmetricMode": True})  # fmt: skip
        solution = factors.solve(weighted @ np.concatenate([group[1] for group in groups]))
        return np.concatenate([solution, np.zeros(2 * self._tiles - len(solution))])

    def _levels(
        self, offsets: FloatArray, gains: FloatArray
    ) -> tuple[list[sparse.csr_matrix], list[FloatArray]]:
        first, second = self._pairs[:, 0], self._pairs[:, 1]
        one, other = gains[first] * self._means[:, 0], gains[second] * self._means[:, 1]
        overlap = self._design(
            [(first, np.ones(len(first))), (second, -np.ones(len(first)))], [(first, one), (second, -other)]
        )
        height = gains[self._anchored] * self._heights
        anchor = self._design([(self._anchored, np.ones(len(height)))], [(self._anchored, height)])
        residuals = [
            offsets[second] + other - offsets[first] - one,
            self._known - offsets[self._anchored] - height,
        ]
        return [overlap, anchor], residuals

    def _of_gains(self, log_gains: FloatArray) -> tuple[list[sparse.csr_matrix], list[FloatArray]]:
        first, second = self._pairs[self._telling].T
        ones = np.ones(len(first))
        ratio = self._design([], [(first, ones), (second, -ones)], len(first))
        every = np.arange(self._tiles)
        prior = self._design([], [(every, np.ones(self._tiles))], self._tiles)
        return [ratio, prior], [self._ratios - log_gains[first] + log_gains[second], -log_gains]

    def _design(
        self,
        offsets: list[tuple[IntArray, FloatArray]],
        gains: list[tuple[IntArray, FloatArray]],
        count: int | None = None,
    ) -> sparse.csr_matrix:
        """Rows of the design: for offsets and for logarithms of gains, each row's tiles and factors."""
        entries = offsets + [(tile + self._tiles, factor) for tile, factor in gains]
        count = len(entries[0][0]) if count is None else count
        rows = np.tile(np.arange(count), len(entries))
        columns = np.concatenate([tile for tile, _ in entries])
        factors = np.concatenate([factor for _, factor in entries])
        return sparse.csr_matrix((factors, (rows, columns)), shape=(count, 2 * self._tiles))


def _rounding(overlaps: FloatArray) -> FloatArray:
    """A variance below which float32 heights cannot be told apart."""
    size = np.abs(overlaps[:, 0:2]).max(axis=1) + overlaps[:, 2:4].max(axis=1)
    return np.asarray((1e-6 * size + 1e-6) ** 2)


def _huber(residual: FloatArray) -> FloatArray:
    spread = _NORMAL_CONSISTENT * float(np.median(np.abs(residual)))
    if spread <= _ROUNDING:
        # Most fit exactly: what does not is judged by its own size.
        spread = max(_ROUNDING, float(np.abs(residual).mean()))
    return np.minimum(1.0, _HUBER * spread / np.maximum(np.abs(residual), _ROUNDING))


def _trust(
    tiles: int, pairs: IntArray, overlaps: FloatArray, offsets: FloatArray, gains: FloatArray
) -> FloatArray:
    """Less than 1 for a tile whose best overlap still disagrees by much more than is usual."""
    trust = np.ones(tiles)
    if len(pairs) == 0:
        return trust
    lifted = offsets[pairs] + gains[pairs] * overlaps[:, 0:2]
    deviations = gains[pairs] * overlaps[:, 2:4]
    variance = deviations[:, 0] ** 2 + deviations[:, 1] ** 2
    apart = variance - 2.0 * overlaps[:, 4] * deviations[:, 0] * deviations[:, 1]
    apart = np.maximum(apart, 0.0) + (lifted[:, 0] - lifted[:, 1]) ** 2
    relative = np.sqrt(apart / (variance + float(np.median(apart)) + 1e-12))
    best = np.full(tiles, np.inf)
    np.minimum.at(best, pairs.ravel(), relative.repeat(2))
    usual = float(np.median(best[np.isfinite(best)]))
    compared = np.isfinite(best)
    excess = best[compared] / max(_BAD * usual, _HARMLESS)
    trust[compared] = np.clip(1.0 / np.maximum(excess, 1.0) ** 4, _LEAST_TRUST, 1.0)
    return trust


def _parts(tiles: int, pairs: IntArray) -> tuple[int, NDArray[np.int32]]:
    links = sparse.csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(tiles, tiles))
    count, part = connected_components(links, directed=False)
    return int(count), part


def _means(part: NDArray[np.int32], parts: int, values: FloatArray, areas: FloatArray) -> FloatArray:
    """Mean of each part by area."""
    area = np.bincount(part, areas, parts)
    return np.asarray(np.bincount(part, areas * values, parts) / np.where(area > 0.0, area, 1.0))
