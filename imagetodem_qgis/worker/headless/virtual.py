"""Virtual rasters: GDAL's description of a resampled raster, written by hand since rasterio has no call for
it."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

import rasterio
from rasterio.io import DatasetReader

from imagetodem_qgis.core.tiling import Window

_TYPES = {
    "uint8": "Byte",
    "int8": "Int8",
    "uint16": "UInt16",
    "int16": "Int16",
    "uint32": "UInt32",
    "int32": "Int32",
    "float32": "Float32",
    "float64": "Float64",
}


def virtual_raster(
    source: DatasetReader,
    bands: Sequence[int],
    window: Window,
    rows: int,
    columns: int,
    resampling: str,
    with_masks: bool = True,
) -> DatasetReader:
    """A window of a raster's bands, brought to rows × columns pixels while it is read.

    Args:
        source: the raster.
        bands: of it.
        window: of it.
        rows: of the virtual raster.
        columns: of the virtual raster.
        resampling: of the values, by GDAL's name; masks take the nearest.
        with_masks: whether the masks of the bands follow them as further bands.
    """
    place = (
        f'<SrcRect xOff="{window.column}" yOff="{window.row}" '
        f'xSize="{window.columns}" ySize="{window.rows}"/>'
        f'<DstRect xOff="0" yOff="0" xSize="{columns}" ySize="{rows}"/>'
    )
    name = f'<SourceFilename relativeToVRT="0">{escape(source.name)}</SourceFilename>'
    parts = []
    for band in bands:
        kind, nodata = _TYPES[source.dtypes[band - 1]], source.nodatavals[band - 1]
        told = "" if nodata is None else f"<NoDataValue>{nodata!r}</NoDataValue>"
        start = f'{told}<SimpleSource resampling="{resampling}">'
        parts.append((kind, f"{start}{name}<SourceBand>{band}</SourceBand>"))
    if with_masks:
        for band in bands:
            parts.append(("Byte", f"<SimpleSource>{name}<SourceBand>mask,{band}</SourceBand>"))
    described = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{number}">{part}{place}</SimpleSource></VRTRasterBand>'
        for number, (kind, part) in enumerate(parts, start=1)
    )
    return rasterio.open(f'<VRTDataset rasterXSize="{columns}" rasterYSize="{rows}">{described}</VRTDataset>')
