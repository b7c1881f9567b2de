"""What we do; one file per thing a person or a clock does.

Keyword arguments, a client, and ``now`` where time matters. No HttpRequest, no Celery, no clock. A service
that telephones has committed what it is about to do, and holds no transaction while it waits.
"""
