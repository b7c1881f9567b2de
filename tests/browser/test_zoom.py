"""Larger text and wider spacing, as people set it for themselves (WCAG 1.4.4, 1.4.10, 1.4.12)."""

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
#: What no page may do: be wider than the window, or cut off a button's or a label's words.
FAULTS = """() => [
    ...(document.documentElement.scrollWidth > innerWidth ? ["the page scrolls sideways"] : []),
    ...[...document.querySelectorAll(".meetergo :is(a, button, label, legend, h1, h2, h3, td, th, dd, p)")]
        .filter((one) => !one.closest(".mg-hidden, .mg-trap, .mg-status"))
        .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
        .map((one) => `${one.localName} sticks out: ${one.textContent.trim().slice(0, 40)}`),
]"""


@pytest.mark.parametrize(
    ("size", "space", "words"), [("200%", "normal", "normal"), ("100%", "0.12em", "0.16em")]
)
def test_larger_text_and_wider_spacing_stay_in_the_window(
    make_person: Any, size: str, space: str, words: str
) -> None:
    person = make_person(width=360, language="de")

    def list_faults() -> list[str]:
        wish = SPACING.replace("SIZE", size).replace("SPACE", space).replace("WORDS", words)
        person.page.evaluate(f"() => {{ {wish} }}")
        person.shoot(f"zoom-{size.strip('%')}-{len(seen)}")
        return person.page.evaluate(FAULTS)

    seen: dict[str, list[str]] = {}
    for path in ("/book/", "/book/consultation/?zones=all", "/book/group-class/"):
        person.open(path)
        seen[path] = list_faults()
    person.choose("/book/consultation/")
    seen["details"] = list_faults()
    person.page.locator(".mg-form .mg-button").click()
    seen["errors"] = list_faults()
    person.send("/book/intro-call/")
    seen["outcome"] = list_faults()
    person.page.locator(".mg-actions .mg-button").first.click()
    person.page.wait_for_url("**/manage/**")
    seen["manage"] = list_faults()
    assert {name: faults for name, faults in seen.items() if faults} == {}
