from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from imagetodem_qgis.core.error_tally import DISPLAYED, PASSES, ErrorTally
from imagetodem_qgis.core.metrics import error_figures


def tallied(errors, groups=None, count=1, parts=1, displayed=False) -> ErrorTally:
    tally = ErrorTally(count, displayed)
    for _ in range(PASSES):
        for part in np.array_split(np.arange(len(errors)), parts):
            tally.add(errors[part], None if groups is None else groups[part])
        tally.end_pass()
    return tally


@pytest.mark.parametrize("parts", [1, 7])
def test_figures_are_those_of_all_at_once(parts):
    errors = np.random.default_rng(1).normal(3.0, 12.0, 4001) ** 3 / 100.0
    (figures,) = tallied(errors, parts=parts).figures()
    assert astuple(figures) == pytest.approx(astuple(error_figures(errors)), rel=1e-6)


def test_each_group_has_figures_of_its_own():
    random = np.random.default_rng(2)
    groups = random.integers(0, 3, 3000)
    errors = random.normal(10.0 * groups, 1.0 + groups)
    found = tallied(errors, groups, count=4, parts=3).figures()
    for group in range(3):
        expected = astuple(error_figures(errors[groups == group]))
        assert astuple(found[group]) == pytest.approx(expected, rel=1e-6)
    assert found[3].count == 0
    assert np.isnan(found[3].rmse)
    assert np.isnan(found[3].nmad)


def test_displayed_quantiles_are_numpys():
    errors = np.random.default_rng(3).normal(0.0, 5.0, 2001)
    assert tallied(errors, displayed=True).displayed() == pytest.approx(np.quantile(errors, DISPLAYED))


def test_even_errors_have_no_spread():
    (figures,) = tallied(np.full(11, -2.5)).figures()
    assert astuple(figures) == (11, -2.5, -2.5, 2.5, 2.5, 0.0, 2.5)
