"""The two addresses of the demo: the clinic's site, in this process, and the sandbox, in one of its own."""

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
#: How long the sandbox may take to come up, and to go.
PATIENCE = 10


class DemoError(Exception):
    """Why the demo cannot go on, in words for the person who started it."""


def check_port(port: int, option: str) -> None:
    """Raise DemoError, with what to do about it, when nothing can be served at ``port``."""
    if port == ANY:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise DemoError(describe_port(port, option, error)) from error


def describe_port(port: int, option: str, error: OSError) -> str:
    """One sentence: what is wrong and what helps."""
    taken = error.errno == errno.EADDRINUSE
    problem = "is in use by another program" if taken else f"cannot be used ({error.strerror})"
    help_ = f"choose another one with {option}, for example {option} {max(port, 1024) + 1}"
    return f"Port {port} {problem}: {'stop that program or ' if taken else ''}{help_}."


# The site


class QuietHandler(WSGIRequestHandler):
    """A line for every request would bury the banner; errors are logged by Django itself."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        pass


@contextmanager
def serve_site(port: int) -> Iterator[str]:
    """Answer requests in threads of this process until the block ends; its address."""
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
    # Leaving must not wait for a browser that keeps its connection open.
    server.block_on_close = False
    server.set_app(StaticFilesHandler(get_internal_wsgi_application()))
    return server


# The sandbox


@contextmanager
def run_sandbox(port: int) -> Iterator[str]:
    """A process with a sandbox in it, ended with the block; its address."""
    command = [sys.executable, "-m", "django_meetergo.sandbox", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")  # noqa: S603
    try:
        yield read_address(process)
    finally:
        stop(process)


def read_address(process: subprocess.Popen[str]) -> str:
    """Wait for what a sandbox prints when it is ready. Its address stands behind “API”."""
    alarm = threading.Timer(PATIENCE, process.kill)
    alarm.start()
    try:
        for line in process.stdout or ():
            name, _, address = line.partition(" ")
            if name == "API":
                return address.strip()
    finally:
        alarm.cancel()
    raise DemoError("The sandbox did not start; what it said stands above.")


def stop(process: subprocess.Popen[str]) -> None:
    """Ask the process to go; insist when it does not."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
