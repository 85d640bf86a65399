"""Texts become vectors, many in one call; where one of them is too long, the others are not lost with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from flowchain.errors import ModelError, ServerError
from flowchain.models.openai.bodies import embed_body
from flowchain.models.openai.connection import Connection
from flowchain.models.openai.profile import Profile
from flowchain.models.openai.reading import Served, VectorReader
from flowchain.models.openai.too_long import Counted
from flowchain.records import EmbedRequest, VectorReply

_THE_REQUESTS_OWN = frozenset({400, 413, 422})


async def vectors(
    profile: Profile,
    connection: Connection,
    served: Served,
    requests: Sequence[EmbedRequest],
    count: Callable[[str], int],
    is_exact: bool,
) -> list[VectorReply | Exception]:
    """Ask for all vectors in one call, and in halves where the server objects to a request."""
    is_sent = False
    try:
        path, body = embed_body(profile, requests)
        counted = Counted(max(count(request.text) for request in requests), 0, is_exact)
        is_sent = True
        read = await connection.ask(
            path, body, lambda: VectorReader(connection.failures, served, len(requests)), counted=counted
        )
    except ModelError as error:
        # One of them is at fault where it can't be written, or the server objects to what it was sent.
        is_ones = not is_sent or (isinstance(error, ServerError) and error.status in _THE_REQUESTS_OWN)
        if len(requests) > 1 and is_ones:
            middle = len(requests) // 2
            first = await vectors(profile, connection, served, requests[:middle], count, is_exact)
            return first + await vectors(profile, connection, served, requests[middle:], count, is_exact)
        return [error] * len(requests)
    # Of one call the server tells the sum alone; to give each its share would be a guess.
    tokens = read.usage.prompt_tokens if len(requests) == 1 else None
    return [
        VectorReply(vector=_normal(vector) if request.normalize else vector, prompt_tokens=tokens)
        for request, vector in zip(requests, read.vectors, strict=True)
    ]


def _normal(vector: tuple[float, ...]) -> tuple[float, ...]:
    length = math.hypot(*vector)
    return tuple(number / length for number in vector) if length else vector
