"""The server: the REST protocol over HTTP on this computer."""

from __future__ import annotations

import io
import json
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from tests.services.earthengine import faults as wrong
from tests.services.earthengine.evaluator import Evaluator, ExpressionError
from tests.services.earthengine.faults import Fault, Faults
from tests.services.earthengine.grids import Grid
from tests.services.earthengine.images import Image
from tests.services.earthengine.keys import PROJECT, Key, SignIn
from tests.services.earthengine.world import World

LARGEST_SIDE = 32768
LARGEST_ANSWER = 48 * 1024 * 1024
_PATHS = (
    (wrong.TOKEN, "POST", re.compile(r"/token")),
    (wrong.DISCOVERY, "GET", re.compile(r"/\$discovery/rest")),
    (wrong.DISCOVERY, "GET", re.compile(r"/v1(?:alpha)?/projects/([^/]+)/algorithms")),
    (wrong.VALUE, "POST", re.compile(r"/v1(?:alpha)?/projects/([^/]+)/value:compute")),
    (wrong.PIXELS, "POST", re.compile(r"/v1(?:alpha)?/projects/([^/]+)/image:computePixels")),
)
_PAGE = b"<!DOCTYPE html><html><head><title>Sign in to the network</title></head><body>Welcome</body></html>"


@dataclass
class Request:
    """What a server was asked: kind, path, body as text, and the status of its answer (0 for none yet)."""

    kind: str
    path: str
    body: str
    status: int = 0


class HttpError(Exception):
    """An answer that is an error, as Google's servers word it."""

    def __init__(self, status: int, message: str, retry_after: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after


def interface_of(interpreter: Path) -> Path:
    """The folder with the interface's description that the client library of an interpreter brings along."""
    find = "import importlib.util as u; print(u.find_spec('ee').submodule_search_locations[0])"
    done = subprocess.run([interpreter, "-I", "-c", find], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip()) / "tests"


class EarthEngineServer:
    """A server on a free port; a context manager that ends it.

    Args:
        world: what there is.
        interface: folder of the interface's description, ``ee/tests`` of the client library.
        key: of the only service account that may sign in.
        projects: that are registered.
        delay: seconds that each answer with pixels takes longer than it must.
        certificate: file with key and certificate, for https.
        public: scheme and host by which it names itself, as behind a proxy; its address if empty.

    Attributes:
        world: what there is; it may change.
        faults: to come; see :class:`tests.services.earthengine.faults.Fault`.
        requests: that were made so far.
        most_at_once: pixels that were asked for at the same time.
    """

    def __init__(
        self,
        world: World,
        interface: Path,
        key: Key,
        projects: tuple[str, ...] = (PROJECT,),
        delay: float = 0.0,
        certificate: Path | None = None,
        public: str = "",
    ) -> None:
        self.faults, self.requests, self.most_at_once, self.delay = Faults(), [], 0, delay
        self.world, self.sign_in = world, SignIn(key)
        self._key, self._projects = key, projects
        self._discovery = (interface / "cloud_api_discovery_document.json").read_bytes()
        self._algorithms = (interface / "algorithms.json").read_bytes()
        self._evaluator = Evaluator(interface / "algorithms.json", world.catalogue)
        self._lock, self._busy = threading.Lock(), 0
        self._stopping = threading.Event()
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self._public, self._scheme = public, "http" if certificate is None else "https"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._http.socket = context.wrap_socket(
                self._http.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> EarthEngineServer:
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        """To give a client."""
        return self._public or f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """On this computer, where it also answers as a proxy: whatever host a request names."""
        return int(self._http.server_address[1])

    def write_key(self, path: Path) -> Path:
        """Write a key file that this server takes."""
        return self._key.write(path, f"{self.address}/token")

    def fail(self, kind: str, **details: Any) -> None:
        """Have a fault come; see :class:`tests.services.earthengine.faults.Fault`."""
        self.faults.add(Fault(kind, **details))

    def forget(self) -> None:
        """Be as new: nothing in the world, no fault to come, nothing asked."""
        self.world.clear()
        self.faults.clear()
        with self._lock:
            self.requests.clear()
            self.most_at_once = 0

    def asked(self, kind: str) -> list[Request]:
        """The requests of a kind so far."""
        with self._lock:
            return [request for request in self.requests if request.kind == kind]

    def answer(self, request: Request, project: str | None, headers: Mapping[str, str]) -> tuple[str, bytes]:
        """Type and body of the right answer.

        Raises:
            HttpError: the right answer is an error.
        """
        if request.kind == wrong.TOKEN:
            answer = self.sign_in.token(request.body)
            if "error" in answer:
                raise HttpError(400, json.dumps(answer))
            return "application/json", json.dumps(answer).encode()
        if urlsplit(request.path).path.startswith("/$discovery"):
            return "application/json", self._discovery
        if not self.sign_in.accepts(headers.get("Authorization", "")):
            raise HttpError(401, "Request had invalid authentication credentials.")
        if project not in self._projects:
            raise HttpError(403, f"Caller does not have required permission to use project {project}.")
        if request.kind == wrong.DISCOVERY:
            return "application/json", self._algorithms
        body = json.loads(request.body)
        try:
            value = self._evaluator.value(body["expression"])
            if request.kind == wrong.VALUE:
                return "application/json", json.dumps({"result": value}).encode()
            return "application/octet-stream", self._pixels(value, body)
        except (ValueError, TypeError) as error:
            raise HttpError(400, str(error)) from error

    def _pixels(self, image: Any, body: Mapping[str, Any]) -> bytes:
        if not isinstance(image, Image) or body.get("fileFormat") != "NPY":
            raise ExpressionError("Only images are to be had as pixels, and only as NPY.")
        size, affine = body["grid"]["dimensions"], body["grid"]["affineTransform"]
        if affine.get("shearX") or affine.get("shearY"):
            raise ExpressionError("Sheared grids are not evaluated.")
        columns, rows = int(size["width"]), int(size["height"])
        total = rows * columns * sum(np.dtype(band.dtype).itemsize + 1 for band in image.bands.values())
        if max(columns, rows) > LARGEST_SIDE or total > LARGEST_ANSWER:
            raise ExpressionError(
                f"Total request size ({total} bytes) must be less than or equal to {LARGEST_ANSWER} bytes."
            )
        grid = Grid(
            body["grid"]["crsCode"],
            affine["translateX"],
            affine["translateY"],
            affine["scaleX"],
            affine["scaleY"],
            columns,
            rows,
        )
        picture = np.zeros((rows, columns), [(name, band.dtype) for name, band in image.bands.items()])
        with self._counted():
            self._stopping.wait(self.delay)
            for name, band in image.bands.items():
                picture[name] = band.known(grid)[0]
        stream = io.BytesIO()
        np.save(stream, picture)
        return stream.getvalue()

    def _counted(self) -> _Counted:
        return _Counted(self)

    def wait(self, seconds: float) -> None:
        """Wait, but not beyond the end of the server."""
        self._stopping.wait(seconds)


@dataclass
class _Counted:
    """Counts who is at work on pixels."""

    server: EarthEngineServer
    started: float = field(default_factory=time.monotonic)

    def __enter__(self) -> None:
        server = self.server
        with server._lock:
            server._busy += 1
            server.most_at_once = max(server.most_at_once, server._busy)

    def __exit__(self, *details: object) -> None:
        with self.server._lock:
            self.server._busy -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    owner: EarthEngineServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is no error of the server's."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else small answers wait for the client's acknowledgement of their headers.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._handle("")

    def do_POST(self) -> None:
        self._handle(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

    def _handle(self, body: str) -> None:
        server: EarthEngineServer = self.server.owner  # type: ignore[attr-defined]
        path = urlsplit(self.path).path
        kind, project = self._route(path)
        request = Request(kind, self.path, body)
        with server._lock:
            server.requests.append(request)
        fault = server.faults.of(kind) if kind else None
        try:
            if not kind:
                raise HttpError(404, f"The requested URL {path} was not found on this server.")
            if fault is not None:
                self._before(server, fault)
            content_type, content = server.answer(request, project, self.headers)
        except HttpError as error:
            request.status = error.status
            self._send_error(error, is_plain=kind == wrong.TOKEN and fault is None)
            return
        request.status = 200
        self._send(content_type, content, fault)

    def _route(self, path: str) -> tuple[str, str | None]:
        for kind, method, pattern in _PATHS:
            match = pattern.fullmatch(path)
            if match and method == self.command:
                return kind, match.group(1) if pattern.groups else None
        return "", None

    def _before(self, server: EarthEngineServer, fault: Fault) -> None:
        """What a fault does before the request is looked at."""
        if fault.kind == wrong.STATUS:
            raise HttpError(fault.status, fault.message, fault.retry_after)
        if fault.kind == wrong.SLOW:
            server.wait(fault.seconds)
        if fault.kind == wrong.EXPIRED:
            server.sign_in.withdraw()

    def _send_error(self, error: HttpError, is_plain: bool) -> None:
        wrapped = {"error": {"code": error.status, "message": error.message}}
        content = error.message.encode() if is_plain else json.dumps(wrapped).encode()
        self.send_response(error.status)
        if error.retry_after is not None:
            self.send_header("Retry-After", error.retry_after)
        self._send_body("application/json", content)

    def _send(self, content_type: str, content: bytes, fault: Fault | None) -> None:
        kind = None if fault is None else fault.kind
        if kind == wrong.RESET:
            self._break()
            return
        if kind == wrong.HTML:
            content_type, content = "text/html", _PAGE
        if kind == wrong.GARBLED:
            content = bytes(byte ^ 0x5A for byte in content[:2000])
        if kind == wrong.TRUNCATED:
            content = content[: len(content) // 2]
        self.send_response(200)
        if kind == wrong.CUT:
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self._break()
            return
        self._send_body(content_type, content)

    def _send_body(self, content_type: str, content: bytes) -> None:
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def _break(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *details: Any) -> None:
        """Tests speak for themselves."""
