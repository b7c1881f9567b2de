"""Text columns: compared exactly, and stored encrypted.

``cryptography`` is imported on first use: it would double what this app adds to the start of a process.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings
from django.db import models
from django.utils.encoding import force_bytes

from django_meetergo.conf import get_settings
from django_meetergo.texts import Secret

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

logger = logging.getLogger(__name__)


def get_encryption_keys() -> tuple[str, ...]:
    """Return the Fernet keys: those of ``ENCRYPTION_KEYS``, then those derived from ``SECRET_KEY``.

    The first one encrypts. Derived keys stay at the end, so that what was stored before ``ENCRYPTION_KEYS``
    was set can be read.
    """
    sources = [django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS]
    return (*get_settings().ENCRYPTION_KEYS, *(derive_key(source) for source in sources))


@lru_cache(maxsize=16)
def derive_key(source: str | bytes) -> str:
    """Derive a Fernet key from a Django secret key, and from nothing else."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"django-meetergo.fields")
    return base64.urlsafe_b64encode(hkdf.derive(force_bytes(source))).decode()


@lru_cache(maxsize=16)
def build_cipher(keys: Sequence[str]) -> MultiFernet:
    """Return a cipher that encrypts with the first key and decrypts with any of them."""
    from cryptography.fernet import Fernet, MultiFernet

    return MultiFernet([Fernet(key) for key in keys])


def encrypt(text: str) -> str:
    return build_cipher(get_encryption_keys()).encrypt(text.encode()).decode()


class UnreadableText(Secret):
    """Ciphertext that no key decrypts: reads as an empty text, and is saved unchanged."""

    token: str
    __slots__ = ("token",)

    def __new__(cls, token: str) -> UnreadableText:
        self = super().__new__(cls, "")
        self.token = token
        return self


def decrypt(token: str) -> Secret:
    """Return the plain text, or an ``UnreadableText``: a lost key must not break pages."""
    from cryptography.fernet import InvalidToken

    try:
        return Secret(build_cipher(get_encryption_keys()).decrypt(token.encode()).decode())
    except InvalidToken:
        logger.error(
            "Decrypting a stored value failed: no key in ENCRYPTION_KEYS fits. The value reads as empty."
        )
        return UnreadableText(token)


class ExactCharField(models.CharField):  # type: ignore[type-arg]
    """A text that identifies something: equal only if every character is, on every database.

    MariaDB's default collations ignore case, accents and trailing spaces.
    """

    def db_parameters(self, connection: Any) -> Any:
        parameters = super().db_parameters(connection)
        if connection.vendor == "mysql":
            parameters["collation"] = "utf8mb4_nopad_bin"
        return parameters


#: Every Fernet token begins with its version, 0x80, and a time: this is their base64.
TOKEN_PREFIX = "gAAAAA"  # noqa: S105


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]
    """A text that is stored as Fernet ciphertext. An empty text is stored as such; lookups do not work."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        return decrypt(value) if value else value

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, UnreadableText):
            return value.token
        value = super().get_prep_value(value)
        return encrypt(value) if value else value

    def value_to_string(self, obj: models.Model) -> str:
        """Return the ciphertext: ``dumpdata`` must not print secrets."""
        return self.get_prep_value(self.value_from_object(obj)) or ""

    def to_python(self, value: Any) -> Any:
        """Decrypt a ciphertext, as ``loaddata`` passes it."""
        value = super().to_python(value)
        return decrypt(value) if value and value.startswith(TOKEN_PREFIX) else value
