"""The store: replies by what was asked, durable before anyone sees them; cache, resume, replay and audit in one file.

    with fc.Store("replies.flow") as store:
        chain.run(documents=texts, store=store)     # killed half-way …
        chain.run(documents=texts, store=store)     # … goes on where it stopped: the same call, nothing else

This file imports little: SQLite is loaded when a store is opened.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from flowchain.errors import StoreError
from flowchain.protocols import Asked
from flowchain.records import Reply, Request
from flowchain.store.key import Address, address_of

if TYPE_CHECKING:
    from flowchain.store.journal import Journal

_MOST_REMEMBERED = 10_000


class Store:
    """A journal of finished work in one SQLite file, shared by any number of threads and processes.

    ``durability="process"``: what `record` returned from survives any kill of any process, and of a power failure all
    but the last moments; ``"power"``: those too, at some 25 times the cost a commit. ``max_bytes`` bounds the file
    (default: the disk does). ``read_only=True`` uses an existing file as a cache and saves nothing.

    The path is checked at once: StoreError for a folder, another program's file, a store of a newer format, a disk
    without room, a network's file system.

    >>> import tempfile
    >>> from flowchain.records import GenerateRequest, TextReply
    >>> asked = Asked(GenerateRequest(prompt="Hi", max_tokens=5), "model@1")
    >>> with tempfile.TemporaryDirectory() as folder, Store(f"{folder}/replies.flow") as store:
    ...     before = store.recall([asked])
    ...     store.record([(asked, TextReply(text="Hello", finish_reason="eos"))])
    ...     before, store.recall([asked])[0].text
    ([None], 'Hello')
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: Literal["process", "power"] = "process",
        read_only: bool = False,
        busy_timeout_s: float = 30.0,
        max_bytes: int | None = None,
        clock: Callable[[], float] = time.time,
        trace: Callable[[str], None] | None = None,
    ) -> None:
        """``clock`` dates entries for people; ``trace`` sees each SQL statement before it runs."""
        if durability not in ("process", "power"):
            raise StoreError(
                f"a store's durability can't be {durability!r}",
                field="durability",
                got=repr(durability),
                wanted="'process' or 'power'",
                fix='Write durability="process" or durability="power".',
            )
        from flowchain.store.journal import Journal
        from flowchain.store.opening import Opening

        self._journal: Journal = Journal(
            Opening(
                path=Path(path),
                durability=durability,
                is_read_only=read_only,
                busy_timeout_s=busy_timeout_s,
                max_bytes=max_bytes,
                trace=trace,
            )
        )
        self._clock = clock
        self._remembered: dict[int, tuple[Request[object], str, Address]] = {}

    @property
    def path(self) -> Path:
        """The file."""
        return self._journal.path

    @property
    def is_read_only(self) -> bool:
        """Is nothing ever written?"""
        return self._journal.is_read_only

    def recall(self, asked: Sequence[Asked]) -> list[Reply | None]:
        """Give the stored reply to each request, or None.

        A damaged entry is dropped, with a warning, and counts as missing. StoreError where the file can't be read.
        """
        return self._recall(asked, None)

    def record(self, answered: Sequence[tuple[Asked, Reply]]) -> None:
        """Make replies durable, all or none.

        A request that already has a reply keeps it. StoreError where nothing could be saved; its ``unsaved`` holds the
        replies, and from then on each call raises at once, so that nothing more is paid for. A store that is read only
        saves nothing and says nothing.
        """
        self._record(answered, None)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._journal.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r})"

    # ── shared with runs ─────────────────────────────────────────────────────────────────────────────────────────

    def _recall(self, asked: Sequence[Asked], run: int | None) -> list[Reply | None]:
        from flowchain.store import entries, reply

        addresses = [self._address(one) for one in asked]
        found, damaged = entries.find(self._journal, [address.key for address in addresses])
        replies: dict[bytes, Reply] = {}
        for key, entry in found.items():
            try:
                replies[key] = reply.read(entry.schema, entry.value)
            except ValueError:
                damaged.append(entry.seq)
        if damaged:
            self._drop(damaged)
        given: list[Reply | None] = []
        for one, address in zip(asked, addresses, strict=True):
            answer = replies.get(address.key)
            given.append(answer)
            if answer is None:
                self._remember(one, address)
        return given

    def _record(self, answered: Sequence[tuple[Asked, Reply]], run: int | None) -> None:
        from flowchain.store import entries, reply

        if self.is_read_only or not answered:
            return
        try:
            rows = [(self._address(asked, forget=True), *reply.written(answer)) for asked, answer in answered]
            with self._journal.write() as connection:
                entries.insert(connection, rows, run, self._clock())
        except StoreError as exc:
            exc.unsaved = tuple(answer for _, answer in answered)
            raise
        self._journal.saved += len(rows)

    def _address(self, asked: Asked, *, forget: bool = False) -> Address:
        # `recall` comes just before `record` for the same request, and hashing a long prompt twice is a waste.
        number = id(asked.request)
        known = self._remembered.pop(number, None) if forget else self._remembered.get(number)
        if known is not None and known[0] is asked.request and known[1] == asked.fingerprint:
            return known[2]
        return address_of(asked)

    def _remember(self, asked: Asked, address: Address) -> None:
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[id(asked.request)] = (asked.request, asked.fingerprint, address)

    def _drop(self, damaged: list[int]) -> None:
        from flowchain.store import entries

        warnings.warn(
            f"{len(damaged)} damaged in {self._journal.name}: dropped, and done again", RuntimeWarning, stacklevel=4
        )
        if not self.is_read_only:
            with self._journal.write() as connection:
                entries.drop(connection, damaged)
