"""The store: replies by what was asked, durable before anyone sees them; cache, resume, replay and audit in one file.

    with fc.Store("replies.flow") as store:
        chain.run(documents=texts, store=store)     # killed half-way …
        chain.run(documents=texts, store=store)     # … goes on where it stopped: the same call, nothing else

This file imports little: SQLite is loaded when a store is opened.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from flowchain.errors import StoreError
from flowchain.protocols import Asked, Called
from flowchain.records import Reply

if TYPE_CHECKING:
    from flowchain.store.history import EntryRecord, FailureRecord, RunDifference, RunRecord
    from flowchain.store.housekeeping import Pruned, Verified
    from flowchain.store.key import Address
    from flowchain.store.replay import Replay
    from flowchain.store.runs import OpenRun, Resumed


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
        """``clock`` dates entries for people; ``trace`` sees each SQL statement run."""
        if durability not in ("process", "power"):
            raise StoreError(
                f"a store's durability can't be {durability!r}",
                field="durability",
                got=repr(durability),
                wanted="'process' or 'power'",
                fix='Write durability="process" or durability="power".',
            )
        from flowchain.store.entries import Entries
        from flowchain.store.journal import Journal
        from flowchain.store.ledger import Ledger
        from flowchain.store.opening import Opening

        self._journal = Journal(
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
        self._ledger = Ledger(self._journal, Entries(self._journal), clock)

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
        return self._ledger.recall(asked)

    def record(self, answered: Sequence[tuple[Asked, Reply]]) -> None:
        """Make replies durable, all or none.

        A request that already has a reply keeps it. StoreError where nothing could be saved; its ``unsaved`` holds the
        replies, and from then on each call raises at once, so that nothing more is paid for. A store that is read only
        saves nothing and says nothing.
        """
        self._ledger.record(answered)

    def identify(self, called: Called) -> Address:
        """Give what `recall_values` and `record_values` know a call of a cached function by.

        Raises StoreError where it has no key: a lambda, no source to read, an argument without a canonical form.
        """
        from flowchain.store.functions import address_of_call

        return address_of_call(called)

    def recall_values(self, calls: Sequence[Address]) -> list[str | None]:
        """Give the stored value of each call of a cached function, as JSON, or None."""
        return self._ledger.recall_values(calls)

    def record_values(self, called: Sequence[tuple[Address, str]]) -> None:
        """Make values (JSON) of cached functions durable, all or none; errors as those of `record`."""
        self._ledger.record_values(called)

    # ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def open_run(
        self,
        *,
        name: str = "",
        chain: str = "{}",
        inputs: Mapping[str, object] | None = None,
        settings: Mapping[str, object] | None = None,
        resume: str | None = None,
        allow_changed: bool = False,
    ) -> OpenRun:
        """Open a run, durably, and give the store of its requests. After a write error, this tries to write again.

        ``chain`` is JSON with what its ``nodes`` declare, by name; of the inputs a digest and the beginning are kept.
        ``resume`` goes on with a run of the file: StoreError where its chain (naming the changed nodes) or its inputs
        (naming the first that differs) were others, unless ``allow_changed``.
        """
        from flowchain.store.runs import open_run

        return open_run(
            self,
            name=name,
            chain=chain,
            inputs=inputs or {},
            settings=settings or {},
            resume=resume,
            allow_changed=allow_changed,
        )

    def resume(self, run_id: str, *, allow_changed: bool = False) -> Resumed:
        """Give what makes a running call go on with a run: ``chain.run(…, store=store.resume("3c4b5"))``.

        Where the run was made with another chain, or other inputs, the call raises StoreError before anything runs,
        with the changed nodes or the first input that differs. ``allow_changed`` lets it go on: what did not change is
        read back.
        """
        from flowchain.store.runs import Resumed

        return Resumed(self, self.run(run_id).id, allow_changed)

    def runs(self) -> list[RunRecord]:
        """List all runs, oldest first."""
        from flowchain.store import history

        return history.runs(self._journal)

    def run(self, run_id: str) -> RunRecord:
        """Look a run up by its id, or the beginning of it."""
        from flowchain.store import history

        return history.run(self._journal, run_id)

    def work(self, run_id: str) -> Iterator[EntryRecord]:
        """Give what a run asked and was answered, in the order it was first done."""
        from flowchain.store import history

        return history.work(self._journal, self.run(run_id).number)

    def failures(self, run_id: str) -> list[FailureRecord]:
        """Give what went wrong in a run."""
        from flowchain.store import history

        return history.failures(self._journal, self.run(run_id).number)

    def compare(self, first: str, second: str) -> RunDifference:
        """Say how two runs, by id, differ: declarations, inputs, work, value."""
        from flowchain.store import history

        return history.compare(self._journal, self.run(first), self.run(second))

    def export(self, run_id: str, file: IO[str]) -> int:
        """Write a run as JSON lines: the run, its work, its failures. Gives the number of lines."""
        from flowchain.store import history

        return history.export(self._journal, self.run(run_id), file)

    def replay(self) -> Replay:
        """Give a store that never lets a model be asked: a request that is not in it is a StoreError.

        The error says what differs from the nearest recorded request: text, settings, model revision.
        """
        from flowchain.store.replay import Replay

        return Replay(self)

    # ── housekeeping ─────────────────────────────────────────────────────────────────────────────────────────────

    def prune(
        self, *, older_than: timedelta | None = None, keep_runs: int | None = None, max_bytes: int | None = None
    ) -> Pruned:
        """Remove old runs and the work that only they used, in one transaction. Without arguments nothing goes.

        ``older_than``: runs started, and entries made, longer ago than this. ``keep_runs``: so many of the last runs
        stay, and what they used, however old. With ``keep_runs`` alone, every earlier run goes; never one that is under
        way. ``max_bytes``: then the oldest entries go, used or not, until the rest fits. `vacuum` gives the freed space
        back to the disk.
        """
        from flowchain.store import housekeeping

        before = None if older_than is None else self._clock() - older_than.total_seconds()
        return housekeeping.prune(self._journal, created_before=before, keep_runs=keep_runs, max_bytes=max_bytes)

    def vacuum(self) -> None:
        """Give freed space back to the disk; needs as much room again while it works."""
        self._journal.vacuum()

    def verify(self) -> Verified:
        """Check structure, digests, values and finished runs; nothing is changed."""
        from flowchain.store import housekeeping

        return housekeeping.verify(self._journal)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._journal.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r})"
