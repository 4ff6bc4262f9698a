"""HTTP as QGIS is set up for it: JSON through its own network, and its proxy and certificates for GDAL."""

from __future__ import annotations

import json
import re
from typing import Any, Callable, NamedTuple
from urllib.parse import quote, urlsplit

from qgis.core import (
    QgsBlockingNetworkRequest,
    QgsFeedback,
    QgsNetworkAccessManager,
)
from qgis.PyQt.QtCore import QByteArray, QEventLoop, QUrl
from qgis.PyQt.QtNetwork import QNetworkProxy, QNetworkProxyQuery, QNetworkReply, QNetworkRequest

from imagetodem_qgis.core.retry import RETRYABLE_STATUS, seconds_of_retry_after
from imagetodem_qgis.pairs.source import RetryableSourceError, SourceError
from imagetodem_qgis.pairs.stac_patience import patiently

CONNECT_SECONDS = 15
STALLED_SECONDS = 20
"""A connection on which nothing comes for so long is given up."""
_TEXT_LENGTH = 200
_ADDRESS = re.compile(r"\w+://[^\s\"'<>]+")


def get_json(address: str, is_cancelled: Callable[[], bool], what: str) -> dict[str, Any]:
    """The JSON object at an address.

    Args:
        address: of the service.
        is_cancelled: asked while waiting.
        what: is asked for, for messages; these name neither the address's query nor the answer's content.

    Raises:
        FetchCancelled: the user cancelled.
        RetryableSourceError: it may succeed later.
        SourceError: it will not.
    """
    return _json(address, None, is_cancelled, what)


def post_json(
    address: str, content: dict[str, Any], is_cancelled: Callable[[], bool], what: str
) -> dict[str, Any]:
    """What a service answers to a JSON object; as :func:`get_json`."""
    return _json(address, json.dumps(content).encode(), is_cancelled, what)


def vsicurl(address: str) -> str:
    """GDAL's name of a file at an address, with QGIS's proxy for it; it may hold secrets.

    The options go with the name, so that no setting of GDAL's is changed under other layers.
    """
    options = {
        "empty_dir": "yes",
        # Trying again is done here, where a cancel is heard.
        "max_retry": "0",
        "connecttimeout": str(CONNECT_SECONDS),
        "low_speed_time": str(STALLED_SECONDS),
        "low_speed_limit": "1",
        **_proxy_options(address),
        "url": address,
    }
    return "/vsicurl?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())


def host(address: str) -> str:
    """The server of an address, for messages."""
    return urlsplit(address).netloc.rpartition("@")[2]


def _json(address: str, body: bytes | None, is_cancelled: Callable[[], bool], what: str) -> dict[str, Any]:
    feedback = QgsFeedback()
    answer = patiently(lambda: _asked(address, body, feedback), is_cancelled, what, feedback.cancel)
    return _content(answer, address, what)


class _Answer(NamedTuple):
    """What came of a request, without Qt's objects: these must end in the thread that made them, and an error
    raised beside them would take them into another one."""

    status: int | None
    content: bytes
    retry_after: str
    problem: str


def _asked(address: str, body: bytes | None, feedback: QgsFeedback) -> _Answer:
    # It makes what Qt's timers need in a thread that Qt did not start, before QGIS sets its own.
    loop = QEventLoop()
    request = QNetworkRequest(QUrl(address))
    request.setRawHeader(b"Accept", b"application/geo+json, application/json")
    if hasattr(request, "setTransferTimeout"):
        request.setTransferTimeout(STALLED_SECONDS * 1000)
    blocking = QgsBlockingNetworkRequest()
    if body is None:
        blocking.get(request, True, feedback)
    else:
        request.setHeader(QNetworkRequest.KnownHeaders.ContentTypeHeader, "application/json")
        blocking.post(request, QByteArray(body), True, feedback)
    reply = blocking.reply()
    _drop_from_disk(request.url(), reply.request().url())
    status = reply.attribute(QNetworkRequest.Attribute.HttpStatusCodeAttribute)
    failed = reply.error() != QNetworkReply.NetworkError.NoError
    answer = _Answer(
        None if status is None else int(status),
        bytes(reply.content()),
        bytes(reply.rawHeader(b"Retry-After")).decode("latin-1"),
        (reply.errorString() or "no reason given") if failed else "",
    )
    del loop
    return answer


def _drop_from_disk(*addresses: QUrl) -> None:
    """QGIS keeps all answers in its profile's folder, also those that hold a token."""
    cache = QgsNetworkAccessManager.instance().cache()
    if cache is not None:
        for address in addresses:
            cache.remove(address)


def _content(answer: _Answer, address: str, what: str) -> dict[str, Any]:
    content = answer.content
    if answer.status is not None and answer.status >= 400:
        wait = seconds_of_retry_after(answer.retry_after)
        raise failure(answer.status, what, host(address), wait, _said(content))
    if answer.problem:
        # Qt's own text names the address, or the one that it was led to; a query may hold a token.
        reason = _ADDRESS.sub(lambda found: host(found.group()), answer.problem)
        raise RetryableSourceError(f"{what}: the connection to {host(address)} failed ({reason})")
    try:
        found = json.loads(content)
    except ValueError as error:
        page = content.lstrip()[:1] == b"<"
        seen = "a web page (of a proxy, or for signing in?)" if page else "no valid JSON"
        raise RetryableSourceError(f"{what}: {host(address)} answered with {seen}") from error
    if not isinstance(found, dict):
        raise RetryableSourceError(f"{what}: {host(address)} answered with no JSON object")
    return found


def failure(
    code: int, what: str, server: str, retry_after: float | None = None, said: str = ""
) -> SourceError:
    """The error for an HTTP status of 400 or more.

    Args:
        code: the status.
        what: was asked for.
        server: that answered.
        retry_after: seconds that it asks to wait, if it does.
        said: by the server, for people.
    """
    told = f": {said}" if said else ""
    if code == 429:
        return RetryableSourceError(
            f"{what}: {server} has had too many requests (HTTP 429){told}", retry_after
        )
    if code in RETRYABLE_STATUS:
        return RetryableSourceError(f"{what}: {server} failed (HTTP {code}){told}", retry_after)
    if code in (401, 403):
        return SourceError(f"{what}: {server} refuses (HTTP {code}){told}", fatal=True)
    if code == 407:
        return SourceError(
            f"{what}: the proxy wants a user and a password: give them in Settings > Options > Network",
            fatal=True,
        )
    if code == 404:
        return SourceError(f"{what}: {server} does not have it (HTTP 404){told}")
    return SourceError(f"{what}: {server} does not accept the request (HTTP {code}){told}", fatal=True)


def _said(content: bytes) -> str:
    """The description in a service's answer to a request that failed (STAC API: ``description``)."""
    try:
        answer = json.loads(content)
    except ValueError:
        return ""
    if not isinstance(answer, dict):
        return ""
    text = next((answer[key] for key in ("description", "detail", "message") if answer.get(key)), "")
    return " ".join(str(text).split())[:_TEXT_LENGTH]


def _proxy_options(address: str) -> dict[str, str]:
    factory = QgsNetworkAccessManager.instance().proxyFactory()
    if factory is None:
        return {}
    proxies = factory.queryProxy(QNetworkProxyQuery(QUrl(address)))
    kinds = QNetworkProxy.ProxyType
    if not proxies or proxies[0].type() == kinds.DefaultProxy:
        return {}
    proxy = proxies[0]
    if proxy.type() == kinds.NoProxy or not proxy.hostName():
        # Empty, it also keeps GDAL from the proxy that QGIS set for all of GDAL, which knows no exceptions.
        return {"proxy": ""}
    scheme = "socks5h" if proxy.type() == kinds.Socks5Proxy else "http"
    options = {"proxy": f"{scheme}://{proxy.hostName()}:{proxy.port()}"}
    if proxy.user():
        options["proxyuserpwd"] = f"{proxy.user()}:{proxy.password()}"
    return options
