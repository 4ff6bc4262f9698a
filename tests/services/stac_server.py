"""A stand-in for a STAC API with its files: item search, tokens, range requests, and faults on command.

It serves the scenes and heights of a :class:`tests.services.stac_world.World` twice over, as Earth Search
does (open files) and as Planetary Computer does (files that want a token). It also answers as a proxy:
whatever host a request's address names, it is served from here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.services.stac_faults import Asked, Fault
from tests.services.stac_world import World

EARTH_SEARCH, PLANETARY_COMPUTER = "Earth Search", "Planetary Computer"
_ROOTS = {EARTH_SEARCH: "/v1", PLANETARY_COMPUTER: "/api/stac/v1"}
_TOKENS = "/api/sas/v1/token/"
_OPEN, _SIGNED = "/open/", "/signed/"
_WEB_PAGE = b"<!DOCTYPE html><html><body>Please sign in to the network.</body></html>"
_KNOWN = {
    "collections",
    "bbox",
    "datetime",
    "query",
    "fields",
    "limit",
    "token",
    "intersects",
    "ids",
    "sortby",
}


@dataclass
class StacServer:
    """The server; it runs while the context lasts.

    Attributes:
        world: what it serves.
        page: items of a page of a search at most.
        token_seconds: a token's life.
        certificate: file with key and certificate, for https.
        public: scheme and host by which it names itself; its address if empty.
        login: user and password, with a colon between them, that it wants as a proxy.
        secret: what the tokens are made with.
        faults: struck in this order, each until it is used up.
        asked: all requests.
        busy: seconds spent on answers, all threads together.
        largest: requests under way at once, at most.
    """

    world: World
    page: int = 1000
    token_seconds: float = 3600.0
    certificate: Path | None = None
    public: str = ""
    login: str = ""
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    faults: list[Fault] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    busy: float = 0.0
    largest: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _under_way: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> StacServer:
        server = self

        class Handler(_Handler):
            service = server

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._http.shutdown()
        self._http.server_close()

    @property
    def address(self) -> str:
        """Scheme, host and port."""
        return f"{'http' if self.certificate is None else 'https'}://127.0.0.1:{self._http.server_port}"

    def root(self, catalogue: str) -> str:
        """The API's root of a catalogue."""
        return (self.public or self.address) + _ROOTS[catalogue]

    def fail(self, kind: str, where: str = "", **settings: Any) -> Fault:
        """Let something go wrong; see :class:`Fault`."""
        self.faults.append(Fault(kind, where, **settings))
        return self.faults[-1]

    def count(self, where: str) -> int:
        """Requests whose path holds some text."""
        return sum(where in asked.path for asked in self.asked)

    def token(self, collection: str, end: float) -> str:
        """A token for a collection's files that ends at a time."""
        expiry = datetime.fromtimestamp(end, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        return (
            f"sv=2024-05-04&sp=rl&se={expiry.replace(':', '%3A')}&sig={self._signature(collection, expiry)}"
        )

    def allows(self, collection: str, query: str) -> bool:
        """Whether a query holds a collection's token that has not ended."""
        given = {name: values[0] for name, values in parse_qs(query).items()}
        expiry = given.get("se", "")
        if not hmac.compare_digest(given.get("sig", ""), self._signature(collection, expiry)):
            return False
        return datetime.fromisoformat(expiry.replace("Z", "+00:00")).timestamp() > time.time()

    def _signature(self, collection: str, expiry: str) -> str:
        return hmac.new(self.secret, f"{collection} {expiry}".encode(), hashlib.sha256).hexdigest()

    def search(self, catalogue: str, body: dict[str, Any]) -> dict[str, Any]:
        """A page of the items that a search finds.

        Raises:
            ValueError: it cannot be understood.
        """
        unknown = set(body) - _KNOWN
        if unknown:
            raise ValueError(f"unknown parameters {sorted(unknown)}")
        found = list(self._matching(catalogue, body))
        first, limit = int(body.get("token", 0)), min(int(body.get("limit", 10)), self.page)
        links = []
        if first + limit < len(found):
            merged = catalogue == EARTH_SEARCH
            following = {"token": first + limit} if merged else {**body, "token": first + limit}
            link = {"rel": "next", "method": "POST", "href": f"{self.root(catalogue)}/search"}
            links.append({**link, "body": following, "merge": merged})
        include = body.get("fields", {}).get("include")
        features = [_only(item, include) for item in found[first : first + limit]]
        return {"type": "FeatureCollection", "features": features, "links": links}

    def _matching(self, catalogue: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        files = (self.public or self.address) + (_OPEN if catalogue == EARTH_SEARCH else _SIGNED)
        for item in self.world.items(catalogue == EARTH_SEARCH, files):
            if item["collection"] not in body.get("collections", ()):
                continue
            if "bbox" in body and not _overlap(item["bbox"], body["bbox"]):
                continue
            moment = item["properties"]["datetime"]
            if "datetime" in body:
                start, _, end = body["datetime"].partition("/")
                if not _moment(start) <= _moment(moment) <= _moment(end):
                    continue
            if all(
                _compare(item["properties"].get(name), test) for name, test in body.get("query", {}).items()
            ):
                yield item


class _Handler(BaseHTTPRequestHandler):
    service: StacServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is said on stderr."""

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        began = time.perf_counter()
        service = self.service
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        asked = Asked(self.command, parts.path, self.headers.get("Range", ""), bool(parts.netloc))
        with service._lock:
            service._under_way += 1
            service.largest = max(service.largest, service._under_way)
            service.asked.append(asked)
            fault = next((one for one in service.faults if one.strikes(asked.method, asked.path)), None)
        try:
            self._answer(asked, parts.query, sent, fault)
            self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with service._lock:
                service._under_way -= 1
                service.busy += time.perf_counter() - began

    def _answer(self, asked: Asked, query: str, sent: bytes, fault: Fault | None) -> None:
        kind = fault.kind if fault else ""
        wanted = f"Basic {b64encode(self.service.login.encode()).decode()}"
        if asked.proxied and self.service.login and self.headers.get("Proxy-Authorization") != wanted:
            self._send(407, b"", "text/plain", {"Proxy-Authenticate": 'Basic realm="proxy"'})
            return
        if kind == "cut":
            self.close_connection = True
            return
        if fault and kind == "slow":
            self.service._ended.wait(fault.seconds)
        if fault and kind.isdigit():
            headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            text = json.dumps({"code": kind, "description": f"told to fail with {kind}"}).encode()
            self._send(int(kind), text, "application/json", headers)
        elif kind == "html":
            self._send(200, _WEB_PAGE, "text/html")
        elif kind == "nonsense":
            self._send(200, b'{"unexpected": []}', "application/json")
        else:
            half = fault if fault and kind in ("truncated", "stalled") else None
            self._route(asked, query, sent, half)

    def _route(self, asked: Asked, query: str, sent: bytes, half: Fault | None) -> None:
        service, path = self.service, asked.path
        catalogue = next((name for name, root in _ROOTS.items() if path == f"{root}/search"), None)
        if catalogue is not None and asked.method == "POST":
            try:
                answer = service.search(catalogue, json.loads(sent))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                text = json.dumps({"code": "BadRequest", "description": str(error)}).encode()
                self._send(400, text, "application/json")
                return
            self._send(200, json.dumps(answer).encode(), "application/geo+json", half=half)
        elif path.startswith(_TOKENS):
            end = time.time() + service.token_seconds
            token = service.token(path[len(_TOKENS) :], end)
            expiry = datetime.fromtimestamp(end, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            text = json.dumps({"msft:expiry": expiry, "token": token}).encode()
            self._send(200, text, "application/json", half=half)
        elif path.startswith(_OPEN):
            self._file(path[len(_OPEN) :], asked.range, half)
        elif path.startswith(_SIGNED):
            name = path[len(_SIGNED) :]
            if service.allows(name.partition("/")[0], query):
                self._file(name, asked.range, half)
            else:
                text = b"<?xml version='1.0'?><Error><Code>AuthenticationFailed</Code></Error>"
                self._send(403, text, "application/xml")
        else:
            self._send(404, b'{"code": "NotFound", "description": "no such path"}', "application/json")

    def _file(self, name: str, wanted: str, half: Fault | None) -> None:
        file = self.service.world.file(name)
        if file is None:
            self._send(
                404, b"<?xml version='1.0'?><Error><Code>BlobNotFound</Code></Error>", "application/xml"
            )
            return
        size = file.stat().st_size
        headers = {"Accept-Ranges": "bytes", "ETag": f'"{size}"'}
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
        if match is None:
            self._send(200, file.read_bytes(), "image/tiff", headers, half)
            return
        first = int(match.group(1))
        last = min(size - 1, int(match.group(2) or size - 1))
        if first > last:
            self._send(416, b"", "image/tiff", {"Content-Range": f"bytes */{size}"})
            return
        with file.open("rb") as stream:
            stream.seek(first)
            part = stream.read(last - first + 1)
        self._send(
            206, part, "image/tiff", {**headers, "Content-Range": f"bytes {first}-{last}/{size}"}, half
        )

    def _send(
        self,
        status: int,
        body: bytes,
        kind: str,
        headers: dict[str, str] | None = None,
        half: Fault | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if half is None:
            self.wfile.write(body)
            return
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        if half.kind == "stalled":
            self.service._ended.wait(half.seconds)
        self.close_connection = True


def _only(item: dict[str, Any], include: list[str] | None) -> dict[str, Any]:
    """The fields extension: members that are named, with a dot those of an object."""
    if include is None:
        return item
    kept: dict[str, Any] = {"type": "Feature"}
    for name in include:
        outer, _, inner = name.partition(".")
        if not inner and outer in item:
            kept[outer] = item[outer]
        elif inner and inner in item.get(outer, {}):
            kept.setdefault(outer, {})[inner] = item[outer][inner]
    return kept


def _split(box: list[float]) -> list[list[float]]:
    west, south, east, north = box
    return [box] if west <= east else [[west, south, 180.0, north], [-180.0, south, east, north]]


def _overlap(first: list[float], second: list[float]) -> bool:
    return any(
        a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]
        for a in _split(first)
        for b in _split(second)
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _compare(value: Any, test: dict[str, float]) -> bool:
    compare = {
        "lt": lambda a, b: a < b,
        "lte": lambda a, b: a <= b,
        "gt": lambda a, b: a > b,
        "gte": lambda a, b: a >= b,
    }
    return value is not None and all(compare[name](value, limit) for name, limit in test.items())
