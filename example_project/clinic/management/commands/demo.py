from __future__ import annotations

import argparse
import io
import signal
import sys
import threading
import time
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from clinic.demo import servers
from clinic.demo.comparison import Comparison
from clinic.demo.database import ensure_admin, hold_database, prepare_database
from clinic.demo.servers import DemoError
from clinic.demo.table import Printer
from clinic.demo.visitor import Disappointment, Visitor
from django_meetergo.sandbox.seed import ADMIN_TOKEN


def read_port(text: str) -> int:
    """A port for the command line; 0 is any free one."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port: use a number from 0 to 65535.")
    return int(text)


class Command(BaseCommand):
    help = "Start the clinic and a sandbox of the service side by side, with nothing to set up."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=read_port, default=8000, help="of the site; 0: any free one")
        parser.add_argument(
            "--sandbox-port", type=read_port, default=8787, help="of the sandbox; 0: any free one"
        )
        parser.add_argument("--keep", action="store_true", help="keep the former demo's database")
        parser.add_argument(
            "--once",
            action="store_true",
            help="book, move and cancel once as a visitor does, compare site and sandbox, and stop",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.printer = Printer(self.stdout, self.style)
        signal.signal(signal.SIGTERM, leave)
        try:
            self.run(**options)
        except DemoError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.printer.say("\nStopped.")

    def run(self, *, port: int, sandbox_port: int, keep: bool, once: bool, **options: Any) -> None:
        servers.check_port(port, "--port")
        servers.check_port(sandbox_port, "--sandbox-port")
        with hold_database():
            database = prepare_database(keep=keep)
            with servers.run_sandbox(sandbox_port) as sandbox, servers.serve_site(port) as site:
                introduce(site, sandbox)
                self.show_addresses(site, sandbox, database)
                self.visit(site, sandbox) if once else self.wait()

    def show_addresses(self, site: str, sandbox: str, database: str) -> None:
        lines = [
            ("Site", f"{site}/", "the practice's own pages"),
            ("Booking page", f"{site}/book/intro-call/", "book, then move or cancel"),
            ("Admin", f"{site}/admin/", ensure_admin()),
            ("Sandbox", f"{sandbox}/", "the service's side: confirm, decline, cause trouble"),
        ]
        self.printer.show_banner("Praxis am Lindenhof, the example site of django-meetergo", lines)
        self.printer.say(f"  Database: {database}")

    def wait(self) -> None:
        """Until Ctrl+C, or until somebody ends this process."""
        self.printer.say("  Press Ctrl+C to stop\n")
        threading.Event().wait()

    def visit(self, site: str, sandbox: str) -> None:
        """Take every step, and compare the site with the sandbox after each."""
        comparison = Comparison(sandbox)
        self.printer.say()
        self.printer.begin_table()
        for name, step in Visitor(site).steps():
            started = time.perf_counter()
            try:
                happened = step()
            except Disappointment as error:
                raise CommandError(f"{name}: {error}") from error
            seconds = time.perf_counter() - started
            differences = comparison.find_differences()
            self.printer.add_row(name, happened, seconds, agrees=not differences)
            if differences:
                raise CommandError("\n".join(differences))
        self.printer.say("\nSite and sandbox agreed after every step.")


def leave(*args: Any) -> None:
    """Being told to end is an ordinary way to leave: everything started is stopped on the way out."""
    sys.exit(0)


def introduce(site: str, sandbox: str) -> None:
    """Tell the site where the service is, fetch what it knows, and tell it where the site is.

    The addresses are known only now. Settings are read afresh each time, so they can still be told.
    """
    settings.MEETERGO |= {
        "API_KEY": ADMIN_TOKEN,
        "USER_ID": "",
        "BASE_URL": sandbox,
        "SANDBOX": True,
        "SITE_URL": site,
    }
    call_command("meetergo_sync", verbosity=0)
    call_command("meetergo_webhooks", "ensure", stdout=io.StringIO())
