"""Connections that keep time: they show their sockets to the watch of the running call, and report to it."""

from __future__ import annotations

import functools
import os
import socket
import ssl
import time
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
    """What both connection classes do differently: connect within the deadline, and report."""

    def connect(self: Any) -> None:
        if (watch := get_current_deadline()) and watch.stage != "sent":
            watch.stage = "connecting"
        super().connect()  # type: ignore[misc]

    def _new_conn(self: Any) -> socket.socket:
        watch = get_current_deadline()
        if watch is None:
            return super()._new_conn()  # type: ignore[misc, no-any-return]
        sock = _connect(self, watch)
        watch.show(sock)
        return sock

    def request(self: Any, *args: Any, **kwargs: Any) -> None:
        if self.is_closed:
            self.connect()  # now, so that failing to connect and failing to send stay two things
        elif (watch := get_current_deadline()) and not watch.stage:
            watch.show(self.sock)  # a connection kept alive since an earlier call
        if watch := get_current_deadline():
            watch.stage = "sent"
        super().request(*args, **kwargs)  # type: ignore[misc]


def _connect(connection: Any, watch: Deadline) -> socket.socket:
    """Try the addresses of the host in turn, all of them within one allowance."""
    ends = time.monotonic() + min(watch.left, CONNECT_SECONDS)
    failure: OSError = TimeoutError("no time left to connect")
    for address in _addresses(connection):
        if (left := ends - time.monotonic()) <= 0:
            break
        try:
            return create_connection(
                (address, connection.port),
                left,
                source_address=connection.source_address,
                socket_options=connection.socket_options,
            )
        except OSError as error:
            failure = error
    if isinstance(failure, TimeoutError):
        raise ConnectTimeoutError(connection, "connecting took too long") from failure
    raise NewConnectionError(connection, "could not connect") from failure


def _addresses(connection: Any) -> list[str]:
    try:
        found = socket.getaddrinfo(
            connection.host.strip("[]"), connection.port, allowed_gai_family(), socket.SOCK_STREAM
        )
    except (socket.gaierror, UnicodeError) as error:
        cause = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
        raise NameResolutionError(connection.host, connection, cause) from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class DeadlineHTTPConnection(_DeadlineConnection, HTTPConnection):
    """Plain HTTP, for the sandbox on one's own machine."""


class DeadlineHTTPSConnection(_DeadlineConnection, HTTPSConnection):
    """TLS."""


class DeadlineHTTPPool(HTTPConnectionPool):
    ConnectionCls = DeadlineHTTPConnection


class DeadlineHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = DeadlineHTTPSConnection


class _OneShot:
    """Closes each connection after its answer, whatever the server would like."""

    def _put_conn(self: Any, conn: Any) -> None:
        if conn is not None:
            conn.close()
        super()._put_conn(conn)  # type: ignore[misc]


class OneShotHTTPPool(_OneShot, DeadlineHTTPPool):
    """A fresh connection for every write: an idle one that dies under it would leave the outcome open."""


class OneShotHTTPSPool(_OneShot, DeadlineHTTPSPool):
    """The same over TLS."""


READ_POOLS = {"http": DeadlineHTTPPool, "https": DeadlineHTTPSPool}
WRITE_POOLS = {"http": OneShotHTTPPool, "https": OneShotHTTPSPool}


def tls_context() -> ssl.SSLContext:
    """The one TLS context of this process, trusting what the environment or certifi says."""
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    return _load_context(named or DEFAULT_CA_BUNDLE_PATH)


@functools.cache
def _load_context(bundle: str) -> ssl.SSLContext:
    context = create_urllib3_context()
    if os.path.isdir(bundle):  # noqa: PTH112 - the value is the environment's, and only asked this
        context.load_verify_locations(capath=bundle)
    else:
        context.load_verify_locations(cafile=bundle)
    return context


class DeadlineAdapter(HTTPAdapter):
    """Reads share connections, writes do not; nothing is sent twice; certificates are loaded once."""

    def __init__(self, *, for_writes: bool) -> None:
        self._pools = WRITE_POOLS if for_writes else READ_POOLS
        super().__init__(max_retries=Retry(total=False, redirect=False))

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=tls_context(), **kwargs)
        self._use_our_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, ssl_context=tls_context(), **kwargs)
        if not proxy.lower().startswith("socks"):
            self._use_our_pools(manager)
        return manager

    def _use_our_pools(self, manager: PoolManager) -> None:
        manager.pool_classes_by_scheme = dict(self._pools)

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        """Without the path of the bundle: the shared context holds it, and a path would load it again."""
        host, _tls = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"cert_reqs": "CERT_REQUIRED"}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Always verify, with what the shared context holds."""
        conn.cert_reqs = "CERT_REQUIRED"


# The connections of this process

_adapters: dict[tuple[int, str, bool], DeadlineAdapter] = {}


def get_adapter(fingerprint: str, *, for_writes: bool) -> DeadlineAdapter:
    """This process's connections for a credential; a forked worker makes its own."""
    pid = os.getpid()
    adapter = _adapters.get((pid, fingerprint, for_writes))
    if adapter is None:
        for key in [key for key in _adapters if key[0] != pid]:
            del _adapters[key]
        adapter = _adapters.setdefault((pid, fingerprint, for_writes), DeadlineAdapter(for_writes=for_writes))
    return adapter


def close_connections() -> None:
    """Hang up: close what this process keeps alive."""
    for key in list(_adapters):
        if adapter := _adapters.pop(key, None):
            adapter.close()
