"""Factories of rows, for tests that do not need the service."""

from __future__ import annotations

from datetime import timedelta

import factory
from django.utils import timezone

from django_meetergo.models import Appointment, Attendee, Booking, Host, MeetingType


class HostFactory(factory.django.DjangoModelFactory[Host]):
    class Meta:
        model = Host

    remote_id = factory.Faker("uuid4")
    name = factory.Faker("name")
    email = factory.Faker("email")
    timezone = "Europe/Berlin"


class MeetingTypeFactory(factory.django.DjangoModelFactory[MeetingType]):
    class Meta:
        model = MeetingType

    connection = "default"
    remote_id = factory.Faker("uuid4")
    slug = factory.Sequence(lambda number: f"meeting-type-{number}")
    name = factory.Sequence(lambda number: f"Meeting type {number}")
    duration = 30
    confirmation = MeetingType.Confirmation.NONE


class AppointmentFactory(factory.django.DjangoModelFactory[Appointment]):
    class Meta:
        model = Appointment

    connection = "default"
    remote_id = factory.Faker("uuid4")
    meeting_type = factory.SubFactory(MeetingTypeFactory, connection=factory.SelfAttribute("..connection"))
    start = factory.LazyFunction(lambda: timezone.now().replace(microsecond=0) + timedelta(days=3))
    end = factory.LazyAttribute(lambda row: row.start + timedelta(minutes=30))
    synced_at = factory.LazyFunction(timezone.now)


class AttendeeFactory(factory.django.DjangoModelFactory[Attendee]):
    class Meta:
        model = Attendee

    appointment = factory.SubFactory(AppointmentFactory)
    connection = factory.SelfAttribute("appointment.connection")
    remote_id = factory.Faker("uuid4")
    first_name = factory.Faker("first_name")
    last_name = factory.Faker("last_name")
    email = factory.Sequence(lambda number: f"attendee{number}@example.com")


class BookingFactory(factory.django.DjangoModelFactory[Booking]):
    class Meta:
        model = Booking

    connection = "default"
    meeting_type = factory.SubFactory(MeetingTypeFactory, connection=factory.SelfAttribute("..connection"))
    start = factory.LazyFunction(lambda: timezone.now().replace(microsecond=0) + timedelta(days=3))
    duration = 30
    first_name = factory.Faker("first_name")
    last_name = factory.Faker("last_name")
    email = factory.Sequence(lambda number: f"person{number}@example.com")
    created_at = factory.LazyFunction(timezone.now)
