"""Whether a fetched tile is worth keeping."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.pairs.source import CLOUD, NODATA, SEA, FetchedPair, NoData, SourceError, Tile


@dataclass(frozen=True)
class Limits:
    """How much of a tile may be missing.

    Attributes:
        gaps: largest share of pixels without image or height, 0 to 1.
        sea: largest share of pixels that are sea.
        gap_of_image: the reason why an image has gaps: :data:`~imagetodem_qgis.pairs.source.CLOUD` of a
            satellite's, :data:`~imagetodem_qgis.pairs.source.NODATA` of a user's raster.
    """

    gaps: float
    sea: float
    gap_of_image: str = CLOUD


def examine(tile: Tile, pair: FetchedPair, limits: Limits) -> None:
    """Look at a pair before it is kept.

    Raises:
        NoData: too much of it is missing or sea, or its image is of one colour.
        SourceError: the source gave arrays of another shape.
    """
    image, dem = pair.image, pair.dem
    shape = (tile.size, tile.size)
    if image.shape != (3, *shape) or dem.shape != shape or image.dtype != np.float32:
        raise SourceError(
            f"{tile.id}: the source gave an image of {image.shape} and a DEM of {dem.shape}, not of "
            f"{tile.size} x {tile.size} pixels"
        )
    lit = np.isfinite(image).all(axis=0)
    known = np.isfinite(dem)
    both = lit & known
    sea = (pair.sea if pair.sea is not None else dem == 0.0) & known
    for share, limit, reason, what in (
        (_share(sea), limits.sea, SEA, "sea"),
        (1.0 - _share(lit), limits.gaps, limits.gap_of_image, "without image"),
        (1.0 - _share(known), limits.gaps, NODATA, "without height"),
        (1.0 - _share(both), limits.gaps, NODATA, "without image or height"),
    ):
        if share > limit:
            raise NoData(reason, f"{100.0 * share:.0f} % of {tile.id} are {what}")
    if not both.any() or all(np.ptp(band[both]) == 0.0 for band in image):
        raise NoData(NODATA, f"the image of {tile.id} is of one colour")


def _share(mask: NDArray[np.bool_]) -> float:
    return np.count_nonzero(mask) / mask.size
