from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig


class OwnAdminSite(AdminSite):
    site_header = "Backstage"


class OwnAdminConfig(AdminConfig):
    default_site = "tests.hosts.own_admin.OwnAdminSite"
