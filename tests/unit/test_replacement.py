"""Low frequencies of known heights, high frequencies of a surface."""

from __future__ import annotations

import numpy as np
import pytest

from imagetodem_qgis.anchoring.replacement import OF_DETAIL, OF_RELIEF, Replacement
from imagetodem_qgis.core.cells import cell_grid, mean_preserving
from imagetodem_qgis.core.tiling import Window, blocks
from imagetodem_qgis.raster.errors import RasterError

ROWS, COLUMNS, CELL = 240, 300, 12


def landscape(seed: int = 0) -> np.ndarray:
    """Fractal hills of some hundred metres."""
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(ROWS)[:, None], np.fft.rfftfreq(COLUMNS)[None])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(random.normal(size=(ROWS, COLUMNS))) * frequency**-1.8
    hills = np.fft.irfft2(spectrum, (ROWS, COLUMNS))
    return (1000.0 + 150.0 * hills / hills.std()).astype(np.float32)


def interpolated(truth: np.ndarray) -> np.ndarray:
    """What a DEM with pixels of CELL × CELL of the truth's shows."""
    cells = cell_grid(ROWS, COLUMNS, CELL)
    whole = Window(0, 0, cells.down, cells.across)
    means = (cells.sums(truth, whole) / CELL**2).astype(np.float32)
    return cells.smooth(mean_preserving(means), whole, Window(0, 0, ROWS, COLUMNS))


def replaced(surface, known, folder, agreement=OF_RELIEF, choose=True, size=1024, cell=CELL):
    whole = Window(0, 0, ROWS, COLUMNS)
    replacement = Replacement(
        cell_grid(ROWS, COLUMNS, cell), lambda window: known[window.within(whole)], folder, agreement
    )
    for cells, pixels in replacement.windows():
        replacement.gather(cells, pixels, surface[pixels.within(whole)])
    if choose:
        replacement.choose_share()
    replacement.finish()
    result = np.full((ROWS, COLUMNS), np.nan, np.float32)
    for window in blocks(ROWS, COLUMNS, size):
        part = window.within(whole)
        result[part] = replacement.apply(window, surface[part].copy())
    return result, replacement.share


def rmse(surface: np.ndarray, truth: np.ndarray, counted: object = ...) -> float:
    return float(np.sqrt(((surface - truth)[counted].astype(np.float64) ** 2).mean()))


def test_a_surface_that_has_the_forms_gets_its_heights_back(tmp_path):
    """Whatever is wrong with it at large: here a bowl, a tilt, and no zero."""
    truth = landscape()
    known = interpolated(truth)
    row, column = np.mgrid[:ROWS, :COLUMNS]
    surface = truth - 1000.0 + 0.3 * row - 0.5 * column + 0.004 * (row - 100.0) ** 2
    result, share = replaced(surface.astype(np.float32), known, tmp_path)
    assert share == pytest.approx(1.0, abs=0.05)
    assert rmse(result, truth) < 0.1 * rmse(known, truth)


def test_the_share_of_a_surface_whose_scale_is_wrong_is_found(tmp_path):
    truth = landscape(1)
    known = interpolated(truth)
    for scale in (0.6, 2.0):
        result, share = replaced(truth / np.float32(scale), known, tmp_path)
        assert share == pytest.approx(scale, rel=0.05)
        assert rmse(result, truth) < 0.15 * rmse(known, truth)


def test_of_a_surface_that_does_not_agree_next_to_nothing_is_taken(tmp_path):
    truth = landscape(2)
    known = interpolated(truth)
    result, share = replaced(landscape(3), known, tmp_path)
    assert share < 0.1
    assert rmse(result, truth) < 1.02 * rmse(known, truth)
    _, share = replaced(-truth, known, tmp_path)
    assert share == 0.0


def test_the_known_heights_low_frequencies_are_kept(tmp_path):
    truth = landscape(4)
    known = interpolated(truth)
    result, _ = replaced(landscape(5), known, tmp_path, choose=False)
    cells = cell_grid(ROWS, COLUMNS, CELL)
    whole = Window(0, 0, cells.down, cells.across)
    means = [cells.sums(heights, whole) / CELL**2 for heights in (result, known)]
    # Cubic convolution does not keep means to the last.
    assert np.abs(means[0] - means[1])[1:-1, 1:-1].std() < 0.1 * (landscape(5) - known).std()


def test_it_is_the_same_block_by_block(tmp_path):
    truth = landscape(6)
    known = interpolated(truth)
    known[60:100, 80:140] = np.nan
    whole, _ = replaced(truth * np.float32(0.8), known, tmp_path)
    parts, _ = replaced(truth * np.float32(0.8), known, tmp_path, size=70)
    np.testing.assert_allclose(parts, whole, atol=0.01)


def test_a_hole_is_bridged_without_a_step(tmp_path):
    truth = landscape(7)
    known = interpolated(truth)
    known[70:150, 90:190] = np.nan
    surface = truth - np.float32(700.0)
    surface += np.linspace(0.0, 60.0, COLUMNS, dtype=np.float32)
    result, _ = replaced(surface, known, tmp_path, choose=False)
    assert np.isfinite(result).all()
    hole = np.isnan(known)
    assert rmse(result, truth, hole) < 8.0
    assert rmse(result, truth, ~hole) < 2.0
    steps = np.abs(np.diff(result - truth, axis=1))
    assert steps.max() < 3.0


def test_unknown_pixels_of_the_surface_stay_so_and_harm_no_other(tmp_path):
    truth = landscape(8)
    known = interpolated(truth)
    surface = truth.copy()
    surface[100:130, 200:260] = np.nan
    result, _ = replaced(surface, known, tmp_path, choose=False)
    assert (np.isnan(result) == np.isnan(surface)).all()
    assert rmse(result, truth, np.isfinite(surface)) < 0.15 * rmse(known, truth)


def test_a_surface_of_detail_adds_to_what_is_lacking_and_no_more(tmp_path):
    """Of detail, only what is finer than a cell is taken: an error at large does not come through."""
    truth = landscape(9)
    known = interpolated(truth)
    nothing = np.zeros_like(known)
    detail = (truth - known) + np.float32(25.0)
    result, _ = replaced(detail, nothing, tmp_path, OF_DETAIL, choose=False)
    assert rmse(known + result, truth) < 0.2 * rmse(known, truth)


def test_detail_is_judged_by_what_the_known_heights_show_of_it(tmp_path):
    truth = landscape(10)
    known = interpolated(truth)
    sharper = known + 0.1 * (truth - known)
    lacking = truth - known
    _, good = replaced(lacking, sharper - known, tmp_path, OF_DETAIL)
    noise = 3.0 * (landscape(11) - landscape(12))
    _, bad = replaced(lacking + noise, sharper - known, tmp_path, OF_DETAIL)
    assert bad < 0.1
    assert bad < good


def test_without_a_pixel_in_common_it_is_refused(tmp_path):
    truth = landscape()
    known = np.full_like(truth, np.nan)
    with pytest.raises(RasterError, match="no pixel in common"):
        replaced(truth, known, tmp_path)
