"""Fetching one tile: choosing the passes, reading heights and bands, putting them on its grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Callable, TypeVar

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.retry import BackOff, retrying
from imagetodem_qgis.pairs.geography import Box, boxes
from imagetodem_qgis.pairs.source import (
    CLOUD,
    LEAST_CLOUDY,
    NODATA,
    SEA,
    FetchedPair,
    FloatArray,
    NoData,
    Provenance,
    Query,
    RetryableSourceError,
    Tile,
)
from imagetodem_qgis.pairs.stac_catalogue import Catalogue, Services
from imagetodem_qgis.pairs.stac_cells import Season
from imagetodem_qgis.pairs.stac_cog import AccessRefused, Cog, NotThere, Patch, read_patch
from imagetodem_qgis.pairs.stac_files import OpenFiles
from imagetodem_qgis.pairs.stac_items import Asset, Scene
from imagetodem_qgis.pairs.stac_passes import mean_sun, passes
from imagetodem_qgis.pairs.stac_planes import filled, merged, stacked
from imagetodem_qgis.pairs.stac_search import Search
from imagetodem_qgis.pairs.stac_tokens import Tokens
from imagetodem_qgis.pairs.stac_view import (
    View,
    composite,
    joined,
    masked,
    nothing_seen,
    reflectance,
)
from imagetodem_qgis.pairs.stac_warp import covered, resampled

Answer = TypeVar("Answer")

MOST_SCENES = 12
"""Passes of a composite: more change its median little, and cost as much again."""
_MOST_LOOKED_AT = 24
_CLEAR = 0.999
"""Share of a tile without clouds from which no clearer pass is looked for."""
_WORTH_READING = 0.05
"""Share of a tile that a pass must show to be part of a composite."""
_VOID_BELOW = -1000.0
"""Metres below any land: AW3D30 marks its voids by -9999, also in files that do not declare it."""
_LAND_SHARE = 0.1


@dataclass
class TileFetch:
    """One tile's fetch.

    Attributes:
        tile: to fetch.
        query: which images and heights.
        services: where they are had.
        when: seasons of the query.
        search: shared by all tiles.
        tokens: shared by all tiles.
        files: shared by all tiles.
        back_off: pauses between attempts.
        log: is told of what is tried again or left out.
        is_cancelled: asked all the time.
    """

    tile: Tile
    query: Query
    services: Services
    when: Sequence[Season]
    search: Search
    tokens: Tokens
    files: OpenFiles[Cog]
    back_off: BackOff
    log: Callable[[str], None]
    is_cancelled: Callable[[], bool]
    _boxes: list[Box] = field(init=False)
    _missing: list[NotThere] = field(default_factory=list)

    def run(self) -> FetchedPair:
        """The pair.

        Raises:
            FetchCancelled, RetryCancelled: the user cancelled.
            NoData: there is nothing to fetch.
            SourceError: it cannot be had.
        """
        self._boxes = boxes(self.tile)
        views = self._views()
        dem, sea = self._heights(views[0])
        if sea.all():
            raise NoData(SEA, f"tile {self.tile.id} is all sea")
        images = [masked(self._image(view), view) for view in views]
        scenes = sorted((scene for view in views for scene in view.scenes), key=lambda scene: scene.time)
        azimuth, zenith = mean_sun(scenes)
        provenance = Provenance(
            scenes=tuple(scene.id for scene in scenes),
            dates=tuple(scene.time.date().isoformat() for scene in scenes),
            sun_azimuth=azimuth,
            sun_zenith=zenith,
        )
        return FetchedPair(composite(images), dem, provenance, sea)

    def _views(self) -> list[View]:
        """The passes to use, the clearest first."""
        images = self.services.images
        scenes = self.search.scenes(
            images, self._boxes, self.when, self.query.cloud, self._retry, self.is_cancelled
        )
        single = self.query.composite == LEAST_CLOUDY
        found: list[View] = []
        for group in passes(scenes)[:_MOST_LOOKED_AT]:
            found.append(self._view(group))
            if found[-1].clear >= _CLEAR and (
                single or sum(view.clear >= _CLEAR for view in found) == MOST_SCENES
            ):
                break
        if self._missing and not any(view.clear > 0.0 for view in found):
            # What the catalogue names may be there another time.
            raise self._missing[0]
        if not any(view.seen.any() for view in found):
            # Scenes with more clouds are not looked for.
            raise NoData(
                CLOUD if not scenes else NODATA,
                f"tile {self.tile.id}: {images.name} has no scene of it with at most "
                f"{self.query.cloud:g} % of clouds",
            )
        # Sorting keeps the order of equals: of two clear passes that with fewer clouds around.
        found.sort(key=lambda view: -view.clear)
        if found[0].clear == 0.0:
            raise NoData(CLOUD, f"tile {self.tile.id}: there are clouds over all of it in each scene")
        return found[:1] if single else [view for view in found if view.clear >= _WORTH_READING][:MOST_SCENES]

    def _view(self, group: Sequence[Scene]) -> View:
        images = self.services.images
        view = nothing_seen(self.tile)
        # Granules in the tile's own UTM zone first: their pixels need no interpolation.
        for scene in sorted(group, key=lambda scene: scene.crs != self.tile.crs):
            if view.seen.all():
                break
            try:
                classes = self._patch(images, images.images, scene.classes, 1.0, f"SCL of {scene.id}")
            except NotThere as error:
                self.log(f"{error}; the scene is left out")
                self._missing.append(error)
                continue
            if classes is not None:
                view = joined(view, self.tile, scene, classes)
        return view

    def _image(self, view: View) -> FloatArray:
        images = self.services.images
        # Of one scene each pixel is kept as it is; a median forgives an overview's rounding, at a quarter of
        # the bytes.
        fineness = 2.0 if self.query.composite == LEAST_CLOUDY else 1.0
        image: FloatArray | None = None
        for scene in view.scenes:
            patches = [
                self._patch(images, images.images, band, fineness, f"{name} of {scene.id}")
                for name, band in zip(images.bands, scene.bands)
            ]
            known = [patch for patch in patches if patch is not None]
            if len(known) == len(patches):
                image = filled(image, reflectance(self.tile, known, scene.bands))
        return np.full((3, self.tile.size, self.tile.size), np.nan, np.float32) if image is None else image

    def _heights(self, view: View) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Heights in metres, NaN where there is a void, and where the sea is."""
        heights, collection = self.services.heights, self.services.height_collection
        found = self.search.heights(heights, collection, self._boxes, self._retry, self.is_cancelled)
        parts = []
        for piece in found:
            patch = self._patch(heights, collection, piece.heights, 2.0, f"heights of {piece.id}")
            if patch is not None:
                parts.append(stacked([patch]))
                _drop_voids(parts[-1].values, piece.heights, patch.nodata)
        dem: FloatArray | None = None
        groups = merged(parts)
        for planes in groups:
            dem = filled(dem, resampled(self.tile, planes)[0])
        if dem is None:
            dem = np.full((self.tile.size, self.tile.size), np.nan, np.float32)
        sea = np.isnan(dem)
        if sea.any():
            sea &= ~covered(self.tile, groups)
            if (view.land & sea).sum() > _LAND_SHARE * max(1, (view.seen & ~view.obscured & sea).sum()):
                # The public GLO-30 lacks some countries: what is missing there is no sea.
                sea[...] = False
        dem[sea] = 0.0
        return dem, sea | (dem == 0.0)

    def _patch(
        self, catalogue: Catalogue, collection: str, asset: Asset, fineness: float, name: str
    ) -> Patch | None:
        def attempt() -> Patch | None:
            signed = self.tokens.sign(catalogue, collection, asset.href, self.is_cancelled)
            try:
                return read_patch(self.files, signed, self.tile, fineness, name, self.is_cancelled)
            except AccessRefused as error:
                if not catalogue.tokens:
                    raise
                self.tokens.forget(catalogue, collection, signed)
                raise RetryableSourceError(f"{error}; a new token is asked for") from None

        return self._retry(attempt)

    def _retry(self, call: Callable[[], Answer]) -> Answer:
        return retrying(call, self.is_cancelled, self.back_off, tell=self.log)


def _drop_voids(values: FloatArray, asset: Asset, declared: float | None) -> None:
    for nodata in (asset.nodata, declared):
        if nodata is not None:
            values[values == np.float32(nodata)] = np.nan
    values[values < _VOID_BELOW] = np.nan
    values *= np.float32(asset.scale)
    values += np.float32(asset.offset)
