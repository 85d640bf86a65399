"""What the fault tests run and break: a stand-in model, an effect log that can't lie, and a loop as an engine has it.

The log is written by ``O_APPEND``, so it survives any kill of its writer: ``S key`` before a model call, ``F key``
after it, ``A key`` once the store has returned from recording the reply. Whoever judges a scenario reads the log and
the store, never the word of a process.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from flowchain.protocols import Asked, Store
from flowchain.records import GenerateRequest, Reply, TextReply
from flowchain.store.block import COLUMNS
from flowchain.store.entries import entries_in
from flowchain.store.key import address_of

CONCURRENCY = 4
PIECES = 5


def asked(key: str) -> Asked:
    return Asked(GenerateRequest(prompt=key, max_tokens=10), "stand-in@1")


def key_of(one: Asked) -> str:
    """What a request is called in a log and, by `stored`, in the store."""
    return address_of(one).key.hex()


def stored(path: Path) -> set[str]:
    """The keys of all replies in a store."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(f"SELECT {COLUMNS} FROM block WHERE kind <> 'model'").fetchall()
    return {entry.key.hex() for row in rows for entry in entries_in(row)}


def answer(key: str) -> TextReply:
    """What the stand-in model replies: long enough that replies span pages."""
    return TextReply(text=sha256(key.encode()).hexdigest() * 5, finish_reason="eos")


@dataclass(frozen=True)
class Log:
    """The effect log of a scenario."""

    path: Path

    def write(self, event: str, keys: Sequence[str]) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        lines = "".join(f"{event} {os.getpid()} {key}\n" for key in keys)
        os.write(descriptor, lines.encode())
        os.close(descriptor)

    def events(self) -> list[tuple[str, int, str]]:
        lines = self.path.read_text("utf-8").splitlines() if self.path.exists() else []
        return [(event, int(pid), key) for event, pid, key in (line.split(" ", 2) for line in lines)]

    def repeated_after_ack(self) -> list[str]:
        """I1: no call starts for what was acknowledged before."""
        acknowledged: set[str] = set()
        repeated = []
        for event, _, key in self.events():
            if event == "A":
                acknowledged.add(key)
            elif event == "S" and key in acknowledged:
                repeated.append(key)
        return repeated

    def most_in_flight_lost(self) -> int:
        """I2: how many calls the unluckiest process had started whose replies were never acknowledged."""
        started = Counter(pid for event, pid, _ in self.events() if event == "S")
        saved = Counter(pid for event, pid, _ in self.events() if event == "A")
        return max((started[pid] - saved[pid] for pid in started), default=0)

    def begun_again(self, known: set[str], after: int) -> list[str]:
        """I1, for whoever can't log what was acknowledged: calls, after so many events, for what was stored by then."""
        return [key for event, _, key in self.events()[after:] if event == "S" and key in known]

    def calls(self) -> Counter[str]:
        return Counter(key for event, _, key in self.events() if event == "S")

    def acknowledged(self) -> set[str]:
        return {key for event, _, key in self.events() if event == "A"}


@dataclass
class Engine:
    """The store's only customer, in small: recall, ask for what is missing in batches, record, then go on."""

    store: Store
    log: Log
    call_s: float = 0.0
    on_call: Callable[[], None] = lambda: None

    def ask_all(self, keys: Sequence[str]) -> list[str]:
        recalled = self.store.recall([asked(key) for key in keys])
        replies: dict[str, Reply] = {key: reply for key, reply in zip(keys, recalled, strict=True) if reply is not None}
        missing = [key for key in dict.fromkeys(keys) if key not in replies]
        for start in range(0, len(missing), CONCURRENCY):
            batch = missing[start : start + CONCURRENCY]
            self.log.write("S", batch)
            self.on_call()
            time.sleep(self.call_s)
            given = [answer(key) for key in batch]
            self.log.write("F", batch)
            self.store.record([(asked(key), reply) for key, reply in zip(batch, given, strict=True)])
            self.log.write("A", batch)
            replies.update(zip(batch, given, strict=True))
        return [str(getattr(replies[key], "text", "")) for key in keys]

    def rows(self, count: int, together: int = 20) -> str:
        """Rows of (map over pieces → reduce → answer), some together; gives a digest of all answers."""
        answers: list[str] = []
        for start in range(0, count, together):
            rows = range(start, min(count, start + together))
            pieces = self.ask_all([f"piece {row} {piece}" for row in rows for piece in range(PIECES)])
            reduced = self.ask_all(
                [
                    f"reduce {''.join(pieces[at * PIECES : (at + 1) * PIECES])[:400]} {row}"
                    for at, row in enumerate(rows)
                ]
            )
            answers += self.ask_all([f"answer {text[:60]} {row}" for row, text in zip(rows, reduced, strict=True)])
        return sha256("".join(answers).encode()).hexdigest()


def expected_rows(count: int) -> str:
    """The digest of an uninterrupted run, without any store."""

    class Nothing:
        def recall(self, asked: Sequence[Asked]) -> list[Reply | None]:
            return [None] * len(asked)

        def record(self, answered: Sequence[tuple[Asked, Reply]]) -> None:
            pass

    return Engine(Nothing(), Log(Path(os.devnull))).rows(count)


def forked(work: Callable[[], object]) -> int:
    """Run in a child; give its pid. It ends with status 0, or 1 with the error on stderr."""
    child = os.fork()
    if child:
        return child
    signal.alarm(300)  # a child that hangs ends by itself
    status = 1
    try:
        work()
        status = 0
    except BaseException as exc:
        os.write(2, f"{type(exc).__name__}: {exc}\n".encode())
    finally:
        os._exit(status)


def status_of(child: int) -> int:
    """Wait for a child: its exit status, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
