"""Collections to serve: scenes and heights that are functions of the place, so that the truth is known
anywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone

import numpy as np

from tests.services.earthengine.grids import Floats, Grid
from tests.services.earthengine.images import Image, stored_band

SENTINEL_2 = "COPERNICUS/S2_SR_HARMONIZED"
CLOUD_SCORE = "GOOGLE/CLOUD_SCORE_PLUS/V1/S2_HARMONIZED"
AW3D30 = "JAXA/ALOS/AW3D30/V4_1"
GLO30 = "COPERNICUS/DEM/GLO30"

Function = Callable[[Floats, Floats], Floats]
"""Of x and y, or of longitude and latitude."""


def clear_sky(x: Floats, y: Floats) -> Floats:
    """A Cloud Score+ without a cloud."""
    return np.full(np.shape(x), 0.95)


@dataclass
class World:
    """Images by collection, as a server is given them."""

    catalogue: dict[str, list[Image]] = field(
        default_factory=lambda: {SENTINEL_2: [], CLOUD_SCORE: [], AW3D30: [], GLO30: []}
    )

    def clear(self) -> None:
        """Have no images."""
        for images in self.catalogue.values():
            images.clear()

    def add_scene(
        self,
        index: str,
        grid: Grid,
        counts: tuple[Function, Function, Function],
        time: str = "2021-06-15T10:10:00",
        cloudy: float = 2.0,
        sun: tuple[float | None, float | None] = (150.0, 35.0),
        datatake: str | None = None,
        score: Function | None = clear_sky,
    ) -> None:
        """Add a granule of Sentinel-2 and its Cloud Score+.

        Args:
            index: its id within the collection.
            grid: of its pixels.
            counts: red, green and blue as functions of the x and y of a pixel's centre, rounded when stored.
            time: when it was taken.
            cloudy: percent that the granule states.
            sun: azimuth and zenith in degrees.
            datatake: the pass that it belongs to; one of its own if None.
            score: Cloud Score+ of a pixel; None for a granule that has none.
        """
        bands = {
            name: stored_band(grid, _rounded(count), "uint16")
            for name, count in zip(("B4", "B3", "B2"), counts)
        }
        moment = datetime.fromisoformat(time).replace(tzinfo=timezone.utc).timestamp()
        properties = {
            "system:index": index,
            "system:time_start": int(1000 * moment),
            "CLOUDY_PIXEL_PERCENTAGE": cloudy,
            "MEAN_SOLAR_AZIMUTH_ANGLE": sun[0],
            "MEAN_SOLAR_ZENITH_ANGLE": sun[1],
            "DATATAKE_IDENTIFIER": datatake or f"of {index}",
        }
        self.catalogue[SENTINEL_2].append(Image(bands, properties, grid.outline()))
        if score is not None:
            scores = {"cs_cdf": stored_band(grid, score, "float32")}
            self.catalogue[CLOUD_SCORE].append(Image(scores, {"system:index": index}, grid.outline()))

    def add_heights(
        self,
        west: float,
        north: float,
        columns: int,
        rows: int,
        metres: Function,
        classes: Function | None = None,
        collection: str = AW3D30,
        seconds: tuple[float, float] = (1.0, 1.0),
    ) -> None:
        """Add a tile of a DEM.

        Args:
            west: longitude of its upper left corner. north: latitude of it. columns: of pixels. rows:
            likewise. metres: height as a function of the longitude and latitude of a pixel's centre;
            rounded for AW3D30. classes: its MSK or WBM; all measured land if None. collection: to add it
            to. seconds: of arc that a pixel is wide and high.
        """
        grid = Grid("EPSG:4326", west, north, seconds[0] / 3600.0, -seconds[1] / 3600.0, columns, rows)
        land: Function = classes or (lambda x, y: np.zeros(np.shape(x)))
        heights, worth = ("DSM", "MSK") if collection == AW3D30 else ("DEM", "WBM")
        stored = _rounded(metres) if collection == AW3D30 else metres
        bands = {
            heights: stored_band(grid, stored, "int16" if collection == AW3D30 else "float32"),
            worth: stored_band(grid, land, "uint8"),
        }
        name = f"{north:.2f} {west:.2f}"
        self.catalogue[collection].append(Image(bands, {"system:index": name}, grid.outline()))


def _rounded(function: Function) -> Function:
    return lambda x, y: np.round(function(x, y))
