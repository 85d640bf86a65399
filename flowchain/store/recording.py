"""A run of a chain, written down from its beginning to its outcome while the engine uses its store."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from flowchain.errors import ChainError, FlowchainError, StoreError
from flowchain.nodes.function import NodeFunction
from flowchain.protocols import Model
from flowchain.protocols import Store as StoreProtocol
from flowchain.store.functions import identified
from flowchain.store.store import Store


@contextmanager
def recording(
    store: StoreProtocol | None,
    name: str,
    written: Callable[[], str],
    inputs: Mapping[str, Any],
    cached: Iterable[NodeFunction[Any]],
    models: Sequence[Model],
) -> Generator[StoreProtocol | None, None, None]:
    """Give the store that the engine should use: one that notes what this run uses, where the store keeps runs.

    Args:
        store: the user's; a replay, a store of the user's own or None is used as it is.
        name: of the chain.
        written: gives the chain as JSON; a chain that holds model objects can't be written, and is noted as ``{}``.
        inputs: of the run; a digest and the beginning of each are kept.
        cached: functions of the chain whose values are looked up.
        models: that the chain may ask; what a replay must know of them is noted.

    Raises:
        StoreError: the run can't be opened, or a change in a cached function would not be noticed; nothing has run
            then.
    """
    for function in cached:
        identified(function.function)
    if not isinstance(store, Store) or store.is_read_only:
        yield store
        return
    try:
        chain = written()
    except ChainError:
        chain = "{}"
    run = store.open_run(name=name, chain=chain, inputs=inputs)
    try:
        run.note_models(models)
        yield run
    except StoreError:
        raise  # what can't be written can't be noted either
    except BaseException as error:
        where = error if isinstance(error, FlowchainError) else None
        if isinstance(error, Exception):
            run.fail(error, node=where.node if where else None, item=where.item if where else None)
            run.close("failed")
        else:
            run.close("cancelled")
        raise
    run.close("done")
