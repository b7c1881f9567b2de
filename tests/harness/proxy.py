"""A TCP proxy that breaks connections on purpose, in front of a sandbox, database, cache or broker.

``Proxy`` forwards to one address. In HTTP mode it reads whole requests, so a fault can strike between a
request and its answer; in stream mode it forwards bytes and can be cut, silenced or taken down as a whole.
The faults of HTTP mode are drawn from a seeded random generator and counted.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

CHUNK = 64 * 1024
START_SECONDS = 10

#: What may happen to one HTTP request, and whether the request can have been carried out.
FAULTS: Mapping[str, bool] = {
    "close_before": False,  # read, not forwarded, closed
    "reset_before": False,
    "hang_before": False,  # read, not forwarded, held open
    "cut_request": False,  # half of the request reaches the service
    "bad_gateway": False,  # answered for the service with 502 and a page
    "drop_after": True,  # forwarded, closed without an answer
    "reset_after": True,
    "hang_after": True,  # forwarded, the answer is held back
    "cut_status": True,  # cut inside the status line
    "cut_headers": True,
    "cut_body": True,
    "garbage": True,  # forwarded, answered with bytes that are not HTTP
    "empty_body": True,  # the status line and headers only
    "gateway_timeout": True,  # forwarded, answered with 504 and a page
    "login_page": True,  # forwarded, answered with 200 and a page, as a hotel's network does
    "oversized": True,  # forwarded, answered with 200 and more bytes than any document has
    "late": True,  # closed at once; forwarded some time later
    "replay": True,  # forwarded twice; the first answer is passed on
    "drip": True,  # the answer arrives byte by byte, slower than any deadline
    "slice": True,  # the answer arrives in small pieces; harmless
    "slow": True,  # the answer arrives later; harmless
}


def build_answer(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


#: What is answered in place of the service.
ANSWERS: Mapping[str, bytes] = {
    "bad_gateway": build_answer("502 Bad Gateway", b"<h1>Bad Gateway</h1>"),
    "gateway_timeout": build_answer("504 Gateway Timeout", b"<h1>Gateway Timeout</h1>"),
    "login_page": build_answer("200 OK", b"<h1>Welcome</h1><form>Room <input></form>"),
    "oversized": build_answer("200 OK", b" " * (2 << 20)),
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How often and how HTTP requests are broken.

    ``share`` of the requests whose method is in ``methods`` meet one of ``faults``. ``late_seconds`` bounds
    how much later a ``late`` request lands, ``hang_seconds`` how long a held connection stays open.
    """

    share: float = 0.0
    faults: tuple[str, ...] = tuple(FAULTS)
    methods: frozenset[str] = frozenset({"POST", "PATCH", "PUT", "DELETE"})
    late_seconds: tuple[float, float] = (0.01, 0.3)
    hang_seconds: float = 5.0


@dataclass
class Proxy:
    """One listening address in front of another; use ``start_proxy``."""

    host: str
    port: int
    plan: Plan
    seed: int
    is_http: bool
    counts: Counter[str] = field(default_factory=Counter)
    address: tuple[str, int] = ("", 0)
    is_silent: bool = False
    is_down: bool = False

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.loop = asyncio.new_event_loop()
        self.writers: set[asyncio.StreamWriter] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.is_ready = threading.Event()

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    # Steering, from any thread

    def take_down(self) -> None:
        """Close every connection with a reset and refuse new ones until ``bring_up``."""
        self.is_down = True
        self.loop.call_soon_threadsafe(self._reset_all)

    def bring_up(self) -> None:
        self.is_down = self.is_silent = False

    def silence(self) -> None:
        """Accept connections and keep the open ones, but pass nothing on until ``bring_up``."""
        self.is_silent = True

    def cut_all(self) -> None:
        """Reset every open connection once; new ones work."""
        self.loop.call_soon_threadsafe(self._reset_all)

    # Inside the loop

    def run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._listen())
        self.is_ready.set()
        self.loop.run_forever()
        self.loop.run_until_complete(self._shut_down())
        self.loop.close()

    async def _listen(self) -> None:
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = self.server.sockets[0].getsockname()[:2]

    async def _shut_down(self) -> None:
        self.server.close()
        self._reset_all()
        pending = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    def _reset_all(self) -> None:
        for writer in list(self.writers):
            reset(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            if self.is_down:
                reset(writer)
            elif self.is_http:
                await self._serve_http(reader, writer)
            else:
                await self._serve_stream(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the other side has gone: that is what this proxy is for
        finally:
            self.writers.discard(writer)
            with suppress(OSError):
                writer.close()

    async def _serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(self.host, self.port)
        self.writers.add(up_writer)
        try:
            await asyncio.gather(self._pipe(reader, up_writer), self._pipe(up_reader, writer))
        finally:
            self.writers.discard(up_writer)
            up_writer.close()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            while self.is_silent:
                await asyncio.sleep(0.05)
            writer.write(data)
            await writer.drain()
        with suppress(OSError, RuntimeError):
            writer.write_eof()

    async def _serve_http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await read_request(reader)
            if not request:
                return
            fault = self._draw(request.split(b" ", 1)[0].decode())
            self.counts[fault] += 1
            answer = await self._exchange(request, fault, writer)
            if answer is None:
                return
            writer.write(answer)
            await writer.drain()
            if b"connection: close" in answer.split(b"\r\n\r\n", 1)[0].lower():
                return

    def _draw(self, method: str) -> str:
        """Return the fault of this request, or "none"."""
        if method not in self.plan.methods or self.random.random() >= self.plan.share:
            return "none"
        return self.random.choice(self.plan.faults)

    async def _exchange(self, request: bytes, fault: str, writer: asyncio.StreamWriter) -> bytes | None:
        """Forward a request as the fault wants it. Return what to answer, or None for a closed connection."""
        match fault:
            case "close_before":
                return None
            case "reset_before":
                reset(writer)
                return None
            case "hang_before":
                await asyncio.sleep(self.plan.hang_seconds)
                return None
            case "cut_request":
                await self._forward(request[: len(request) // 2], wait=False)
                return None
            case "late":
                self._forward_later(request, self.random.uniform(*self.plan.late_seconds))
                return None
            case "bad_gateway":
                return ANSWERS[fault]
        answer = await self._forward(request)
        if fault == "replay":
            self._forward_later(request, self.random.uniform(*self.plan.late_seconds))
        return await self._spoil(answer, fault, writer)

    async def _spoil(self, answer: bytes, fault: str, writer: asyncio.StreamWriter) -> bytes | None:
        """Return the answer to pass on; None after what is left of it has been written."""
        if fault == "reset_after":
            reset(writer)
            return None
        if fault == "hang_after":
            await asyncio.sleep(self.plan.hang_seconds)
            return None
        if fault in ANSWERS:
            return ANSWERS[fault]
        if fault in {"drip", "slice"}:
            return await self._write_slowly(answer, fault, writer)
        if fault == "slow":
            await asyncio.sleep(self.random.uniform(0.05, 0.3))
        cut = self._cut(answer, fault)
        if cut is not None:
            writer.write(cut)
            await writer.drain()
            return None
        return answer

    def _cut(self, answer: bytes, fault: str) -> bytes | None:
        """Return what is left of an answer that the fault cuts or replaces; None for the other faults."""
        head, _, body = answer.partition(b"\r\n\r\n")
        match fault:
            case "drop_after":
                return b""
            case "cut_status":
                return answer[:7]
            case "cut_headers":
                return head[: len(head) // 2]
            case "cut_body":
                return head + b"\r\n\r\n" + body[: len(body) // 2]
            case "empty_body":
                return head + b"\r\n\r\n"
            case "garbage":
                return self.random.randbytes(200)
        return None

    async def _write_slowly(self, answer: bytes, fault: str, writer: asyncio.StreamWriter) -> bytes | None:
        if fault == "slice":
            for start in range(0, len(answer), 7):
                writer.write(answer[start : start + 7])
                await writer.drain()
            return b""
        for byte in answer[:40]:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(self.plan.hang_seconds / 40)
        return None

    async def _forward(self, request: bytes, *, wait: bool = True) -> bytes:
        """Send bytes over a connection of their own and return the whole answer."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write(request)
            await writer.drain()
            return await read_answer(reader) if wait else b""
        finally:
            writer.close()

    def _forward_later(self, request: bytes, seconds: float) -> None:
        async def forward() -> None:
            await asyncio.sleep(seconds)
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._forward(request)

        task = self.loop.create_task(forward())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset instead of an orderly end."""
    found: Any = writer.get_extra_info("socket")
    if found is not None:
        with suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Return one HTTP request as it arrived; empty when the client has finished."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return b""
    return head + await reader.readexactly(read_length(head))


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    if b"content-length:" not in head.lower():
        return head + await reader.read()
    return head + await reader.readexactly(read_length(head))


def read_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


@contextmanager
def start_proxy(
    target: tuple[str, int], *, is_http: bool = True, plan: Plan | None = None, seed: int = 1
) -> Iterator[Proxy]:
    """Run a proxy in front of ``target`` in a thread of its own until the block ends."""
    proxy = Proxy(host=target[0], port=target[1], plan=plan or Plan(), seed=seed, is_http=is_http)
    thread = threading.Thread(target=proxy.run, name="fault-proxy", daemon=True)
    thread.start()
    if not proxy.is_ready.wait(START_SECONDS):
        raise RuntimeError("The proxy did not start.")
    try:
        yield proxy
    finally:
        proxy.loop.call_soon_threadsafe(proxy.loop.stop)
        thread.join(START_SECONDS)
