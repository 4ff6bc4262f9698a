from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from imagetodem_qgis.runtime.client import WorkerClient, WorkerError
from imagetodem_qgis.worker.coregistration import CoregistrationError, coregistered


def ground(rows: int = 160, columns: int = 170, seed: int = 3) -> np.ndarray:
    """Periodic fractal hills, whose spectrum has no frequency above a quarter of a pixel's."""
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None])
    spectrum = np.fft.rfft2(random.normal(size=(rows, columns)))
    spectrum *= np.where((frequency > 0) & (frequency < 0.25), np.maximum(frequency, 1e-3) ** -2.0, 0.0)
    hills = np.fft.irfft2(spectrum, (rows, columns))
    return 1000.0 + 150.0 * hills / hills.std()


def moved(heights: np.ndarray, right: float, down: float) -> np.ndarray:
    """The same ground shifted by parts of a pixel, exactly, by the shift theorem of Fourier transforms."""
    rows, columns = heights.shape
    phase = np.fft.fftfreq(rows)[:, None] * down + np.fft.rfftfreq(columns)[None] * right
    return np.fft.irfft2(np.fft.rfft2(heights) * np.exp(-2j * np.pi * phase), heights.shape)


@pytest.mark.parametrize(("right", "down"), [(0.5, 0.0), (-0.5, 0.5), (1.3, -2.2)])
def test_a_move_is_found_to_a_twentieth_of_a_pixel(right, down):
    pytest.importorskip("xdem", reason="needs xDEM, which is made for Python 3.10 and later")
    truth = ground()
    surface = moved(truth, right, down) + 12.0
    surface[50:60, 30:50] = np.nan
    east, north = coregistered(truth, surface, (30.0, 20.0))
    assert east / 30.0 == pytest.approx(-right, abs=0.05)
    assert north / 20.0 == pytest.approx(down, abs=0.05)


def test_surfaces_with_few_common_pixels_are_refused():
    truth = ground(60, 60)
    surface = np.full_like(truth, np.nan)
    surface[:20, :20] = truth[:20, :20]
    with pytest.raises(CoregistrationError, match="400 common pixels are too few"):
        coregistered(truth, surface, (30.0, 30.0))


def test_a_worker_without_xdem_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "xdem", None)
    monkeypatch.setitem(sys.modules, "xdem.coreg", None)
    with pytest.raises(CoregistrationError, match="PROFILE=train"):
        coregistered(ground(), ground(), (30.0, 30.0))


def test_the_worker_answers_with_words_where_there_is_no_move():
    with WorkerClient(Path(sys.executable)) as worker:
        nothing = np.full((40, 40), np.nan)
        with pytest.raises(WorkerError, match="too few"):
            worker.ask({"type": "coregister", "pixel_size": [30.0, 30.0]}, [nothing, nothing])
