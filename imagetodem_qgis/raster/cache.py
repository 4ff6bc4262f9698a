"""Keeping GDAL's block cache small while large rasters pass through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from osgeo import gdal

_BYTES = 32 * 1024 * 1024


@contextmanager
def small_block_cache() -> Iterator[None]:
    """Limit GDAL's block cache, which is one for the whole process and by default a twentieth of the memory,
    so that memory does not grow with the raster. It is put back as it was."""
    before = gdal.GetCacheMax()
    gdal.SetCacheMax(min(before, _BYTES))
    try:
        yield
    finally:
        gdal.SetCacheMax(before)
