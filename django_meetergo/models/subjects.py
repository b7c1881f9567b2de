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
    of the row. It reads as None where no object is found, also when its model was removed from the site or
    has keys of another kind now: rows of this app outlive both.
    """

    def get_content_type(self, obj: Any = None, id: Any = None, using: Any = None, model: Any = None) -> Any:  # noqa: A002 - Django's signature
        types = ContentType.objects.db_manager(DEFAULT_DB_ALIAS)
        if id is not None:
            return types.get_for_id(id)
        return types.get_for_model(model or obj, for_concrete_model=self.for_concrete_model)

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        if instance is None:
            return self
        type_id = getattr(instance, self.model._meta.get_field(self.ct_field).attname)
        key = getattr(instance, self.fk_field)
        known = self.get_cached_value(instance, default=None)
        if known is None and self.is_cached(instance):
            return None
        if known is not None and type_id == self.get_content_type(known).pk and str(known.pk) == str(key):
            return known
        found = None if type_id is None else self.find_object(type_id, key)
        self.set_cached_value(instance, found)
        return found

    def find_object(self, type_id: int, key: Any) -> models.Model | None:
        model: Any = self.get_content_type(id=type_id).model_class()
        if model is None:
            return None
        try:
            found: models.Model | None = model._base_manager.filter(pk=key).first()
        except (TypeError, ValueError, ValidationError):
            return None
        return found
