"""Do what a page of the documentation says, as its reader would.

- A block with a file name as its caption is written to that file; “, at the end” appends it.
- The commands of a console block are run; what is printed is compared, and ``...`` stands for anything.
- A console block for another terminal runs until the page is finished.
- Comments (``.. visit:``, ``.. book:``, ``.. run:``, ``.. environment:``) say what the reader does besides.

``pip install`` and the virtual environment are not repeated: the tests run in an environment that has the
package, and check that everything named is installed.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from urllib.parse import urljoin

import requests

from tests.docs.documents import Block, read_blocks
from tests.docs.executed.visitor import Visitor

#: How long a command may take before it counts as hung: far more than any needs, also on a busy machine.
COMMAND_TIMEOUT = 900
#: The same for a page, and for a server to start.
TIMEOUT = 60
#: A form that is sent sooner counts as sent by a program.
FILL_SECONDS = 2.1


class Reader:
    """A reader in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {"8787": find_free_port(), "8000": find_free_port()}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.commands: dict[str, list[str]] = {}
        self.is_changed = False
        own = ("DJANGO", "PYTEST")
        keep = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        self.variables = {**keep, "PATH": f"{Path(sys.executable).parent}:{keep['PATH']}", "NO_COLOR": "1"}

    def follow(self, page: Path) -> None:
        for block in read_blocks(page):
            try:
                self.do(block)
            except AssertionError as error:
                raise AssertionError(f"{block.place}: {error}") from error

    def do(self, block: Block) -> None:
        if block.language == "":
            getattr(self, block.caption)(block.text)
        elif block.language == "console" and "terminal" in block.caption:
            self.start(block)
        elif block.language == "console":
            self.run_all(block)
        elif "." in block.caption:
            self.write(block)

    def stop(self) -> None:
        for name in list(self.processes):
            self.stop_one(name)

    # Files

    def write(self, block: Block) -> None:
        name, _, is_appended = block.caption.partition(", at the end")
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = self.move_ports(block.text)
        is_appended = "at the end" in block.caption
        assert path.exists() or not is_appended, f"{name} does not exist yet"
        path.write_text(f"{path.read_text()}\n{text}" if is_appended else text)
        self.is_changed = True

    def move_ports(self, text: str) -> str:
        for port, free in self.ports.items():
            text = re.sub(rf"(127\.0\.0\.1:){port}\b", rf"\g<1>{free}", text)
        return text

    # Commands

    def run_all(self, block: Block) -> None:
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            printed = self.run(command)
            if expected.strip():
                assert matches(expected, printed), f"{command!r} printed\n{printed}\nand not\n{expected}"

    def run(self, command: str) -> str:
        words = shlex.split(command)
        if words[:2] == ["pip", "install"]:
            check_installed(words[2:])
            return ""
        if words[:1] == ["."] or words[1:3] == ["-m", "venv"]:
            return ""
        done = subprocess.run(
            self.move_ports(command),
            shell=True,
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT,
        )
        assert done.returncode == 0, f"{command!r} failed:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    # Servers

    def start(self, block: Block) -> None:
        for line in block.text.splitlines():
            words = shlex.split(line.removeprefix("$ "))
            if words[-1] == "meetergo_sandbox":
                words += ["--port", str(self.ports["8787"])]
            if words[-1] == "runserver":
                words += ["--noreload", f"127.0.0.1:{self.ports['8000']}"]
            self.commands[block.caption] = words
            self.start_one(block.caption)

    def start_one(self, name: str) -> None:
        words = [sys.executable if word.startswith("python") else word for word in self.commands[name]]
        log = self.folder / f"{name}.log"
        with log.open("a") as output:
            self.processes[name] = subprocess.Popen(
                words,
                cwd=self.folder,
                env=self.variables,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        port = self.ports["8787" if "meetergo_sandbox" in words else "8000"]
        wait_for_port(port, self.processes[name], log)

    def stop_one(self, name: str) -> None:
        process = self.processes.pop(name)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def reload(self) -> None:
        """Restart the site after a change of its files, as ``runserver`` does."""
        if self.is_changed:
            for name, words in self.commands.items():
                if "runserver" in words and name in self.processes:
                    self.stop_one(name)
                    self.start_one(name)
        self.is_changed = False

    # Comments

    def environment(self, text: str) -> None:
        """``NAME=value NAME=value``"""
        self.variables |= dict(pair.split("=", 1) for pair in text.split())

    def visit(self, text: str) -> None:
        """``/path/ shows some text``"""
        path, _, expected = text.partition(" shows ")
        self.reload()
        answer = requests.get(urljoin(self.site, path), timeout=TIMEOUT)
        assert answer.status_code == 200, f"{path} answered {answer.status_code}"
        assert expected in answer.text, f"{path} does not show {expected!r}"

    def book(self, text: str) -> None:
        """``/path/ as person@example.com with name=value shows some text``: book a time on a page."""
        text, _, expected = text.partition(" shows ")
        path, email, answers = re.fullmatch(r"(\S+) as (\S+)(?: with (.+))?", text).groups()  # type: ignore[union-attr]
        self.reload()
        visitor = Visitor(self.site)
        visitor.open(path)
        times = visitor.find_form("start")
        visitor.send(times, start=times.choices["start"][-1])
        time.sleep(FILL_SECONDS)
        typed = dict(pair.split("=") for pair in (answers or "").split())
        form = visitor.find_form("first_name", "email")
        names = {name.rpartition("-")[2]: name for name in {**form.values, **form.choices}}
        typed = {names.get(name, name): value for name, value in typed.items()}
        visitor.send(form, first_name="A", last_name="Reader", email=email, **typed)
        assert visitor.page.heading == "Your appointment is booked", f"the page says {visitor.page.heading!r}"
        assert expected in visitor.text, f"the page does not show {expected!r}"

    @property
    def site(self) -> str:
        return f"http://127.0.0.1:{self.ports['8000']}"


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + TIMEOUT
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"Nothing listens on port {port}:\n{log.read_text()}")


def matches(expected: str, printed: str) -> bool:
    """Return whether the output is the expected one, in which ``...`` stands for anything."""
    parts = [re.escape(part) for part in expected.strip().split("...")]
    return re.fullmatch(".*".join(parts), printed.strip(), re.DOTALL) is not None


def check_installed(requirements: list[str]) -> None:
    """Check that each requirement, with the packages of its extras, is installed."""
    for requirement in requirements:
        name, extras = re.fullmatch(r"([\w-]+)(?:\[([\w,-]+)\])?", requirement).groups()  # type: ignore[union-attr]
        markers = [f"extra == '{extra}'" for extra in (extras or "").split(",")]
        lines = [line.replace('"', "'") for line in metadata.requires(name) or []]
        of_extras = [line for line in lines if any(marker in line for marker in markers)]
        assert of_extras or not extras, f"{name} has no extra {extras}"
        for package in [name, *(re.split(r"[^\w-]", line)[0] for line in of_extras)]:
            metadata.version(package)
