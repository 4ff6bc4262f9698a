from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from training.report.curves import Chart, chart_svg, charts_of
from training.report.pictures import MOST_TILES, TilePictures
from training.report.relief import exaggeration_for, hillshade, shaded_relief

SIDE = 48
KNOWN = np.ones((SIDE, SIDE), bool)


def plane(down: float, right: float) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return down * rows + right * columns


@pytest.mark.parametrize(("down", "right"), [(0.5, 0.5), (-0.3, 0.2), (0.0, 0.0), (1.0, -2.0)])
def test_a_plane_is_shaded_by_lamberts_cosine(down, right):
    # Normal and light as vectors: x to the right, y upwards in the picture, z to the viewer.
    normal = np.array([-2.0 * right, 2.0 * down, 1.0])
    light = np.array([-0.5, 0.5, math.sqrt(0.5)])
    expected = max(0.0, normal @ light / np.linalg.norm(normal))
    np.testing.assert_allclose(hillshade(plane(down, right), 2.0), expected, atol=1e-12)


def test_ground_that_faces_the_upper_left_is_bright():
    assert hillshade(plane(0.5, 0.5), 1.0).mean() > hillshade(plane(0.0, 0.0), 1.0).mean()
    assert hillshade(plane(-0.5, -0.5), 1.0).mean() < hillshade(plane(0.0, 0.0), 1.0).mean()


def test_any_unit_of_height_is_shaded_alike():
    heights = np.random.default_rng(2).normal(size=(SIDE, SIDE)).cumsum(axis=0)
    factors = [exaggeration_for(heights * unit, KNOWN) * unit for unit in (1.0, 1e-3, 250.0)]
    np.testing.assert_allclose(factors, factors[0], rtol=1e-9)
    assert exaggeration_for(np.zeros((SIDE, SIDE)), KNOWN) == 1.0
    assert exaggeration_for(heights, np.zeros((SIDE, SIDE), bool)) == 1.0


def test_low_ground_is_green_high_ground_white_unknown_grey():
    heights = plane(0.0, 1e-9)
    heights[:, SIDE // 2 :] += 100.0
    known = KNOWN.copy()
    known[0] = False
    picture = shaded_relief(heights, known, (0.0, 100.0), 0.0)
    assert tuple(picture[10, 2]) == (0x5D, 0x8F, 0x78)
    assert tuple(picture[10, -2]) == (0xFC, 0xFA, 0xF7)
    assert len({tuple(pixel) for pixel in picture[0]}) == 1
    assert np.ptp(picture[0, 0]) < 15


def hills(count: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    heights = random.normal(size=(count, SIDE, SIDE)).cumsum(axis=1).cumsum(axis=2)
    return random.uniform(-1, 1, (count, SIDE, SIDE, 3)), heights, np.ones(heights.shape, bool)


def panels(path, row: int) -> list[np.ndarray]:
    """The three panels of a row, their borders left out."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"), int)
    top = 34 + row * 232
    return [pixels[top + 4 : top + 204, 8 + 216 * c + 4 : 8 + 216 * c + 204] for c in range(3)]


def test_a_shifted_truth_is_drawn_as_the_truth(tmp_path):
    images, heights, known = hills(2)
    path = TilePictures(tmp_path).add(3, images, heights + 77.0, heights, known)
    assert path == tmp_path / "epoch_0003.png"
    for row in range(2):
        image, predicted, truth = panels(path, row)
        np.testing.assert_array_equal(predicted, truth)
        assert np.abs(image - truth).mean() > 20


def test_too_little_relief_looks_flat(tmp_path):
    images, heights, known = hills(1)
    path = TilePictures(tmp_path).add(1, images, heights * 0.1, heights, known)
    _, predicted, truth = panels(path, 0)
    assert predicted.std() < 0.7 * truth.std()


def test_no_more_tiles_than_fit_and_unknown_ones_are_grey(tmp_path):
    images, heights, known = hills(MOST_TILES + 3)
    known[1] = False
    path = TilePictures(tmp_path).add(1, images, heights, heights, known)
    with Image.open(path) as picture:
        assert picture.size == (656, 34 + MOST_TILES * 232 + 8)
    _, predicted, truth = panels(path, 1)
    assert np.ptp(predicted.reshape(-1, 3), axis=0).max() == 0
    np.testing.assert_array_equal(predicted, truth)


def test_images_from_heights_are_drawn_in_their_own_colours(tmp_path):
    images, heights, known = hills(1)
    flat = np.broadcast_to([1.0, -1.0, 0.0], images.shape)
    path = TilePictures(tmp_path, "dem_to_image").add(1, heights, flat, images, known)
    relief, predicted, truth = panels(path, 0)
    assert {tuple(pixel) for pixel in predicted.reshape(-1, 3)} == {(255, 0, 128)}
    assert relief.std() > 5
    assert truth.std() > 5


def test_the_animation_has_a_frame_an_epoch_and_ends_slowly(tmp_path):
    images, heights, known = hills(1)
    pictures = TilePictures(tmp_path)
    assert pictures.animation() is None
    assert pictures.nearest(4) is None
    for epoch in (10, 2, 30):
        pictures.add(epoch, images, heights / epoch, heights, known)
    # A run that goes on finds the pictures that it has made before.
    again = TilePictures(tmp_path)
    assert [path.name for path in again.paths()] == ["epoch_0002.png", "epoch_0010.png", "epoch_0030.png"]
    assert again.nearest(14).name == "epoch_0010.png"
    with Image.open(again.animation()) as animation:
        assert animation.n_frames == 3
        times = []
        for frame in range(3):
            animation.seek(frame)
            animation.load()
            times.append(animation.info["duration"])
    assert times[0] == times[1] < times[2]


def test_a_long_animation_keeps_its_first_and_last_frame(tmp_path, monkeypatch):
    monkeypatch.setattr("training.report.pictures._MOST_FRAMES", 4)
    images, heights, known = hills(1)
    pictures = TilePictures(tmp_path)
    for epoch in range(1, 12):
        pictures.add(epoch, images, heights / epoch, heights, known)
    with Image.open(pictures.animation()) as animation:
        assert animation.n_frames == 4
        first = np.asarray(animation.convert("RGB"), int)
        animation.seek(3)
        last = np.asarray(animation.convert("RGB"), int)
    for frame, number in ((first, 1), (last, 11)):
        with Image.open(tmp_path / f"epoch_{number:04d}.png") as picture:
            assert np.abs(frame - np.asarray(picture.convert("RGB"), int)).mean() < 6


def test_a_loss_and_its_validation_share_a_chart():
    history = [
        {
            "epoch": 1,
            "step": 9,
            "seconds": 1.0,
            "stage": "a",
            "adversarial": 0.7,
            "loss": 3.0,
            "batch_size": 8,
        },
        {
            "epoch": 2,
            "stage": "a",
            "loss": 2.0,
            "validation_loss": 2.5,
            "validation_rmse": 90.0,
            "l1": float("nan"),
        },
    ]
    assert charts_of(history) == [
        Chart("loss", ((1.0, 3.0), (2.0, 2.0)), ((2.0, 2.5),)),
        Chart("rmse", (), ((2.0, 90.0),)),
        Chart("adversarial", ((1.0, 0.7),), ()),
    ]
    assert charts_of(history)[1].title == "RMSE, m"


def svg(chart: Chart, best: int | None = None) -> ElementTree.Element:
    return ElementTree.fromstring(chart_svg(chart, best))  # noqa: S314 (made here)


def of_class(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [part for part in element if name in (part.get("class") or "").split()]


def points(path: str) -> np.ndarray:
    return np.array([part.split() for part in path[1:].split("L")], float)


def test_a_curve_lies_where_its_axes_say():
    values = (0.0, 30.0, 20.0, 100.0)
    element = svg(Chart("loss", tuple((float(i + 1), v) for i, v in enumerate(values)), ()), best=3)
    drawn = points(of_class(element, "training")[0].get("d"))
    labels = [part for part in element if part.tag == "text"]
    left = [part for part in labels if part.get("x") == "50"]
    upward = {float(part.text): float(part.get("y")) - 4 for part in left}
    assert {0.0, 100.0} <= set(upward)
    low, high = upward[0.0], upward[100.0]
    np.testing.assert_allclose(drawn[:, 1], [low + v / 100 * (high - low) for v in values], atol=0.11)
    assert np.ptp(np.diff(drawn[:, 0])) < 0.11
    best = of_class(element, "best")[0].get("d")
    assert best.startswith(f"M{drawn[2, 0]:.1f} ")
    assert "best: epoch 3" in [part.text for part in labels]


def test_a_curve_breaks_where_a_stage_begins():
    history = [{"epoch": n, "stage": "ab"[n > 3], "loss": float(n % 3)} for n in range(1, 8)]
    (chart,) = charts_of(history)
    assert chart.stages == (4.0,)
    element = svg(chart)
    pieces = [points(part.get("d")) for part in of_class(element, "training")]
    assert [len(piece) for piece in pieces] == [3, 4]
    (line,) = [part.get("d") for part in of_class(element, "axis") if "V194" in part.get("d")]
    assert pieces[0][-1, 0] < float(line[1:].split()[0]) < pieces[1][0, 0]


def test_ticks_of_nearly_equal_values_can_be_told_apart():
    element = svg(Chart("rmse_by_sigma", (), ((1.0, 0.98581), (2.0, 0.98583))))
    labels = [part.text for part in element if part.tag == "text" and part.get("x") == "50"]
    assert len(labels) >= 3
    assert len(set(labels)) == len(labels)


def test_values_over_decades_get_a_logarithmic_axis():
    values = (1000.0, 100.0, 10.0, 1.0)
    element = svg(Chart("l1", tuple((float(i), v) for i, v in enumerate(values)), ()))
    drawn = points(of_class(element, "training")[0].get("d"))
    assert np.ptp(np.diff(drawn[:, 1])) < 0.11


@given(
    st.lists(
        st.floats(-1e9, 1e9, allow_subnormal=False).filter(lambda value: value == 0 or abs(value) > 1e-9),
        min_size=1,
        max_size=30,
    ),
    st.integers(0, 40),
)
def test_any_history_is_drawn_within_the_picture(values, best):
    element = svg(Chart("loss", tuple((float(i + 1), v) for i, v in enumerate(values)), ()), best)
    curve = of_class(element, "training")[0]
    if curve.tag == "circle":
        drawn = np.array([[float(curve.get("cx")), float(curve.get("cy"))]])
    else:
        drawn = points(curve.get("d"))
    assert len(drawn) == len(values)
    assert ((drawn >= [56 - 0.1, 12 - 0.1]) & (drawn <= [350.1, 194.1])).all()
    assert len(of_class(element, "grid")) <= 12
    epochs = (0, 1, 2) if len(values) == 1 else range(1, len(values) + 1)
    assert len([part for part in of_class(element, "best") if part.get("d")]) == (best in epochs)
