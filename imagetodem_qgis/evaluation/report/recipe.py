"""How a DEM and its comparison were made, as the report tells it."""

from __future__ import annotations

from datetime import datetime

from osgeo import osr

from imagetodem_qgis.core.height_values import FOOT, METRE
from imagetodem_qgis.evaluation.report.words import metres
from imagetodem_qgis.evaluation.request import Evaluation, RasterComparison
from imagetodem_qgis.raster.elevation import Elevation

_OWN = "IMAGETODEM_"
_LONGEST = 300
_RESAMPLED = {
    "near": "as it is",
    "average": "averaged over the coarser pixels",
    "cubic": "interpolated by cubic convolution",
}


def recipe_of(evaluation: Evaluation) -> dict[str, str]:
    """What the DEM's file tells of its making, then what was done here, by label."""
    request, raster = evaluation.request, evaluation.raster
    rows = {"DEM": request.dem.path}
    for key, value in sorted(request.dem.metadata.items()):
        if key.startswith(_OWN):
            words = key[len(_OWN) :].replace("_", " ").lower()
            rows[f"DEM: {words}"] = str(value)[:_LONGEST]
    date = request.dem.metadata.get("TIFFTAG_DATETIME")
    if date:
        rows["DEM: date"] = date
    rows["DEM: vertical unit"] = _unit(request.dem)
    if request.reference is not None:
        rows["Reference"] = request.reference.path
        rows["Reference: vertical unit"] = _unit(request.reference)
    if raster is not None:
        rows.update(_of_grid(raster))
    rows["Alignment"] = request.align
    if request.mask is not None:
        rows["Mask"] = f"{len(request.mask.shapes)} polygons"
    if request.points is not None:
        rows["Control points"] = f"{len(request.points.heights)}; the DEM is interpolated bilinearly at them"
    rows["Date of this page"] = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    return rows


def _of_grid(raster: RasterComparison) -> dict[str, str]:
    grid = raster.grid
    rows = {
        "Compared on": f"{grid.columns} × {grid.rows} pixels, {_crs_name(grid.crs)}",
        "Size of a pixel": f"{abs(grid.geotransform[1]):.8g} × {abs(grid.geotransform[5]):.8g} map units",
        "DEM: brought there": _RESAMPLED[raster.resampling[0]],
        "Reference: brought there": _RESAMPLED[raster.resampling[1]],
    }
    if raster.move is not None:
        rows["Co-registration"] = (
            f"moved {metres(raster.move.east)} east and {metres(raster.move.north)} north (Nuth & Kääb 2011)"
        )
    return rows


def _unit(elevation: Elevation) -> str:
    names = {METRE: "metres", FOOT: "feet"}
    name = names.get(elevation.unit, f"{elevation.unit:.9g} m")
    return name if elevation.declares_unit else f"{name} (assumed: the file does not say)"


def _crs_name(crs: str) -> str:
    reference = osr.SpatialReference()
    if not crs or reference.ImportFromWkt(crs) != 0:
        return "no coordinate reference system"
    code = reference.GetAuthorityCode(None)
    name = reference.GetName() or "unnamed CRS"
    return f"{name} ({reference.GetAuthorityName(None)}:{code})" if code else str(name)
