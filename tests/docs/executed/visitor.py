"""A visitor with a browser that runs no scripts."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any
from urllib.parse import urljoin

import requests

from tests.docs.documents import ROOT


def load_page_class() -> Any:
    """Return the demo's parser of pages. It is not installed, so it is loaded by its path."""
    path = ROOT / "example_project" / "clinic" / "demo" / "pages.py"
    spec = importlib.util.spec_from_file_location("demo_pages", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["demo_pages"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Page


Page = load_page_class()


class Visitor:
    def __init__(self, site: str) -> None:
        self.address = site
        self.browser = requests.Session()
        self.browser.headers["Accept-Language"] = "en"
        self.text, self.page = "", Page("")

    def open(self, path: str) -> None:
        self.read(self.browser.get(urljoin(self.address, path), timeout=30))

    def send(self, form: Any, **typed: str) -> None:
        """Fill in a form and send it with its hidden fields."""
        address, values = urljoin(self.address, form.action), form.values | typed
        headers = {"Referer": self.address}
        if form.method == "post":
            self.read(self.browser.post(address, data=values, headers=headers, timeout=30))
        else:
            self.read(self.browser.get(address, params=values, headers=headers, timeout=30))

    def read(self, response: requests.Response) -> None:
        self.address, self.text, self.page = response.url, response.text, Page(response.text)
        answered = f"{response.url} answered {response.status_code}: {self.page.heading}"
        assert response.status_code == 200, answered

    def find_form(self, *names: str) -> Any:
        form = self.page.find_form(*names)
        assert form is not None, f"{self.address} has no form with {' and '.join(names)}"
        return form
