from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("osgeo.gdal", reason="needs QGIS's Python")

from imagetodem_qgis.core.alignment import best_plane, fit_shift, fit_shift_and_scale
from imagetodem_qgis.core.metrics import accuracy, aspect_difference, gradient, slope
from imagetodem_qgis.core.similarity import structural_similarity
from imagetodem_qgis.evaluation import planes as planes_module
from imagetodem_qgis.evaluation.classes import elevation_classes, slope_class, slope_labels
from imagetodem_qgis.evaluation.request import ALIGNMENTS
from tests.comparisons import compare, hills, write_dem
from tests.rasters import read_surface

GSD = (30.0, 30.0)


@pytest.fixture
def pair(tmp_path):
    """A DEM with errors and holes, and its reference: two files and two arrays."""
    truth = hills()
    surface = (0.6 * (truth - 800) + 40 + hills(seed=2, base=0.0) * 0.3).astype(np.float32)
    surface[20:26, 30:41] = np.nan
    truth = truth.copy()
    truth[50, 8] = truth[0, 0] = np.nan
    return write_dem(tmp_path / "dem.tif", surface), write_dem(tmp_path / "ref.tif", truth), surface, truth


def fitted(surface, truth, align):
    if align == "none":
        return surface.astype(float)
    fit = fit_shift if align == "shift" else fit_shift_and_scale
    return fit(surface, truth).apply(surface)


def test_a_dem_against_itself_has_no_error(pair):
    dem, *_ = pair
    result = compare(dem, dem).raster
    for figures in result.accuracies.values():
        errors = [figures.bias, figures.median, figures.mae, figures.rmse, figures.nmad, figures.le90]
        assert errors == pytest.approx([0.0] * 6, abs=1e-9)
        assert figures.slope_rmse == pytest.approx(0.0, abs=1e-9)
        assert figures.correlation == pytest.approx(1.0)
    assert result.similarity == pytest.approx(1.0)
    assert result.aspect_error == pytest.approx(0.0, abs=1e-6)
    assert result.scaled_by_tile == pytest.approx(0.0, abs=1e-3)
    assert result.resampling == ("near", "near")


@pytest.mark.parametrize("strip", [1_000_000, 70 * 7])
@pytest.mark.parametrize("align", ALIGNMENTS)
def test_figures_are_those_of_the_whole_arrays_however_they_are_cut(pair, align, strip, monkeypatch):
    monkeypatch.setattr(planes_module, "_STRIP_PIXELS", strip)
    dem, reference, surface, truth = pair
    result = compare(dem, reference, align).raster
    for name in ALIGNMENTS:
        expected = accuracy(fitted(surface, truth, name), truth, GSD)
        found = result.accuracies[name]
        assert found.count == expected.count == 90 * 70 - 66 - 2
        scale = max(1.0, abs(expected.rmse))
        for key, value in asdict(expected).items():
            assert getattr(found, key) == pytest.approx(value, rel=1e-6, abs=1e-6 * scale), (name, key)
    aligned = fitted(surface, truth, align)
    known = np.isfinite(aligned - truth)
    data_range = float(truth[known].max()) - float(truth[known].min())
    similar = structural_similarity(aligned, truth.astype(float), data_range)
    assert result.similarity == pytest.approx(np.nanmean(similar), rel=1e-9)
    aspects = aspect_difference(gradient(aligned, GSD), gradient(truth, GSD))
    assert result.aspect_error == pytest.approx(np.nanmean(aspects), rel=1e-9)
    assert result.sigma == pytest.approx(truth[known].std(dtype=float), rel=1e-9)
    plane = np.where(known, truth, np.nan)
    plane_error = math.sqrt(np.nanmean((plane - best_plane(plane)) ** 2))
    assert result.plane_rmse == pytest.approx(plane_error, rel=1e-6)


def test_classes_hold_the_errors_of_their_pixels(pair):
    dem, reference, surface, truth = pair
    result = compare(dem, reference, "shift").raster
    errors = fitted(surface, truth, "shift") - truth
    slopes = slope_class(slope(truth, GSD))
    assert len({group.label for group in result.groups if group.kind == "slope"}) > 2
    known = np.isfinite(errors)
    for group in (group for group in result.groups if group.kind == "slope"):
        number = slope_labels().index(group.label)
        of = errors[known & (slopes == number)]
        assert group.figures.count == of.size
        assert group.figures.rmse == pytest.approx(math.sqrt((of**2).mean()), rel=1e-9)
        assert group.figures.median == pytest.approx(np.median(of), rel=1e-6)
    by_height = [group for group in result.groups if group.kind == "elevation"]
    assert sum(group.figures.count for group in by_height) == known.sum()
    low, high = (float(part) for part in by_height[3].label.split(" m")[0].split(" to "))
    of = errors[known & (truth >= low) & (truth < high)]
    assert by_height[3].figures.count == of.size
    assert by_height[3].figures.nmad == pytest.approx(
        1.4826 * np.median(np.abs(of - np.median(of))), rel=1e-6
    )


@given(st.floats(-5000.0, 5000.0), st.integers(0, 1000))
@settings(max_examples=12)
def test_a_constant_added_to_the_dem_changes_nothing_after_a_shift(tmp_path_factory, constant, seed):
    folder = tmp_path_factory.mktemp("shifted")
    truth = hills(40, 30, seed).astype(np.float64)
    surface = truth + np.random.default_rng(seed).normal(0.0, 8.0, truth.shape)
    reference = write_dem(folder / "r.tif", truth)
    plain = compare(write_dem(folder / "a.tif", surface), reference, "shift")
    moved = compare(write_dem(folder / "b.tif", surface + constant), reference, "shift")
    before, after = asdict(plain.figures), asdict(moved.figures)
    before.pop("bias"), after.pop("bias")
    assert after == pytest.approx(before, rel=1e-6)
    assert moved.fit.shift == pytest.approx(plain.fit.shift - constant, abs=1e-6)
    assert moved.raster.similarity == pytest.approx(plain.raster.similarity, rel=1e-9)


@given(st.floats(0.05, 20.0), st.floats(-500.0, 500.0), st.integers(0, 1000))
@settings(max_examples=12)
def test_a_line_through_the_heights_changes_nothing_after_shift_and_scale(
    tmp_path_factory, scale, shift, seed
):
    folder = tmp_path_factory.mktemp("scaled")
    truth = hills(40, 30, seed).astype(np.float64)
    surface = truth + np.random.default_rng(seed).normal(0.0, 8.0, truth.shape)
    reference = write_dem(folder / "r.tif", truth)
    plain = compare(write_dem(folder / "a.tif", surface), reference, "shift and scale")
    stretched = compare(write_dem(folder / "b.tif", surface * scale + shift), reference, "shift and scale")
    before, after = asdict(plain.figures), asdict(stretched.figures)
    before.pop("bias"), after.pop("bias")
    assert after == pytest.approx(before, rel=1e-5)
    assert stretched.fit.scale == pytest.approx(plain.fit.scale / scale, rel=1e-9)


def test_errors_change_sign_with_the_roles(pair):
    dem, reference, *_ = pair
    one, other = compare(dem, reference).figures, compare(reference, dem).figures
    assert one.bias == pytest.approx(-other.bias)
    assert one.median == pytest.approx(-other.median)
    assert (one.rmse, one.nmad, one.le90) == pytest.approx((other.rmse, other.nmad, other.le90))


def test_each_tile_is_aligned_by_itself(tmp_path):
    truth = hills(300, 520, 3)
    surface = truth.copy()
    for row, column, scale, shift in (
        (0, 0, 2.0, 5.0),
        (0, 256, 0.5, -90.0),
        (0, 512, 1.0, 7.0),
        (256, 0, 3.0, 1.0),
        (256, 256, 1.0, 0.0),
        (256, 512, -1.0, 0.0),
    ):
        part = np.s_[row : row + 256, column : column + 256]
        surface[part] = scale * surface[part] + shift
    result = compare(write_dem(tmp_path / "d.tif", surface), write_dem(tmp_path / "r.tif", truth)).raster
    assert result.scaled_by_tile == pytest.approx(0.0, abs=1e-3)
    assert result.scaled_by_tile_ratio == pytest.approx(0.0, abs=1e-5)
    assert result.accuracies["shift and scale"].rmse > 50.0


def test_the_difference_raster_is_the_aligned_dem_less_its_reference(pair, tmp_path):
    dem, reference, surface, truth = pair
    path = tmp_path / "difference.tif"
    compare(dem, reference, "shift and scale", difference=path)
    written = read_surface(path)
    errors = fitted(surface, truth, "shift and scale") - truth
    np.testing.assert_allclose(written.heights, errors, atol=1e-4)
    assert written.unit == "m"
    assert written.metadata["IMAGETODEM_ALIGN"].startswith("shift and scale: DEM × ")
    assert [entry.name for entry in Path(tmp_path).iterdir() if "partial" in entry.name] == []


def test_pictures_show_means_and_the_profile_runs_along_the_diagonal(tmp_path, monkeypatch):
    monkeypatch.setattr("imagetodem_qgis.evaluation.pictures._LONGEST_SIDE", 40)
    truth = hills(100, 120, 4)
    truth[:3, :3] = np.nan
    dem = write_dem(tmp_path / "d.tif", truth + np.float32(10.0))
    pictures = compare(dem, write_dem(tmp_path / "r.tif", truth)).raster.pictures
    assert pictures.reference.shape == (34, 40)
    assert pictures.steps == (90.0, 90.0)
    assert np.isnan(pictures.reference[0, 0])
    assert pictures.reference[5, 7] == pytest.approx(truth[15:18, 21:24].mean(dtype=float))
    assert pictures.reference[33, 7] == pytest.approx(truth[99:, 21:24].mean(dtype=float))
    np.testing.assert_allclose(pictures.difference[1:, 1:], 10.0, atol=1e-4)
    assert pictures.profile.shape == (2, 120)
    assert pictures.profile[1, -1] == truth[99, 119]
    assert np.isnan(pictures.profile[:, 0]).all()
    assert pictures.distance[-1] == pytest.approx(30.0 * math.hypot(99, 119))


@pytest.mark.parametrize(
    ("least", "largest", "low", "step"),
    [
        (3.0, 997.0, 0.0, 100.0),
        (-40.0, 12.0, -40.0, 10.0),
        (1000.2, 1001.0, 1000.2, 0.1),
        (5.0, 5.0, 5.0, 1.0),
    ],
)
def test_classes_of_elevation_are_round_and_hold_all(least, largest, low, step):
    classes = elevation_classes(least, largest)
    assert (classes.low, classes.step) == pytest.approx((low, step))
    assert 1 <= classes.count <= 11
    assert classes.low <= least
    assert classes.low + classes.count * classes.step >= largest - 1e-9
    assert classes.of(np.array([least, largest])).tolist() == [0, classes.count - 1]
