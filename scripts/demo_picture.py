"""The demo's picture: image, predicted DEM and hillshade, and under them the difference and the true DEM."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal, osr
from qgis.PyQt.QtCore import QRectF, Qt
from qgis.PyQt.QtGui import QColor, QFont, QGuiApplication, QImage, QPainter

from imagetodem_qgis.core.alignment import fit_shift_and_scale

_PIXEL = 75.0
_PANEL_WIDTH = 470
_MARGIN = 28
_TITLE = 64
_LEGEND = 62
_EXAGGERATIONS = (1, 2, 5, 10, 20, 50)
_VISIBLE_GRADIENT = 0.35
_INK = QColor("#22303a")
_QUIET = QColor("#5b6b76")
_PAPER = QColor("#fbfaf7")

_RELIEF = ("#2c6e49", "#7fb069", "#e6d690", "#c98f52", "#8a5a3c", "#b9aaa2", "#fdfdfd")
_DIFFERENCE = ("#2166ac", "#92c5de", "#f7f7f7", "#f4a582", "#b2182b")


@dataclass(frozen=True)
class Legend:
    """A colour ramp with what its ends stand for, in metres."""

    colours: tuple[str, ...]
    low: float
    high: float

    def paint(self, heights: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Colours of heights: (rows, columns) to (rows, columns, 3)."""
        places = np.clip((heights - self.low) / max(self.high - self.low, 1e-9), 0.0, 1.0) * (
            len(self.colours) - 1
        )
        stops = np.array([QColor(colour).getRgb()[:3] for colour in self.colours], np.float64)
        channels = [
            np.interp(np.nan_to_num(places), np.arange(len(stops)), stops[:, band]) for band in range(3)
        ]
        return _on_paper(np.stack(channels, axis=-1), np.isfinite(heights))


@dataclass(frozen=True)
class Panel:
    """One picture of the sheet: (rows, columns, 3) uint8, with a title, a line under it, perhaps a legend."""

    title: str
    subtitle: str
    pixels: NDArray[np.uint8]
    legend: Legend | None = None


def draw(prediction: Path, image: Path, truth: Path, picture: Path, heading: str) -> None:
    """Write the picture, a PNG, north up and true in shape, of the ground that the true DEM covers.

    Args:
        prediction: predicted DEM in metres.
        image: the RGB image, uint8, that it was predicted from.
        truth: true DEM in metres.
        picture: the PNG to write.
        heading: line over the sheet.

    Raises:
        OSError: the picture cannot be written.
    """
    grid = _utm_grid(truth)
    colours = np.stack([_warped(image, grid, band) for band in (1, 2, 3)], axis=-1)
    predicted, true = _warped(prediction, grid, 1), _warped(truth, grid, 1)
    both = np.isfinite(predicted) & np.isfinite(true)
    predicted[~both] = np.nan
    difference = fit_shift_and_scale(predicted, true).apply(predicted) - true
    reach = float(np.nanpercentile(np.abs(difference), 98))
    known = np.isfinite(colours).all(axis=-1) & np.isfinite(true)
    relief_of = {
        name: _relief_legend(heights) for name, heights in (("predicted", predicted), ("true", true))
    }
    panels = [
        Panel("Image", "Landsat 8, Rocky Mountain National Park", _on_paper(np.nan_to_num(colours), known)),
        Panel(
            "Predicted DEM",
            "from the image alone, relative",
            relief_of["predicted"].paint(predicted),
            relief_of["predicted"],
        ),
        _hillshade_panel("Hillshade of the prediction", predicted),
        Panel(
            "Difference",
            "predicted after a shift and scale, minus true",
            Legend(_DIFFERENCE, -reach, reach).paint(difference),
            Legend(_DIFFERENCE, -reach, reach),
        ),
        Panel("True DEM", "the park's elevation model", relief_of["true"].paint(true), relief_of["true"]),
        _hillshade_panel("Hillshade of the truth", true),
    ]
    _write_sheet(panels, picture, heading)


def _utm_grid(truth: Path) -> gdal.Dataset:
    source = gdal.Open(str(truth))
    left, width, _, top, _, height = source.GetGeoTransform()
    longitude, latitude = left + width * source.RasterXSize / 2, top + height * source.RasterYSize / 2
    zone = int((longitude + 180.0) // 6.0) + 1
    system = osr.SpatialReference()
    system.ImportFromEPSG((32600 if latitude >= 0 else 32700) + zone)
    return gdal.Warp("", source, format="MEM", dstSRS=system.ExportToWkt(), xRes=_PIXEL, yRes=_PIXEL)


def _warped(path: Path, grid: gdal.Dataset, band: int) -> NDArray[np.float64]:
    left, width, _, top, _, height = grid.GetGeoTransform()
    warped = gdal.Warp(
        "",
        gdal.Translate("", str(path), format="MEM", bandList=[band]),
        format="MEM",
        dstSRS=grid.GetProjection(),
        outputBounds=(left, top + height * grid.RasterYSize, left + width * grid.RasterXSize, top),
        width=grid.RasterXSize,
        height=grid.RasterYSize,
        resampleAlg="cubic",
        outputType=gdal.GDT_Float64,
        dstNodata=float("nan"),
    )
    return warped.ReadAsArray()


def _hillshade_panel(title: str, heights: NDArray[np.float64]) -> Panel:
    factor = exaggeration_for(heights)
    note = "heights not exaggerated" if factor == 1 else f"heights exaggerated {factor} times"
    return Panel(title, f"sun from the north-west, {note}", hillshade(heights, factor))


def _relief_legend(heights: NDArray[np.float64]) -> Legend:
    low, high = np.nanpercentile(heights, (1, 99))
    return Legend(_RELIEF, float(low), float(high))


def exaggeration_for(heights: NDArray[np.float64]) -> int:
    """The least round factor with which a tenth of a surface is steeper than 19°, where shading shows."""
    gradient = np.hypot(*np.gradient(heights, _PIXEL))
    steep = float(np.nanpercentile(gradient, 90))
    enough = (factor for factor in _EXAGGERATIONS if factor * steep >= _VISIBLE_GRADIENT)
    return next(enough, _EXAGGERATIONS[-1])


def hillshade(
    heights: NDArray[np.float64], exaggeration: int, azimuth: float = 315.0, altitude: float = 45.0
) -> NDArray[np.uint8]:
    """Lambert's cosine law on the surface's normals, sun at ``azimuth`` and ``altitude`` in degrees.

    Returns:
        (rows, columns, 3) uint8, grey.
    """
    down, right = np.gradient(heights * exaggeration, _PIXEL)
    towards, up = np.radians(azimuth), np.radians(altitude)
    sun = np.cos(up) * np.sin(towards), np.cos(up) * np.cos(towards), np.sin(up)
    light = (-right * sun[0] + down * sun[1] + sun[2]) / np.sqrt(1.0 + right**2 + down**2)
    grey = 255.0 * np.clip(light, 0.0, 1.0)
    return _on_paper(np.repeat(np.nan_to_num(grey)[..., None], 3, axis=-1), np.isfinite(grey))


def _on_paper(pixels: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    paper = np.array(_PAPER.getRgb()[:3], np.float64)
    return np.where(known[..., None], np.clip(np.rint(pixels), 0, 255), paper).astype(np.uint8)


def _write_sheet(panels: list[Panel], picture: Path, heading: str) -> None:
    # Painting text needs an application; the instance must outlive the painting.
    application = QGuiApplication.instance() or QGuiApplication([])
    rows, columns = panels[0].pixels.shape[:2]
    panel_height = round(_PANEL_WIDTH * rows / columns)
    cell_width, cell_height = _PANEL_WIDTH + _MARGIN, _TITLE + panel_height + _LEGEND
    sheet = QImage(3 * cell_width + _MARGIN, 60 + 2 * cell_height, QImage.Format.Format_RGB32)
    sheet.fill(_PAPER)
    painter = QPainter(sheet)
    painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
    _text(painter, QRectF(_MARGIN, 18, sheet.width() - 2 * _MARGIN, 36), heading, 21, bold=True)
    for index, panel in enumerate(panels):
        left, top = _MARGIN + index % 3 * cell_width, 60 + index // 3 * cell_height
        _text(painter, QRectF(left, top + 6, _PANEL_WIDTH, 28), panel.title, 17, bold=True)
        _text(painter, QRectF(left, top + 34, _PANEL_WIDTH, 22), panel.subtitle, 13, _QUIET)
        frame = QRectF(left, top + _TITLE, _PANEL_WIDTH, panel_height)
        painter.drawImage(frame, _qimage(panel.pixels))
        if panel.legend is not None:
            _draw_legend(painter, panel.legend, left, frame.bottom() + 10)
    painter.end()
    picture.parent.mkdir(parents=True, exist_ok=True)
    if not sheet.save(str(picture), "PNG"):
        raise OSError(f"cannot write {picture}")
    del application


def _draw_legend(painter: QPainter, legend: Legend, left: float, top: float) -> None:
    ramp = np.linspace(legend.low, legend.high, _PANEL_WIDTH)[None, :]
    painter.drawImage(QRectF(left, top, _PANEL_WIDTH, 14), _qimage(legend.paint(ramp)))
    row = QRectF(left, top + 17, _PANEL_WIDTH, 20)
    middle = (legend.low + legend.high) / 2
    for value, place in (
        (legend.low, Qt.AlignmentFlag.AlignLeft),
        (middle, Qt.AlignmentFlag.AlignHCenter),
        (legend.high, Qt.AlignmentFlag.AlignRight),
    ):
        _text(painter, row, f"{value:,.0f} m", 13, align=place)


def _text(
    painter: QPainter,
    box: QRectF,
    text: str,
    pixels: int,
    colour: QColor = _INK,
    bold: bool = False,
    align: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignLeft,
) -> None:
    font = QFont("DejaVu Sans")
    font.setPixelSize(pixels)
    font.setBold(bold)
    painter.setFont(font)
    painter.setPen(colour)
    painter.drawText(box, int(align | Qt.AlignmentFlag.AlignVCenter), text)


def _qimage(pixels: NDArray[np.uint8]) -> QImage:
    rows, columns = pixels.shape[:2]
    data = np.ascontiguousarray(pixels).tobytes()
    # QImage keeps no reference to the bytes: the copy owns its own.
    return QImage(data, columns, rows, 3 * columns, QImage.Format.Format_RGB888).copy()
