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
from clinic.demo.database import ensure_admin, lock_database, prepare_database
from clinic.demo.servers import DemoError
from clinic.demo.table import Printer
from clinic.demo.today import add_today
from clinic.demo.visitor import UnexpectedPage, Visitor
from django_meetergo.sandbox.seed import ADMIN_TOKEN


def read_port(text: str) -> int:
    """Parse a port of the command line; 0 is any free one."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port: use a number from 0 to 65535.")
    return int(text)


class Command(BaseCommand):
    help = "Run the example site with a sandbox of the service; nothing has to be set up."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=read_port, default=8000, help="of the site; 0: any free one")
        parser.add_argument(
            "--sandbox-port", type=read_port, default=8787, help="of the sandbox; 0: any free one"
        )
        parser.add_argument("--keep", action="store_true", help="keep the database of the last demo")
        parser.add_argument(
            "--once",
            action="store_true",
            help="book, move and cancel once as a visitor, compare site and sandbox, and stop",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.printer = Printer(self.stdout, self.style)
        signal.signal(signal.SIGTERM, exit_on_signal)
        try:
            self.run(**options)
        except DemoError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.printer.write("\nStopped.")

    def run(self, *, port: int, sandbox_port: int, keep: bool, once: bool, **options: Any) -> None:
        servers.check_port(port, "--port")
        servers.check_port(sandbox_port, "--sandbox-port")
        with lock_database():
            database = prepare_database(keep=keep)
            with servers.run_sandbox(sandbox_port) as sandbox, servers.serve_site(port) as site:
                connect(site, sandbox)
                if not once:
                    add_today(sandbox)
                self.show_addresses(site, sandbox, database)
                self.visit(site, sandbox) if once else self.wait()

    def show_addresses(self, site: str, sandbox: str, database: str) -> None:
        lines = [
            ("Site", f"{site}/", "the practice's own pages"),
            ("Booking page", f"{site}/book/intro-call/", "book, then move or cancel"),
            ("Admin", f"{site}/admin/", ensure_admin()),
            ("Sandbox", f"{sandbox}/", "the service's side: confirm, decline, cause failures"),
        ]
        self.printer.show_banner("Praxis am Lindenhof, the example site of django-meetergo", lines)
        self.printer.write(f"  Database: {database}")

    def wait(self) -> None:
        """Wait until Ctrl+C or SIGTERM."""
        self.printer.write("  Press Ctrl+C to stop\n")
        threading.Event().wait()

    def visit(self, site: str, sandbox: str) -> None:
        """Take every step of a visit and compare site and sandbox after each."""
        comparison = Comparison(sandbox)
        self.printer.write()
        self.printer.begin_table()
        for name, step in Visitor(site).steps():
            started = time.perf_counter()
            try:
                happened = step()
            except UnexpectedPage as error:
                raise CommandError(f"{name}: {error}") from error
            seconds = time.perf_counter() - started
            differences = comparison.find_differences()
            self.printer.add_row(name, happened, seconds, agrees=not differences)
            if differences:
                raise CommandError("\n".join(differences))
        self.printer.write("\nSite and sandbox agreed after every step.")


def exit_on_signal(*args: Any) -> None:
    """Exit normally, so that both servers are stopped."""
    sys.exit(0)


def connect(site: str, sandbox: str) -> None:
    """Point the site to the sandbox, sync once, and register the site's webhook endpoint.

    The addresses are known only now. The app reads its settings on each use, so changing them works.
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
