"""Signing in to Earth Engine, and asking it for values and pixels."""

from __future__ import annotations

import http
import io
import json
import math
import sys
from dataclasses import dataclass
from typing import Any, Callable, TypeVar

import ee
import numpy as np
from google.oauth2 import service_account
from google_auth_httplib2 import AuthorizedHttp
from googleapiclient.errors import HttpError
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
        authorities: whose certificates are trusted beside the library's own, as PEM.
    """

    address: str
    project: str
    key_file: str
    seconds: float
    back_off: BackOff
    authorities: str = ""


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
        transport = Transport(access.seconds, access.authorities)
        self._asked(
            lambda: ee.Initialize(credentials, url=access.address, project=project, http_transport=transport)
        )
        # A request through the library's own client takes it as long as all else that is done for a tile.
        self._signed_in = AuthorizedHttp(credentials, http=transport)
        self._root = f"{access.address}/v1/projects/{project}"
        self._headers = {
            "Content-Type": "application/json",
            # Google's servers compress for those alone who say so twice.
            "User-Agent": "(gzip)",
            "X-Goog-Api-Client": f"ee-py/{ee.__version__}",
            "X-Goog-User-Project": project,
        }

    def value(self, expression: str) -> Any:
        """What an expression comes to, as JSON's kinds of values; raises as :class:`Session`.

        Args:
            expression: in JSON.
        """
        body = f'{{"expression": {expression}}}'
        return self._asked(
            lambda: json.loads(self._posted("value:compute?prettyPrint=false", body))["result"]
        )

    def pixels(self, expression: str, grid: dict[str, Any], bands: tuple[str, ...]) -> NDArray[Any]:
        """The pixels of an expression on a grid.

        Args:
            expression: an image, in JSON.
            grid: Earth Engine's ``PixelGrid``.
            bands: of the image, all of them.

        Returns:
            (rows, columns), with a field for each band.

        Raises:
            Failure: it cannot be computed.
            PassingFailure: it could not be had, in as many attempts as were to be made.
        """
        body = f'{{"expression": {expression}, "fileFormat": "NPY", "grid": {json.dumps(grid)}}}'
        size = grid["dimensions"]
        shape = (size["height"], size["width"])
        return self._asked(lambda: picture_of(self._posted("image:computePixels", body), shape, bands))

    def _posted(self, method: str, body: str) -> bytes:
        """The answer of one of the REST interface's methods."""
        address = f"{self._root}/{method}"
        response, content = self._signed_in.request(address, "POST", body, dict(self._headers))
        if response.status != http.HTTPStatus.OK:
            raise HttpError(response, content, uri=address)
        return bytes(content)

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
        picture = _array_of(content)
    except ValueError as error:
        raise PassingFailure("Earth Engine's pixels broke off") from error
    if picture.shape != shape or picture.dtype.names is None or set(picture.dtype.names) != set(bands):
        raise PassingFailure(
            f"Earth Engine sent {picture.shape} pixels of {picture.dtype.names}, not {shape} of {bands}"
        )
    return picture


def _array_of(content: bytes) -> NDArray[Any]:
    """The array in an NPY file, not copied.

    Raises:
        ValueError: the file is not whole, or holds Python's objects.
    """
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read_header = np.lib.format.read_array_header_2_0
    shape, is_by_columns, dtype = read_header(stream)
    values = np.frombuffer(content, dtype, math.prod(shape), stream.tell())
    return values.reshape(shape, order="F" if is_by_columns else "C")


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
    # The project that is charged is told in a header of its own.
    return credentials.with_quota_project(None) if credentials.quota_project_id else credentials, project


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
