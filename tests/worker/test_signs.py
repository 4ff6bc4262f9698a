"""Which way up heights come out, of models whose answers are known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_dataset import write_dataset
from tests.tiny_models import make_model, write_networks
from training.data.appearance import with_albedo
from training.evaluation.area import Area
from training.evaluation.predictor import Answer
from training.signs import CHANGES, correlations, main, markdown, shady_slopes

SIDE = 96


def hills(seed: int, source: str = "hills") -> Area:
    """Waves of some 300 m under a sun in the south-east, a corner of them unknown."""
    random = np.random.default_rng(seed)
    down, across = np.mgrid[:SIDE, :SIDE] / 12.0
    phases = random.uniform(0.0, 6.0, 2)
    dem = (1000.0 + 100.0 * (np.sin(down + phases[0]) + np.cos(across + phases[1]))).astype(np.float32)
    slopes = np.gradient(dem, 30.0)
    light = 120.0 - 40.0 * (slopes[0] + slopes[1])
    image = np.repeat(light[..., None], 3, axis=-1).astype(np.float32)
    valid = np.ones(dem.shape, bool)
    valid[:10, :20] = False
    return Area(source, f"{source} {seed}", image, dem, valid, 30.0, image[valid])


@dataclass(frozen=True)
class Answering:
    """A model that takes what is dark for high, as far as ``trust`` says, and knows the rest."""

    trust: float

    def stretched(self, area: Area) -> np.ndarray:
        bands = (area.image - 120.0) / 80.0
        bands[~area.valid] = 0.0
        return bands

    def answer(self, area: Area, bands: np.ndarray) -> Answer:
        truth = (area.dem - area.dem[area.valid].mean()) / area.dem[area.valid].std()
        assert (bands[~area.valid] == 0.0).all()
        dark = -bands.mean(axis=-1) / bands[area.valid].std()
        surface = np.where(area.valid, self.trust * dark + (1.0 - self.trust) * truth, np.nan)
        return Answer(surface.astype(np.float32), None)


def test_who_trusts_in_dark_heights_is_told_by_light_ones():
    tiles = [hills(seed) for seed in range(3)]
    trusting = correlations(Answering(1.0), tiles)
    assert list(trusting) == ["hills"]
    for row in trusting["hills"].values():
        # Shading alone says nothing of height here: it follows the slope.
        assert abs(row[CHANGES.index(0.0)]) < 0.25
        assert row[0] > 0.8
        assert row[-1] < -0.8
        assert list(row) == sorted(row, reverse=True)
    knowing = correlations(Answering(0.0), tiles)
    np.testing.assert_allclose(list(knowing["hills"].values()), 1.0, atol=1e-5)


def test_the_table_counts_tiles_by_source_and_all_together():
    found = {"a": {"1": (0.5, -0.1), "2": (0.7, -0.3), "3": (-0.2, -0.2)}, "b": {"4": (0.1, 0.9)}}
    lines = markdown(found, "heights", (0.0, np.log(2.0))).splitlines()
    assert lines[0] == "| held-out | tiles | heights × 1.00 | heights × 2.00 |"
    assert lines[2] == "| a | 3 | r 0.50, 2 upright | r -0.20, 0 upright |"
    assert lines[3] == "| b | 1 | r 0.10, 1 upright | r 0.90, 1 upright |"
    assert lines[4] == "| all | 4 | r 0.30, 3 upright | r -0.15, 1 upright |"


@dataclass(frozen=True)
class Shading(Answering):
    """A model that knows the heights up to their sign, and takes the lighter side for the sun's."""

    def answer(self, area: Area, bands: np.ndarray) -> Answer:
        seen, lit = bands.mean(axis=-1)[area.valid], area.image[..., 0][area.valid]
        upright = np.sign(np.corrcoef(seen, lit)[0, 1])
        return Answer(super().answer(area, bands).surface * np.float32(upright), None)


def test_who_trusts_in_shading_is_told_by_lighter_slopes_on_the_shady_side():
    tile = hills(1)
    shady, lit = shady_slopes(tile), tile.image[..., 0]
    assert np.corrcoef(shady[tile.valid], lit[tile.valid])[0, 1] < -0.9
    assert np.abs(shady).max() <= 1.0
    (row,) = correlations(Shading(0.0), [tile], shady_slopes)["hills"].values()
    np.testing.assert_allclose(row, (1.0, 1.0, 1.0, -1.0, -1.0), atol=1e-5)
    (row,) = correlations(Answering(0.0), [tile], shady_slopes)["hills"].values()
    np.testing.assert_allclose(row, 1.0, atol=1e-5)


def test_level_ground_has_no_side_up():
    level = hills(0)
    level.dem[:] = 12.0
    assert correlations(Answering(0.0), [level]) == {}


@pytest.mark.parametrize("change", [-0.6, 0.3])
def test_shading_and_contrast_stay_under_another_albedo(change):
    """What is beside each other is lit alike, so that its ratio stays, up to one gain and offset for all."""
    random = np.random.default_rng(0)
    shading = random.uniform(0.4, 0.6, (2, 40, 40)).astype(np.float32) * 3.0 - 1.5
    plane = np.repeat(np.float32([[-1.0], [1.0]]), 40, axis=1).repeat(20, axis=0)
    known = np.ones((40, 40), bool)
    changed = with_albedo(shading, plane, known, change)
    assert changed.mean() == pytest.approx(shading.mean(), abs=1e-3)
    assert changed.std() == pytest.approx(shading.std(), rel=1e-3)
    for half, factor in ((slice(0, 20), np.exp(-change)), (slice(20, 40), np.exp(change))):
        fit = np.polyfit(shading[:, half].ravel(), changed[:, half].ravel(), 1)
        np.testing.assert_allclose(np.polyval(fit, shading[:, half]), changed[:, half], atol=1e-4)
        if half.start == 0:
            darker = fit[0] / factor
        else:
            assert fit[0] / factor == pytest.approx(darker, rel=1e-3)


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Runs the command with a model that takes what is red for high, on two held-out pairs."""
    write_networks(tmp_path)
    write_dataset(tmp_path / "data")

    def run(*more: str, **changes: object) -> None:
        model = make_model(tmp_path / "model", tmp_path / "red.onnx", **changes)
        given = ["signs", "--model", str(model), "--data", str(tmp_path / "data"), *more]
        monkeypatch.setattr("sys.argv", given)
        main()

    return run


def test_the_command_tells_each_tile(command, tmp_path: Path, capsys):
    command("--json", str(tmp_path / "tiles.json"))
    found = json.loads((tmp_path / "tiles.json").read_text())
    assert list(found) == ["heights", "shady slopes"]
    (rows,) = found["heights"].values()
    assert len(rows) == 2
    for row in rows.values():
        assert row == sorted(row)
        assert row[0] < 0.0
        assert row[-1] > 0.6
    first, second = capsys.readouterr().out.split("\n\n")
    assert first.splitlines()[-1].startswith("| all | 2 | r -")
    assert first.splitlines()[-1].endswith("2 upright |")
    assert "| shady slopes × 1.82 |" in second


def test_what_the_command_cannot_tell_is_said(command, capsys):
    with pytest.raises(SystemExit):
        command("--sources", "nowhere")
    assert "--sources: there is no tile with relief" in capsys.readouterr().err


def test_a_model_of_images_has_no_heights(command, capsys):
    with pytest.raises(SystemExit):
        command(direction="dem_to_image", inputs=["relief"], outputs=["red", "green", "blue"])
    assert "does not answer with heights" in capsys.readouterr().err
