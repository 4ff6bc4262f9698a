"""The collections of Earth Engine's catalogue that pairs are made of."""

from __future__ import annotations

from dataclasses import dataclass

SENTINEL_2 = "COPERNICUS/S2_SR_HARMONIZED"
CLOUD_SCORE = "GOOGLE/CLOUD_SCORE_PLUS/V1/S2_HARMONIZED"

COLOURS = ("B4", "B3", "B2")
"""Red, green and blue of Sentinel-2."""
COLOUR_METRES = 10.0
"""Side of their pixels."""
REFLECTANCE = 1e-4
"""Reflectance of one of their counts; the harmonized collection has no offset."""

CLEAR_BAND = "cs_cdf"
CLEAR = 0.6
"""Least Cloud Score+ of a clear pixel, the value that its authors advise."""

LARGEST_PICTURE = 1024
"""Pixels along a side of what is asked for at once: 23 MB with its masks, half of a request's limit."""
BYTES_A_PIXEL = 18
"""Three colours and a height of four bytes, a class of two."""


@dataclass(frozen=True)
class Elevation:
    """A collection of DEM tiles in longitude and latitude.

    Attributes:
        collection: its id.
        heights: band in metres.
        classes: band that tells what a height is worth.
        known: classes whose heights are measured.
        sea: class of the open sea. Where the collection has no tile there is sea too.
        metres: side of a pixel at the equator.
    """

    collection: str
    heights: str
    classes: str
    known: tuple[int, ...]
    sea: int
    metres: float


ELEVATIONS = {
    # MSK: 0 measured, 1 cloud or snow, 2 inland water and low correlation, 3 sea, else filled from others.
    "AW3D30": Elevation("JAXA/ALOS/AW3D30/V4_1", "DSM", "MSK", (0,), 3, 30.0),
    # WBM: 0 land, 1 ocean, 2 lake, 3 river.
    "Copernicus GLO-30": Elevation("COPERNICUS/DEM/GLO30", "DEM", "WBM", (0, 2, 3), 1, 30.0),
}
"""By the name that a query gives."""
