"""Splits by area: every area is for training, validation or testing as a whole, with a buffer between them.

Tiles at random would hold out ground that training has seen next door, which flatters (Ploton et al. 2020,
Nature Communications 11, 4540, find the like).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.pairs.grids import places_on_sphere
from imagetodem_qgis.pairs.source import Tile

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)

_DRAWS = 64
_DIAGONAL = 1.5
"""Sides of a tile between the centres of two that touch at their corners, and a little more."""


@dataclass(frozen=True)
class Shares:
    """How tiles are shared out.

    Attributes:
        validation: share of the tiles, 0 to below 1.
        test: share of the tiles.
        buffer: metres that tiles of different splits lie apart at least.
        seed: of the chance by which areas are drawn.
    """

    validation: float
    test: float
    buffer: float
    seed: int


@dataclass(frozen=True)
class Splitting:
    """Tiles with their splits.

    Attributes:
        tiles: those that are kept.
        dropped: how many were left out for the buffer.
    """

    tiles: tuple[Tile, ...]
    dropped: int

    def count(self, split: str) -> int:
        """Tiles of a split."""
        return sum(tile.split == split for tile in self.tiles)


def split_by_area(tiles: Sequence[Tile], shares: Shares) -> Splitting | None:
    """Give whole areas to the splits so that the buffer costs few tiles.

    Of some drawn by chance, and of strips along the two main directions in which the areas lie, the sharing
    that keeps the most tiles is taken; the same for the same seed.

    Args:
        tiles: without splits.
        shares: wanted.

    Returns:
        ``None`` where no sharing leaves a tile to every split that is to have some.
    """
    areas = sorted({tile.area for tile in tiles})
    number = {area: index for index, area in enumerate(areas)}
    area_of = np.array([number[tile.area] for tile in tiles])
    places = places_on_sphere(tiles)
    near = _near_areas(tiles, area_of, places, len(areas), shares.buffer)
    sizes = np.bincount(area_of, minlength=len(areas))
    best: tuple[float, NDArray[np.int64]] | None = None
    for order, both_ends in _orders(area_of, places, len(areas), shares.seed):
        split = _shared_out(order, both_ends, sizes, shares)[area_of]
        kept = _outside_buffers(split, area_of, near)
        counts = np.bincount(split[kept], minlength=3)
        wanted = np.array([True, shares.validation > 0.0, shares.test > 0.0])
        if (counts[wanted] == 0).any():
            continue
        held_out = len(tiles) * (shares.validation + shares.test)
        score = counts.sum() - max(0.0, counts[1:].sum() - held_out)
        if best is None or score > best[0]:
            best = (score, np.where(kept, split, -1))
    if best is None:
        return None
    chosen = tuple(replace(tile, split=SPLITS[s]) for tile, s in zip(tiles, best[1]) if s >= 0)
    return Splitting(chosen, len(tiles) - len(chosen))


def _orders(
    area_of: NDArray[np.int64], places: NDArray[np.float64], count: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], bool]]:
    """Orders of the areas, and whether validation is to be taken from the other end than testing."""
    random = np.random.default_rng(seed)
    for _ in range(_DRAWS):
        yield random.permutation(count), False
    centres = np.stack([places[area_of == area].mean(axis=0) for area in range(count)])
    _, _, directions = np.linalg.svd(centres - centres.mean(axis=0), full_matrices=False)
    for direction in directions[:2]:
        along = np.argsort(centres @ direction, kind="stable")
        yield along, True
        yield along[::-1], True


def _shared_out(
    order: NDArray[np.int64], both_ends: bool, sizes: NDArray[np.int64], shares: Shares
) -> NDArray[np.int64]:
    """The split of each area."""
    split = np.zeros(len(order), int)
    whole = sizes.sum()
    taken = 0
    for kind, share in ((2, shares.test), (1, shares.validation)):
        rest = order[taken:] if not (both_ends and kind == 1) else order[taken:][::-1]
        filled = 0
        for area in rest:
            # Half an area too many or too few come to the same.
            if share <= 0.0 or (filled and filled + sizes[area] / 2 > share * whole):
                break
            split[area] = kind
            filled += sizes[area]
            taken += not (both_ends and kind == 1)
    return split


def _outside_buffers(
    split: NDArray[np.int64], area_of: NDArray[np.int64], near: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which tiles stay: training's away from all that is held out, validation's away from testing's."""
    kept = np.ones(len(split), bool)
    for kind in (1, 2):
        areas = np.unique(area_of[split == kind])
        kept &= (split >= kind) | ~near[areas].any(axis=0)
    return kept


def _near_areas(
    tiles: Sequence[Tile],
    area_of: NDArray[np.int64],
    places: NDArray[np.float64],
    count: int,
    buffer: float,
) -> NDArray[np.bool_]:
    """(areas, tiles): whether a tile lies nearer to an area than the buffer."""
    side = tiles[0].resolution * tiles[0].size
    crs = np.unique([tile.crs for tile in tiles], return_inverse=True)[1]
    corner = np.array([(tile.origin_x, tile.origin_y) for tile in tiles])
    near = np.zeros((count, len(tiles)), bool)
    reach = buffer + _DIAGONAL * side
    for area in range(count):
        own = np.flatnonzero(area_of == area)
        middle = places[own].mean(axis=0)
        radius = np.linalg.norm(places[own] - middle, axis=1).max() + reach
        candidates = np.flatnonzero(np.linalg.norm(places - middle, axis=1) <= radius)
        for tile in own:
            others = candidates[~near[area, candidates]]
            same = crs[others] == crs[tile]
            gap = np.abs(corner[others] - corner[tile]).max(axis=1) - side
            # A hair, so that a buffer of a tile's side does not reach the tile after next by rounding.
            close = gap < buffer * (1.0 - 1e-9)
            apart = np.linalg.norm(places[others] - places[tile], axis=1)
            near[area, others] |= np.where(same, close, apart < reach)
    return near
