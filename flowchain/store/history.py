"""What has been run, and how do two runs differ? Listing, opening, comparing and exporting, all without changing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import IO, Any

from flowchain.errors import StoreError, shown
from flowchain.store import block, entries, usage
from flowchain.store.block import located
from flowchain.store.journal import Journal
from flowchain.store.runs import changed_nodes

_COLUMNS = (
    "seq, id, name, outcome, started_at, ended_at, entries, value, chain, inputs, settings,"
    " (SELECT count(*) FROM failure WHERE failure.run = run.seq)"
)
_FEWEST_ID_CHARACTERS = 3
_SHOWN = ("digest", "shown")  # of an input; all else is there for resuming


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as the journal knows it; times are Unix seconds, and order is ``number``."""

    number: int
    id: str
    name: str
    outcome: str
    """``running`` also for a run whose process was killed: nobody was left to write another."""
    started_at: float
    ended_at: float | None
    entries: int | None
    """How many pieces of work it used; None while it runs."""
    value: str | None
    """JSON."""
    chain: str
    """JSON: ``nodes``, what each declares by its name."""
    inputs: dict[str, dict[str, str | None]]
    """Digest and beginning of each input."""
    settings: dict[str, str]
    failures: int


@dataclass(frozen=True, slots=True)
class FailureRecord:
    """What went wrong in a run."""

    node: str | None
    item: int | None
    kind: str
    message: str
    traceback: str


@dataclass(frozen=True, slots=True)
class EntryRecord:
    """A piece of work: what was asked of whom, and the reply; values as JSON gives them."""

    number: int
    kind: str
    model: str
    asked: Any
    reply: Any


@dataclass(frozen=True, slots=True)
class RunDifference:
    """How a second run differs from a first."""

    nodes: tuple[str, ...]
    """Declared differently."""
    inputs: tuple[str, ...]
    only_first: tuple[EntryRecord, ...]
    only_second: tuple[EntryRecord, ...]
    shared: int
    """Pieces of work that both used."""
    is_value_equal: bool


def runs(journal: Journal) -> list[RunRecord]:
    """List all runs, oldest first."""
    return [_record(row) for row in journal.read(f"SELECT {_COLUMNS} FROM run ORDER BY seq")]


def run(journal: Journal, run_id: str) -> RunRecord:
    """Open a run by its id or the beginning of it."""
    rows = journal.read(f"SELECT {_COLUMNS} FROM run WHERE substr(id, 1, ?) = ?", [len(run_id), run_id])
    if len(rows) != 1 or len(run_id) < _FEWEST_ID_CHARACTERS:
        raise StoreError(
            f"{journal.name} has {'no' if not rows else 'more than one'} run {shown(run_id)}",
            got=shown(run_id),
            wanted="the id of a run, or at least three characters of its beginning",
            fix="List them with `flowchain runs`.",
        )
    return _record(rows[0])


def failures(journal: Journal, number: int) -> list[FailureRecord]:
    """Give what went wrong in a run, in order."""
    columns = "node, item, kind, message, traceback"
    return [
        FailureRecord(*row)
        for row in journal.read(f"SELECT {columns} FROM failure WHERE run = ? ORDER BY seq", [number])
    ]


def work(journal: Journal, number: int) -> Iterator[EntryRecord]:
    """Give what a run used, in the order it was first done; damaged entries are left out."""
    yield from _work(journal, usage.of(journal, number))


def _work(journal: Journal, used: Mapping[int, int]) -> Iterator[EntryRecord]:
    for seq in sorted(used):
        for row in journal.read(f"SELECT {block.COLUMNS} FROM block WHERE seq = ?", [seq]):
            for entry in entries.entries_in(row):
                if used[seq] >> located(entry.number)[1] & 1:
                    reply = json.loads(entry.value.decode("utf-8", "surrogatepass"))
                    asked = entries.asked_values(journal, entry.asked)
                    yield EntryRecord(entry.number, entry.kind, entry.model, asked, reply)


def compare(journal: Journal, first: RunRecord, second: RunRecord) -> RunDifference:
    """Say how two runs differ: declarations, inputs, work and value."""
    one, other = (usage.of(journal, run.number) for run in (first, second))
    return RunDifference(
        nodes=tuple(changed_nodes(first.chain, second.chain)),
        inputs=tuple(
            name
            for name in sorted(first.inputs.keys() | second.inputs.keys())
            if first.inputs.get(name, {}).get("digest") != second.inputs.get(name, {}).get("digest")
        ),
        only_first=tuple(_work(journal, {seq: bits & ~other.get(seq, 0) for seq, bits in one.items()})),
        only_second=tuple(_work(journal, {seq: bits & ~one.get(seq, 0) for seq, bits in other.items()})),
        shared=sum((bits & other.get(seq, 0)).bit_count() for seq, bits in one.items()),
        is_value_equal=first.value == second.value,
    )


def export(journal: Journal, one: RunRecord, file: IO[str]) -> int:
    """Write a run as JSON lines (the run, its work, its failures); give the number of lines.

    Lone surrogates are written as JSON escapes, so the file is ASCII.
    """
    lines = 0
    for kind, record in _exported(journal, one):
        file.write(json.dumps({"record": kind, **asdict(record)}) + "\n")
        lines += 1
    return lines


def _exported(journal: Journal, one: RunRecord) -> Iterator[tuple[str, RunRecord | EntryRecord | FailureRecord]]:
    yield "run", one
    for entry in work(journal, one.number):
        yield "work", entry
    for failure in failures(journal, one.number):
        yield "failure", failure


def _record(row: tuple[Any, ...]) -> RunRecord:
    number, run_id, name, outcome, started_at, ended_at, used, value, chain, inputs, settings, failed = row
    return RunRecord(
        number=number,
        id=run_id,
        name=name,
        outcome=outcome,
        started_at=started_at,
        ended_at=ended_at,
        entries=used,
        value=value,
        chain=chain,
        inputs={given: {part: one.get(part) for part in _SHOWN} for given, one in json.loads(inputs).items()},
        settings=json.loads(settings),
        failures=failed,
    )
