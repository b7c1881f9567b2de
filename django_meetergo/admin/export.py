"""Export the filtered list of appointments as a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.forms import Field
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect, StreamingHttpResponse
from django.utils import timezone, translation
from django.utils.formats import get_format
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin.answers import find_configured_fields, list_answers
from django_meetergo.admin.appointment_actions import list_attending
from django_meetergo.admin.base import MeetergoAdmin
from django_meetergo.formatting import format_pair, name_channel
from django_meetergo.models import Appointment, Attendee, Host
from django_meetergo.presentation.questions import list_site_fields

#: Appointments that are read and written at a time.
CHUNK_SIZE = 500
#: Spreadsheets run cells that start with these characters as formulas.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
COLUMNS = (
    _("start"), _("end"), _("status"), _("attendance"), _("meeting type"), _("hosts"), _("first name"),
    _("last name"), _("e-mail address"), _("phone number"), _("company"), _("answers"), _("channel"),
    _("note"), _("meetergo ID"),
)  # fmt: skip


class ExportMixin(MeetergoAdmin):
    """The CSV file of the list, with the list's filters and search."""

    def get_urls(self) -> list[Any]:
        return [self.build_url_pattern("export/", self.export_view, "export"), *super().get_urls()]

    def has_export_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and self.is_permitted(request, "export")

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Stream the appointments that the list shows for the same query string, one line per attendee."""
        if not self.has_export_permission(request):
            raise PermissionDenied
        try:
            rows: QuerySet[Any] = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return HttpResponseRedirect(self.get_admin_url("changelist") + "?e=1")
        self.log_export(request)
        response = StreamingHttpResponse(
            write_csv(rows, language=translation.get_language() or "", zone=timezone.get_current_timezone()),
            content_type="text/csv; charset=utf-8",
        )
        filename = f"appointments-{timezone.localdate():%Y-%m-%d}.csv"
        response["Content-Disposition"] = f'attachment; filename="{filename}"'
        response["Cache-Control"] = "no-store"
        return response

    def log_export(self, request: HttpRequest) -> None:
        user: Any = request.user
        LogEntry.objects.create(
            user_id=user.pk,
            content_type=ContentType.objects.get_for_model(Appointment),
            object_repr=gettext("Export of appointments"),
            action_flag=CHANGE,
            # Names only: a search term would keep somebody's name in the log after they were erased.
            change_message=", ".join(sorted(request.GET)),
        )


def write_csv(rows: QuerySet[Any], *, language: str, zone: Any) -> Iterator[str]:
    """Yield the file in pieces. Language and time zone are passed because the request is over by then."""
    rows = rows.defer("raw", "secret", "meeting_type__raw").select_related("meeting_type")
    rows = rows.prefetch_related(
        Prefetch("attendees", Attendee.objects.defer("raw")), Prefetch("hosts", Host.objects.defer("raw"))
    )
    with translation.override(language):
        # Excel expects semicolons where the comma is the decimal separator.
        delimiter = ";" if get_format("DECIMAL_SEPARATOR") == "," else ","
        # The byte order mark tells Excel that this is UTF-8.
        head = "\ufeff" + format_lines([[capfirst(str(column)) for column in COLUMNS]], delimiter)
    yield head
    find_configured, find_own = cache(find_configured_fields), cache(list_site_fields)
    lines: list[list[str]] = []
    for row in rows.iterator(chunk_size=CHUNK_SIZE):
        with translation.override(language), timezone.override(zone):
            kind = row.meeting_type
            questions = find_configured(kind.connection) | find_own(kind.slug) if kind else {}
            lines += list_lines(row, questions)
        if len(lines) >= CHUNK_SIZE:
            yield format_lines(lines, delimiter)
            lines = []
    if lines:
        yield format_lines(lines, delimiter)


def list_lines(row: Appointment, questions: Mapping[str, Field]) -> list[list[str]]:
    """Return one line per attendee; one line without a name when nobody attends."""
    return [list_cells(row, attendee, questions) for attendee in list_attending(row) or [Attendee()]]


def list_cells(row: Appointment, attendee: Attendee, questions: Mapping[str, Field]) -> list[str]:
    answers = list_answers(attendee.custom_fields, questions)
    return [
        f"{timezone.localtime(row.start):%Y-%m-%d %H:%M}",
        f"{timezone.localtime(row.end):%Y-%m-%d %H:%M}",
        str(row.get_status_display()),
        str(row.get_attendance_display()) if row.attendance else "",
        row.meeting_type.name if row.meeting_type else "",
        ", ".join(str(host) for host in row.hosts.all()),
        attendee.first_name,
        attendee.last_name,
        attendee.email,
        attendee.phone,
        attendee.company,
        "\n".join(format_pair(question, answer) for question, answer in answers),
        name_channel(row.channel),
        row.note,
        row.remote_id,
    ]


def format_lines(lines: list[list[str]], delimiter: str) -> str:
    """Return lines as CSV whose cells no spreadsheet runs as a formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter)
    writer.writerows([escape_formula(cell) for cell in line] for line in lines)
    return buffer.getvalue()


def escape_formula(cell: str) -> str:
    """Return the cell with an apostrophe in front if a spreadsheet would run it."""
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell
