"""What a prediction without QGIS is asked for: plain values that travel to the processes of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.prediction.request import Request
from imagetodem_qgis.runtime.models import open_installed_model, open_model_file
from imagetodem_qgis.worker.headless.image import RasterioImage


@dataclass(frozen=True)
class Order:
    """A prediction to make; paths lead to the same files from every process.

    Attributes:
        image: path.
        bands: numbers of red, green and blue from 1; by colour interpretation, else 1, 2, 3, if empty.
        window: row, column, rows and columns of the image's pixels to predict; all if empty.
        model: name of an installed model, or a path.
        engine: ``automatic``, ``onnxruntime`` or ``tensorflow``.
        device: ``automatic``, ``cpu`` or ``gpu``.
        overlap: of neighbouring tiles, as a share of their side.
        batch_size: tiles given to the engine at once; 0 to find the quickest.
        sun_azimuth: degrees clockwise from north, if known.
        output: path of the DEM.
        confidence: path of the raster of standard deviations, or empty.
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
    scratch: str


def request_of(order: Order) -> Request:
    """The request that an order makes.

    Raises:
        RasterError: the image cannot be read.
        ModelError: the model cannot be used.
        ValueError: the window lies outside the image.
    """
    image = RasterioImage(order.image, order.bands)
    window = Window(*order.window) if order.window else image.grid.window()
    if window.intersection(image.grid.window()) != window or window.is_empty():
        raise ValueError(
            f"the window {order.window} lies outside the image of {image.grid.rows} x {image.grid.columns}"
        )
    path = Path(order.model)
    is_file = path.exists() or len(path.parts) > 1
    model = open_model_file(path, Path(order.scratch)) if is_file else open_installed_model(order.model)
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
    )
