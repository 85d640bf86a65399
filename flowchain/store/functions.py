"""When is a call of a cached function the same work as an earlier one?

The key of a call is made of the function's source, its closure values and defaults, the plain constants of its module
that it names, its explicit ``version``, and its arguments. **Not** of the other functions and classes it calls, of
libraries, files or the environment: whoever changes those raises ``version``. Functions that are closed over are
followed, since a decorator's wrapper is nothing without what it wraps.
"""

from __future__ import annotations

import functools
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from types import CodeType, FunctionType
from typing import Any

from flowchain.errors import StoreError, shown
from flowchain.protocols import Called
from flowchain.store.key import Address, address_from, encoded, json_of

_PLAIN = (str, int, float, bool, bytes, type(None))


def address_of_call(called: Called) -> Address:
    """Give the key of a call's value, and what the key was made of.

    Raises StoreError where an argument has no canonical form, or a change in the function would not be noticed.
    """
    return call_address(*identified(called.function, version=called.version), called.arguments)


def call_address(name: str, version: str, digest: str, arguments: Mapping[str, object]) -> Address:
    """Give the key of a call of a function that is `identified` by the first three."""
    return address_from(
        arguments,
        head=["function", name, version, digest],
        kind="function",
        model=f"{name} version {version}, source {digest[:12]}",
        where=name,
    )


def identified(function: Callable[..., object], *, version: str | int = 1) -> tuple[str, str, str]:
    """Give a function's name (with its module), version and digest: all of a call's key but the arguments.

    Raises StoreError, before anything runs, where a later change could not be noticed: a lambda, a function without
    readable source, a closure over what has no canonical form.
    """
    plain = inspect.unwrap(function) if not isinstance(function, FunctionType) else function
    if not isinstance(plain, FunctionType):
        raise _unkeyed(shown(function), f"a {type(function).__name__}", "Use a plain function written with def.")
    name = f"{plain.__module__}.{plain.__qualname__}"
    digest = blake2b(digest_size=16)
    for part in _parts(plain, name, set()):
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return name, str(version), digest.hexdigest()


def _parts(function: FunctionType, name: str, seen: set[int]) -> Iterator[bytes]:
    if id(function) in seen:
        return  # it calls itself through its own closure
    seen.add(id(function))
    if function.__name__ == "<lambda>":
        # Two lambdas on one line have one source text, and would share their values.
        raise _unkeyed(name, "a lambda", "Write it with def, under a name.")
    code = function.__code__
    try:
        yield _source(code)
    except (OSError, TypeError) as exc:
        raise _unkeyed(name, "no source that can be read", "Define it in a file or a notebook cell.") from exc
    yield json_of(list(function.__defaults__ or ()), f"{name}.__defaults__")
    yield json_of(dict(sorted((function.__kwdefaults__ or {}).items())), f"{name}.__kwdefaults__")
    space = function.__globals__
    constants = {
        used: space[used] for used in sorted(_names(code)) if used in space and isinstance(space[used], _PLAIN)
    }
    yield json_of(constants, name)
    for variable, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        yield variable.encode()
        try:
            content: Any = cell.cell_contents
        except ValueError:
            yield b"empty"  # assigned later, or deleted
            continue
        if isinstance(content, FunctionType):
            yield from _parts(content, f"{name}.{variable}", seen)
        else:
            yield json_of(encoded(content, f"{name}.{variable}"), name)


@functools.lru_cache(maxsize=1024)  # reading it takes longer than all the rest of a key, and it never changes
def _source(code: CodeType) -> bytes:
    # Of the code object: of the function, inspect would give what a decorator wrapped.
    return textwrap.dedent(inspect.getsource(code)).encode("utf-8", "surrogatepass")


def _names(code: CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names(constant)
    return names


def _unkeyed(name: str, got: str, fix: str) -> StoreError:
    return StoreError(
        f"{name} can't be cached: it is {got}, so a change in it would not be noticed. {fix}",
        node=name,
        got=got,
        wanted="a function with source",
        fix=fix,
    )
