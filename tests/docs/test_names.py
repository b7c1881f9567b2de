"""Every public name is in the reference, and every name in the reference exists."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import get_commands

from django_meetergo import conf, exceptions, services, signals
from django_meetergo.models import Booking, Event, SyncRun, WebhookDelivery
from django_meetergo.services.events import SIGNALS
from django_meetergo.templatetags.meetergo import register
from django_meetergo.testing import factories, plugin
from tests.docs.documents import DOCS, ROOT

REFERENCE = DOCS / "reference"
PACKAGE = ROOT / "django_meetergo"
TROUBLE = DOCS / "howto" / "troubleshoot.rst"


def read(path: Path) -> str:
    return path.read_text("utf-8")


def list_targets() -> set[str]:
    """Return the anchors that the page on troubleshooting defines itself."""
    return set(re.findall(r"^\.\. _([\w-]+):$", read(TROUBLE), re.MULTILINE))


def list_missing(names: object, page: str) -> list[str]:
    text = read(REFERENCE / f"{page}.rst")
    return [name for name in names if f"``{name}``" not in text]  # type: ignore[attr-defined]


def test_every_setting_is_documented_and_no_other() -> None:
    terms = re.findall(r"^(``[A-Z].*)$", read(REFERENCE / "settings.rst"), re.MULTILINE)
    documented = {name for line in terms for name in re.findall(r"``([A-Z_]+)``", line)}
    assert documented == {field.name for field in dataclasses.fields(conf.Settings)}


def test_every_service_is_documented() -> None:
    text = read(REFERENCE / "services.rst")
    documented = set(re.findall(r"^\.\. auto\w+:: (\w+)$", text, re.MULTILINE))
    assert set(services.__all__) - documented == set()


def test_every_model_is_documented_with_its_columns() -> None:
    text = read(REFERENCE / "models.rst")
    names = [model.__name__ for model in apps.get_app_config("meetergo").get_models()]
    own = [name for name in names if not name.startswith(("Appointment_", "MeetingType_"))]
    assert [name for name in own if f".. from-code:: model {name}\n" not in text] == []
    assert [name for name in own if f".. autoclass:: {name}()\n" not in text] == []


def test_every_signal_is_documented() -> None:
    names = [name for name, value in vars(signals).items() if isinstance(value, signals.Signal)]
    assert list_missing(names, "signals") == []


def test_every_tag_and_filter_is_documented() -> None:
    text = read(REFERENCE / "template-tags.rst")
    assert [name for name in register.tags if f"``{name}" not in text] == []
    assert [name for name in register.filters if f"|{name}``" not in text] == []


def test_every_command_has_a_section() -> None:
    text = read(REFERENCE / "commands.rst")
    names = [name for name, app in get_commands().items() if app == "django_meetergo"]
    assert [name for name in names if f"\n{name}\n----" not in text] == []


def test_every_state_and_reason_is_documented() -> None:
    of_bookings = [*Booking.State.values, *filter(None, Booking.Reason.values)]
    of_work = [*WebhookDelivery.State.values, *SyncRun.State.values]
    without_signal = [kind for kind in Event.Kind.values if kind not in SIGNALS]
    assert list_missing([*of_bookings, *of_work, *without_signal], "states") == []


def test_every_page_template_is_documented() -> None:
    paths = (PACKAGE / "templates" / "meetergo").glob("*.html")
    names = [f"meetergo/{path.name}" for path in paths if path.name != "base.html"]
    assert list_missing(names, "templates") == []


def test_every_css_property_is_documented() -> None:
    folder = PACKAGE / "static" / "meetergo"
    css = read(folder / "meetergo.css") + read(folder / "pages.css")
    blocks = re.findall(r":where\(\.meetergo(?:, \.mg-body)?\) \{(.*?)\}", css, re.DOTALL)
    tokens = {token for block in blocks for token in re.findall(r"(--mg-[\w-]+):", block)}
    assert len(tokens) > 15
    assert list_missing(sorted(tokens), "css") == []


def test_every_fixture_and_factory_is_documented() -> None:
    made = [name for name in vars(factories) if name.endswith("Factory")]
    fixtures = [name for name in vars(plugin) if name.endswith("meetergo_sandbox")]
    assert len(fixtures) >= 2
    assert list_missing([*made, *fixtures], "testing") == []


def test_every_fault_is_documented() -> None:
    from django_meetergo.sandbox.faults import KINDS

    assert list_missing(sorted(KINDS), "testing") == []


# Troubleshooting


def list_exceptions() -> list[str]:
    own = [name for name, value in vars(exceptions).items() if inspect.isclass(value)]
    return [name for name in own if getattr(exceptions, name).__module__ == exceptions.__name__]


@pytest.mark.parametrize(
    ("prefix", "names"),
    [("", list_exceptions()), ("reason-", [value for value in Booking.Reason.values if value])],
    ids=["exceptions", "reasons"],
)
def test_each_name_has_an_entry_in_the_page_on_troubleshooting(prefix: str, names: list[str]) -> None:
    assert sorted({f"{prefix}{name}" for name in names} - list_targets()) == []


def test_each_reason_of_a_refused_change_has_an_entry() -> None:
    code = "".join(read(path) for path in sorted((PACKAGE / "services" / "changes").glob("*.py")))
    code += read(PACKAGE / "exceptions.py")
    reasons = set(re.findall(r'(?:reason|outcome)="([a-z_]+)"', code))
    reasons |= set(re.findall(r'return "([a-z_]+)"$', code, re.MULTILINE))
    # These are chosen by an expression in the code.
    reasons |= {"too_late", "past", "refused", "slot_taken"}
    assert {f"change-{reason}" for reason in reasons} - list_targets() == set()


def test_the_page_on_troubleshooting_lists_the_checks() -> None:
    """Their entries are generated from the code when the documentation is built."""
    assert ".. from-code:: check-help" in read(TROUBLE)
