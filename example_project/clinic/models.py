"""The practice's own records. Bookings refer to them; meetergo does not know them."""

from __future__ import annotations

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils.translation import gettext_lazy as _

from django_meetergo.models import Appointment, Attendee


class CourseQuerySet(models.QuerySet["Course"]):
    def newest(self) -> Course | None:
        return self.order_by("-year", "-pk").first()


class Course(models.Model):
    """A course of the back class. A booking of the class belongs to one course."""

    class Season(models.TextChoices):
        SPRING = "spring", _("Spring course")
        AUTUMN = "autumn", _("Autumn course")

    season = models.CharField(max_length=10, choices=Season)
    year = models.PositiveIntegerField()

    objects = CourseQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.get_season_display()} {self.year}"

    def count_places(self) -> int:
        """Return the number of places booked, found by the subject the widget gives each booking."""
        kind = ContentType.objects.get_for_model(Course)
        booked = Attendee.objects.filter(subject_type=kind, subject_id=str(self.pk))
        standing = Appointment.objects.active()
        return booked.filter(status=Attendee.Status.ATTENDING, appointment__in=standing).count()
