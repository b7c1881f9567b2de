"""The schema of this API: one file, made from the views and shipped with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    "DESCRIPTION": "Free times, bookings, moves and cancellations, with the promises of the pages.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVERS": [{"url": "/api/meetergo", "description": "Wherever the site has included it."}],
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
}


def build_schema() -> str:
    """The schema as the views have it now; ``openapi.yaml`` is its committed copy."""
    with patched_settings(SETTINGS):
        schema = SchemaGenerator(urlconf=URLCONF).get_schema(request=None, public=True)
    for operations in schema["paths"].values():
        for operation in operations.values():
            operation.setdefault("security", [{"site": []}])
    text: bytes = OpenApiYamlRenderer().render(tidy(schema), renderer_context={})
    return text.decode()


def tidy(node: Any) -> Any:
    """The same without the generator's notes to itself."""
    if isinstance(node, dict):
        return {name: tidy(value) for name, value in node.items() if name != "x-spec-enum-id"}
    return [tidy(one) for one in node] if isinstance(node, list) else node


@require_safe
@cache_control(max_age=3600)
def openapi(request: HttpRequest) -> HttpResponse:
    """The committed file."""
    return HttpResponse(FILE.read_bytes(), content_type=CONTENT_TYPE)
