"""A user without a username, whose groups and permissions have other names than those of Django's own."""

import uuid

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import Group, Permission, PermissionsMixin
from django.db import models


class Account(AbstractBaseUser, PermissionsMixin):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    # Under names of its own, as a user model beside another one has them.
    groups = models.ManyToManyField(Group, blank=True, related_name="accounts")
    user_permissions = models.ManyToManyField(Permission, blank=True, related_name="accounts_with_permission")

    objects = BaseUserManager()
    USERNAME_FIELD = "email"

    def __str__(self) -> str:
        return self.email
