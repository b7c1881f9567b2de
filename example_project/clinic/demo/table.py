"""The demo's output: a banner with the addresses, and a table with one row for each step."""

from __future__ import annotations

from django.core.management.base import OutputWrapper
from django.core.management.color import Style

WIDTHS = (24, 58, 6)
HEADINGS = ("Step", "What happened", "ms", "Site = sandbox")


class Printer:
    """Writes to a stream, in colours and with special characters where it supports them."""

    def __init__(self, out: OutputWrapper, style: Style) -> None:
        self.out = out
        self.style = style
        self.yes, self.rule = ("✓", "─") if self.can_write("✓─") else ("yes", "-")

    def can_write(self, text: str) -> bool:
        """Return whether the stream's encoding has these characters."""
        try:
            text.encode(getattr(self.out, "encoding", None) or "ascii")
        except UnicodeEncodeError:
            return False
        return True

    def write(self, text: str = "") -> None:
        if not self.can_write(text):
            text = text.encode("ascii", "replace").decode()
        self.out.write(text)
        self.out.flush()

    def show_banner(self, title: str, lines: list[tuple[str, str, str]]) -> None:
        """Write lines of name, address and remark in columns."""
        names = max(len(name) for name, _, _ in lines)
        addresses = max(len(address) for _, address, _ in lines)
        self.write()
        self.write(f"  {self.style.MIGRATE_HEADING(title)}")
        self.write()
        for name, address, remark in lines:
            shown = self.style.SUCCESS(address.ljust(addresses))
            self.write(f"  {name.ljust(names)}   {shown}   {remark}".rstrip())
        self.write()

    def begin_table(self) -> None:
        self.write(self.style.MIGRATE_HEADING(self.format_row(*HEADINGS)))
        self.write(self.rule * (sum(WIDTHS) + 6 + len(HEADINGS[-1])))

    def add_row(self, step: str, happened: str, seconds: float, *, agrees: bool) -> None:
        verdict = self.style.SUCCESS(self.yes) if agrees else self.style.ERROR("NO")
        self.write(self.format_row(step, happened, f"{seconds * 1000:.0f}", verdict))

    def format_row(self, step: str, happened: str, duration: str, verdict: str) -> str:
        wide, wider, narrow = WIDTHS
        return f"{step:<{wide}}  {happened:<{wider}}  {duration:>{narrow}}  {verdict}"
