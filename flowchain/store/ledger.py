"""How does a request find its reply, and a reply its row? The store's two everyday calls, and nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

from flowchain.errors import StoreError
from flowchain.protocols import Asked
from flowchain.records import Reply, Request
from flowchain.store import reply, usage
from flowchain.store.change import Statement
from flowchain.store.entries import Entries, remove
from flowchain.store.journal import Journal
from flowchain.store.key import Address, address_of, addresses_of

T = TypeVar("T")
_MOST_REMEMBERED = 10_000
_MOST_UNNOTED = 64  # pieces of work that a run did and that a kill keeps from being noted as its own


class Ledger:
    """Recalls and records, for the store itself or for one of its runs (``run`` is then its number)."""

    def __init__(self, journal: Journal, entries: Entries, clock: Callable[[], float]) -> None:
        self._journal = journal
        self._entries = entries
        self._clock = clock
        # What runs used and is not noted yet, and how much of it they saved: to note it would cost a second page in
        # every commit, for people's sake alone.
        self._used_by: dict[int, list[int]] = {}
        self._unnoted: dict[int, int] = {}
        self._remembered: dict[int, tuple[Request[object], str, Address]] = {}

    def recall(self, asked: Sequence[Asked], run: int | None = None) -> list[Reply | None]:
        """See `Store.recall`."""
        addresses = self._addresses(asked)
        replies = self._read(addresses, reply.read, run)
        given = [replies.get(address[0]) for address in addresses]
        if len(replies) < len(given):
            for one, address, answer in zip(asked, addresses, given, strict=True):
                if answer is None:
                    self._remember(one, address)
        return given

    def record(self, answered: Sequence[tuple[Asked, Reply]], run: int | None = None) -> None:
        """See `Store.record`."""
        if self._journal.is_read_only or not answered:
            return
        try:
            addresses = self._addresses([asked for asked, _ in answered], forget=True)
            self._write(addresses, reply.all_written([given for _, given in answered]), run)
        except StoreError as exc:
            exc.unsaved = tuple(given for _, given in answered)
            raise

    def recall_values(self, calls: Sequence[Address], run: int | None = None) -> list[str | None]:
        """See `Store.recall_values`."""
        values = self._read(calls, reply.read_value, run)
        return [values.get(address.key) for address in calls]

    def record_values(self, called: Sequence[tuple[Address, str]], run: int | None = None) -> None:
        """See `Store.record_values`."""
        if self._journal.is_read_only or not called:
            return
        try:
            addresses = [address for address, _ in called]
            self._write(addresses, [reply.written_value(value) for _, value in called], run)
        except StoreError as exc:
            exc.unsaved = tuple(value for _, value in called)
            raise

    def take_used(self, run: int) -> list[int]:
        """Give the numbers of the entries that a run has used and that are not noted yet, as if they now were."""
        self._unnoted.pop(run, None)
        return self._used_by.pop(run, [])

    def address(self, asked: Asked) -> Address:
        """Give the address of a request; `recall` remembers it for `record`, since hashing takes time."""
        return self._known(asked) or address_of(asked)

    def _addresses(self, asked: Sequence[Asked], *, forget: bool = False) -> list[Address]:
        if not self._remembered:
            return addresses_of(asked)
        known = [self._known(one, forget=forget) for one in asked]
        others = iter(addresses_of([one for one, address in zip(asked, known, strict=True) if address is None]))
        return [next(others) if address is None else address for address in known]

    def _known(self, asked: Asked, *, forget: bool = False) -> Address | None:
        number = id(asked.request)
        known = self._remembered.pop(number, None) if forget else self._remembered.get(number)
        if known is None or known[0] is not asked.request or known[1] != asked.fingerprint:
            return None
        return known[2]

    def _remember(self, asked: Asked, address: Address) -> None:
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[id(asked.request)] = (asked.request, asked.fingerprint, address)

    def _read(self, addresses: Sequence[Address], read: Callable[[str, bytes], T], run: int | None) -> dict[bytes, T]:
        found, damaged = self._entries.find([address[0] for address in addresses])
        values: dict[bytes, T] = {}
        numbers: list[int] = []
        for key, (number, _, _, _, schema, _, value) in found.items():
            try:
                values[key] = read(schema, value)
            except ValueError:
                damaged.append(number)
            else:
                numbers.append(number)
        if run is not None:
            self._used_by.setdefault(run, []).extend(numbers)
        if damaged:
            self._drop(damaged)
        return values

    def _write(self, addresses: Sequence[Address], values: Sequence[tuple[str, bytes]], run: int | None) -> None:
        beside = None if run is None else _Beside(self, run)
        self._entries.add(addresses, values, self._clock(), beside)
        self._journal.saved += len(addresses)

    def _drop(self, damaged: list[int]) -> None:
        warnings.warn(
            f"{len(damaged)} damaged in {self._journal.name}: dropped, and done again", RuntimeWarning, stacklevel=5
        )
        if not self._journal.is_read_only:
            with self._journal.write() as connection:
                remove(connection, damaged)


class _Beside:
    """What `Ledger` writes in one commit with entries: what their run has used, when it is time."""

    def __init__(self, ledger: Ledger, run: int) -> None:
        self._ledger = ledger
        self._run = run
        self._used: Sequence[int] = ()
        self._is_noted = False
        self._noted = 0

    def statements(self, numbers: Sequence[int]) -> Sequence[Statement]:
        ledger, run = self._ledger, self._run
        self._used, self._is_noted = numbers, False
        if ledger._unnoted.get(run, 0) + len(numbers) < _MOST_UNNOTED:
            return ()
        before = list(ledger._used_by.setdefault(run, []))
        self._noted = len(before)
        self._is_noted = True
        return [usage.note(run, usage.bits_by_block([*before, *numbers]))]

    def committed(self) -> None:
        ledger, run = self._ledger, self._run
        if self._is_noted:
            # Another thread may have read back more for this run, meanwhile.
            del ledger._used_by[run][: self._noted]
            ledger._unnoted[run] = 0
        else:
            ledger._used_by.setdefault(run, []).extend(self._used)
            ledger._unnoted[run] = ledger._unnoted.get(run, 0) + len(self._used)
