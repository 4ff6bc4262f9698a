from __future__ import annotations

import numpy as np
import pytest

from training.data.pair import Pair
from training.data.palettes import sea_colour, typical_palettes
from training.data.sampling import DEFAULT_STRETCH, pair_stretch
from training.data.sources import Group
from training.data.tasks import mean_colour

COLOURS = {"desert": (200, 160, 110), "forest": (40, 90, 40), "sea": (20, 40, 120)}


def pair(colour: tuple[int, int, int], seed: int) -> Pair:
    random = np.random.default_rng(seed)
    image = np.clip(np.array(colour) + random.integers(-15, 15, (70, 70, 3)), 0, 255).astype(np.uint8)
    # The stretch is a pair's own: with as much black and white in each, all are stretched alike.
    image[:4], image[4:8] = 0, 255
    valid = np.ones((70, 70), bool)
    return Pair(str(seed), image, np.full((70, 70), 300.0, np.float32), valid, 30.0, "train")


def groups(rendered: bool = False) -> list[Group]:
    counts = {"forest": 9, "desert": 6, "sea": 3}
    pairs = [pair(COLOURS[name], seed) for name, count in counts.items() for seed in range(count)]
    return [Group("pairs", pairs, 1.0, rendered=rendered)]


def test_palettes_are_the_colours_that_pairs_have_the_least_colourful_first():
    found = typical_palettes(groups(), DEFAULT_STRETCH, seed=0, count=3)
    for palette, name in zip(found, ("forest", "desert", "sea")):
        examples = [pair(COLOURS[name], seed) for seed in range(9)]
        colours = [mean_colour(pair_stretch(one).apply(one.image), one.dem, one.valid) for one in examples]
        # Every seventh pixel tells no more.
        np.testing.assert_allclose(palette, np.mean(colours, axis=0), atol=0.15)
    assert found == typical_palettes(groups(), DEFAULT_STRETCH, seed=0, count=3)


def test_there_are_no_more_palettes_than_colours():
    alike = [Group("pairs", [pair(COLOURS["sea"], 0)] * 5, 1.0)]
    assert len(typical_palettes(alike, DEFAULT_STRETCH, seed=0)) == 1


def test_rendered_images_are_asked_only_where_there_are_no_real_ones():
    other = [Group("rendered", [pair((250, 0, 250), 1)], 1.0, rendered=True)]
    assert typical_palettes([*groups(), *other], DEFAULT_STRETCH, 0, 3) == typical_palettes(
        groups(), DEFAULT_STRETCH, 0, 3
    )
    assert len(typical_palettes(other, DEFAULT_STRETCH, 0)) == 1


def test_the_mean_colour_is_of_known_land_within_the_range():
    image = np.zeros((2, 3, 3), np.float32)
    image[0] = [[1.5], [-0.5], [-1.0]]
    known = np.array([[True, True, True], [False, False, False]])
    elevation = np.array([[5.0, 900.0, 0.0], [7.0, 7.0, 7.0]], np.float32)
    assert mean_colour(image, elevation, known) == pytest.approx([0.25] * 3)
    assert mean_colour(image, elevation, ~known) == pytest.approx([0.0] * 3)
    assert mean_colour(image, np.zeros_like(elevation), known) is None
    assert mean_colour(image, elevation, known & ~known) is None


def test_without_any_land_the_palette_is_a_grey():
    sea = pair(COLOURS["sea"], 0)
    level = Pair("sea", sea.image, np.zeros_like(sea.dem), sea.valid, 30.0, "train")
    assert typical_palettes([Group("pairs", [level], 1.0)], DEFAULT_STRETCH, 0) == [[0.0, 0.0, 0.0]]


def coast(seed: int, share: float) -> Pair:
    land = pair(COLOURS["forest"], seed)
    wet = np.arange(70) < round(share * 70)
    image, dem = land.image.copy(), land.dem.copy()
    image[8:, wet], dem[:, wet] = COLOURS["sea"], 0.0
    return Pair(str(seed), image, dem, land.valid, 30.0, "train")


def test_the_seas_colour_is_that_of_coasts():
    coasts = [Group("pairs", [coast(seed, 0.5) for seed in range(5)], 1.0)]
    one = coasts[0].pairs[0]
    expected = pair_stretch(one).apply(one.image)[40, 3]
    assert sea_colour([*groups(), *coasts], DEFAULT_STRETCH) == pytest.approx(expected.tolist(), abs=0.05)
    assert sea_colour(groups(), DEFAULT_STRETCH) is None
    assert sea_colour([Group("pairs", [coast(0, 1.0), coast(1, 0.05)], 1.0)], DEFAULT_STRETCH) is None


def test_rendered_coasts_count_only_where_there_are_no_real_ones():
    rendered = Group("rendered", [coast(1, 0.3)], 1.0, rendered=True)
    real = Group("pairs", [coast(2, 0.5)], 1.0)
    assert sea_colour([rendered, real], DEFAULT_STRETCH) == sea_colour([real], DEFAULT_STRETCH)
    assert sea_colour([rendered, *groups()], DEFAULT_STRETCH) is not None
