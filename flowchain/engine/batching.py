"""What goes into one call of a model: everything that waits for it, alike in kind, cut by length.

Natural batching: whenever the model gets free, it takes what waits. No timer, no tuning: a lone request goes at once,
and the longer the model was busy, the larger its next batch. Requests of different nodes, map items, rows, threads and
concurrent runs share batches; they only have to be of one task and one manner of sampling.

Within a kind the longest go together, since a padded batch costs its longest row; every eighth cut is made around the
oldest request, so that a short one never waits for ever. What is asked again comes first, since it has waited, and what
begins last ends last. Where several runs wait for more than one batch, each has an equal share of it, and what one
leaves goes to the others: a run's ten thousand requests don't keep another's only one. Where a call is of one request,
as at a server, runs take turns: there is nothing to pad.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any, Generic, TypeVar, get_args, get_type_hints

from flowchain.engine.replies import listed, reply_to
from flowchain.errors import ModelError, shown
from flowchain.records import ChatRequest, GenerateRequest, Message, Reply, Request

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
    kind: Any = type(request)
    for value in _parts_of(kind)(request):
        if isinstance(value, str):
            total += len(value)
        elif value:
            total += sum(len(item) if isinstance(item, str) else len(item.content) for item in value)
    return total


@functools.cache
def _parts_of(kind: type[Any]) -> Callable[[Request[Any]], tuple[Any, ...]]:
    """Give a function of a request that takes what makes it long: its texts, labels, documents, messages."""
    hints = get_type_hints(kind)
    names = [name for name, hint in hints.items() if {hint, *get_args(hint)} & {str, Message}]
    return attrgetter(*names) if len(names) > 1 else lambda request: (getattr(request, names[0]),)


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
        self._kinds: dict[tuple[Any, ...], _Line[J]] = {}
        self._arrived = 0
        self._cuts = 0
        self._ahead: dict[int, tuple[tuple[Any, ...], float, int]] = {}
        """What was taken ahead, by id: kind, length and place in the order of arrival."""

    def __len__(self) -> int:
        return sum(len(line.entries) for line in self._kinds.values())

    def add(self, job: J, request: Request[Any], run: Any = None, *, is_again: bool = False) -> None:
        """Put a job in line; ``run`` says whose it is. One that is asked again goes before all others.

        What was taken ahead is as old as it was: else it might be taken ahead, and come back, for ever.
        """
        before = self._ahead.pop(id(job), None)
        if before is None:
            self._arrived += 1
            # Negative arrival: among equals in length, the older sorts to the end, from where batches are taken.
            before = kind_of(request), math.inf if is_again else length_of(request), -self._arrived
        kind, length, arrival = before
        line = self._kinds.get(kind)
        if line is None:
            line = self._kinds[kind] = _Line()
        line.entries.append((length, arrival, job, run))
        line.counts[run] = line.counts.get(run, 0) + 1
        line.is_sorted = False

    def take(self, ahead: int = 0) -> list[J]:
        """Cut the next batch; empty when nothing waits.

        ``ahead``: take so many at least, each of which comes back, or else is to be told to `forget`.
        """
        if not self._kinds:
            return []
        self._cuts += not ahead
        # The kind whose oldest request has waited longest; kinds are few.
        kind = min(self._kinds, key=self._oldest) if len(self._kinds) > 1 else next(iter(self._kinds))
        line = self._kinds[kind]
        rows = self.rows if isinstance(self.rows, int) else self.rows.get(kind[0], 1)
        entries = line.cut(max(rows, ahead), self._cuts % _OLDEST_EVERY == 0)
        if ahead:
            self._ahead.update((id(entry[2]), (kind, *entry[:2])) for entry in entries)
        if not line.entries:
            del self._kinds[kind]
        return [entry[2] for entry in entries]

    def forget(self, jobs: Iterable[J]) -> None:
        """Hear which of the jobs that were taken ahead won't come back; called from any thread."""
        for job in jobs:
            self._ahead.pop(id(job), None)

    def _oldest(self, kind: tuple[Any, ...]) -> int:
        return -max(entry[1] for entry in self._kinds[kind].entries)


class _Line(Generic[J]):
    """What waits of one kind: (length, minus arrival, job, run), and how many of each run, the next in turn first."""

    __slots__ = ("counts", "entries", "is_sorted")

    def __init__(self) -> None:
        self.entries: list[tuple[float, int, J, Any]] = []
        self.counts: OrderedDict[Any, int] = OrderedDict()
        self.is_sorted = True

    def cut(self, rows: int, is_around_oldest: bool) -> list[tuple[float, int, J, Any]]:
        """Take at most so many, the longest first, or those around the oldest."""
        entries, counts = self.entries, self.counts
        if not self.is_sorted:
            entries.sort(key=itemgetter(0, 1))
            self.is_sorted = True
        end = len(entries)
        if end > rows and is_around_oldest:
            oldest = max(range(end), key=lambda index: entries[index][1])
            end = max(oldest + 1, rows)
        if rows == 1 < len(counts) and not is_around_oldest:
            following = next(iter(counts))
            at = next(index for index in reversed(range(end)) if entries[index][3] is following)
            taken = [entries.pop(at)]
        # As many runs as requests, or one run alone, have nothing to share.
        elif rows < len(entries) > len(counts) > 1:
            chosen = self._shared(rows, end)
            taken = [entries[index] for index in chosen]
            gone = set(chosen)
            self.entries = [entry for index, entry in enumerate(entries) if index not in gone]
        else:
            start = max(0, end - rows)
            taken = entries[start:end]
            taken.reverse()
            del entries[start:end]
        for entry in taken:
            run = entry[3]
            counts[run] -= 1
            counts.move_to_end(run)
            if not counts[run]:
                del counts[run]
        return taken

    def _shared(self, rows: int, end: int) -> list[int]:
        """Choose entries from ``end`` down, of each run at most its share, then of any to fill the batch up."""
        entries, counts = self.entries, self.counts
        share = max(1, rows // len(counts))
        chosen: list[int] = []
        passed: list[int] = []
        had = dict.fromkeys(counts, 0)
        open_left = len(entries)  # entries of runs that have not had their share
        order = itertools.chain(range(end - 1, -1, -1), range(end, len(entries)))
        for index in order:
            run = entries[index][3]
            if had[run] < share:
                chosen.append(index)
                had[run] += 1
                open_left -= 1 if had[run] < share else counts[run] - share + 1
            else:
                passed.append(index)
            if not open_left or len(chosen) == rows:
                break
        chosen += itertools.islice(itertools.chain(passed, order), rows - len(chosen))
        chosen.sort(reverse=True)
        return chosen


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
        if _is_out_of_memory(error):
            # Its traceback holds the frames of the call, and so the memory that the next one needs.
            error.__traceback__ = None
        if _is_out_of_memory(error) and len(batch) > 1:
            on_halved(len(batch))
            half = (len(batch) + 1) // 2
            # What waits is cut as well, or each part of it would only meet the same limit.
            batches = [some[at : at + half] for some in (*batches, batch) for at in reversed(range(0, len(some), half))]
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
        replies = listed(call(asked), len(asked))
    except Exception as error:
        return error
    except BaseException as error:  # sys.exit() in a model must not end the worker that others wait for
        return ModelError(f"the model ended with {type(error).__name__}: {shown(str(error))}")
    for index, given in zip(batch, replies, strict=True):
        if isinstance(given, Exception):  # a server's client knows which request failed: nothing to search for
            outcomes[index] = (None, given)
            continue
        try:
            outcomes[index] = (reply_to(requests[index], given), None)
        except ModelError as error:
            outcomes[index] = (None, error)
    return None


def _is_out_of_memory(error: BaseException) -> bool:
    # By name: torch must not be imported to find out that it is not there.
    return isinstance(error, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)
