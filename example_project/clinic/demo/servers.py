"""The demo's two servers: the site in this process and the sandbox in another one."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.servers.basehttp import (
    ThreadedWSGIServer,
    WSGIRequestHandler,
    get_internal_wsgi_application,
)

HOST = "127.0.0.1"
ANY = 0
#: Seconds the sandbox may take to start and to stop.
TIMEOUT = 10


class DemoError(Exception):
    """The demo cannot go on; the message says why and what helps."""


def check_port(port: int, option: str) -> None:
    """Raise ``DemoError`` if no server can listen on ``port``."""
    if port == ANY:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise DemoError(describe_port(port, option, error)) from error


def describe_port(port: int, option: str, error: OSError) -> str:
    """Return one sentence that says what is wrong with a port and what helps."""
    is_in_use = error.errno == errno.EADDRINUSE
    problem = "is in use by another program" if is_in_use else f"cannot be used ({error.strerror})"
    help_ = f"choose another one with {option}, for example {option} {max(port, 1024) + 1}"
    return f"Port {port} {problem}: {'stop that program or ' if is_in_use else ''}{help_}."


# The site


class QuietHandler(WSGIRequestHandler):
    """Does not print requests, so that the banner stays visible. Django logs errors."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        pass


@contextmanager
def serve_site(port: int) -> Iterator[str]:
    """Serve the site in threads of this process until the block ends. Yield its address."""
    server = open_site(port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def open_site(port: int) -> ThreadedWSGIServer:
    try:
        server = ThreadedWSGIServer((HOST, port), QuietHandler)
    except OSError as error:
        raise DemoError(describe_port(port, "--port", error)) from error
    # Stopping does not wait for browsers that keep connections open.
    server.block_on_close = False
    server.set_app(StaticFilesHandler(get_internal_wsgi_application()))
    return server


# The sandbox


@contextmanager
def run_sandbox(port: int) -> Iterator[str]:
    """Run a sandbox in another process until the block ends. Yield its address."""
    command = [sys.executable, "-m", "django_meetergo.sandbox", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")  # noqa: S603
    try:
        yield read_address(process)
    finally:
        stop(process)


def read_address(process: subprocess.Popen[str]) -> str:
    """Wait until the sandbox prints its addresses; return the one after “API”."""
    alarm = threading.Timer(TIMEOUT, process.kill)
    alarm.start()
    try:
        for line in process.stdout or ():
            name, _, address = line.partition(" ")
            if name == "API":
                return address.strip()
    finally:
        alarm.cancel()
    raise DemoError("The sandbox did not start; its messages are above.")


def stop(process: subprocess.Popen[str]) -> None:
    """Terminate the process; kill it if that takes too long."""
    process.terminate()
    try:
        process.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
