"""A run of a chain, written down from its beginning to its outcome while the engine uses its store."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

from flowchain.errors import StoreError, redacted
from flowchain.nodes.function import NodeFunction
from flowchain.protocols import Model, fingerprint_of
from flowchain.protocols import Store as StoreProtocol
from flowchain.store.functions import identified
from flowchain.store.runs import Resumed
from flowchain.store.store import Store

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # another one in each process


@contextmanager
def recording(
    store: StoreProtocol | None,
    name: str,
    nodes: Mapping[str, dict[str, Any]],
    inputs: Mapping[str, Any],
    cached: Iterable[NodeFunction[Any]],
    models: Mapping[str, Model],
) -> Generator[StoreProtocol | None, None, None]:
    """Give the store that the engine should use: one that notes what this run uses, where the store keeps runs.

    Args:
        store: the user's; a replay, a store of the user's own or None is used as it is.
        name: of the chain.
        nodes: what each declares, by name.
        inputs: of the run; a digest and the beginning of each are kept.
        cached: functions of the chain whose values are looked up.
        models: that the chain may ask, by node; what a replay must know of them is noted.

    Raises:
        StoreError: the run can't be opened or resumed, or a change in a cached function would not be noticed; nothing
            has run then.
    """
    for function in cached:
        identified(function.function)
    resumed = store if isinstance(store, Resumed) else None
    store = store if resumed is None else resumed.store
    if not isinstance(store, Store) or store.is_read_only:
        yield store
        return
    asking = {node: {**nodes[node], "model": redacted(fingerprint_of(model))} for node, model in models.items()}
    run = store.open_run(
        name=name,
        chain=json.dumps({"nodes": {**nodes, **asking}}, default=_plain, sort_keys=True),
        inputs=inputs,
        resume=None if resumed is None else resumed.run_id,
        allow_changed=resumed is not None and resumed.allow_changed,
    )
    try:
        run.note_models(list(models.values()))
        yield run
    except StoreError:
        run.leave()  # what can't be written can't be noted either
        raise
    except BaseException as error:
        if sys.is_finalizing():
            raise  # a worker that ended with the interpreter may hold the store's lock for ever
        if isinstance(error, Exception):
            run.fail(error)
            run.close("failed")
        else:
            run.close("cancelled")
        raise
    run.close("done")


def _plain(value: Any) -> Any:
    """Write what JSON has no form for: a function by its source, all else by its repr without the address."""
    if isinstance(value, NodeFunction):
        try:
            return {"function": list(identified(value.function, version=value.version))}
        except StoreError:
            return {"function": value.name, "version": value.version}
    return _ADDRESS.sub("", repr(value))
