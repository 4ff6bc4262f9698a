"""What a prediction without QGIS is asked for: plain values that travel to the processes of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imagetodem_qgis.anchoring.control_points import ControlPoints
from imagetodem_qgis.anchoring.reference_heights import ReferenceHeights
from imagetodem_qgis.core.card import DEM_TO_IMAGE, GUIDED
from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.prediction.anchors import KnownHeights
from imagetodem_qgis.prediction.request import Request
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.runtime.models import (
    Model,
    ModelError,
    open_installed_model,
    open_model_file,
    suitable_model,
)
from imagetodem_qgis.worker.headless.image import RasterioImage
from imagetodem_qgis.worker.headless.points import read_points
from imagetodem_qgis.worker.headless.reference import RasterioReference


@dataclass(frozen=True)
class Order:
    """A prediction to make; paths lead to the same files from every process.

    Attributes:
        image: path.
        bands: numbers of red, green and blue from 1; by colour interpretation, else 1, 2, 3, if empty.
        window: row, column, rows and columns of the image's pixels to predict; all if empty.
        model: name of an installed model, or a path; the installed one that suits what is known if empty.
        engine: ``automatic``, ``onnxruntime`` or ``tensorflow``.
        device: ``automatic``, ``cpu`` or ``gpu``.
        overlap: of neighbouring tiles, as a share of their side.
        batch_size: tiles given to the engine at once; 0 to find the quickest.
        sun_azimuth: degrees clockwise from north, if known.
        output: path of the DEM.
        confidence: path of the raster of standard deviations, or empty.
        reference: path of a reference DEM, or empty.
        points: path of control points, or empty; see :mod:`imagetodem_qgis.worker.headless.points`.
        height_field: of the points' heights, or empty.
        points_crs: of points in a table, or empty for the image's.
        scratch: an existing folder for temporary files.
    """

    image: str
    bands: tuple[int, ...]
    window: tuple[int, ...]
    model: str
    engine: str
    device: str
    overlap: float
    batch_size: int
    sun_azimuth: float | None
    output: str
    confidence: str
    reference: str
    points: str
    height_field: str
    points_crs: str
    scratch: str


def request_of(order: Order) -> Request:
    """The request that an order makes.

    Raises:
        RasterError: the image, or the known heights, cannot be read.
        ModelError: the model cannot be used.
        ValueError: the window lies outside the image, or the known heights are not to be had from what is
            given.
    """
    image = RasterioImage(order.image, order.bands)
    window = Window(*order.window) if order.window else image.grid.window()
    if window.intersection(image.grid.window()) != window or window.is_empty():
        raise ValueError(
            f"the window {order.window} lies outside the image of {image.grid.rows} x {image.grid.columns}"
        )
    model = _model(order)
    return Request(
        image=image,
        window=window,
        model=model,
        interpreter=Path(),
        engine=model.engine(order.engine),
        device=order.device,
        overlap=order.overlap,
        batch_size=order.batch_size,
        sun_azimuth=order.sun_azimuth,
        output=Path(order.output),
        confidence=Path(order.confidence) if order.confidence else None,
        scratch=Path(order.scratch),
        known=_known(order, image, window),
    )


def _model(order: Order) -> Model:
    path = Path(order.model)
    if not order.model:
        model = open_installed_model(suitable_model(bool(order.reference)))
    elif path.exists() or len(path.parts) > 1:
        model = open_model_file(path, Path(order.scratch))
    else:
        model = open_installed_model(order.model)
    card = model.card
    if card.task == DEM_TO_IMAGE:
        raise ModelError(f"'{card.name}' predicts an image from a DEM, not a DEM from an image")
    if card.task == GUIDED and not order.reference:
        raise ModelError(f"'{card.name}' takes a coarse DEM beside the image: give one (--reference)")
    if card.target == "relative" and (order.reference or order.points):
        raise ModelError(
            f"the heights of '{card.name}' have no unit: they cannot be brought to known heights"
        )
    return model


def _known(order: Order, image: RasterioImage, window: Window) -> KnownHeights | None:
    if not order.reference and not order.points:
        return None
    if order.reference and order.points:
        raise ValueError("give either a reference DEM (--reference) or control points (--points), not both")
    grid = image.grid.cropped(window)
    if grid.ground() is None:
        raise RasterError(f"{order.image} has no coordinate reference system: known heights do not help it")
    if order.reference:
        return ReferenceHeights(RasterioReference(order.reference))
    places = read_points(Path(order.points), order.height_field, order.points_crs, grid.crs)
    return ControlPoints(Path(order.points).stem, places)
