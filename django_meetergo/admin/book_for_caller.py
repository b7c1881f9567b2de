"""Book for somebody, for example a caller: choose meeting type and time, then enter the attendee."""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo
from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin.base import MeetergoAdmin
from django_meetergo.admin.display import format_moment, midnight
from django_meetergo.admin.errors import describe_error
from django_meetergo.admin.search import parse_key
from django_meetergo.exceptions import (
    BookingAlreadyOpen,
    IdempotencyKeyReused,
    InvalidRequest,
    MeetergoError,
    StartNotOffered,
)
from django_meetergo.formatting import format_unambiguous_time
from django_meetergo.models import Appointment, Booking, MeetingType
from django_meetergo.presentation.context import build_slot_reader
from django_meetergo.presentation.form_token import find_key, make_token
from django_meetergo.presentation.forms import BookingForm, get_details
from django_meetergo.presentation.month import parse_day
from django_meetergo.presentation.page_urls import PageUrl
from django_meetergo.presentation.slots import group_by_day, parse_start
from django_meetergo.services.availability.store import Slot
from django_meetergo.services.booking.book import BookingRequest, submit_request
from django_meetergo.services.clients import build_client
from django_meetergo.timezones import choose_zone, list_zones

#: Days on one page of times.
DAYS_PER_PAGE = 7
#: Days ahead that staff can book.
MAX_DAYS_AHEAD = 365

State, Reason = Booking.State, Booking.Reason


class CallerDetailsForm(BookingForm):
    """The visitors' form for staff, without the honeypot and the consents that only attendees can give."""

    timezone = forms.ChoiceField(
        label=_("Time zone"),
        required=False,
        help_text=_("The attendee sees all times in this time zone."),
    )
    skip_notifications = forms.BooleanField(
        label=_("No e-mails"),
        required=False,
        help_text=_(
            "meetergo sends no confirmation. It still sends e-mails when the appointment is rescheduled "
            "or cancelled."
        ),
    )

    def clean_token(self) -> str:
        """Accept a page of any age, however fast it was filled in: staff are signed in, and no robots."""
        return find_key(self.cleaned_data.get("token") or "")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("website", "privacy", "rebook", *self.REBOOK_RESTRICTIONS):
            self.fields.pop(name, None)
        # The visitors' labels and messages address the attendee; staff enter somebody else's details.
        self.fields["receive_reminders"].label = _("Reminders before the appointment")
        for field in self.fields.values():
            field.error_messages["required"] = forms.Field.default_error_messages["required"]
        if self.fields["email"].required:
            self.fields["email"].help_text = _("The confirmation goes to this address.")
        if "channel" in self.fields:
            self.fields["channel"].label = _("Channel")
        for name in ("first_name", "last_name", "email", "phone"):
            self.fields[name].widget.attrs |= {"autocomplete": "off", "class": "vTextField"}
        zone = choose_zone(timezone.get_current_timezone_name())
        self.initial.setdefault("timezone", zone.key)
        cast(forms.ChoiceField, self.fields["timezone"]).choices = [
            (group, [(option.name, option.label) for option in options])
            for group, options in list_zones(zone, timezone.now())
        ]


class BookForCallerMixin(MeetergoAdmin):
    """Three steps under one URL; each is a link that can be sent to a colleague."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.is_permitted(request, "add")

    def get_urls(self) -> list[Any]:
        return [self.build_url_pattern("call/", self.book_for_caller_view, "call"), *super().get_urls()]

    def book_for_caller_view(self, request: HttpRequest) -> HttpResponse:
        """Show the step that the query asks for.

        ``type``, ``length`` (minutes), ``day`` and ``start`` are chosen in the steps. ``lost`` names a
        booking whose time was taken. The calendar links here with ``host`` (a primary key), ``day`` and
        ``start``.
        """
        if not self.has_add_permission(request):
            raise PermissionDenied
        if "type" not in request.GET:
            return self.choose_type(request)
        meeting_type = self.find_type(request.GET["type"])
        chosen, default = request.GET.get("length"), meeting_type.duration
        length = next((minutes for minutes in meeting_type.durations if str(minutes) == chosen), default)
        start = parse_start(request.GET.get("start", ""))
        if start is None or not is_bookable_start(start):
            return self.choose_time(request, meeting_type, length)
        if request.method == "GET" and not is_free(meeting_type, start, length):
            text = _("%(when)s is not free for “%(type)s”. Choose one of the free times.")
            messages.warning(request, text % {"when": format_moment(start), "type": meeting_type})
            return self.choose_time(request, meeting_type, length, day=timezone.localdate(start))
        return self.enter_details(request, meeting_type, length, start)

    def find_type(self, key: str) -> MeetingType:
        return get_object_or_404(MeetingType.objects.bookable_here(), pk=parse_key(key))

    def choose_type(self, request: HttpRequest) -> HttpResponse:
        """List the meeting types, only those of ``host`` if it is given; with a single one, go on."""
        types = MeetingType.objects.bookable_here().defer("raw")
        if host := parse_key(request.GET.get("host", "")):
            types = types.filter(hosts=host)
        here = PageUrl("", {name: request.GET.get(name, "") for name in ("host", "day", "start")})
        choices = [(meeting_type, here.to(type=str(meeting_type.pk))) for meeting_type in types]
        if here.query["host"] and len(choices) == 1:
            return HttpResponseRedirect(choices[0][1])
        return self.render_page(
            request, "book_for_caller_type.html", title=_("What would you like to book?"), choices=choices
        )

    def choose_time(
        self, request: HttpRequest, meeting_type: MeetingType, length: int, *, day: date | None = None
    ) -> HttpResponse:
        """Show the free times of a week from ``day`` on, in the current time zone."""
        now = timezone.now()
        today = timezone.localtime(now).date()
        first = day or parse_day(request.GET.get("day")) or today
        first = min(max(first, today), today + timedelta(days=MAX_DAYS_AHEAD))
        zone = timezone.get_current_timezone()
        last = first + timedelta(days=DAYS_PER_PAGE)
        found = build_slot_reader(meeting_type, length, now)(midnight(first), midnight(last))
        here = build_here(request, meeting_type, length)
        return self.render_page(
            request,
            "book_for_caller_time.html",
            title=_("When?"),
            meeting_type=meeting_type,
            length=length,
            lengths=[(minutes, here.to(length=minutes, day=first)) for minutes in meeting_type.durations],
            earlier=here.to(day=max(first - timedelta(days=DAYS_PER_PAGE), today)) if first > today else "",
            later=here.to(day=last) if last <= today + timedelta(days=MAX_DAYS_AHEAD) else "",
            days=[
                (day, [(here.to(start=slot.start.isoformat()), label_slot(slot, zone)) for slot in times])
                for day, times in group_by_day(found.times, zone).items()
            ],
            failed=found.failed,
            stale=found.stale,
            zone=zone,
        )

    def enter_details(
        self, request: HttpRequest, meeting_type: MeetingType, length: int, start: datetime
    ) -> HttpResponse:
        """Show the form for the attendee's details, or book with the submitted ones."""
        form = CallerDetailsForm(
            request.POST if request.method == "POST" else None,
            meeting_type=meeting_type,
            request=request,
            initial={**self.find_entered_details(request), "token": make_token()},
        )
        if request.method == "POST" and form.is_valid():
            response = self.book(request, form, meeting_type, length, start)
            if response is not None:
                return response
        return self.render_page(
            request,
            "book_for_caller_details.html",
            title=_("For whom?"),
            meeting_type=meeting_type,
            length=length,
            when=format_moment(start),
            other_time=build_here(request, meeting_type, length).to(day=timezone.localdate(start)),
            form=form,
        )

    def find_entered_details(self, request: HttpRequest) -> dict[str, Any]:
        """Return what was entered for the booking whose time was taken."""
        try:
            key = UUID(request.GET.get("lost", ""))
        except ValueError:
            return {}
        lost = Booking.objects.filter(public_id=key, reason=Reason.SLOT_TAKEN).first()
        return {**get_details(lost), "timezone": lost.timezone} if lost else {}

    def book(
        self,
        request: HttpRequest,
        form: CallerDetailsForm,
        meeting_type: MeetingType,
        length: int,
        start: datetime,
    ) -> HttpResponse | None:
        """Book, and return where to go next; None when the form shows what is wrong."""
        data = form.cleaned_data
        try:
            booking = submit_request(
                BookingRequest(
                    meeting_type=meeting_type,
                    start=start,
                    duration=length,
                    attendee=form.build_attendee(
                        timezone=data["timezone"] or timezone.get_current_timezone_name(),
                        language=(get_language() or "")[:2],
                    ),
                    channel=data.get("channel", ""),
                    location=form.chosen_location,
                    skip_notifications=data["skip_notifications"],
                    custom_fields=form.answers,
                    idempotency_key=data["token"],
                ),
                client=build_client(meeting_type.reader, "write"),
                now=timezone.now(),
            )
        except BookingAlreadyOpen as error:
            text = _('This person already has an open booking: <a href="{}">{}</a>.')
            url = self.get_admin_url("change", error.booking.pk)
            form.add_error(None, format_html(str(text), url, error.booking))
        except IdempotencyKeyReused as error:
            # The browser went back to a page that has booked already, and something was changed.
            text = _(
                'This page has already booked <a href="{}">{}</a>. Press “Book” again to book once more.'
            )
            url = self.get_admin_url("change", error.booking.pk)
            form.add_error(None, format_html(str(text), url, error.booking))
            form.renew_token()
        except StartNotOffered:
            form.add_error(None, gettext("This time is no longer free. Go back and choose another one."))
        except InvalidRequest as error:
            form.add_error(error.field if error.field in form.fields else None, describe_error(error))
        except (MeetergoError, ImproperlyConfigured) as error:
            form.add_error(None, describe_error(error))
        else:
            return self.show_result(request, booking, form)
        return None

    def show_result(
        self, request: HttpRequest, booking: Booking, form: CallerDetailsForm
    ) -> HttpResponse | None:
        """Report the result and redirect: to the appointment, to the booking, or back to the times.

        Returns None when meetergo refused single fields, which the form then shows.
        """
        self.log_addition(request, booking, gettext("Booked for somebody"))
        if booking.reason == Reason.REFUSED and form.add_refusals(booking.field_errors):
            form.renew_token()
            return None
        level, text = describe_result(booking)
        messages.add_message(request, level, text)
        if booking.reason == Reason.SLOT_TAKEN:
            here = build_here(request, booking.meeting_type, booking.duration)
            url = here.to(day=timezone.localdate(booking.start), lost=booking.public_id)
            return HttpResponseRedirect(self.get_admin_url("call") + url)
        user: Any = request.user
        if booking.attendee and user.has_perm("meetergo.view_appointment"):
            url = self.find_url(Appointment, "change", booking.attendee.appointment_id)
            return HttpResponseRedirect(url or self.get_admin_url("changelist"))
        is_visible = self.get_queryset(request).filter(pk=booking.pk).exists()
        if not is_visible or not self.has_view_permission(request, booking):
            return HttpResponseRedirect(reverse("admin:index", current_app=self.admin_site.name))
        return HttpResponseRedirect(self.get_admin_url("change", booking.pk))


def describe_result(booking: Booking) -> tuple[int, str]:
    """Return the message level and the text that report how a booking went."""
    words = {"when": format_moment(booking.start), "reference": booking.reference}
    match booking.state:
        case State.CONFIRMED:
            return messages.SUCCESS, gettext("Booked: %(when)s. Reference: %(reference)s") % words
        case State.PENDING:
            return messages.WARNING, gettext(
                "Requested: %(when)s. The booking must still be confirmed: %(who)s."
            ) % {**words, "who": booking.get_reason_display()}
        case State.CLOSED if booking.reason == Reason.SLOT_TAKEN:
            return messages.ERROR, gettext("%(when)s has just been taken. Choose another time.") % words
        case State.CLOSED:
            why = booking.message or booking.get_reason_display()
            return messages.ERROR, gettext("Not booked: %(why)s") % {"why": why}
    return messages.WARNING, gettext(
        "It is not certain yet whether this was booked. It is being checked. Please do not book again."
    )


def build_here(request: HttpRequest, meeting_type: MeetingType, length: int) -> PageUrl:
    """Return the address of the steps for a meeting type and a length, without a day and a time."""
    chosen = {"type": str(meeting_type.pk), "length": str(length), "day": "", "start": ""}
    return PageUrl("", {**chosen, "lost": request.GET.get("lost", "")})


def label_slot(slot: Slot, zone: tzinfo) -> str:
    label = format_unambiguous_time(slot.start.astimezone(zone))
    if slot.seats_left is None:
        return label
    return gettext("%(time)s (%(seats)d free)") % {"time": label, "seats": slot.seats_left}


def is_free(meeting_type: MeetingType, start: datetime, length: int) -> bool:
    """Return whether a start is offered; True when that is not known, as booking decides in the end."""
    now = timezone.now()
    found = build_slot_reader(meeting_type, length, now)(start, start + timedelta(minutes=1))
    return found.failed or any(slot.start == start for slot in found.times)


def is_bookable_start(start: datetime) -> bool:
    """Return whether a start is near enough to be computed with: dates near the year 9999 overflow."""
    now = timezone.now()
    return now - timedelta(days=1) < start < now + timedelta(days=MAX_DAYS_AHEAD + DAYS_PER_PAGE + 1)
