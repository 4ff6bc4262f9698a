"""What an image of a DEM is asked for, and the frame that follows: pixels, light, mean colour."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from imagetodem_qgis.core.card import ModelCard
from imagetodem_qgis.core.colour import Palette, choose_palette
from imagetodem_qgis.core.grid import Ground
from imagetodem_qgis.core.light import IDENTITY, Symmetry, default_azimuth, symmetry_towards
from imagetodem_qgis.core.network_grid import network_grid
from imagetodem_qgis.core.tiling import TilePlan, Window
from imagetodem_qgis.landscape.margin import Margin, plan_with_margin
from imagetodem_qgis.prediction.request import Listener
from imagetodem_qgis.raster.dem import Dem
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.runtime.models import Model


@dataclass(frozen=True)
class ImageRequest:
    """An image to predict.

    Attributes:
        dem: to predict from.
        window: of the DEM's pixels to predict.
        model: to predict with.
        interpreter: of the machine-learning environment.
        engine: ``onnxruntime`` or ``tensorflow``.
        device: ``automatic``, ``cpu`` or ``gpu``.
        overlap: of neighbouring tiles, as a share of their side, 0 to below 1.
        batch_size: tiles given to the engine at once.
        sun_azimuth: where the light is to come from, degrees clockwise from north, if the user wants it.
        seed: chooses the mean colour, 0 or more.
        output: of the image.
        scratch: an existing folder for temporary files.
    """

    dem: Dem
    window: Window
    model: Model
    interpreter: Path
    engine: str
    device: str
    overlap: float
    batch_size: int
    sun_azimuth: float | None
    seed: int
    output: Path
    scratch: Path


class ImageFrame(NamedTuple):
    """The frame of an image.

    Attributes:
        grid: of the image, the DEM's own pixels of the window.
        work: of the network's pixels over the same extent; the same as ``grid`` unless the DEM is resampled.
        gsd: ground sampling distance of ``work`` in metres.
        plan: tiles over ``work`` mirrored by ``margin``.
        margin: beyond the borders of ``work``.
        symmetry: turns a tile towards the model's light.
        sun: where the light comes from, in words, for the record.
        palette: mean colour asked of the model, none of a model that takes none.
    """

    grid: Grid
    work: Grid
    gsd: float
    plan: TilePlan
    margin: Margin
    symmetry: Symmetry
    sun: str
    palette: Palette | None


def frame_of(request: ImageRequest, listener: Listener) -> ImageFrame:
    """Decide the frame from the DEM's place on the ground and the model's card."""
    card = request.model.card
    grid = request.dem.grid.cropped(request.window)
    ground = grid.ground()
    work, gsd = _work_grid(request.dem, grid, ground, card, listener)
    overlap = min(card.tile_size - 1, round(card.tile_size * request.overlap))
    plan, margin = plan_with_margin(work, card.tile_size, overlap)
    azimuth, source = request.sun_azimuth, "as asked for"
    if azimuth is None:
        azimuth = default_azimuth(ground.latitude if ground is not None else 0.0)
        source = "that of a morning satellite"
    symmetry = IDENTITY
    if card.sun_azimuth is not None:
        symmetry = symmetry_towards(grid.sun_in_image(azimuth), card.sun_azimuth)
    palette = choose_palette(card.palettes, request.seed) if card.palettes else None
    if palette is None and request.seed:
        listener.say(f"The model '{card.name}' takes no palette: SEED changes nothing.")
    return ImageFrame(grid, work, gsd, plan, margin, symmetry, f"{azimuth:.0f} degrees ({source})", palette)


def _work_grid(
    dem: Dem, grid: Grid, ground: Ground | None, card: ModelCard, listener: Listener
) -> tuple[Grid, float]:
    if ground is not None:
        across, down = ground.pixel_size()
    elif dem.is_placed:
        _, a, b, _, d, e = grid.geotransform
        across, down = math.hypot(a, d), math.hypot(b, e)
        listener.warn(
            "The DEM has no coordinate reference system that leads to the ground: a unit of the map counts "
            "as a metre."
        )
    else:
        listener.warn(
            "The DEM has neither a place nor a coordinate reference system: a pixel counts as "
            f"{card.typical_gsd():.3g} m."
        )
        return grid, card.typical_gsd()
    seen = network_grid(grid, across, down, card.gsd_range)
    if seen.is_far:
        least, largest = card.gsd_range
        listener.warn(
            f"A pixel is {seen.own:.4g} m; the model was trained on {least:.4g} to {largest:.4g} m. The DEM "
            f"is read at {seen.wanted:.4g} m and the image brought back to the DEM's pixels."
        )
    return seen.grid, seen.gsd
