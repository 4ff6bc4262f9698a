"""HTTP for the client library, with an end to every wait and no address or password in an error."""

from __future__ import annotations

import contextlib
import re
import ssl
import threading
from typing import Any
from urllib.parse import urlsplit

import httplib2
import requests
from requests.adapters import HTTPAdapter

_CONNECT_SECONDS = 20.0
_PIECE = 64 * 1024 * 1024
"""Bytes of a body read at once: more than any answer has."""
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


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
        authorities: whose certificates are trusted too, as PEM.
    """

    def __init__(self, seconds: float, authorities: str = "") -> None:
        self._seconds = seconds
        self._context = _context_with(authorities) if authorities else None
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
            parts = urlsplit(uri)
            answer = self._session(f"{parts.scheme}://{parts.netloc}").request(
                method,
                uri,
                data=body,
                headers=headers,
                timeout=(_CONNECT_SECONDS, self._seconds),
                stream=True,
            )
            # By itself the library reads 10 kB at once, which takes it milliseconds for a picture.
            content = b"".join(answer.iter_content(_PIECE))
        except requests.RequestException as error:
            # What the library says holds addresses, and those of proxies may hold passwords.
            raise _in_words(error, self._seconds) from None
        described = {**answer.headers, "status": str(answer.status_code)}
        return httplib2.Response(described), content

    def _session(self, server: str) -> requests.Session:
        """This thread's session with a server, whose proxy and certificates are looked up once."""
        if not hasattr(self._of_thread, "sessions"):
            self._of_thread.sessions = {}
        sessions: dict[str, requests.Session] = self._of_thread.sessions
        if server not in sessions:
            session = requests.Session()
            found = session.merge_environment_settings(server, {}, None, None, None)
            session.proxies, session.verify = found["proxies"], found["verify"]
            # Else a user's .netrc would replace the sign-in.
            session.trust_env = False
            if self._context is not None:
                session.mount("https://", _Trust(self._context))
            sessions[server] = session
        return sessions[server]


class _Trust(HTTPAdapter):
    """Connections that trust the authorities of a context beside those that a session trusts."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *details: Any, **more: Any) -> Any:
        return super().init_poolmanager(*details, ssl_context=self._context, **more)

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self._context, **more)


def _context_with(authorities: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    # One that OpenSSL cannot read must not keep it from the others.
    for certificate in _CERTIFICATE.findall(authorities):
        with contextlib.suppress(ssl.SSLError, ValueError):
            context.load_verify_locations(cadata=certificate)
    return context


def _in_words(error: requests.RequestException, seconds: float) -> Unreachable:
    if isinstance(error, requests.exceptions.ProxyError):
        return Unreachable("the proxy does not let the connection through: see QGIS's network settings")
    if isinstance(error, requests.exceptions.SSLError):
        return Unreachable(
            "the connection is not trusted: its certificate could not be verified. Where a proxy inspects "
            "connections, add its certificate authority to QGIS in Settings > Options > Authentication > "
            "Manage Certificates",
            may_pass=False,
        )
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return Unreachable(f"the server could not be reached within {_CONNECT_SECONDS:.0f} s")
    if isinstance(error, requests.exceptions.Timeout) or "timed out" in str(error):
        return Unreachable(f"the server sent nothing for {seconds:g} s")
    if isinstance(error, requests.exceptions.InvalidSchema):
        return Unreachable(
            "the proxy is one of SOCKS, for which the machine-learning environment lacks PySocks: install it "
            "there, or name an HTTP proxy in Settings > Options > Network",
            may_pass=False,
        )
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema)):
        return Unreachable("the server's address is none", may_pass=False)
    if isinstance(
        error, (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)
    ):
        return Unreachable("the answer broke off")
    return Unreachable("the connection to the server broke, or there is none")
