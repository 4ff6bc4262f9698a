"""The tiles' offsets from their overlaps: one sparse weighted least squares over all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import lsmr

_ROUNDS = 6
_HUBER = 1.5
_NORMAL_CONSISTENT = 1.4826


def solve_offsets(
    tiles: int,
    pairs: NDArray[np.int64],
    differences: NDArray[np.float64],
    weights: NDArray[np.float64],
    areas: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Offsets that make overlapping tiles agree.

    Minimises ``sum(w · ρ(o[first] - o[second] - d))`` with Huber's ρ by iteratively reweighted least squares
    (Huber 1981), so that one bad tile does not bend the others. Offsets are known up to a constant in each
    connected part: it is chosen so that the part's offsets, weighted by the tiles' areas, have mean 0.

    Args:
        tiles: how many.
        pairs: (n, 2) int64, indices of the overlapping tiles.
        differences: (n,) float64, observed ``offset[first] - offset[second]``.
        weights: (n,) float64, inverse variances up to a factor.
        areas: (tiles,) float64, known pixels of each tile.

    Returns:
        (tiles,) float64, in the unit of ``differences``.
    """
    count = len(differences)
    offsets = np.zeros(tiles)
    if count == 0:
        return offsets
    numbers = np.arange(count)
    rows = np.concatenate([numbers, numbers])
    columns = np.concatenate([pairs[:, 0], pairs[:, 1]])
    signs = np.concatenate([np.ones(count), -np.ones(count)])
    design = sparse.csr_matrix((signs, (rows, columns)), shape=(count, tiles))
    root = np.sqrt(weights / weights.max())
    trust = np.ones(count)
    for _ in range(_ROUNDS):
        scale = root * np.sqrt(trust)
        # Starting from the last answer makes the later rounds nearly free.
        residual = scale * (differences - design @ offsets)
        step = lsmr(sparse.diags(scale) @ design, residual, atol=1e-10, btol=1e-10, maxiter=20 * tiles + 100)[
            0
        ]
        offsets = offsets + step
        size = np.abs(root * (differences - design @ offsets))
        spread = _NORMAL_CONSISTENT * np.median(size)
        if spread <= 1e-9 * max(1.0, float(np.abs(differences).max())):
            break
        trust = np.minimum(1.0, _HUBER * spread / np.maximum(size, 1e-300))
    parts, part = connected_components(design.T @ design, directed=False)
    area = np.bincount(part, areas, parts)
    means = np.bincount(part, areas * offsets, parts) / np.where(area > 0, area, 1.0)
    return np.asarray(offsets - means[part], np.float64)
