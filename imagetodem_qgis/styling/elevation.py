"""A layer that QGIS takes for heights: in profiles, and as the terrain of 3D map views."""

from __future__ import annotations

from qgis.core import QgsRasterLayer


def mark_as_elevation(layer: QgsRasterLayer) -> None:
    """Have QGIS take a layer's first band for heights; versions before 3.24 have no such mark."""
    properties = layer.elevationProperties()
    if hasattr(properties, "setBandNumber"):
        properties.setEnabled(True)
        properties.setBandNumber(1)
