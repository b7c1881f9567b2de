"""Staff read words: no class names, keys or JSON outside of the folded technical details."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from django import forms
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import flatten_fieldsets, label_for_field
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.functional import Promise
from django.utils.translation import override

from django_meetergo.admin.answers import describe_answer
from django_meetergo.admin.display import format_age, midnight
from django_meetergo.admin.handoff import HandoffForm
from django_meetergo.formatting import format_time
from django_meetergo.models import AppointmentChange, Connection, Host, SyncRun, WebhookDelivery
from django_meetergo.services.changes.colleagues import Colleague
from django_meetergo.testing.factories import AppointmentFactory, AttendeeFactory, MeetingTypeFactory
from tests.admin.conftest import get_text

pytestmark = pytest.mark.django_db


class GrowingForm(forms.Form):
    """A form of a site that adds a question for the visitor."""

    def __init__(self, *args, request, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["topic"] = forms.ChoiceField(label="What is it about?", choices=[("plan", "A plan")])


class VisitorsForm(GrowingForm):
    """A form that cannot be built without a visitor."""

    known = forms.CharField(label="Known to the class")

    def __init__(self, *args, request, **kwargs):
        super().__init__(*args, request=request, **kwargs)
        self.initial["topic"] = request.session["topic"]


def get_unfolded(page):
    """Return the text of a page without what is folded."""
    html = re.sub(r"<fieldset[^>]*collapse.*?</fieldset>", "", page.content.decode(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("GrowingForm", "What is it about? A plan Known: yes"),
        ("VisitorsForm", "Known to the class: yes Topic: plan"),
    ],
)
def test_answers_show_the_question_that_a_form_adds_when_it_is_built(superuser, settings, form, shown):
    attendee = AttendeeFactory(custom_fields={"topic": "plan", "known": "yes"})
    slug = attendee.appointment.meeting_type.slug
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {slug: f"tests.admin.test_wording.{form}"}}

    assert shown in get_text(superuser.get("attendee_change", attendee.pk))


@pytest.mark.parametrize(
    ("language", "time", "day", "week"),
    [
        ("en-us", "2:30 PM", "Wednesday, June 3, 2026", "Sunday, May 31 – Saturday, June 6, 2026"),
        ("en-gb", "14:30", "Wednesday 3 June 2026", "Monday 1 June – Sunday 7 June 2026"),
        ("fr", "14:30", "mercredi 3 juin 2026", "lundi 1 juin – dimanche 7 juin 2026"),
    ],
)
def test_the_calendar_writes_dates_as_the_pages_do(superuser, language, time, day, week):
    start = midnight(date(2026, 6, 3)) + timedelta(hours=14, minutes=30)
    AppointmentFactory(start=start, end=start + timedelta(minutes=30))
    superuser.client.defaults["HTTP_ACCEPT_LANGUAGE"] = language

    one_day = get_text(superuser.get("appointment_calendar", view="day", date="2026-06-03"))
    whole_week = get_text(superuser.get("appointment_calendar", view="week", date="2026-06-03"))

    assert time in one_day
    assert day in one_day
    assert time in whole_week
    assert week in whole_week


def test_the_page_of_a_meeting_type_lists_places_and_channels_in_words(superuser):
    row = MeetingTypeFactory(
        allowed_durations=[30, 60], allowed_channels=["phone", "local"], locations=["Room 1", "Room <2>"]
    )
    text = get_text(superuser.get("meetingtype_change", row.pk))

    assert "Allowed durations: 30, 60" in text
    assert "Phone call, On site" in text
    assert "Room 1 Room &lt;2&gt;" in text
    assert "[" not in text


def test_the_history_of_an_appointment_is_in_words(superuser):
    now = timezone.now()
    appointment = AppointmentFactory(cancelled_by="api_platform_user", cancelled_at=now, status="cancelled")
    WebhookDelivery.objects.create(
        digest="d", remote_id=appointment.remote_id, event_type="review_published", received_at=now,
        state="dead", message="Unreachable: no usable answer",
    )  # fmt: skip
    AppointmentChange.objects.create(
        appointment=appointment, kind="cancel", requested_by="host", previous_start=appointment.start,
        created_at=now, state="unknown", message="OutcomeUnknown: timeout",
    )  # fmt: skip

    text = get_unfolded(superuser.get("appointment_change", appointment.pk))

    assert "Notification from meetergo" in text
    assert "Request to cancel" in text
    for raw in ("review_published", "Unreachable", "OutcomeUnknown", "api_platform_user"):
        assert raw not in text


def test_the_history_has_the_notifications_at_every_address_of_the_company(superuser):
    """Each connection has its own, and the rows of all have the name of the first."""
    for name in ("default", "berlin"):
        Connection.objects.create(connection=name, company="c", mirror="default")
    appointment = AppointmentFactory()
    WebhookDelivery.objects.create(
        connection="berlin", digest="d", remote_id=appointment.remote_id, event_type="booking_created",
        received_at=timezone.now(), state="applied",
    )  # fmt: skip

    assert "Notification from meetergo" in get_unfolded(superuser.get("appointment_change", appointment.pk))


def test_how_long_ago_something_was_is_right_in_german():
    """Django's spans are in the nominative, which no preposition takes."""
    with translation.override("de"):
        text = format_age(timezone.now() - timedelta(days=2))
    assert text.replace("\xa0", " ") == "2 Tage her"


def test_the_history_names_an_action_without_the_dots_of_its_button(superuser):
    row = AppointmentFactory(start=timezone.now() + timedelta(days=2))
    AttendeeFactory(appointment=row)
    superuser.run_action("appointment", "cancel", [row], reason="ill")
    assert LogEntry.objects.get().change_message == "Cancel: ill"


def test_every_column_that_staff_read_has_a_name_that_can_be_translated():
    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label != "meetergo":
            continue
        names = {*flatten_fieldsets(model_admin.fieldsets or ()), *model_admin.list_display}
        for field in model._meta.get_fields():
            if field.name in names - {"id"}:
                assert isinstance(field.verbose_name, Promise), f"{model.__name__}.{field.name}"


def test_help_and_groups_of_choices_are_announced(superuser):
    """By the ids that the fields refer to."""
    row = AppointmentFactory(start=timezone.now() + timedelta(days=2))
    AttendeeFactory(appointment=row)
    page = superuser.choose_action("appointment", "cancel", [row]).content.decode()
    described = re.findall(r'aria-describedby="([^" ]*helptext)"', page)
    assert all(f'id="{name}"' in page for name in described)
    assert 'id="id_reason_helptext"' in page

    class Choice(forms.Form):
        place = forms.ChoiceField(choices=[("a", "A")], widget=forms.RadioSelect, help_text="Where?")

    shown = render_to_string("admin/meetergo/fields.html", {"form": Choice()})
    assert 'role="group" aria-labelledby="id_place_label" aria-describedby="id_place_helptext"' in shown
    assert 'id="id_place_label"' in shown


def test_a_sync_run_counts_what_it_skipped_and_folds_why(superuser):
    run = SyncRun.objects.create(
        kind="near", state="failed", started_at=timezone.now(), message="ProgrammingError: oops",
        skipped=[{"kind": "appointment", "id": "a7", "reason": "DataError"}],
    )  # fmt: skip
    page = superuser.get("syncrun_change", run.pk)

    assert "Skipped: 1" in get_unfolded(page)
    assert "ProgrammingError" not in get_text(superuser.get("syncrun_changelist"))
    for technical in ("ProgrammingError: oops", "appointment a7: DataError"):
        assert technical in get_text(page)
        assert technical not in get_unfolded(page)


def test_a_word_that_django_translates_too_keeps_our_translation(admin_client):
    """Django's own “History” is “Geschichte” in German, and its catalogue comes first."""
    row = AppointmentFactory()
    page = admin_client.get(
        f"/admin/meetergo/appointment/{row.pk}/change/", headers={"accept-language": "de"}
    ).content.decode()
    headings = re.findall(r"<h2[^>]*>\s*(.*?)\s*</h2>", page)
    assert "Verlauf" in headings


def list_labels(model_admin, language):
    """Return the labels of a model's list and page by name, without those of the technical details."""
    shown = [part for part in model_admin.fieldsets or () if "collapse" not in part[1].get("classes", ())]
    names = [*model_admin.list_display, *flatten_fieldsets(shown)]
    with override(language):
        return {name: str(label_for_field(name, model_admin.model, model_admin)) for name in names}


@pytest.mark.parametrize(
    "model_admin",
    [one for model, one in admin.site._registry.items() if model._meta.app_label == "meetergo"],
    ids=lambda one: one.model.__name__,
)
def test_the_labels_of_lists_and_pages_are_translated(model_admin):
    """French and German differ from English; a word that is the same in one of them is not in the other."""
    english, german, french = (list_labels(model_admin, language) for language in ("en", "de", "fr"))
    assert [name for name, label in english.items() if label == german[name] == french[name]] == []


def test_the_page_of_an_appointment_has_no_odd_words(superuser):
    now = timezone.now()
    attendee = AttendeeFactory(
        appointment__reschedule_count=1, appointment__previous_start=now,
        appointment__status="cancelled", appointment__cancelled_by="host",
    )  # fmt: skip
    AppointmentChange.objects.create(
        appointment=attendee.appointment, attendee=attendee, kind="cancel", state="refused",
        outcome="needs_staff", requested_by="attendee", created_at=now, previous_start=now,
    )  # fmt: skip

    text = get_text(superuser.get("appointment_change", attendee.appointment_id))

    for odd in ("1 times", "–, by the host", "needs_staff"):
        assert odd not in text


def test_busy_times_of_a_colleague_are_written_as_everywhere():
    form = HandoffForm(rows=[])
    form.rows = [1, 2]
    start = datetime(2026, 12, 7, 13, 30, tzinfo=UTC)
    with translation.override("en-us"):
        text = form.describe_colleague(Colleague(host=Host(name="Ben"), busy=[start]))
        assert format_time(timezone.localtime(start)) in text


@pytest.mark.parametrize(("language", "expected"), [("en", ["Yes", "No"]), ("de", ["Ja", "Nein"])])
def test_a_box_was_ticked_or_not_in_words(language, expected):
    """Whether it was booked on the site, which keeps truth values, or at meetergo, which keeps texts."""
    box = forms.BooleanField(required=False)
    with translation.override(language):
        assert [describe_answer(answer, box) for answer in (True, False)] == expected
        assert [describe_answer(answer, box) for answer in ("true", "false")] == expected
        assert describe_answer("true", forms.CharField()) == "true"
