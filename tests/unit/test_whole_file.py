from __future__ import annotations

import os
import subprocess
import sys

import pytest

from imagetodem_qgis.raster.whole_file import overview_levels, partial_name, put_in_place, remove_left_overs
from tests.left_overs import left_by_the_dead


def test_left_overs_of_the_dead_are_removed_and_those_of_the_living_kept(tmp_path):
    path = tmp_path / "my [dem].v2.tif"
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        dead = left_by_the_dead(path)
        kept = [
            tmp_path / f".my [dem].v2.{living.pid}.partial.tif",
            tmp_path / ".my [dem].v2.word.partial.tif",
        ]
        for file in kept:
            file.write_bytes(b"part")
        kept.append(left_by_the_dead(tmp_path / "other.tif"))
        assert dead.exists()
        remove_left_overs(path)
        assert sorted(tmp_path.iterdir()) == sorted(kept)
    finally:
        living.communicate(b"\n")


def test_the_partial_name_is_hidden_beside_the_file_and_this_processs_own(tmp_path):
    name = partial_name(tmp_path / "dem.v2.tif")
    assert name.parent == tmp_path
    assert name.name == f".dem.v2.{os.getpid()}.partial.tif"


@pytest.mark.parametrize(
    ("size", "levels"),
    [(1, []), (512, []), (513, [2]), (1025, [2]), (1026, [2, 4]), (2300, [2, 4, 8])],
)
def test_overviews_halve_until_the_last_has_at_most_512_pixels(size, levels):
    assert overview_levels(size) == levels


def test_a_file_put_in_place_replaces_the_old_one_and_what_belongs_to_it(tmp_path):
    path, partial = tmp_path / "dem.tif", tmp_path / "partial.tif"
    for name in ("dem.tif", "dem.tif.aux.xml", "dem.tif.ovr", "dem.qml", "dem.tif.txt"):
        (tmp_path / name).write_bytes(b"old")
    partial.write_bytes(b"new")
    put_in_place(partial, path)
    assert path.read_bytes() == b"new"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["dem.qml", "dem.tif", "dem.tif.txt"]
    partial.write_bytes(b"newer")
    put_in_place(partial, path)
    assert path.read_bytes() == b"newer"
