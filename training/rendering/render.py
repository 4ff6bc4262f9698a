"""A training pair rendered over a piece of a real elevation model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.light import all_symmetries, symmetry_towards
from training.data.pair import SUN_AZIMUTH, Pair, towards_the_sun
from training.rendering.biome import Biome
from training.rendering.cold_biomes import COLD
from training.rendering.cover import cover_ground
from training.rendering.dry_biomes import DRY
from training.rendering.green_biomes import GREEN
from training.rendering.landform import Landform, read_landform
from training.rendering.light import Sun, incidence, minnaert, skylight, sunlit
from training.rendering.relief import cut_relief
from training.rendering.sensor import take_picture
from training.rendering.terrain import Terrain

BIOMES = (*DRY, *GREEN, *COLD)
_CHANCES = np.array([biome.common for biome in BIOMES]) / sum(biome.common for biome in BIOMES)

_SPREAD = 45.0
"""Degrees between a rendered sun, once turned, and the training azimuth, at most: what the choice among eight
symmetries leaves open."""


@dataclass(frozen=True)
class Rendering:
    """A pair and what it was made with.

    Attributes:
        pair: turned to the training azimuth.
        sun: in the turned pair.
        biome: name of its landscape.
        centre: row and column in the terrain of the window's middle.
    """

    pair: Pair
    sun: Sun
    biome: str
    centre: tuple[float, float]


def render_pair(terrain: Terrain, size: int, random: np.random.Generator) -> Pair:
    """Render an image over a random window of a terrain at a random scale.

    The sun stands anywhere; then image and DEM are turned together so that it comes from within 45 degrees of
    the training azimuth.

    Args:
        terrain: see :func:`~training.rendering.terrain.read_terrains`.
        size: rows and columns.
        random: source of chance; the same gives the same pair.

    Returns:
        Image (size, size, 3) uint8, DEM (size, size) float32 in metres, split ``train``.
    """
    return render(terrain, size, random).pair


def render(terrain: Terrain, size: int, random: np.random.Generator) -> Rendering:
    """As :func:`render_pair`, with the sun and the landscape that it was made with."""
    relief = cut_relief(terrain, size, random)
    # A mirrored landscape is as good as the true one.
    symmetry = all_symmetries()[int(random.integers(8))]
    heights, known, water = (
        np.ascontiguousarray(symmetry.apply(array)) for array in (relief.heights, relief.known, relief.water)
    )
    sun = _random_sun(random)
    landform = read_landform(heights, relief.gsd)
    biome = draw_biome(random)
    ground = cover_ground(biome, landform, _noon_exposure(landform, sun, random), water, random)
    light = light_on(landform, heights, relief.gsd, ground.softness, sun, random)
    image = take_picture([band * light for band in ground.bands], landform.height, random)
    dem = np.where(known, heights, np.nan).astype(np.float32)
    pair = Pair(terrain.name, image, dem, known, relief.gsd, "train")
    turn = symmetry_towards(sun.azimuth, SUN_AZIMUTH)
    turned = Sun(turn.azimuth(sun.azimuth), sun.zenith)
    return Rendering(towards_the_sun(pair, sun.azimuth), turned, biome.name, relief.centre)


def draw_biome(random: np.random.Generator) -> Biome:
    """A landscape, as often as it is common."""
    return BIOMES[int(random.choice(len(BIOMES), p=_CHANCES))]


def _random_sun(random: np.random.Generator) -> Sun:
    quarter = 90.0 * float(random.integers(4))
    azimuth = (SUN_AZIMUTH + quarter + random.uniform(-_SPREAD, _SPREAD)) % 360.0
    return Sun(float(azimuth), float(random.uniform(20.0, 65.0)))


def _noon_exposure(landform: Landform, sun: Sun, random: np.random.Generator) -> NDArray[np.float32]:
    """Exposure to the noon sun, which plants know; morning's stands up to 60 degrees from it."""
    return landform.facing(sun.azimuth + float(random.uniform(-60.0, 60.0)))


def light_on(
    landform: Landform,
    heights: NDArray[np.float32],
    gsd: float,
    softness: NDArray[np.float32],
    sun: Sun,
    random: np.random.Generator,
) -> NDArray[np.float32]:
    """Light that ground of reflectance 1 sends up, over what level ground in the sun sends.

    Args:
        landform: of the ground.
        heights: (size, size) float32, metres.
        gsd: ground sampling distance in metres.
        softness: (size, size) in [0, 1]: how far the cover evens out the shading.
        sun: its place.
        random: draws the share of skylight and the roughness of the ground.
    """
    cosine = incidence(landform, sun)
    direct = minnaert(cosine, landform, sun, float(random.choice([1.0, random.uniform(0.5, 1.0)])))
    evened = np.float32(random.uniform(0.0, 0.6)) * softness
    direct = direct + (1.0 - direct) * evened
    if random.random() < 0.8:
        direct *= sunlit(heights, gsd, sun)
    sky = np.float32(random.uniform(0.04, 0.25))
    return np.asarray(direct * (1.0 - sky) + skylight(landform, heights, gsd) * sky, np.float32)
