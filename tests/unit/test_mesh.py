"""The simplified surface: no cracks, within its budget, and as far from the heights as it says."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from imagetodem_qgis.core.mesh import LEAST_BUDGET, Mesh, simplify


def hills(rows: int, columns: int, seed: int = 1) -> NDArray[np.float32]:
    """Waves of several lengths with some grain, metres."""
    random = np.random.default_rng(seed)
    row, column = np.mgrid[:rows, :columns].astype(float)
    surface = random.normal(0, 2.0, (rows, columns))
    for length in (9.0, 31.0, 110.0):
        angle, phase = random.uniform(0, 6, 2)
        surface += length * np.sin((row * np.cos(angle) + column * np.sin(angle)) / length * 2 + phase)
    return surface.astype(np.float32)


def made(heights: NDArray[np.float32], budget: int, counted: NDArray[np.bool_] | None = None) -> Mesh:
    everywhere = np.ones(heights.shape, bool)
    return simplify(heights, everywhere if counted is None else counted, budget)


def doubled_areas(mesh: Mesh) -> NDArray[np.int64]:
    """Twice the area of each triangle in pixels, positive where it runs counter-clockwise on the map."""
    x, y = mesh.columns[mesh.triangles], -mesh.rows[mesh.triangles]
    return (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])


def drawn(mesh: Mesh, shape: tuple[int, int]) -> NDArray[np.float64]:
    """The triangles' heights at the pixels' middles, triangle by triangle by barycentric coordinates."""
    surface = np.full(shape, np.nan)
    for triangle in mesh.triangles:
        x, y = mesh.columns[triangle].astype(float), mesh.rows[triangle].astype(float)
        z = mesh.heights[triangle].astype(float)
        column, row = np.meshgrid(np.arange(x.min(), x.max() + 1), np.arange(y.min(), y.max() + 1))
        area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
        second = ((column - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (row - y[0])) / area
        third = ((x[1] - x[0]) * (row - y[0]) - (column - x[0]) * (y[1] - y[0])) / area
        inside = (second > -1e-9) & (third > -1e-9) & (second + third < 1 + 1e-9)
        height = z[0] + second * (z[1] - z[0]) + third * (z[2] - z[0])
        surface[row[inside].astype(int), column[inside].astype(int)] = height[inside]
    return surface


def assert_whole(mesh: Mesh, rows: int, columns: int) -> None:
    """Every side belongs to two triangles, or to one and lies on the border; together they cover the grid."""
    areas = doubled_areas(mesh)
    assert (areas > 0).all()
    assert areas.sum() == 2 * (rows - 1) * (columns - 1)
    sides: Counter[tuple[int, int]] = Counter()
    for first, second in ((0, 1), (1, 2), (2, 0)):
        sides.update(tuple(sorted(side)) for side in mesh.triangles[:, (first, second)].tolist())
    assert set(sides.values()) <= {1, 2}
    for (start, end), count in sides.items():
        x, y = mesh.columns[[start, end]], mesh.rows[[start, end]]
        on_border = any(
            (line == limit).all() for line, limit in ((x, 0), (x, columns - 1), (y, 0), (y, rows - 1))
        )
        assert (count == 1) == on_border
    assert len(set(zip(mesh.columns.tolist(), mesh.rows.tolist()))) == len(mesh.columns)


@settings(max_examples=30)
@given(rows=st.integers(2, 80), columns=st.integers(2, 80), seed=st.integers(0, 50))
def test_there_is_no_crack_whatever_the_size(rows: int, columns: int, seed: int) -> None:
    heights = hills(rows, columns, seed)
    mesh = made(heights, LEAST_BUDGET)
    assert len(mesh.triangles) <= LEAST_BUDGET
    assert_whole(mesh, rows, columns)


@pytest.mark.parametrize("shape", [(2, 2), (33, 65), (50, 37), (2, 300), (129, 128)])
@pytest.mark.parametrize("budget", [LEAST_BUDGET, 7000])
def test_the_error_is_that_of_the_triangles_as_drawn(shape: tuple[int, int], budget: int) -> None:
    heights = hills(*shape)
    mesh = made(heights, budget)
    surface = drawn(mesh, shape)
    assert not np.isnan(surface).any()
    error = np.abs(surface - heights)
    assert mesh.largest_error == pytest.approx(error.max(), abs=1e-4)
    assert mesh.rms_error == pytest.approx(np.sqrt(np.mean(error**2)), abs=1e-4)


def test_enough_triangles_draw_every_height() -> None:
    heights = hills(70, 90)
    mesh = made(heights, 2 * 69 * 89 + 500)
    assert mesh.largest_error == 0.0
    assert len(mesh.columns) == heights.size
    np.testing.assert_array_equal(mesh.heights, heights[mesh.rows, mesh.columns])


def test_more_triangles_come_nearer_and_the_budget_is_used() -> None:
    heights = hills(300, 400)
    meshes = [made(heights, budget) for budget in (2000, 8000, 32000, 128000)]
    errors = [mesh.rms_error for mesh in meshes]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 4
    for mesh, budget in zip(meshes, (2000, 8000, 32000, 128000)):
        assert 0.95 * budget < len(mesh.triangles) <= budget


def test_triangles_go_where_the_surface_is_uneven() -> None:
    heights = np.zeros((257, 257), np.float32)
    heights[:, 128:] = hills(257, 129)
    mesh = made(heights, 8000)
    middles = mesh.columns[mesh.triangles].mean(axis=1)
    assert (middles > 120).mean() > 0.95


def test_a_plane_needs_the_root_squares_alone() -> None:
    row, column = np.mgrid[:257, :257]
    mesh = made((3 * row - 2 * column).astype(np.float32), 100_000)
    assert len(mesh.triangles) == 2 * 16 * 16
    assert mesh.largest_error == 0.0


def test_pixels_that_do_not_count_take_no_triangles() -> None:
    heights = hills(257, 257)
    counted = np.zeros(heights.shape, bool)
    counted[:, :128] = True
    mesh = made(heights, 8000, counted)
    assert_whole(mesh, 257, 257)
    middles = mesh.columns[mesh.triangles].mean(axis=1)
    assert (middles < 136).mean() > 0.95
    error = np.abs(drawn(mesh, heights.shape) - heights)[counted]
    assert mesh.largest_error == pytest.approx(error.max(), abs=1e-4)


def test_what_spans_no_area_is_refused() -> None:
    with pytest.raises(ValueError, match="1 x 5"):
        made(np.zeros((1, 5), np.float32), LEAST_BUDGET)
    with pytest.raises(ValueError, match="2000"):
        made(np.zeros((5, 5), np.float32), LEAST_BUDGET - 1)


def test_what_the_checkpoint_raises_ends_the_work() -> None:
    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        simplify(hills(64, 64), np.ones((64, 64), bool), LEAST_BUDGET, stop)
