"""QGIS's own 3D: a DEM as the project's terrain, and a 3D map view of it."""

from __future__ import annotations

from collections.abc import Callable

from qgis.core import Qgis, QgsProject, QgsRasterLayer
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QCoreApplication
from qgis.PyQt.QtWidgets import QAction

from imagetodem_qgis.styling.colours import ELEVATION
from imagetodem_qgis.styling.elevation import mark_as_elevation
from imagetodem_qgis.styling.renderers import apply_colour_relief

try:
    from qgis.core import QgsRasterDemTerrainProvider
except ImportError:
    QgsRasterDemTerrainProvider = None

_ACTION = "mActionNew3DMapCanvas"
"""QGIS's own command for a new 3D map view. Its counterpart for plugins came with 3.36 and fails there unless
the bindings of another module were loaded before."""

_TERRAIN_OF_PROJECT = 32600
"""The version of QGIS from which a new 3D map view takes over the project's terrain."""


def show_in_map_view(
    project: QgsProject,
    layer: QgsRasterLayer,
    exaggeration: float,
    interface: QgisInterface | None,
    warn: Callable[[str], None],
) -> QgsRasterLayer:
    """Make a DEM the project's terrain and open a 3D map view. Only the main thread may call it.

    Args:
        project: which keeps the terrain when it is saved.
        layer: of the DEM, in the project or not.
        exaggeration: of its heights.
        interface: of QGIS; None where there is none (``qgis_process``), and no view is opened.
        warn: is told what stands in the way.

    Returns:
        The project's layer of the DEM.
    """
    terrain = _layer_in(project, layer)
    mark_as_elevation(terrain)
    _make_terrain(project, terrain, exaggeration)
    if interface is None:
        return terrain
    if project.crs().isGeographic():
        warn(
            _tr(
                "The project's coordinates are degrees, which QGIS's 3D map view cannot draw: choose a "
                "projected coordinate system for the project, such as a UTM zone, then 'New 3D Map View' in "
                "QGIS's menu 'View'."
            )
        )
        return terrain
    action = interface.mainWindow().findChild(QAction, _ACTION)
    if action is None or not action.isEnabled():
        warn(_tr("This QGIS offers no 3D map view."))
        return terrain
    action.trigger()
    if Qgis.QGIS_VERSION_INT < _TERRAIN_OF_PROJECT:
        warn(
            _tr(
                "QGIS before 3.26 does not find the terrain by itself: choose the DEM in the 3D map view, "
                "under Configure > Terrain > Type 'DEM (Raster Layer)'."
            )
        )
    return terrain


def _make_terrain(project: QgsProject, layer: QgsRasterLayer, exaggeration: float) -> None:
    """Make a layer the project's terrain; before 3.24, QGIS's projects have none."""
    if QgsRasterDemTerrainProvider is None:
        return
    provider = QgsRasterDemTerrainProvider()
    provider.setLayer(layer)
    provider.setScale(exaggeration)
    project.elevationProperties().setTerrainProvider(provider)
    project.setDirty(True)


def _layer_in(project: QgsProject, layer: QgsRasterLayer) -> QgsRasterLayer:
    """The project's own layer of the same raster; a new one where it has none."""
    for own in project.mapLayers().values():
        if isinstance(own, QgsRasterLayer) and own.source() == layer.source():
            return own
    new = QgsRasterLayer(layer.source(), layer.name(), layer.providerType())
    apply_colour_relief(new, ELEVATION)
    project.addMapLayer(new)
    return new


def _tr(text: str) -> str:
    return QCoreApplication.translate("ImageToDem", text)
