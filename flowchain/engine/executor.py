"""Running a plan in each of the ways a chain can be run; chooses between the fast loops and the core."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from operator import itemgetter
from typing import Any, Literal, TypeAlias

from flowchain.engine.awaiting import compile_awaiting, run_rows
from flowchain.engine.choosing import Choice, choice_key
from flowchain.engine.cleaning import clean
from flowchain.engine.columns import FailedRow, compile_loop, run_columns
from flowchain.engine.drive_async import drive_async, drive_on_loop
from flowchain.engine.empty_texts import read_as_documents, refuse_empty
from flowchain.engine.failure import at_item
from flowchain.engine.inputs import Inputs
from flowchain.engine.limits import check_tokens, readers_of
from flowchain.engine.listening import compile_listening_loop
from flowchain.engine.plan import Plan, Step, model_steps, needs_loop, steps_of
from flowchain.engine.preview import is_known, not_given, preview
from flowchain.engine.schedule import Pause, Row
from flowchain.engine.settings import Settings, are_observers
from flowchain.errors import InputError
from flowchain.events import Event
from flowchain.nodes.text import Input
from flowchain.protocols import Model
from flowchain.records import Failure, Preview

OnError: TypeAlias = Literal["raise", "keep"]

_CHUNK = 1_024  # rows of a column: long enough that the step's own cost is all that counts, short enough for the cache


class Executor:
    """A plan, ready to run; shared by all running calls of a chain, from any thread."""

    def __init__(self, plan: Plan, chain: str) -> None:
        self.plan = plan
        self.inputs = Inputs(self.plan)
        self.model_of = Choice(plan.scope, chain).model_of
        self._steps = model_steps(self.plan)
        self._documents = read_as_documents(plan.scope)
        self.cached = [step.node.function for step in steps_of(self.plan, "cached")]  # type: ignore[attr-defined]
        """The functions whose values a store is asked for."""
        self._limited = readers_of(plan.scope)
        self._needs_loop = needs_loop(self.plan)
        self._loop = compile_loop(self.plan) if self.plan.is_plain else None
        self._resolved: tuple[dict[str, Any] | None, dict[Step, Model]] | None = None
        self._awaiting = compile_awaiting(self.plan) if self._needs_loop else None
        is_told_by_steps = self.plan.is_plain and not self.plan.is_told_by_core
        self._listening_loop = compile_listening_loop(self.plan) if is_told_by_steps else None

    def quick(self, otherwise: object) -> Callable[[dict[str, Any]], Any] | None:
        """Give a function of the inputs and perhaps observers, where nothing has to wait; else None.

        Given anything else beside the inputs, it gives ``otherwise``.
        """
        loop, listening_loop, bind = self._loop, self._listening_loop, self.inputs.bind
        if loop is None:
            return None
        names, listened_to = self.inputs.name_set, self.inputs.name_set | {"observers"}
        only, validate = (self.inputs.names[0], self.inputs.validators[0]) if len(names) == 1 else ("", None)

        def bound(given: dict[str, Any]) -> list[Any]:
            if validate is None:
                return bind(given)
            value = given[only]
            try:
                validate(value)
            except Exception:
                return bind(given)
            return [value]

        def run(given: dict[str, Any]) -> Any:
            if given.keys() == names:
                return loop(bound(given))
            if given.keys() == listened_to and listening_loop is not None and are_observers(given["observers"]):
                observers = tuple(given.pop("observers"))
                return listening_loop(bound(given), observers) if observers else loop(bound(given))
            return otherwise

        return run

    def models(self, settings: Settings) -> dict[Step, Model]:
        """Resolve the model of every step that asks one; runs of equal settings share the answer."""
        key, known = choice_key(settings), self._resolved
        if known is None or key is None or known[0] != key:
            found = {step: self.model_of(step.node, step.name, settings) for step in self._steps}  # type: ignore[arg-type]
            known = self._resolved = (key, found)
        return known[1]

    # ── one row ──────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, given: Mapping[str, Any], settings: Settings) -> Any:
        """Run one row and give its value."""
        values = self._bound(given, settings)
        if _is_free(settings):
            if self._loop is not None and not settings.observers:
                return self._loop(values)
            if self._listening_loop is not None and settings.observers:
                return self._listening_loop(values, tuple(settings.observers))
        found = [row for row in self._drive([values], settings, 1, "raise") if isinstance(row, Row)]
        return _value(found[0])

    async def arun(self, given: Mapping[str, Any], settings: Settings) -> Any:
        """Run one row on the running event loop."""
        if self._awaiting is not None and _is_unwatched(settings):
            return await self._awaiting(self._bound(given, settings))
        run = self._drive_async([self._bound(given, settings)], settings, 1, "raise")
        found = [row async for row in run if isinstance(row, Row)]
        return _value(found[0])

    def _bound(self, given: Mapping[str, Any], settings: Settings) -> list[Any]:
        values = self.inputs.bind(given)
        return self._cleaned(self.inputs.nodes, self.inputs.names, values, settings) if self._steps else values

    def _cleaned(
        self, nodes: Sequence[Input[Any]], names: Sequence[str], values: list[Any], settings: Settings
    ) -> list[Any]:
        values = clean(names, values, on_bad_text=settings.on_bad_text, on_control=settings.on_control)
        if self._documents.texts or self._documents.lists:
            refuse_empty(self._documents, zip(names, values, strict=True))
        if self._limited:
            check_tokens(nodes, values, self._limited, self.models(settings))
        return values

    def prompts(self, given: Mapping[str, Any], settings: Settings) -> list[Preview]:
        """Give the requests that a run would send; what was not given is a hole in them."""
        values = self.inputs.bind_known(given, not_given)
        known = [index for index, value in enumerate(values) if is_known(value)]
        nodes = [self.inputs.nodes[index] for index in known]
        names = [node.name for node in nodes]
        cleaned = self._cleaned(nodes, names, [values[index] for index in known], settings)
        for index, value in zip(known, cleaned, strict=True):
            values[index] = value
        return preview(self.plan, values, self.models(settings))

    # ── many rows ────────────────────────────────────────────────────────────────────────────────────────────────

    def batch(self, rows: Iterable[Mapping[str, Any]], settings: Settings, on_error: OnError) -> Iterator[list[Any]]:
        """Run rows from any iterable; their values in row order, some at a time, with a `Failure` kept or raised."""
        if self._loop is not None and not settings.observers and _is_free(settings):
            return self._batch_by_columns(rows, on_error)
        return ([value] for value in self._batch_by_rows(rows, settings, on_error))

    def _batch_by_rows(self, rows: Iterable[Mapping[str, Any]], settings: Settings, on_error: OnError) -> Iterator[Any]:
        source = _Source(rows)
        count = len(rows) if isinstance(rows, Sequence) else None
        bound = (self._row(given, settings) for given in source)
        for row in self._drive(bound, settings, count, on_error):
            if isinstance(row, Row):
                yield _kept(row, on_error)
        source.raise_own_error()

    async def abatch(
        self,
        rows: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        settings: Settings,
        on_error: OnError,
    ) -> AsyncGenerator[Any, None]:
        """Run rows on the running event loop; closed, it leaves nothing running."""
        count = len(rows) if isinstance(rows, Sequence) else None
        source = rows if isinstance(rows, AsyncIterable) else _Source(rows)
        feed: Any
        if isinstance(source, AsyncIterable):
            feed = (self._row(given, settings) async for given in source)
        else:
            feed = (self._row(given, settings) for given in source)
        async with aclosing(self._drive_async(feed, settings, count, on_error)) as run:
            async for row in run:
                if isinstance(row, Row):
                    yield _kept(row, on_error)
        if isinstance(source, _Source):
            source.raise_own_error()

    def _row(self, given: Any, settings: Settings) -> list[Any] | Exception:
        try:
            # A dict is known without asking the abstract class, which takes longer than to bind the row.
            if type(given) is not dict and not isinstance(given, Mapping):
                fix = "Give every row as a mapping of input names to values."
                raise InputError(f"a row is a {type(given).__name__}, not a mapping. {fix}", fix=fix)
            return self._bound(given, settings)
        except InputError as error:
            return error

    def _batch_by_columns(self, rows: Iterable[Mapping[str, Any]], on_error: OnError) -> Iterator[list[Any]]:
        source = _Source(rows)
        first = 0
        while chunk := source.take(_CHUNK):
            values, has_failed = self._columns(chunk)
            if has_failed:
                for index, value in enumerate(values):
                    if value.__class__ is FailedRow:
                        if on_error == "raise":
                            yield values[:index]
                            raise at_item(value.error, first + index)
                        values[index] = Failure(index=first + index, error=value.error)
            yield values
            first += len(chunk)
        source.raise_own_error()

    def _columns(self, chunk: list[Any]) -> tuple[list[Any], bool]:
        """Run a chunk by columns; rows whose inputs are wrong are set aside first."""
        names, count = self.inputs.names, len(chunk)
        try:
            columns = [list(map(itemgetter(name), chunk)) for name in names]
            # With every name there, rows of no other names have as many entries as names in all.
            is_exact = sum(map(len, chunk)) == count * len(names)
            for validate, column in zip(self.inputs.column_validators, columns, strict=True):
                validate(column)
        except Exception:  # whatever a row, or a validator of the user's own, may raise: told row by row
            is_exact = False
        else:
            if is_exact:
                return run_columns(self.plan, columns, count)
        bound = [self._row(row, _NO_SETTINGS) for row in chunk]
        good = [values for values in bound if not isinstance(values, Exception)]
        columns = [list(column) for column in zip(*good, strict=True)] if good else [[] for _ in names]
        found = iter(run_columns(self.plan, columns, len(good))[0])
        return [FailedRow(values) if isinstance(values, Exception) else next(found) for values in bound], True

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────

    def stream(self, given: Mapping[str, Any], settings: Settings) -> Iterator[Event]:
        """Run one row and give its events as they happen; leaving early cancels the run.

        However it ends, its last event comes before the error.
        """
        events: deque[Event] = deque()
        settings = settings.changed({"observers": (events.append,)})
        values = self._bound(given, settings)
        failure: Exception | None = None
        try:
            for row in self._drive([values], settings, 1, "raise", with_pauses=True):
                failure = row.error if isinstance(row, Row) else failure
                while events:
                    yield events.popleft()
        except Exception as error:
            failure = error
        yield from events
        if failure is not None:
            raise failure

    async def astream(self, given: Mapping[str, Any], settings: Settings) -> AsyncGenerator[Event, None]:
        """Do what ``stream`` does, on the running event loop."""
        events: deque[Event] = deque()
        settings = settings.changed({"observers": (events.append,)})
        failure: Exception | None = None
        values = self._bound(given, settings)
        try:
            async with aclosing(self._drive_async([values], settings, 1, "raise", with_pauses=True)) as run:
                async for row in run:
                    failure = row.error if isinstance(row, Row) else failure
                    while events:
                        yield events.popleft()
        except Exception as error:
            failure = error
        for event in events:
            yield event
        if failure is not None:
            raise failure

    # ── driving ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _drive(
        self,
        rows: Iterable[Any],
        settings: Settings,
        count: int | None,
        on_error: OnError,
        *,
        with_pauses: bool = False,
    ) -> Iterator[Row | Pause]:
        if self._needs_loop:
            return drive_on_loop(lambda: self._drive_async(rows, settings, count, on_error, with_pauses=with_pauses))
        from flowchain.engine.drive import drive

        return drive(
            self.plan,
            rows,
            settings,
            self.models(settings),
            row_count=count,
            with_pauses=with_pauses,
            ends_with_failure=on_error == "raise",
        )

    def _drive_async(
        self, rows: Any, settings: Settings, count: int | None, on_error: OnError, *, with_pauses: bool = False
    ) -> AsyncGenerator[Row | Pause, None]:
        if self._awaiting is not None and not with_pauses and _is_unwatched(settings):
            return run_rows(self._awaiting, rows, settings.concurrency)
        return drive_async(
            self.plan,
            rows,
            settings,
            self.models(settings),
            row_count=count,
            with_pauses=with_pauses,
            ends_with_failure=on_error == "raise",
        )


_NO_SETTINGS = Settings()


class _Source:
    """Rows from the user's iterable; an error of its own ends it, but costs no row that came before."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._rows = iter(rows)
        self._error: Exception | None = None
        self._count = 0

    def take(self, count: int) -> list[Any]:
        """Give the next rows, at most so many; none at the end."""
        chunk: list[Any] = []
        if self._error is None:
            try:
                chunk.extend(itertools.islice(self._rows, count))
            except Exception as error:
                self._error = error
            self._count += len(chunk)
        return chunk

    def __iter__(self) -> Iterator[Any]:
        while self._error is None:
            try:
                row = next(self._rows)
            except StopIteration:
                return
            except Exception as error:
                self._error = error
                return
            self._count += 1
            yield row

    def raise_own_error(self) -> None:
        """Raise what the iterable raised, now that all rows before it have been given."""
        if self._error is not None:
            raise InputError(
                f"the rows ended with {type(self._error).__name__} at index {self._count}: {self._error}",
                item=self._count,
            ) from self._error


def _is_free(settings: Settings) -> bool:
    """Is there no limit to keep, and no store that notes what rows come to? The fast loops do neither."""
    return settings.timeout is None and settings.store is None


def _is_unwatched(settings: Settings) -> bool:
    """Is a run free, and does nobody listen, not even asyncio's debug mode? Called on a running loop."""
    return _is_free(settings) and not settings.observers and not asyncio.get_running_loop().get_debug()


def _value(row: Row) -> Any:
    if row.error is not None:
        raise row.error
    return row.value


def _kept(row: Row, on_error: OnError) -> Any:
    if row.error is None:
        return row.value
    if on_error == "keep":
        return Failure(index=row.number, error=row.error)
    raise at_item(row.error, row.number)
