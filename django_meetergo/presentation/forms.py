"""The forms that visitors fill in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, time
from typing import Any, cast

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.core.signing import BadSignature
from django.db import models
from django.utils.dates import WEEKDAYS
from django.utils.html import format_html
from django.utils.module_loading import import_string
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.conf import get_settings
from django_meetergo.formatting import NEEDS_PHONE, ON_SITE, format_hour, name_channel
from django_meetergo.models import Booking, MeetingType
from django_meetergo.presentation.form_fields import AddressesField, EmailLineField, LineField
from django_meetergo.presentation.form_token import is_too_quick, make_token, read_token
from django_meetergo.services.booking import rebooking
from django_meetergo.services.booking.validation import MAX_ANSWER_LENGTH
from django_meetergo.services.changes.requests import MAX_REASON
from django_meetergo.timezones import find_zone

REBOOK_FIELD = _(
    "If this time has just gone, book the nearest free time for me, at most %(days)s days earlier or later"
)
QUESTION = "q"
#: Bytes of what was typed that fit into a cookie once they are sealed.
KEPT = 2800


def is_required(message: Any, too_long: Any = None) -> dict[str, Any]:
    """The words of a field that must not be empty."""
    return {"required": message, "max_length": too_long or _("This is too long. Please shorten it.")}


def find_questions(slug: str) -> type[forms.Form] | None:
    """The form that the site has written for this meeting type."""
    path = get_settings().FORMS.get(slug)
    return cast(type[forms.Form], import_string(path)) if path else None


def name_question(key: str) -> str:
    """The name of a question's input: apart from our own fields, whatever the site calls it."""
    return f"{QUESTION}-{key}"


def build_answer(value: Any) -> Any:
    """A cleaned value as JSON keeps it: days by ISO, exact numbers as text, objects by their key."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, models.Model):
        return build_answer(value.pk)
    if isinstance(value, list | tuple | set | frozenset | models.QuerySet):
        return [build_answer(item) for item in value]
    return str(value)


def is_answered(answer: Any) -> bool:
    return answer not in (None, "", [])


def mark_optional(form: forms.Form) -> None:
    """Everything is required unless it says otherwise. A tick box says so by itself."""
    for field in form.fields.values():
        if not field.required and not isinstance(field, forms.BooleanField) and field.label:
            field.label = _("%(label)s (optional)") % {"label": field.label}


class BookingForm(forms.Form):
    """Who books, and how they want to meet. The time itself is chosen before and travels beside it.

    ``website`` is a trap for robots: people never see it. ``token`` names this form, so that sending it twice
    books once. ``questions`` is the site's own form for the meeting type, if it has one: a form with names of
    its own, which is shown and judged together with this one.
    """

    first_name = LineField(
        label=_("First name"), max_length=150, error_messages=is_required(_("Enter your first name"))
    )
    last_name = LineField(
        label=_("Last name"), max_length=150, error_messages=is_required(_("Enter your last name"))
    )
    email = EmailLineField(
        label=_("E-mail address"),
        max_length=254,
        help_text=_("We send the confirmation to this address."),
        error_messages=is_required(_("Enter your e-mail address")),
    )
    phone = LineField(
        label=_("Phone number (optional)"),
        max_length=64,
        required=False,
        error_messages=is_required(_("Enter your phone number")),
    )
    channel = forms.ChoiceField(
        label=_("How would you like to meet?"),
        widget=forms.RadioSelect,
        error_messages=is_required(_("Choose how to meet"))
        | {"invalid_choice": _("This is no longer offered. Choose another one.")},
    )
    location = forms.ChoiceField(
        label=_("Place"),
        widget=forms.RadioSelect,
        required=False,
        error_messages={"invalid_choice": _("This place is no longer offered. Choose another one.")},
    )
    other_emails = AddressesField(
        label=_("Other people to invite (optional)"),
        help_text=_("One e-mail address per line, at most five."),
        max_length=2000,
        required=False,
        error_messages=is_required(""),
    )
    receive_reminders = forms.BooleanField(label=_("Send me reminders"), required=False, initial=True)
    privacy = forms.BooleanField(
        error_messages=is_required(_("Please confirm that you have read the privacy notice"))
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
    ABOUT = ("first_name", "last_name", "email", "phone", "channel", "location")
    #: Fields that are not shown among the others.
    BEHIND = ("website", "token")
    #: Fields that narrow an agreement to another time.
    NARROWING = ("rebook_weekdays", "rebook_from", "rebook_until")

    def __init__(self, *args: Any, meeting_type: MeetingType, **kwargs: Any) -> None:
        kwargs["auto_id"] = "mg-%s"
        super().__init__(*args, **kwargs)
        self.meeting_type = meeting_type
        self.questions = self.build_questions()
        self.offer_channels()
        self.offer_places()
        self.ask_for_contact()
        self.ask_for_privacy()
        self.offer_rebooking()
        if not meeting_type.allows_guests:
            del self.fields["other_emails"]
        self.add_attributes()

    def __iter__(self) -> Iterator[forms.BoundField]:
        """Who and how, then the site's questions, then what may be left as it is and what is agreed to."""
        own = list(super().__iter__())
        yield from (field for field in own if field.name in self.ABOUT)
        yield from self.questions or ()
        yield from (field for field in own if field.name not in self.ABOUT)

    # What this meeting type asks for

    def build_questions(self) -> forms.Form | None:
        kind = find_questions(self.meeting_type.slug)
        if kind is None:
            return None
        before = name_question("")
        known = {
            name.removeprefix(before): value
            for name, value in self.initial.items()
            if name.startswith(before)
        }
        questions = kind(
            self.data if self.is_bound else None, prefix=QUESTION, auto_id=self.auto_id, initial=known
        )
        mark_optional(questions)
        return questions

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
            field.help_text = _("Only if you come to us.")

    def ask_for_contact(self) -> None:
        phone, email = self.fields["phone"], self.fields["email"]
        if self.meeting_type.allows_phone_only:
            phone.label, email.required = _("Phone number"), False
            email.help_text = _("An e-mail address or a phone number is enough.")
        elif "channel" not in self.fields and self.only_channel in NEEDS_PHONE:
            phone.label, phone.required = _("Phone number"), True

    def ask_for_privacy(self) -> None:
        url = get_settings().PRIVACY_URL
        if not url:
            del self.fields["privacy"]
            return
        sentence = _('I have read the <a href="{url}">privacy notice</a>')
        self.fields["privacy"].label = format_html(str(sentence), url=url)

    def offer_rebooking(self) -> None:
        """Another time without asking again: only where the site offers it, and only with a tick."""
        offered = get_settings().REBOOK
        if offered is None:
            for name in ("rebook", *self.NARROWING):
                del self.fields[name]
            return
        days = min(offered.get("days", rebooking.MAX_DAYS), rebooking.MAX_DAYS)
        self.fields["rebook"].label = REBOOK_FIELD % {"days": days}
        weekdays = offered.get("weekdays") or rebooking.WHOLE_WEEK
        first, last = offered.get("hours") or rebooking.WHOLE_DAY
        hours = [(hour, format_hour(hour)) for hour in range(first, last + 1)]
        choices: dict[str, list[tuple[int, Any]]] = {
            "rebook_weekdays": [(number, WEEKDAYS[number]) for number in weekdays],
            "rebook_from": hours[:-1],
            "rebook_until": hours[1:],
        }
        for name, found in choices.items():
            cast(forms.ChoiceField, self.fields[name]).choices = found
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

    # What is wrong with it

    def full_clean(self) -> None:
        super().full_clean()
        if self.is_bound and self.questions is not None:
            self.check_answers(self.questions)
            self.take_errors(self.questions)

    def check_answers(self, questions: forms.Form) -> None:
        """meetergo takes so many characters an answer and no more."""
        questions.full_clean()
        for key, answer in build_answers(questions).items():
            if len(str(answer)) > MAX_ANSWER_LENGTH:
                wrong = _("Please use at most %(limit)s characters.")
                questions.add_error(key, ValidationError(wrong, params={"limit": MAX_ANSWER_LENGTH}))

    def take_errors(self, questions: forms.Form) -> None:
        """Show what is wrong with the answers among our own errors, each at its field."""
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
                    "press ‘Book this time’ again."
                ),
                code="old",
            ) from None
        if is_too_quick(token):
            raise ValidationError(
                _("That was very quick. Please check your details and press ‘Book this time’ again."),
                code="quick",
            )
        return key

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        self.check_contact(given)
        self.check_place(given)
        self.check_rebooking(given)
        return given

    def check_rebooking(self, given: dict[str, Any]) -> None:
        first, last = given.get("rebook_from"), given.get("rebook_until")
        if given.get("rebook") and not given.get("rebook_weekdays") and "rebook_weekdays" not in self.errors:
            self.add_error("rebook_weekdays", _("Choose at least one day."))
        if given.get("rebook") and isinstance(first, int) and isinstance(last, int) and first >= last:
            self.add_error("rebook_until", _("Choose a later hour than the first one."))

    def check_contact(self, given: dict[str, Any]) -> None:
        if self.meeting_type.allows_phone_only:
            untouched = not self.errors.get("email") and not self.errors.get("phone")
            if untouched and not given.get("email") and not given.get("phone"):
                for name in ("email", "phone"):
                    self.add_error(name, _("Give an e-mail address or a phone number."))
        elif given.get("channel") in NEEDS_PHONE and "phone" in given and not given["phone"]:
            self.add_error("phone", _("Enter your phone number"))

    def check_place(self, given: dict[str, Any]) -> None:
        if "location" not in self.fields:
            return
        if given.get("channel", self.only_channel) not in ON_SITE:
            given["location"] = ""
        elif not given.get("location") and "location" not in self.errors:
            self.add_error("location", _("Choose a place"))

    def add_refusals(self, refused: Mapping[str, str]) -> bool:
        """Put what meetergo refused at its fields; False when it has no field here."""
        placed = False
        for name in refused:
            last = name.rpartition(".")[2]
            if self.questions is not None and last in self.questions.fields:
                self.questions.add_error(last, NOT_ACCEPTED)
                self.errors[name_question(last)] = self.questions.errors[last]
                placed = True
                continue
            own = FIELDS_BY_REMOTE_NAME.get(last.lower())
            if own in self.fields and own is not None:
                self.add_error(own, REFUSALS.get(own, NOT_ACCEPTED))
                placed = True
        return placed

    # What comes of it

    @property
    def chosen_location(self) -> str:
        """The place that was chosen, or the only one there is."""
        chosen = self.cleaned_data.get("location", "")
        channel = self.cleaned_data.get("channel", self.only_channel)
        if chosen or channel not in ON_SITE:
            return str(chosen)
        return next(iter(self.meeting_type.locations), "")

    @property
    def rebook_consent(self) -> dict[str, Any] | None:
        """What was agreed to for a time that has gone; None without a tick."""
        given = self.cleaned_data
        if not given.get("rebook"):
            return None
        hours = [given.get("rebook_from"), given.get("rebook_until")]
        return {
            "weekdays": [int(number) for number in given.get("rebook_weekdays", ())],
            "hours": hours if all(isinstance(hour, int) for hour in hours) else None,
            "words": str(self.fields["rebook"].label),
        }

    @property
    def answers(self) -> dict[str, Any]:
        """The answers by their question's name, typed as JSON keeps them; unanswered ones are left out."""
        return build_answers(self.questions) if self.questions is not None else {}

    def renew_token(self) -> None:
        """Give the form, shown again, a name of its own: its first one belongs to a booking."""
        data = cast(Any, self.data).copy()
        data["token"] = make_token()
        self.data = data

    def list_shown(self) -> Iterable[forms.BoundField]:
        return [field for field in self if field.html_name not in self.BEHIND]

    def list_hidden(self) -> list[str]:
        """Everything typed, as inputs that are not seen; the trap and the form's name stay out."""
        return [field.as_hidden(attrs={"id": False}) for field in self.list_shown()]

    def list_typed(self) -> dict[str, Any]:
        """What was typed, valid or not, to be offered again."""
        shown = (field for field in self.list_shown() if field.html_name != "privacy")
        return keep_small({field.html_name: field.value() for field in shown})


def build_answers(questions: forms.Form) -> dict[str, Any]:
    given = {key: build_answer(value) for key, value in questions.cleaned_data.items()}
    return {key: answer for key, answer in given.items() if is_answered(answer)}


def keep_small(typed: dict[str, Any]) -> dict[str, Any]:
    """As much of what was typed as a cookie holds: the longest texts go first, names and addresses stay."""

    def measure(value: object) -> int:
        return len(json.dumps(value, default=str))

    kept = dict(typed)
    while kept and measure(kept) > KEPT:
        del kept[max(kept, key=lambda name: measure(kept[name]))]
    return kept


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
TOO_MANY = _(
    "There have been many bookings with this e-mail address or from your network. "
    "Nothing was booked just now. Please try again later."
)
NOT_ACCEPTED = _("This was not accepted. Please change it.")
REFUSALS = {
    "email": _("This e-mail address was not accepted. Please use another one."),
    "phone": _("This phone number was not accepted. Please use another one."),
}


def get_details(booking: Booking) -> dict[str, Any]:
    """What somebody typed for a booking, as a form takes it."""
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
    """The zone somebody wants to read times in, and the page they were on."""

    tz = forms.CharField(max_length=64)
    next = forms.CharField(max_length=2000, required=False)

    def clean_tz(self) -> str:
        zone = find_zone(self.cleaned_data["tz"])
        if zone is None:
            raise ValidationError(_("Choose a time zone from the list."))
        return zone.key


class CancelForm(forms.Form):
    """Why somebody gives an appointment up, if they want to say so."""

    reason = forms.CharField(
        label=_("Reason (optional)"),
        max_length=MAX_REASON,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        error_messages={"max_length": _("Please use at most %(limit_value)d characters.")},
    )

    def __init__(self, *args: Any, host_name: str = "", **kwargs: Any) -> None:
        kwargs["auto_id"] = "mg-%s"
        super().__init__(*args, **kwargs)
        if host_name:
            self.fields["reason"].help_text = _("%(host)s will see this.") % {"host": host_name}
        left = gettext("Characters left: %(count)s") % {"count": "{count}"}
        self.fields["reason"].widget.attrs["data-left"] = left
