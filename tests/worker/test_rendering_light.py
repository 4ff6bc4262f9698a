from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from imagetodem_qgis.core.light import angular_distance, symmetry_towards
from training.data.pair import SUN_AZIMUTH, Pair, towards_the_sun
from training.noise import fractal_noise
from training.rendering.landform import Landform, read_landform
from training.rendering.light import Sun, incidence, minnaert, skylight, sunlit

GSD = 30.0


def plane(size: int, east: float, north: float) -> np.ndarray:
    """Heights that rise by some metres a metre to the east and to the north; rows run to the south."""
    down, across = np.mgrid[:size, :size] * GSD
    return (1000.0 + east * across - north * down).astype(np.float32)


def ground(heights: np.ndarray) -> Landform:
    return read_landform(heights, GSD)


def rough(size: int, relief: float, seed: int = 0) -> np.ndarray:
    return (fractal_noise(size, 3.0, np.random.default_rng(seed)) * relief).astype(np.float32)


def direction(sun: Sun) -> np.ndarray:
    """Unit vector to the sun: east, north, up."""
    zenith, azimuth = np.radians(sun.zenith), np.radians(sun.azimuth)
    return np.array(
        [np.sin(zenith) * np.sin(azimuth), np.sin(zenith) * np.cos(azimuth), np.cos(zenith)],
    )


@given(
    east=st.floats(-1.5, 1.5),
    north=st.floats(-1.5, 1.5),
    azimuth=st.floats(0.0, 360.0),
    zenith=st.floats(0.0, 80.0),
)
def test_a_plane_is_lit_as_its_normal_says(east: float, north: float, azimuth: float, zenith: float) -> None:
    sun = Sun(azimuth, zenith)
    normal = np.array([-east, -north, 1.0]) / np.sqrt(1.0 + east**2 + north**2)
    light = incidence(ground(plane(12, east, north)), sun)
    assert np.allclose(light, normal @ direction(sun), atol=2e-3)


@pytest.mark.parametrize("azimuth", [10.0, 135.0, 200.0, 289.0])
def test_a_cone_is_brightest_on_the_side_of_the_sun_before_and_after_the_turn(azimuth: float) -> None:
    down, across = np.mgrid[-40:41, -40:41]
    heights = (-0.5 * GSD * np.hypot(down, across)).astype(np.float32)
    light = incidence(ground(heights), Sun(azimuth, 45.0))
    ring = (np.hypot(down, across) > 20) & (np.hypot(down, across) < 38)
    assert angular_distance(bright_side(light, ring), azimuth) < 3.0
    image = np.repeat(light[..., None], 3, -1)
    turned = towards_the_sun(Pair("cone", image, heights, ring, GSD, "train"), azimuth)
    expected = symmetry_towards(azimuth, SUN_AZIMUTH).azimuth(azimuth)
    assert angular_distance(bright_side(turned.image[..., 0], turned.valid), expected) < 3.0
    assert angular_distance(expected, SUN_AZIMUTH) <= 45.0


def bright_side(light: np.ndarray, where: np.ndarray) -> float:
    """Azimuth of the brightest pixels around the middle."""
    down, across = np.mgrid[: len(light), : len(light)] - (len(light) - 1) / 2
    brightest = where & (light > np.quantile(light[where], 0.97))
    return float(np.degrees(np.arctan2(across[brightest].mean(), -down[brightest].mean())) % 360.0)


def test_minnaert_with_one_is_lambert_and_with_less_shades_less() -> None:
    landform, sun = ground(rough(48, 12.0)), Sun(135.0, 50.0)
    cosine = incidence(landform, sun)
    level = np.cos(np.radians(50.0))
    assert np.allclose(minnaert(cosine, landform, sun, 1.0), np.maximum(cosine, 0) / level, atol=1e-6)
    emergence = np.cos(np.arctan(landform.slope))
    expected = (np.maximum(cosine, 0) / level) ** 0.6 * emergence ** (0.6 - 1.0)
    rougher = minnaert(cosine, landform, sun, 0.6)
    assert np.allclose(rougher, expected, rtol=1e-4)
    assert rougher.std() < minnaert(cosine, landform, sun, 1.0).std()


@pytest.mark.parametrize(("azimuth", "down", "across"), [(0, 1, 0), (90, 0, -1), (180, -1, 0), (270, 0, 1)])
@pytest.mark.parametrize("zenith", [30.0, 60.0])
def test_a_wall_throws_a_shadow_as_long_as_the_sun_is_low(
    azimuth: float, down: int, across: int, zenith: float
) -> None:
    heights = np.zeros((61, 61), np.float32)
    wall = (30, slice(None)) if down else (slice(None), 30)
    heights[wall] = 10.0 * GSD
    lit = sunlit(heights, GSD, Sun(azimuth, zenith))
    line = lit[:, 30] if down else lit[30]
    behind = line[31:] if down + across > 0 else line[29::-1]
    before = line[:30] if down + across > 0 else line[31:]
    length = 10.0 * np.tan(np.radians(zenith))
    assert abs((1.0 - behind).sum() - length) < 1.01
    assert (before > 0.45).all()
    assert behind[0] == 0.0


@pytest.mark.parametrize("azimuth", [20.0, 135.0, 222.0])
def test_shadows_are_those_of_a_march_along_each_ray(azimuth: float) -> None:
    heights, sun = rough(64, 500.0, 3), Sun(azimuth, 65.0)
    lit = sunlit(heights, GSD, sun)
    rise = GSD / np.tan(np.radians(65.0))
    down, across = sun.towards
    rows, columns = np.mgrid[:64, :64].astype(float)
    marched = np.ones((64, 64), bool)
    for step in range(1, 64):
        places = [rows + down * step, columns + across * step]
        passed = ndimage.map_coordinates(heights, places, order=1, mode="constant", cval=-1e9)
        marched &= passed <= heights + rise * step
    assert 0.05 < (~marched).mean() < 0.9
    # Interpolating in several steps smooths the ground a little.
    assert ((lit > 0.5) == marched).mean() > 0.97


def test_level_ground_sees_the_whole_sky_and_a_hollow_less() -> None:
    level = np.full((32, 32), 700.0, np.float32)
    assert np.allclose(skylight(ground(level), level, GSD), 1.0)
    pit = level.copy()
    pit[16, 16] -= 400.0
    sky = skylight(ground(pit), pit, GSD)
    assert sky[16, 16] < 0.6
    tilted = plane(32, 1.0, 0.0)
    assert np.allclose(skylight(ground(tilted), tilted, GSD)[8:-8, 8:-8], (1 + np.sqrt(0.5)) / 2, atol=1e-3)
