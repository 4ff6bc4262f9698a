"""The Earth Engine worker keeps to QGIS's network settings: its certificate authorities and its proxy."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("qgis.core", reason="needs QGIS's Python")

from qgis.core import QgsApplication, QgsSettings
from qgis.PyQt.QtNetwork import QSslCertificate

from imagetodem_qgis.core.retry import BackOff
from imagetodem_qgis.pairs.earthengine_source import EarthEngineSource
from imagetodem_qgis.pairs.source import AW3D30, MEDIAN, FetchedPair, Query, SourceError, Tile
from tests.services.certificates import Certificates, make_certificates
from tests.services.earthengine.grids import Grid
from tests.services.earthengine.keys import Key
from tests.services.earthengine.server import EarthEngineServer, interface_of
from tests.services.earthengine.world import World

QUERY = Query(date(2021, 6, 1), date(2021, 8, 31), (6, 7, 8), 100.0, MEDIAN, AW3D30)
TILE = Tile("one", "area", "train", "EPSG:32633", 500_600.0, 4_999_400.0, 30.0, 8)
Served = Callable[..., EarthEngineServer]


@pytest.fixture(scope="module")
def certificates(earth_engine_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(earth_engine_python, tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def key(earth_engine_python: Path) -> Key:
    return Key.made_by(earth_engine_python)


@pytest.fixture
def served(earth_engine_python: Path, key: Key) -> Served:
    """Makes a server of one scene; it runs while its context lasts."""

    def make(**settings: object) -> EarthEngineServer:
        world = World()
        grey = lambda x, y: np.full(np.shape(x), 1000.0)  # noqa: E731
        world.add_scene("one", Grid(TILE.crs, 500_000, 5_000_000, 10, -10, 300, 300), (grey,) * 3)
        world.add_heights(14.9, 45.2, 1000, 1000, lambda x, y: np.full(np.shape(x), 100.0))
        return EarthEngineServer(world, interface_of(earth_engine_python), key, **settings)

    return make


@pytest.fixture
def fetched(earth_engine_python: Path, tmp_path: Path) -> Callable[[EarthEngineServer], FetchedPair]:
    """Fetches a tile from a server: ``fetched(server)``."""

    def run(server: EarthEngineServer) -> FetchedPair:
        key_file = server.write_key(tmp_path / "key.json")
        back_off = BackOff(attempts=2, first=0.01)
        source = EarthEngineSource(
            QUERY, earth_engine_python, "", key_file, server.address, 1, print, 10.0, back_off
        )
        with closing(source):
            return source.fetch(TILE, lambda: False)

    return run


@contextmanager
def trusted(authority: Path) -> Iterator[None]:
    """While the context lasts the user has added an authority to QGIS."""
    (certificate,) = QSslCertificate.fromPath(str(authority))
    manager = QgsApplication.authManager()
    if not manager.storeCertAuthority(certificate):
        pytest.skip("needs QGIS's authentication store")
    try:
        manager.rebuildCaCertsCache()
        manager.rebuildTrustedCaCertsCache()
        yield
    finally:
        manager.removeCertAuthority(certificate)
        manager.rebuildCaCertsCache()
        manager.rebuildTrustedCaCertsCache()


def test_an_authority_that_the_user_added_is_trusted(
    served: Served, fetched: Callable[[EarthEngineServer], FetchedPair], certificates: Certificates
) -> None:
    """The sign-in, the description of the interface, values and pixels: nothing goes past it."""
    with served(certificate=certificates.server) as server:
        with pytest.raises(
            SourceError, match=r"certificate could not be verified.*Manage Certificates"
        ) as told:
            fetched(server)
        assert told.value.fatal
        assert server.requests == []
        with trusted(certificates.authority):
            pair = fetched(server)
        np.testing.assert_array_equal(pair.image, np.float32(0.1))
        with pytest.raises(SourceError, match="certificate could not be verified"):
            fetched(server)


@pytest.fixture
def proxy(qgis_app: object) -> Iterator[Callable[[int], None]]:
    """Sets QGIS's proxy to a port of this computer."""
    settings = QgsSettings()

    def use(port: int, kind: str = "HttpProxy") -> None:
        for name, value in {
            "proxyEnabled": True,
            "proxyType": kind,
            "proxyHost": "127.0.0.1",
            "proxyPort": str(port),
        }.items():
            settings.setValue(f"proxy/{name}", value)

    yield use
    settings.remove("proxy")


@pytest.mark.parametrize("of_the_users", ["", "http://127.0.0.1:9"])
def test_requests_go_through_the_proxy(
    served: Served,
    fetched: Callable[[EarthEngineServer], FetchedPair],
    proxy: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    of_the_users: str,
) -> None:
    """The server's name is known to the proxy alone, whatever proxy the user's other programs have."""
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, of_the_users)
    with served(public=f"http://earth-{secrets.token_hex(4)}.invalid") as server:
        proxy(server.port)
        pair = fetched(server)
        assert all(request.path.startswith(server.address) for request in server.requests)
    np.testing.assert_array_equal(pair.image, np.float32(0.1))


def test_a_proxy_that_the_client_does_not_know_is_named(
    served: Served,
    fetched: Callable[[EarthEngineServer], FetchedPair],
    proxy: Callable[..., None],
    earth_engine_python: Path,
) -> None:
    if subprocess.run([earth_engine_python, "-I", "-c", "import socks"], capture_output=True).returncode == 0:
        pytest.skip("PySocks is there")
    with served() as server:
        proxy(server.port, "Socks5Proxy")
        with pytest.raises(SourceError, match="SOCKS, for which .* lacks PySocks"):
            fetched(server)
