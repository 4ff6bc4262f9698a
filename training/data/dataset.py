"""A data set folder: ``images/<id>.tif`` and ``dems/<id>.tif`` on one grid, and ``dataset.json``.

``dataset.json`` describes each pair under ``pairs``: ``id``, ``split``, ``area`` (or ``parent``), ``gsd`` (or
``resolution``) in metres, ``sun_azimuth`` in degrees and ``dates``, the days of its scenes. What a pair does
not say the whole set may, and what neither says is taken from ``footprints.gpkg`` or from the image itself.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.warp import transform

from imagetodem_qgis.core.light import NORTHERN_MORNING_AZIMUTH, default_azimuth
from training.data.beside import Neighbours, joined
from training.data.cache import PairCache
from training.data.pair import Pair, towards_the_sun
from training.data.scenes import metres_per_pixel
from training.data.surroundings import Surroundings
from training.request import DataError

DATASET_FILE = "dataset.json"
FOOTPRINTS_FILE = "footprints.gpkg"
SPLITS = ("train", "validation", "test")
_LOWEST, _HIGHEST = -9900.0, 30000.0
"""Metres between which heights of this and other planets lie, and undeclared nodata values do not."""


@dataclass(frozen=True)
class Entry:
    """A pair that lies on disk.

    Attributes:
        id: its name within the data set.
        split: ``train``, ``validation`` or ``test``.
        area: the parent area, whose pairs all share a split; ``None`` where it is not said.
        gsd: ground sampling distance in metres; ``None``: the image's own.
        sun_azimuth: degrees clockwise from the image's top; ``None``: a morning satellite's.
        days: of the scenes that the image is made of; empty: not said.
        image: file.
        dem: file.
    """

    id: str
    split: str
    area: str | None
    gsd: float | None
    sun_azimuth: float | None
    days: frozenset[str]
    image: Path
    dem: Path


@dataclass(frozen=True)
class DataSet:
    """A data set's folder, its pairs, and all that ``dataset.json`` says."""

    folder: Path
    entries: tuple[Entry, ...]
    content: Mapping[str, Any]

    def pairs(self, split: str, cache: PairCache, join: bool = False) -> StoredPairs:
        """The pairs of one split, read when they are asked for; if wanted each joined with what lies beside
        it."""
        entries = [entry for entry in self.entries if entry.split == split]
        files: dict[str, list[Path]] = {}
        # Each rendered image is a scene by itself, whatever ground it shares with others.
        for entry in [] if self.rendered else entries:
            if entry.area is not None:
                files.setdefault(entry.area, []).append(entry.image)
        # Tiles of the same days are of one image, though the mean of their scenes' suns may differ a little.
        kinds = [
            (entry.area, entry.gsd, entry.days or entry.sun_azimuth) if join and not self.rendered else None
            for entry in entries
        ]
        neighbours = Neighbours([entry.image for entry in entries], kinds)
        return StoredPairs(entries, cache, Surroundings(files), neighbours)

    @property
    def rendered(self) -> bool:
        """Whether the images are synthetic."""
        return self.content.get("rendered") is True


class StoredPairs(Sequence[Pair]):
    """Pairs that are read when asked for and kept while there is room.

    Args:
        entries: where they lie.
        cache: what keeps them.
        surroundings: of their areas.
        neighbours: that they are joined with.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        cache: PairCache,
        surroundings: Surroundings,
        neighbours: Neighbours,
    ) -> None:
        self._entries = list(entries)
        self._cache = cache
        self._surroundings = surroundings
        self._neighbours = neighbours

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, number: int) -> Pair:  # type: ignore[override]
        """The pair of this number, its light brought to the training azimuth."""
        return self._cache.get(str(self._entries[number].image), lambda: self._read(number))

    def _read(self, number: int) -> Pair:
        pair, azimuth = _lying(self._entries[number], self._surroundings)
        others = [
            (_lying(self._entries[other], self._surroundings)[0], rows, columns)
            for other, rows, columns in self._neighbours.beside(number)
        ]
        return towards_the_sun(joined(pair, others), azimuth)


def write_description(folder: Path, content: Mapping[str, Any]) -> None:
    """Write a data set's ``dataset.json``, which appears when it is whole.

    Args:
        folder: that holds the pairs' files.
        content: see the module.
    """
    part = folder / f"{DATASET_FILE}.part"
    part.write_text(json.dumps(content, indent=1), encoding="utf-8")
    os.replace(part, folder / DATASET_FILE)


def read_dataset(folder: Path) -> DataSet:
    """Read what a data set says about itself; its images are not opened.

    Raises:
        DataError: there is no ``dataset.json``, or it cannot be understood.
    """
    path = folder / DATASET_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{folder} is no data set: {path.name} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DataError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} must hold a JSON object")
    footprints = _footprints(folder / FOOTPRINTS_FILE)
    pairs = content.get("pairs")
    if not isinstance(pairs, list):
        pairs = [{"id": name} for name in footprints]
    if not pairs:
        raise DataError(f"{path} lists no pair under 'pairs', and {FOOTPRINTS_FILE} lists none either")
    return DataSet(folder, tuple(_entry(folder, content, footprints, pair) for pair in pairs), content)


def _entry(folder: Path, content: dict[str, Any], footprints: dict[str, dict[str, Any]], pair: Any) -> Entry:
    path = folder / DATASET_FILE
    if not isinstance(pair, dict) or not isinstance(pair.get("id"), (str, int)):
        raise DataError(f"{path}: a pair without an 'id': {pair!r}")
    name = str(pair["id"])
    if any(sign in name for sign in "/\\:") or name.startswith("."):
        raise DataError(f"{path}: the id {name!r} is no file name")
    known = {**footprints.get(name, {}), **pair}

    def number(*keys: str) -> float | None:
        value = next((v for key in keys for v in (known.get(key), content.get(key)) if v is not None), None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
            raise DataError(f"{path}: '{keys[0]}' of {name} is {value!r}, not a number")
        return float(value)

    split = known.get("split")
    if split not in SPLITS:
        raise DataError(f"{path}: 'split' of {name} is {split!r}, not one of {', '.join(SPLITS)}")
    gsd = number("gsd", "resolution")
    if gsd is not None and gsd <= 0.0:
        raise DataError(f"{path}: 'gsd' of {name} is {gsd} m")
    area = known.get("area", known.get("parent"))
    image, dem = folder / "images" / f"{name}.tif", folder / "dems" / f"{name}.tif"
    dates = known.get("dates")
    # A footprint's attribute is one string, days with spaces between them.
    listed = dates.split() if isinstance(dates, str) else dates if isinstance(dates, list) else []
    days = frozenset(map(str, listed))
    azimuth = number("sun_azimuth")
    return Entry(name, split, None if area is None else str(area), gsd, azimuth, days, image, dem)


def _footprints(path: Path) -> dict[str, dict[str, Any]]:
    """The attributes of each footprint by its id: a GeoPackage is an SQLite file."""
    if not path.exists():
        return {}
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            table = database.execute(
                "SELECT table_name FROM gpkg_contents WHERE data_type = 'features'"
            ).fetchone()
            quoted = str(table[0]).replace('"', '""')
            rows = database.execute(f'SELECT * FROM "{quoted}"').fetchall()  # noqa: S608 - a name from the file
    except (sqlite3.Error, TypeError) as error:
        raise DataError(f"{path} is not a GeoPackage of footprints: {error}") from error
    return {str(row["id"]): dict(row) for row in rows if "id" in row.keys()}  # noqa: SIM118 - a Row's values


def read_pair(entry: Entry, surroundings: Surroundings | None = None) -> Pair:
    """Read a pair and bring its light to the training azimuth.

    Args:
        entry: where it lies.
        surroundings: of its area; ``None``: the pair stands alone.

    Raises:
        DataError: a file cannot be read, or image and DEM are not of one size.
    """
    return towards_the_sun(*_lying(entry, surroundings))


def _lying(entry: Entry, surroundings: Surroundings | None) -> tuple[Pair, float]:
    """A pair as it lies on disk, and the azimuth of its sun."""
    try:
        with rasterio.open(entry.image) as source:
            if source.count < 3:
                raise DataError(f"{entry.image} has {source.count} band(s), not red, green and blue")
            image = np.moveaxis(source.read((1, 2, 3)), 0, -1)
            valid = (source.dataset_mask() > 0) & _finite(image)
            gsd = entry.gsd or (metres_per_pixel(source) if source.crs else None)
            azimuth = entry.sun_azimuth if entry.sun_azimuth is not None else _usual_azimuth(source)
        with rasterio.open(entry.dem) as source:
            dem = source.read(1).astype(np.float32)
            known = (source.read_masks(1) > 0) & np.isfinite(dem) & (dem > _LOWEST) & (dem < _HIGHEST)
        around = None if surroundings is None else surroundings.of(entry.area)
    except RasterioError as error:
        raise DataError(f"{entry.id}: {error}") from error
    if dem.shape != valid.shape:
        raise DataError(
            f"{entry.image} has {valid.shape[1]} x {valid.shape[0]} pixels, {entry.dem} "
            f"{dem.shape[1]} x {dem.shape[0]}: bring both to one grid"
        )
    if gsd is None:
        raise DataError(
            f"{entry.image} has no coordinate system and {DATASET_FILE} no 'gsd': "
            "add the metres that a pixel measures on the ground"
        )
    image = np.where(_finite(image)[..., None], image, 0).astype(image.dtype)
    dem = np.where(known, dem, np.float32(np.nan))
    return Pair(entry.id, image, dem, valid & known, gsd, entry.split, around), azimuth


def _finite(image: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(image).all(axis=-1))


def _usual_azimuth(source: rasterio.DatasetReader) -> float:
    if not source.crs:
        return NORTHERN_MORNING_AZIMUTH
    x, y = source.transform * (source.width / 2, source.height / 2)
    _, latitudes = transform(source.crs, "EPSG:4326", [x], [y])
    return default_azimuth(latitudes[0])
