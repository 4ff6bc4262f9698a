"""Signing in to Earth Engine, and asking it for values and pixels."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from typing import Any, Callable, TypeVar

import ee
import numpy as np
from google.oauth2 import service_account
from numpy.typing import NDArray

from imagetodem_qgis.core.retry import BackOff, retrying
from imagetodem_qgis.worker.earthengine import advice
from imagetodem_qgis.worker.earthengine.failures import Failure, PassingFailure, translated
from imagetodem_qgis.worker.earthengine.redaction import strike_out
from imagetodem_qgis.worker.earthengine.transport import Transport

_SCOPES = ("https://www.googleapis.com/auth/earthengine", "https://www.googleapis.com/auth/cloud-platform")
_NPY = b"\x93NUMPY"

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Access:
    """How to get at Earth Engine.

    Attributes:
        address: of the server.
        project: id of the Cloud project; empty for the one of the credentials.
        key_file: of a service account; empty for the user's own sign-in.
        seconds: to wait for the next bytes of an answer.
        back_off: between attempts.
    """

    address: str
    project: str
    key_file: str
    seconds: float
    back_off: BackOff


class Session:
    """A connection that is signed in. Values and pixels may be asked for in several threads at once.

    Args:
        access: how to get at Earth Engine.
        tell: is told of failures that are tried again.

    Raises:
        Failure: there is no sign-in or no project, or Earth Engine refuses them.
        PassingFailure: Earth Engine cannot be reached.
    """

    def __init__(self, access: Access, tell: Callable[[str], None]) -> None:
        self._access = access
        self._tell = tell
        credentials, project = _credentials(access)
        # Else the library asks another host, without an end to the wait, which collections are out of date.
        ee.deprecation.deprecated_assets = {"": None}
        ee.data.setMaxRetries(0)
        self._asked(
            lambda: ee.Initialize(
                credentials,
                url=access.address,
                project=project,
                http_transport=Transport(access.seconds),
            )
        )

    def value(self, expression: Any) -> Any:
        """What an expression comes to, as JSON's kinds of values; raises as :class:`Session`."""
        return self._asked(expression.getInfo)

    def pixels(self, expression: Any, grid: dict[str, Any], bands: tuple[str, ...]) -> NDArray[Any]:
        """The pixels of an expression on a grid.

        Args:
            expression: an image.
            grid: Earth Engine's ``PixelGrid``.
            bands: of the image, all of them.

        Returns:
            (rows, columns), with a field for each band.

        Raises:
            Failure: it cannot be computed.
            PassingFailure: it could not be had, in as many attempts as were to be made.
        """
        asked = {"expression": expression, "fileFormat": "NPY", "grid": grid}
        size = grid["dimensions"]
        shape = (size["height"], size["width"])
        return self._asked(lambda: picture_of(ee.data.computePixels(asked), shape, bands))

    def _asked(self, call: Callable[[], Answer]) -> Answer:
        def attempt() -> Answer:
            try:
                return call()
            # Every error of four libraries is to become words.
            except Exception as error:  # noqa: BLE001
                raise translated(error) from None

        return retrying(attempt, back_off=self._access.back_off, tell=self._tell)


def picture_of(content: Any, shape: tuple[int, int], bands: tuple[str, ...]) -> NDArray[Any]:
    """An NPY file's pixels, if they are whole."""
    if not isinstance(content, bytes) or not content.startswith(_NPY):
        raise PassingFailure(
            "Earth Engine sent no pixels but something else, such as a web page of a proxy or of a "
            "network's sign-in"
        )
    try:
        picture = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise PassingFailure("Earth Engine's pixels broke off") from error
    if picture.shape != shape or picture.dtype.names is None or set(picture.dtype.names) != set(bands):
        raise PassingFailure(
            f"Earth Engine sent {picture.shape} pixels of {picture.dtype.names}, not {shape} of {bands}"
        )
    return np.asarray(picture)


def _credentials(access: Access) -> tuple[Any, str]:
    """Credentials and project.

    Raises:
        Failure: one of them is missing.
    """
    if access.key_file:
        credentials, own_project = _of_key_file(access.key_file)
    else:
        credentials, own_project = _of_user()
    project = access.project or own_project
    if not project:
        raise Failure(advice.NO_PROJECT, fatal=True)
    return credentials, project


def _of_key_file(path: str) -> tuple[Any, str]:
    try:
        credentials = service_account.Credentials.from_service_account_file(path, scopes=_SCOPES)
    except OSError as error:
        raise Failure(advice.unreadable_key(path, error.strerror or "no reason told"), fatal=True) from None
    # What the libraries say may quote the file.
    except Exception:  # noqa: BLE001
        raise Failure(advice.no_key(path), fatal=True) from None
    strike_out(credentials.signer.key_id, credentials.service_account_email)
    return credentials, credentials.project_id or ""


def _of_user() -> tuple[Any, str]:
    try:
        credentials = ee.data.get_persistent_credentials()
    except ee.EEException:
        raise Failure(advice.sign_in(sys.executable), fatal=True) from None
    except Exception as error:  # noqa: BLE001
        raise translated(error) from None
    strike_out(credentials.token, getattr(credentials, "refresh_token", None))
    project = getattr(credentials, "quota_project_id", None) or ""
    return credentials, "" if ee.oauth.is_sdk_project(project) else project
