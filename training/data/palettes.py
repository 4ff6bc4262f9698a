"""Mean colours that images have: what a generator from the DEM to the image can be asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

from imagetodem_qgis.core.sea import is_sea
from imagetodem_qgis.core.stretch import StretchRecipe
from training.data.pair import Pair
from training.data.sampling import pair_stretch
from training.data.sources import Group
from training.data.tasks import mean_colour

COUNT = 24
_LEAST_SHARE = 0.1
"""Of sea and of land on a coast."""
_LARGEST_SAMPLE = 600
_STEP = 7
"""Pixels of every seventh row and column tell a mean colour well enough."""


def typical_palettes(
    groups: Sequence[Group], stretch: StretchRecipe, seed: int, count: int = COUNT
) -> list[list[float]]:
    """The centres of clusters of pairs' mean colours of land (k-means++, Arthur & Vassilvitskii 2007), the
    least colourful first; of real images, if there are any.

    Args:
        groups: training pairs.
        stretch: how a pair's image is stretched.
        seed: of the clusters' first centres.
        count: of palettes, at most.

    Returns:
        Red, green and blue in the stretched range from -1 to 1, of at most ``count`` palettes; a grey where
        no pair has land.
    """
    real = [group for group in groups if not group.rendered] or list(groups)
    pairs = [pair for group in real for pair in _evenly(group.pairs, _LARGEST_SAMPLE // len(real))]
    palettes = (_palette(pair, stretch) for pair in pairs)
    colours = np.array([palette for palette in palettes if palette is not None], np.float64)
    if not len(colours):
        return [[0.0, 0.0, 0.0]]
    # Fewer clusters than colours: an empty one would have no centre.
    wanted = min(count, len(np.unique(colours.round(3), axis=0)))
    centres, members = kmeans2(colours, wanted, minit="++", seed=seed)
    sizes = np.bincount(members, minlength=wanted)
    order = [number for number in np.argsort(np.ptp(centres, axis=1), kind="stable") if sizes[number] > 0]
    return [[round(float(value), 4) for value in centres[number]] for number in order]


def sea_colour(groups: Sequence[Group], stretch: StretchRecipe) -> list[float] | None:
    """The colour of the sea, the median over coasts of real images, or of rendered ones if there are no real
    ones.

    Args:
        groups: training pairs.
        stretch: how a pair's image is stretched.

    Returns:
        Red, green and blue in the stretched range from -1 to 1; ``None`` where there is no coast.
    """
    for rendered in (False, True):
        pairs = [pair for group in groups if group.rendered == rendered for pair in group.pairs]
        found = [_sea(pair, stretch) for pair in _evenly(pairs, _LARGEST_SAMPLE)] if pairs else []
        colours = [colour for colour in found if colour is not None]
        if colours:
            return [round(float(value), 4) for value in np.median(colours, axis=0)]
    return None


def _sea(pair: Pair, stretch: StretchRecipe) -> NDArray[np.float32] | None:
    image, known = pair.image[::_STEP, ::_STEP], pair.valid[::_STEP, ::_STEP]
    sea = known & is_sea(np.nan_to_num(pair.dem[::_STEP, ::_STEP], nan=np.inf))
    if not _LEAST_SHARE < sea.mean() < 1.0 - _LEAST_SHARE:
        # Without land, the stretch makes waves of what is one colour.
        return None
    colours = np.clip(pair_stretch(pair, stretch).apply(image)[sea], -1.0, 1.0)
    return np.asarray(np.median(colours, axis=0), np.float32)


def _evenly(pairs: Sequence[Pair], count: int) -> list[Pair]:
    numbers = np.unique(np.linspace(0, len(pairs) - 1, max(1, min(count, len(pairs)))).round().astype(int))
    return [pairs[int(number)] for number in numbers]


def _palette(pair: Pair, stretch: StretchRecipe) -> NDArray[np.float32] | None:
    image, known = pair.image[::_STEP, ::_STEP], pair.valid[::_STEP, ::_STEP]
    elevation = np.nan_to_num(pair.dem[::_STEP, ::_STEP])
    return mean_colour(pair_stretch(pair, stretch).apply(image), elevation, known)
