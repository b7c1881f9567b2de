"""The forms that visitors fill in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.core.signing import BadSignature
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.conf import get_settings
from django_meetergo.formatting import NEEDS_PHONE, ON_SITE, format_hour, name_channel, name_weekday
from django_meetergo.models import Booking, MeetingType
from django_meetergo.presentation.answers import build_answers
from django_meetergo.presentation.field_layout import render_hidden
from django_meetergo.presentation.form_fields import (
    AddressesField,
    EmailLineField,
    LineField,
    NameField,
    TextField,
)
from django_meetergo.presentation.form_token import is_too_quick, make_token, read_token
from django_meetergo.presentation.questions import build_questions, name_question, validate_answers
from django_meetergo.services.booking import rebooking
from django_meetergo.services.booking.book import AttendeeData
from django_meetergo.services.changes.requests import MAX_REASON
from django_meetergo.timezones import find_zone


def build_messages(required: Any) -> dict[str, Any]:
    """Return the error messages of a required text field."""
    return {"required": required, "max_length": _("This is too long. Please shorten it.")}


class BookingForm(forms.Form):
    """Who books, and how they want to meet. The start and the duration are not fields of this form.

    ``website`` is a honeypot: it is hidden, so only robots fill it in. ``token`` identifies the rendered
    form, so that sending it twice books once. ``questions`` is the form of the questions of the meeting type,
    if there are any; it is shown and validated together with this one.
    """

    first_name = NameField(
        label=_("First name"), max_length=150, error_messages=build_messages(_("Enter your first name"))
    )
    last_name = NameField(
        label=_("Last name"), max_length=150, error_messages=build_messages(_("Enter your last name"))
    )
    email = EmailLineField(
        label=_("E-mail address"),
        max_length=254,
        help_text=_("We send the confirmation to this address."),
        error_messages=build_messages(_("Enter your e-mail address")),
    )
    phone = LineField(
        label=_("Phone number (optional)"),
        max_length=64,
        required=False,
        error_messages=build_messages(_("Enter your phone number")),
    )
    channel = forms.ChoiceField(
        label=_("How would you like to meet?"),
        widget=forms.RadioSelect,
        error_messages=build_messages(_("Choose how to meet"))
        | {"invalid_choice": _("This is no longer offered. Choose another one.")},
    )
    location = forms.ChoiceField(
        label=_("Place"),
        widget=forms.RadioSelect,
        required=False,
        error_messages={"invalid_choice": _("This place is no longer offered. Choose another one.")},
    )
    other_emails = AddressesField(
        label=_("Invite other people (optional)"),
        help_text=_("One e-mail address per line, at most five."),
        max_length=2000,
        required=False,
        error_messages=build_messages(""),
    )
    receive_reminders = forms.BooleanField(label=_("Send me reminders"), required=False, initial=True)
    privacy = forms.BooleanField(
        error_messages=build_messages(_("Please confirm that you have read the privacy notice"))
    )
    rebook = forms.BooleanField(required=False)
    rebook_weekdays = forms.MultipleChoiceField(
        label=_("Only on these days"), widget=forms.CheckboxSelectMultiple, required=False
    )
    rebook_from = forms.TypedChoiceField(label=_("Not before"), coerce=int, required=False)
    rebook_until = forms.TypedChoiceField(label=_("Not after"), coerce=int, required=False)
    website = forms.CharField(label=_("Leave this field empty"), required=False)
    token = forms.CharField(required=False, widget=forms.HiddenInput)

    AUTOCOMPLETE = {
        "first_name": "given-name",
        "last_name": "family-name",
        "email": "email",
        "phone": "tel",
        "website": "off",
        "other_emails": "off",
    }
    #: Fields that come before the site's questions.
    BEFORE_QUESTIONS = ("first_name", "last_name", "email", "phone", "channel", "location")
    #: Fields that visitors do not see.
    HIDDEN = ("website", "token")
    #: Fields that restrict the days and hours of a rebooking.
    REBOOK_RESTRICTIONS = ("rebook_weekdays", "rebook_from", "rebook_until")

    def __init__(
        self, *args: Any, meeting_type: MeetingType, request: HttpRequest | None = None, **kwargs: Any
    ) -> None:
        """Build the form for a meeting type; ``request`` is for the site's questions."""
        kwargs["auto_id"] = "mg-%s"
        super().__init__(*args, **kwargs)
        self.meeting_type = meeting_type
        self.questions = build_questions(
            meeting_type,
            request=request,
            data=self.data if self.is_bound else None,
            initial=self.initial,
            auto_id=self.auto_id,
        )
        self.offer_channels()
        self.offer_places()
        self.require_contact()
        self.add_privacy_consent()
        self.offer_rebooking()
        if not meeting_type.allows_guests:
            del self.fields["other_emails"]
        self.add_attributes()

    def __iter__(self) -> Iterator[forms.BoundField]:
        """Iterate over the fields in their order on the page, the site's questions among them."""
        own = list(super().__iter__())
        yield from (field for field in own if field.name in self.BEFORE_QUESTIONS)
        yield from self.questions or ()
        yield from (field for field in own if field.name not in self.BEFORE_QUESTIONS)

    # Fields that depend on the meeting type and the settings

    def offer_channels(self) -> None:
        offered = list(dict.fromkeys(self.meeting_type.allowed_channels))
        if len(offered) < 2:
            del self.fields["channel"]
            return
        field = cast(forms.ChoiceField, self.fields["channel"])
        field.choices = [(channel, name_channel(channel) or channel) for channel in offered]
        field.initial = self.meeting_type.channel if self.meeting_type.channel in offered else offered[0]

    def offer_places(self) -> None:
        places = list(dict.fromkeys(self.meeting_type.locations))
        may_be_on_site = ON_SITE & {self.meeting_type.channel, *self.meeting_type.allowed_channels}
        if len(places) < 2 or not may_be_on_site:
            del self.fields["location"]
            return
        field = cast(forms.ChoiceField, self.fields["location"])
        field.choices = [(place, place) for place in places]
        if "channel" in self.fields:
            field.help_text = _("Only for an appointment on site.")

    def require_contact(self) -> None:
        phone, email = self.fields["phone"], self.fields["email"]
        if self.meeting_type.allows_phone_only:
            phone.label, email.required = _("Phone number"), False
            email.help_text = _("An e-mail address or a phone number is enough.")
        elif "channel" not in self.fields and self.only_channel in NEEDS_PHONE:
            phone.label, phone.required = _("Phone number"), True
        elif not NEEDS_PHONE.isdisjoint(self.meeting_type.allowed_channels):
            phone.help_text = _("Needed for a phone call only.")

    def add_privacy_consent(self) -> None:
        url = get_settings().PRIVACY_URL
        if not url:
            del self.fields["privacy"]
            return
        label = _('I have read the <a href="{url}">privacy notice</a>')
        self.fields["privacy"].label = format_html(str(label), url=url)

    def offer_rebooking(self) -> None:
        """Offer to book another time without asking again, where the site allows it."""
        limits = get_settings().REBOOK
        if limits is None:
            for name in ("rebook", *self.REBOOK_RESTRICTIONS):
                del self.fields[name]
            return
        days = min(limits.get("days", rebooking.MAX_DAYS), rebooking.MAX_DAYS)
        label = ngettext(
            "If this time is no longer free, book the nearest free time for me, at most %(days)s day "
            "earlier or later",
            "If this time is no longer free, book the nearest free time for me, at most %(days)s days "
            "earlier or later",
            days,
        )
        self.fields["rebook"].label = label % {"days": days}
        weekdays = limits.get("weekdays") or rebooking.WHOLE_WEEK
        first, last = limits.get("hours") or rebooking.WHOLE_DAY
        hours = [(hour, format_hour(hour)) for hour in range(first, last + 1)]
        choices: dict[str, list[tuple[int, Any]]] = {
            "rebook_weekdays": [(number, name_weekday(number)) for number in weekdays],
            "rebook_from": hours[:-1],
            "rebook_until": hours[1:],
        }
        for name, options in choices.items():
            cast(forms.ChoiceField, self.fields[name]).choices = options
        initial = {"rebook_weekdays": list(weekdays), "rebook_from": first, "rebook_until": last}
        for name, value in initial.items():
            self.fields[name].initial = value

    def add_attributes(self) -> None:
        for name, value in self.AUTOCOMPLETE.items():
            if name in self.fields:
                self.fields[name].widget.attrs["autocomplete"] = value
        self.fields["phone"].widget.input_type = "tel"
        self.fields["website"].widget.attrs["tabindex"] = "-1"
        if "other_emails" in self.fields:
            self.fields["other_emails"].widget.attrs |= {"rows": 3, "spellcheck": "false"}

    @property
    def only_channel(self) -> str:
        return next(iter(self.meeting_type.allowed_channels), self.meeting_type.channel)

    # Validation

    def full_clean(self) -> None:
        super().full_clean()
        if self.is_bound and self.questions is not None:
            validate_answers(self.questions)
            self.add_question_errors(self.questions)

    def add_question_errors(self, questions: forms.Form) -> None:
        """Add the errors of the questions to those of this form, each at its field."""
        for key, errors in questions.errors.items():
            if key == NON_FIELD_ERRORS:
                self.add_error(None, errors.as_data())
            else:
                self.errors[name_question(key)] = errors

    def clean_website(self) -> str:
        if self.cleaned_data.get("website"):
            raise ValidationError(_("This form was filled in by a program. Please fill it in yourself."))
        return ""

    def clean_token(self) -> str:
        token = self.cleaned_data.get("token") or ""
        try:
            key = read_token(token)
        except BadSignature:
            raise ValidationError(
                _(
                    "This page was open for a long time. Your details are still here: "
                    "press “Book this time” again."
                ),
                code="old",
            ) from None
        if is_too_quick(token):
            raise ValidationError(
                _("That was very quick. Please check your details and press “Book this time” again."),
                code="quick",
            )
        return key

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        self.check_contact(data)
        self.check_place(data)
        self.check_rebooking(data)
        return data

    def check_contact(self, data: dict[str, Any]) -> None:
        if self.meeting_type.allows_phone_only:
            has_no_error = not self.errors.get("email") and not self.errors.get("phone")
            if has_no_error and not data.get("email") and not data.get("phone"):
                for name in ("email", "phone"):
                    self.add_error(name, _("Enter an e-mail address or a phone number."))
        elif data.get("channel") in NEEDS_PHONE and "phone" in data and not data["phone"]:
            self.fields["phone"].label = _("Phone number")
            self.add_error("phone", _("Enter your phone number"))

    def check_place(self, data: dict[str, Any]) -> None:
        if "location" not in self.fields:
            return
        if data.get("channel", self.only_channel) not in ON_SITE:
            data["location"] = ""
        elif not data.get("location") and "location" not in self.errors:
            self.add_error("location", _("Choose a place"))

    def check_rebooking(self, data: dict[str, Any]) -> None:
        first, last = data.get("rebook_from"), data.get("rebook_until")
        if data.get("rebook") and not data.get("rebook_weekdays") and "rebook_weekdays" not in self.errors:
            self.add_error("rebook_weekdays", _("Choose at least one day."))
        if data.get("rebook") and isinstance(first, int) and isinstance(last, int) and first >= last:
            self.add_error("rebook_until", _("Choose a later hour than the first one."))

    def add_refusals(self, refused: Mapping[str, str]) -> bool:
        """Add what meetergo refused to the fields; return False if none of them is in the form."""
        is_placed = False
        for name in refused:
            key = name.rpartition(".")[2]
            if self.questions is not None and key in self.questions.fields:
                self.questions.add_error(key, NOT_ACCEPTED)
                self.errors[name_question(key)] = self.questions.errors[key]
                is_placed = True
                continue
            field = FIELDS_BY_REMOTE_NAME.get(key.lower())
            if field in self.fields and field is not None:
                self.add_error(field, REFUSALS.get(field, NOT_ACCEPTED))
                is_placed = True
        return is_placed

    # Results

    @property
    def chosen_location(self) -> str:
        """The chosen place; the only one if there is no choice; empty if the channel needs none."""
        location = self.cleaned_data.get("location", "")
        channel = self.cleaned_data.get("channel", self.only_channel)
        if location or channel not in ON_SITE:
            return str(location)
        return next(iter(self.meeting_type.locations), "")

    @property
    def rebook_consent(self) -> dict[str, Any] | None:
        """The consent to another time, with its days and hours; None without consent."""
        data = self.cleaned_data
        if not data.get("rebook"):
            return None
        hours = [data.get("rebook_from"), data.get("rebook_until")]
        return {
            "weekdays": [int(number) for number in data.get("rebook_weekdays", ())],
            "hours": hours if all(isinstance(hour, int) for hour in hours) else None,
            "words": str(self.fields["rebook"].label),
        }

    def build_attendee(self, *, timezone: str, language: str) -> AttendeeData:
        """Return the person to book for, who uses this time zone and language."""
        data = self.cleaned_data
        return AttendeeData(
            email=data["email"],
            first_name=data["first_name"],
            last_name=data["last_name"],
            phone=data["phone"],
            timezone=timezone,
            language=language,
            receive_reminders=data["receive_reminders"],
            other_emails=data.get("other_emails") or (),
        )

    @property
    def answers(self) -> dict[str, Any]:
        """The answers to the site's questions as JSON values; questions without an answer are left out."""
        return build_answers(self.questions) if self.questions is not None else {}

    def renew_token(self) -> None:
        """Give the form a new token, because the first one belongs to a booking or is too old."""
        data = cast(Any, self.data).copy()
        data["token"] = make_token()
        self.data = data

    def list_shown(self) -> list[forms.BoundField]:
        return [field for field in self if field.html_name not in self.HIDDEN]

    def list_hidden(self) -> list[str]:
        """Return everything typed as hidden inputs, without the honeypot and the token."""
        return [render_hidden(field) for field in self.list_shown()]

    def list_typed(self) -> dict[str, Any]:
        """Return what was typed, valid or not, without the consent to the privacy notice."""
        fields = (field for field in self.list_shown() if field.html_name != "privacy")
        return {field.html_name: field.value() for field in fields}


#: The fields of this form by the names in meetergo's error answers.
FIELDS_BY_REMOTE_NAME = {
    "email": "email",
    "firstname": "first_name",
    "first_name": "first_name",
    "lastname": "last_name",
    "last_name": "last_name",
    "fullname": "first_name",
    "phone": "phone",
    "channel": "channel",
    "location": "location",
    "bringalongemails": "other_emails",
    "other_emails": "other_emails",
}
NOT_ACCEPTED = _("This was not accepted. Please change it.")
REFUSALS = {
    "email": _("This e-mail address was not accepted. Please use another one."),
    "phone": _("This phone number was not accepted. Please use another one."),
}


def get_details(booking: Booking) -> dict[str, Any]:
    """Return the details of a booking as initial values of a form."""
    return {
        "first_name": booking.first_name,
        "last_name": booking.last_name,
        "email": booking.email,
        "phone": booking.phone,
        "channel": booking.channel,
        "location": booking.location,
        "other_emails": "\n".join(booking.other_emails),
        "receive_reminders": booking.receive_reminders,
        **{name_question(key): answer for key, answer in booking.custom_fields.items()},
    }


class TimeZoneForm(forms.Form):
    """The visitor's time zone, and the path to return to."""

    tz = forms.CharField(max_length=64)
    next = forms.CharField(max_length=2000, required=False)

    def clean_tz(self) -> str:
        zone = find_zone(self.cleaned_data["tz"])
        if zone is None:
            raise ValidationError(_("Choose a time zone from the list."))
        return zone.key


class LinksForm(forms.Form):
    """The address whose appointments a person wants to see."""

    email = EmailLineField(
        label=_("E-mail address"),
        max_length=254,
        help_text=_("The address you booked with."),
        error_messages=build_messages(_("Enter your e-mail address")),
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["auto_id"] = "mg-%s"
        super().__init__(*args, **kwargs)


class CancelForm(forms.Form):
    """An optional reason for a cancellation."""

    reason = TextField(
        label=_("Reason (optional)"),
        max_length=MAX_REASON,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"max_length": _("Please use at most %(limit_value)d characters.")},
    )

    def __init__(self, *args: Any, host_name: str = "", **kwargs: Any) -> None:
        kwargs["auto_id"] = "mg-%s"
        super().__init__(*args, **kwargs)
        if host_name:
            self.fields["reason"].help_text = _("%(host)s will see this.") % {"host": host_name}
        counter = gettext("Characters left: %(count)s") % {"count": "{count}"}
        self.fields["reason"].widget.attrs["data-counter"] = counter
