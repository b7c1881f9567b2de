"""The OpenAPI schema: built from the views, committed as ``openapi.yaml`` and served from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer
from drf_spectacular.settings import patched_settings

URLCONF = "django_meetergo.contrib.rest_framework.urls"
FILE = Path(__file__).with_name("openapi.yaml")
CONTENT_TYPE = "application/yaml"

SETTINGS: dict[str, Any] = {
    "TITLE": "Scheduling",
    "DESCRIPTION": "Free times, bookings, reschedules and cancellations, with the guarantees of the pages. "
    "Version 1 can gain members, problem types and enum values; nothing is removed or changes its meaning.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVERS": [{"url": "/api/meetergo", "description": "Wherever the site includes the URLs."}],
    "SCHEMA_PATH_PREFIX": "",
    "SORT_OPERATIONS": False,
    "PREPROCESSING_HOOKS": [],
    "POSTPROCESSING_HOOKS": [],
    "AUTHENTICATION_WHITELIST": [],
    "APPEND_COMPONENTS": {
        "securitySchemes": {
            "site": {
                "type": "http",
                "scheme": "bearer",
                "description": "Whatever the site's DEFAULT_AUTHENTICATION_CLASSES accept.",
            }
        }
    },
    "ENUM_NAME_OVERRIDES": {},
    "LICENSE": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
}


def build_schema() -> str:
    """Return the schema of the present views as YAML. ``openapi.yaml`` must be equal to it."""
    with patched_settings(SETTINGS):
        schema = SchemaGenerator(urlconf=URLCONF).get_schema(request=None, public=True)
    for operations in schema["paths"].values():
        for operation in operations.values():
            # Generators of clients demand credentials wherever the list is not empty.
            is_public = operation.get("security") == [{}]
            operation["security"] = [] if is_public else [{"site": []}]
    text: bytes = OpenApiYamlRenderer().render(remove_enum_ids(schema), renderer_context={})
    return text.decode()


def remove_enum_ids(node: Any) -> Any:
    """Return the node without the ids that drf-spectacular adds for its own post-processing."""
    if isinstance(node, dict):
        return {name: remove_enum_ids(value) for name, value in node.items() if name != "x-spec-enum-id"}
    return [remove_enum_ids(one) for one in node] if isinstance(node, list) else node


@login_not_required
@require_safe
@cache_control(max_age=3600)
def openapi(request: HttpRequest) -> HttpResponse:
    """Serve the committed schema."""
    return HttpResponse(FILE.read_bytes(), content_type=CONTENT_TYPE)
