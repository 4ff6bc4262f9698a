"""Generate Perlin DEM: virtual terrain from fractal gradient noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsUnitTypes,
)

from imagetodem_qgis.algorithms.base import ImageToDemAlgorithm
from imagetodem_qgis.algorithms.inputs import Refusal, advanced, check_destination
from imagetodem_qgis.algorithms.listener import FeedbackListener
from imagetodem_qgis.core.coast import COASTS, ISLAND, Coast
from imagetodem_qgis.core.noise import Fractal
from imagetodem_qgis.core.terrain import FRACTAL, RIDGED, Terrain
from imagetodem_qgis.landscape.perlin import Extent, Layout, Request, layout_of, make_dem
from imagetodem_qgis.prediction.request import Cancelled
from imagetodem_qgis.raster.image import RasterError
from imagetodem_qgis.styling.onload import style_on_load
from imagetodem_qgis.styling.stylefile import write_style

_VARIANTS = (FRACTAL, RIDGED)
_NO_MASK = "none"
_MASKS = (_NO_MASK, ISLAND, *COASTS)
_LARGEST_SIDE = 1_000_000
_WAVES_ACROSS = 3.0
_LARGEST_LATITUDE = 89.0


class PerlinDemAlgorithm(ImageToDemAlgorithm):
    """Runs :func:`imagetodem_qgis.landscape.perlin.make_dem` on QGIS's parameters."""

    NAME = "perlindem"
    DISPLAY_NAME = "Generate Perlin DEM"
    GROUP = "Virtual landscapes"
    GROUP_ID = "landscapes"
    TAGS = ("terrain", "noise", "perlin", "fractal", "synthetic", "random", "erosion", "island", "elevation")
    SHORT_DESCRIPTION = "Makes virtual terrain of any size from fractal gradient noise"
    SHORT_HELP = (
        "Makes virtual terrain from fractal gradient noise (Perlin 2002, Improving noise): hills or ridges, "
        "warped if wanted, eroded by running water if wanted, as an island or along a coast.\n\n"
        "The same seed gives the same terrain on every machine, at any size: the DEMs of neighbouring "
        "extents with the same parameters fit together (with FEATURE_SIZE given, and no mask). Feed the "
        "result to 'Predict image from DEM' to see it from above."
    )

    EXTENT = "EXTENT"
    RESOLUTION = "RESOLUTION"
    RELIEF = "RELIEF"
    BASE = "BASE"
    VARIANT = "VARIANT"
    MASK = "MASK"
    EROSION = "EROSION"
    SEED = "SEED"
    FEATURE_SIZE = "FEATURE_SIZE"
    OCTAVES = "OCTAVES"
    PERSISTENCE = "PERSISTENCE"
    LACUNARITY = "LACUNARITY"
    WARP = "WARP"
    OUTPUT = "OUTPUT"
    MINIMUM = "MINIMUM"
    MAXIMUM = "MAXIMUM"

    _HELP = {
        EXTENT: "The DEM covers it, in its coordinate reference system; its borders are moved outwards to "
        "multiples of a pixel.",
        RESOLUTION: "Side of a pixel in metres. In a geographic coordinate reference system, those of the "
        "extent's middle.",
        RELIEF: "Metres between the lowest and the highest height that can be; most of it is used.",
        BASE: "Lowest height in metres, and the sea's where there is a mask.",
        VARIANT: "'fractal' makes hills, 'ridged' makes sharp ridges with wide valleys between them.",
        MASK: "An island in the sea, or a coast with the sea on one side. The sea is level.",
        EROSION: "How far running water has cut valleys into the terrain: 0 not at all, 1 deeply. It takes "
        "most of the time.",
        SEED: "Another number gives another terrain.",
        FEATURE_SIZE: "Metres from one large hill to the next. Left empty, a third of the extent's longer "
        "side.",
        OCTAVES: "How many layers of ever finer noise are summed. Those finer than two pixels are left out.",
        PERSISTENCE: "Height of a layer over that of the one before: more is rougher.",
        LACUNARITY: "How much finer a layer is than the one before.",
        WARP: "How far the terrain is pulled about by noise, as a share of FEATURE_SIZE: 0 for not at all, "
        "0.2 for folded ranges.",
        OUTPUT: "A Float32 GeoTIFF in metres.",
    }

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        for parameter in self._parameters():
            parameter.setHelp(self.tr(self._HELP[parameter.name()]))
            self.addParameter(parameter)
        self.addOutput(QgsProcessingOutputNumber(self.MINIMUM, self.tr("Least height")))
        self.addOutput(QgsProcessingOutputNumber(self.MAXIMUM, self.tr("Largest height")))

    def _parameters(self) -> list[Any]:
        tr, number, enum = self.tr, QgsProcessingParameterNumber, QgsProcessingParameterEnum
        whole, real = number.Integer, number.Double
        return [
            QgsProcessingParameterExtent(self.EXTENT, tr("Extent")),
            number(self.RESOLUTION, tr("Resolution (m)"), real, 30.0, False, 1e-3, 1e6),
            number(self.RELIEF, tr("Relief (m)"), real, 1500.0, False, 1e-3, 1e6),
            number(self.BASE, tr("Lowest height (m)"), real, 0.0, False, -1e6, 1e6),
            enum(self.VARIANT, tr("Variant"), _VARIANTS, False, FRACTAL, False, True),
            enum(self.MASK, tr("Mask"), _MASKS, False, _NO_MASK, False, True),
            number(self.EROSION, tr("Erosion"), real, 0.0, False, 0.0, 1.0),
            number(self.SEED, tr("Seed"), whole, 0, False, 0, 2**31 - 1),
            advanced(number(self.FEATURE_SIZE, tr("Feature size (m)"), real, None, True, 1e-3, 1e9)),
            advanced(number(self.OCTAVES, tr("Octaves"), whole, 9, False, 1, 20)),
            advanced(number(self.PERSISTENCE, tr("Persistence"), real, 0.5, False, 0.0, 1.0)),
            advanced(number(self.LACUNARITY, tr("Lacunarity"), real, 2.0, False, 1.1, 8.0)),
            advanced(number(self.WARP, tr("Warp"), real, 0.0, False, 0.0, 2.0)),
            QgsProcessingParameterRasterDestination(self.OUTPUT, tr("DEM")),
        ]

    def check_inputs(self, parameters: dict[str, Any], context: QgsProcessingContext, scratch: Path) -> None:
        self._layout(parameters, context)
        check_destination(self, parameters, self.OUTPUT, context)

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        output = self.parameterAsOutputLayer(parameters, self.OUTPUT, context)
        try:
            layout = self._layout(parameters, context)
            if not layout.grid.crs:
                feedback.pushWarning(
                    self.tr(
                        "The extent has no coordinate reference system: a unit of the map counts as a metre."
                    )
                )
            request = Request(
                layout,
                self._terrain(parameters, context, layout),
                self.parameterAsDouble(parameters, self.EROSION, context),
                Path(output),
            )
            result = make_dem(request, FeedbackListener(feedback))
            write_style(request.output)
        except Cancelled:
            return {}
        except (Refusal, RasterError, OSError) as error:
            raise QgsProcessingException(str(error)) from error
        style_on_load(context, output, "dem")
        return {self.OUTPUT: output, self.MINIMUM: result.minimum, self.MAXIMUM: result.maximum}

    def _layout(self, parameters: dict[str, Any], context: QgsProcessingContext) -> Layout:
        box = self.parameterAsExtent(parameters, self.EXTENT, context)
        if not box.isFinite() or box.width() <= 0.0 or box.height() <= 0.0:
            raise Refusal(self.EXTENT, "it has no area: draw a rectangle, or give four finite numbers")
        crs = self.parameterAsExtentCrs(parameters, self.EXTENT, context)
        metres: float | None = 1.0
        if crs.isValid():
            unit = QgsUnitTypes.DistanceUnit.DistanceMeters
            metres = None if crs.isGeographic() else QgsUnitTypes.fromUnitToUnitFactor(crs.mapUnits(), unit)
        if metres is None and max(abs(box.yMinimum()), abs(box.yMaximum())) > _LARGEST_LATITUDE:
            raise Refusal(
                self.EXTENT, f"it goes beyond {_LARGEST_LATITUDE:g} degrees: choose a projected CRS"
            )
        layout = layout_of(
            Extent(box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()),
            crs.toWkt() if crs.isValid() else "",
            self.parameterAsDouble(parameters, self.RESOLUTION, context),
            metres,
        )
        grid = layout.grid
        if max(grid.rows, grid.columns) > _LARGEST_SIDE:
            raise Refusal(
                self.RESOLUTION,
                f"{grid.columns} x {grid.rows} pixels are too many: give a larger one, or a smaller EXTENT",
            )
        return layout

    def _terrain(self, parameters: dict[str, Any], context: QgsProcessingContext, layout: Layout) -> Terrain:
        def real(name: str) -> float:
            return self.parameterAsDouble(parameters, name, context)

        rows, columns = layout.grid.rows, layout.grid.columns
        size = max(rows, columns) / _WAVES_ACROSS * layout.resolution
        if parameters.get(self.FEATURE_SIZE) is not None:
            size = real(self.FEATURE_SIZE)
        octaves = self.parameterAsInt(parameters, self.OCTAVES, context)
        seed = self.parameterAsInt(parameters, self.SEED, context)
        fractal = Fractal(size, octaves, real(self.PERSISTENCE), real(self.LACUNARITY), seed)
        mask = self.parameterAsEnumString(parameters, self.MASK, context)
        half = (rows / 2.0 * layout.resolution, columns / 2.0 * layout.resolution)
        middle = (half[0] + layout.row * layout.resolution, half[1] + layout.column * layout.resolution)
        coast = None if mask == _NO_MASK else Coast(mask, middle, half)
        variant = self.parameterAsEnumString(parameters, self.VARIANT, context)
        return Terrain(fractal, variant, real(self.WARP), real(self.BASE), real(self.RELIEF), coast)
