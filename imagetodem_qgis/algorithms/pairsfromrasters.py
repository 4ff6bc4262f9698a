"""Make pairs from rasters: a data set to train on, from a user's own image and DEM."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterBand,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
)

from imagetodem_qgis.algorithms import pair_parameters as shared
from imagetodem_qgis.algorithms.base import ImageToDemAlgorithm
from imagetodem_qgis.algorithms.inputs import Parameters, Refusal, advanced, opened_image
from imagetodem_qgis.algorithms.listener import FeedbackListener
from imagetodem_qgis.pairs.dataset import IncompleteError, Job, make_dataset
from imagetodem_qgis.pairs.journal import JournalError
from imagetodem_qgis.pairs.plan import plan_grid
from imagetodem_qgis.pairs.rasters import RasterSource, common_grid, stored_type
from imagetodem_qgis.pairs.source import NODATA, FetchCancelled, SourceError
from imagetodem_qgis.raster.heights import Heights
from imagetodem_qgis.raster.image import Image, RasterError

IMAGE = "IMAGE"
BANDS = "BANDS"
DEM = "DEM"

_HELP = {
    IMAGE: "A raster with a red, a green and a blue band, of any resolution and coordinate system.",
    BANDS: "Three bands in the order red, green, blue. Left empty, the bands' colour interpretation decides, "
    "else bands 1, 2, 3.",
    DEM: "A raster of heights of the same ground, of any resolution and coordinate system. Heights in feet "
    "become metres where the raster names its unit.",
    shared.RESOLUTION: "Metres a pixel of the pairs. Left empty, the image's own.",
}


class PairsFromRastersAlgorithm(ImageToDemAlgorithm):
    """Runs :func:`imagetodem_qgis.pairs.dataset.make_dataset` on a user's own rasters."""

    NAME = "pairsfromrasters"
    DISPLAY_NAME = "Make pairs from rasters"
    GROUP = "Training"
    GROUP_ID = "training"
    TAGS = ("image", "dem", "tiles", "chips", "data set", "training", "pairs", "cut", "orthophoto")
    SHORT_DESCRIPTION = "Cuts an image and a DEM of the same ground into pairs to train a generator on"
    SHORT_HELP = (
        "<p>Brings an RGB image and a DEM onto one grid and cuts both into tiles, as a folder that opens in "
        "QGIS and that 'Train generator' takes: the way to fine-tune a generator to your own region and "
        "sensor.</p>"
        "<p>An image whose coordinate system has true metres keeps its grid, and at its own resolution its "
        "very pixels; any other is brought to its UTM zone.</p>"
        "<p>Whole areas are held out for validation and testing, with a buffer. Tiles with too many gaps or "
        "too much sea are left out and counted.</p>"
    )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        number = QgsProcessingParameterNumber
        own = [
            QgsProcessingParameterRasterLayer(IMAGE, self.tr("Image")),
            advanced(
                QgsProcessingParameterBand(
                    BANDS, self.tr("Red, green and blue band"), None, IMAGE, True, True
                )
            ),
            QgsProcessingParameterRasterLayer(DEM, self.tr("DEM")),
            number(shared.RESOLUTION, self.tr("Resolution (m)"), number.Double, None, True, 0.001),
        ]
        shared.declare(self, own, _HELP)

    def check_inputs(self, parameters: dict[str, Any], context: QgsProcessingContext, scratch: Path) -> None:
        job, _ = self._job(parameters, context)
        shared.check_output(parameters, context, dict(job.parameters))

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        listener = FeedbackListener(feedback)
        try:
            job, source = self._job(parameters, context)
            for warning in job.plan.warnings:
                listener.warn(warning)
            with closing(source):
                made = make_dataset(job, source, listener)
            return shared.results(made, job.folder, context)
        except FetchCancelled:
            listener.say(f"The pairs that are whole are kept in {job.folder}: run this again to go on.")
            return {}
        except (Refusal, RasterError, SourceError, IncompleteError, JournalError, OSError) as error:
            raise QgsProcessingException(str(error)) from error

    def _job(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[Job, RasterSource]:
        image = opened_image(self, parameters, IMAGE, BANDS, context)
        dem, dem_path = self._heights(parameters, context)
        size = self.parameterAsInt(parameters, shared.TILE_SIZE, context)
        wanted = parameters.get(shared.RESOLUTION)
        resolution = None if wanted is None else self.parameterAsDouble(
            parameters, shared.RESOLUTION, context
        )  # fmt: skip
        if image.grid.ground() is None:
            raise Refusal(IMAGE, _unplaced(image.path))
        try:
            grid = common_grid(image.grid, dem.grid, resolution)
        except RasterError as error:
            raise Refusal(DEM, str(error)) from error
        step = grid.geotransform[1]
        if min(grid.columns, grid.rows) < size:
            raise Refusal(
                shared.TILE_SIZE,
                f"the image and the DEM share {grid.columns} x {grid.rows} pixels of {step:g} m, less than a "
                f"tile of {size}: give a smaller TILE_SIZE or a finer RESOLUTION",
            )
        plan = plan_grid(grid, size, shared.shares_of(self, parameters, context, step * size))
        limits = shared.limits_of(self, parameters, context, NODATA)
        recorded = {
            IMAGE: _identity(image),
            DEM: dem_path,
            "files": [_state(image.path), _state(dem_path)],
            shared.RESOLUTION: step,
            shared.TILE_SIZE: size,
            **shared.recorded(plan, limits),
        }
        folder = shared.output_folder(self, parameters, context)
        job = Job(folder, plan, step, size, limits, recorded, stored_type(image.path, image.bands))
        return job, RasterSource(image.path, image.bands, dem_path)

    def _heights(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[Heights, str]:
        layer = self.parameterAsRasterLayer(parameters, DEM, context)
        if layer is not None and layer.isValid() and layer.providerType() != "gdal":
            raise Refusal(
                DEM, f"{layer.name()} comes from '{layer.providerType()}': export it to a GeoTIFF first"
            )
        path = layer.source() if layer is not None else str(parameters.get(DEM))
        try:
            dem = Heights(path)
        except RasterError as error:
            raise Refusal(DEM, str(error)) from error
        if not dem.grid.crs:
            raise Refusal(DEM, _unplaced(path))
        return dem, path


def _state(path: str) -> str:
    """Size and date of a raster's file, by which one that took its name is known from it; empty for what is
    no file."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return ""
    return f"{status.st_size} bytes of {datetime.fromtimestamp(status.st_mtime).isoformat(' ')}"


def _identity(image: Image) -> str:
    return f"{image.path} ({', '.join(map(str, image.bands))})"


def _unplaced(path: str) -> str:
    return f"{path} has no coordinate reference system: assign one first (gdal:assignprojection)"
