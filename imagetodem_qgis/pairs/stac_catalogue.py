"""The STAC catalogues that pairs are fetched from: where they are, and what their collections are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urljoin

from imagetodem_qgis.pairs.source import AW3D30, GLO30, SourceError

HEIGHT_ASSET = "data"
"""The asset that holds the heights, in every DEM's collection of both catalogues."""


@dataclass(frozen=True)
class Catalogue:
    """A STAC API with Sentinel-2 L2A.

    Attributes:
        name: for users.
        root: address of the API, without a slash at its end.
        images: id of the collection of Sentinel-2 L2A.
        bands: assets of red, green and blue (B4, B3, B2).
        classes: asset of the scene classification (SCL).
        elevations: id of the collection of each DEM that it has, by the DEM's name.
        tokens: where the tokens are had that sign its assets, relative to the root; empty where none are
            needed.
    """

    name: str
    root: str
    images: str
    bands: tuple[str, str, str]
    classes: str
    elevations: Mapping[str, str]
    tokens: str = ""

    def at(self, address: str) -> Catalogue:
        """The same catalogue at another address; at its own where that is empty."""
        return replace(self, root=address.rstrip("/")) if address else self

    @property
    def search_address(self) -> str:
        """Where items are searched (STAC API, item search)."""
        return f"{self.root}/search"

    def token_address(self, collection: str) -> str:
        """Where the token of a collection's assets is had; empty where they need none."""
        return f"{urljoin(self.root + '/', self.tokens)}/{collection}" if self.tokens else ""


EARTH_SEARCH = Catalogue(
    name="Earth Search",
    root="https://earth-search.aws.element84.com/v1",
    # Collection 1: the offset that its items state is the files' own. That of the older collection cannot be
    # relied upon.
    images="sentinel-2-c1-l2a",
    bands=("red", "green", "blue"),
    classes="scl",
    elevations={GLO30: "cop-dem-glo-30"},
)
PLANETARY_COMPUTER = Catalogue(
    name="Planetary Computer",
    root="https://planetarycomputer.microsoft.com/api/stac/v1",
    images="sentinel-2-l2a",
    bands=("B04", "B03", "B02"),
    classes="SCL",
    elevations={AW3D30: "alos-dem", GLO30: "cop-dem-glo-30"},
    tokens="../../sas/v1/token",
)
_ALL = (EARTH_SEARCH, PLANETARY_COMPUTER)
CATALOGUES = tuple(catalogue.name for catalogue in _ALL)

_IMAGE_TERMS = (
    "Sentinel-2 L2A: free and open; state 'Contains modified Copernicus Sentinel data' and the years of the "
    "scenes"
)
_ELEVATION_SOURCES = {
    AW3D30: "ALOS World 3D - 30 m (AW3D30), JAXA",
    GLO30: "Copernicus DEM GLO-30, ESA",
}
_ELEVATION_TERMS = {
    AW3D30: "AW3D30: free; credit JAXA (Japan Aerospace Exploration Agency)",
    GLO30: (
        "Copernicus DEM GLO-30: free; state '© DLR e.V. 2010-2014 and © Airbus Defence and Space GmbH "
        "2014-2018 provided under COPERNICUS by the European Union and ESA; all rights reserved'"
    ),
}


@dataclass(frozen=True)
class Services:
    """Where a run's images and heights come from.

    Attributes:
        images: catalogue of the images.
        heights: catalogue of the heights.
        elevation: name of the DEM.
    """

    images: Catalogue
    heights: Catalogue
    elevation: str

    @property
    def height_collection(self) -> str:
        """Id of the DEM's collection."""
        return self.heights.elevations[self.elevation]

    def describe(self) -> dict[str, list[str]]:
        """``sources`` and ``licences`` for a data set."""
        return {
            "sources": [
                f"Sentinel-2 L2A, ESA, from {self.images.name} ({self.images.images})",
                f"{_ELEVATION_SOURCES[self.elevation]}, from {self.heights.name} ({self.height_collection})",
            ],
            "licences": [_IMAGE_TERMS, _ELEVATION_TERMS[self.elevation]],
        }


def services(catalogue: str, elevation: str, address: str = "") -> Services:
    """Where to go for images and heights.

    Args:
        catalogue: one of :data:`CATALOGUES`.
        elevation: one of :data:`~imagetodem_qgis.pairs.source.ELEVATIONS`. Where the catalogue does not have
            it, it is taken from Planetary Computer, which has both.
        address: of the catalogue's API root, where it is not its own.

    Raises:
        SourceError: there is no such catalogue or DEM.
    """
    chosen = next((one for one in _ALL if one.name == catalogue), None)
    if chosen is None:
        raise SourceError(f"CATALOGUE: {catalogue!r} is none of {', '.join(CATALOGUES)}", fatal=True)
    if elevation not in _ELEVATION_SOURCES:
        raise SourceError(f"ELEVATION: {elevation!r} is none of {', '.join(_ELEVATION_SOURCES)}", fatal=True)
    chosen = chosen.at(address)
    return Services(chosen, chosen if elevation in chosen.elevations else PLANETARY_COMPUTER, elevation)
