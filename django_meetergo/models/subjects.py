"""The object of the site that a booking or an attendee belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
        found = None if type_id is None else next(iter(self.find_objects(type_id, [key])), None)
        field.set_cached_value(instance, found)
        return found

    def get_prefetch_querysets(self, instances: Sequence[Any], querysets: Any = None) -> tuple[Any, ...]:
        """Read the objects of many rows, with a statement for each model: ``prefetch_related("subject")``."""
        if querysets is not None:
            found: tuple[Any, ...] = self.original.get_prefetch_querysets(instances, querysets)
            return found
        field = self.field
        type_attribute = field.model._meta.get_field(field.ct_field).attname
        keys: dict[int, set[Any]] = {}
        for row in instances:
            if (type_id := getattr(row, type_attribute)) is not None:
                keys.setdefault(type_id, set()).add(getattr(row, field.fk_field))
        objects = [one for type_id, wanted in keys.items() for one in self.find_objects(type_id, wanted)]

        def name_object(one: models.Model) -> tuple[int, str]:
            return field.get_content_type(one).pk, str(one.pk)

        def name_key(row: Any) -> tuple[int | None, str]:
            return getattr(row, type_attribute), str(getattr(row, field.fk_field))

        return objects, name_object, name_key, True, field.name, False

    def find_objects(self, type_id: int, keys: Iterable[Any]) -> list[models.Model]:
        model: Any = self.field.get_content_type(id=type_id).model_class()
        if model is None:
            return []
        return list(model._base_manager.filter(pk__in=[key for key in keys if is_key_of(model, key)]))


def is_key_of(model: type[models.Model], value: Any) -> bool:
    """Whether a value can be a primary key of the model."""
    try:
        key = model._meta.pk.to_python(value)
    except (TypeError, ValueError, ValidationError):
        return False
    # SQLite raises OverflowError for a larger number.
    return not isinstance(key, int) or key.bit_length() < 64
