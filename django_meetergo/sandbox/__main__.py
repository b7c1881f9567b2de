"""``python -m django_meetergo.sandbox``: serve a small meetergo on this computer until Ctrl+C."""

from __future__ import annotations

import argparse
import sys
import threading

from django_meetergo.sandbox.app import Sandbox
from django_meetergo.sandbox.documents import COMPANY_SLUG
from django_meetergo.sandbox.seed import ADMIN_TOKEN
from django_meetergo.sandbox.server import start
from django_meetergo.sandbox.settings import PROFILES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this module and of the management command."""
    parser.add_argument("--port", type=int, default=8787)
    parser.add_argument("--profile", choices=sorted(PROFILES), default="seed")
    parser.add_argument("--no-rate-limit", action="store_true", help="answer any number of requests")


def serve(port: int = 8787, *, profile: str = "seed", rate_limit: bool = True) -> int:
    """Serve a sandbox until it is interrupted. Return the exit status."""
    try:
        server = start(Sandbox(profile, rate_limit=rate_limit), port)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not from 0 to 65535"
        sys.stderr.write(f"Port {port} cannot be used: {reason}.\n")
        return 1
    page = f"{server.url}/{COMPANY_SLUG}/{next(iter(server.sandbox.state.meeting_types.values())).slug}"
    sys.stdout.write(f"API        {server.url}\nDashboard  {server.url}/\nBooking    {page}\n")
    sys.stdout.write(f"Token      {ADMIN_TOKEN}\n")
    sys.stdout.write("Press Ctrl+C to stop\n")
    sys.stdout.flush()
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        server.stop()
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m django_meetergo.sandbox", description=__doc__)
    add_arguments(parser)
    options = parser.parse_args(arguments)
    return serve(options.port, profile=options.profile, rate_limit=not options.no_rate_limit)


if __name__ == "__main__":
    sys.exit(main())
