"""A warning, before the work starts, where an image is unlike those that the model learned from."""

from __future__ import annotations

import numpy as np

from imagetodem_qgis.core.card import ModelCard
from imagetodem_qgis.core.likeness import likeness_of, tile_features
from imagetodem_qgis.core.stretch import Stretch
from imagetodem_qgis.prediction.frame import Frame
from imagetodem_qgis.prediction.rasters import Reader
from imagetodem_qgis.prediction.request import Listener

_TILES_ACROSS = 4
_MANY = 0.5
"""Share of the tiles looked at that must be unlike the training's: one in a hundred is by chance."""


def warn_if_unlike(
    frame: Frame, card: ModelCard, stretch: Stretch, reader: Reader, listener: Listener
) -> float | None:
    """Look at some tiles all over the image.

    Returns:
        The share of them that are unlike the training's; ``None`` where the card does not tell, or no tile
        can be told.

    Raises:
        RasterError: the image cannot be read.
    """
    likeness = likeness_of(card)
    if likeness is None:
        return None
    plan = frame.plan
    down, across = len(plan.row_starts), len(plan.column_starts)
    rows, columns = (
        np.unique(np.linspace(0, count - 1, min(count, _TILES_ACROSS)).astype(int))
        for count in (down, across)
    )
    far = []
    for index in (int(row * across + column) for row in rows for column in columns):
        if listener.is_cancelled():
            return None
        values, valid = reader.read(plan.window(index))
        features = tile_features(frame.symmetry.apply(stretch.apply(values)), frame.symmetry.apply(valid))
        if features is not None:
            far.append(likeness.distance(features) > likeness.far)
    if not far:
        return None
    share = float(np.mean(far))
    if share > _MANY:
        listener.warn(
            f"The image looks unlike those that the model '{card.name}' learned from ({share:.0%} of the "
            "tiles looked at): its heights, and its CONFIDENCE too, may be far off. Check which bands are "
            "red, green and blue (BANDS), or train the generator on images like this one."
        )
    return share
