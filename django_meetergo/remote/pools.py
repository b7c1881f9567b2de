"""Connection pools whose connections obey the deadline of the running call.

Each connection registers its socket with the deadline and reports how far the attempt got. Reads reuse
connections; writes use a new one each.
"""

from __future__ import annotations

import functools
import os
import socket
import ssl
import threading
import time
from concurrent.futures import Future
from typing import Any

from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.poolmanager import PoolManager
from urllib3.util.connection import allowed_gai_family, create_connection
from urllib3.util.retry import Retry
from urllib3.util.ssl_ import create_urllib3_context

from django_meetergo.remote.deadline import Deadline, get_current_deadline

CONNECT_SECONDS = 5.0


class _DeadlineConnection:
    """Connect within the deadline, register the socket and report the stage of the attempt."""

    def connect(self: Any) -> None:
        if (deadline := get_current_deadline()) and deadline.stage != "sent":
            deadline.stage = "connecting"
        super().connect()  # type: ignore[misc]

    def _new_conn(self: Any) -> socket.socket:
        deadline = get_current_deadline()
        if deadline is None:
            return super()._new_conn()  # type: ignore[misc, no-any-return]
        sock = _connect(self, deadline)
        deadline.register_socket(sock)
        return sock

    def request(self: Any, *args: Any, **kwargs: Any) -> None:
        if self.is_closed:
            self.connect()  # explicitly, so that a failure to connect is not taken for a failure to send
        elif (deadline := get_current_deadline()) and not deadline.stage:
            deadline.register_socket(self.sock)  # kept alive since an earlier call
        if deadline := get_current_deadline():
            deadline.stage = "sent"
        super().request(*args, **kwargs)  # type: ignore[misc]


def _connect(connection: Any, deadline: Deadline) -> socket.socket:
    """Try the addresses of the host in turn, within ``CONNECT_SECONDS`` in total.

    Each gets its share of the time, so that one that does not answer leaves some to the others.
    """
    ends = time.monotonic() + min(deadline.seconds_left, CONNECT_SECONDS)
    failure: OSError = TimeoutError("no time left to connect")
    addresses = _resolve_host(connection, ends - time.monotonic())
    for number, address in enumerate(addresses):
        if (left := ends - time.monotonic()) <= 0:
            break
        try:
            sock = create_connection(
                (address, connection.port),
                left / (len(addresses) - number),
                source_address=connection.source_address,
                socket_options=connection.socket_options,
            )
        except OSError as error:
            failure = error
        else:
            sock.settimeout(left)  # for the TLS handshake
            return sock
    if isinstance(failure, TimeoutError):
        raise ConnectTimeoutError(connection, "connecting took too long") from failure
    raise NewConnectionError(connection, "could not connect") from failure


def _resolve_host(connection: Any, seconds: float) -> list[str]:
    """Return the IP addresses of the host, without duplicates. Raise ``NameResolutionError``.

    A thread asks, because nothing else bounds a resolver that does not answer.
    """
    outcome: Future[list[Any]] = Future()

    def resolve() -> None:
        try:
            host = connection.host.strip("[]")
            found = socket.getaddrinfo(host, connection.port, allowed_gai_family(), socket.SOCK_STREAM)
        except Exception as error:  # noqa: BLE001 - raised in the caller's thread
            outcome.set_exception(error)
        else:
            outcome.set_result(found)

    threading.Thread(target=resolve, name="meetergo-resolver", daemon=True).start()
    try:
        found = outcome.result(max(seconds, 0.0))
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, "resolving the name took too long") from error
    except (socket.gaierror, UnicodeError) as error:
        cause = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
        raise NameResolutionError(connection.host, connection, cause) from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class DeadlineHTTPConnection(_DeadlineConnection, HTTPConnection):
    """Plain HTTP, for the sandbox on a developer's machine."""


class DeadlineHTTPSConnection(_DeadlineConnection, HTTPSConnection):
    """HTTP over TLS."""


class DeadlineHTTPPool(HTTPConnectionPool):
    ConnectionCls = DeadlineHTTPConnection


class DeadlineHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = DeadlineHTTPSConnection


class _OneShot:
    """Close each connection after its answer, even if the server offers to keep it alive."""

    def _put_conn(self: Any, conn: Any) -> None:
        if conn is not None:
            conn.close()
        super()._put_conn(conn)  # type: ignore[misc]


class OneShotHTTPPool(_OneShot, DeadlineHTTPPool):
    """A new connection for every write: a reused one that breaks would leave the outcome unknown."""


class OneShotHTTPSPool(_OneShot, DeadlineHTTPSPool):
    """The same over TLS."""


READ_POOLS = {"http": DeadlineHTTPPool, "https": DeadlineHTTPSPool}
WRITE_POOLS = {"http": OneShotHTTPPool, "https": OneShotHTTPSPool}


def get_tls_context() -> ssl.SSLContext:
    """Return the process-wide TLS context, which trusts the bundle named by the environment, or certifi's."""
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    return _load_context(named or DEFAULT_CA_BUNDLE_PATH)


@functools.cache
def _load_context(bundle: str) -> ssl.SSLContext:
    context = create_urllib3_context()
    if os.path.isdir(bundle):  # noqa: PTH112 - the value is a plain string of the environment
        context.load_verify_locations(capath=bundle)
    else:
        context.load_verify_locations(cafile=bundle)
    return context


class DeadlineAdapter(HTTPAdapter):
    """Reuse connections for reads only, never retry, and load the certificates once per process."""

    def __init__(self, *, for_writes: bool) -> None:
        self._pools = WRITE_POOLS if for_writes else READ_POOLS
        super().__init__(max_retries=Retry(total=False, redirect=False))

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=get_tls_context(), **kwargs)
        self._use_our_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, ssl_context=get_tls_context(), **kwargs)
        if not proxy.lower().startswith("socks"):
            self._use_our_pools(manager)
        return manager

    def _use_our_pools(self, manager: PoolManager) -> None:
        manager.pool_classes_by_scheme = dict(self._pools)

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        """Leave out the path of the CA bundle: with a path, every new connection would load it again."""
        host, _tls = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"cert_reqs": "CERT_REQUIRED"}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Always verify, with the certificates of the shared context."""
        conn.cert_reqs = "CERT_REQUIRED"


#: The adapters of this process by process id, credential fingerprint and use.
_adapters: dict[tuple[int, str, bool], DeadlineAdapter] = {}


def get_adapter(fingerprint: str, *, for_writes: bool) -> DeadlineAdapter:
    """Return this process's adapter for a credential. A forked process makes its own."""
    pid = os.getpid()
    adapter = _adapters.get((pid, fingerprint, for_writes))
    if adapter is None:
        for key in [key for key in list(_adapters) if key[0] != pid]:
            _adapters.pop(key, None)  # another thread may have done it
        adapter = _adapters.setdefault((pid, fingerprint, for_writes), DeadlineAdapter(for_writes=for_writes))
    return adapter


def close_connections() -> None:
    """Close the connections that this process keeps alive."""
    for key in list(_adapters):
        if adapter := _adapters.pop(key, None):
            adapter.close()
