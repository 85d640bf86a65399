"""Which examples should a prompt show? Those most like the query, the most alike last, next to it.

Examples near the query teach most (Liu et al., *What Makes Good In-Context Examples for GPT-3?*, 2022). Nearness is the
cosine of the vectors of `flowchain.models.linear`, with idf counted among the examples.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from flowchain.errors import InputError
from flowchain.models.linear import features, vector
from flowchain.nodes.function import NodeFunction, node


def nearest(examples: Sequence[str], *, count: int = 4, name: str = "nearest") -> NodeFunction[list[str]]:
    r"""Give a kind of node that chooses *count* examples for a ``query``, to be read by `FewShot`.

    Args:
        examples: all there are, each written as the prompt shows it.
        count: how many to choose; where there are fewer, all are chosen.
        name: of the kind of node, for chains written as JSON.

    Raises:
        InputError: no examples, or a count below 1.

    >>> import flowchain as fc
    >>> query = fc.Input("query", str)
    >>> choose = nearest(["key: rain\ntweet: Wet.", "key: sun\ntweet: Hot.", "key: soup\ntweet: Tasty."], count=1)
    >>> fc.Chain(choose(query=query)).run(query="key: sun in May")
    ['key: sun\ntweet: Hot.']
    """
    pool = tuple(examples)
    if not pool or count < 1:
        got = "no examples" if not pool else f"count={count}"
        fix = "Give at least one example, and choose at least one."
        raise InputError(f"nearest: got {got}, wanted something to choose from. {fix}", fix=fix)
    holding: Counter[str] = Counter()
    for example in pool:
        holding.update(set(features(example)))
    idf = {feature: 1 + math.log((1 + len(pool)) / (1 + held)) for feature, held in holding.items()}
    vectors = [vector(example, idf) for example in pool]

    def choose(query: str) -> list[str]:
        asked = vector(query, idf)
        nearness = [sum(value * other.get(feature, 0.0) for feature, value in asked.items()) for other in vectors]
        best = sorted(range(len(pool)), key=lambda place: (-nearness[place], place))[:count]
        return [pool[place] for place in reversed(best)]

    return node(name=name)(choose)
