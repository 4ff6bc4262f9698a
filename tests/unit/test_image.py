from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

gdal = pytest.importorskip("osgeo.gdal", reason="needs GDAL")

from imagetodem_qgis.core.tiling import Window  # noqa: E402
from imagetodem_qgis.raster.image import Image, RasterError  # noqa: E402


def write(
    path: Path,
    values: np.ndarray,
    nodata: float | None = None,
    colours: tuple[int, ...] = (),
    options: tuple[str, ...] = (),
    kind: int | None = None,
) -> str:
    """A GeoTIFF of bands (band, row, column)."""
    kinds = {"uint8": gdal.GDT_Byte, "uint16": gdal.GDT_UInt16, "int16": gdal.GDT_Int16}
    kind = kind or kinds.get(values.dtype.name, gdal.GDT_Float32)
    count, rows, columns = values.shape
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), columns, rows, count, kind, list(options))
    dataset.SetGeoTransform((500000.0, 10.0, 0.0, 5000000.0, 0.0, -10.0))
    for number in range(count):
        band = dataset.GetRasterBand(number + 1)
        band.WriteArray(values[number])
        if colours:
            band.SetColorInterpretation(colours[number])
        if nodata is not None:
            band.SetNoDataValue(nodata)
    return str(path)


def noise(bands: int, rows: int, columns: int, dtype: type = np.uint8, least: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(least, 250, (bands, rows, columns)).astype(dtype)


def read_all(image: Image) -> tuple[np.ndarray, np.ndarray]:
    return image.read(image.grid.window())


RED, GREEN, BLUE = gdal.GCI_RedBand, gdal.GCI_GreenBand, gdal.GCI_BlueBand
GREY, ALPHA, UNDEFINED = gdal.GCI_GrayIndex, gdal.GCI_AlphaBand, gdal.GCI_Undefined


@pytest.mark.parametrize(
    ("colours", "bands"),
    [
        ((RED, GREEN, BLUE), (1, 2, 3)),
        ((BLUE, GREEN, RED, UNDEFINED), (3, 2, 1)),
        ((UNDEFINED, BLUE, RED, GREEN), (3, 4, 2)),
        ((GREY, UNDEFINED, UNDEFINED, UNDEFINED), (1, 2, 3)),
        ((UNDEFINED, UNDEFINED, RED, GREEN), (1, 2, 3)),
    ],
)
def test_bands_are_found_by_their_colours_else_the_first_three(tmp_path, colours, bands):
    values = noise(len(colours), 4, 5)
    image = Image(write(tmp_path / "a.tif", values, colours=colours, options=("PHOTOMETRIC=MINISBLACK",)))
    assert image.bands == bands
    np.testing.assert_array_equal(read_all(image)[0], np.moveaxis(values[np.subtract(bands, 1)], 0, -1))


def test_bands_that_are_named_are_taken_as_named(tmp_path):
    values = noise(4, 4, 5)
    image = Image(write(tmp_path / "a.tif", values), (4, 2, 2))
    np.testing.assert_array_equal(read_all(image)[0], np.moveaxis(values[[3, 1, 1]], 0, -1))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_a_window_holds_the_pixels_of_its_place_in_the_rasters_dtype(tmp_path, dtype):
    values = noise(3, 20, 30, dtype)
    pixels = Image(write(tmp_path / "a.tif", values)).read(Window(3, 7, 5, 11))
    assert pixels.values.dtype == dtype
    np.testing.assert_array_equal(pixels.values, np.moveaxis(values[:, 3:8, 7:18], 0, -1))
    assert pixels.valid.shape == (5, 11)
    assert pixels.valid.all()


def test_a_nodata_value_is_unknown_in_whichever_band_it_stands(tmp_path):
    values = noise(3, 6, 6, np.int16)
    values[0, 1, 1] = values[2, 3, 4] = -999
    valid = read_all(Image(write(tmp_path / "a.tif", values, nodata=-999)))[1]
    expected = np.ones((6, 6), bool)
    expected[1, 1] = expected[3, 4] = False
    np.testing.assert_array_equal(valid, expected)


@pytest.mark.parametrize(
    ("dtype", "nodata"), [(np.uint8, 0), (np.uint8, 255), (np.uint16, 0), (np.uint16, 65535)]
)
def test_a_nodata_value_that_is_a_brightness_too_must_stand_in_all_bands(tmp_path, dtype, nodata):
    values = noise(3, 6, 6, dtype)
    values[:, 2, 2] = nodata
    values[1, 4, 4] = nodata
    valid = read_all(Image(write(tmp_path / "a.tif", values, nodata=nodata)))[1]
    expected = np.ones((6, 6), bool)
    expected[2, 2] = False
    np.testing.assert_array_equal(valid, expected)


def test_a_nodata_of_zero_in_floating_point_is_unknown_in_any_band(tmp_path):
    values = noise(3, 6, 6, np.float32)
    values[1, 4, 4] = 0.0
    valid = read_all(Image(write(tmp_path / "a.tif", values, nodata=0)))[1]
    assert not valid[4, 4]
    assert valid.sum() == 35


def test_what_is_no_number_is_unknown(tmp_path):
    values = noise(3, 6, 6, np.float32)
    values[0, 0, 1], values[1, 2, 3], values[2, 5, 5] = np.nan, np.inf, -np.inf
    path = write(tmp_path / "a.tif", values)
    image = Image(path)
    expected = np.ones((6, 6), bool)
    expected[0, 1] = expected[2, 3] = expected[5, 5] = False
    np.testing.assert_array_equal(read_all(image)[1], expected)
    reader = image.reader(image.grid.window(), 6, 6)
    np.testing.assert_array_equal(reader.read_valid(Window(0, 0, 6, 6)), expected)
    with_nan = write(tmp_path / "b.tif", values, nodata=float("nan"))
    np.testing.assert_array_equal(read_all(Image(with_nan))[1], expected)


def test_transparent_pixels_are_unknown(tmp_path):
    values = noise(4, 6, 6)
    values[3] = 255
    values[3, :2, 3:] = 0
    values[3, 5, 5] = 1
    image = Image(write(tmp_path / "a.tif", values, colours=(RED, GREEN, BLUE, ALPHA)))
    assert image.bands == (1, 2, 3)
    np.testing.assert_array_equal(read_all(image)[1], values[3] > 0)


def test_a_mask_band_is_heeded(tmp_path):
    path = write(tmp_path / "a.tif", noise(3, 6, 6))
    dataset = gdal.Open(path, gdal.GA_Update)
    dataset.CreateMaskBand(gdal.GMF_PER_DATASET)
    mask = np.full((6, 6), 255, np.uint8)
    mask[4:, :3] = 0
    dataset.GetRasterBand(1).GetMaskBand().WriteArray(mask)
    dataset = None
    image = Image(path)
    np.testing.assert_array_equal(read_all(image)[1], mask > 0)
    reader = image.reader(Window(2, 0, 4, 6), 2, 3)
    assert not reader.read(Window(0, 0, 2, 3)).valid[1, 0]
    assert reader.read(Window(0, 0, 2, 3)).valid[0].all()


def test_a_reader_of_the_same_size_reads_the_window(tmp_path):
    values = noise(3, 20, 30)
    image = Image(write(tmp_path / "a.tif", values))
    reader = image.reader(Window(4, 6, 10, 20), 10, 20)
    pixels = reader.read(Window(1, 2, 3, 4))
    np.testing.assert_array_equal(pixels.values, np.moveaxis(values[:, 5:8, 8:12], 0, -1))


def test_fewer_pixels_are_averages_of_blocks(tmp_path):
    values = noise(3, 24, 36, np.float32)
    image = Image(write(tmp_path / "a.tif", values))
    reader = image.reader(Window(4, 6, 18, 30), 6, 10)
    expected = values[:, 4:22, 6:36].reshape(3, 6, 3, 10, 3).mean(axis=(2, 4))
    whole = reader.read(Window(0, 0, 6, 10))
    np.testing.assert_allclose(np.moveaxis(whole.values, -1, 0), expected, rtol=1e-5)
    assert whole.valid.all()
    part = reader.read(Window(2, 3, 2, 5))
    np.testing.assert_array_equal(part.values, whole.values[2:4, 3:8])


def test_averages_leave_out_unknown_pixels(tmp_path):
    values = noise(3, 8, 8, np.float32)
    values[:, 0, 1] = -9.0
    values[:, 4:8, 4:8] = -9.0
    image = Image(write(tmp_path / "a.tif", values, nodata=-9.0))
    pixels = image.reader(image.grid.window(), 4, 4).read(Window(0, 0, 4, 4))
    known = values[:, [0, 1, 1], [0, 0, 1]]
    np.testing.assert_allclose(pixels.values[0, 0], known.mean(axis=1), rtol=1e-5)
    assert not pixels.valid[2:, 2:].any()
    assert pixels.valid[:2].all()


def test_more_pixels_are_gdals_cubic_convolution(tmp_path):
    path = write(tmp_path / "a.tif", noise(3, 12, 15, np.float32))
    image = Image(path, (3, 1, 2))
    window = Window(2, 3, 8, 10)
    pixels = image.reader(window, 20, 25).read(Window(0, 0, 20, 25))
    expected = gdal.Translate(
        "", path, format="MEM", srcWin=[3, 2, 10, 8], width=25, height=20, resampleAlg="cubic"
    ).ReadAsArray()
    np.testing.assert_allclose(np.moveaxis(pixels.values, -1, 0), expected[[2, 0, 1]], rtol=1e-5)
    assert pixels.valid.all()


def test_the_grid_is_the_files_and_a_file_without_a_place_goes_down_from_zero(tmp_path):
    grid = Image(write(tmp_path / "a.tif", noise(3, 4, 7))).grid
    assert (grid.rows, grid.columns) == (4, 7)
    assert grid.geotransform == (500000.0, 10.0, 0.0, 5000000.0, 0.0, -10.0)
    dataset = gdal.GetDriverByName("GTiff").Create(str(tmp_path / "b.tif"), 7, 4, 3)
    dataset = None  # noqa: F841
    grid = Image(str(tmp_path / "b.tif")).grid
    assert grid.geotransform == (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
    assert grid.crs == ""


def test_a_small_images_sample_is_all_of_its_known_pixels(tmp_path):
    values = noise(3, 30, 40, np.int16)
    values[:, :10] = -1
    samples = Image(write(tmp_path / "a.tif", values, nodata=-1)).sample()
    np.testing.assert_array_equal(samples, values[:, 10:].reshape(3, -1).T)


@pytest.mark.parametrize(("rows", "columns"), [(1600, 1700), (60, 40_000), (40_000, 60)])
def test_a_large_images_sample_is_like_the_whole(tmp_path, rows, columns):
    random = np.random.default_rng(1)
    down, across = np.linspace(0, 1, rows)[:, None], np.linspace(0, 1, columns)[None]
    values = np.stack(
        [
            8000 * down + 0 * across,
            8000 * across + 0 * down,
            4000 * (down + across) + random.normal(0, 300, (rows, columns)),
        ]
    )
    values = (values + 2000).astype(np.uint16)
    values[:, : rows // 4, : columns // 2] = 0
    image = Image(write(tmp_path / "a.tif", values, nodata=0, options=("TILED=YES",)))
    samples = image.sample()
    assert samples.min() > 0
    assert 200_000 < len(samples) < 2_500_000
    whole = values.reshape(3, -1)[:, values[0].ravel() > 0].T
    for percentile in (2, 25, 50, 75, 98):
        difference = np.percentile(samples, percentile, axis=0) - np.percentile(whole, percentile, axis=0)
        assert np.abs(difference).max() < 0.015 * np.ptp(whole)


def test_a_truncated_file_is_told_when_it_is_read(tmp_path):
    path = tmp_path / "a.tif"
    write(path, noise(3, 400, 400), options=("TILED=YES", "COMPRESS=DEFLATE"))
    Image(str(path)).probe()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(RasterError, match="truncated or damaged|cannot be opened"):
        Image(str(path)).probe()


def test_a_file_cut_off_in_its_pixels_is_told_by_the_probe(tmp_path):
    path = tmp_path / "a.tif"
    write(path, noise(3, 400, 400))
    content = path.read_bytes()
    # The directory of an uncompressed file comes first, so it still opens.
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(RasterError, match="pixels cannot be read.*truncated or damaged"):
        Image(str(path)).probe()


def test_missing_files_and_files_that_are_no_rasters_are_refused(tmp_path):
    with pytest.raises(RasterError, match=r"nowhere\.tif cannot be opened as a raster, it does not exist"):
        Image(str(tmp_path / "nowhere.tif"))
    (tmp_path / "notes.tif").write_text("notes")
    with pytest.raises(RasterError, match=r"notes\.tif cannot be opened as a raster \("):
        Image(str(tmp_path / "notes.tif"))


def test_an_image_of_numbers_of_colours_is_refused(tmp_path):
    dataset = gdal.GetDriverByName("GTiff").Create(str(tmp_path / "a.tif"), 4, 4, 1)
    table = gdal.ColorTable()
    table.SetColorEntry(1, (255, 0, 0, 255))
    dataset.GetRasterBand(1).SetColorTable(table)
    dataset = None
    with pytest.raises(RasterError, match=r"is paletted.*gdal:pcttorgb"):
        Image(str(tmp_path / "a.tif"))


def test_complex_numbers_are_refused(tmp_path):
    path = write(tmp_path / "a.tif", noise(3, 4, 4, np.float32), kind=gdal.GDT_CFloat32)
    with pytest.raises(RasterError, match="band 1 of .* holds complex numbers"):
        Image(path)


@pytest.mark.parametrize(("count", "message"), [(1, "has 1 band;"), (2, "has 2 bands;")])
def test_fewer_than_three_bands_are_refused(tmp_path, count, message):
    with pytest.raises(RasterError, match=f"{message} red, green and blue are needed"):
        Image(write(tmp_path / "a.tif", noise(count, 4, 4)))


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        ((1, 2, 4), "has the bands 1 to 3, not 1, 2, 4"),
        ((0, 1, 2), "has the bands 1 to 3, not 0, 1, 2"),
        ((1, 2), "2 were given"),
        ((1, 2, 3, 1), "4 were given"),
    ],
)
def test_bands_that_are_not_there_are_refused(tmp_path, bands, message):
    path = write(tmp_path / "a.tif", noise(3, 4, 4))
    with pytest.raises(RasterError, match=message):
        Image(path, bands)


@pytest.mark.parametrize(
    ("domain", "key", "value", "azimuth"),
    [
        ("", "SUN_AZIMUTH", "145.25", 145.25),
        ("", "MEAN_SOLAR_AZIMUTH_ANGLE", "-20", 340.0),
        ("SENTINEL", "MEAN_SUN_AZIMUTH_ANGLE", " 33.5 ", 33.5),
        ("IMD", "SunAzimuth", "359", 359.0),
        ("", "SUN_AZIMUTH", "unknown", None),
        ("", "SUN_AZIMUTH", "nan", None),
        ("", "SUN_ELEVATION", "40", None),
        ("xml:PRODUCT", "SUN_AZIMUTH", "145", None),
    ],
)
def test_the_suns_azimuth_is_found_in_any_domain_of_the_metadata(tmp_path, domain, key, value, azimuth):
    path = write(tmp_path / "a.tif", noise(3, 4, 4))
    dataset = gdal.Open(path, gdal.GA_Update)
    if domain.startswith("xml:"):
        dataset.SetMetadata([f"<{key}>{value}</{key}>"], domain)
    else:
        dataset.SetMetadataItem(key, value, domain)
    dataset = None
    assert Image(path).sun_azimuth() == azimuth


def test_a_key_with_a_colon_is_found(tmp_path):
    path = write(tmp_path / "a.tif", noise(3, 4, 4))
    # A GeoTIFF cuts such a key in two; the file beside it does not.
    sidecar = (
        '<PAMDataset><Metadata domain="STAC"><MDI key="view:sun_azimuth">51.5</MDI></Metadata></PAMDataset>'
    )
    (tmp_path / "a.tif.aux.xml").write_text(sidecar)
    assert Image(path).sun_azimuth() == 51.5


def test_an_image_without_metadata_tells_no_sun(tmp_path):
    assert Image(write(tmp_path / "a.tif", noise(3, 4, 4))).sun_azimuth() is None
