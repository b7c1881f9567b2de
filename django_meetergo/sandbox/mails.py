"""The mails the service would send. They are kept here and never leave the sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

MAX_MAILS = 500


@dataclass(frozen=True)
class Template:
    """What is mailed after a change: the subject, one sentence, and the label of the link, if it has one."""

    subject: str
    text: str
    link: str = ""


_CONFIRMED = Template("Your appointment is confirmed", "We look forward to seeing you.", "Move or cancel")
_CANCELLED = Template("Your appointment was cancelled", "The time is free again for others.")

#: By the change that is mailed; other changes send no mail.
TEMPLATES = {
    "appointment_created": _CONFIRMED,
    "attendee_added": _CONFIRMED,
    "appointment_rescheduled": Template(
        "Your appointment was moved", "This is the new time.", "Move or cancel"
    ),
    "appointment_cancelled": _CANCELLED,
    "attendee_removed": _CANCELLED,
    "provisional_doubleOptIn": Template(
        "Please confirm your appointment",
        "We hold the time for you. It is booked once you have confirmed it.",
        "Confirm",
    ),
    "provisional_requireHostConfirmation": Template(
        "A booking request needs your confirmation", "Somebody asks for this time.", "Approve or decline"
    ),
    "provisional_declined_by_host": Template(
        "Your booking request was declined", "Please choose another time."
    ),
    "provisional_expired": Template(
        "Your booking request has expired", "Nobody confirmed it in time, so nothing is booked."
    ),
}


@dataclass(frozen=True)
class Mail:
    """A mail: its recipient, what it says, where its link leads, and when it was sent."""

    to: str
    subject: str
    about: str
    start: datetime
    sent_at: datetime
    text: str = ""
    link: str = ""  # its label
    path: str = ""  # the page of the sandbox it opens


class Mailbox:
    """The last mails, newest last."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []

    def send(
        self,
        change: str,
        recipients: list[str | None],
        *,
        about: str,
        start: datetime,
        now: datetime,
        path: str,
    ) -> None:
        """Keep a mail for each recipient with an address, if the change is one that is mailed.

        ``path`` is the page on which its reader can act.
        """
        if (template := TEMPLATES.get(change)) is None:
            return
        self.mails += [
            Mail(
                to=to,
                subject=template.subject,
                about=about,
                start=start,
                sent_at=now,
                text=template.text,
                link=template.link,
                path=path if template.link else "",
            )
            for to in recipients
            if to
        ]
        del self.mails[:-MAX_MAILS]
