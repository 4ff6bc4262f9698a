from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from imagetodem_qgis.core.stretch import EACH, Stretch, StretchRecipe
from training.data.pair import SUN_AZIMUTH, Pair, towards_the_sun
from training.data.sampling import (
    Augmentation,
    Sample,
    network_input,
    pair_stretch,
    plain_sample,
    random_sample,
    relief_per_pixel,
)

PLAIN = Stretch((-1.0,) * 3, (1.0,) * 3)


def hillshade(heights: np.ndarray, gsd: float, azimuth: float) -> np.ndarray:
    """Cosine of the angle between the ground's normal and a sun 45 degrees high (Horn 1981)."""
    down, across = np.gradient(heights, gsd)
    east, north = np.sin(np.radians(azimuth)), np.cos(np.radians(azimuth))
    return (1.0 - across * east + down * north) / np.sqrt(1.0 + across**2 + down**2) / np.sqrt(2.0)


def cone(side: int = 200, gsd: float = 50.0) -> Pair:
    """A mountain seen from above under a sun in the south-east."""
    down, across = np.mgrid[:side, :side] - side / 2.0
    heights = (2000.0 - 0.6 * gsd * np.hypot(down + 10, across - 7)).astype(np.float32)
    light = hillshade(heights, gsd, SUN_AZIMUTH)
    image = (255 * np.clip(light, 0, 1)).astype(np.uint8)
    return Pair("cone", np.stack([image] * 3, -1), heights, np.ones(heights.shape, bool), gsd, "train")


def rough_pair(name: str = "rough", side: int = 256, gsd: float = 30.0, seed: int = 0) -> Pair:
    random = np.random.default_rng(seed)
    dem = np.cumsum(np.cumsum(random.normal(0, 2, (side, side)), 0), 1).astype(np.float32)
    image = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Pair(name, image, dem, np.ones((side, side), bool), gsd, "train")


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@given(
    arrays.arrays(np.float32, (6, 5), elements=st.floats(-400, 9000, width=32)),
    arrays.arrays(bool, (6, 5)),
    st.floats(0.5, 1000),
)
def test_relief_is_height_over_the_known_mean_in_pixels(dem, valid, gsd):
    relief, mean = relief_per_pixel(np.where(valid, dem, np.nan).astype(np.float32), valid, gsd)
    assert relief.dtype == np.float32
    assert (relief[~valid] == 0).all()
    if valid.any():
        expected = (dem[valid].astype(np.float64) - dem[valid].astype(np.float64).mean()) / gsd
        np.testing.assert_allclose(relief[valid], expected, rtol=1e-4, atol=2e-3 / gsd)
        assert mean == pytest.approx(dem[valid].mean(dtype=np.float64), rel=1e-6, abs=1e-6)


def test_the_networks_input_is_the_stretched_image_and_the_logarithm_of_the_distance():
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    stretch = Stretch((0, 0, 0), (255, 255, 255))
    planes = network_input(image, stretch, 250.0)
    np.testing.assert_allclose(planes[..., :3], image / 127.5 - 1, atol=1e-5)
    np.testing.assert_allclose(planes[..., 3], np.log(2.5), rtol=1e-6)


def test_a_plain_sample_is_the_window_itself():
    pair = rough_pair()
    pair.valid[30:40, 50:90] = False
    sample = plain_sample(pair, 20, 45, 64, 64, pair_stretch(pair))
    window = (slice(20, 84), slice(45, 109))
    known = pair.valid[window]
    np.testing.assert_array_equal(sample.target[..., 1], known)
    expected = (pair.dem[window] - pair.dem[window][known].mean()) / 30.0
    np.testing.assert_allclose(sample.target[..., 0], np.where(known, expected, 0.0), atol=1e-3)
    stretched = pair_stretch(pair).apply(pair.image[window])
    np.testing.assert_array_equal(sample.inputs[..., :3], np.where(known[..., None], stretched, 0.0))
    np.testing.assert_allclose(sample.inputs[..., 3], np.log(0.3), rtol=1e-6)


@pytest.mark.parametrize(("side", "size"), [(200, 50), (50, 200), (128, 64)])
def test_zooming_changes_the_distance_and_with_it_the_heights_in_pixels(side, size):
    # On a plane that rises by a tenth of a pixel a pixel, it does so at every scale.
    down, across = np.mgrid[:256, :256].astype(np.float32)
    dem = 3.0 * across
    pair = Pair("plane", np.zeros((256, 256, 3), np.uint8), dem, np.ones((256, 256), bool), 30.0, "train")
    sample = plain_sample(pair, 10, 20, side, size, PLAIN)
    np.testing.assert_allclose(sample.inputs[..., 3], np.log(30.0 * side / size / 100.0), rtol=1e-5)
    border = max(2, 2 * size // side)
    slope = np.diff(sample.target[..., 0], axis=1)[:, border:-border]
    np.testing.assert_allclose(slope, 0.1, atol=2e-3)


def test_random_samples_keep_heights_and_distance_together():
    down, across = np.mgrid[:1200, :1200].astype(np.float32)
    dem = 3.0 * across + 6.0 * down
    image, valid = np.zeros((1200, 1200, 3), np.uint8), np.ones((1200, 1200), bool)
    pair = Pair("plane", image, dem, valid, 30.0, "train")
    random = np.random.default_rng(1)
    distances, mirrored, turned = [], 0, 0
    for _ in range(60):
        sample = random_sample(pair, 64, random)
        distance = 100.0 * np.exp(sample.inputs[0, 0, 3])
        assert (sample.inputs[..., 3] == sample.inputs[0, 0, 3]).all()
        distances.append(distance)
        across, down = (np.median(np.diff(sample.target[..., 0], axis=axis)) for axis in (1, 0))
        # A turn changes the gradient's direction only, and by no more than it may.
        assert np.hypot(across, down) == pytest.approx(np.hypot(0.1, 0.2), abs=5e-3)
        direction = np.degrees(np.arctan2(down, across))
        # The mirror that keeps the light exchanges the two components.
        upright = np.degrees(np.arctan2(0.2, 0.1))
        turn = min(direction - upright, direction - (90.0 - upright), key=abs)
        assert abs(turn) < 20.5
        mirrored += direction < 45.0
        turned += abs(turn) > 1.0
    assert max(distances) > 3.0 * min(distances)
    assert 15 < mirrored < 45
    assert 15 < turned < 45


def test_random_samples_stay_bright_on_the_side_of_the_sun():
    pair, random = cone(), np.random.default_rng(2)
    told, against, mirrored = [], [], set()
    for _ in range(40):
        sample = random_sample(pair, 64, random)
        luminance, heights = sample.inputs[..., :3].mean(-1), sample.target[..., 0]
        told.append(correlation(luminance, hillshade(heights, 1.0, SUN_AZIMUTH)))
        against.append(correlation(luminance, hillshade(heights, 1.0, SUN_AZIMUTH + 90.0)))
        mirrored.add(sample.inputs.strides[0] < sample.inputs.strides[1])
    assert min(told) > 0.85
    assert np.median(np.abs(against)) < 0.6
    assert mirrored == {True, False}


def test_random_samples_hide_unknown_pixels_and_stay_in_range():
    pair, random = rough_pair(), np.random.default_rng(3)
    pair.valid[100:150] = False
    pair.dem[100:150] = np.nan
    seen = 0
    for _ in range(30):
        sample = random_sample(pair, 64, random)
        assert sample.inputs.shape == (64, 64, 4)
        assert sample.target.shape == (64, 64, 2)
        assert np.isfinite(sample.inputs).all()
        assert np.isfinite(sample.target).all()
        assert np.abs(sample.inputs[..., :3]).max() <= 1.5
        known = sample.target[..., 1]
        assert set(np.unique(known)) <= {0.0, 1.0}
        seen += int((known == 0).sum())
        assert (sample.inputs[known == 0][:, :3] == 0).all()
        assert (sample.target[known == 0][:, 0] == 0).all()
        assert abs(sample.target[..., 0].sum()) < 1e-3 * max(1.0, np.abs(sample.target[..., 0]).sum())
    assert seen > 0


OFF = Augmentation(scale=False, turn=False, mirror=False, contrast=False)


def test_without_augmentation_a_pair_is_a_plain_sample_of_itself():
    pair = rough_pair("a", side=256)
    plain = plain_sample(pair, 0, 0, 256, 64, pair_stretch(pair))
    for seed in range(3):
        sample = random_sample(pair, 64, np.random.default_rng(seed), OFF)
        np.testing.assert_array_equal(sample.inputs, plain.inputs)
        np.testing.assert_array_equal(sample.target, plain.target)


def test_each_switch_changes_what_it_says_and_nothing_else():
    pair = rough_pair("a", side=256)
    plain = random_sample(pair, 64, np.random.default_rng(0), OFF)

    def samples(**switches: bool) -> list[Sample]:
        switched = replace(OFF, **switches)
        return [random_sample(pair, 64, np.random.default_rng(seed), switched) for seed in range(12)]

    mirrored = [np.array_equal(s.inputs, plain.inputs.swapaxes(0, 1)) for s in samples(mirror=True)]
    kept = [np.array_equal(s.inputs, plain.inputs) for s in samples(mirror=True)]
    assert any(mirrored)
    assert any(kept)
    assert all(one != other for one, other in zip(mirrored, kept))
    for sample in samples(contrast=True):
        np.testing.assert_array_equal(sample.target, plain.target)
        assert np.abs(sample.inputs[..., :3] - plain.inputs[..., :3]).max() > 0.01
    scaled = samples(scale=True)
    assert len({round(s.gsd, 3) for s in scaled}) > 3
    assert {round(s.gsd, 3) for s in samples(turn=True, mirror=True, contrast=True)} == {round(plain.gsd, 3)}
    for sample in [*samples(colour=True), *samples(albedo=True)]:
        np.testing.assert_array_equal(sample.target, plain.target)
        np.testing.assert_array_equal(sample.inputs[..., 3], plain.inputs[..., 3])
    limits = StretchRecipe(0.0, 100.0, 1.0, EACH)
    stretched = random_sample(pair, 64, np.random.default_rng(0), OFF, limits)
    expected = plain_sample(pair, 0, 0, 256, 64, pair_stretch(pair, limits))
    np.testing.assert_array_equal(stretched.inputs, expected.inputs)
    assert np.abs(stretched.inputs - plain.inputs).max() > 1e-3


def test_other_colours_are_mixtures_of_the_bands_and_leave_grey_grey():
    pair = rough_pair("a", side=64)
    colour = replace(OFF, colour=True)
    plain = random_sample(pair, 64, np.random.default_rng(0), OFF).inputs[..., :3].reshape(-1, 3)
    shares = []
    for seed in range(40):
        bands = random_sample(pair, 64, np.random.default_rng(seed), colour).inputs[..., :3].reshape(-1, 3)
        # Each band is a mean of the three with weights that are not negative and sum to one.
        weights = np.linalg.lstsq(plain.astype(np.float64), bands.astype(np.float64), rcond=None)[0]
        np.testing.assert_allclose(plain @ weights, bands, atol=1e-4)
        np.testing.assert_allclose(weights.sum(axis=0), 1.0, atol=1e-4)
        assert weights.min() > -1e-4
        shares.append(1.0 - np.diag(weights).mean())
    assert 8 <= sum(share < 1e-4 for share in shares) <= 26
    assert max(shares) > 0.4
    grey = replace(pair, image=np.repeat(pair.image[..., :1], 3, axis=-1))
    for seed in range(8):
        first, second = (random_sample(grey, 64, np.random.default_rng(seed), how) for how in (OFF, colour))
        np.testing.assert_allclose(first.inputs, second.inputs, atol=1e-5)


def test_colours_and_albedo_of_coarse_images_are_left_alone():
    pair = rough_pair("a", side=64, gsd=400.0)
    for seed in range(8):
        first, second = (
            random_sample(pair, 64, np.random.default_rng(seed), how)
            for how in (OFF, replace(OFF, colour=True, albedo=True))
        )
        np.testing.assert_array_equal(first.inputs, second.inputs)


def test_another_albedo_turns_light_over_with_height_and_does_not_give_heights_away():
    """Brightness comes to follow height, or its contrary, and noise: along a line of one height, here a
    circle about the summit, the change goes up and down as well."""
    pair = cone(256)
    plain = random_sample(pair, 256, np.random.default_rng(0), OFF)
    light, height = plain.inputs[..., 0], plain.target[..., 0]
    ring = np.abs(height - np.median(height)) < 1.0
    with_height, along_ring = [], []
    for seed in range(60):
        sample = random_sample(pair, 256, np.random.default_rng(seed), replace(OFF, albedo=True))
        np.testing.assert_array_equal(sample.target, plain.target)
        bands = sample.inputs[..., :3]
        if np.array_equal(bands, plain.inputs[..., :3]):
            continue
        np.testing.assert_array_equal(bands[..., 0], bands[..., 2])
        assert abs(bands.mean() - light.mean()) < 0.1
        assert 0.65 < bands.std() / light.std() < 1.05
        with_height.append(correlation(bands[..., 0], height))
        change = np.log((bands[..., 0] + 1.6) / (light + 1.6))
        along_ring.append(change[ring].std() / change.std())
    assert 15 <= len(with_height) <= 45
    assert min(with_height) < -0.4
    assert max(with_height) > 0.4
    assert np.quantile(along_ring, 0.25) > 0.4


def test_fine_pairs_are_now_and_then_stretched_as_parts_of_a_larger_scene():
    flat = {}
    for gsd in (30.0, 400.0):
        pair = rough_pair("a", side=64, gsd=gsd)
        plain = random_sample(pair, 64, np.random.default_rng(0), OFF).inputs[..., :3]
        changed = (
            random_sample(pair, 64, np.random.default_rng(seed), replace(OFF, contrast=True))
            for seed in range(100)
        )
        flat[gsd] = np.mean([sample.inputs[..., :3].std() < 0.7 * plain.std() for sample in changed])
    assert flat[400.0] < 0.06
    assert 0.1 < flat[30.0] < 0.3


@pytest.mark.parametrize("azimuth", [315.0, 225.0, 45.0, 70.0, 158.0])
def test_pairs_are_turned_towards_the_sun_all_parts_alike(azimuth):
    rows, columns = np.mgrid[:20, :30]
    dem = (rows * 100 + columns).astype(np.float32)
    pair = Pair("a", np.stack([dem] * 3, -1), dem, dem % 2 == 0, 30.0, "train")
    turned = towards_the_sun(pair, azimuth)
    np.testing.assert_array_equal(turned.image[..., 0], turned.dem)
    np.testing.assert_array_equal(turned.valid, turned.dem % 2 == 0)
    assert sorted(turned.dem.ravel()) == sorted(dem.ravel())
    assert (turned.name, turned.gsd, turned.split) == ("a", 30.0, "train")
    side = cone(101)
    lit = Pair(
        "lit", np.stack([hillshade(side.dem, 50.0, azimuth)] * 3, -1), side.dem, side.valid, 50.0, "train"
    )
    seen = towards_the_sun(lit, azimuth)
    assert correlation(seen.image[..., 0], hillshade(seen.dem, 50.0, SUN_AZIMUTH)) > 0.85


def test_large_pairs_come_at_their_own_scale_where_that_is_wanted_and_small_ones_at_any():
    def distances(side: int, **switches: bool) -> set[float]:
        pair, augmentation = rough_pair(side=side, gsd=30.0), Augmentation(turn=False, **switches)
        samples = (random_sample(pair, 64, np.random.default_rng(seed), augmentation) for seed in range(30))
        # A sample of 64 pixels shows a tile of 256: its pixels are four times as wide.
        return {round(sample.gsd / 4.0, 2) for sample in samples}

    assert distances(400, own_scale=True) == {30.0}
    assert len(distances(256, own_scale=True)) > 10
    assert len(distances(400)) > 10
    assert distances(256, scale=False, own_scale=True) == {30.0}
