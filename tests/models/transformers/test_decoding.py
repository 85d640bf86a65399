"""Rows are cut into batches within every limit, and each row is decoded once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowchain.models.transformers.decoding import batches
from flowchain.models.transformers.prefixes import shared_prefixes
from flowchain.models.transformers.rows import Row
from flowchain.models.transformers.sampling import chooser
from flowchain.records import GREEDY
from tests.models.transformers.generating import Recorder

prompts = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=30), min_size=1, max_size=12)
HEAD = [[at % 7 for at in range(20)], [at % 5 for at in range(40)]]
related = st.lists(
    st.tuples(st.sampled_from(HEAD), st.integers(0, 40), st.lists(st.integers(0, 6), min_size=1, max_size=5)).map(
        lambda drawn: drawn[0][: drawn[1]] + drawn[2]
    ),
    min_size=1,
    max_size=12,
)


def row(prompt: list[int], max_tokens: int, **options: object) -> Row:
    return Row(
        index=0,
        prompt=tuple(prompt),
        max_tokens=max_tokens,
        chooser=chooser(GREEDY, prompt),
        decode=lambda ids: "".join(map(chr, ids)),
        ends=frozenset({0}),
        **options,  # type: ignore[arg-type]
    )


@given(
    prompts=prompts,
    limits=st.data(),
    together=st.integers(1, 5),
    columns=st.one_of(st.none(), st.integers(31, 60)),
    cells=st.integers(1, 200),
)
def test_batches_keep_within_every_limit(
    prompts: list[list[int]], limits: st.DataObject, together: int, columns: int | None, cells: int
) -> None:
    rows = [row(prompt, limits.draw(st.integers(1, 30))) for prompt in prompts]
    made = batches(rows, together=together, columns=columns, cells=cells)
    assert sorted(map(id, rows)) == sorted(id(member) for batch in made for member in batch)
    for batch in made:
        wide = max(len(member.prompt) for member in batch) + max(member.max_tokens for member in batch)
        assert len(batch) <= together
        assert len(batch) == 1 or (len(batch) * wide <= cells and wide <= (columns or wide))


@given(prompts=st.one_of(prompts, related))
def test_groups_share_what_they_say_and_leave_a_last_token(prompts: list[list[int]]) -> None:
    groups = shared_prefixes(prompts)
    assert sorted(index for members, _ in groups for index in members) == list(range(len(prompts)))
    for members, shared in groups:
        assert len({tuple(prompts[index][:shared]) for index in members}) == 1
        assert all(shared < len(prompts[index]) for index in members)
        assert (shared >= 16) == (len(members) > 1)


@given(tail=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5), min_size=2, max_size=9))
def test_one_beginning_is_found_whole(tail: list[list[int]]) -> None:
    head = [7] * 5 + list(range(30))
    ((members, shared),) = shared_prefixes([head + own for own in tail])
    assert len(members) == len(tail)
    assert shared >= len(head)


@given(text=st.text(alphabet="a \n", min_size=1, max_size=12))
def test_a_trimmed_reply_is_streamed_trimmed(text: str) -> None:
    watched = row([1], len(text), is_watched=True, is_trimmed=True)
    watch = Recorder()
    for character in text:
        watched.accept(ord(character))
        watched.tell(watch)
    assert watch.said(0) == watched.text == text.strip()
