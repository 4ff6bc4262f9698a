"""How good a model is on held-out pairs, beside what needs no network:
``python -m training.evaluate --model FOLDER --data DATA --split test``.

Each tile is compared three ways: as it comes with the mean error taken out (heights have no zero of their
own), after the best shift and scale, and by its slope. The same is done for the truth's own mean, the plane
that fits the truth best, and the image's luminance fitted to the truth: three answers that a generator must
beat.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from imagetodem_qgis.core.alignment import best_plane, fit_shift, fit_shift_and_scale
from imagetodem_qgis.core.card import CARD_FILE, ONNX_FILE, ModelCard, parse_card
from imagetodem_qgis.core.metrics import accuracy
from imagetodem_qgis.core.stretch import percentile_stretch
from training.data.bluemarble import read_bluemarble
from training.data.pair import Pair
from training.data.sampling import network_input
from training.data.scenes import SCENES, read_scene

_LEAST_SIGMA = 5.0
"""Metres of a tile's own standard deviation below which ratios to it say nothing."""
_LEAST_KNOWN = 0.5


@dataclass(frozen=True)
class Tile:
    """A held-out tile: its name, image (rows, columns, 3) and DEM in metres, NaN where unknown, and metres a
    pixel."""

    name: str
    image: NDArray[np.generic]
    dem: NDArray[np.float32]
    valid: NDArray[np.bool_]
    gsd: float


def held_out_tiles(data: Path, split: str, size: int) -> Iterator[Tile]:
    """Tiles of a split: Blue Marble's as they are, and those that fit side by side into the scenes."""
    for pair in read_bluemarble(data / "bluemarble", split):
        yield Tile(f"bluemarble/{pair.name}", pair.image, pair.dem, pair.valid, pair.gsd)
    for scene in SCENES:
        if scene.split == split:
            yield from _tiles_of(read_scene(data / "scenes", scene), size)


def predict(card: ModelCard, session: onnxruntime.InferenceSession, tile: Tile) -> NDArray[np.float32]:
    """A tile's heights around 0 and their standard deviation, both in metres, (rows, columns, 2) float32."""
    recipe = card.stretch
    samples = tile.image[tile.valid].reshape(-1, 3)
    stretch = percentile_stretch(samples, recipe.lower, recipe.upper, recipe.clip, recipe.together)
    planes = network_input(tile.image, stretch, tile.gsd)
    planes[~tile.valid, :3] = 0.0
    answer = session.run(None, {session.get_inputs()[0].name: planes[None]})[0][0]
    heights = answer[..., 0] - answer[..., 0].mean(where=tile.valid)
    deviation = np.exp(answer[..., 1]) * np.sqrt(2.0) * card.spread_factor
    return np.stack([heights, deviation], axis=-1).astype(np.float32) * np.float32(tile.gsd)


def compare(surface: NDArray[Any], tile: Tile) -> dict[str, float]:
    """One answer's figures on one tile: RMSE and RMSE/σ after a shift and after a shift and scale, slope,
    correlation."""
    shifted = accuracy(fit_shift(surface, tile.dem).apply(surface), tile.dem, (tile.gsd, tile.gsd))
    line = fit_shift_and_scale(surface, tile.dem)
    scaled = accuracy(line.apply(surface), tile.dem, (tile.gsd, tile.gsd))
    correlation = 0.0 if np.isnan(shifted.correlation) else shifted.correlation
    return {
        "rmse_shift_m": shifted.rmse,
        "rmse_by_sigma_shift": shifted.rmse_by_sigma,
        "mae_shift_m": shifted.mae,
        "nmad_shift_m": shifted.nmad,
        "le90_shift_m": shifted.le90,
        "slope_rmse_deg": shifted.slope_rmse,
        "rmse_shift_scale_m": scaled.rmse,
        "rmse_by_sigma_shift_scale": scaled.rmse_by_sigma,
        "correlation": correlation,
    }


def evaluate(model: Path, data: Path, split: str) -> dict[str, Any]:
    """Medians over the tiles of each source, for the model and for each baseline.

    Returns:
        By source (``bluemarble`` or a scene), then by answer, the figures of :func:`compare`, with the number
        of tiles and, for the model, how much of the error lies within one and two predicted standard
        deviations.
    """
    card = parse_card((model / CARD_FILE).read_text())
    session = onnxruntime.InferenceSession(str(model / ONNX_FILE))
    rows: dict[str, dict[str, list[dict[str, float]]]] = {}
    for tile in held_out_tiles(data, split, card.tile_size):
        if np.nanstd(tile.dem) < _LEAST_SIGMA:
            continue
        answer = predict(card, session, tile)
        luminance = np.where(tile.valid, tile.image.astype(np.float64).mean(axis=-1), np.nan)
        answers = {
            "model": np.where(tile.valid, answer[..., 0], np.nan),
            "flat mean": np.where(tile.valid, 0.0, np.nan),
            "best plane": best_plane(tile.dem),
            "luminance": fit_shift_and_scale(luminance, tile.dem).apply(luminance),
        }
        source = rows.setdefault(tile.name.split("/")[0], {})
        for name, surface in answers.items():
            source.setdefault(name, []).append(compare(surface, tile))
        source["model"][-1].update(_coverage(answers["model"], answer[..., 1], tile.dem))
    return {
        source: {name: _medians(figures) for name, figures in answers.items()}
        for source, answers in rows.items()
    }


def calibration(model: Path, data: Path) -> float:
    """The factor by which the predicted spread must be multiplied so that 68.3 % of the validation split's
    errors, after a shift of each tile, lie within one standard deviation."""
    card = parse_card((model / CARD_FILE).read_text())
    session = onnxruntime.InferenceSession(str(model / ONNX_FILE))
    ratios = []
    for tile in held_out_tiles(data, "validation", card.tile_size):
        answer = predict(card, session, tile)
        error = fit_shift(answer[..., 0], tile.dem).apply(answer[..., 0]) - tile.dem
        ratio = np.abs(error) / answer[..., 1]
        ratios.append(ratio[np.isfinite(ratio)][::97])
    return float(np.percentile(np.concatenate(ratios), 68.27)) * card.spread_factor


def markdown(figures: dict[str, Any]) -> str:
    """The figures as a table."""
    lines = [
        "| held-out | answer | tiles | RMSE, shift (m) | RMSE/σ, shift | RMSE/σ, shift + scale | "
        "slope RMSE (°) | r |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for source, answers in figures.items():
        for name, row in answers.items():
            cells = [
                source,
                name,
                str(row["tiles"]),
                f"{row['rmse_shift_m']:.1f}",
                f"{row['rmse_by_sigma_shift']:.3f}",
                f"{row['rmse_by_sigma_shift_scale']:.3f}",
                f"{row['slope_rmse_deg']:.2f}",
                f"{row['correlation']:.2f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _tiles_of(pair: Pair, size: int) -> Iterator[Tile]:
    for row in range(0, pair.dem.shape[0] - size + 1, size):
        for column in range(0, pair.dem.shape[1] - size + 1, size):
            window = (slice(row, row + size), slice(column, column + size))
            valid = pair.valid[window]
            if valid.mean() >= _LEAST_KNOWN:
                dem = np.where(valid, pair.dem[window], np.nan).astype(np.float32)
                yield Tile(f"{pair.name}/{row}_{column}", pair.image[window], dem, valid, pair.gsd)


def _coverage(heights: NDArray[Any], deviation: NDArray[Any], dem: NDArray[Any]) -> dict[str, float]:
    error = np.abs(fit_shift(heights, dem).apply(heights) - dem)
    known = np.isfinite(error)
    return {f"within_{n}_sigma": float((error[known] <= n * deviation[known]).mean()) for n in (1, 2)}


def _medians(figures: list[dict[str, float]]) -> dict[str, float]:
    medians: dict[str, float] = {"tiles": len(figures)}
    for key in figures[0]:
        # A share of pixels is averaged: its median over tiles would hide the tiles where it fails.
        summary = np.mean if key.startswith("within") else np.median
        medians[key] = round(float(summary([row[key] for row in figures])), 4)
    return medians


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a model's folder")
    parser.add_argument("--data", type=Path, required=True, help="folder with bluemarble/ and scenes/")
    parser.add_argument("--split", default="validation", choices=("validation", "test"))
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    figures = evaluate(options.model, options.data, options.split)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    print(markdown(figures))


if __name__ == "__main__":
    main()
