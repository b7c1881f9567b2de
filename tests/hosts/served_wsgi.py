"""The WSGI application of the served site."""

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
