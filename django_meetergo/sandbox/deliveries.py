"""Webhook deliveries: at least once, in no promised order, and never outside this computer."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django_meetergo.sandbox.request_log import Entry, RequestLog

TIMEOUT = 30.0
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

# Takes an endpoint and a body, answers the status. A test kit may put its own in place of the network.
Transport = Callable[[str, bytes], int]


@dataclass
class Delivery:
    """One body on its way to one endpoint."""

    id: int
    webhook_id: int | None
    endpoint: str
    event: str
    appointment_id: str | None
    body: bytes
    attempt: int = 1
    due: float = 0.0  # on the monotonic clock


@dataclass
class DeliverySettings:
    """How deliveries behave."""

    duplicate: int = 1
    delay: float = 0.0
    drop: int = 0  # how many of the next deliveries are lost; -1 loses all
    retries: int = 3
    retry_seconds: float = 0.5
    hold: bool = False
    legacy: bool = False
    manual: bool = False  # nothing is sent until somebody calls pump()
    seed: int = 0
    dice: random.Random = field(default_factory=random.Random, repr=False)


class OutsideError(Exception):
    """The endpoint is not on this computer."""


def is_loopback(endpoint: str) -> bool:
    """Whether an address is on this computer."""
    host = urlsplit(endpoint).hostname or ""
    return host in LOOPBACK or host.startswith("127.") or host.endswith(".localhost")


def post_to_loopback(endpoint: str, body: bytes) -> int:
    """Send a body and answer the status. Nothing is sent to another computer."""
    if not is_loopback(endpoint):
        raise OutsideError(endpoint)
    address = urlsplit(endpoint)
    connection = _connect(address)
    try:
        target = (address.path or "/") + (f"?{address.query}" if address.query else "")
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "meetergo-sandbox",
            "Connection": "close",
        }
        connection.request("POST", target, body, headers)
        response = connection.getresponse()
        response.read(65_536)
        return response.status
    finally:
        connection.close()


def _connect(address: SplitResult) -> http.client.HTTPConnection:
    host = address.hostname or "127.0.0.1"
    if host.endswith(".localhost"):
        host = "127.0.0.1"
    if address.scheme == "https":
        return http.client.HTTPSConnection(host, address.port, timeout=TIMEOUT)
    return http.client.HTTPConnection(host, address.port, timeout=TIMEOUT)


class Deliveries:
    """The outgoing mail of one sandbox, carried by one background thread."""

    def __init__(self, request_log: RequestLog, transport: Transport = post_to_loopback) -> None:
        self.transport = transport
        self.settings = DeliverySettings()
        self._journal = request_log
        self._waiting: list[Delivery] = []
        self._sent: list[Delivery] = []
        self._busy = 0
        self._next_id = 1
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def reset(self) -> None:
        """Forget what is waiting and what was sent, and behave well again; manual stays manual."""
        with self._change:
            self._waiting, self._sent = [], []
            self.settings = DeliverySettings(manual=self.settings.manual)
            self._change.notify_all()

    def close(self) -> None:
        """Stop the background thread. The next delivery starts another."""
        with self._change:
            thread, self._thread, self._closed = self._thread, None, True
            self._change.notify_all()
        if thread is not None:
            thread.join(2)
        self._closed = False

    def enqueue(
        self,
        *,
        webhook_id: int | None,
        endpoint: str,
        event: str,
        document: dict[str, Any],
        envelope: bool = False,
    ) -> None:
        """Put a document on its way, in as many copies as the manners ask for."""
        appointment_id = document.get("id")
        if envelope or self.settings.legacy:
            data = {key: value for key, value in document.items() if key != "webhookType"}
            document = {"event": event, "data": data}
        body = json.dumps(document, ensure_ascii=False).encode()
        with self._change:
            for _ in range(max(self.settings.duplicate, 1)):
                self._put(webhook_id, endpoint, event, appointment_id, body)
            self._start_thread()
            self._change.notify_all()

    def _put(
        self, webhook_id: int | None, endpoint: str, event: str, appointment_id: str | None, body: bytes
    ) -> None:
        due = time.monotonic() + self.settings.delay
        delivery = Delivery(self._next_id, webhook_id, endpoint, event, appointment_id, body, due=due)
        self._next_id += 1
        if self.settings.drop:
            self.settings.drop -= 1 if self.settings.drop > 0 else 0
            self._note(delivery, result="dropped")
            return
        self._waiting.append(delivery)

    def waiting(self) -> int:
        """How many deliveries have not been sent yet."""
        with self._change:
            return len(self._waiting) + self._busy

    def hold(self) -> None:
        """Keep everything back until ``release``."""
        with self._change:
            self.settings.hold = True

    def release(self) -> None:
        """Send what was kept back."""
        with self._change:
            self.settings.hold = False
            self._start_thread()
            self._change.notify_all()

    def shuffle(self, seed: int | None = None) -> None:
        """Put what is waiting in another order, never the one it came in."""
        with self._change:
            before = list(self._waiting)
            self.settings.dice.seed(self.settings.seed if seed is None else seed)
            self.settings.dice.shuffle(self._waiting)
            if self._waiting == before:
                self._waiting.reverse()

    def drop_pending(self) -> int:
        """Lose what is waiting; answer how many that were."""
        with self._change:
            lost, self._waiting = self._waiting, []
            for delivery in lost:
                self._note(delivery, result="dropped")
            self._change.notify_all()
        return len(lost)

    def replay(self) -> int:
        """Send everything that was sent once more; answer how many that are."""
        with self._change:
            again = list(self._sent)
            for old in again:
                self._waiting.append(replace(old, id=self._next_id, attempt=1, due=time.monotonic()))
                self._next_id += 1
            self._start_thread()
            self._change.notify_all()
        return len(again)

    def pump(self) -> list[Entry]:
        """Send all that is waiting, due or not, in this thread; answer the request_log's entries."""
        entries: list[Entry] = []
        while True:
            with self._change:
                if not self._waiting:
                    return entries
                delivery = self._waiting.pop(0)
            entries.append(self._attempt(delivery))

    def wait_idle(self, timeout: float = 5.0) -> bool:
        """Wait until nothing is on its way; False when that takes too long."""
        deadline = time.monotonic() + timeout
        with self._change:
            while self._waiting or self._busy:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._change.wait(left)
        return True

    def _start_thread(self) -> None:
        if self._thread is None and not self.settings.manual and not self._closed:
            self._thread = threading.Thread(target=self._run, name="sandbox-deliveries", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (delivery := self._take()) is not None:
            try:
                self._attempt(delivery)
            finally:
                with self._change:
                    self._busy -= 1
                    self._change.notify_all()

    def _take(self) -> Delivery | None:
        with self._change:
            while not self._closed:
                pause = None
                if self._waiting and not self.settings.hold and not self.settings.manual:
                    first = min(self._waiting, key=lambda delivery: delivery.due)
                    now = time.monotonic()
                    ready = next((one for one in self._waiting if one.due <= now), None)
                    if ready is not None:
                        self._waiting.remove(ready)
                        self._busy += 1
                        return ready
                    pause = first.due - now
                self._change.wait(pause)
        return None

    def _attempt(self, delivery: Delivery) -> Entry:
        try:
            status = self.transport(delivery.endpoint, delivery.body)
        except OutsideError:
            return self._note(delivery, result="not sent: the address is outside this computer")
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._again(delivery)
            return self._note(delivery, result=f"failed: {type(error).__name__}")
        with self._change:
            if 200 <= status < 300:
                self._sent.append(delivery)
        if not 200 <= status < 300:
            self._again(delivery)
        return self._note(delivery, result="answered", status=status)

    def _again(self, delivery: Delivery) -> None:
        with self._change:
            if delivery.attempt <= self.settings.retries:
                pause = self.settings.retry_seconds * 2 ** (delivery.attempt - 1)
                due = time.monotonic() + pause
                self._waiting.append(replace(delivery, attempt=delivery.attempt + 1, due=due))
                self._change.notify_all()

    def _note(self, delivery: Delivery, **facts: Any) -> Entry:
        address = urlsplit(delivery.endpoint)
        return self._journal.write(
            "delivery",
            delivery=delivery.id,
            webhookId=delivery.webhook_id,
            # The path holds the receiver's token, so it stays out.
            endpoint=f"{address.scheme}://{address.netloc}/…",
            event=delivery.event,
            appointmentId=delivery.appointment_id,
            attempt=delivery.attempt,
            digest=hashlib.sha256(delivery.body).hexdigest()[:16],
            **facts,
        )
