"""Search for people, and the primary keys in a request."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from django.db import connection, models
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Replace

from django_meetergo.models import fold_email

#: How letters of European names are written, by their plain letter.
SPELLINGS = {
    "a": "aàáâãäåāăą", "c": "cçćčĉċ", "d": "dďđð", "e": "eèéêëēĕėęě", "g": "gğģĝġ", "i": "iìíîïīĭįıİ",
    "l": "lłľĺļ", "n": "nñńňņ", "o": "oòóôõöøōŏő", "r": "rŕřŗ", "s": "sśšşșŝ", "t": "tťţțŧ",
    "u": "uùúûüūŭůűų", "y": "yýÿŷ", "z": "zźžż",
}  # fmt: skip
PLAIN_LETTERS = {letter: plain for plain, letters in SPELLINGS.items() for letter in letters}
#: Letters that are also written as two.
DIGRAPHS = {"ae": "äæ", "oe": "öœ", "ue": "ü", "ss": "ß"}
#: Characters that people write between the digits of a phone number.
PHONE_PUNCTUATION = " -/().+"
PHONE = re.compile(r"[\d\s\-/().+]+")
#: What is in front of each word of a name.
WORD_START = "(^|[ '’-])"
#: Shorter terms are no phone numbers.
MIN_PHONE_DIGITS = 4
#: No name has more words. A database refuses a condition with very many.
MAX_WORDS = 10
#: Digits at the end of a number that no country prefix is part of.
NATIONAL_DIGITS = 8


def normalize(word: str) -> str:
    """Return a word in lower case with composed letters; the dot that lower() adds to "İ" is removed."""
    return unicodedata.normalize("NFC", word).lower().replace("\u0307", "")


def build_name_pattern(word: str, start: str = "^") -> str:
    """Return a regular expression for names that start with a word, whatever their accents.

    "kruger" and "Krueger" match "Krüger", and "Krüger" matches "Kruger" and "Krueger". ``start`` is the
    expression for what is in front of the word.
    """
    text = normalize(word)
    pattern = ""
    while text:
        pair, letter = text[:2], text[0]
        plain = PLAIN_LETTERS.get(letter, letter)
        if pair in DIGRAPHS:
            first, second = (f"[{SPELLINGS.get(each, each)}]" for each in pair)
            pattern += f"({first}{second}|[{DIGRAPHS[pair]}])"
            text = text[2:]
            continue
        single = f"[{SPELLINGS[plain]}]" if plain in SPELLINGS else re.escape(letter)
        double = next((two for two, letters in DIGRAPHS.items() if letter in letters), "")
        pattern += f"({single}|{double})" if double else single
        text = text[1:]
    return f"{start}{pattern}"


def list_first_letters(word: str) -> str:
    """Return every character with which a name may start that ``build_name_pattern(word)`` matches."""
    text = normalize(word)
    letter = text[:1]
    plain = PLAIN_LETTERS.get(letter, letter)
    pair = next((two for two, letters in DIGRAPHS.items() if letter in letters or text[:2] == two), "")
    letters = {letter, *SPELLINGS.get(plain, ""), *pair[:1], *DIGRAPHS.get(pair, "")}
    return "".join(sorted(letters | {each.upper() for each in letters if len(each.upper()) == 1}))


def name_starts_with(column: str, word: str) -> Q:
    """Match names that start with a word, whatever their accents.

    The first letters are matched by the index, so that the pattern is tried on few rows.
    """
    first = Q()
    for letter in list_first_letters(word):
        first |= starts_with(column, letter)
    return first & Q(**{f"{column}__iregex": build_name_pattern(word)})


def has_word(column: str, word: str) -> Q:
    """Match names in which any word starts with this one, such as "maria" in "Anna Maria"."""
    return Q(**{f"{column}__iregex": build_name_pattern(word, WORD_START)})


def filter_by_phone(people: QuerySet[Any], term: str) -> QuerySet[Any]:
    """Return the people whose phone number contains the digits of a term; none when it is no number.

    A leading zero or country prefix may be missing: "0170 1234" finds "+49 170 1234567".
    """
    digits = "".join(each for each in term if each.isdigit()).lstrip("0")
    if not PHONE.fullmatch(term) or len(digits) < MIN_PHONE_DIGITS:
        return people.none()
    found_digits = Q(phone_digits__contains=digits)
    if term.lstrip().startswith(("+", "00")):
        # A number that was entered without its country prefix.
        found_digits |= Q(phone_digits__endswith=digits[-NATIONAL_DIGITS:])
    number: Any = F("phone")
    for character in PHONE_PUNCTUATION:
        number = Replace(number, Value(character), Value(""))
    found: models.QuerySet[Any] = people.exclude(phone="").alias(phone_digits=number)
    return found.filter(found_digits)


def starts_with(column: str, text: str) -> Q:
    """Match a prefix in a way that uses the column's index on every database."""
    match = Q(**{f"{column}__startswith": text})
    if connection.vendor != "postgresql":
        # SQLite's LIKE does not use the index; a range does.
        match &= Q(**{f"{column}__gte": text, f"{column}__lt": f"{text}\U0010ffff"})
    return match


def match_person(term: str) -> Q:
    """Match people by the start of their e-mail address, or of their first or last name.

    Accents are ignored. Of several words, one must start a first or a last name, and each must start a word
    of a name: "Ursula von der Leyen".
    """
    address = starts_with("email_folded", fold_email(term))
    if "@" in term or any(letter.isdigit() for letter in term):
        return address
    first, last = "first_folded", "last_folded"
    begins, contains = Q(), Q()
    words = term.split()
    if len(words) > MAX_WORDS:
        return address
    for word in words:
        begins |= name_starts_with(first, word) | name_starts_with(last, word)
        contains &= has_word(first, word) | has_word(last, word)
    return address | (begins & contains)


def parse_ids(text: str) -> list[int]:
    """Return the primary keys in a comma-separated text; ignore everything else in it."""
    return [key for key in map(parse_key, text.split(",")) if key is not None]


def parse_key(text: str) -> int | None:
    """Return a primary key; None for a text that is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def join_ids(rows: Iterable[models.Model]) -> str:
    """Return the primary keys of rows as a comma-separated text."""
    return ",".join(str(row.pk) for row in rows)
