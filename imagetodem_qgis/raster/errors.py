"""What goes wrong with rasters, whatever library reads them."""

from __future__ import annotations


class RasterError(ValueError):
    """A raster that cannot be read or used; the message says why."""
