"""HTTP for the client library, with an end to every wait and no address or password in an error."""

from __future__ import annotations

import threading
from typing import Any

import httplib2
import requests

_CONNECT_SECONDS = 20.0


class Unreachable(ConnectionError):
    """There was no whole answer; the message says why in general words.

    Attributes:
        may_pass: whether trying again makes sense.
    """

    def __init__(self, message: str, may_pass: bool = True) -> None:
        super().__init__(message)
        self.may_pass = may_pass


class Transport:
    """Takes requests as ``httplib2.Http`` does, in any thread; each has its own connections.

    Proxies and certificates are those of the environment variables that ``requests`` reads.

    Args:
        seconds: to wait for the next bytes of an answer.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._of_thread = threading.local()

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: Any = None,
        headers: dict[str, str] | None = None,
        redirections: int | None = None,
        connection_type: Any = None,
    ) -> tuple[httplib2.Response, bytes]:
        """The answer's status and headers, and its body.

        Raises:
            Unreachable: there is no whole answer.
        """
        try:
            answer = self._session().request(
                method,
                uri,
                data=body,
                headers=headers,
                timeout=(_CONNECT_SECONDS, self._seconds),
                auth=_as_it_is,
            )
        except requests.RequestException as error:
            # What the library says holds addresses, and those of proxies may hold passwords.
            raise _in_words(error, self._seconds) from None
        described = {**answer.headers, "status": str(answer.status_code)}
        return httplib2.Response(described), answer.content

    def _session(self) -> requests.Session:
        if not hasattr(self._of_thread, "session"):
            self._of_thread.session = requests.Session()
        session: requests.Session = self._of_thread.session
        return session


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leaves the sign-in to the headers, in which a user's ``.netrc`` would else replace it."""
    return request


def _in_words(error: requests.RequestException, seconds: float) -> Unreachable:
    if isinstance(error, requests.exceptions.ProxyError):
        return Unreachable("the proxy does not let the connection through: see QGIS's network settings")
    if isinstance(error, requests.exceptions.SSLError):
        return Unreachable(
            "the connection is not trusted: its certificate could not be verified. Where a proxy inspects "
            "connections, name its certificate in the environment variable REQUESTS_CA_BUNDLE",
            may_pass=False,
        )
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return Unreachable(f"the server could not be reached within {_CONNECT_SECONDS:.0f} s")
    if isinstance(error, requests.exceptions.Timeout) or "timed out" in str(error):
        return Unreachable(f"the server sent nothing for {seconds:g} s")
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema)):
        return Unreachable("the server's address is none", may_pass=False)
    if isinstance(
        error, (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)
    ):
        return Unreachable("the answer broke off")
    return Unreachable("the connection to the server broke, or there is none")
