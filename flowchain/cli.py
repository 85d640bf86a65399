"""The command line: look into a store of replies, compare runs, tidy up.

    flowchain runs   STORE               the runs, oldest first
    flowchain show   STORE RUN           one run: inputs, work, failures      (--json: as JSON lines)
    flowchain diff   STORE RUN RUN       what differs between two runs
    flowchain prune  STORE --keep-runs 5 --older-than 30     remove old runs and their work
    flowchain verify STORE               check every row

All but ``prune`` only read. Texts come from documents and models, so controls and bidi marks are shown as escapes, and
nothing in them is taken for markup. Exit status: 0; 1 where a store can't be used or is not sound; 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from flowchain.errors import StoreError, escape, shown
from flowchain.store.store import Store

if TYPE_CHECKING:
    from rich.console import Console

    from flowchain.store.history import EntryRecord

_MOST_SHOWN = 20
_MOST_CHARACTERS = 150


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command (default: the process's own arguments) and give its exit status."""
    options = _parser().parse_args(arguments)
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    try:
        with Store(options.store, read_only=options.is_reader) as store:
            return int(options.command(store, console, options))
    except StoreError as exc:
        print(f"flowchain: {escape(str(exc))}", file=sys.stderr)
        if exc.fix and exc.fix not in str(exc):
            print(f"  {escape(exc.fix)}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 0  # the reader of a pipe, such as head, has seen enough


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="flowchain", description="Look into a store of replies.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[..., int], text: str, *, is_reader: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=run, is_reader=is_reader)
        added.add_argument("store", metavar="STORE", help="the store's file")
        return added

    command("runs", _runs, "List the runs, oldest first.")
    show = command("show", _show, "Show one run: inputs, work, failures.")
    show.add_argument("run", metavar="RUN", help="its id, or the beginning of it")
    show.add_argument("--json", action="store_true", help="write everything as JSON lines")
    diff = command("diff", _diff, "Show what differs between two runs.")
    diff.add_argument("first", metavar="RUN")
    diff.add_argument("second", metavar="RUN")
    prune = command("prune", _prune, "Remove old runs and the work that only they used.", is_reader=False)
    prune.add_argument("--older-than", type=float, metavar="DAYS", help="what is older than so many days")
    prune.add_argument("--keep-runs", type=int, metavar="N", help="keep the last N runs and what they used")
    prune.add_argument("--max-bytes", type=int, metavar="BYTES", help="then drop the oldest until the rest fits")
    command("verify", _verify, "Check structure, digests, values and finished runs.")
    return parser


def _runs(store: Store, console: Console, options: argparse.Namespace) -> int:
    runs = store.runs()
    rows = [
        (
            run.id,
            run.name,
            run.outcome,
            _date(run.started_at),
            _took(run.started_at, run.ended_at),
            run.entries,
            run.failures,
        )
        for run in runs
    ]
    _table(console, ("run", "chain", "outcome", "started (UTC)", "took", "work", "failures"), rows)
    return 0


def _show(store: Store, console: Console, options: argparse.Namespace) -> int:
    run = store.run(options.run)
    if options.json:
        store.export(run.id, sys.stdout)
        return 0
    _table(
        console,
        ("run", run.id),
        [
            ("chain", run.name),
            ("outcome", run.outcome),
            ("started (UTC)", _date(run.started_at)),
            ("took", _took(run.started_at, run.ended_at)),
            *((f"input {name}", described["shown"]) for name, described in run.inputs.items()),
            *((f"setting {name}", value) for name, value in run.settings.items()),
            ("value", run.value),
        ],
    )
    _table(
        console,
        ("work", "kind", "model", "asked", "reply"),
        [_brief(entry) for entry in store.work(run.id)],
    )
    failures = store.failures(run.id)
    if failures:
        rows = [(failure.node, failure.item, failure.kind, failure.message) for failure in failures]
        _table(console, ("failed node", "item", "error", "message"), rows)
    return 0


def _diff(store: Store, console: Console, options: argparse.Namespace) -> int:
    difference = store.compare(options.first, options.second)
    _table(
        console,
        ("difference", f"{options.first} → {options.second}"),
        [
            ("nodes declared differently", ", ".join(difference.nodes) or "none"),
            ("inputs that differ", ", ".join(difference.inputs) or "none"),
            ("work shared", difference.shared),
            ("value", "equal" if difference.is_value_equal else "differs"),
        ],
    )
    for run, work in ((options.first, difference.only_first), (options.second, difference.only_second)):
        if work:
            _table(console, (f"only {run}", "kind", "model", "asked", "reply"), [_brief(entry) for entry in work])
    return 0


def _prune(store: Store, console: Console, options: argparse.Namespace) -> int:
    older_than = None if options.older_than is None else timedelta(days=options.older_than)
    pruned = store.prune(older_than=older_than, keep_runs=options.keep_runs, max_bytes=options.max_bytes)
    store.vacuum()
    console.print(f"removed {pruned.runs:,} runs, {pruned.entries:,} entries, {pruned.texts:,} texts")
    return 0


def _verify(store: Store, console: Console, options: argparse.Namespace) -> int:
    verified = store.verify()
    for problem in verified.problems:
        console.print(escape(problem))
    verdict = "sound" if verified.is_sound else f"{len(verified.problems):,} problems"
    console.print(f"{verified.entries:,} entries, {verified.runs:,} runs: {verdict} (SQLite {verified.sqlite_version})")
    return 0 if verified.is_sound else 1


def _table(console: Console, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for name in header:
        table.add_column(Text(escape(name)), overflow="fold")
    rows = list(rows)
    for row in rows[:_MOST_SHOWN] if len(header) == 5 else rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    console.print(table)
    if len(header) == 5 and len(rows) > _MOST_SHOWN:
        console.print(f"… and {len(rows) - _MOST_SHOWN:,} more: show RUN --json writes them all")


def _brief(entry: EntryRecord) -> tuple[Any, ...]:
    return entry.number, entry.kind, entry.model, _line(entry.asked), _line(entry.reply)


def _line(record: Any) -> str:
    if not isinstance(record, dict):
        return shown(record)
    line = "; ".join(f"{name}: {shown(value)}" for name, value in record.items() if value is not None)
    return line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}…"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return escape(value) if isinstance(value, str) and len(value) <= 2 * _MOST_CHARACTERS else shown(value)


def _date(time_s: float) -> str:
    try:
        return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "unknown"  # a clock that was set to nonsense


def _took(start_s: float, end_s: float | None) -> str:
    return "–" if end_s is None else f"{max(0.0, end_s - start_s):,.1f} s"


if __name__ == "__main__":
    sys.exit(main())
