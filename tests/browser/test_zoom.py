"""Larger text and wider spacing (WCAG 1.4.4, 1.4.10, 1.4.12)."""

from __future__ import annotations

from typing import Any

import pytest

SPACING = """
document.documentElement.style.fontSize = "SIZE";
const sheet = new CSSStyleSheet();
sheet.replaceSync(`
    * { line-height: 1.5 !important; letter-spacing: SPACE !important; word-spacing: WORDS !important }
    p { margin-block-end: 2em !important }`);
document.adoptedStyleSheets = [sheet];
"""
#: No page may be wider than the window, and no text may be outside it.
FIND_PROBLEMS = """() => [
    ...(document.documentElement.scrollWidth > innerWidth ? ["the page scrolls sideways"] : []),
    ...[...document.querySelectorAll(".meetergo :is(a, button, label, legend, h1, h2, h3, td, th, dd, p)")]
        .filter((element) => !element.closest(".mg-hidden, .mg-trap, .mg-status"))
        .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
        .map((element) => `${element.localName} is cut off: ${element.textContent.trim().slice(0, 40)}`),
]"""


@pytest.mark.parametrize(
    ("size", "space", "words"), [("200%", "normal", "normal"), ("100%", "0.12em", "0.16em")]
)
def test_larger_text_and_wider_spacing_stay_in_the_window(
    make_person: Any, size: str, space: str, words: str
) -> None:
    person = make_person(width=360, language="de")

    def list_problems() -> list[str]:
        script = SPACING.replace("SIZE", size).replace("SPACE", space).replace("WORDS", words)
        person.page.evaluate(f"() => {{ {script} }}")
        person.take_screenshot(f"zoom-{size.strip('%')}-{len(seen)}")
        return person.page.evaluate(FIND_PROBLEMS)

    seen: dict[str, list[str]] = {}
    for path in ("/book/", "/book/consultation/?zones=all", "/book/group-class/"):
        person.open(path)
        seen[path] = list_problems()
    person.choose("/book/consultation/")
    seen["details"] = list_problems()
    person.page.locator(".mg-form .mg-button").click()
    seen["errors"] = list_problems()
    person.send("/book/intro-call/")
    seen["outcome"] = list_problems()
    person.page.locator(".mg-actions .mg-button").first.click()
    person.page.wait_for_url("**/manage/**")
    seen["manage"] = list_problems()
    assert {name: problems for name, problems in seen.items() if problems} == {}
