"""F19 · Deep and wide chains and diamonds: every operation works at a recursion limit of 200, and costs in proportion.

Cost is counted in calls of Python functions, which no busy machine can change; the slow tests measure seconds.
"""

from __future__ import annotations

import copy
import functools
import pickle
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import networkx
import pytest

import flowchain as fc
from tests.engine.drawn import pair, wrap

TEXT = fc.Input("text", str)
LIMIT = 200
MOST_GROWTH = 2.5  # of the cost, where the chain is twice as large
MOST_S = 2.0


def deep(size: int) -> Any:
    node: Any = TEXT
    for _ in range(size):
        node = wrap(text=node)
    return node


def wide(size: int) -> Any:
    return fc.Join(texts=[wrap(text=TEXT) for _ in range(size)], separator="")


def diamond(size: int) -> Any:
    """As many stages, and 2 to the power of them paths."""
    node: Any = TEXT
    for _ in range(size):
        node = pair(left=node, right=node)
    return node


SHAPES: dict[str, Callable[[int], Any]] = {"deep": deep, "wide": wide, "diamond": diamond}

OPERATIONS: dict[str, Callable[[fc.Chain[Any]], Any]] = {
    "check": lambda chain: chain.check(),
    "hash": hash,
    "repr": repr,
    "copy": copy.deepcopy,
    "json": lambda chain: chain.to_json(),
    "mermaid": lambda chain: chain.to_mermaid(),
    "html": lambda chain: chain._repr_html_(),
    "sorted": lambda chain: list(networkx.topological_sort(chain.graph)),
    "pickle": pickle.dumps,
    "run": lambda chain: chain.run(text="a"),
    "listened to": lambda chain: chain.run(text="a", observers=(lambda event: None,)),
    "batch": lambda chain: chain.batch([{"text": "a"}] * 2),
    "timed": lambda chain: chain.run(text="a", timeout=600),
    "used": lambda chain: fc.Chain(chain(text=TEXT)),
}


def load(text: str) -> fc.Chain[Any]:
    return fc.Chain.from_json(text, nodes=[wrap, pair], most_bytes=2**26)


def cases(shape: str, size: int) -> dict[str, Callable[[], Any]]:
    chain = fc.Chain(SHAPES[shape](size))
    return {
        "build": lambda: fc.Chain(SHAPES[shape](size)),
        **{name: functools.partial(work, chain) for name, work in OPERATIONS.items()},
        "load": functools.partial(load, chain.to_json()),
        "unpickle": functools.partial(pickle.loads, pickle.dumps(chain)),
    }


def calls_of(work: Callable[[], Any]) -> int:
    count = 0

    def count_calls(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(count_calls)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("shape", SHAPES)
def test_twice_the_size_is_twice_the_work(shape: str) -> None:
    small, large = cases(shape, 300), cases(shape, 600)
    growth = {}
    for name, work in small.items():
        work()  # what is made once, is made
        large[name]()
        growth[name] = calls_of(large[name]) / max(1, calls_of(work))
    assert {name: found for name, found in growth.items() if found > MOST_GROWTH} == {}


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_recurses_along_a_chain(shape: str) -> None:
    """In a thread, whose stack is its own, with room for two hundred calls."""
    failed: list[tuple[str, BaseException]] = []
    before = sys.getrecursionlimit()

    def work() -> None:
        for name, operation in cases(shape, 2_000).items():
            sys.setrecursionlimit(LIMIT)
            try:
                operation()
            except BaseException as error:
                failed.append((name, error))
            finally:
                sys.setrecursionlimit(before)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failed == []


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_ten_thousand_nodes_take_less_than_two_seconds(shape: str) -> None:
    took = {}
    for name, work in cases(shape, 10_000).items():
        began = time.process_time()
        work()
        took[name] = time.process_time() - began
    print(shape, {name: f"{seconds:.2f} s" for name, seconds in took.items()})
    assert {name: seconds for name, seconds in took.items() if seconds > MOST_S} == {}
