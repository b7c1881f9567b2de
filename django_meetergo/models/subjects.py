"""The object of the site that a booking or an attendee belongs to."""

from __future__ import annotations

from typing import Any

from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, models


class SubjectKey(GenericForeignKey):
    """A key to any object of the site, in whichever database the site keeps it.

    Django's own looks for the content type in the database of the object, and for the object in the database
    of the row.
    """

    def contribute_to_class(self, cls: Any, name: str, **options: Any) -> None:  # type: ignore[override]
        """Read through ``SubjectAttribute``, and do all else as Django's key does in its version."""
        super().contribute_to_class(cls, name, **options)
        setattr(cls, name, SubjectAttribute(self, vars(cls)[name]))

    def get_content_type(self, obj: Any = None, id: Any = None, using: Any = None, model: Any = None) -> Any:  # noqa: A002 - Django's signature
        types = ContentType.objects.db_manager(DEFAULT_DB_ALIAS)
        if id is not None:
            return types.get_for_id(id)
        return types.get_for_model(model or obj, for_concrete_model=self.for_concrete_model)


class SubjectAttribute:
    """The attribute of a key. It reads as None where no object is found.

    Also when the object's model was removed from the site, or has keys of another kind now: rows of this app
    outlive both.
    """

    def __init__(self, field: SubjectKey, original: Any) -> None:
        self.field = field
        self.original = original

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)

    def __set__(self, instance: Any, value: Any) -> None:
        self.original.__set__(instance, value)

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        if instance is None:
            return self
        field = self.field
        type_id = getattr(instance, field.model._meta.get_field(field.ct_field).attname)
        key = getattr(instance, field.fk_field)
        known = field.get_cached_value(instance, default=None)
        if known is None and field.is_cached(instance):
            return None
        if known is not None and type_id == field.get_content_type(known).pk and str(known.pk) == str(key):
            return known
        found = None if type_id is None else self.find_object(type_id, key)
        field.set_cached_value(instance, found)
        return found

    def find_object(self, type_id: int, key: Any) -> models.Model | None:
        model: Any = self.field.get_content_type(id=type_id).model_class()
        if model is None:
            return None
        try:
            found: models.Model | None = model._base_manager.filter(pk=key).first()
        except (TypeError, ValueError, ValidationError):
            return None
        return found
