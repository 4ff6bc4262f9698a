"""Style files beside rasters: what they show, and what they leave."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("qgis.core")

from imagetodem_qgis.styling import write_confidence_style, write_style
from imagetodem_qgis.styling.colours import ELEVATION, STANDARD_DEVIATION
from imagetodem_qgis.styling.renderers import apply_colour_relief, apply_hillshade
from tests.qgis.styled_layers import MULTIPLY, cone, open_layer, render, utm_dem

pytestmark = pytest.mark.usefixtures("qgis_app")


def test_a_dem_opens_with_the_style_beside_it(tmp_path):
    dem = utm_dem(tmp_path / "dem.tif", cone())
    assert write_style(dem) == tmp_path / "dem.qml"
    layer = open_layer(dem, style_file=True)
    assert layer.renderer().type() == "singlebandpseudocolor"
    low, high = np.percentile(cone(), (2, 98))
    assert layer.renderer().classificationMin() == pytest.approx(low, abs=10)
    assert layer.renderer().classificationMax() == pytest.approx(high, abs=10)
    styled = open_layer(dem)
    apply_colour_relief(styled, ELEVATION)
    np.testing.assert_array_equal(
        render([layer], layer.extent(), layer.crs()), render([styled], styled.extent(), styled.crs())
    )


def test_a_named_style_applies_to_a_layer_that_had_another(tmp_path):
    dem = utm_dem(tmp_path / "dem.tif", cone())
    style = write_confidence_style(dem)
    layer = open_layer(dem)
    apply_hillshade(layer)
    message, loaded = layer.loadNamedStyle(str(style))
    assert loaded, message
    colours = [
        item.color.name() for item in layer.renderer().shader().rasterShaderFunction().colorRampItemList()
    ]
    assert (colours[0], colours[-1]) == (STANDARD_DEVIATION[0], STANDARD_DEVIATION[-1])
    assert layer.blendMode() != MULTIPLY


def test_a_style_file_leaves_nothing_else_and_no_path(tmp_path):
    dem = utm_dem(tmp_path / "dem.tif", cone())
    style = write_style(dem)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dem.qml", "dem.tif"]
    assert str(tmp_path) not in style.read_text(encoding="utf-8")


def test_statistics_that_were_there_stay(tmp_path):
    dem = utm_dem(tmp_path / "dem.tif", cone())
    (tmp_path / "dem.tif.aux.xml").write_text("<PAMDataset></PAMDataset>", encoding="utf-8")
    write_style(dem)
    assert (tmp_path / "dem.tif.aux.xml").exists()


def test_a_style_for_no_raster_is_an_error_with_its_path(tmp_path):
    with pytest.raises(OSError, match=r"absent\.tif"):
        write_style(tmp_path / "absent.tif")


def test_a_style_file_is_written_from_any_thread(tmp_path):
    dem = utm_dem(tmp_path / "dem.tif", cone())
    with ThreadPoolExecutor(max_workers=1) as pool:
        style = pool.submit(write_style, dem).result()
    assert style == tmp_path / "dem.qml"
    assert open_layer(dem, style_file=True).renderer().type() == "singlebandpseudocolor"
