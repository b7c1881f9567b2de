"""The REST API. Include ``django_meetergo.contrib.rest_framework.urls`` to publish it."""
