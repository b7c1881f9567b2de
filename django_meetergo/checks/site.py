"""Checks of the site around the app: time zones, apps, URLs, templates, policy and forms."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage
from django.template import TemplateDoesNotExist, TemplateSyntaxError, engines
from django.template.backends.django import DjangoTemplates
from django.template.backends.django import Template as DjangoTemplate
from django.template.loader import get_template
from django.template.loader_tags import BlockNode, ExtendsNode

from django_meetergo import links
from django_meetergo.checks.messages import import_path, make_error, make_warning
from django_meetergo.conf import SETTING_NAME, Settings

REQUEST_PROCESSOR = "django.template.context_processors.request"
#: Without this block in the base template, the pages would be empty.
CONTENT_BLOCK = "content"


def check_project(settings: Settings) -> Iterator[CheckMessage]:
    """Check what the app needs of the project's own settings."""
    if not django_settings.USE_TZ:
        yield make_error(
            "E021",
            "USE_TZ is False: appointments would be stored without a time zone.",
            "Set USE_TZ = True.",
        )
    if not links.has_pages():
        yield make_warning(
            "W010",
            "The URLs of django-meetergo are not included.",
            'Add path("book/", include("django_meetergo.urls")) to the URLconf.',
        )


# Templates


def check_templates(settings: Settings) -> Iterator[CheckMessage]:
    if problem := find_template_problem(settings.BASE_TEMPLATE):
        yield make_error(
            "E020",
            f'{SETTING_NAME}["BASE_TEMPLATE"] {problem}.',
            'Name a Django template that has the blocks of "meetergo/base.html".',
        )
    for engine in engines.all():
        # The processors of any engine serve: a site without one cannot render a widget for a visitor.
        if isinstance(engine, DjangoTemplates) and REQUEST_PROCESSOR not in engine.engine.context_processors:
            yield make_warning(
                "W016",
                f"The template engine {engine.name!r} does not give the request to templates.",
                f'Add "{REQUEST_PROCESSOR}" to its context processors: without it, widgets show '
                "the site's time zone to every visitor and are not cached.",
            )


def find_template_problem(name: str) -> str:
    """Return what is wrong with the base template; "" if it can be used."""
    try:
        template = get_template(name)
        if not isinstance(template, DjangoTemplate):
            return "is not a template of Django's own engine"
        blocks = list_blocks(template)
    except (TemplateDoesNotExist, OSError, ValueError) as error:
        return f"is not found: {error}"
    except TemplateSyntaxError as error:
        return f"has an error: {error}"
    if blocks is not None and CONTENT_BLOCK not in blocks:
        return f'has no block "{CONTENT_BLOCK}", so the pages would be empty'
    return ""


def list_blocks(template: DjangoTemplate, seen: tuple[Any, ...] = ()) -> set[str] | None:
    """Return the blocks of a template and its parents; None if a parent is chosen when it is rendered.

    As when a template extends another one of its own name.
    """
    if template.origin in seen:
        return None
    nodes: Any = template.template.nodelist
    found = {node.name for node in nodes.get_nodes_by_type(BlockNode)}
    for node in nodes.get_nodes_by_type(ExtendsNode):
        parent = None if node.parent_name.filters else node.parent_name.var
        loaded = get_template(parent) if isinstance(parent, str) else None
        blocks = list_blocks(loaded, (*seen, template.origin)) if isinstance(loaded, DjangoTemplate) else None
        if blocks is None:
            return None
        found |= blocks
    return found


# The policy


def check_policy(settings: Settings) -> Iterator[CheckMessage]:
    policy, problem = import_path(settings.POLICY)
    if problem := problem or find_call_problem(policy):
        yield make_error(
            "E019",
            f'{SETTING_NAME}["POLICY"] {problem}.',
            'Use the dotted path of a function, for example "shop.policies.may_change".',
        )


def find_call_problem(policy: Any) -> str:
    """Return why a policy cannot be called; "" if it can be."""
    if not callable(policy):
        return "is not a function"
    if inspect.iscoroutinefunction(policy):
        return "is a coroutine, which nobody awaits"
    try:
        inspect.signature(policy).bind("cancel", None, None)
    except TypeError as error:
        return f"cannot be called with action, attendee and now: {error}"
    except ValueError:
        return ""  # a function of another language does not say what it takes
    return ""
