"""What Earth Engine is asked to compute.

Nothing here is evaluated on this computer: each function builds an expression, and the server works out, for
the grid that is asked for, which pixels of which projection and pyramid level it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import ee

from imagetodem_qgis.worker.earthengine import products
from imagetodem_qgis.worker.earthengine.products import Elevation
from imagetodem_qgis.worker.earthengine.templates import Template, blank

UNKNOWN = -32768.0
"""Stands for a masked pixel: no reflectance and no height is as low."""
NO_CLASS = -1
"""Stands for the class of a pixel where the elevation collection has no tile."""
HEIGHT, CLASS = "height", "class"
BANDS = (*products.COLOURS, HEIGHT, CLASS)

LARGEST_STACK = 60
"""Images that a tile's pixels are taken from at most, those of the least cloudy scenes."""
_FAR_COARSER = 1.5
"""Times a DEM's own pixel from which on its heights are averaged rather than interpolated."""
_LARGEST_MEAN = 4096
"""Pixels that are averaged to one at most, from coarser levels of the pyramid if there are more."""
_NEIGHBOURS_METRES = 150.0
"""Width around a tile of the heights that its outermost pixels are interpolated from."""
_SURVEY_CELLS = 64
"""Along a side of a tile, where the share of clear ground is taken."""
_BLANKS = ("crs", "square", "around")
"""Of every expression: where the tile lies."""
_PROPERTIES = (
    "system:index",
    "system:time_start",
    "MEAN_SOLAR_AZIMUTH_ANGLE",
    "MEAN_SOLAR_ZENITH_ANGLE",
    "DATATAKE_IDENTIFIER",
)


@dataclass(frozen=True)
class Ground:
    """A square of ground.

    Attributes:
        crs: such as ``EPSG:32633``.
        left: x of its upper left corner.
        top: y of it.
        resolution: side of a pixel in metres.
        size: side in pixels.
    """

    crs: str
    left: float
    top: float
    resolution: float
    size: int

    @property
    def side(self) -> float:
        """Side in metres."""
        return self.size * self.resolution

    def square(self, margin: float = 0.0) -> list[float]:
        """Least x and y, largest x and y of the square, wider by a margin in metres."""
        return [
            self.left - margin,
            self.top - self.side - margin,
            self.left + self.side + margin,
            self.top + margin,
        ]


@dataclass(frozen=True)
class Season:
    """When, and how cloudy at most, images may be.

    Attributes:
        start: first day.
        end: last day, included.
        months: of the year, 1 to 12.
        cloud: percent of a scene.
    """

    start: date
    end: date
    months: tuple[int, ...]
    cloud: float


def survey(ground: Ground, season: Season, elevation: Elevation, wants_clear_shares: bool) -> str:
    """What there is to make a pair of, as an expression in JSON.

    It comes to a dictionary: ``images`` (a list for each, of the index, milliseconds since 1970, sun azimuth
    and zenith in degrees, and datatake, each of which may be null), ``tiles`` (of the DEM, their number),
    and, if wanted, ``datatakes`` and for each of them ``clear``, the share of the ground that it shows
    without a cloud.
    """
    return _survey(season, elevation, ground.side if wants_clear_shares else None).filled(**_place(ground))


def pair(
    ground: Ground, season: Season, elevation: Elevation, indices: Sequence[str], is_composite: bool
) -> str:
    """The pixels of a pair as an expression in JSON, which comes to an image of :data:`BANDS`: counts of
    reflectance, metres, class of the height.

    Args:
        ground: of the tile.
        season: of the survey.
        elevation: where the heights come from.
        indices: of the images to take, as the survey told them.
        is_composite: whether each pixel is the median of the images; else they are parts of one scene.
    """
    template = _pair(season, elevation, ground.resolution, is_composite)
    return template.filled(**_place(ground), indices=list(indices))


def _place(ground: Ground) -> dict[str, Any]:
    """What fills the blanks that tell where a tile lies."""
    return {"crs": ground.crs, "square": ground.square(), "around": ground.square(_NEIGHBOURS_METRES)}


@lru_cache(maxsize=16)
def _survey(season: Season, elevation: Elevation, side: float | None) -> Template:
    """The survey of tiles; with the shares of clear ground of tiles with a side of so many metres."""
    images = _images(season)
    found = {
        "images": images.toList(LARGEST_STACK).map(_properties),
        "tiles": _tiles(elevation).size(),
    }
    if side is not None:
        scale = max(side / _SURVEY_CELLS, products.COLOUR_METRES)
        datatakes = images.aggregate_array(_PROPERTIES[-1]).distinct()
        scored = images.map(_with_score)
        found["datatakes"] = datatakes
        found["clear"] = datatakes.map(lambda name: _clear_share(scored, name, scale))
    return Template(ee.Dictionary(found), *_BLANKS)


@lru_cache(maxsize=16)
def _pair(season: Season, elevation: Elevation, resolution: float, is_composite: bool) -> Template:
    """The pixels of tiles, for grids of so many metres a pixel."""
    chosen = _of_season(season).filter(ee.Filter.inList("system:index", ee.List(blank("indices"))))

    def clear_colours(image: Any) -> Any:
        scored = _with_score(image)
        colours = scored.select(list(products.COLOURS)).toFloat().updateMask(_is_clear(scored))
        return _on_any_grid(colours, resolution > products.COLOUR_METRES)

    clear = chosen.map(clear_colours)
    colours = clear.median() if is_composite else clear.mosaic()
    tiles = _tiles(elevation)
    # Made one before it is interpolated: a tile of its own knows no neighbour beyond its border.
    whole = tiles.mosaic()
    classes = whole.select(elevation.classes)
    worth = [*elevation.known, elevation.sea]
    heights = whole.select(elevation.heights).updateMask(classes.remap(worth, [1] * len(worth), 0)).toFloat()
    placed = heights.setDefaultProjection(tiles.first().select(elevation.heights).projection())
    resampled = _on_any_grid(placed, resolution > _FAR_COARSER * elevation.metres)
    image = (
        colours.unmask(UNKNOWN, False)
        .toFloat()
        .addBands(resampled.unmask(UNKNOWN, False).toFloat().rename(HEIGHT))
        .addBands(classes.toInt16().unmask(NO_CLASS, False).rename(CLASS))
    )
    return Template(image, *_BLANKS, "indices")


def _square(name: str) -> Any:
    """A square of ground whose corners a blank holds."""
    return ee.Geometry.Rectangle(ee.List(blank(name)), proj=_crs(), geodesic=False)


def _crs() -> Any:
    return ee.Projection(blank("crs"))


def _of_season(season: Season) -> Any:
    end = season.end + timedelta(days=1)
    images = (
        ee.ImageCollection(products.SENTINEL_2)
        .filterBounds(_square("square"))
        .filterDate(season.start.isoformat(), end.isoformat())
    )
    runs = runs_of_months(season.months)
    if runs != [(1, 12)]:
        images = images.filter(
            ee.Filter.Or(*(ee.Filter.calendarRange(first, last, "month") for first, last in runs))
        )
    return images


def _images(season: Season) -> Any:
    cloudiness = "CLOUDY_PIXEL_PERCENTAGE"
    clear_enough = _of_season(season).filter(ee.Filter.lte(cloudiness, season.cloud))
    return clear_enough.limit(LARGEST_STACK, cloudiness)


def _tiles(elevation: Elevation) -> Any:
    return ee.ImageCollection(elevation.collection).filterBounds(_square("around"))


def _properties(image: Any) -> Any:
    return ee.List([ee.Image(image).get(name) for name in _PROPERTIES])


def _with_score(image: Any) -> Any:
    return image.linkCollection(ee.ImageCollection(products.CLOUD_SCORE), [products.CLEAR_BAND])


def _is_clear(image: Any) -> Any:
    return image.select(products.CLEAR_BAND).gte(products.CLEAR)


def _clear_share(scored: Any, datatake: Any, scale: float) -> Any:
    """Share of the ground that the granules of one pass show without a cloud, looked at in steps of so many
    metres."""
    granules = scored.filter(ee.Filter.eq(_PROPERTIES[-1], datatake))
    share = _is_clear(granules.mosaic()).unmask(0, False)
    means = share.reduceRegion(ee.Reducer.mean(), _square("square"), scale, _crs())
    return means.get(products.CLEAR_BAND)


def _on_any_grid(image: Any, coarser: bool) -> Any:
    """The image, to be averaged over the pixels of a coarser grid, else interpolated: nothing moves."""
    if coarser:
        return image.reduceResolution(ee.Reducer.mean(), True, _LARGEST_MEAN)
    return image.resample("bilinear")


def runs_of_months(months: Sequence[int]) -> list[tuple[int, int]]:
    """Months as first and last of each run, in the order of the year."""
    runs: list[tuple[int, int]] = []
    for month in sorted(set(months)):
        if runs and runs[-1][1] == month - 1:
            runs[-1] = (runs[-1][0], month)
        else:
            runs.append((month, month))
    return runs
