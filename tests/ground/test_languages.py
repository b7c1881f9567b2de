"""Languages are complete, and what was translated is what ships. No gettext tool is needed to see that."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils.translation.template import templatize

import django_meetergo

ROOT = Path(django_meetergo.__file__).parent
#: Calls that mark a text, and which arguments are the context and the text itself.
MARKS = {"_": 0, "gettext": 0, "gettext_lazy": 0, "gettext_noop": 0, "ngettext": 0, "ngettext_lazy": 0}
MARKS_IN_CONTEXT = {"pgettext": 1, "pgettext_lazy": 1, "npgettext": 1, "npgettext_lazy": 1}
#: A text as Django writes it where it turns a template into calls.
TEXT = r"""(?:u?'(?:[^'\\]|\\.)*'|u?"(?:[^"\\]|\\.)*")"""
TEMPLATE_CALL = re.compile(rf"\b(_|n?p?gettext)\(({TEXT})(?:, ?({TEXT}))?")
PLACE = re.compile(r"%\(\w+\)[sd]|\{\w*\}")


def read_catalog(language: str, ending: str) -> Path:
    return ROOT / "locale" / language / "LC_MESSAGES" / f"django.{ending}"


def read_entries(language: str) -> dict[tuple[str, str], list[str]]:
    """The translations of each text under its context; fuzzy ones count as none."""
    entries = {}
    for block in read_catalog(language, "po").read_text("utf-8").split("\n\n"):
        found: list[tuple[str, str]] = []
        for line in block.splitlines():
            if line.startswith('"'):
                name, text = found.pop()
                found.append((name, text + ast.literal_eval(line)))
            elif not line.startswith("#"):
                name, _, text = line.partition(" ")
                found.append((name, ast.literal_eval(text)))
        words = dict(found)
        is_fuzzy = any(line.startswith("#,") and "fuzzy" in line for line in block.splitlines())
        translations = [] if is_fuzzy else [text for name, text in found if name.startswith("msgstr")]
        if words.get("msgid"):
            entries[words.get("msgctxt", ""), words["msgid"]] = translations
    return entries


def find_in_code(source: str) -> Iterator[tuple[str, ...]]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name in MARKS | MARKS_IN_CONTEXT:
            given = node.args[: MARKS_IN_CONTEXT.get(name, 0) + 1]
            texts = [each.value for each in given if isinstance(each, ast.Constant)]
            if texts:
                yield ("", *texts)[-2:]


def find_in_template(source: str) -> Iterator[tuple[str, ...]]:
    """Django's own translation of a template into calls, of which only the texts are wanted."""
    for name, first, second in TEMPLATE_CALL.findall(templatize(source)):
        if "pgettext" in name:
            yield ast.literal_eval(first), ast.literal_eval(second)
        else:
            yield "", ast.literal_eval(first)


def find_texts() -> set[tuple[str, ...]]:
    """Every text of ours that somebody may read, from the sources as they are now."""
    found: set[tuple[str, ...]] = set()
    for path in ROOT.rglob("*.py"):
        if "sandbox" not in path.relative_to(ROOT).parts:
            found |= set(find_in_code(path.read_text("utf-8")))
    for path in [*ROOT.rglob("templates/**/*.html"), *ROOT.rglob("templates/**/*.txt")]:
        found |= set(find_in_template(path.read_text("utf-8")))
    return found


@pytest.mark.parametrize("language", ["de", "en", "fr"])
def test_a_language_that_is_complete_stays_complete(language):
    """Whoever adds a text adds its German and French; whoever removes one removes it there as well."""
    texts, entries = find_texts(), read_entries(language)
    assert len(texts) > 300
    assert sorted(texts - set(entries)) == []
    assert [key for key, translations in entries.items() if not translations or not all(translations)] == []


@pytest.mark.parametrize("language", ["de", "en", "fr"])
def test_a_translation_keeps_the_places_of_its_text(language):
    for (_, text), translations in read_entries(language).items():
        for translation in filter(None, translations):
            assert set(PLACE.findall(translation)) >= set(PLACE.findall(text)) - {"%(limit)s", "{limit}"}, (
                text
            )


@pytest.mark.parametrize("language", ["de", "en", "fr"])
def test_what_ships_is_what_was_translated(language):
    """The compiled file is made from the readable one."""
    with read_catalog(language, "mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for (context, text), translations in read_entries(language).items():
        if translations and all(translations) and len(translations) == 1:
            found = compiled.pgettext(context, text) if context else compiled.gettext(text)
            assert found == translations[0], text
