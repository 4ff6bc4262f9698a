"""The colour ramps of elevation, of its uncertainty, and of differences of it.

They run evenly in lightness (CIE L*), that of differences to both sides of zero, so that equal steps in the
value look like equal steps in the map. All can be read by the colour-blind: lightness alone tells more from
less, and the two sides of a difference are blue and brown.
"""

from __future__ import annotations

from qgis.core import QgsGradientColorRamp, QgsGradientStop
from qgis.PyQt.QtGui import QColor

ELEVATION = ("#5d8f78", "#7da073", "#a6b37b", "#cdc08a", "#e3d1ab", "#efe4d4", "#fcfaf7")
"""Valley green over straw and sand to snow: higher is lighter, as in atlases; the shading stays legible."""

STANDARD_DEVIATION = ("#f6f3d3", "#f3cf8a", "#e99d5f", "#cf6a5b", "#9f4468", "#662f63", "#33204a")
"""Pale where the heights can be trusted, dark where they cannot."""

DIFFERENCE = ("#1f4e80", "#5b88b5", "#a3bfd9", "#f4f2ee", "#dfb48f", "#b97a45", "#7f4512")
"""Blue where the DEM is too low, brown where it is too high, pale where it is right."""


def ramp(colours: tuple[str, ...]) -> QgsGradientColorRamp:
    """A continuous ramp through evenly spaced colours, first to last."""
    last = len(colours) - 1
    stops = [QgsGradientStop(i / last, QColor(colours[i])) for i in range(1, last)]
    return QgsGradientColorRamp(QColor(colours[0]), QColor(colours[-1]), False, stops)
