"""The language of this app's texts, which may differ from the language that Django has activated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings as django_settings
from django.conf.urls.i18n import is_language_prefix_patterns_used
from django.utils import translation
from django.utils.translation import get_language, pgettext


def get_text_language() -> str:
    """Return the language in which this app's texts appear while the active language is as it is.

    That is the active language where it has a catalogue, of this app or of the site. Without one Django falls
    back to ``LANGUAGE_CODE``, then to the texts in the code, which are English.
    """
    active = get_language() or "en"
    found = pgettext("code of the language of this catalogue", "en")
    return active if active.partition("-")[0] == found.partition("-")[0] else found


@contextmanager
def use_text_language() -> Iterator[str]:
    """Activate the language of this app's texts, so that Django's messages match them, and yield it.

    Not where URLs begin with the language: the links would lead to another language's site.
    """
    language = get_text_language()
    if is_language_prefix_patterns_used(django_settings.ROOT_URLCONF)[0]:
        yield get_language() or language
        return
    with translation.override(language):
        yield language
