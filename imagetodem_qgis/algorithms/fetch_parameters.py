"""The parameters of Fetch Sentinel-2 / AW3D30 pairs."""

from __future__ import annotations

from datetime import date
from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingParameterDateTime,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFile,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from imagetodem_qgis.algorithms import pair_parameters as shared
from imagetodem_qgis.algorithms.area_inputs import AREAS, DEM, EXTENT
from imagetodem_qgis.algorithms.inputs import advanced
from imagetodem_qgis.pairs.source import COMPOSITES, ELEVATIONS, LEAST_CLOUDY
from imagetodem_qgis.pairs.stac_source import CATALOGUES

SOURCE = "SOURCE"
START = "START"
END = "END"
MONTHS = "MONTHS"
CLOUD = "CLOUD"
COMPOSITE = "COMPOSITE"
ELEVATION = "ELEVATION"
PROJECT = "PROJECT"
KEY_FILE = "KEY_FILE"
CATALOGUE = "CATALOGUE"
SERVER = "SERVER"
SIMULTANEOUS = "SIMULTANEOUS"

EARTH_ENGINE, STAC = "Earth Engine", "STAC"
_SOURCES = (EARTH_ENGINE, STAC)
_MONTHS = tuple(date(2000, month, 1).strftime("%B") for month in range(1, 13))
_SUMMER = (5, 6, 7)
"""Places of June, July and August among the months, as in Panagiotou et al. 2020."""

_HELP = {
    SOURCE: "Where pairs come from. 'Earth Engine' needs a Google account with a project that may use it, "
    "and the machine-learning environment. 'STAC' needs neither.",
    EXTENT: "Fetch pairs of this extent.",
    AREAS: "Or of these polygons. From three on, each is one area, whose pairs share a split.",
    DEM: "Or of the ground on which this raster knows a value.",
    START: "First day of the scenes.",
    END: "Last day of the scenes.",
    MONTHS: "Months of the scenes. Summer has the least snow and shadow: June to August in the north, "
    "December to February in the south.",
    CLOUD: "Scenes with more clouds than this are not looked at.",
    COMPOSITE: "'least cloudy scene': each tile from one scene, with one sun and its shading, which is what "
    "tells height. 'median': the median of all cloud-free observations, with fewer gaps and softer shading.",
    ELEVATION: "The heights: AW3D30 (JAXA, 30 m, a surface model of 2006 to 2011) or Copernicus GLO-30 "
    "(30 m, a surface model of 2011 to 2015).",
    shared.RESOLUTION: "Metres a pixel of the pairs. Sentinel-2 has 10 m, the DEMs have 30 m.",
    PROJECT: "The Google Cloud project to use Earth Engine with. Left empty, the one in the plugin's "
    "settings, or that of the key.",
    KEY_FILE: "A service account's key (JSON), in place of signing in. It is read where it lies, and neither "
    "copied nor recorded.",
    CATALOGUE: "Which STAC catalogue to search for scenes.",
    SERVER: "Address of a server in place of the source's own: a proxy or a mirror.",
    SIMULTANEOUS: "Tiles asked for at once, at most.",
}


def declare(algorithm: Any) -> None:
    """Add the parameters and outputs to an algorithm that has ``tr``."""
    shared.declare(algorithm, _own(algorithm.tr), _HELP)


def _own(tr: Any) -> list[QgsProcessingParameterDefinition]:
    number, choice = QgsProcessingParameterNumber, QgsProcessingParameterEnum
    day = QgsProcessingParameterDateTime.Date
    return [
        choice(SOURCE, tr("Source"), _SOURCES, False, EARTH_ENGINE, False, True),
        QgsProcessingParameterExtent(EXTENT, tr("Extent"), optional=True),
        QgsProcessingParameterFeatureSource(
            AREAS, tr("Areas"), [QgsProcessing.TypeVectorPolygon], optional=True
        ),
        QgsProcessingParameterRasterLayer(DEM, tr("Footprint of a raster"), optional=True),
        QgsProcessingParameterDateTime(START, tr("First day"), day, "2021-01-01"),
        QgsProcessingParameterDateTime(END, tr("Last day"), day, "2023-12-31"),
        choice(MONTHS, tr("Months"), [tr(month) for month in _MONTHS], True, list(_SUMMER)),
        number(CLOUD, tr("Largest cloud cover of a scene (%)"), number.Double, 20.0, False, 0.0, 100.0),
        choice(COMPOSITE, tr("Image"), COMPOSITES, False, LEAST_CLOUDY, False, True),
        choice(ELEVATION, tr("Heights"), ELEVATIONS, False, ELEVATIONS[0], False, True),
        number(shared.RESOLUTION, tr("Resolution (m)"), number.Double, 30.0, False, 1.0, 1000.0),
        QgsProcessingParameterString(PROJECT, tr("Earth Engine project"), optional=True),
        advanced(
            QgsProcessingParameterFile(
                KEY_FILE,
                tr("Service account's key"),
                optional=True,
                fileFilter="Keys (*.json);;All files (*)",
            )
        ),
        choice(CATALOGUE, tr("STAC catalogue"), CATALOGUES, False, CATALOGUES[0], False, True),
        advanced(QgsProcessingParameterString(SERVER, tr("Server"), optional=True)),
        advanced(number(SIMULTANEOUS, tr("Simultaneous tiles"), number.Integer, 4, False, 1, 16)),
    ]
