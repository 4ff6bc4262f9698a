"""Project and credentials for Earth Engine: what is missing is told, and what is secret is told nobody."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Callable

import numpy as np
import pytest

from tests.services.earthengine import faults, keys
from tests.services.earthengine.grids import Grid
from tests.services.earthengine.server import EarthEngineServer

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from imagetodem_qgis.core.retry import BackOff
from imagetodem_qgis.pairs.earthengine_source import EarthEngineSource, check_earth_engine
from imagetodem_qgis.pairs.source import AW3D30, MEDIAN, Query, SourceError, Tile
from imagetodem_qgis.runtime import settings

QUERY = Query(date(2021, 6, 1), date(2021, 8, 31), (6, 7, 8), 100.0, MEDIAN, AW3D30)
TILE = Tile("one", "area", "train", "EPSG:32633", 500_600.0, 4_999_400.0, 30.0, 8)
SECRETS = re.compile(r"ya29\.|eyJ|PRIVATE KEY|Bearer [^\[]|" + keys.ACCOUNT)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qgis_app: object) -> Iterator[Path]:
    """A user without any sign-in and settings."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("HOME", "USERPROFILE", "APPDATA"):
        monkeypatch.setenv(name, str(folder))
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    yield folder
    settings.set_earth_engine_project("")
    settings.set_earth_engine_key_file("")


@pytest.fixture
def key_file(earth_engine: EarthEngineServer, tmp_path: Path) -> Path:
    earth_engine.forget()
    grey = lambda x, y: np.full(np.shape(x), 1000.0)  # noqa: E731
    earth_engine.world.add_scene("one", Grid(TILE.crs, 500_000, 5_000_000, 10, -10, 300, 300), (grey,) * 3)
    earth_engine.world.add_heights(14.9, 45.2, 1000, 1000, lambda x, y: np.full(np.shape(x), 100.0))
    return earth_engine.write_key(tmp_path / "key.json")


def stored_sign_in(home: Path, **fields: str) -> Path:
    path = home / ".config" / "earthengine" / "credentials"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"refresh_token": "1//0abcdefghijklmnopqrstuv", **fields}), encoding="utf-8")
    return path


def refusal(project: str = "", key_file: Path | None = None) -> str:
    with pytest.raises(SourceError) as told:
        check_earth_engine(project, key_file)
    assert told.value.fatal
    return str(told.value)


def test_who_has_not_signed_in_is_given_the_command(home: Path, earth_engine_python: Path) -> None:
    message = refusal("my-project-123")
    assert message.startswith("KEY_FILE: nobody is signed in")
    assert f'\n  "{earth_engine_python}" -m ee.cli.eecli authenticate\n' in message
    assert "service account" in message


def test_who_names_no_project_is_told_where_to_get_one(home: Path) -> None:
    stored_sign_in(home)
    message = refusal()
    assert message.startswith("PROJECT: ")
    assert "https://console.cloud.google.com/earth-engine" in message
    assert "Settings > Options" in message


@pytest.mark.parametrize("project", ["My Project", "my_project", "ab", "https://x", "Projekt-1"])
def test_what_is_no_projects_id_is_refused(home: Path, project: str) -> None:
    stored_sign_in(home)
    assert refusal(project).startswith(f"PROJECT: '{project}' is no id")


@pytest.mark.parametrize("project", ["my-project-123", "example.com:my-project", "517222506229"])
def test_a_projects_id_is_taken(home: Path, project: str) -> None:
    stored_sign_in(home)
    check_earth_engine(project, None)
    settings.set_earth_engine_project(project)
    check_earth_engine("", None)


def test_the_project_of_the_sign_in_or_of_googles_own_tools_will_do(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = stored_sign_in(home, project="my-project-123")
    check_earth_engine("", None)
    stored.unlink()
    default = home / "default.json"
    default.write_text(json.dumps({"quota_project_id": "my-project-123"}), encoding="utf-8")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(default))
    check_earth_engine("", None)


def test_a_key_file_needs_no_project_and_no_sign_in(home: Path, key_file: Path) -> None:
    check_earth_engine("", key_file)
    settings.set_earth_engine_key_file(str(key_file))
    check_earth_engine("", None)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQ",
        "[1]",
        '{"type": "authorized_user"}',
        '{"type": "service_account"}',
    ],
)
def test_what_is_no_key_is_refused_and_not_quoted(home: Path, tmp_path: Path, content: str) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(content, encoding="utf-8")
    message = refusal("my-project-123", path)
    assert message.startswith(f"KEY_FILE: {path} is no key of a service account")
    assert "MIIEvQ" not in message


def test_a_key_file_that_is_not_there_is_told(home: Path, tmp_path: Path) -> None:
    assert refusal("", tmp_path / "none.json").startswith(
        f"KEY_FILE: {tmp_path / 'none.json'} cannot be read"
    )


def source_of(
    server: EarthEngineServer,
    python: Path,
    log: Callable[[str], None],
    key_file: Path | None,
    project: str = "",
) -> EarthEngineSource:
    quick = BackOff(attempts=2, first=0.02)
    return EarthEngineSource(QUERY, python, project, key_file, server.address, 1, log, back_off=quick)


def error_of(source: EarthEngineSource) -> str:
    """All that the error of a fetched tile carries; nothing where there is none."""
    try:
        source.fetch(TILE, lambda: False)
    except SourceError as error:
        chained = [error, error.__cause__, error.__context__]
        return " ".join(f"{one!r} {one.__dict__}" for one in chained if one is not None)
    return ""


def fetched(*details: object, **more: object) -> str:
    """What :func:`error_of` tells of a source that lives as long as the tile takes."""
    source = source_of(*details, **more)
    try:
        return error_of(source)
    finally:
        source.close()


def test_nothing_secret_is_told(
    home: Path, earth_engine: EarthEngineServer, earth_engine_python: Path, key_file: Path
) -> None:
    """A server that says secrets back, in each of its answers that are errors."""
    key = json.loads(key_file.read_text(encoding="utf-8"))
    before = sorted(home.parent.rglob("*"))
    lines: list[str] = []
    said = (
        f"Authorization: Bearer ya29.a0AfB-secret_token; key {key['private_key']} id {key['private_key_id']} "
        f"account {key['client_email']}; assertion=eyJhbGciOi.eyJpc3Mi.c2lnbmF0dXJl"
    )
    told = []
    source = source_of(earth_engine, earth_engine_python, lines.append, key_file)
    for at, status in ((faults.PIXELS, 400), (faults.PIXELS, 500), (faults.VALUE, 403)):
        earth_engine.faults.clear()
        earth_engine.fail(faults.STATUS, at=at, times=-1, status=status, message=said)
        told.append(error_of(source))
    source.close()
    earth_engine.faults.clear()
    earth_engine.fail(faults.STATUS, at=faults.TOKEN, times=-1, status=400, message=said)
    told.append(fetched(earth_engine, earth_engine_python, lines.append, key_file))
    for text in [*told, *lines]:
        assert not SECRETS.search(text), text
        assert key["private_key_id"] not in text
    assert all(told)
    assert any("attempt 2 of 2" in line for line in lines)
    for token in earth_engine.sign_in.given:
        assert not any(token in text for text in [*told, *lines])
    # Nothing was written, the key file least of all.
    assert sorted(home.parent.rglob("*")) == before


def test_a_key_that_is_broken_is_told_without_a_word_of_it(
    home: Path, earth_engine: EarthEngineServer, earth_engine_python: Path, key_file: Path
) -> None:
    key = json.loads(key_file.read_text(encoding="utf-8"))
    key["private_key"] = key["private_key"][:300] + "\n-----END PRIVATE KEY-----\n"
    key_file.write_text(json.dumps(key), encoding="utf-8")
    lines: list[str] = []
    message = fetched(earth_engine, earth_engine_python, lines.append, key_file)
    assert f"KEY_FILE: {key_file} is no key of a service account" in message
    part = key["private_key"].splitlines()[2]
    assert not any(part in text for text in [message, *lines])


def test_other_sign_ins_of_the_user_are_not_sent(
    home: Path, earth_engine: EarthEngineServer, earth_engine_python: Path, key_file: Path
) -> None:
    (home / ".netrc").write_text("default login me password secret-password\n", encoding="utf-8")
    (home / ".netrc").chmod(0o600)
    assert fetched(earth_engine, earth_engine_python, print, key_file) == ""


def test_a_token_that_is_withdrawn_is_renewed(
    home: Path, earth_engine: EarthEngineServer, earth_engine_python: Path, key_file: Path
) -> None:
    given = len(earth_engine.sign_in.given)
    earth_engine.fail(faults.EXPIRED)
    assert fetched(earth_engine, earth_engine_python, print, key_file) == ""
    assert len(earth_engine.sign_in.given) - given == 2


def test_the_settings_stand_in_for_the_parameters(
    home: Path, earth_engine: EarthEngineServer, earth_engine_python: Path, key_file: Path
) -> None:
    settings.set_earth_engine_key_file(str(key_file))
    settings.set_earth_engine_project(keys.PROJECT)
    assert fetched(earth_engine, earth_engine_python, print, None) == ""
    assert "another-project" in fetched(
        earth_engine, earth_engine_python, print, None, project="another-project"
    )


def test_what_a_data_set_says_of_its_source_holds_no_access(
    home: Path, earth_engine: EarthEngineServer, earth_engine_python: Path, key_file: Path
) -> None:
    source = EarthEngineSource(QUERY, earth_engine_python, "", key_file, earth_engine.address, 1, print)
    try:
        about = json.dumps(source.describe())
        cost = source.estimate([TILE] * 10)
    finally:
        source.close()
    assert "JAXA/ALOS/AW3D30/V4_1" in about
    assert "COPERNICUS/S2_SR_HARMONIZED" in about
    assert "cs_cdf >= 0.6" in about
    assert "[0] of MSK" in about
    for secret in (keys.PROJECT, str(key_file), earth_engine.address, keys.ACCOUNT):
        assert secret not in about
    assert cost.requests == 10 * 2 + 4
    assert 10 * 64 * 18 <= cost.bytes < 200_000


def test_an_interpreter_without_the_library_is_told(home: Path, tmp_path: Path, key_file: Path) -> None:
    with pytest.raises(SourceError, match="cannot|missing|not"):
        EarthEngineSource(QUERY, tmp_path / "python", "", key_file, "", 1, print)


def test_the_settings_page_keeps_project_and_key_file(home: Path) -> None:
    gui = pytest.importorskip("qgis.PyQt.QtWidgets")
    from imagetodem_qgis.settings_page import SettingsPageFactory

    settings.set_earth_engine_project("my-project-123")
    parent = gui.QWidget()
    page = SettingsPageFactory().createWidget(parent)
    assert page.project.text() == "my-project-123"
    page.project.setText(" another-project ")
    page.key_file.setFilePath("/keys/key.json")
    page.apply()
    assert settings.earth_engine_project() == "another-project"
    assert settings.earth_engine_key_file() == "/keys/key.json"
