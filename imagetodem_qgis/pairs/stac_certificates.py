"""The certificate authorities that the user added to QGIS, for GDAL."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from osgeo import gdal
from qgis.core import QgsApplication

_OPTIONS = ("CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""GDAL's options, or environment variables, for the file of the authorities; its versions do not agree which
of them comes first."""


class Certificates:
    """Makes GDAL trust the authorities that the user added to QGIS beside those that it trusts already, until
    it is closed. Where none was added nothing is changed."""

    def __init__(self) -> None:
        self._file: Path | None = None
        manager = QgsApplication.authManager()
        if manager is None or manager.isDisabled():
            return
        added = [*manager.databaseCAs(), *manager.extraFileCAs()]
        if not added:
            return
        self._before = {option: gdal.GetConfigOption(option) for option in _OPTIONS}
        number, name = tempfile.mkstemp(suffix=".pem")
        self._file = Path(name)
        with os.fdopen(number, "wb") as file:
            file.write(_known_to_gdal() or bytes(manager.trustedCaCertsPemText()))
            trusted = manager.trustedCaCerts()
            for certificate in added:
                if certificate in trusted:
                    file.write(b"\n" + bytes(certificate.toPem()))
        for option in _OPTIONS:
            gdal.SetConfigOption(option, name)

    def close(self) -> None:
        """Put GDAL back as it was."""
        if self._file is None:
            return
        for option, value in self._before.items():
            gdal.SetConfigOption(option, None)
            # Without a value of its own GDAL looks into the environment.
            if gdal.GetConfigOption(option) != value:
                gdal.SetConfigOption(option, value)
        self._file.unlink(missing_ok=True)
        self._file = None


def _known_to_gdal() -> bytes:
    """The authorities in the file that GDAL was given; nothing where it uses the system's."""
    for option in _OPTIONS:
        path = gdal.GetConfigOption(option)
        if path:
            try:
                return Path(path).read_bytes()
            except OSError:
                continue
    return b""
