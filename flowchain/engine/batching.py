"""What goes into one call of a model: everything that waits for it, alike in kind, cut by length.

Natural batching: whenever the model gets free, it takes what waits. No timer, no tuning: a lone request goes at once,
and the longer the model was busy, the larger its next batch. Requests of different nodes, map items, rows, threads and
concurrent runs share batches; they only have to be of one task and one manner of sampling.

Within a kind the longest go together, since a padded batch costs its longest row; every eighth cut is made around the
oldest request, so that a short one never waits for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from flowchain.errors import ModelError, shown
from flowchain.records import ChatRequest, GenerateRequest, Reply, Request

J = TypeVar("J")

ROWS = 128
"""Most requests in one call. A model cuts its batches finer by its own costs; this bounds what a crash can repeat."""
_OLDEST_EVERY = 8


def kind_of(request: Request[Any]) -> tuple[Any, ...]:
    """Give what requests of one batch must have in common."""
    if isinstance(request, (GenerateRequest, ChatRequest)):
        sampling = request.sampling
        return request.task, sampling.temperature, sampling.top_k, sampling.top_p, sampling.num_beams
    return (request.task,)


def length_of(request: Request[Any]) -> int:
    """Estimate a request's length in characters: good enough to sort by, and free."""
    total = 0
    for field in request.__dataclass_fields__:
        value = getattr(request, field)
        if isinstance(value, str):
            total += len(value)
        elif isinstance(value, tuple):
            total += sum(len(item) if isinstance(item, str) else len(getattr(item, "content", "")) for item in value)
    return total


class Waiting(Generic[J]):
    """What waits for one model, by kind; at most ``rows`` are taken at once, a number or one for each task (else 1).

    >>> from flowchain.records import EmbedRequest
    >>> waiting = Waiting(rows=2)
    >>> for text in ("a", "ccc", "bb"):
    ...     waiting.add(text, EmbedRequest(text=text))
    >>> waiting.take(), waiting.take(), waiting.take()
    (['ccc', 'bb'], ['a'], [])
    """

    def __init__(self, rows: int | Mapping[str, int] = ROWS) -> None:
        self.rows = rows
        self._kinds: dict[tuple[Any, ...], list[tuple[int, int, J]]] = {}
        self._is_sorted: dict[tuple[Any, ...], bool] = {}
        self._arrived = 0
        self._cuts = 0

    def __len__(self) -> int:
        return sum(map(len, self._kinds.values()))

    def add(self, job: J, request: Request[Any]) -> None:
        """Put a job in line."""
        kind = kind_of(request)
        self._arrived += 1
        # Negative arrival: among equals in length, the older sorts to the end, from where batches are taken.
        self._kinds.setdefault(kind, []).append((length_of(request), -self._arrived, job))
        self._is_sorted[kind] = False

    def take(self) -> list[J]:
        """Cut the next batch; empty when nothing waits."""
        if not self._kinds:
            return []
        self._cuts += 1
        # The kind whose oldest request has waited longest; kinds are few.
        kind = min(self._kinds, key=self._oldest) if len(self._kinds) > 1 else next(iter(self._kinds))
        line = self._kinds[kind]
        if not self._is_sorted[kind]:
            line.sort(key=lambda entry: entry[:2])
            self._is_sorted[kind] = True
        rows = self.rows if isinstance(self.rows, int) else self.rows.get(kind[0], 1)
        end = len(line)
        if end > rows and self._cuts % _OLDEST_EVERY == 0:
            oldest = max(range(len(line)), key=lambda index: line[index][1])
            end = min(len(line), max(oldest + 1, rows))
        start = max(0, end - rows)
        batch = [job for _, _, job in reversed(line[start:end])]
        del line[start:end]
        if not line:
            del self._kinds[kind], self._is_sorted[kind]
        return batch

    def _oldest(self, kind: tuple[Any, ...]) -> int:
        return -max(entry[1] for entry in self._kinds[kind])


Outcome = tuple[Reply | None, Exception | None]


def answer_batch(
    call: Callable[[Sequence[Request[Any]]], Sequence[Any]],
    requests: Sequence[Request[Any]],
    *,
    is_whole: Callable[[BaseException], bool],
    on_halved: Callable[[int], None],
) -> list[Outcome]:
    """Call a model so that one bad request costs only itself: (reply, None) or (None, error) for each.

    A batch that fails is searched for the guilty request by halves; the innocent are answered together. One guilty
    request in a batch of n costs at most log2(n) + 1 further calls:

        [a b c d e f g h] fails → [a b c d] fine → [e f] fails → [e] fine → f is guilty → [g h], set aside, fine

    Args:
        call: the model's batched method.
        requests: what to ask.
        is_whole: is this an error of the whole call (a lost connection), that says nothing of any one request?
        on_halved: hears the size that was too large where memory ran out.
    """
    outcomes: list[Outcome] = [(None, None)] * len(requests)
    batches: list[list[int]] = [list(range(len(requests)))]
    is_broken = False
    while batches:
        batch = batches.pop()
        error = _try(call, requests, batch, outcomes)
        if error is None:
            continue
        if _is_out_of_memory(error) and len(batch) > 1:
            on_halved(len(batch))
            middle = len(batch) // 2
            batches += [batch[middle:], batch[:middle]]
        elif len(batch) == 1 or is_whole(error):
            for index in batch:
                outcomes[index] = (None, error)
        elif is_broken:
            # A second failing remainder: the model is broken rather than one request. One by one, no more searching.
            batches += [[index] for index in reversed(batch)]
        else:
            remainder, is_broken = _search(call, requests, batch, outcomes, error)
            if remainder:
                batches.append(remainder)
    return outcomes


def _search(
    call: Callable[[Sequence[Request[Any]]], Sequence[Any]],
    requests: Sequence[Request[Any]],
    suspects: list[int],
    outcomes: list[Outcome],
    error: Exception,
) -> tuple[list[int], bool]:
    """Narrow down to one guilty request; give the indexes not answered yet, and whether any half failed on the way."""
    aside: list[int] = []
    is_any_fine = False
    while len(suspects) > 1:
        middle = len(suspects) // 2
        first, second = suspects[:middle], suspects[middle:]
        failure = _try(call, requests, first, outcomes)
        if failure is None:
            is_any_fine = True
            suspects = second
        else:
            error = failure
            suspects = first
            aside += second
    outcomes[suspects[0]] = (None, error)
    return aside, not is_any_fine


def _try(
    call: Callable[[Sequence[Request[Any]]], Sequence[Any]],
    requests: Sequence[Request[Any]],
    batch: list[int],
    outcomes: list[Outcome],
) -> Exception | None:
    asked = [requests[index] for index in batch]
    try:
        replies = call(asked)
        if len(replies) != len(asked):
            raise ModelError(
                f"the model gave {len(replies)} replies to {len(asked)} requests",
                got=str(len(replies)),
                wanted=str(len(asked)),
                fix="Give one reply for each request, in order.",
            )
    except Exception as error:
        return error
    except BaseException as error:  # sys.exit() in a model must not end the worker that others wait for
        return ModelError(f"the model ended with {type(error).__name__}: {shown(str(error))}")
    for index, reply in zip(batch, replies, strict=True):
        if isinstance(reply, Reply):
            outcomes[index] = (reply, None)
        elif isinstance(reply, Exception):  # a server's client knows which request failed: nothing to search for
            outcomes[index] = (None, reply)
        else:  # a user's own model may give anything
            got = f"{shown(reply)} ({type(reply).__name__})"
            wrong = ModelError(f"the model gave {got}, which is no reply", got=got, wanted="a Reply")
            outcomes[index] = (None, wrong)
    return None


def _is_out_of_memory(error: BaseException) -> bool:
    # By name: torch must not be imported to find out that it is not there.
    return isinstance(error, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)
