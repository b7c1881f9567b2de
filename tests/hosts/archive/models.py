"""A table of the site in a database of its own."""

from django.db import models


class Course(models.Model):
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name
