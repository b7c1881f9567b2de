"""What ``inputs`` describes, the booking form accepts: for every field of ``django.forms``."""

from __future__ import annotations

import json
import random
import uuid
from base64 import b64encode
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from django import forms
from django.contrib.auth.models import Group
from django.core import validators

from django_meetergo.models import MeetingType
from tests.api.conftest import DETAILS

pytestmark = pytest.mark.django_db

CHOICES = [("a", "A"), ("Group", [("b", "B"), ("c", "C")])]

#: Every field of ``django.forms`` by class name, and variants with limits or other formats.
FIELDS: dict[str, Any] = {
    "Field": lambda: forms.Field(),
    "CharField": lambda: forms.CharField(),
    "CharField with limits": lambda: forms.CharField(min_length=3, max_length=7),
    "CharField with a text area": lambda: forms.CharField(widget=forms.Textarea),
    "RegexField": lambda: forms.RegexField(r"^[A-Z]{2}\d{3}$"),
    "EmailField": lambda: forms.EmailField(),
    "URLField": lambda: forms.URLField(assume_scheme="https"),
    "SlugField": lambda: forms.SlugField(),
    "UUIDField": lambda: forms.UUIDField(),
    "GenericIPAddressField": lambda: forms.GenericIPAddressField(),
    "JSONField": lambda: forms.JSONField(),
    "IntegerField": lambda: forms.IntegerField(),
    "IntegerField with limits": lambda: forms.IntegerField(min_value=3, max_value=33, step_size=5),
    "IntegerField localized": lambda: forms.IntegerField(localize=True),
    "FloatField": lambda: forms.FloatField(min_value=0.5, max_value=1.5),
    "DecimalField": lambda: forms.DecimalField(max_digits=5, decimal_places=2, min_value=Decimal("1.25")),
    "BooleanField": lambda: forms.BooleanField(),
    "BooleanField optional": lambda: forms.BooleanField(required=False),
    "NullBooleanField": lambda: forms.NullBooleanField(),
    "DateField": lambda: forms.DateField(validators=[validators.MinValueValidator(date(2026, 1, 1))]),
    "DateField of another format": lambda: forms.DateField(input_formats=["%d.%m.%Y"]),
    "DateField with three selects": lambda: forms.DateField(widget=forms.SelectDateWidget),
    "TimeField": lambda: forms.TimeField(),
    "DateTimeField": lambda: forms.DateTimeField(),
    "SplitDateTimeField": lambda: forms.SplitDateTimeField(),
    "DurationField": lambda: forms.DurationField(),
    "ChoiceField": lambda: forms.ChoiceField(choices=CHOICES),
    "TypedChoiceField": lambda: forms.TypedChoiceField(choices=[(1, "1"), (2, "2")], coerce=int),
    "MultipleChoiceField": lambda: forms.MultipleChoiceField(choices=CHOICES),
    "TypedMultipleChoiceField": lambda: forms.TypedMultipleChoiceField(choices=[(1, "1")], coerce=int),
    "ModelChoiceField": lambda: forms.ModelChoiceField(Group.objects.all()),
    "ModelMultipleChoiceField": lambda: forms.ModelMultipleChoiceField(Group.objects.all()),
    "FilePathField": lambda: forms.FilePathField(path="django_meetergo", match=r"\.py$"),
    "ComboField": lambda: forms.ComboField(fields=[forms.CharField(max_length=20), forms.EmailField()]),
    "MultiValueField": lambda: TwoParts(),
}
#: Refused by the check ``meetergo.E015``.
REFUSED = {"FileField", "ImageField"}


class TwoInputs(forms.MultiWidget):
    def __init__(self) -> None:
        super().__init__([forms.NumberInput(), forms.Select(choices=CHOICES)])

    def decompress(self, value: Any) -> list[Any]:
        return value.split("/") if value else [None, None]


class TwoParts(forms.MultiValueField):
    """A site's own field of several parts."""

    def __init__(self) -> None:
        fields = [forms.IntegerField(min_value=1), forms.ChoiceField(choices=CHOICES)]
        super().__init__(fields, widget=TwoInputs())

    def compress(self, values: Any) -> str:
        return "/".join(map(str, values))


class Questions(forms.Form):
    """A form with one of the fields; the test sets which."""

    field_name = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["question"] = FIELDS[self.field_name]()


def generate(described: dict[str, Any], dice: random.Random) -> Any:
    """Return a value that the description allows."""
    if described["multiple"]:
        values = [choice["value"] for choice in described["choices"]]
        return dice.sample(values, dice.randint(1, len(values)))
    return GENERATORS[described["type"]](described, dice)


def generate_text(described: dict[str, Any], dice: random.Random) -> str:
    if described["pattern"] == r"^[A-Z]{2}\d{3}$":
        return f"AB{dice.randint(100, 999)}"
    shortest, longest = described["min_length"] or 1, described["max_length"] or 40
    return "".join(dice.choice("aZ0é&%") for _ in range(dice.randint(shortest, longest)))


def generate_integer(described: dict[str, Any], dice: random.Random) -> int:
    lowest = described["min"] if described["min"] is not None else -1000
    highest = described["max"] if described["max"] is not None else lowest + 1000
    step = int(described["step"] or 1)
    return lowest + step * dice.randint(0, (highest - lowest) // step)


def generate_decimal(described: dict[str, Any], dice: random.Random) -> str:
    whole = described["max_digits"] - described["decimal_places"]
    lowest = Decimal(described["min"])
    return str(lowest + Decimal(dice.randint(0, 10**whole // 2)) / 10 ** described["decimal_places"])


def generate_datetime(described: dict[str, Any], dice: random.Random) -> str:
    lowest = datetime.fromisoformat(described["min"] or "2026-01-01T00:00:00")
    return (lowest + timedelta(minutes=dice.randint(0, 10**6))).isoformat(dice.choice("T "), "seconds")


GENERATORS: dict[str, Any] = {
    "text": generate_text,
    "multiline": lambda described, dice: generate_text(described, dice) + "\nsecond line",
    "email": lambda described, dice: f"a{dice.randint(1, 99)}@example.com",
    "url": lambda described, dice: f"https://example.com/{dice.randint(1, 99)}",
    "slug": lambda described, dice: f"a-{dice.randint(1, 99)}",
    "uuid": lambda described, dice: str(uuid.UUID(int=dice.getrandbits(128))),
    "ip": lambda described, dice: dice.choice(["192.0.2.1", "2001:db8::1"]),
    "json": lambda described, dice: json.dumps({"a": [dice.randint(1, 9), None]}),
    "boolean": lambda described, dice: described["required"] or dice.choice([True, False]),
    "integer": generate_integer,
    "number": lambda described, dice: dice.uniform(described["min"], described["max"]),
    "decimal": generate_decimal,
    "choice": lambda described, dice: dice.choice(described["choices"])["value"],
    "date": lambda described, dice: generate_datetime(described, dice)[:10],
    "time": lambda described, dice: time(dice.randint(0, 23), dice.randint(0, 59)).isoformat(),
    "datetime": generate_datetime,
    "duration": lambda described, dice: f"P{dice.randint(0, 9)}DT{dice.randint(0, 23)}H30M",
    "parts": lambda described, dice: [generate(part, dice) for part in described["parts"]],
}


def test_the_list_has_every_field_of_django() -> None:
    classes = {
        name
        for name, value in vars(forms).items()
        if isinstance(value, type) and issubclass(value, forms.Field) and name != "BoundField"
    }
    assert classes <= {name.partition(" ")[0] for name in FIELDS} | REFUSED


@pytest.mark.parametrize("name", FIELDS)
def test_values_generated_from_a_description_are_accepted(front_end, settings, monkeypatch, name):
    Group.objects.create(name="Tuesdays")
    monkeypatch.setattr(Questions, "field_name", name)
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": "tests.api.test_inputs.Questions"}}
    inputs = front_end.get("/meeting-types/intro-call/").json()["inputs"]
    described = next(one for one in inputs if one["name"] == "answers.question")
    dice = random.Random(7)
    for _ in range(12):
        value = generate(described, dice)
        # A start that has passed: the answers are validated, and nothing is booked.
        data = {"start": "2020-01-01T09:00:00Z", "answers": {"question": value}}
        answer = front_end.post("/bookings/", {"meeting_type": "intro-call", **DETAILS, **data})
        assert set(answer.json()["errors"]) == {"start"}, (value, answer.json())


ANY_JSON = [None, True, 5, 5.5, 10**40, "text", "ſ", [], ["a", 5, None, True], [[1]]]


@pytest.mark.parametrize("name", FIELDS)
def test_any_json_is_accepted_or_refused_at_its_question(front_end, settings, monkeypatch, name):
    monkeypatch.setattr(Questions, "field_name", name)
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": "tests.api.test_inputs.Questions"}}
    for value in ANY_JSON:
        data = {"start": "2020-01-01T09:00:00Z", "answers": {"question": value}}
        answer = front_end.post("/bookings/", {"meeting_type": "intro-call", **DETAILS, **data})
        assert answer.status_code == 422, value
        assert set(answer.json()["errors"]) <= {"start", "answers.question"}, value


@pytest.mark.django_db(transaction=True)
def test_an_answer_keeps_its_type(front_end, settings, monkeypatch):
    from django_meetergo.models import Booking

    monkeypatch.setattr(Questions, "field_name", "IntegerField with limits")
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": "tests.api.test_inputs.Questions"}}
    assert front_end.book(answers={"question": 13}).status_code == 201
    assert Booking.objects.get().custom_fields == {"question": 13}


# The booking form's own fields


def get_inputs(front_end, slug="intro-call"):
    return {one["name"]: one for one in front_end.get(f"/meeting-types/{slug}/").json()["inputs"]}


@pytest.mark.django_db(transaction=True)
def test_other_emails_are_described_as_the_list_that_the_request_takes(front_end):
    MeetingType.objects.update(allows_guests=True)
    described = get_inputs(front_end)["other_emails"]
    assert (described["type"], described["multiple"], described["max_items"]) == ("email", True, 5)
    assert front_end.book(other_emails=["a@example.com", "b@example.com"]).status_code == 201


def test_conditions_between_inputs_are_described(front_end):
    MeetingType.objects.filter(slug="consultation").update(
        allowed_channels=["local", "phone"], locations=["Berlin", "Hamburg"], channel="local"
    )
    inputs = get_inputs(front_end, "consultation")
    assert inputs["location"]["shown_when"] == {"name": "channel", "values": ["local"]}
    assert inputs["phone"]["required_when"] == {"name": "channel", "values": ["phone"]}
    MeetingType.objects.filter(slug="intro-call").update(allows_phone_only=True)
    inputs = get_inputs(front_end)
    assert (inputs["email"]["required_unless"], inputs["phone"]["required_unless"]) == ("phone", "email")


def test_every_input_is_a_member_of_the_request(front_end, settings):
    """The pages' own fields (honeypot, token, consent to another time) are left out."""
    from django_meetergo.contrib.rest_framework.serializers.bookings import BookingRequestSerializer

    settings.MEETERGO = {
        **settings.MEETERGO,
        "REBOOK": {"days": 7},
        "PRIVACY_URL": "https://site.example/privacy/",
    }
    MeetingType.objects.update(allows_guests=True)
    inputs = get_inputs(front_end, "consultation")
    assert set(inputs) <= set(BookingRequestSerializer().fields)
    assert inputs["privacy"]["url"] == "https://site.example/privacy/"


class HardNumbers(forms.Form):
    weight = forms.FloatField(required=False)
    steps = forms.IntegerField(required=False, step_size=5)
    decimals = forms.DecimalField(required=False, step_size=5)


@pytest.mark.parametrize("name", ["weight", "steps", "decimals"])
def test_a_number_that_is_too_large_is_refused(front_end, settings, name):
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": f"{__name__}.HardNumbers"}}

    assert front_end.book(answers={name: 10**400}).status_code == 422


def test_a_question_name_that_cannot_be_encoded_is_refused(front_end):
    start = front_end.list_starts()[0]
    body = (
        f'{{"meeting_type": "intro-call", "start": "{start}", "first_name": "Jane", "last_name": "Doe", '
        '"email": "jane@example.com", "answers": {"\\ud800": "x"}}'
    )

    answer = front_end.client.post("/api/meetergo/bookings", body, content_type="application/json")

    assert answer.status_code == 422


@pytest.mark.parametrize(
    "position", [" 2026-12-01T00:00:00+00:00", "2026-12-01 00:00:00 01:00", "2026-12-01t00:00:00z"]
)
def test_a_cursor_is_read_as_it_was_checked(make_user, appointment, position):
    cursor = b64encode(urlencode({"p": position}).encode()).decode()

    answer = make_user("s", "view_appointment").get("/appointments", cursor=cursor)

    assert answer.status_code in {200, 422}


def test_days_are_iso_whatever_the_format_of_the_site(front_end, settings):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DATE_FORMAT": "%d.%m.%Y"}

    shown = front_end.get("/meeting-types/intro-call/availability", first_day="2026-12-24").json()

    assert shown["first_day"] == "2026-12-24"


def test_errors_of_the_whole_request_have_an_empty_name_whatever_the_site_calls_them(front_end, settings):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NON_FIELD_ERRORS_KEY": "errors"}

    answer = front_end.client.post("/api/meetergo/bookings", "[]", content_type="application/json")

    assert list(answer.json()["errors"]) == [""]
