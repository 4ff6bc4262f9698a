from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imagetodem_qgis.core.quantiles import PASSES, Quantiles

FINITE = st.floats(-1e6, 1e6, width=32)


def found(parts, shares, groups=1):
    """Quantiles of numbers that come in parts, each with the groups of its numbers or None."""
    quantiles = Quantiles(groups, shares)
    for _ in range(PASSES):
        for numbers, of in parts:
            quantiles.add(np.asarray(numbers, np.float32), of)
        quantiles.end_pass()
    return quantiles


@given(
    arrays(np.float32, st.integers(1, 200), elements=FINITE),
    st.lists(st.floats(0.0, 1.0), min_size=1, max_size=4),
    st.integers(1, 60),
)
def test_quantiles_are_numpys_however_the_numbers_come(numbers, shares, size):
    parts = [(numbers[start : start + size], None) for start in range(0, len(numbers), size)]
    expected = np.quantile(numbers.astype(np.float64), shares)
    np.testing.assert_allclose(found(parts, tuple(shares)).values()[0], expected, rtol=1e-12, atol=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_each_group_has_its_own(seed):
    random = np.random.default_rng(seed)
    # Some of one value, some within one bin of the first pass, some of all sizes.
    numbers = np.concatenate(
        [np.zeros(7), random.normal(1.0, 1e-5, 50), random.normal(0.0, 1.0, 60) ** 9, [-0.0, 0.0]]
    ).astype(np.float32)
    of = random.integers(0, 4, numbers.size)
    of[of == 2] = 3
    shares = (0.0, 0.1, 0.5, 0.9, 1.0)
    quantiles = found([(numbers[:40], of[:40]), (numbers[40:], of[40:])], shares, 4)
    for group in (0, 1, 3):
        expected = np.quantile(numbers[of == group].astype(np.float64), shares)
        np.testing.assert_allclose(quantiles.values()[group], expected, rtol=1e-12, atol=1e-300)
    assert quantiles.counts.tolist() == [int((of == group).sum()) for group in range(4)]
    assert np.isnan(quantiles.values()[2]).all()


def test_values_wait_for_the_last_pass_and_numbers_end_with_it():
    quantiles = Quantiles(1, (0.5,))
    with pytest.raises(ValueError, match="not all passes"):
        quantiles.values()
    finished = found([([3.0, 1.0], None)], (0.5,))
    assert finished.values().tolist() == [[2.0]]
    with pytest.raises(ValueError, match="are over"):
        finished.add(np.ones(1, np.float32))
