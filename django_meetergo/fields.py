"""A text column that is ciphertext in the database.

The cipher is loaded when something is read or written: it is half of what the app would add to a boot.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings
from django.db import models

from django_meetergo.conf import get_settings

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

logger = logging.getLogger(__name__)


def get_encryption_keys() -> tuple[str, ...]:
    """The keys in force, the writing one first: the site's own, else derived from Django's."""
    own = tuple(get_settings().ENCRYPTION_KEYS)
    if own:
        return own
    sources = [django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS]
    return tuple(derive_key(source) for source in sources)


@lru_cache(maxsize=16)
def derive_key(source: str) -> str:
    """A Fernet key that follows from a Django secret key and from nothing else."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"django-meetergo.fields")
    return base64.urlsafe_b64encode(hkdf.derive(source.encode())).decode()


@lru_cache(maxsize=16)
def build_cipher(keys: Sequence[str]) -> MultiFernet:
    """A cipher that writes with the first key and reads with all."""
    from cryptography.fernet import Fernet, MultiFernet

    return MultiFernet([Fernet(key) for key in keys])


def encrypt(text: str) -> str:
    return build_cipher(get_encryption_keys()).encrypt(text.encode()).decode()


class UnreadableText(str):
    """Stands in for ciphertext that no key opens: empty to read, and saved back untouched."""

    token: str
    __slots__ = ("token",)

    def __new__(cls, token: str) -> UnreadableText:
        self = super().__new__(cls, "")
        self.token = token
        return self


def decrypt(token: str) -> str:
    """The plain text, or an ``UnreadableText``: a lost key must not take the pages down with it."""
    from cryptography.fernet import InvalidToken

    try:
        return build_cipher(get_encryption_keys()).decrypt(token.encode()).decode()
    except InvalidToken:
        logger.error("An encrypted value cannot be read: none of the encryption keys fits.")
        return UnreadableText(token)


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]
    """Fernet ciphertext at rest. Empty text stays empty; the column cannot be searched."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        return decrypt(value) if value else value

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, UnreadableText):
            return value.token
        value = super().get_prep_value(value)
        return encrypt(value) if value else value
