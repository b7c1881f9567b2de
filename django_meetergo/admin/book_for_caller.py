"""Book for somebody on the phone: choose what, when and who. The same service as for visitors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin.base import MeetergoAdmin, format_moment
from django_meetergo.exceptions import (
    BookingAlreadyOpen,
    IdempotencyKeyReused,
    InvalidRequest,
    MeetergoError,
    StartNotOffered,
)
from django_meetergo.models import Booking, MeetingType
from django_meetergo.presentation.form_token import make_token
from django_meetergo.presentation.forms import BookingForm
from django_meetergo.presentation.month import parse_day
from django_meetergo.presentation.slots import parse_start
from django_meetergo.services.availability.slots import list_slots
from django_meetergo.services.booking.book import AttendeeData, book_appointment
from django_meetergo.services.clients import build_client
from django_meetergo.timezones import find_zone

#: Days on one page of times.
SPAN = 7
#: Pages ahead that can be looked at.
LONGEST = 365

ERROR, DONE, WAITS = messages.ERROR, messages.SUCCESS, messages.WARNING
State, Reason = Booking.State, Booking.Reason


class CallerDetailsForm(BookingForm):
    """The visitors' form in staff's hands: no trap for robots, no consent to tick for somebody else."""

    timezone = forms.CharField(
        label=_("Time zone"),
        max_length=64,
        required=False,
        help_text=_("A name like Europe/Berlin. In this zone the attendee reads the times."),
    )
    skip_notifications = forms.BooleanField(
        label=_("No e-mails"),
        required=False,
        help_text=_("meetergo sends no confirmation. Later moves and cancels are mailed all the same."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("website", "privacy", "rebook", *self.REBOOK_RESTRICTIONS):
            self.fields.pop(name, None)
        # Staff reads these, and they are not about staff.
        self.fields["receive_reminders"].label = _("Reminders before the appointment")
        for field in self.fields.values():
            field.error_messages["required"] = forms.Field.default_error_messages["required"]
        self.fields["email"].help_text = _("The confirmation goes to this address.")
        if "channel" in self.fields:
            self.fields["channel"].label = _("Channel")
        for name in ("first_name", "last_name", "email", "phone"):
            self.fields[name].widget.attrs |= {"autocomplete": "off", "class": "vTextField"}

    def clean_timezone(self) -> str:
        name = str(self.cleaned_data["timezone"])
        if name and find_zone(name) is None:
            raise forms.ValidationError(_("This is not the name of a time zone."))
        return name


class BookForCallerMixin(MeetergoAdmin):
    """Three steps under one address; each is a link that can be sent to a colleague."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "add")

    def get_urls(self) -> list[Any]:
        return [self.own_path("call/", self.call_view, "call"), *super().get_urls()]

    def call_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        if "type" not in request.GET:
            return self.choose_type(request)
        meeting_type = self.find_type(request.GET["type"])
        length = read_length(request.GET, meeting_type)
        start = parse_start(request.GET.get("start", ""))
        if start is None:
            return self.choose_time(request, meeting_type, length)
        return self.enter_person(request, meeting_type, length, start)

    def find_type(self, key: str) -> MeetingType:
        bookable = MeetingType.objects.bookable().filter(needs_own_page=False)
        found = bookable.filter(pk=key).first() if key.isascii() and key.isdigit() and len(key) < 19 else None
        if found is None:
            raise Http404
        return found

    def choose_type(self, request: HttpRequest) -> HttpResponse:
        types = MeetingType.objects.bookable().filter(needs_own_page=False).defer("raw")
        return self.show(request, "book_for_caller_type.html", title=_("What shall be booked?"), types=types)

    def choose_time(self, request: HttpRequest, meeting_type: MeetingType, length: int) -> HttpResponse:
        """A week of free times by the site's clock."""
        now = timezone.now()
        today = timezone.localtime(now).date()
        first = parse_day(request.GET.get("day")) or today
        first = min(max(first, today), today + timedelta(days=LONGEST))
        zone = timezone.get_current_timezone()
        start, end = midnight(first), midnight(first + timedelta(days=SPAN))
        try:
            found = list_slots(
                meeting_type=meeting_type,
                start=start,
                end=end,
                duration=length,
                client=build_client(meeting_type.connection, "view"),
                now=now,
            )
        except ImproperlyConfigured as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(self.own_url("call"))
        days: dict[date, list[tuple[str, str]]] = {}
        for free in found.times:
            local = free.start.astimezone(zone)
            words = f"{date_format(local, 'H:i')}"
            if free.seats_left is not None:
                words = gettext("%(time)s (%(seats)d free)") % {"time": words, "seats": free.seats_left}
            days.setdefault(local.date(), []).append((free.start.isoformat(), words))
        return self.show(
            request,
            "book_for_caller_time.html",
            title=_("When?"),
            meeting_type=meeting_type,
            length=length,
            lengths=meeting_type.durations,
            first=first,
            earlier=max(first - timedelta(days=SPAN), today) if first > today else None,
            later=first + timedelta(days=SPAN),
            days=list(days.items()),
            failed=found.failed,
            stale=found.stale,
            zone=zone,
        )

    def enter_person(
        self, request: HttpRequest, meeting_type: MeetingType, length: int, start: datetime
    ) -> HttpResponse:
        form = CallerDetailsForm(
            request.POST if request.method == "POST" else None,
            meeting_type=meeting_type,
            initial={"token": make_token(), "timezone": str(timezone.get_current_timezone())},
        )
        if request.method == "POST" and form.is_valid():
            answer = self.book(request, form, meeting_type, length, start)
            if answer is not None:
                return answer
        return self.show(
            request,
            "book_for_caller_person.html",
            title=_("For whom?"),
            meeting_type=meeting_type,
            length=length,
            start=start,
            when=format_moment(start),
            form=form,
        )

    def book(
        self,
        request: HttpRequest,
        form: CallerDetailsForm,
        meeting_type: MeetingType,
        length: int,
        start: datetime,
    ) -> HttpResponse | None:
        """None: the form says what is wrong."""
        given = form.cleaned_data
        try:
            booking = book_appointment(
                meeting_type=meeting_type,
                start=start,
                duration=length,
                attendee=AttendeeData(
                    email=given["email"],
                    first_name=given["first_name"],
                    last_name=given["last_name"],
                    phone=given["phone"],
                    timezone=given["timezone"] or str(timezone.get_current_timezone()),
                    language=(get_language() or "")[:2],
                    receive_reminders=given["receive_reminders"],
                    other_emails=given.get("other_emails") or (),
                ),
                channel=given.get("channel", ""),
                location=form.chosen_location,
                skip_notifications=given["skip_notifications"],
                custom_fields=form.answers,
                idempotency_key=given["token"],
                client=build_client(meeting_type.connection, "write"),
                now=timezone.now(),
            )
        except BookingAlreadyOpen as error:
            words = _('This person has an open booking already: <a href="{}">{}</a>.')
            form.add_error(
                None, format_html(str(words), self.own_url("change", error.booking.pk), error.booking)
            )
        except IdempotencyKeyReused as error:
            return HttpResponseRedirect(self.own_url("change", error.booking.pk))
        except StartNotOffered:
            form.add_error(None, gettext("This time is no longer free. Go back and choose another one."))
        except InvalidRequest as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
        except (MeetergoError, ImproperlyConfigured) as error:
            form.add_error(None, str(error))
        else:
            return self.tell_result(request, booking, form)
        return None

    def tell_result(
        self, request: HttpRequest, booking: Booking, form: CallerDetailsForm
    ) -> HttpResponse | None:
        """The booking's page with a word on how it went; a time that was lost leads back to the times."""
        self.log_addition(request, booking, gettext("Booked for a caller"))
        if booking.reason == Reason.REFUSED and form.add_refusals(booking.field_errors):
            form.renew_token()
            return None
        level, text = describe_result(booking)
        messages.add_message(request, level, text)
        if booking.reason == Reason.SLOT_TAKEN:
            day = timezone.localtime(booking.start).date().isoformat()
            query = f"?type={booking.meeting_type_id}&length={booking.duration}&day={day}"
            return HttpResponseRedirect(self.own_url("call") + query)
        if not self.has_view_permission(request, booking):
            return HttpResponseRedirect(reverse("admin:index", current_app=self.admin_site.name))
        return HttpResponseRedirect(self.own_url("change", booking.pk))


def describe_result(booking: Booking) -> tuple[int, str]:
    when = format_moment(booking.start)
    match booking.state:
        case State.CONFIRMED:
            return DONE, gettext("Booked: %(when)s.") % {"when": when}
        case State.PENDING:
            return WAITS, gettext("Asked for %(when)s: somebody must still confirm it.") % {"when": when}
        case State.CLOSED if booking.reason == Reason.SLOT_TAKEN:
            return ERROR, gettext("Somebody else has just taken %(when)s. Choose another time.") % {
                "when": when
            }
        case State.CLOSED:
            why = booking.message or booking.get_reason_display()
            return ERROR, gettext("Not booked: %(why)s") % {"why": why}
    return WAITS, gettext(
        "It is not certain yet whether this was booked. It is being checked: do not book again."
    )


def read_length(query: Mapping[str, Any], meeting_type: MeetingType) -> int:
    given = str(query.get("length", ""))
    length = int(given) if given.isascii() and given.isdigit() and len(given) < 6 else 0
    return length if length in meeting_type.durations else meeting_type.duration


def midnight(day: date) -> datetime:
    return timezone.make_aware(datetime(day.year, day.month, day.day))  # noqa: DTZ001 - made aware here
