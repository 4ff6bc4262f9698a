"""How far anchored surfaces are to be trusted."""

from __future__ import annotations

import numpy as np
import pytest

from imagetodem_qgis.anchoring import doubt
from imagetodem_qgis.anchoring.doubt import ReferenceDoubt, factor_of_points
from imagetodem_qgis.core.card import parse_card
from imagetodem_qgis.core.cells import cell_grid, mean_preserving
from imagetodem_qgis.core.confidence import AnchoredDoubt, anchored_doubt_of
from imagetodem_qgis.core.tiling import Window
from tests.tiny_models import card

ROWS, COLUMNS, CELL = 480, 600, 12
WHOLE = Window(0, 0, ROWS, COLUMNS)
CELLS = cell_grid(ROWS, COLUMNS, CELL)
EVERY = Window(0, 0, CELLS.down, CELLS.across)
REFERENCE_ALONE = AnchoredDoubt(0.0, 1.0)


def landscape(slope: float, seed: int = 0) -> np.ndarray:
    """Fractal hills whose spectrum falls with that power of the frequency."""
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(ROWS)[:, None], np.fft.rfftfreq(COLUMNS)[None])
    frequency[0, 0] = np.inf
    hills = np.fft.irfft2(
        np.fft.rfft2(random.normal(size=(ROWS, COLUMNS))) * frequency**-slope, (ROWS, COLUMNS)
    )
    return (1000.0 + 150.0 * hills / hills.std()).astype(np.float32)


def reference(truth: np.ndarray) -> np.ndarray:
    """The surface through the truth's means over cells."""
    means = (CELLS.sums(truth, EVERY) / CELL**2).astype(np.float32)
    return CELLS.smooth(mean_preserving(means), EVERY, WHOLE)


def finished(
    known: np.ndarray, folder, weights=REFERENCE_ALONE, is_whole=True, cells=CELLS
) -> ReferenceDoubt:
    made = ReferenceDoubt(cells, lambda window: known[window.within(WHOLE)], folder, weights, is_whole)
    for of_cells, pixels in cells.windows(200):
        made.gather(of_cells, pixels)
    made.finish()
    return made


@pytest.mark.parametrize("slope", [1.5, 2.0, 2.5])
def test_the_relief_tells_what_a_reference_lacks(tmp_path, slope):
    """Rough or smooth, with one weight: what is left is in proportion to what is told."""
    truth = landscape(slope)
    known = reference(truth)
    told = finished(known, tmp_path).apply(WHOLE, np.zeros_like(truth))
    left = np.sqrt(((known - truth).astype(np.float64) ** 2).mean())
    assert left / np.sqrt((told.astype(np.float64) ** 2).mean()) == pytest.approx(1.1, abs=0.35)


def test_rough_ground_is_trusted_less_than_smooth(tmp_path):
    truth = landscape(2.0)
    truth[:, 300:] = 1000.0 + 0.1 * (truth[:, 300:] - 1000.0)
    told = finished(reference(truth), tmp_path).apply(WHOLE, np.zeros_like(truth))
    assert told[:, :270].mean() > 6.0 * told[:, 330:].mean()


def test_the_predictions_own_doubt_counts_with_its_weight(tmp_path):
    flat = np.full((ROWS, COLUMNS), 700.0, np.float32)
    told = finished(flat, tmp_path, AnchoredDoubt(0.25, 1.0)).apply(WHOLE, np.full_like(flat, 8.0))
    np.testing.assert_allclose(told, 4.0, rtol=1e-5)


@pytest.mark.parametrize("is_whole", [False, True])
def test_doubt_grows_into_holes(tmp_path, is_whole):
    known = reference(landscape(2.0, 1))
    known[150:350, 200:420] = np.nan
    own = np.full((ROWS, COLUMNS), 15.0, np.float32)
    told = finished(known, tmp_path, is_whole=is_whole).apply(WHOLE, own)
    assert np.isfinite(told).all()
    outside = told[20:120, 20:580].mean()
    rim, middle = told[158:165, 290:330].mean(), told[240:260, 290:330].mean()
    assert outside < rim < middle
    if is_whole:
        # The prediction goes on there, and is no worse than without a reference.
        assert 14.0 < middle < 1.3 * np.sqrt(15.0**2 + outside**2)
    else:
        assert middle > 4.0 * outside
    steps = np.abs(np.diff(told, axis=1)).max()
    assert steps < 0.2 * (middle - outside)


def test_it_is_the_same_block_by_block(tmp_path, monkeypatch):
    known = reference(landscape(2.0, 2))
    known[30:90, 400:500] = np.nan
    own = np.full((ROWS, COLUMNS), 30.0, np.float32)
    whole = finished(known, tmp_path).apply(WHOLE, own)
    monkeypatch.setattr(doubt, "_BLOCK", 8)
    monkeypatch.setattr(doubt, "_STRIP", 5)
    made = finished(known, tmp_path)
    for part in (Window(0, 0, 100, 600), Window(37, 390, 61, 45)):
        found = made.apply(part, own[part.within(WHOLE)])
        np.testing.assert_allclose(found, whole[part.within(WHOLE)], rtol=0.02)


def test_steps_to_the_nearest_known_cell(tmp_path, monkeypatch):
    monkeypatch.setattr(doubt, "_STRIP", 7)
    random = np.random.default_rng(0)
    is_known = random.random((CELLS.down, CELLS.across)) < 0.02
    known = np.where(is_known.repeat(CELL, 0).repeat(CELL, 1), np.float32(5.0), np.float32(np.nan))
    made = finished(known, tmp_path)
    found = made._store.get(1, EVERY)
    places = np.argwhere(is_known)
    row, column = np.mgrid[: CELLS.down, : CELLS.across]
    expected = np.min([np.abs(row - r) + np.abs(column - c) for r, c in places], axis=0)
    np.testing.assert_array_equal(found, expected)


def test_too_few_cells_tell_nothing(tmp_path):
    known = np.full((ROWS, COLUMNS), 100.0, np.float32)
    made = finished(known, tmp_path, cells=cell_grid(ROWS, COLUMNS, 300))
    own = np.full((ROWS, COLUMNS), 12.0, np.float32)
    np.testing.assert_array_equal(made.apply(WHOLE, own), own)


def test_points_tell_how_large_the_errors_are():
    random = np.random.default_rng(0)
    deviations = random.uniform(20.0, 60.0, 400)
    for scale in (0.3, 1.0, 3.0):
        residuals = scale * deviations * random.normal(size=400)
        assert factor_of_points(residuals, deviations) == pytest.approx(scale, rel=0.1)
    residuals[:5] += 5000.0
    assert factor_of_points(residuals, deviations) == pytest.approx(3.0, rel=0.15)
    # One point tells the level, which is then off by as much as the surface is there.
    assert factor_of_points(np.zeros(1), np.full(1, 40.0)) == pytest.approx(np.sqrt(2.0))
    assert factor_of_points(np.full(3, np.nan), np.full(3, 40.0)) == 1.0
    few = factor_of_points(np.array([400.0, -350.0, 420.0]), np.full(3, 40.0))
    assert 3.0 < few < 10.0


def test_the_cards_weights():
    def of(**changes):
        import json

        return anchored_doubt_of(parse_card(json.dumps(card(**changes))))

    own = {"spread": 1, "copies": 1, "overlaps": 1, "floor": 0}
    assert of(confidence={**own, "anchored": {"prediction": 0.5, "reference": 2}}) == AnchoredDoubt(0.5, 2.0)
    plain, guided = of(confidence=own), of(inputs=["red", "green", "blue", "coarse_dem"])
    assert plain.prediction < guided.prediction
    assert plain == of()
    with pytest.raises(ValueError, match="confidence"):
        of(confidence={**own, "anchored": {"prediction": -1, "reference": 2}})
