"""Filters for ``meetergo/includes/field.html``."""

from django import template

from django_meetergo.presentation.field_layout import group_choices, list_parts

register = template.Library()
register.filter("choice_groups", group_choices)
register.filter("field_parts", list_parts)
