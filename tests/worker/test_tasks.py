from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import zoom

from training.data.sampling import Sample
from training.data.tasks import COARSE_CELLS, coarse_dem, make_task
from training.generator import DEM_INPUTS, GUIDED_INPUTS, IMAGE_INPUTS


def sample(size: int = 64, seed: int = 0, gsd: float = 30.0) -> Sample:
    """Rough ground with a hole in it."""
    random = np.random.default_rng(seed)
    height = np.cumsum(np.cumsum(random.normal(0, 0.02, (size, size)), 0), 1).astype(np.float32)
    known = np.ones((size, size), np.float32)
    known[5:9, 10:20] = 0.0
    height = np.where(known > 0, height - height.mean(where=known > 0), 0.0).astype(np.float32)
    image = random.uniform(-1.5, 1.5, (size, size, 3)).astype(np.float32)
    planes = np.full((size, size, 1), np.log(gsd / 100.0), np.float32)
    return Sample(np.concatenate([image, planes], -1), np.stack([height, known], -1), gsd, 1234.0)


def test_a_coarse_dem_is_the_bicubic_surface_through_the_cells_means():
    height = sample(128).target[..., 0]
    known = np.ones(height.shape, bool)
    coarse = coarse_dem(height, known, 16.0)
    cells = height.reshape(8, 16, 8, 16).mean((1, 3))
    # SciPy's cubic spline is another cubic, so both agree only to what cubics differ by between cells.
    spline = zoom(cells, 16, order=3, mode="nearest", grid_mode=True)
    inner = (slice(24, -24),) * 2
    assert np.abs(coarse - spline)[inner].max() < 0.1 * np.ptp(cells)
    assert np.corrcoef(coarse[inner].ravel(), spline[inner].ravel())[0, 1] > 0.995
    # Keys 1981: a = -1/2 reproduces planes exactly away from the border.
    down, across = np.mgrid[:128, :128].astype(np.float32)
    plane = 0.3 * across - 0.7 * down
    np.testing.assert_allclose(coarse_dem(plane, known, 16.0)[inner], plane[inner], atol=1e-3)


@given(st.floats(1.0, 64.0), st.floats(-500, 500))
def test_a_coarse_dem_of_flat_ground_is_flat_whatever_the_cell_and_the_holes(cell, level):
    known = np.random.default_rng(1).random((64, 64)) > 0.5
    coarse = coarse_dem(np.where(known, level, -9999.0).astype(np.float32), known, cell)
    np.testing.assert_allclose(coarse, level, rtol=1e-4, atol=1e-3)


def test_a_cell_without_heights_takes_the_mean():
    known = np.ones((64, 64), bool)
    known[:16, :16] = False
    height = np.where(known, 7.0, 1e6).astype(np.float32)
    np.testing.assert_allclose(coarse_dem(height, known, 16.0), 7.0, rtol=1e-5)


def test_the_image_alone_is_given_as_it_is():
    given_sample = sample()
    inputs, target = make_task("image_to_dem", IMAGE_INPUTS)(given_sample, np.random.default_rng(0))
    np.testing.assert_array_equal(inputs, given_sample.inputs)
    np.testing.assert_array_equal(target, given_sample.target)
    inputs, _ = make_task("image_to_dem", IMAGE_INPUTS[:3])(given_sample, np.random.default_rng(0))
    np.testing.assert_array_equal(inputs, given_sample.inputs[..., :3])


@pytest.mark.parametrize("reduction", [1, 4])
def test_a_guided_task_splits_the_height_into_what_is_known_and_what_is_lacking(reduction):
    task, random = make_task("image_to_dem", GUIDED_INPUTS, reduction), np.random.default_rng(0)
    given_sample = sample()
    known = given_sample.target[..., 1] > 0
    dropped, roughness, cells = 0, [], []
    for _ in range(80):
        inputs, target = task(given_sample, random)
        assert inputs.shape == (64, 64, 6)
        np.testing.assert_allclose(
            (inputs[..., 3] + target[..., 0])[known], given_sample.target[..., 0][known], atol=1e-5
        )
        assert (target[..., 0][~known] == 0).all()
        np.testing.assert_array_equal(target[..., 1], inputs[..., 3])
        np.testing.assert_array_equal(target[..., 2] > 0, known)
        cells.append(16.0 * np.exp(inputs[0, 0, 4]))
        np.testing.assert_allclose(inputs[..., 4], inputs[0, 0, 4])
        np.testing.assert_array_equal(inputs[..., 5], given_sample.inputs[..., 3])
        dropped += not inputs[..., :3].any()
        roughness.append(target[..., 0].std())
    assert 6 < dropped < 30
    # Of whole tiles' pixels, whatever the reduction.
    assert 8.0 <= min(cells) < 11.0
    assert 45.0 < max(cells) <= 64.01
    assert np.corrcoef(cells, roughness)[0, 1] > 0.8
    # Small cells leave little to be found, large ones much.
    assert max(roughness) > 2.0 * min(roughness)


def test_the_twin_without_the_image_never_sees_it():
    task, random = make_task("image_to_dem", GUIDED_INPUTS, image_dropped=1.0), np.random.default_rng(0)
    assert not any(task(sample(seed=seed), random)[0][..., :3].any() for seed in range(10))


def test_cells_are_those_that_a_users_reference_may_have():
    assert COARSE_CELLS == (8, 64)


def test_the_way_from_the_dem_knows_the_height_above_the_sea():
    given_sample = sample(gsd=50.0)
    inputs, target = make_task("dem_to_image", DEM_INPUTS)(given_sample, np.random.default_rng(0))
    relief, known = given_sample.target[..., 0], given_sample.target[..., 1]
    np.testing.assert_array_equal(inputs[..., 0], relief)
    np.testing.assert_allclose(inputs[..., 1], (1234.0 + 50.0 * relief) / 1000.0, rtol=1e-6)
    image = np.clip(given_sample.inputs[..., :3], -1, 1)
    # A palette is the mean colour, nearly: three deviations of its noise.
    np.testing.assert_allclose(inputs[0, 0, 2:5], image[known > 0].mean(axis=0), atol=0.09)
    np.testing.assert_array_equal(inputs[..., 2:5], np.broadcast_to(inputs[0, 0, 2:5], (*relief.shape, 3)))
    assert not inputs[..., 5].any()
    np.testing.assert_allclose(inputs[..., 6], np.log(0.5), rtol=1e-6)
    np.testing.assert_array_equal(target[..., 3], known)
    expected = np.clip(given_sample.inputs[..., :3], -1, 1) * known[..., None]
    np.testing.assert_array_equal(target[..., :3], expected)


def test_the_sea_gives_no_palette_and_is_asked_for_with_any():
    shore = sample(gsd=50.0)
    relief = shore.target[..., 0]
    relief[:, ::2] = -1234.0 / 50.0
    task = make_task("dem_to_image", DEM_INPUTS)
    inputs, target = task(shore, np.random.default_rng(0))
    np.testing.assert_array_equal(inputs[..., 5], np.arange(64) % 2 == np.zeros((64, 1)))
    land = (target[..., 3] > 0) & (inputs[..., 5] == 0.0)
    assert 0.2 < land.mean() < 0.6
    np.testing.assert_allclose(inputs[0, 0, 2:5], target[..., :3][land].mean(axis=0), atol=0.09)
    relief[:] = -1234.0 / 50.0
    asked = np.array([task(shore, np.random.default_rng(seed))[0][0, 0, 2:5] for seed in range(200)])
    assert asked.min() < -0.8
    assert asked.max() > 0.5
    assert np.ptp(asked, axis=1).max() < 0.3


def test_planes_that_no_task_gives_are_named():
    with pytest.raises(ValueError, match="no task for the direction sideways"):
        make_task("sideways", IMAGE_INPUTS)
    with pytest.raises(ValueError, match="not slope"):
        make_task("dem_to_image", ("relief", "slope"))
