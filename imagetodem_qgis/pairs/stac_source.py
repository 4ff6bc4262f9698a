"""Pairs from STAC catalogues: Sentinel-2 L2A and AW3D30 or Copernicus GLO-30, read by windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Callable

from osgeo import gdal

from imagetodem_qgis.core.retry import BackOff, RetryCancelled
from imagetodem_qgis.pairs.geography import boxes
from imagetodem_qgis.pairs.source import (
    LEAST_CLOUDY,
    Estimate,
    FetchCancelled,
    FetchedPair,
    Query,
    SourceError,
    Tile,
)
from imagetodem_qgis.pairs.stac_catalogue import CATALOGUES, Services, services
from imagetodem_qgis.pairs.stac_cells import Season, cells, seasons
from imagetodem_qgis.pairs.stac_certificates import Certificates
from imagetodem_qgis.pairs.stac_cog import Cog
from imagetodem_qgis.pairs.stac_files import OpenFiles
from imagetodem_qgis.pairs.stac_search import Search
from imagetodem_qgis.pairs.stac_tile import MOST_SCENES, TileFetch
from imagetodem_qgis.pairs.stac_tokens import Tokens
from imagetodem_qgis.raster.cache import small_block_cache

__all__ = ["CATALOGUES", "StacSource", "check_stac"]

_ITEM_BYTES = 6_000
_ITEMS_A_SEASON = 40
"""Granules of a quarter of a year over a cell with few enough clouds, about."""
_HEADER_BYTES = 16_384
_NATIVE = 10.0
_CLASSES_NATIVE = 20.0
_HEIGHTS_NATIVE = 30.0
"""Metres a pixel of the bands, of the classification, and of the DEMs, about."""
_FILE_BLOCK = 1024
"""Pixels along a block of the catalogues' files, which is read whole."""
_BYTES_A_PIXEL = 1.2
_CLASS_BYTES_A_PIXEL = 0.1
"""Compressed, about."""
_VIEWS_LOOKED_AT = 3
"""Classifications read until a clear one is found, about."""


def check_stac(query: Query, catalogue: str) -> None:
    """Find out, without asking a server, whether a source can be made.

    Raises:
        SourceError: it cannot; the message begins with the parameter's name.
    """
    services(catalogue, query.elevation)
    _seasons(query)


class StacSource:
    """A source of pairs; see :class:`~imagetodem_qgis.pairs.source.PairSource`.

    Args:
        query: what is wanted.
        catalogue: one of :data:`CATALOGUES`.
        address: root of the catalogue's API, where it is not its own: a mirror. Empty otherwise.
        simultaneous: tiles fetched at once.
        log: is told of what is tried again or left out.
        back_off: the pauses between attempts.

    Raises:
        SourceError: there is no such catalogue, or no day in the query.
    """

    def __init__(
        self,
        query: Query,
        catalogue: str,
        address: str,
        simultaneous: int,
        log: Callable[[str], None],
        back_off: BackOff = BackOff(),  # noqa: B008 - it is frozen
    ) -> None:
        self.simultaneous = simultaneous
        self._query = query
        self._services = services(catalogue, query.elevation, address)
        self._seasons = _seasons(query)
        self._log = log
        self._back_off = back_off
        self._search = Search(log)
        self._tokens = Tokens()
        self._files: OpenFiles[Cog] = OpenFiles()
        self._closed = False
        self._settings = ExitStack()
        # The files that stay open would fill GDAL's usual cache, a twentieth of the memory.
        self._settings.enter_context(small_block_cache())
        self._settings.callback(Certificates().close)

    def describe(self) -> Mapping[str, Any]:
        """Sources, licences and versions; how the image is made of the scenes."""
        one = self._query.composite == LEAST_CLOUDY
        return {
            **self._services.describe(),
            "versions": {"gdal": gdal.VersionInfo("RELEASE_NAME"), "catalogue": self._services.images.name},
            "image": ("clearest pass" if one else f"median of the clearest passes, {MOST_SCENES} at most")
            + "; clouds and their shadows by the scene classification (SCL) are left out",
        }

    def estimate(self, tiles: Sequence[Tile]) -> Estimate:
        """What fetching the tiles will cost, by the sizes of the catalogues' files; no server is asked."""
        asked = {cell for tile in tiles for cell in cells(boxes(tile))}
        requests = len(asked) * (len(self._seasons) + 1)
        requests += sum(1 for catalogue in self._with_tokens())
        size = float(len(asked) * (len(self._seasons) * _ITEMS_A_SEASON + 4) * _ITEM_BYTES)
        one = self._query.composite == LEAST_CLOUDY
        passes, looked_at = (1, _VIEWS_LOOKED_AT) if one else (MOST_SCENES, MOST_SCENES)
        for tile in tiles:
            fineness = 2.0 if one else 1.0
            parts = (
                (3 * passes, *_window(tile, _NATIVE, fineness, _BYTES_A_PIXEL)),
                (looked_at, *_window(tile, _CLASSES_NATIVE, 1.0, _CLASS_BYTES_A_PIXEL)),
                (1, *_window(tile, _HEIGHTS_NATIVE, 2.0, _BYTES_A_PIXEL)),
            )
            requests += sum(files * asked for files, asked, _ in parts)
            size += sum(files * part for files, _, part in parts)
        return Estimate(requests, round(size))

    def fetch(self, tile: Tile, is_cancelled: Callable[[], bool]) -> FetchedPair:
        """The pixels of a tile; see :class:`~imagetodem_qgis.pairs.source.PairSource`."""

        def stopped() -> bool:
            return self._closed or is_cancelled()

        work = TileFetch(
            tile=tile,
            query=self._query,
            services=self._services,
            when=self._seasons,
            search=self._search,
            tokens=self._tokens,
            files=self._files,
            back_off=self._back_off,
            log=self._log,
            is_cancelled=stopped,
        )
        try:
            return work.run()
        except RetryCancelled as error:
            raise FetchCancelled("cancelled") from error

    def close(self) -> None:
        """Stop what is being fetched."""
        self._closed = True
        self._files.close()
        self._settings.close()

    def _with_tokens(self) -> set[str]:
        named: Services = self._services
        addresses = (
            named.images.token_address(named.images.images),
            named.heights.token_address(named.height_collection),
        )
        return {address for address in addresses if address}


def _seasons(query: Query) -> list[Season]:
    found = seasons(query.start, query.end, query.months)
    if not found:
        raise SourceError(
            f"START, END, MONTHS: no day between {query.start} and {query.end} lies in the months "
            f"{', '.join(map(str, query.months)) or 'chosen (none)'}",
            fatal=True,
        )
    return found


def _window(tile: Tile, native: float, fineness: float, bytes_a_pixel: float) -> tuple[int, float]:
    """Requests and bytes of one file's window over a tile."""
    level = 0
    while native * 2.0 ** (level + 1) * fineness <= tile.resolution:
        level += 1
    side = tile.size * tile.resolution / (native * 2.0**level)
    blocks = (1.0 + side / _FILE_BLOCK) ** 2
    # The size, the header, and rows of blocks; neighbours in a row lie together in the file.
    requests = 2 + round(1.0 + side / _FILE_BLOCK)
    return requests, _HEADER_BYTES + blocks * _FILE_BLOCK**2 * bytes_a_pixel
