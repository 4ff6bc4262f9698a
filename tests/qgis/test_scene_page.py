"""The page of a scene in a headless Chromium, opened from disk as its user opens it."""

from __future__ import annotations

import base64
import json
import re
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("qgis.core")

from osgeo import gdal
from qgis.core import QgsRasterLayer

from tests.browser import Browser, find_browser
from tests.rasters import NODATA, UTM_33N, UTM_TRANSFORM, write_image

NAME = "hills </script> & {scripts}"
ROWS, COLUMNS = 90, 120
QUARTERS = {"upper left": (200, 40, 40), "upper right": (40, 180, 40), "lower left": (50, 60, 220)}
LEFT, RIGHT, UP, SHIFT, CONTROL = "ArrowLeft", "ArrowRight", "ArrowUp", 8, 2


def hills(rows: int = ROWS, columns: int = COLUMNS) -> NDArray[np.float32]:
    """Waves with digits behind the point, 700 m to 1300 m, no two neighbours alike."""
    row, column = np.mgrid[:rows, :columns].astype(float)
    surface = 1000 + 200 * np.sin(row / 11) * np.cos(column / 17) + 60 * np.sin(column / 5)
    return (surface + 0.7137 * column - 0.3911 * row).astype(np.float32)


def quarters() -> NDArray[np.uint8]:
    """A red, a green, a blue and a grey quarter."""
    picture = np.full((ROWS, COLUMNS, 3), 150, np.uint8)
    picture[: ROWS // 2, : COLUMNS // 2] = QUARTERS["upper left"]
    picture[: ROWS // 2, COLUMNS // 2 :] = QUARTERS["upper right"]
    picture[ROWS // 2 :, : COLUMNS // 2] = QUARTERS["lower left"]
    return picture


@pytest.fixture(scope="module")
def scene(qgis_app: object, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NDArray[np.float32]]:
    """A page of hills with a void, an image of four quarters, and a second DEM; and the hills' heights."""
    import processing

    folder = tmp_path_factory.mktemp("scene")
    heights = hills()
    heights[60:70, 80:95] = NODATA
    dem = write_image(folder / "hills.tif", heights[..., None], nodata=NODATA)
    other = write_image(folder / "true.tif", (hills() + 250.5)[..., None])
    image = write_image(folder / "image.tif", quarters())
    page = folder / "scene.html"
    given = {"IMAGE": image, "REFERENCE": other, "EXAGGERATION": 2.0, "OUTPUT": page}
    given = {name: str(value) for name, value in given.items()}
    processing.run("imagetodem:exportscene", {"DEM": QgsRasterLayer(str(dem), NAME), **given})
    heights[heights == NODATA] = np.nan
    return page, heights


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Any:
    program = find_browser()
    if program is None:
        pytest.skip("needs Chromium or Chrome, of which there is none")
    with Browser(program, tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture
def view(browser: Browser, scene: tuple[Path, NDArray[np.float32]]) -> Browser:
    """The page, drawn, with nothing before it."""
    opened(browser, scene[0], width=700)
    browser.evaluate("document.getElementById('fold').click()")
    return browser


def opened(browser: Browser, page: Path, **options: Any) -> Browser:
    browser.open(page, **options)
    assert browser.evaluate("sceneView.then(view => { window.view = view; return 'drawn'; })") == "drawn"
    assert browser.evaluate("document.getElementById('message').textContent") == ""
    return browser


def press(browser: Browser, key: str, modifiers: int = 0) -> None:
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key=key, modifiers=modifiers)
    settle(browser)


def settle(browser: Browser) -> None:
    """Wait until what was asked for is drawn."""
    browser.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def mouse(browser: Browser, kind: str, x: float, y: float, **more: Any) -> None:
    browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)


def read_at(browser: Browser, x: float, y: float) -> str:
    """What the page says with the pointer at a place."""
    mouse(browser, "mouseMoved", x, y)
    return browser.evaluate("document.getElementById('readout').innerText")


def place(browser: Browser, column: int, row: int, surface: int = 0) -> tuple[float, float]:
    x, y = browser.evaluate(f"view.place({column}, {row}, {surface})")
    return x, y


def screen(browser: Browser) -> NDArray[np.uint8]:
    """The screen's pixels, (rows, columns, 3)."""
    content = base64.b64decode(browser.call("Page.captureScreenshot", format="png")["data"])
    return pixels(content)[..., :3]


def pixels(png: bytes) -> NDArray[np.uint8]:
    gdal.FileFromMemBuffer("/vsimem/scene-test.png", png)
    values = gdal.Open("/vsimem/scene-test.png").ReadAsArray()
    gdal.Unlink("/vsimem/scene-test.png")
    return np.moveaxis(values, 0, -1)


def camera(browser: Browser) -> NDArray[np.float64]:
    return np.array(browser.evaluate("view.camera.position.toArray()"))


def test_nothing_leaves_the_page(view: Browser, scene: tuple[Path, NDArray[np.float32]]) -> None:
    for key in ("2", "3", "t", "e", "s", "b"):
        press(view, key)
    leaving = [r for r in view.requests() if not r.startswith(("data:", "blob:"))]
    assert leaving == [scene[0].as_uri()]
    # What the software renderer says of its own speed is nobody's fault.
    assert [c for c in view.complaints() if c["params"].get("entry", {}).get("source") != "rendering"] == []
    assert not re.search(r"(src|href)=\"(?!data:)", scene[0].read_text(encoding="utf-8"))


def test_three_js_comes_with_its_licence(scene: tuple[Path, NDArray[np.float32]]) -> None:
    text = scene[0].read_text(encoding="utf-8")
    assert "three.js authors" in text
    assert "Permission is hereby granted, free of charge" in text


def test_a_name_is_a_name_whatever_it_holds(view: Browser, scene: tuple[Path, NDArray[np.float32]]) -> None:
    text = scene[0].read_text(encoding="utf-8")
    assert text.count("<script") == text.count("</script>")
    assert view.evaluate("document.querySelector('h1').textContent") == NAME
    assert view.evaluate("document.title") == NAME
    assert view.evaluate("document.querySelector('#labels span').textContent") == NAME


@pytest.mark.parametrize("keys", ["b", "bte"], ids=["from the south", "from above"])
def test_the_read_out_is_the_dem_to_a_millimetre(
    view: Browser, scene: tuple[Path, NDArray[np.float32]], keys: str
) -> None:
    for key in keys:
        press(view, key)
    left, wide, _, top, _, high = UTM_TRANSFORM
    read = 0
    for column, row in zip(range(6, 116, 11), (8, 83, 25, 40, 12, 76, 50, 31, 55, 20)):
        said = read_at(view, *place(view, column, row))
        height, _, x, y = (float(n) for n in re.findall(r"-?\d+\.\d+", said))
        # A pixel behind a ridge is not seen: the read-out is right about the one in front of it.
        seen_column, seen_row = round((x - left) / wide - 0.5), round((y - top) / high - 0.5)
        assert abs(height - float(scene[1][seen_row, seen_column])) <= 0.00051
        assert f"column {seen_column}, row {seen_row}" in said
        if "t" in keys:
            assert (seen_column, seen_row) == (column, row)
        read += 1
    assert read == 10


def test_the_reference_is_read_beside_it(view: Browser, scene: tuple[Path, NDArray[np.float32]]) -> None:
    for surface in (0, 1):
        said = read_at(view, *place(view, 40, 60, surface))
        numbers = re.search(r"scripts} ([\d.]+).*true ([\d.]+)", said, re.S)
        assert numbers is not None, said
        row, column = (int(re.search(rf"{name} (\d+)", said)[1]) for name in ("row", "column"))
        own, other = (float(number) for number in numbers.groups())
        assert own == pytest.approx(float(scene[1][row, column]), abs=0.00051)
        assert other == pytest.approx(float(scene[1][row, column]) + 250.5, abs=0.0011)


def test_a_void_is_transparent_and_has_no_height(view: Browser) -> None:
    press(view, "b")
    press(view, "t")
    x, y = place(view, 87, 65)
    assert read_at(view, x, y) == "No height here."
    sky = screen(view)[round(y), round(x)].astype(int)
    assert sky.max() < 80
    assert read_at(view, 20, 450) == "No height here."


def test_the_image_lies_the_right_way_round(view: Browser) -> None:
    press(view, "b")
    press(view, "t")
    seen = screen(view).astype(int)
    for name, column, row in (("upper left", 20, 20), ("upper right", 90, 20), ("lower left", 20, 70)):
        x, y = place(view, column, row)
        colour = seen[round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4].mean(axis=(0, 1))
        assert np.argmax(colour) == np.argmax(QUARTERS[name]), (name, colour)
    left, right = place(view, 5, 40)[0], place(view, 110, 40)[0]
    assert left < right
    assert place(view, 5, 5)[1] < place(view, 5, 80)[1]


def test_the_sun_lights_the_slopes_that_face_it(view: Browser) -> None:
    press(view, "b")
    press(view, "t")
    press(view, "2")
    shades = {}
    for azimuth in (90, 270):
        view.evaluate(f"view.set({{azimuth: {azimuth}}})")
        settle(view)
        seen = screen(view)[..., 0].astype(float)
        shades[azimuth] = [
            seen[round(y), round(x)] for x, y in (place(view, column, 40) for column in range(10, 75))
        ]
    east_is_lit = np.array(shades[90]) - np.array(shades[270])
    rise = np.gradient(hills()[40])[10:75]
    assert np.corrcoef(east_is_lit, -rise)[0, 1] > 0.95


def test_keys_turn_move_and_zoom(view: Browser) -> None:
    press(view, "b")
    before = camera(view)
    press(view, LEFT)
    turned = camera(view)
    assert turned[2] == pytest.approx(before[2])
    assert np.hypot(*turned[:2]) == pytest.approx(np.hypot(*before[:2]))
    assert abs(turned[0] - before[0]) > 10
    press(view, RIGHT)
    assert camera(view) == pytest.approx(before)
    press(view, UP)
    assert camera(view)[2] > before[2]
    press(view, "r")
    before = camera(view)
    press(view, "+")
    assert np.linalg.norm(camera(view)) == pytest.approx(np.linalg.norm(before) / 1.15)
    press(view, "r")
    press(view, RIGHT, SHIFT)
    assert camera(view)[0] > before[0]
    assert camera(view)[1:] == pytest.approx(before[1:])
    press(view, "e")
    assert view.evaluate("view.state.exaggeration") == pytest.approx(2.5)
    assert view.evaluate("document.getElementById('exaggeration-value').value") == "2.5"
    assert view.evaluate("document.getElementById('cross').hidden") is False
    assert "column" in view.evaluate("document.getElementById('readout').innerText")


def test_the_mouse_and_a_finger_turn_it(view: Browser) -> None:
    before = camera(view)
    mouse(view, "mousePressed", 400, 500, button="left", buttons=1, clickCount=1)
    mouse(view, "mouseMoved", 460, 500, button="left", buttons=1)
    mouse(view, "mouseReleased", 460, 500, button="left", clickCount=1)
    settle(view)
    by_mouse = camera(view)
    assert np.abs(by_mouse - before).max() > 10
    view.call("Emulation.setTouchEmulationEnabled", enabled=True)
    for kind, points in (
        ("touchStart", [{"x": 300, "y": 600}]),
        ("touchMove", [{"x": 340, "y": 600}]),
        ("touchMove", [{"x": 380, "y": 600}]),
        ("touchEnd", []),
    ):
        view.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
    settle(view)
    assert np.abs(camera(view) - by_mouse).max() > 10
    assert "column" in view.evaluate("document.getElementById('readout').innerText")
    distance = np.linalg.norm(camera(view))
    for kind, gap in (("touchStart", 60), ("touchMove", 90), ("touchMove", 140), ("touchEnd", 0)):
        points = [{"x": 300 - gap, "y": 600, "id": 0}, {"x": 300 + gap, "y": 600, "id": 1}] if gap else []
        view.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
    settle(view)
    assert np.linalg.norm(camera(view)) < distance
    view.call("Emulation.setTouchEmulationEnabled", enabled=False)


def downloaded(browser: Browser, button: str, suffix: str, folder: Path) -> bytes:
    browser.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    browser.evaluate(f"document.getElementById('{button}').click()")
    end = time.monotonic() + 30
    while not (found := list(folder.glob(f"*{suffix}"))):
        assert time.monotonic() < end, f"no {suffix} in {list(folder.iterdir())}"
        browser.evaluate("new Promise(done => setTimeout(done, 50))")
    return found[0].read_bytes()


def test_a_snapshot_is_what_is_seen(view: Browser, tmp_path: Path) -> None:
    settle(view)
    picture = pixels(downloaded(view, "snapshot", ".png", tmp_path))
    assert picture.shape == (900, 700, 4)
    drawn = picture[..., 3] == 255
    assert 0.15 < drawn.mean() < 0.9
    free = np.s_[100:800, :600]
    difference = np.abs(picture[free][..., :3].astype(int) - screen(view)[free])
    assert difference[drawn[free]].mean() < 2


def test_the_gltf_holds_the_surface_in_metres(
    view: Browser, scene: tuple[Path, NDArray[np.float32]], tmp_path: Path
) -> None:
    content = downloaded(view, "gltf", ".glb", tmp_path)
    magic, version, length, size, kind = struct.unpack_from("<4sIIII", content)
    assert (magic, version, length, kind) == (b"glTF", 2, len(content), 0x4E4F534A)
    gltf = json.loads(content[20 : 20 + size])
    binary = content[28 + size :]
    parts = [
        binary[part["byteOffset"] : part["byteOffset"] + part["byteLength"]] for part in gltf["bufferViews"]
    ]
    x, y, z = np.frombuffer(parts[0], "<f4").reshape(-1, 3).T.astype(float)
    normals = np.frombuffer(parts[1], "<f4").reshape(-1, 3)
    triangles = np.frombuffer(parts[3], "<u4").reshape(-1, 3)
    position = gltf["accessors"][0]
    assert position["count"] == len(x)
    assert position["min"] == pytest.approx([x.min(), y.min(), z.min()])
    assert position["max"] == pytest.approx([x.max(), y.max(), z.max()])
    assert gltf["nodes"][0]["scale"] == [1, 2, 1]
    column, row = (
        np.rint(x / 30 + (COLUMNS - 1) / 2).astype(int),
        np.rint(z / 30 + (ROWS - 1) / 2).astype(int),
    )
    known = np.isfinite(scene[1][row, column])
    base = gltf["nodes"][0]["extras"]["heightOfOrigin"]
    np.testing.assert_allclose(y[known] + base, scene[1][row, column][known], atol=0.002)
    assert np.linalg.norm(normals, axis=1) == pytest.approx(np.ones(len(x)), abs=1e-5)
    corners = np.stack([x, y, z], axis=1)[triangles]
    upwards = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 1]
    assert (upwards > 0).all()
    skin = pixels(parts[4])
    assert skin.shape == (ROWS, COLUMNS, 4)
    assert skin[20, 20, :3] == pytest.approx(QUARTERS["upper left"], abs=12)
    assert skin[20, 90, :3] == pytest.approx(QUARTERS["upper right"], abs=12)
    assert skin[65, 87, 3] == 0
    assert gltf["materials"][0]["alphaMode"] == "MASK"


def test_it_fits_a_phone(browser: Browser, scene: tuple[Path, NDArray[np.float32]]) -> None:
    opened(browser, scene[0], width=390)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 390
    assert browser.evaluate("document.getElementById('settings').checkVisibility()") is False
    panes = browser.evaluate("view.panes()")
    assert [pane["width"] for pane in panes] == [390, 390]
    assert panes[1]["top"] == pytest.approx(450)


def test_a_browser_that_cannot_draw_says_so(
    browser: Browser, scene: tuple[Path, NDArray[np.float32]]
) -> None:
    script = "HTMLCanvasElement.prototype.getContext = () => null"
    added = browser.call("Page.addScriptToEvaluateOnNewDocument", source=script)["identifier"]
    browser.open(scene[0])
    assert browser.evaluate("sceneView.then(() => 'drawn', () => 'not drawn')") == "not drawn"
    assert "WebGL 2" in browser.evaluate("document.getElementById('message').textContent")
    browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=added)


def test_a_page_without_image_and_reference(browser: Browser, qgis_app: object, tmp_path: Path) -> None:
    import processing

    dem = write_image(tmp_path / "dem.tif", hills()[..., None], crs=UTM_33N)
    page = tmp_path / "scene.html"
    processing.run("imagetodem:exportscene", {"DEM": str(dem), "OUTPUT": str(page)})
    opened(browser, page)
    assert browser.evaluate("view.state.mode") == "elevation"
    hidden = "document.querySelector('[data-mode=image]').hidden && document.getElementById('both').hidden"
    assert browser.evaluate(hidden) is True
    press(browser, "1")
    press(browser, "b")
    assert browser.evaluate("view.state.mode") == "elevation"
    assert browser.evaluate("view.panes().length") == 1
    press(browser, "t")
    browser.evaluate("document.getElementById('fold').click()")
    seen = screen(browser).astype(int)
    (low_x, low_y), (high_x, high_y) = (
        place(browser, *np.unravel_index(pick(hills()), hills().shape)[::-1])
        for pick in (np.argmin, np.argmax)
    )
    low, high = seen[round(low_y), round(low_x)], seen[round(high_y), round(high_x)]
    assert high.sum() > low.sum() + 100
