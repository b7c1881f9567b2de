"""Scheduling through Django REST framework: include ``django_meetergo.contrib.rest_framework.urls``."""
