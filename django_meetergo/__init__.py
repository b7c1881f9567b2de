"""Embed the scheduling service meetergo in a Django site. Importing this package imports nothing else."""

__version__ = "0.1.0"

#: Where the documentation of this version is published.
DOCS_URL = "https://django-meetergo.readthedocs.io/en/latest/"
