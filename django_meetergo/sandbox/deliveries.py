"""Webhook deliveries: at least once, in any order, and only to this computer."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django_meetergo.sandbox.request_log import Entry, RequestLog

TIMEOUT = 30.0
MAX_HISTORY = 200
SUCCESSES = range(200, 300)
OUTSIDE = "not sent: the address is outside this computer"

#: Sends a body to an endpoint and returns the status. A test can replace it.
Transport = Callable[[str, bytes], int]


@dataclass
class Delivery:
    """A body to be sent to an endpoint."""

    id: int
    webhook_id: int | None
    endpoint: str
    event: str
    appointment_id: str | None
    body: bytes
    attempt: int = 1
    due: float = 0.0  # on the monotonic clock
    result: str = ""  # of its last attempt
    at: str = ""  # when that was


@dataclass
class DeliverySettings:
    """How deliveries are sent. Durations are seconds."""

    duplicate: int = 1
    delay: float = 0.0
    drop: int = 0  # so many of the next deliveries are dropped; -1: all
    retries: int = 3
    retry_seconds: float = 0.5
    hold: bool = False
    legacy: bool = False
    manual: bool = False  # nothing is sent until send_pending() is called


def reorder(deliveries: list[Delivery], seed: int = 0) -> list[Delivery]:
    """Return the deliveries in another order, which is the same for the same seed."""
    shuffled = random.Random(seed).sample(deliveries, len(deliveries))  # noqa: S311 - not secret
    return shuffled if shuffled != deliveries else shuffled[::-1]


class OutsideError(Exception):
    """The endpoint is not on this computer."""


def is_loopback(endpoint: str) -> bool:
    """Return whether an address is on this computer."""
    host = urlsplit(endpoint).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def post_to_loopback(endpoint: str, body: bytes) -> int:
    """Send a body and return the status. Raises ``OutsideError`` for another computer's address."""
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
    """The deliveries of one sandbox, sent by one background thread."""

    def __init__(self, request_log: RequestLog, transport: Transport = post_to_loopback) -> None:
        self.transport = transport
        self.settings = DeliverySettings()
        self._request_log = request_log
        self._pending: list[Delivery] = []
        self._sent: list[Delivery] = []
        self._history: dict[int, Delivery] = {}  # the last attempts, by delivery
        self._in_progress = 0
        self._next_id = 1
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None

    def reset(self) -> None:
        """Drop what is pending and was sent, and return to the defaults. ``manual`` stays as it is."""
        with self._condition:
            self._pending, self._sent, self._history = [], [], {}
            self.settings = DeliverySettings(manual=self.settings.manual)
            self._condition.notify_all()

    def close(self) -> None:
        """Stop the background thread. The next delivery starts another."""
        with self._condition:
            thread, self._thread = self._thread, None
            self._condition.notify_all()
        if thread is not None:
            thread.join(2)

    def enqueue(
        self,
        *,
        webhook_id: int | None,
        endpoint: str,
        event: str,
        document: dict[str, Any],
        envelope: bool = False,
    ) -> None:
        """Queue a document for delivery, in as many copies as ``duplicate`` says."""
        appointment_id = document.get("id")
        if envelope or self.settings.legacy:
            data = {key: value for key, value in document.items() if key != "webhookType"}
            document = {"event": event, "data": data}
        body = json.dumps(document, ensure_ascii=False).encode()
        with self._condition:
            for _ in range(max(self.settings.duplicate, 1)):
                self._add(webhook_id, endpoint, event, appointment_id, body)
            self._start_thread()
            self._condition.notify_all()

    def _add(
        self, webhook_id: int | None, endpoint: str, event: str, appointment_id: str | None, body: bytes
    ) -> None:
        due = time.monotonic() + self.settings.delay
        delivery = Delivery(self._next_id, webhook_id, endpoint, event, appointment_id, body, due=due)
        self._next_id += 1
        if self.settings.drop:
            self.settings.drop -= 1 if self.settings.drop > 0 else 0
            self._log_attempt(delivery, result="dropped")
            return
        self._pending.append(delivery)

    def count_pending(self) -> int:
        """Return how many deliveries have not been sent yet."""
        with self._condition:
            return len(self._pending) + self._in_progress

    def list_pending(self) -> list[Delivery]:
        """Return what has not been sent yet, in the order in which it will be."""
        with self._condition:
            return list(self._pending)

    def list_history(self) -> list[Delivery]:
        """Return the last deliveries that were sent, refused or dropped, newest first."""
        with self._condition:
            return list(reversed(self._history.values()))

    def hold(self) -> None:
        """Send nothing until ``release``."""
        with self._condition:
            self.settings.hold = True

    def release(self) -> None:
        """Send what was held."""
        with self._condition:
            self.settings.hold = False
            self._start_thread()
            self._condition.notify_all()

    def shuffle(self, seed: int = 0) -> None:
        """Put what is pending in another order than the one it came in."""
        with self._condition:
            self._pending = reorder(self._pending, seed)

    def drop_pending(self) -> int:
        """Drop what is pending and return how many deliveries that were."""
        with self._condition:
            dropped, self._pending = self._pending, []
            for delivery in dropped:
                self._log_attempt(delivery, result="dropped")
            self._condition.notify_all()
        return len(dropped)

    def drop_one(self, delivery_id: int) -> None:
        """Drop a pending delivery. Nothing happens if it has been sent."""
        with self._condition:
            for delivery in [one for one in self._pending if one.id == delivery_id]:
                self._pending.remove(delivery)
                self._log_attempt(delivery, result="dropped")
            self._condition.notify_all()

    def replay(self, *, shuffled: bool = False) -> int:
        """Send again what was sent, and return how many deliveries that are."""
        with self._condition:
            again = reorder(self._sent) if shuffled else list(self._sent)
            self.send_again(again)
        return len(again)

    def resend(self, delivery_id: int, *, copies: int = 1) -> None:
        """Send one delivery again, whatever became of it. Raises ``ValueError`` if it is not known."""
        with self._condition:
            if (found := self._history.get(delivery_id)) is None:
                raise ValueError(f"There is no delivery {delivery_id} among the last {MAX_HISTORY}.")
            self.send_again([found] * copies)

    def send_again(self, deliveries: list[Delivery]) -> None:
        """Send these deliveries again, each as often as it is listed."""
        with self._condition:
            for old in deliveries:
                self._pending.append(replace(old, id=self._next_id, attempt=1, due=time.monotonic()))
                self._next_id += 1
            self._start_thread()
            self._condition.notify_all()

    def send_pending(self) -> list[Entry]:
        """Send everything that is pending, due or not, in this thread. Return the log's entries."""
        entries: list[Entry] = []
        while True:
            with self._condition:
                if not self._pending:
                    return entries
                delivery, settings = self._pending.pop(0), self.settings
            if entry := self._attempt(delivery, settings):
                entries.append(entry)

    def wait_idle(self, timeout: float = 5.0) -> bool:
        """Wait until nothing is pending or being sent; return False after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        with self._condition:
            while self._pending or self._in_progress:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._condition.wait(left)
        return True

    def _start_thread(self) -> None:
        is_running = self._thread is not None and self._thread.is_alive()
        if not is_running and not self.settings.manual:
            self._thread = threading.Thread(target=self._run, name="sandbox-deliveries", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (claimed := self._claim()) is not None:
            try:
                self._attempt(*claimed)
            finally:
                with self._condition:
                    self._in_progress -= 1
                    self._condition.notify_all()

    def _claim(self) -> tuple[Delivery, DeliverySettings] | None:
        with self._condition:
            while self._thread is threading.current_thread():
                pause = None
                if self._pending and not self.settings.hold and not self.settings.manual:
                    first = min(self._pending, key=lambda delivery: delivery.due)
                    now = time.monotonic()
                    ready = next((one for one in self._pending if one.due <= now), None)
                    if ready is not None:
                        self._pending.remove(ready)
                        self._in_progress += 1
                        return ready, self.settings
                    pause = first.due - now
                self._condition.wait(pause)
        return None

    def _attempt(self, delivery: Delivery, settings: DeliverySettings) -> Entry | None:
        """Send a delivery; return the log's entry, or None if the sandbox was reset meanwhile.

        ``settings`` are those with which it was taken; a reset replaces them.
        """
        result = self._send(delivery)
        with self._condition:
            if settings is not self.settings:
                return None
            if result.get("status") in SUCCESSES:
                self._sent.append(delivery)
            elif result["result"] != OUTSIDE:
                self._schedule_retry(delivery)
            return self._log_attempt(delivery, **result)

    def _send(self, delivery: Delivery) -> dict[str, Any]:
        """Send a delivery; return what the log says about it."""
        try:
            status = self.transport(delivery.endpoint, delivery.body)
        except OutsideError:
            return {"result": OUTSIDE}
        except (OSError, http.client.HTTPException, ValueError) as error:
            return {"result": f"failed: {type(error).__name__}"}
        return {"result": "answered", "status": status}

    def _schedule_retry(self, delivery: Delivery) -> None:
        if delivery.attempt <= self.settings.retries:
            pause = self.settings.retry_seconds * 2 ** (delivery.attempt - 1)
            due = time.monotonic() + pause
            self._pending.append(replace(delivery, attempt=delivery.attempt + 1, due=due))
            self._condition.notify_all()

    def _log_attempt(self, delivery: Delivery, **facts: Any) -> Entry:
        entry = self._request_log.write(
            "delivery",
            delivery=delivery.id,
            webhookId=delivery.webhook_id,
            endpoint=hide_path(delivery.endpoint),
            event=delivery.event,
            appointmentId=delivery.appointment_id,
            attempt=delivery.attempt,
            digest=hashlib.sha256(delivery.body).hexdigest()[:16],
            **facts,
        )
        result = str(facts.get("status") or facts["result"])
        with self._condition:
            self._history.pop(delivery.id, None)
            self._history[delivery.id] = replace(delivery, result=result, at=entry["at"])
            while len(self._history) > MAX_HISTORY:
                del self._history[next(iter(self._history))]
        return entry


def hide_path(endpoint: str) -> str:
    """Return an address without its path, which holds the receiver's token."""
    try:
        address = urlsplit(endpoint)
    except ValueError:
        return "…"
    return f"{address.scheme}://{address.netloc}/…"
