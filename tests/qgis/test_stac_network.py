"""The STAC source keeps to QGIS's network settings: its proxy with exceptions and login, its certificates."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from osgeo import gdal
from qgis.core import QgsApplication, QgsBlockingNetworkRequest, QgsNetworkAccessManager, QgsSettings
from qgis.PyQt.QtCore import QCoreApplication, QUrl
from qgis.PyQt.QtNetwork import QNetworkRequest, QSslCertificate

from imagetodem_qgis.core.retry import BackOff
from imagetodem_qgis.pairs.source import GLO30, LEAST_CLOUDY, FetchedPair, Query, SourceError
from imagetodem_qgis.pairs.stac_catalogue import CATALOGUES
from imagetodem_qgis.pairs.stac_source import StacSource
from tests.services.stac_ground import Ground
from tests.services.stac_server import StacServer
from tests.services.stac_world import World

EARTH_SEARCH, PLANETARY = CATALOGUES
GROUND = Ground(15.2, 47.2)
TILE = GROUND.tile("EPSG:32633", 24, 20.0)
LOGIN = "user:p@ss/word&1:x"


@pytest.fixture(scope="module")
def world(qgis_app: object, tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(tmp_path_factory.mktemp("world"))
    GROUND.add_to(made, "EPSG:32633")
    GROUND.add_heights(made, "cop-dem-glo-30")
    return made


@pytest.fixture
def settings(qgis_app: object) -> Iterator[QgsSettings]:
    kept = QgsSettings()
    yield kept
    kept.remove("proxy")
    QgsNetworkAccessManager.instance().setupDefaultProxyAndCache()


def nowhere() -> str:
    """An address that there is not, another one each time: GDAL keeps what it read."""
    return f"http://stac-{secrets.token_hex(4)}.invalid"


def use_proxy(settings: QgsSettings, server: StacServer, login: str = "", excluded: Any = ()) -> None:
    user, _, password = login.partition(":")
    for name, value in {
        "proxyEnabled": True,
        "proxyType": "HttpProxy",
        "proxyHost": "127.0.0.1",
        "proxyPort": server.address.rpartition(":")[2],
        "proxyUser": user,
        "proxyPassword": password,
        "noProxyUrls": list(excluded),
    }.items():
        settings.setValue(f"proxy/{name}", value)
    QgsNetworkAccessManager.instance().setupDefaultProxyAndCache()


def fetched(root: str, said: list[str], catalogue: str = EARTH_SEARCH) -> FetchedPair:
    """A tile, fetched as by an algorithm in QGIS: in a thread of its own, while the main thread is alive."""
    every = tuple(range(1, 13))
    query = Query(date(2021, 1, 1), date(2021, 12, 31), every, 50.0, LEAST_CLOUDY, GLO30)
    source = StacSource(query, catalogue, root, 1, said.append, BackOff(attempts=2, first=0.01))
    try:
        with ThreadPoolExecutor(1) as thread:
            future = thread.submit(source.fetch, TILE, lambda: False)
            while not future.done():
                QCoreApplication.processEvents()
                time.sleep(0.01)
            return future.result()
    finally:
        source.close()


@pytest.mark.parametrize("catalogue", CATALOGUES)
@pytest.mark.parametrize("login", ["", LOGIN])
def test_text_and_files_come_through_the_proxy(
    catalogue: str, login: str, world: World, settings: QgsSettings
) -> None:
    """The server's name is known to the proxy alone."""
    with StacServer(world, public=nowhere(), login=login) as server:
        use_proxy(settings, server, login)
        said: list[str] = []
        pair = fetched(server.root(catalogue), said, catalogue)
        assert not np.isnan(pair.image).any()
        assert {asked.proxied for asked in server.asked} == {True}
        assert server.count("_red.tif") >= 2
        assert said == []


@pytest.fixture
def kept_on_disk(settings: QgsSettings, tmp_path: Path) -> Iterator[Callable[[], list[bytes]]]:
    """What QGIS's network keeps in the profile's folder: ``kept_on_disk()`` gives the files' contents."""
    settings.setValue("cache/directory", str(tmp_path / "cache"))
    settings.setValue("cache/size", 50 * 1024 * 1024)
    QgsNetworkAccessManager.instance().setupDefaultProxyAndCache()
    yield lambda: [file.read_bytes() for file in (tmp_path / "cache").rglob("*.d")]
    settings.remove("cache")
    QgsNetworkAccessManager.instance().setupDefaultProxyAndCache()


def test_no_token_stays_on_the_disk(world: World, kept_on_disk: Callable[[], list[bytes]]) -> None:
    with StacServer(world) as server:
        token = f"{server.address}/api/sas/v1/token/cop-dem-glo-30"
        request = QgsBlockingNetworkRequest()
        request.get(QNetworkRequest(QUrl(token)), True)
        assert any(b"/token/" in content for content in kept_on_disk())
        fetched(server.root(PLANETARY), [], PLANETARY)
        assert server.count("/token/") == 3
    assert kept_on_disk() == []


def test_a_proxy_that_wants_a_login_is_named(world: World, settings: QgsSettings) -> None:
    """With a wrong password, which no message holds."""
    with StacServer(world, public=nowhere(), login="user:other") as server:
        use_proxy(settings, server, LOGIN)
        said: list[str] = []
        with pytest.raises(SourceError, match=r"(?i)proxy") as caught:
            fetched(server.root(EARTH_SEARCH), said)
        told = "\n".join([*said, repr(caught.value)])
        assert LOGIN.partition(":")[2] not in told


def test_an_exception_goes_past_the_proxy(world: World, settings: QgsSettings) -> None:
    """Also where QGIS gave GDAL the proxy for all."""
    with StacServer(world) as server:
        use_proxy(settings, server, excluded=[server.address])
        settings.setValue("proxy/proxyPort", "9")
        gdal.SetConfigOption("GDAL_HTTP_PROXY", "127.0.0.1:9")
        try:
            fetched(server.root(EARTH_SEARCH), [])
        finally:
            gdal.SetConfigOption("GDAL_HTTP_PROXY", None)
        assert {asked.proxied for asked in server.asked} == {False}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server's key and certificate in one file, the certificate its own authority's."""
    command = shutil.which("openssl")
    if command is None:
        pytest.skip("needs openssl, to make a certificate")
    folder = tmp_path_factory.mktemp("certificate")
    key, made = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            command,
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=127.0.0.1",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-keyout",
            str(key),
            "-out",
            str(made),
        ],
        check=True,
        capture_output=True,
    )
    both = folder / "both.pem"
    both.write_bytes(key.read_bytes() + made.read_bytes())
    return both


def test_certificates_that_the_user_added_are_trusted(world: World, certificate: Path) -> None:
    with StacServer(world, certificate=certificate) as server:
        with pytest.raises(SourceError, match="connection to 127"):
            fetched(server.root(EARTH_SEARCH), [])
        assert server.asked == []
        (authority,) = QSslCertificate.fromPath(str(certificate.with_name("certificate.pem")))
        manager = QgsApplication.authManager()
        if not manager.storeCertAuthority(authority):
            pytest.skip("needs QGIS's authentication store")
        try:
            manager.rebuildCaCertsCache()
            manager.rebuildTrustedCaCertsCache()
            pair = fetched(server.root(EARTH_SEARCH), [])
        finally:
            manager.removeCertAuthority(authority)
            manager.rebuildCaCertsCache()
            manager.rebuildTrustedCaCertsCache()
        assert not np.isnan(pair.image).any()
        for option in ("CURL_CA_BUNDLE", "SSL_CERT_FILE"):
            assert gdal.GetConfigOption(option) == os.environ.get(option)
