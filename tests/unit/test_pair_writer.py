"""The files of a pair and the journal of a folder: exact, whole or not there, and what a torn one holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("osgeo.gdal", reason="needs GDAL's Python")
from osgeo import gdal

from imagetodem_qgis.pairs.examine import Limits, examine
from imagetodem_qgis.pairs.journal import JOURNAL_FILE, Journal, JournalError, Kept, LeftOut, check_folder
from imagetodem_qgis.pairs.source import FetchedPair, NoData, SourceError, Tile
from imagetodem_qgis.pairs.writer import Checksums, PairWriter
from tests.pair_sources import PROVENANCE, pair_at

TILE = Tile("32N_1", "block", "train", "EPSG:32632", 500_010.0, 5_200_020.0, 10.0, 96)
PARAMETERS = {"SOURCE": "waves", "MONTHS": [6, 7], "RESOLUTION": 10.0}


def read(path: Path) -> tuple[gdal.Dataset, np.ndarray]:
    dataset = gdal.Open(str(path))
    return dataset, dataset.ReadAsArray()


def with_gap(pair: FetchedPair) -> FetchedPair:
    image, dem = pair.image.copy(), pair.dem.copy()
    image[1, 3, 5] = np.nan
    dem[7, 9] = np.nan
    return FetchedPair(image, dem, pair.provenance)


def test_files_hold_the_values_and_the_place(tmp_path):
    pair = with_gap(pair_at(TILE))
    PairWriter(tmp_path).write(TILE, pair)
    dataset, image = read(tmp_path / "images" / "32N_1.tif")
    expected = pair.image.copy()
    expected[:, 3, 5] = np.nan
    np.testing.assert_array_equal(image, expected)
    assert dataset.GetGeoTransform() == (500_010.0, 10.0, 0.0, 5_200_020.0, 0.0, -10.0)
    assert dataset.GetSpatialRef().GetAuthorityCode(None) == "32632"
    assert np.isnan(dataset.GetRasterBand(1).GetNoDataValue())
    interpretation = [dataset.GetRasterBand(band).GetColorInterpretation() for band in (1, 2, 3)]
    assert interpretation == [gdal.GCI_RedBand, gdal.GCI_GreenBand, gdal.GCI_BlueBand]
    assert float(dataset.GetMetadataItem("SUN_AZIMUTH")) == pytest.approx(151.25)
    assert dataset.GetMetadataItem("SCENES") == "scene_1 scene_2"
    dataset, dem = read(tmp_path / "dems" / "32N_1.tif")
    np.testing.assert_array_equal(dem, np.where(np.isnan(pair.dem), np.float32(-9999.0), pair.dem))
    assert dataset.GetRasterBand(1).GetNoDataValue() == -9999.0
    assert dataset.GetRasterBand(1).GetUnitType() == "m"


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int16"])
def test_whole_numbers_stay_such_and_gaps_are_masked(tmp_path, kind):
    numbers = np.random.default_rng(1).integers(0, np.iinfo(kind).max, (3, 96, 96))
    image = numbers.astype(np.float32)
    image[:, :20, :30] = np.nan
    PairWriter(tmp_path, kind).write(TILE, FetchedPair(image, pair_at(TILE).dem))
    dataset, stored = read(tmp_path / "images" / "32N_1.tif")
    assert stored.dtype == kind
    np.testing.assert_array_equal(stored[:, 20:], numbers[:, 20:])
    mask = dataset.GetRasterBand(2).GetMaskBand().ReadAsArray()
    np.testing.assert_array_equal(mask == 0, np.isnan(image[0]))
    assert not list(tmp_path.rglob("*.msk"))


def test_what_interpolation_shot_over_the_range_is_clipped(tmp_path):
    image = np.full((3, 96, 96), 255.4, np.float32)
    image[:, 0] = -3.2
    PairWriter(tmp_path, "uint8").write(TILE, FetchedPair(image, pair_at(TILE).dem))
    _, stored = read(tmp_path / "images" / "32N_1.tif")
    assert (stored[:, 0] == 0).all()
    assert (stored[:, 1:] == 255).all()


def test_the_same_pair_gives_the_same_bytes(tmp_path):
    one, other = PairWriter(tmp_path / "one"), PairWriter(tmp_path / "other")
    assert one.write(TILE, pair_at(TILE)) == other.write(TILE, pair_at(TILE))
    for name in ("images/32N_1.tif", "dems/32N_1.tif"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_files_are_verified_not_trusted(tmp_path):
    writer = PairWriter(tmp_path)
    checksums = writer.write(TILE, pair_at(TILE))
    assert writer.is_whole("32N_1", checksums)
    path = tmp_path / "dems" / "32N_1.tif"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert not writer.is_whole("32N_1", checksums)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert not writer.is_whole("32N_1", checksums)
    path.unlink()
    assert not writer.is_whole("32N_1", checksums)


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    writer = PairWriter(tmp_path)
    checksums = writer.write(TILE, pair_at(TILE))
    true_write = Path.write_bytes

    def write_bytes(path: Path, content: bytes) -> int:
        if path.parent.name == "dems":
            true_write(path, content[:100])
            raise OSError(28, "No space left on device")
        return true_write(path, content)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(OSError, match="No space left"):
        writer.write(TILE, with_gap(pair_at(TILE)))
    assert writer.is_whole("32N_1", checksums)
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["32N_1.tif", "32N_1.tif"]


def test_a_dead_run_s_halves_are_swept_away(tmp_path):
    writer = PairWriter(tmp_path)
    (tmp_path / "images" / ".32N_1.tif.partial").write_bytes(b"half")
    writer.sweep()
    assert list((tmp_path / "images").iterdir()) == []


def kept(number: int) -> Kept:
    return Kept(Checksums(f"{number:064x}", "b" * 64), PROVENANCE)


def test_a_journal_remembers(tmp_path):
    with Journal(tmp_path, PARAMETERS) as journal:
        journal.note("a", kept(1))
        journal.note("b", LeftOut("sea"))
        journal.note("a", kept(2))
    with Journal(tmp_path, PARAMETERS) as journal:
        assert journal.done == {"a": kept(2), "b": LeftOut("sea")}


@given(st.data())
def test_a_torn_journal_is_worth_its_whole_lines(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("journal")
    with Journal(folder, PARAMETERS) as journal:
        for number in range(3):
            journal.note(f"tile {number}", kept(number))
    content = (folder / JOURNAL_FILE).read_bytes()
    length = data.draw(st.integers(0, len(content)))
    (folder / JOURNAL_FILE).write_bytes(content[:length])
    whole = max(0, content[:length].count(b"\n") - 1)
    with Journal(folder, PARAMETERS) as journal:
        assert journal.done == {f"tile {number}": kept(number) for number in range(whole)}
        journal.note("next", kept(9))
    with Journal(folder, PARAMETERS) as journal:
        assert len(journal.done) == whole + 1


def test_other_parameters_are_refused_with_both_values(tmp_path):
    with Journal(tmp_path, PARAMETERS) as journal:
        journal.note("a", kept(1))
    other = {**PARAMETERS, "RESOLUTION": 30.0}
    with pytest.raises(JournalError, match=r"RESOLUTION = 10\.0, not 30\.0: give the same"):
        Journal(tmp_path, other)
    with pytest.raises(JournalError, match="RESOLUTION"):
        check_folder(tmp_path, other)
    check_folder(tmp_path, PARAMETERS)


def test_a_folder_of_something_else_is_refused(tmp_path):
    check_folder(tmp_path, PARAMETERS)
    (tmp_path / "thesis.txt").write_text("words")
    with pytest.raises(JournalError, match="something else"):
        check_folder(tmp_path, PARAMETERS)
    (tmp_path / JOURNAL_FILE).write_text("no journal\n")
    with pytest.raises(JournalError, match="cannot be read"):
        check_folder(tmp_path, PARAMETERS)


def test_lines_that_make_no_sense_count_for_nothing(tmp_path):
    with Journal(tmp_path, PARAMETERS) as journal:
        journal.note("a", kept(1))
    with open(tmp_path / JOURNAL_FILE, "a") as file:
        for line in ('{"id": "b"}', "[1, 2]", "null", '{"id": "c", "left_out": "boredom"}', "half a li"):
            file.write(line + "\n")
        file.write(json.dumps({"id": "d", "checksums": {"image": "x"}}) + "\n")
    with Journal(tmp_path, PARAMETERS) as journal:
        assert journal.done == {"a": kept(1)}


def with_share(share: float, what: str) -> FetchedPair:
    """A pair with a share of its rows missing, or sea."""
    pair = pair_at(TILE)
    image, dem = pair.image.copy(), pair.dem.copy()
    rows = round(share * TILE.size)
    if what == "image":
        image[0, :rows] = np.nan
    else:
        dem[:rows] = np.nan if what == "dem" else 0.0
    return FetchedPair(image, dem)


@pytest.mark.parametrize(("what", "reason"), [("image", "cloud"), ("dem", "nodata"), ("sea", "sea")])
def test_a_tile_with_too_much_of_nothing_is_left_out(what, reason):
    limits = Limits(0.25, 0.25)
    examine(TILE, with_share(0.25, what), limits)
    with pytest.raises(NoData) as caught:
        examine(TILE, with_share(0.26, what), limits)
    assert caught.value.reason == reason


def test_gaps_of_image_and_dem_add_up():
    pair = with_share(0.2, "image")
    dem = pair.dem.copy()
    dem[-20:] = np.nan
    with pytest.raises(NoData) as caught:
        examine(TILE, FetchedPair(pair.image, dem), Limits(0.25, 1.0))
    assert caught.value.reason == "nodata"


def test_what_cannot_be_learned_from_is_left_out():
    pair = pair_at(TILE)
    with pytest.raises(NoData, match="one colour"):
        examine(TILE, FetchedPair(np.full_like(pair.image, 0.3), pair.dem), Limits(0.1, 1.0))
    with pytest.raises(NoData):
        examine(TILE, FetchedPair(np.full_like(pair.image, np.nan), pair.dem), Limits(1.0, 1.0))


def test_a_source_that_knows_its_sea_is_believed():
    pair = pair_at(TILE)
    polder = FetchedPair(pair.image, np.zeros_like(pair.dem), sea=np.zeros(pair.dem.shape, bool))
    examine(TILE, polder, Limits(0.1, 0.1))


def test_arrays_of_another_shape_are_refused():
    pair = pair_at(TILE)
    with pytest.raises(SourceError, match="not of 96 x 96"):
        examine(TILE, FetchedPair(pair.image[:, :50], pair.dem), Limits(1.0, 1.0))
