"""The ASGI application of the served site."""

from django.core.asgi import get_asgi_application

application = get_asgi_application()
