"""The manual's page for a front end of one's own, as it is printed there, on a server that is not the site's."""

from __future__ import annotations

import re
import textwrap
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from django.contrib.staticfiles.testing import StaticLiveServerTestCase  # noqa: F401
