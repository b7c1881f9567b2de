"""A small meetergo that runs on this computer.

It speaks the scheduling part of the service's API, keeps everything in memory and needs nothing but the
standard library. Start it with ``python -m django_meetergo.sandbox``, or hold a ``Sandbox`` (in ``app``)
in your own process and call its ``wsgi`` directly.
"""
