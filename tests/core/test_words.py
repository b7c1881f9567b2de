"""The check of retired words finds them wherever they can be written."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "check_words.py"


@pytest.fixture(scope="module")
def check_words():
    spec = importlib.util.spec_from_file_location("check_words", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def word(check_words):
    """One of the retired words, not written here so that this file passes the check."""
    return next(word for word in sorted(check_words.WORDS) if word.startswith("kn"))


@pytest.mark.parametrize("text", ["A {0}.", "read_{0}(row)", "class {1}Form:", "MAX_{2}_AGE = 1", "<p>{1}"])
def test_a_retired_word_is_found_with_file_and_line(word, text, tmp_path):
    path = tmp_path / "planted.py"
    path.write_text(f"first = 1\n{text.format(word, word.title(), word.upper())}\n")

    done = subprocess.run([sys.executable, SCRIPT, path], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert f"{path}:2: " in done.stdout


def test_words_that_only_contain_the_letters_pass(word, tmp_path):
    path = tmp_path / "harmless.py"
    path.write_text(f"un{word}able = 'x{word}y'\n")

    assert subprocess.run([sys.executable, SCRIPT, path], check=False).returncode == 0


def test_translations_are_not_checked_but_their_originals_are(check_words, word, tmp_path):
    path = tmp_path / "django.po"
    path.write_text(f'msgid "fine"\nmsgstr ""\n"a {word}"\n\nmsgid "a {word}"\nmsgstr "fine"\n')

    assert [finding.rpartition(":")[0] for finding in check_words.check_file(path)] == [f"{path}:5"]


def test_only_the_marked_region_of_the_changelog_is_an_exception(check_words, word, tmp_path):
    text = f"{word}\n.. check-words: off\n{word}\n.. check-words: on\n{word}\n"
    lines_by_name = {"CHANGELOG.rst": [1, 5], "README.rst": [1, 3, 5]}
    for name, lines in lines_by_name.items():
        path = tmp_path / name
        path.write_text(text)
        found = list(check_words.check_file(path))
        assert [int(finding.split(":")[1]) for finding in found] == lines
