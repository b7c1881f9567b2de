"""A small meetergo for development and tests.

It serves the scheduling part of the service's API from memory and needs only the standard library. Start it
with ``python -m django_meetergo.sandbox`` or ``manage.py meetergo_sandbox``, or create an ``app.Sandbox`` in
your own process and call its ``wsgi`` method.
"""
