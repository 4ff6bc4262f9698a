"""QGIS's network settings for the Earth Engine worker: the proxy, and the trusted certificate authorities."""

from __future__ import annotations

import os

from qgis.core import QgsApplication

from imagetodem_qgis.runtime.settings import proxy_variables


def trusted_authorities() -> str:
    """The certificate authorities that QGIS trusts, those that the user added among them, as PEM; empty where
    QGIS's authentication system is off."""
    manager = QgsApplication.authManager()
    if manager is None or manager.isDisabled():
        return ""
    return bytes(manager.trustedCaCertsPemText()).decode("ascii", "ignore")


def worker_proxy() -> dict[str, str]:
    """QGIS's proxy as environment variables of the worker."""
    variables = proxy_variables()
    if os.name == "posix":
        # There the small names come first, and may be set for all of the user's programs.
        variables.update({name.lower(): value for name, value in variables.items()})
    return variables
