"""What a catalogue's items say: scenes of Sentinel-2 and tiles of a DEM."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urljoin

from imagetodem_qgis.pairs.geography import Box
from imagetodem_qgis.pairs.stac_catalogue import HEIGHT_ASSET, Catalogue

_REFLECTANCE_SCALE = 1e-4
_OFFSET_SINCE_BASELINE = 4.0
_OFFSET = -0.1
"""Since processing baseline 04.00 digital numbers are 1000 higher, so that none need be negative."""


class ItemError(ValueError):
    """An item that cannot be used; the message says what it lacks."""


@dataclass(frozen=True)
class Asset:
    """A file of an item: value = number in the file · scale + offset, where the number is not ``nodata``."""

    href: str
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None


@dataclass(frozen=True)
class Scene:
    """A granule of Sentinel-2 L2A.

    Attributes:
        id: of the item.
        time: when it was taken.
        platform: which satellite.
        cloud: cover of the whole granule in percent, 100 where it is not known.
        sun_azimuth: degrees clockwise from north, if it is known.
        sun_zenith: degrees from the vertical, if it is known.
        crs: authority and code of its files, empty where it is not said.
        baseline: of the processing; of two versions of a granule the later is the better one.
        boxes: west, south, east, north in degrees; two across the antimeridian.
        bands: red, green, blue.
        classes: scene classification.
    """

    id: str
    time: datetime
    platform: str
    cloud: float
    sun_azimuth: float | None
    sun_zenith: float | None
    crs: str
    baseline: float
    boxes: tuple[Box, ...]
    bands: tuple[Asset, Asset, Asset]
    classes: Asset


@dataclass(frozen=True)
class HeightTile:
    """A tile of a DEM: id, where it lies (as of :class:`Scene`), and its file."""

    id: str
    boxes: tuple[Box, ...]
    heights: Asset


def read_scene(item: Any, catalogue: Catalogue) -> Scene:
    """Read an item of a catalogue's Sentinel-2 collection.

    Raises:
        ItemError: it lacks what a scene needs.
    """
    properties = _mapping(item, "properties")
    baseline = _number(properties.get("s2:processing_baseline"))
    zenith = _number(properties.get("s2:mean_solar_zenith"))
    elevation = _number(properties.get("view:sun_elevation"))
    azimuth = _first_number(properties, "view:sun_azimuth", "s2:mean_solar_azimuth")
    bands = [_band(item, name, catalogue, baseline) for name in catalogue.bands]
    cloud = _number(properties.get("eo:cloud_cover"))
    return Scene(
        id=_id(item),
        time=_time(properties),
        platform=str(properties.get("platform", "")).lower(),
        cloud=100.0 if cloud is None else cloud,
        sun_azimuth=None if azimuth is None else azimuth % 360.0,
        sun_zenith=zenith if elevation is None else 90.0 - elevation,
        crs=_crs(properties),
        baseline=baseline or 0.0,
        boxes=_boxes(item),
        bands=(bands[0], bands[1], bands[2]),
        classes=Asset(_href(item, catalogue.classes, catalogue)),
    )


def read_height_tile(item: Any, catalogue: Catalogue) -> HeightTile:
    """Read an item of a DEM's collection.

    Raises:
        ItemError: it lacks what a tile needs.
    """
    scale, offset, nodata = _recipe(_asset(item, HEIGHT_ASSET))
    heights = Asset(
        _href(item, HEIGHT_ASSET, catalogue), 1.0 if scale is None else scale, offset or 0.0, nodata
    )
    return HeightTile(_id(item), _boxes(item), heights)


def _band(item: Any, name: str, catalogue: Catalogue, baseline: float | None) -> Asset:
    scale, offset, nodata = _recipe(_asset(item, name))
    if offset is None and scale is None:
        # Planetary Computer's items do not state it: the product's own rule.
        if baseline is None:
            raise ItemError(f"'{name}' has neither scale and offset nor 's2:processing_baseline'")
        offset = _OFFSET if baseline >= _OFFSET_SINCE_BASELINE else 0.0
    return Asset(
        _href(item, name, catalogue),
        _REFLECTANCE_SCALE if scale is None else scale,
        offset or 0.0,
        0.0 if nodata is None else nodata,
    )


def _recipe(asset: Mapping[str, Any]) -> tuple[float | None, float | None, float | None]:
    """Scale, offset and nodata, by the raster extension before (``raster:bands``) or since STAC 1.1."""
    for key in ("raster:bands", "bands"):
        bands = asset.get(key)
        if isinstance(bands, list) and bands and isinstance(bands[0], dict):
            asset = {**asset, **bands[0]}
    return (
        _first_number(asset, "raster:scale", "scale"),
        _first_number(asset, "raster:offset", "offset"),
        _number(asset.get("nodata")),
    )


def _id(item: Any) -> str:
    name = item.get("id") if isinstance(item, dict) else None
    if not isinstance(name, str) or not name:
        raise ItemError("it has no 'id'")
    return name


def _mapping(item: Any, key: str) -> Mapping[str, Any]:
    value = item.get(key) if isinstance(item, dict) else None
    if not isinstance(value, dict):
        raise ItemError(f"it has no '{key}'")
    return value


def _asset(item: Any, name: str) -> Mapping[str, Any]:
    asset = _mapping(item, "assets").get(name)
    if not isinstance(asset, dict) or not isinstance(asset.get("href"), str):
        raise ItemError(f"it has no asset '{name}'")
    return asset


def _href(item: Any, name: str, catalogue: Catalogue) -> str:
    href = urljoin(catalogue.root + "/", str(_asset(item, name)["href"]))
    if href.startswith("s3://"):
        bucket, _, key = href[len("s3://") :].partition("/")
        href = f"https://{bucket}.s3.amazonaws.com/{key}"
    if not href.startswith(("http://", "https://")):
        raise ItemError(f"its asset '{name}' lies at no web address")
    return href


def _crs(properties: Mapping[str, Any]) -> str:
    code = properties.get("proj:code")
    if isinstance(code, str):
        return code
    number = properties.get("proj:epsg")
    return f"EPSG:{number}" if isinstance(number, int) else ""


def _time(properties: Mapping[str, Any]) -> datetime:
    text = properties.get("datetime") or properties.get("start_datetime")
    try:
        # A fraction of a second may have any number of digits, which Python's own reader does not take.
        seconds, _, rest = str(text).replace("z", "Z").partition(".")
        zone = rest.lstrip("0123456789") if rest else ""
        time = datetime.fromisoformat(f"{seconds}{zone}".replace("Z", "+00:00"))
    except ValueError as error:
        raise ItemError(f"its 'datetime' is {text!r}") from error
    return time.replace(tzinfo=timezone.utc) if time.tzinfo is None else time.astimezone(timezone.utc)


def _boxes(item: Any) -> tuple[Box, ...]:
    box = item.get("bbox")
    if not isinstance(box, list) or len(box) not in (4, 6):
        raise ItemError("it has no 'bbox'")
    numbers = [_number(value) for value in box]
    half = len(box) // 2
    west, south, east, north = numbers[0], numbers[1], numbers[half], numbers[half + 1]
    if west is None or south is None or east is None or north is None:
        raise ItemError(f"its 'bbox' is {box!r}")
    if west <= east:
        return ((west, south, east, north),)
    # RFC 7946, 5.2: a box across the antimeridian begins at its western side.
    return ((west, south, 180.0, north), (-180.0, south, east, north))


def _first_number(content: Mapping[str, Any], *keys: str) -> float | None:
    numbers = (_number(content.get(key)) for key in keys)
    return next((number for number in numbers if number is not None), None)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
