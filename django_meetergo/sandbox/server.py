"""An HTTP/1.1 server for a sandbox. It listens on the loopback address only and keeps connections open."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from django_meetergo.sandbox.faults import ConnectionClosed, ConnectionStalled, MalformedReply
from django_meetergo.sandbox.http import MAX_BODY, error_response

if TYPE_CHECKING:
    from django_meetergo.sandbox.app import Sandbox

Headers = list[tuple[str, str]]


class _Listener(ThreadingMixIn, TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, sandbox: Sandbox, port: int) -> None:
        self.sandbox = sandbox
        self.stopping = threading.Event()
        self.connections: set[socket.socket] = set()
        self.condition = threading.Condition()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self.condition:
            self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self.condition:
            self.connections.discard(request)
            self.condition.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what is not a connection error; a caller may disconnect at any time."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener
    _drip_seconds = 0.0

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Print nothing; the request log has every request."""

    def respond(self) -> None:
        """Send the application's response, or close the connection where a fault says so."""
        self._drip_seconds = 0.0
        body = self._read_body()
        if body is None:
            return
        started: list[tuple[str, Headers]] = []

        def start_response(status: str, headers: Headers, _: Any = None) -> Any:
            started.append((status, headers))
            return lambda data: None

        try:
            pieces = self.server.sandbox.wsgi(self._environ(body), start_response)
        except ConnectionClosed as end:
            self._close_without_response(end)
            return
        status, headers = started[0]
        self._send(status, headers, pieces)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_TRACE = respond  # noqa: N815

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Send an error as JSON, like every other response, and close the connection."""
        self.close_connection = True
        response = error_response(code, message or HTTPStatus(code).phrase)
        headers = response.header_list(self.server.sandbox.state.now())
        self._send(response.status_line, headers, [response.body])

    def _read_body(self) -> bytes | None:
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if length < 0 or length > MAX_BODY or "Transfer-Encoding" in self.headers:
            self.send_error(413 if length > MAX_BODY else 411)
            return None
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True  # the rest will not come, and a part is not what was asked
            return None
        return body

    def _environ(self, body: bytes) -> dict[str, Any]:
        path, _, query = self.path.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(self.server.server_address[1]),
            "SERVER_PROTOCOL": self.request_version,
            "REMOTE_ADDR": self.client_address[0],
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "sandbox.drip_headers": self._set_drip,
        }
        for name, value in self.headers.items():
            environ["HTTP_" + name.upper().replace("-", "_")] = value
        return environ

    def _set_drip(self, seconds: float) -> None:
        self._drip_seconds = seconds

    def _send(self, status: str, headers: Headers, pieces: Iterable[bytes]) -> None:
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
        if self.close_connection:
            lines.append("Connection: close")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        parts = iter(pieces)
        if self._drip_seconds:
            self._drip(head)
            head = b""
        elif isinstance(pieces, list):
            head += next(parts, b"") if self.command != "HEAD" else b""
        self.connection.sendall(head)
        sent = len(head.partition(b"\r\n\r\n")[2])
        if self.command != "HEAD":
            for piece in parts:
                self.connection.sendall(piece)
                sent += len(piece)
        declared = int(dict(headers).get("Content-Length", "0"))
        if sent < declared and self.command != "HEAD":
            self.close_connection = True  # the declared rest is not sent

    def _drip(self, head: bytes) -> None:
        size = max(1, -(-len(head) // 20))
        for start in range(0, len(head), size):
            time.sleep(self._drip_seconds / 20)
            self.connection.sendall(head[start : start + size])

    def _close_without_response(self, end: ConnectionClosed) -> None:
        self.close_connection = True
        if isinstance(end, ConnectionStalled):
            self.server.stopping.wait(end.seconds)
        if isinstance(end, MalformedReply):
            self.connection.sendall(end.raw)
        if end.reset:
            self._reset()

    def _reset(self) -> None:
        # With lingering off and without shutdown, closing sends RST instead of FIN. Both files hold the
        # socket open, so they are closed first.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.wfile.close()
        self.connection.close()
        self.rfile, self.wfile = io.BytesIO(), io.BytesIO()  # the base class flushes them


class Server:
    """A sandbox that listens on a port. Use it as a context manager, or call ``stop``."""

    def __init__(self, sandbox: Sandbox, port: int = 0) -> None:
        self.sandbox = sandbox
        self._listener = _Listener(sandbox, port)
        self.port = int(self._listener.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"
        sandbox.state.public_url = self.url
        self._thread = threading.Thread(
            target=self._listener.serve_forever, kwargs={"poll_interval": 0.05}, name="sandbox", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and close every connection."""
        self._listener.stopping.set()
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join(2)
        self._close_connections()
        self.sandbox.close()

    def _close_connections(self) -> None:
        with self._listener.condition:
            for connection in list(self._listener.connections):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._listener.condition.wait_for(lambda: not self._listener.connections, 2)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start(sandbox: Sandbox, port: int = 0) -> Server:
    """Serve a sandbox on the loopback address in a background thread; port 0 is any free port."""
    return Server(sandbox, port)
