"""Filters for the templates of the admin: dates and times as the pages write them."""

from __future__ import annotations

from datetime import date, datetime

from django import template
from django.utils import timezone

from django_meetergo.formatting import (
    format_abbreviated_day,
    format_abbreviated_moment,
    format_day,
    format_full_day,
    format_hour,
    format_month,
    format_time,
    format_weekday,
)

register = template.Library()
register.filter("full_day", format_full_day)
register.filter("short_day", format_abbreviated_day)
register.filter("weekday", format_weekday)
register.filter("month_name", format_month)
register.filter("hour", format_hour)


@register.filter
def clock(moment: datetime) -> str:
    """Return the time of day in the current time zone."""
    return format_time(timezone.localtime(moment))


@register.filter
def moment(moment: datetime) -> str:
    """Return date and time in the current time zone."""
    return format_abbreviated_moment(moment, timezone.get_current_timezone())


@register.filter
def days_until(first: date, last: date) -> str:
    """Return a span of days."""
    return f"{format_day(first)} – {format_full_day(last)}"
