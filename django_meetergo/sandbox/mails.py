"""The mails the service would send. They are kept here and never leave the sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

MAX_MAILS = 500

#: Subjects by the change that is mailed; other changes send no mail.
SUBJECTS = {
    "appointment_created": "Your appointment is confirmed",
    "attendee_added": "Your appointment is confirmed",
    "appointment_rescheduled": "Your appointment was moved",
    "appointment_cancelled": "Your appointment was cancelled",
    "attendee_removed": "Your appointment was cancelled",
    "provisional_doubleOptIn": "Please confirm your appointment",
    "provisional_requireHostConfirmation": "A booking request needs your confirmation",
    "provisional_declined_by_host": "Your booking request was declined",
    "provisional_expired": "Your booking request has expired",
}


@dataclass(frozen=True)
class Mail:
    """A mail: its recipient, subject, what it is about, and when it was sent."""

    to: str
    subject: str
    about: str
    start: datetime
    sent_at: datetime


class Mailbox:
    """The last mails, newest last."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []

    def send(
        self, change: str, recipients: list[str | None], *, about: str, start: datetime, now: datetime
    ) -> None:
        """Keep a mail for each recipient with an address, if the change is one that is mailed."""
        if (subject := SUBJECTS.get(change)) is not None:
            self.mails += [Mail(to, subject, about, start, now) for to in recipients if to]
            del self.mails[:-MAX_MAILS]
