"""flowchain beside other systems, on the same workloads, each in its own idiom: a table, and the figures as JSON.

    python -m tests.benchmarks.peers [--only WORD] [--write]

All run in one process, in turn, each beside plain Python, and every answer is compared with plain Python's before it
is timed. ``--write`` keeps the figures in ``docs/peers.json``, from which ``tests.benchmarks.picture`` draws. A system
that is not installed is left out with a line that says how to get it.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import gc
import importlib
import importlib.metadata
import inspect
import json
import logging
import os
import platform
import statistics
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from tests.benchmarks.systems import plain
from tests.benchmarks.timing import Clock, Way, Work, compare

FIGURES = Path(__file__).parents[2] / "docs" / "peers.json"
SYSTEMS = ("flowchain", "lcel", "langgraph", "haystack", "hamilton", "pydantic_graph")


class Workload(NamedTuple):
    """What is asked of every system: a function of its module, called with a size."""

    name: str
    function: str
    size: int | None
    """None: as many rows as the system's own ``ROWS``; a cost is then told for each row."""
    clock: Clock = time.process_time


WORKLOADS = (
    Workload("one node", "chain", 1),
    Workload("chain of 10", "chain", 10),
    Workload("chain of 100", "chain", 100),
    Workload("chain of 1,000", "chain", 1_000),
    Workload("1 → 1,000 → 1", "fan", 1_000),
    Workload("lattice 10 × 10", "lattice", 10),
    Workload("loop of 1,000 turns", "loop", 1_000),
    Workload("batch, 3 nodes, a row", "rows", None),
    Workload("chain of 100 awaits", "awaits", 100),
    Workload("async 1 → 1,000 → 1", "async_fan", 1_000),
    Workload("async lattice 10 × 10", "async_lattice", 10),
    Workload("100 × 3 waits", "naps", 100, time.perf_counter),
    Workload("1,000 × 3 waits", "naps", 1_000, time.perf_counter),
    Workload("2,000 requests", "requests", 2_000, time.perf_counter),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="workloads whose name has this word")
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {FIGURES.name}")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # what others' systems deprecate is no matter of this table
    logging.disable(logging.ERROR)
    systems = list(installed())
    figures: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "versions": {system.NAME: importlib.metadata.version(system.PACKAGE) for system in systems},
        "workloads": [],
    }
    # What the imports brought stays: collecting it again at every sample would be timed, and charged to whoever runs.
    gc.collect()
    gc.freeze()
    print(heading(figures))
    for workload in WORKLOADS:
        if options.only in workload.name:
            figures["workloads"].append(measured(workload, systems))
            print(line(figures, -1), flush=True)
    if options.write:
        FIGURES.write_text(json.dumps(with_others(figures), indent=1, ensure_ascii=False) + "\n", "utf-8")


def with_others(figures: dict[str, Any]) -> dict[str, Any]:
    """Put the new rows among those on file, where these were measured on the same day with the same versions."""
    before = json.loads(FIGURES.read_text("utf-8")) if FIGURES.exists() else {"workloads": []}
    rows = {row["name"]: row for row in figures["workloads"]}
    if before | {"workloads": None} == figures | {"workloads": None}:
        rows = {row["name"]: row for row in before["workloads"]} | rows
    return figures | {"workloads": [rows[workload.name] for workload in WORKLOADS if workload.name in rows]}


def table(figures: dict[str, Any]) -> str:
    """Write the figures as a Markdown table."""
    return "\n".join([heading(figures), *(line(figures, number) for number in range(len(figures["workloads"])))])


def origin(figures: dict[str, Any]) -> str:
    """Say when and with what the figures were measured."""
    versions = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    return f"Measured {figures['date']} with CPython {figures['python']} on {figures['cores']} cores: {versions}."


def heading(figures: dict[str, Any]) -> str:
    names = list(figures["versions"])
    return f"| × plain Python | plain, µs | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}"


def line(figures: dict[str, Any], number: int) -> str:
    found = figures["workloads"][number]
    cells = [cell(found["systems"].get(name)) for name in figures["versions"]]
    name = found["name"] if found["clock"] == "CPU" else f"{found['name']} (wall)"
    return f"| {' | '.join([name, told(found['plain_us']), *cells])} |"


def cell(result: dict[str, Any] | None) -> str:
    """Tell a ratio, with the model's calls where there are some; what failed; or that there is no such thing."""
    if result is None:
        return "–"
    if "ratio" not in result:
        return str(result["error"])
    return told(result["ratio"]) + (f" ({result['calls']:,} calls)" if "calls" in result else "")


def told(figure: float) -> str:
    """Give three digits, without an exponent."""
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def installed() -> Iterator[ModuleType]:
    for name in SYSTEMS:
        try:
            yield importlib.import_module(f"tests.benchmarks.systems.{name}")
        except ModuleNotFoundError as error:
            print(f"{name} is left out, since {error.name} is not installed: pip install --group bench")


def measured(workload: Workload, systems: list[ModuleType]) -> dict[str, Any]:
    """Build the workload in every system, see that the answers are right, and time them."""
    ways: dict[str, Way] = {}
    found: dict[str, dict[str, Any]] = {}
    for system in systems:
        if not hasattr(system, workload.function):
            continue
        size = workload.size or system.ROWS
        work = getattr(system, workload.function)(size)
        try:
            answer = once(work)
        except RecursionError:
            found[system.NAME] = {"error": "RecursionError"}
            continue
        wanted = once(getattr(plain, workload.function)(size))
        found[system.NAME] = {"rows": size} if workload.size is None else {}
        if workload.function == "requests":
            (answer, calls), (wanted, _) = answer, wanted
            found[system.NAME]["calls"] = calls
        assert answer == wanted, (system.NAME, workload.name)
        ways[system.NAME] = Way(work, 1 if workload.size else size)
    size = workload.size or plain.ROWS
    by_hand = Way(getattr(plain, workload.function)(size), 1 if workload.size else size)
    results = compare(ways, by_hand, workload.clock)
    for name, result in results.items():
        found[name] |= {"ratio": rounded(result.ratio), "us": rounded(result.seconds * 1e6), "rounds": result.rounds}
    plain_us = rounded(statistics.median(result.plain_seconds for result in results.values()) * 1e6)
    clock = "CPU" if workload.clock is time.process_time else "wall"
    return {"name": workload.name, "clock": clock, "plain_us": plain_us, "systems": found}


def rounded(value: float) -> float:
    return float(f"{value:.3g}")


def once(work: Work) -> Any:
    return asyncio.run(work()) if inspect.iscoroutinefunction(work) else work()


if __name__ == "__main__":
    main()
