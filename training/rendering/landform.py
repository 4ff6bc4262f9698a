"""What the shape of the ground says about what grows and lies on it: slope, exposure, hollows, streams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from training.rendering.resampling import enlarged, reduced

_COARSE = 4
_STREAM_GRID = 3


@dataclass(frozen=True)
class Landform:
    """Properties of the ground, each (size, size) float32.

    Attributes:
        down: change of height to the next row, per distance.
        across: change of height to the next column, per distance.
        slope: tangent of the slope.
        height: between 0 at the second and 1 at the ninety-eighth hundredth of the heights.
        ridge: height above the mean of about 30 pixels around, over its own standard deviation.
        crest: the same for about 8 pixels.
        edge: the same for about 3 pixels.
        flow: ln of the number of pixels that drain through a pixel.
    """

    down: NDArray[np.float32]
    across: NDArray[np.float32]
    slope: NDArray[np.float32]
    height: NDArray[np.float32]
    ridge: NDArray[np.float32]
    crest: NDArray[np.float32]
    edge: NDArray[np.float32]
    flow: NDArray[np.float32]

    def facing(self, azimuth: float) -> NDArray[np.float32]:
        """Sine of the slope times the cosine between its exposure and an azimuth in degrees: in [-1, 1]."""
        east, north = np.sin(np.radians(azimuth)), np.cos(np.radians(azimuth))
        # Ground faces where it falls to; rows run to the south.
        fall = self.down * np.float32(north) - self.across * np.float32(east)
        return np.asarray(fall / np.sqrt(1.0 + self.slope**2), np.float32)


def read_landform(heights: NDArray[np.float32], gsd: float) -> Landform:
    """Work out the shape of the ground.

    Args:
        heights: (size, size) float32, metres.
        gsd: ground sampling distance in metres.
    """
    down, across = np.gradient(heights, gsd)
    low, high = np.percentile(heights[::4, ::4], [2.0, 98.0])
    coarse = reduced(heights, _COARSE)
    ridge = enlarged(_above_mean(coarse, 30 / _COARSE / 2), _COARSE, heights.shape)
    crest = enlarged(_above_mean(coarse, 8 / _COARSE / 2), _COARSE, heights.shape)
    return Landform(
        down,
        across,
        np.hypot(down, across),
        (heights - np.float32(low)) / np.float32(max(high - low, gsd / 10.0)),
        ridge,
        crest,
        _above_mean(heights, 1.6),
        flow(heights, _STREAM_GRID),
    )


def _above_mean(heights: NDArray[np.float32], radius: float) -> NDArray[np.float32]:
    above = heights - ndimage.gaussian_filter(heights, radius, truncate=2.5)
    return np.asarray(above / max(float(above.std()), 1e-3), np.float32)


def flow(heights: NDArray[np.float32], factor: int = 1) -> NDArray[np.float32]:
    """Ln of the number of pixels that drain through each pixel.

    Water leaves a pit over the lowest saddle, as in priority flooding (Barnes, Lehman & Mulla 2014): those
    ways are the minimum spanning tree of the grid, an edge costing the higher of its ends, rooted outside.

    Args:
        heights: (rows, columns) float32.
        factor: the drainage is found on means of factor × factor pixels.

    Returns:
        (rows, columns) float32, at least 0.
    """
    grid = reduced(heights, factor) if factor > 1 else heights
    area = _drained(grid.astype(np.float64))
    logarithm = np.log(area * float(factor**2)).astype(np.float32)
    return enlarged(logarithm, factor, heights.shape) if factor > 1 else logarithm


def _drained(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Number of cells that drain through each cell, itself included."""
    rows, columns = heights.shape
    outside = rows * columns
    numbers = np.arange(outside).reshape(rows, columns)
    # Edges must cost more than nothing to be edges; among ways down, the steepest costs least.
    level = (heights - heights.min() + 1.0).ravel()
    border = np.concatenate([numbers[0], numbers[-1], numbers[1:-1, 0], numbers[1:-1, -1]])
    ends = [
        (numbers[:-1], numbers[1:], 1.0),
        (numbers[:, :-1], numbers[:, 1:], 1.0),
        (numbers[:-1, :-1], numbers[1:, 1:], np.sqrt(0.5)),
        (numbers[:-1, 1:], numbers[1:, :-1], np.sqrt(0.5)),
    ]
    first = np.concatenate([one.ravel() for one, _, _ in ends] + [border])
    second = np.concatenate([other.ravel() for _, other, _ in ends] + [np.full(len(border), outside)])
    nearness = np.concatenate([np.full(one.size, share) for one, _, share in ends] + [np.ones(len(border))])
    level = np.append(level, 0.0)
    higher, lower = (
        np.maximum(level[first], level[second]),
        np.minimum(level[first], level[second]),
    )
    cost = higher - 1e-4 * nearness * (higher - lower)
    graph = sparse.csr_matrix((cost, (first, second)), shape=(outside + 1, outside + 1))
    tree = csgraph.minimum_spanning_tree(graph)
    order, parent = csgraph.breadth_first_order(tree, outside, directed=False)
    # Cells of one distance from the outside hand on what they got all at once, the furthest first.
    area = np.ones(outside + 1)
    starts = _levels(order, parent)
    for start, end in zip(starts[-2::-1], starts[:0:-1]):
        cells = order[start:end]
        if start > 0:
            np.add.at(area, parent[cells], area[cells])
    return area[:outside].reshape(rows, columns)


def _levels(order: NDArray[np.int32], parent: NDArray[np.int32]) -> NDArray[np.int64]:
    """Where in breadth-first order each distance from the root begins, and the end."""
    place = np.empty(len(order), int)
    place[order] = np.arange(len(order))
    # Parents' places do not fall along the order, so the children of a range of places are a range.
    parents = place[parent[order[1:]]]
    starts = [0, 1]
    while starts[-1] < len(order):
        starts.append(1 + int(np.searchsorted(parents, starts[-1], side="left")))
    return np.array(starts)
