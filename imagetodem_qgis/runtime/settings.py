"""The plugin's settings, and those of QGIS's network, in QGIS's store of settings."""

from __future__ import annotations

from urllib.parse import quote

from qgis.core import QgsSettings

PYTHON_KEY = "imagetodem/python"
EARTH_ENGINE_PROJECT_KEY = "imagetodem/earthengine_project"
EARTH_ENGINE_KEY_FILE_KEY = "imagetodem/earthengine_key_file"


def python_setting() -> str:
    """The interpreter that the user named for the worker; empty for none."""
    return _text(PYTHON_KEY)


def set_python_setting(path: str) -> None:
    """Name the interpreter for the worker; empty for none."""
    _set_text(PYTHON_KEY, path)


def earth_engine_project() -> str:
    """The Cloud project that Earth Engine is used with; empty for that of the credentials."""
    return _text(EARTH_ENGINE_PROJECT_KEY)


def set_earth_engine_project(project: str) -> None:
    """Name the Cloud project; empty for none."""
    _set_text(EARTH_ENGINE_PROJECT_KEY, project)


def earth_engine_key_file() -> str:
    """Path of a service account's key file; empty for the user's own sign-in."""
    return _text(EARTH_ENGINE_KEY_FILE_KEY)


def set_earth_engine_key_file(path: str) -> None:
    """Name the key file, of which only the path is kept; empty for none."""
    _set_text(EARTH_ENGINE_KEY_FILE_KEY, path)


def proxy_variables() -> dict[str, str]:
    """QGIS's proxy as the environment variables that pip reads; empty where QGIS uses none of its own.

    A proxy whose password lies in QGIS's authentication store is given without it: reading it may ask the
    user for the master password.
    """
    settings = QgsSettings()
    if not settings.value("proxy/proxyEnabled", False, type=bool):
        return {}
    host = str(settings.value("proxy/proxyHost", "", type=str)).strip()
    kind = settings.value("proxy/proxyType", "", type=str)
    if not host or kind not in ("HttpProxy", "HttpCachingProxy", "Socks5Proxy"):
        return {}
    port = settings.value("proxy/proxyPort", "", type=str)
    user = settings.value("proxy/proxyUser", "", type=str)
    password = settings.value("proxy/proxyPassword", "", type=str)
    scheme = "socks5" if kind == "Socks5Proxy" else "http"
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
    address = f"{scheme}://{login}{host}" + (f":{port}" if port else "")
    excluded = settings.value("proxy/noProxyUrls", [], type=list) or []
    variables = {"HTTP_PROXY": address, "HTTPS_PROXY": address}
    if excluded:
        variables["NO_PROXY"] = ",".join(str(item).split("://")[-1].strip("/") for item in excluded)
    return variables


def _text(key: str) -> str:
    return str(QgsSettings().value(key, "", type=str)).strip()


def _set_text(key: str, text: str) -> None:
    settings = QgsSettings()
    if text:
        settings.setValue(key, text)
    else:
        settings.remove(key)
