"""Build with ``sphinx-build -n -W -b html docs OUT``. No network is needed."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent / "_ext")]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django  # noqa: E402

django.setup()

from django_meetergo import __version__  # noqa: E402

project = "django-meetergo"
author = "the django-meetergo maintainers"
copyright = author  # noqa: A001 - Sphinx names it so
version = release = __version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.intersphinx", "code_reference"]
exclude_patterns = ["_build"]
smartquotes = False
html_theme = "furo"
html_title = f"django-meetergo {release}"
html_static_path = ["_static"]
html_css_files = ["docs.css"]
html_copy_source = False

# Names of the package

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 80

# Names of other projects. Their inventories are read on Read the Docs only: every other build works without a
# network, and does not link or check these names.

if os.environ.get("READTHEDOCS"):
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "django": ("https://docs.djangoproject.com/en/stable/", None),
        "celery": ("https://docs.celeryq.dev/en/stable/", None),
        "requests": ("https://requests.readthedocs.io/en/latest/", None),
    }
nitpick_ignore_regex = [
    (r"py:.*", r"(collections|datetime|uuid|django|rest_framework|celery|requests|typing|zoneinfo)\..*"),
    # The same names as an annotation writes them, and classes that are not part of the public interface.
    (r"py:.*", r"Mapping|Sequence|Iterable|Iterator|Callable|Any|date|datetime|timedelta|UUID"),
    (r"py:.*", r"(models\.)?Model|QuerySet"),
    (
        r"py:.*",
        r"(django_meetergo\.(remote|presentation|sandbox|views|testing\.sandbox_adapter)\..*|MeetergoClient|Source|Sandbox)",
    ),
]
