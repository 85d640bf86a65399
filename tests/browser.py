"""A real browser, asked over a pipe: what a page does when it is opened, not what we think it does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# The browser speaks on descriptors 3 and 4; a child of Python gets others, and they are put there before it starts.
_START = "import os, sys; r, w = int(sys.argv[1]), int(sys.argv[2]); r, w = os.dup(r), os.dup(w)\n"
_START += "r, w = (os.dup2(r, 30), os.dup2(w, 31)); os.dup2(r, 3); os.dup2(w, 4); os.execvp(sys.argv[3], sys.argv[3:])"
_QUIET = """--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --remote-debugging-pipe --no-first-run
--disable-background-networking --disable-component-update --disable-extensions --disable-sync --mute-audio
--host-resolver-rules=MAP*~NOTFOUND""".split()


@dataclass
class Seen:
    """What a page did."""

    dialogs: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    """Addresses that were asked for, but for the page itself."""
    messages: list[str] = field(default_factory=list)
    value: Any = None
    """What the question came to."""


def executable() -> str:
    """The browser's program; without one, the test is skipped."""
    for name in _NAMES:
        found = shutil.which(name)
        if found:
            return found
    pytest.skip(f"no browser on the path: {', '.join(_NAMES)}")


class Browser:
    """One process; `visit` opens a page in a tab of its own."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = os.fdopen(reading, "rb", buffering=0)
        self._writing = os.fdopen(writing, "wb", buffering=0)
        self._rest = b""
        self._number = 0
        self._events: list[dict[str, Any]] = []

    def close(self) -> None:
        self._reading.close()
        self._writing.close()

    def visit(self, page: Path, question: str) -> Seen:
        """Open a file, wait until it is loaded and at rest, and evaluate an expression in it."""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self._ask(f"{domain}.enable", session)
        self._events.clear()
        self._ask("Page.navigate", session, url=page.as_uri())
        seen = Seen()
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._note(session, seen)
            message = self._receive()
            if "method" in message:  # else it is the reply to a dialog's dismissal
                self._events.append(message)
        settled = "new Promise(done => setTimeout(() => done(1), 200))"
        self._ask("Runtime.evaluate", session, expression=settled, awaitPromise=True, seen=seen)
        found = self._ask("Runtime.evaluate", session, expression=question, returnByValue=True, seen=seen)
        seen.value = found["result"].get("value")
        self._note(session, seen)
        seen.requests = [address for address in seen.requests if address != page.as_uri()]
        self._ask("Target.closeTarget", targetId=target)
        return seen

    def _note(self, session: str, seen: Seen) -> None:
        for event in self._events:
            given = event.get("params", {})
            if event["method"] == "Page.javascriptDialogOpening":
                seen.dialogs.append(given["message"])
                self._send("Page.handleJavaScriptDialog", session, accept=True)
            elif event["method"] == "Network.requestWillBeSent":
                seen.requests.append(given["request"]["url"])
            elif event["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
                seen.messages.append(json.dumps(given)[:300])
        self._events = [event for event in self._events if event["method"] == "Page.loadEventFired"]

    def _send(self, method: str, session: str | None = None, **given: Any) -> int:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": given}
        if session is not None:
            message["sessionId"] = session
        self._writing.write(json.dumps(message).encode() + b"\0")
        return self._number

    def _ask(self, method: str, session: str | None = None, seen: Seen | None = None, **given: Any) -> Any:
        number = self._send(method, session, **given)
        while True:
            message = self._receive()
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            if "method" in message:
                self._events.append(message)
                if seen is not None and session is not None:
                    self._note(session, seen)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = self._reading.read(1 << 16)
            assert data, "the browser ended"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


@contextmanager
def started(folder: Path) -> Iterator[Browser]:
    """Start a browser whose profile lies in the folder, and end it."""
    program = executable()
    their_reading, our_writing = os.pipe()
    our_reading, their_writing = os.pipe()
    start = [sys.executable, "-c", _START, str(their_reading), str(their_writing), program]
    process = subprocess.Popen(
        [*start, *_QUIET, f"--user-data-dir={folder}"],
        pass_fds=(their_reading, their_writing),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(their_reading)
    os.close(their_writing)
    browser = Browser(our_reading, our_writing)
    try:
        yield browser
    finally:
        browser.close()
        process.terminate()
        process.wait(timeout=30)
