"""The frame of a prediction: the pixels that the network sees, the size of one on the ground, the light's
turn."""

from __future__ import annotations

import math
from dataclasses import dataclass

from imagetodem_qgis.core.card import ModelCard
from imagetodem_qgis.core.grid import Ground, PixelGrid
from imagetodem_qgis.core.light import IDENTITY, Symmetry, default_azimuth, symmetry_towards
from imagetodem_qgis.core.network_grid import NetworkGrid, filling_a_tile, network_grid, surroundings
from imagetodem_qgis.core.tiling import TilePlan, Window, plan_tiles
from imagetodem_qgis.prediction.request import Listener, Request


@dataclass(frozen=True)
class Frame:
    """The frame of a prediction.

    Attributes:
        grid: of the output, the image's own pixels of the window to predict.
        shown: the image's pixels that the network is shown: the window to predict, and around one that is
            smaller than a tile the image as far as it fills the tile.
        work: of the network's pixels over ``shown``; one for each of them unless the image is resampled.
        kept: the pixels of ``work`` that the window to predict covers, those cut by its border included.
        gsd: ground sampling distance of ``work`` in metres, as told to the network.
        plan: tiles over ``work``.
        symmetry: turns a tile towards the model's light.
        sun: where the sun stands, in words, for the record.
        unit: of the heights: ``m``, ``pixel``, or empty for a relative model.
        scale: unit of the output for one unit of the network.
    """

    grid: PixelGrid
    shown: Window
    work: PixelGrid
    kept: Window
    gsd: float
    plan: TilePlan
    symmetry: Symmetry
    sun: str
    unit: str
    scale: float

    @property
    def is_resampled(self) -> bool:
        """Whether the network's pixels differ from the image's."""
        return (self.work.rows, self.work.columns) != (self.shown.rows, self.shown.columns)

    def kept_of(self, tile: Window) -> tuple[slice, slice]:
        """The slices of the kept pixels in an array of a tile's."""
        return self.kept.intersection(tile).within(tile)


def frame_of(request: Request, listener: Listener) -> Frame:
    """Decide the frame from the image's place on the ground and the model's card."""
    card = request.model.card
    grid = request.image.grid.cropped(request.window)
    ground = grid.ground()
    shown, work, gsd = _shown(request, grid, ground, listener)
    overlap = min(card.tile_size - 1, round(card.tile_size * request.overlap))
    plan = plan_tiles(work.rows, work.columns, card.tile_size, overlap)
    symmetry, sun = _light(request, grid, ground, card, listener)
    if card.target == "relative":
        unit, scale = "", 127.5
        listener.warn(
            f"The model '{card.name}' gives heights relative to its own training data (0 to 255), not metres."
        )
    elif ground is None:
        unit, scale = "pixel", 1.0
        listener.warn(
            "The image has no coordinate reference system, so the size of a pixel is unknown: "
            "heights are in units of "
            "a pixel. Assign a CRS to get metres."
        )
    else:
        unit, scale = "m", gsd
        if request.known is None:
            listener.say(
                "Without known heights the DEM holds metres of relief around 0, not metres above sea level."
            )
    kept = _kept(request.window, shown, work)
    return Frame(grid, shown, work, kept, gsd, plan, symmetry, sun, unit, scale)


def _shown(
    request: Request, grid: PixelGrid, ground: Ground | None, listener: Listener
) -> tuple[Window, PixelGrid, float]:
    image, card = request.image.grid, request.model.card
    seen = _network_grid(grid, ground, card)
    if seen.is_far:
        least, largest = card.gsd_range
        listener.warn(
            f"A pixel is {seen.own:.4g} m; the model was trained on {least:.4g} to {largest:.4g} m. The "
            "image is read at "
            f"{seen.wanted:.4g} m and the DEM brought back to the image's pixels."
        )
    shown = surroundings(request.window, image.window(), seen, card.tile_size)
    if shown != request.window:
        listener.say(
            f"The extent is smaller than the model's tiles of {card.tile_size} pixels: the network is shown "
            "the image around it, too."
        )
        seen = _network_grid(image.cropped(shown), ground, card)
    if card.fills_tiles and ground is not None:
        filling = filling_a_tile(seen, card.gsd_range[0], card.tile_size)
        if filling is not seen:
            listener.say(
                f"What is to be predicted is smaller than the model's tiles of {card.tile_size} pixels: it "
                f"is read at {filling.gsd:.4g} m a pixel, to fill one, and the DEM brought back to the "
                "image's pixels."
            )
        seen = filling
    return shown, seen.grid, seen.gsd


def _network_grid(grid: PixelGrid, ground: Ground | None, card: ModelCard) -> NetworkGrid[PixelGrid]:
    if ground is None:
        gsd = card.typical_gsd()
        return NetworkGrid(grid, gsd, gsd, gsd)
    return network_grid(grid, *ground.pixel_size(), card.gsd_range)


def _kept(window: Window, shown: Window, work: PixelGrid) -> Window:
    """The pixels of ``work``, which cover ``shown``, that cover a part of it."""
    row, bottom = (
        (side - shown.row) * work.rows / shown.rows for side in (window.row, window.row + window.rows)
    )
    column, right = (
        (side - shown.column) * work.columns / shown.columns
        for side in (window.column, window.column + window.columns)
    )
    first_row, first_column = math.floor(row), math.floor(column)
    return Window(
        first_row, first_column, math.ceil(bottom) - first_row, math.ceil(right) - first_column
    ).intersection(work.window())


def _light(
    request: Request, grid: PixelGrid, ground: Ground | None, card: ModelCard, listener: Listener
) -> tuple[Symmetry, str]:
    if request.sun_azimuth is not None:
        azimuth, source = request.sun_azimuth, "as given"
    else:
        recorded = request.image.sun_azimuth()
        if recorded is not None:
            azimuth, source = recorded, "from the image's metadata"
        else:
            azimuth = default_azimuth(ground.latitude if ground is not None else 0.0)
            source = "assumed: a morning satellite"
    sun = f"{azimuth:.0f} degrees ({source})"
    if card.sun_azimuth is None:
        return IDENTITY, sun
    listener.say(f"The sun stands at {sun}.")
    return symmetry_towards(grid.sun_in_image(azimuth), card.sun_azimuth), sun
