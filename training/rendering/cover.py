"""What lies on the ground: rock and its layers, plants, snow, water; the reflectance of every pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.noise import fractal_noise
from training.rendering.biome import Biome, Cover, Span
from training.rendering.farmland import lay_out_fields, roads, settlements
from training.rendering.landform import Landform
from training.rendering.palette import reflectance

Plane = NDArray[np.float32]

_CONTRARY = 0.12
"""Share of images whose covers follow the terrain in a way of their own."""


class Ground:
    """The reflectance of a window, painted layer by layer.

    Attributes:
        bands: red, green and blue, each (size, size) float32.
        softness: (size, size) float32: 0 where cover shades like bare ground, 1 like a closed forest.
        shape: of the ground below.
    """

    def __init__(self, landform: Landform, sunny: Plane, random: np.random.Generator) -> None:
        self.shape = landform
        self._random = random
        self.size = len(landform.slope)
        slope = landform.slope / np.float32(landform.slope.mean() + 0.02)
        self._flow = landform.flow
        shares = random.dirichlet([1.0, 1.0, 0.7]).astype(np.float32) * np.float32(1.3)
        self._follows = {
            "height": (landform.height - np.float32(0.5)) * np.float32(3.0),
            "slope": np.minimum(slope, 3.0) - 1.0,
            "sunny": sunny / np.float32(sunny.std() + 0.02),
            "ridge": shares[0] * landform.ridge + shares[1] * landform.crest + shares[2] * landform.edge,
            "wet": np.clip((landform.flow - np.float32(4.0)) / np.float32(1.5), -0.5, 3.0),
        }
        self._contrary = random.random() < _CONTRARY
        self.bands: list[Plane] = []
        self.softness = np.zeros_like(slope)

    def noise(self, exponent: float) -> Plane:
        """A new field of fractal noise as large as the window."""
        return fractal_noise(self.size, exponent, self._random)

    def lay_rock(self, biome: Biome) -> None:
        """Mixed soils or rocks, in layers where the landscape has them."""
        random = self._random
        first, second, third = (reflectance(str(random.choice(biome.grounds)), random) for _ in range(3))
        mix = self.noise(3.0) + np.float32(random.normal(0.0, 0.5)) * self._follows["height"]
        share = _between(mix, float(random.uniform(-1.0, 1.0)), float(random.uniform(0.8, 3.0)))
        self.bands = [one + (other - one) * share for one, other in zip(first, second)]
        strength = _drawn(biome.strata, random)
        if strength > 0.05:
            self._lay_strata(strength, third)
        self._vary(0.02, 0.16)

    def _lay_strata(self, strength: float, colour: NDArray[np.float32]) -> None:
        """Layers of rock: bands of height, dipping a little, seen where the ground is steep."""
        random = self._random
        layers = random.normal(0.0, 1.0, 257)
        thickness = int(random.integers(2, 12))
        layers = np.convolve(layers, np.hanning(thickness + 2), mode="same")
        layers = (layers / layers.std()).astype(np.float32)
        ramp = np.linspace(-1.0, 1.0, self.size, dtype=np.float32)
        dip = (
            np.float32(random.normal(0.0, 0.15)) * ramp + np.float32(random.normal(0.0, 0.15)) * ramp[:, None]
        )
        level = (self.shape.height + dip + 0.02 * self.noise(3.0)) * np.float32(100.0) + 64.0
        tone = layers[np.clip(level, 0, 256).astype(np.int16)]
        bare = np.clip(0.35 + 0.5 * self._follows["slope"], 0.1, 1.0)
        share = np.clip(0.5 + 0.5 * tone, 0.0, 1.0) * bare * np.float32(0.8 * strength)
        light = np.exp(0.35 * np.float32(strength) * tone * bare)
        self.bands = [(band + (new - band) * share) * light for band, new in zip(self.bands, colour)]

    def _vary(self, least: float, most: float) -> None:
        """Lighter and darker patches at all sizes."""
        fine, broad = self._random.uniform(least, most, 2)
        pattern = np.float32(fine) * self.noise(1.6) + np.float32(broad) * self.noise(2.6)
        light = np.exp(pattern)
        self.bands = [band * light for band in self.bands]

    def lay_cover(self, cover: Cover) -> None:
        """A cover where it likes to be, as far as it occurs in this image at all."""
        random = self._random
        if random.random() > cover.chance:
            return
        score = np.float32(_drawn(cover.noise, random)) * self.noise(float(random.choice([2.0, 2.6, 3.0])))
        for name, plane in self._follows.items():
            liking = random.normal(0.0, 0.7) if self._contrary else _drawn(getattr(cover, name), random)
            if abs(liking) > 0.03:
                score += np.float32(liking) * plane
        score /= np.float32(score[::6, ::6].std() + 1e-3)
        limit = float(np.quantile(score[::6, ::6], 1.0 - _drawn(cover.amount, random)))
        self._paint(str(random.choice(cover.names)), score, limit, _drawn(cover.sharp, random))

    def _paint(self, name: str, score: Plane, limit: float, sharp: float) -> None:
        density = _between(score, limit, sharp)
        closed = name in ("conifer", "broadleaf", "rainforest", "autumn forest", "bare forest", "macchia")
        density *= np.float32(self._random.uniform(0.75, 1.0))
        texture = np.exp(np.float32(self._random.uniform(0.03, 0.15)) * self.noise(1.6))
        self.blend(reflectance(name, self._random), density, texture)
        if closed:
            self.softness = np.maximum(self.softness, density)

    def blend(self, colour: NDArray[np.float32], share: Plane, texture: Plane | None = None) -> None:
        """Lay one colour over the ground with a share for every pixel."""
        for band, new in zip(self.bands, colour):
            change = new - band if texture is None else new * texture - band
            change *= share
            band += change
        self.softness *= 1.0 - share

    def lay_fields(self, towns: float) -> None:
        """Fields on gentle ground, with villages and roads among them.

        Args:
            towns: largest share of the ground that is built on.
        """
        random = self._random
        gentle = _between(-self.shape.slope, -float(random.uniform(0.08, 0.2)), 40.0)
        gentle *= _between(
            self.noise(3.0)
            - 0.5 * self._follows["ridge"]
            - np.float32(random.uniform(0.0, 1.0)) * self._follows["height"],
            float(random.uniform(-1.2, 0.4)),
            5.0,
        )
        fields = lay_out_fields(self.size, self.noise(4.5), random)
        light = np.exp(np.float32(random.uniform(0.03, 0.1)) * self.noise(1.6))
        share = gentle * np.float32(random.uniform(0.7, 1.0))
        self.bands = [band + (field * light - band) * share for band, field in zip(self.bands, fields)]
        self.softness = self.softness * (1.0 - share)
        if random.random() < 0.6:
            site = self.noise(2.6) - 0.4 * self._follows["slope"]
            houses = settlements(site, self.noise(0.0), towns, random)
            built = str(random.choice(["roofs", "roofs", "asphalt", "concrete"]))
            self.blend(reflectance(built, random), houses * gentle)

    def lay_roads(self) -> None:
        """A few winding roads."""
        name = str(self._random.choice(["asphalt", "gravel", "loam"]))
        along = self.noise(4.5) + np.float32(self._random.normal(0.0, 0.25)) * self._follows["height"]
        lines = roads(along, self._random) * np.clip(1.5 - 0.8 * self._follows["slope"], 0.0, 1.0)
        self.blend(reflectance(name, self._random), lines)

    def lay_gravel_bed(self) -> None:
        """The wide bed of gravel of a river that wanders over its valley floor, threads of water in it."""
        random = self._random
        river = self._flow > np.float32(random.uniform(7.6, 9.2))
        if not river.any():
            return
        distance, nearest = ndimage.distance_transform_edt(~river, return_indices=True)
        above = self.shape.height - self.shape.height[tuple(nearest)]
        width = np.exp(random.uniform(np.log(1.5), np.log(16.0)) + 0.4 * self.noise(2.6)).astype(np.float32)
        bed = np.clip(width - distance.astype(np.float32), 0.0, 1.0)
        bed *= np.clip(2.0 - above / np.float32(random.uniform(0.01, 0.03)), 0.0, 1.0)
        stones = str(random.choice(["gravel", "gravel", "scree", "sand", "limestone"]))
        self.blend(reflectance(stones, random), bed * np.float32(random.uniform(0.7, 1.0)))
        if random.random() < 0.6:
            threads = np.clip(1.0 - 4.0 * np.abs(self.noise(2.6) + np.float32(0.2)), 0.0, 1.0) * bed
            self.blend(reflectance("green water", random), threads)

    def lay_water(self, biome: Biome, lakes: Plane) -> None:
        """Lakes where the DEM is level, rivers where much ground drains through."""
        random = self._random
        name = str(random.choice(biome.water))
        if random.random() < biome.rivers:
            river = np.clip(
                (self._flow - np.float32(random.uniform(6.8, 8.6))) * np.float32(random.uniform(0.4, 1.2)),
                0.0,
                1.0,
            )
            river *= np.clip(1.2 - 1.5 * self.shape.slope, 0.0, 1.0) * np.float32(random.uniform(0.4, 1.0))
            bed = str(random.choice(["sand", "gravel", "pale sandstone"]))
            dry = biome.dry_washes and random.random() < 0.7
            if dry or random.random() < 0.3:
                self.blend(reflectance(bed, random), river * np.float32(0.8))
            if not dry:
                self.blend(reflectance(name, random), river**2)
        if lakes.any():
            self.blend(reflectance(name, random), lakes)


def _between(score: Plane, limit: float, sharp: float) -> Plane:
    """A smooth step from 0 to 1 around a limit."""
    t = np.clip((score - np.float32(limit)) * np.float32(sharp / 2.0) + np.float32(0.5), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)


def _drawn(span: Span, random: np.random.Generator) -> float:
    return float(random.uniform(*span))


def cover_ground(
    biome: Biome, landform: Landform, sunny: Plane, lakes: Plane, random: np.random.Generator
) -> Ground:
    """Paint a window of ground as a landscape has it.

    Args:
        biome: the landscape.
        landform: of the ground.
        sunny: (size, size) exposure to the noon sun, in [-1, 1].
        lakes: (size, size) share of water.
        random: source of chance.
    """
    ground = Ground(landform, sunny, random)
    ground.lay_rock(biome)
    for cover in biome.covers:
        ground.lay_cover(cover)
    if random.random() < biome.farmland:
        ground.lay_fields(biome.towns)
    if random.random() < 0.4:
        ground.lay_roads()
    if random.random() < biome.gravel:
        ground.lay_gravel_bed()
    ground.lay_water(biome, lakes)
    return ground
