"""A TCP server for tests that follows a script for each connection and records the requests."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.recordings import PAYLOADS

Script = Callable[["Connection"], None]


def recorded(name: str) -> bytes:
    return (PAYLOADS / name).read_bytes()


@dataclass
class Request:
    """A request that the server received."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> object:
        return json.loads(self.body)


@dataclass
class Connection:
    """A connection to the server, as a script uses it."""

    server: Server
    sock: socket.socket

    def read_request(self) -> Request | None:
        """Return the next request, or None when the client has closed the connection."""
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = self.sock.recv(65536)
            if not chunk:
                return None
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            body += self.sock.recv(65536)
        method, path, _ = first.split(" ", 2)
        request = Request(method, path, headers, body)
        self.server.requests.append(request)
        return request

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def reset(self) -> None:
        """Close the connection with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def stay_silent(self) -> None:
        """Send nothing until the client closes the connection or the test ends."""
        self.sock.settimeout(0.1)
        while not self.server.stopping:
            with contextlib.suppress(TimeoutError):
                if not self.sock.recv(65536):
                    return


@dataclass
class Server:
    """Run a script for each connection, in a thread of its own."""

    script: Script
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    stopping: bool = False

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.threads: list[threading.Thread] = []
        self.opened: list[Connection] = []

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.listener.getsockname()[1]}"

    def count(self, method: str) -> int:
        return sum(1 for request in self.requests if request.method == method)

    def run(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            if self.stopping:
                sock.close()
                return
            self.connections += 1
            thread = threading.Thread(target=self.serve, args=(sock,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            try:
                if self.tls:
                    sock = self.tls.wrap_socket(sock, server_side=True)
                connection = Connection(self, sock)
                self.opened.append(connection)
                self.script(connection)
            finally:
                sock.close()


@contextlib.contextmanager
def running(script: Script, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(script, tls)
    main = threading.Thread(target=server.run, daemon=True)
    main.start()
    try:
        yield server
    finally:
        server.stopping = True
        with contextlib.suppress(OSError), socket.create_connection(server.listener.getsockname(), 1):
            pass
        main.join(2)
        server.listener.close()
        for connection in server.opened:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        for thread in server.threads:
            thread.join(2)


def answer(status: str | int, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status if isinstance(status, str) else f'{status} Something'}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if not any(name.lower() == "content_length" for name in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answering(status: str | int, body: bytes = b"", **headers: str) -> Script:
    """Answer every request of a connection with the same bytes."""
    return sending(answer(status, body, **headers))


def sending(*parts: bytes, pause: float = 0.0, again: bool = True) -> Script:
    """Answer with these parts, with pauses between them. Close the connection afterwards unless ``again``."""

    def script(connection: Connection) -> None:
        while connection.read_request():
            for part in parts:
                connection.send(part)
                if pause:
                    time.sleep(pause)
            if not again:
                return

    return script


def self_signed(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Return a TLS context for a server on 127.0.0.1, and the CA bundle that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    bundle, keyfile = folder / "ca.pem", folder / "key.pem"
    bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    keyfile.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle, keyfile)
    return context, bundle
