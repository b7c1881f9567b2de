"""The base class of the serializers, and the values that several of them show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.urls import NoReverseMatch
from rest_framework import serializers
from rest_framework.reverse import reverse

from django_meetergo.contrib.rest_framework.fields import EnumField
from django_meetergo.models import Host


# Describes and validates documents; never saves. This is a comment because a docstring would become the
# description of every component of the schema.
class ApiSerializer(serializers.Serializer):  # type: ignore[misc]
    pass


def build_url(serializer: serializers.Serializer, name: str, *args: str) -> str:
    """Return the absolute address of a view of this API, wherever the site has included the URLs."""
    request = serializer.context["request"]
    return str(reverse(f"{request.resolver_match.namespace}:{name}", args=args, request=request))


def build_page_url(serializer: serializers.Serializer, get_path: Any, row: Any) -> str | None:
    """Return the absolute address of a page of this app; None where the site does not include the pages."""
    try:
        return str(serializer.context["request"].build_absolute_uri(get_path(row)))
    except NoReverseMatch:
        return None


def describe_hosts(hosts: Iterable[Host]) -> list[dict[str, str]]:
    """Return what ``HostNameSerializer`` shows; hosts without a name are left out."""
    return [{"name": host.name, "initials": host.initials} for host in hosts if host.name]


#: The channels that meetergo documents, the two older names that it also sends, none, and any other.
CHANNELS = (
    "local",
    "in_person",
    "local-attendee",
    "google",
    "google_meet",
    "zoom",
    "phone",
    "phone-incoming",
    "whatsapp",
    "connect",
    "webex",
    "skypeForConsumer",
    "skypeForBusiness",
    "teams",
    "teamsForBusiness",
    "teamsForBusiness2",
    "teamsForExchange",
    "teams2ForExchange",
    "custom",
    "resource",
    "whereby",
    "kmeet",
    "zava",
    "jitsi",
    "nextcloudTalk",
    "openTalk",
    "alfaview",
    "other",
    "",
)


def build_channel_field(**options: Any) -> EnumField:
    """Return a field that shows a channel; ``other`` for one that this version does not know."""
    return EnumField("Channel", CHANNELS, other="other", **options)


class HostNameSerializer(ApiSerializer):
    name = serializers.CharField()
    initials = serializers.CharField()
