"""How does a request find its reply, and a reply its row? The store's two everyday calls, and nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

from flowchain.errors import StoreError
from flowchain.protocols import Asked
from flowchain.records import Reply, Request
from flowchain.store import entries, reply
from flowchain.store.claims import Claims
from flowchain.store.journal import Journal, Statement
from flowchain.store.key import Address, address_of

T = TypeVar("T")
_MOST_REMEMBERED = 10_000
_MOST_UNNOTED = 64  # pieces of work that a run did and that a kill keeps from being noted as its own


class Ledger:
    """Recalls and records, for the store itself or for one of its runs (``run`` is then its number)."""

    def __init__(self, journal: Journal, claims: Claims, clock: Callable[[], float]) -> None:
        self._journal = journal
        self._claims = claims
        self._clock = clock
        # What runs used and is not noted yet: it would cost a third page in every commit, for people's sake alone.
        self._read_by: dict[int, list[int]] = {}
        self._saved_by: dict[int, list[bytes]] = {}
        self._remembered: dict[int, tuple[Request[object], str, Address]] = {}

    def recall(self, asked: Sequence[Asked], run: int | None = None) -> list[Reply | None]:
        """See `Store.recall`."""
        addresses = [address_of(one) for one in asked]
        replies = self._read(addresses, reply.read, run)
        given: list[Reply | None] = []
        for one, address in zip(asked, addresses, strict=True):
            answer = replies.get(address.key)
            given.append(answer)
            if answer is None:
                self._remember(one, address)
        return given

    def record(self, answered: Sequence[tuple[Asked, Reply]], run: int | None = None) -> None:
        """See `Store.record`."""
        if self._journal.is_read_only or not answered:
            return
        try:
            self._write([(self.address(asked, forget=True), *reply.written(given)) for asked, given in answered], run)
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
            self._write([(address, *reply.written_value(value)) for address, value in called], run)
        except StoreError as exc:
            exc.unsaved = tuple(value for _, value in called)
            raise

    def usage(self, run: int) -> list[Statement]:
        """Give the statements that note what a run has used since they were last asked for."""
        statements: list[Statement] = []
        if read := self._read_by.pop(run, None):
            statements.append(
                (
                    "INSERT INTO usage VALUES (?, ?) ON CONFLICT DO NOTHING",
                    [(run, number) for number in sorted(set(read))],
                )
            )
        if saved := self._saved_by.pop(run, None):
            statements.append(
                (
                    "INSERT INTO usage SELECT ?, seq FROM entry WHERE key = ? ON CONFLICT DO NOTHING",
                    [(run, key) for key in saved],
                )
            )
        return statements

    def address(self, asked: Asked, *, forget: bool = False) -> Address:
        """Give the address of a request; `recall` remembers it for `record`, since hashing takes time."""
        number = id(asked.request)
        known = self._remembered.pop(number, None) if forget else self._remembered.get(number)
        if known is not None and known[0] is asked.request and known[1] == asked.fingerprint:
            return known[2]
        return address_of(asked)

    def _remember(self, asked: Asked, address: Address) -> None:
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[id(asked.request)] = (asked.request, asked.fingerprint, address)

    def _read(self, addresses: Sequence[Address], read: Callable[[str, bytes], T], run: int | None) -> dict[bytes, T]:
        found, damaged = entries.find(self._journal, [address.key for address in addresses])
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
            self._read_by.setdefault(run, []).extend(numbers)
        if damaged:
            self._drop(damaged)
        return values

    def _write(self, rows: list[tuple[Address, str, bytes]], run: int | None) -> None:
        statements = entries.insertion(rows, self._clock())
        if self._claims.is_used:
            statements.append(self._claims.freeing([address.key for address, _, _ in rows]))
        if run is not None:
            saved = self._saved_by.setdefault(run, [])
            saved += [address.key for address, _, _ in rows]
            if len(saved) >= _MOST_UNNOTED:
                statements += self.usage(run)
        self._journal.commit(statements)
        self._journal.saved += len(rows)

    def _drop(self, damaged: list[int]) -> None:
        warnings.warn(
            f"{len(damaged)} damaged in {self._journal.name}: dropped, and done again", RuntimeWarning, stacklevel=5
        )
        if not self._journal.is_read_only:
            with self._journal.write() as connection:
                entries.drop(connection, damaged)
