"""The inputs of a form field on the pages: groups of choices, parts with labels, hidden copies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django import forms
from django.forms.widgets import ChoiceWidget
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext


@dataclass(frozen=True, kw_only=True)
class ChoiceGroup:
    """Choices below one heading; the label is empty for choices outside any group."""

    label: str
    choices: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class FieldPart:
    """One input of a widget that has several."""

    label: str
    id: str
    html: SafeString


def group_choices(bound: forms.BoundField) -> list[ChoiceGroup]:
    """Return the radio buttons or tick boxes of a field by group; none for any other widget."""
    widget = bound.field.widget
    if not isinstance(widget, ChoiceWidget):
        return []
    choices = iter(bound)
    optgroups = widget.optgroups(bound.html_name, widget.format_value(bound.value()))
    # Django makes a group of each choice outside any group.
    return [
        ChoiceGroup(label=label, choices=tuple(next(choices) for part in parts for _option in part[1]))
        for label, parts in groupby(optgroups, key=lambda part: str(part[0] or ""))
    ]


def list_parts(bound: forms.BoundField) -> list[FieldPart]:
    """Return the inputs of a widget that has several, such as the selects of a date."""
    widget = bound.field.widget
    if bound.field.localize:
        widget.is_localized = True
    attrs = {**bound.build_widget_attrs({}, widget), "id": bound.auto_id}
    parts = widget.get_context(bound.html_name, bound.value(), attrs)["widget"].get("subwidgets", [])
    for number, part in enumerate(parts):
        part["attrs"]["id"] = f"{bound.auto_id}_{number}"  # the selects of a date have ids of another kind
    return [
        FieldPart(
            label=name_part(bound.field, part["name"], number, len(parts)),
            id=part["attrs"]["id"],
            # The renderer's engine escapes.
            html=mark_safe(bound.form.renderer.render(part["template_name"], {"widget": part})),  # noqa: S308
        )
        for number, part in enumerate(parts)
    ]


def name_part(field: forms.Field, name: str, number: int, count: int) -> str:
    """Return the label of a part: that of its field, or what Django's own widgets ask for there."""
    fields = getattr(field, "fields", ())
    if number < len(fields) and fields[number].label:
        return str(fields[number].label)
    if isinstance(field.widget, forms.SplitDateTimeWidget):
        return (gettext("Date"), gettext("Time"))[number]
    names = {"year": gettext("Year"), "month": gettext("Month"), "day": gettext("Day")}
    if isinstance(field.widget, forms.SelectDateWidget):
        return names[name.rpartition("_")[2]]
    return gettext("Part %(number)s of %(count)s") % {"number": number + 1, "count": count}


def render_hidden(bound: forms.BoundField) -> SafeString:
    """Render a field's value as hidden inputs of the same names."""
    widget = bound.field.widget
    if not isinstance(widget, forms.MultiWidget):
        return bound.as_hidden(attrs={"id": False})
    pairs = list_pairs(widget, bound.html_name, bound.value())
    return format_html_join("", '<input type="hidden" name="{}" value="{}">', pairs)


def list_pairs(widget: forms.Widget, name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and value of every input of a widget that has a value."""
    if isinstance(widget, forms.MultiWidget):
        names: Any = widget.widgets_names  # type: ignore[attr-defined]
        values = value if isinstance(value, list | tuple) else widget.decompress(value) or ()
        for suffix, part, one in zip(names, widget.widgets, values, strict=False):
            yield from list_pairs(part, name + suffix, one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield name, one
    elif value is not None:
        yield name, value
