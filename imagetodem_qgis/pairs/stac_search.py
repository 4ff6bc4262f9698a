"""Finding items in a catalogue by STAC API's item search, for cells of the globe, each asked for once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Callable, TypeVar
from urllib.parse import urljoin

from imagetodem_qgis.pairs.geography import Box
from imagetodem_qgis.pairs.source import RetryableSourceError, SourceError
from imagetodem_qgis.pairs.stac_catalogue import HEIGHT_ASSET, Catalogue
from imagetodem_qgis.pairs.stac_cells import Cell, Season, cell_box, cells, touch
from imagetodem_qgis.pairs.stac_items import (
    HeightTile,
    ItemError,
    Scene,
    read_height_tile,
    read_scene,
)
from imagetodem_qgis.pairs.stac_network import get_json, host, post_json

_PAGE = 100
_MOST_PAGES = 100
_PROPERTIES = (
    "datetime",
    "platform",
    "eo:cloud_cover",
    "view:sun_azimuth",
    "view:sun_elevation",
    "s2:mean_solar_azimuth",
    "s2:mean_solar_zenith",
    "s2:processing_baseline",
    "proj:epsg",
    "proj:code",
)

Item = TypeVar("Item", Scene, HeightTile)
Retry = Callable[[Callable[[], "dict[str, Any]"]], "dict[str, Any]"]


class Search:
    """Finds scenes and tiles of heights. It may be used from several threads; each cell is asked for once.

    Args:
        log: is told of items that cannot be used.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str, Cell], list[Any]] = {}
        self._locks: dict[tuple[str, str, Cell], threading.Lock] = {}

    def scenes(
        self,
        catalogue: Catalogue,
        boxes: Sequence[Box],
        when: Sequence[Season],
        cloud: float,
        retry: Retry,
        is_cancelled: Callable[[], bool],
    ) -> list[Scene]:
        """The scenes over some boxes, of some seasons, with at most ``cloud`` percent of clouds.

        Raises:
            FetchCancelled: the user cancelled.
            SourceError: the catalogue does not answer as it should.
        """
        bodies = [
            {
                "collections": [catalogue.images],
                "datetime": season.interval(),
                "query": {"eo:cloud_cover": {"lte": cloud}},
                "fields": _fields(*catalogue.bands, catalogue.classes),
            }
            for season in when
        ]
        found = self._search(
            catalogue,
            catalogue.images,
            boxes,
            bodies,
            lambda item: read_scene(item, catalogue),
            retry,
            is_cancelled,
        )
        # A server that knows no 'query' gives all.
        return [scene for scene in found if scene.cloud <= cloud]

    def heights(
        self,
        catalogue: Catalogue,
        collection: str,
        boxes: Sequence[Box],
        retry: Retry,
        is_cancelled: Callable[[], bool],
    ) -> list[HeightTile]:
        """The tiles of a DEM over some boxes; as :meth:`scenes`."""
        body = {"collections": [collection], "fields": _fields(HEIGHT_ASSET)}
        return self._search(
            catalogue,
            collection,
            boxes,
            [body],
            lambda item: read_height_tile(item, catalogue),
            retry,
            is_cancelled,
        )

    def _search(
        self,
        catalogue: Catalogue,
        collection: str,
        boxes: Sequence[Box],
        bodies: Sequence[dict[str, Any]],
        read: Callable[[Any], Item],
        retry: Retry,
        is_cancelled: Callable[[], bool],
    ) -> list[Item]:
        items: dict[str, Item] = {}
        for cell in cells(boxes):
            key = (catalogue.root, collection, cell)
            with self._lock:
                lock = self._locks.setdefault(key, threading.Lock())
            # Tiles of one cell are fetched at once: the first asks, the others wait for its answer.
            with lock:
                if key not in self._found:
                    asked = [
                        item
                        for body in bodies
                        for item in self._pages(
                            catalogue, {**body, "bbox": list(cell_box(cell))}, retry, is_cancelled
                        )
                    ]
                    self._found[key] = self._read(asked, read, collection)
                items.update({item.id: item for item in self._found[key] if touch(item.boxes, boxes)})
        return [items[name] for name in sorted(items)]

    def _pages(
        self, catalogue: Catalogue, body: dict[str, Any], retry: Retry, is_cancelled: Callable[[], bool]
    ) -> list[Any]:
        what = f"{catalogue.name}'s search in {body['collections'][0]}"
        address, content = catalogue.search_address, {**body, "limit": _PAGE}
        found: list[Any] = []
        method = "POST"
        for _ in range(_MOST_PAGES):
            asked = (address, content, method)

            def ask(asked: tuple[str, dict[str, Any], str] = asked) -> dict[str, Any]:
                if asked[2] == "POST":
                    answer = post_json(asked[0], asked[1], is_cancelled, what)
                else:
                    answer = get_json(asked[0], is_cancelled, what)
                if not isinstance(answer.get("features"), list):
                    raise RetryableSourceError(f"{what}: {host(asked[0])} answered with no items")
                return answer

            answer = retry(ask)
            found += answer["features"]
            following = _next(answer)
            if following is None:
                return found
            address = urljoin(address, str(following.get("href") or address))
            method = str(following.get("method", "GET")).upper()
            given = following.get("body")
            if isinstance(given, dict):
                content = {**content, **given} if following.get("merge") else given
        raise SourceError(
            f"{what}: more than {_MOST_PAGES * _PAGE} items: ask for less time (START, END, MONTHS) or CLOUD"
        )

    def _read(self, found: list[Any], read: Callable[[Any], Item], collection: str) -> list[Item]:
        items, complaints = [], []
        for item in found:
            try:
                items.append(read(item))
            except ItemError as error:
                name = item.get("id", "without id") if isinstance(item, dict) else "without id"
                complaints.append(f"item {name} of {collection} cannot be used: {error}")
        if complaints and not items:
            raise SourceError(f"{complaints[0]} (nor can any other)")
        for complaint in complaints:
            self._log(f"{complaint}; it is left out")
        return items


def _fields(*assets: str) -> dict[str, list[str]]:
    """The fields extension: a scene's whole item is ten times as large."""
    properties = [f"properties.{name}" for name in _PROPERTIES]
    return {"include": ["id", "bbox", *properties, *(f"assets.{name}" for name in assets)]}


def _next(answer: dict[str, Any]) -> dict[str, Any] | None:
    links = answer.get("links")
    if not isinstance(links, list):
        return None
    return next((link for link in links if isinstance(link, dict) and link.get("rel") == "next"), None)
