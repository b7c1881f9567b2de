"""Translations are complete, and the compiled catalogs match their sources. No gettext tool is needed."""

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
#: Functions that mark a text for translation, and the index of its argument.
MARKS = {"_": 0, "gettext": 0, "gettext_lazy": 0, "gettext_noop": 0, "ngettext": 0, "ngettext_lazy": 0}
MARKS_IN_CONTEXT = {"pgettext": 1, "pgettext_lazy": 1, "npgettext": 1, "npgettext_lazy": 1}
#: A string literal in the output of Django's ``templatize``.
TEXT = r"""(?:u?'(?:[^'\\]|\\.)*'|u?"(?:[^"\\]|\\.)*")"""
TEMPLATE_CALL = re.compile(rf"\b(_|n?p?gettext)\(({TEXT})(?:, ?({TEXT}))?")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w*\}")
#: What a text quotes is the label of something to press or to open.
LABEL = re.compile("“([^”%{]+)”")
WIRE_NAMES = {"account"}  # a scope of meetergo's tokens, the same in every language


def get_catalog(language: str, ending: str) -> Path:
    return ROOT / "locale" / language / "LC_MESSAGES" / f"django.{ending}"


def read_entries(language: str) -> dict[tuple[str, str], list[str]]:
    """Return the translations of each (context, text); a fuzzy entry has none."""
    entries = {}
    for block in get_catalog(language, "po").read_text("utf-8").split("\n\n"):
        found: list[tuple[str, str]] = []
        for line in block.splitlines():
            if line.startswith('"'):
                name, text = found.pop()
                found.append((name, text + ast.literal_eval(line)))
            elif not line.startswith("#"):
                name, _, text = line.partition(" ")
                found.append((name, ast.literal_eval(text)))
        entry = dict(found)
        is_fuzzy = any(line.startswith("#,") and "fuzzy" in line for line in block.splitlines())
        translations = [] if is_fuzzy else [text for name, text in found if name.startswith("msgstr")]
        if entry.get("msgid"):
            entries[entry.get("msgctxt", ""), entry["msgid"]] = translations
    return entries


def list_texts_in_code(source: str) -> Iterator[tuple[str, ...]]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name in MARKS | MARKS_IN_CONTEXT:
            given = node.args[: MARKS_IN_CONTEXT.get(name, 0) + 1]
            texts = [each.value for each in given if isinstance(each, ast.Constant)]
            if texts:
                yield ("", *texts)[-2:]


def list_texts_in_template(source: str) -> Iterator[tuple[str, ...]]:
    """Return the texts in the calls that Django derives from a template."""
    for name, first, second in TEMPLATE_CALL.findall(templatize(source)):
        if "pgettext" in name:
            yield ast.literal_eval(first), ast.literal_eval(second)
        else:
            yield "", ast.literal_eval(first)


def list_texts() -> set[tuple[str, ...]]:
    """Return every text of the package that is marked for translation."""
    found: set[tuple[str, ...]] = set()
    for path in ROOT.rglob("*.py"):
        if "sandbox" not in path.relative_to(ROOT).parts:
            found |= set(list_texts_in_code(path.read_text("utf-8")))
    for path in [*ROOT.rglob("templates/**/*.html"), *ROOT.rglob("templates/**/*.txt")]:
        found |= set(list_texts_in_template(path.read_text("utf-8")))
    return found


@pytest.mark.parametrize("language", ["de", "en", "fr"])
def test_every_text_is_translated_and_no_entry_is_obsolete(language):
    texts, entries = list_texts(), read_entries(language)
    assert len(texts) > 300
    assert sorted(texts - set(entries)) == []
    assert [key for key, translations in entries.items() if not translations or not all(translations)] == []


@pytest.mark.parametrize("language", ["de", "en", "fr"])
def test_a_translation_has_the_placeholders_of_its_text(language):
    for (_, text), translations in read_entries(language).items():
        for translation in filter(None, translations):
            assert set(PLACEHOLDER.findall(translation)) >= set(PLACEHOLDER.findall(text)) - {
                "%(limit)s",
                "{limit}",
            }, text


def test_a_french_line_never_breaks_before_its_punctuation():
    """The space before “?”, “!”, “;”, “:” and inside of quotes does not break."""
    texts = [text for translations in read_entries("fr").values() for text in translations]
    assert [text for text in texts if re.search(r"\S [?!;:»]|« ", text)] == []


@pytest.mark.parametrize("language", ["de", "en", "fr"])
def test_a_label_that_a_text_names_is_one_that_people_see(language):
    entries = read_entries(language)
    labels = {text.lower(): translations[0].lower() for (_, text), translations in entries.items()}
    for (_, text), translations in entries.items():
        for named in set(LABEL.findall(text)) - WIRE_NAMES:
            assert named.lower() in labels, text
            assert labels[named.lower()] in translations[0].lower(), text


@pytest.mark.parametrize("language", ["de", "en", "fr"])
def test_compiled_catalogs_match_their_sources(language):
    with get_catalog(language, "mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for (context, text), translations in read_entries(language).items():
        if translations and all(translations) and len(translations) == 1:
            found = compiled.pgettext(context, text) if context else compiled.gettext(text)
            assert found == translations[0], text
