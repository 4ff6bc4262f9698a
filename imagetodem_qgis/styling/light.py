"""Where a hillshade's light must stand, and how much it must stretch heights, in a layer's own coordinates.

A hillshade divides heights in metres by distances in the units of the layer's coordinate reference system. In
degrees, feet or a stretched projection such as Web Mercator those are no metres on the ground.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, cos, degrees, hypot, isfinite, radians, sin

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransformContext,
    QgsCsException,
    QgsDistanceArea,
    QgsPointXY,
    QgsRectangle,
    QgsUnitTypes,
)

SUN_AZIMUTH = 315.0
"""Degrees clockwise from north: the north-west, as on any map, for relief lit from below looks inverted."""

SUN_ALTITUDE = 45.0
"""Degrees above the horizon."""


@dataclass(frozen=True)
class Light:
    """A hillshade's parameters in the layer's own coordinates.

    Attributes:
        azimuth: degrees clockwise from the layer's y axis.
        z_factor: layer units per metre.
    """

    azimuth: float
    z_factor: float


def metres_per_unit(crs: QgsCoordinateReferenceSystem, extent: QgsRectangle) -> tuple[float, float]:
    """Length on the ground, in metres, of one unit along x and along y in the middle of an extent.

    Without a reference system, or where the ground cannot be measured (a local engineering system), the
    answer rests on the system's units alone; unknown units count as metres.
    """
    if not crs.isValid():
        return 1.0, 1.0
    by_unit = QgsUnitTypes.fromUnitToUnitFactor(crs.mapUnits(), QgsUnitTypes.DistanceUnit.DistanceMeters)
    ground = QgsDistanceArea()
    # Not the project's transform context: this also runs in Processing's background threads. Measuring stays
    # on the system's own ellipsoid, where no choice of datum shift can arise.
    ground.setSourceCrs(crs, QgsCoordinateTransformContext())
    if not ground.setEllipsoid(crs.ellipsoidAcronym()) or not ground.willUseEllipsoid():
        return by_unit, by_unit
    middle = extent.center()
    step = max(extent.width(), extent.height()) / 1000
    try:
        along_x = ground.measureLine(middle, QgsPointXY(middle.x() + step, middle.y())) / step
        along_y = ground.measureLine(middle, QgsPointXY(middle.x(), middle.y() + step)) / step
    except (QgsCsException, ZeroDivisionError):
        return by_unit, by_unit
    if not (isfinite(along_x) and isfinite(along_y) and along_x > 0 and along_y > 0):
        return by_unit, by_unit
    return along_x, along_y


def light_for(crs: QgsCoordinateReferenceSystem, extent: QgsRectangle) -> Light:
    """The light that seems, on the ground, to come from ``SUN_AZIMUTH``; heights are not exaggerated.

    QGIS's hillshade has one z factor for both axes, while a degree of longitude is shorter than one of
    latitude. The brightness of a Lambertian surface follows the product of the light's direction and the
    surface's gradient (Horn 1981). With the direction (lx, ly) and the axes' metres per unit (mx, my), that
    product is right along both axes if the light comes from (lx / mx, ly / my) and the z factor is that
    vector's length. For equal axes this is ``SUN_AZIMUTH`` itself and 1 / m.
    """
    per_x, per_y = metres_per_unit(crs, extent)
    east = sin(radians(SUN_AZIMUTH)) / per_x
    north = cos(radians(SUN_AZIMUTH)) / per_y
    # Three digits: the few parts in ten thousand of a projection's own scale are noise in a style's settings.
    z_factor = float(f"{hypot(east, north):.3g}")
    return Light(azimuth=round(degrees(atan2(east, north)) % 360, 1), z_factor=z_factor)
