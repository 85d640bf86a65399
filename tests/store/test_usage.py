"""What a run has used, summed up: against a list of it, in a store where entries were removed and some never were."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from flowchain.protocols import Asked
from flowchain.records import GenerateRequest, TextReply
from flowchain.store import entries, usage
from flowchain.store.block import COLUMNS, numbered, opened
from flowchain.store.store import Store

PLACES = st.sets(st.integers(0, 5))


@given(st.lists(st.tuples(PLACES, PLACES, PLACES), max_size=4))
def test_a_run_has_used_what_it_noted_of_what_is_there(blocks: list[tuple[set[int], set[int], set[int]]]) -> None:
    """Of each block: which places a run has noted, used without a note, and which are removed behind its back."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "replies.flow"
        with Store(path) as store:
            for number in range(len(blocks)):
                asked = [Asked(GenerateRequest(prompt=f"{number} {place}", max_tokens=1), "m") for place in range(5)]
                store.record([(one, TextReply(text="t", finish_reason="eos")) for one in asked])
        with closing(sqlite3.connect(path)) as connection:
            seqs = [seq for (seq,) in connection.execute("SELECT seq FROM block ORDER BY seq")]
            assert len(seqs) == len(blocks)
            both = list(zip(seqs, blocks, strict=True))
            entries.remove(
                connection, [numbered(seq, place) for seq, (*_, gone) in both for place in gone if place < 5]
            )
            noted = {numbered(seq, place) for seq, (used, _, _) in both for place in used} | {numbered(99, 0)}
            unnoted = {numbered(seq, place) for seq, (_, used, _) in both for place in used} | {numbered(98, 0)}
            statement, parameters = usage.note(7, usage.bits_by_block(noted))
            connection.executemany(statement, parameters)
            there = []
            for row in connection.execute(f"SELECT {COLUMNS} FROM block").fetchall():
                block = opened(row)
                assert block is not None
                places = [place for place in block.places() if numbered(row[0], place) in noted | unnoted]
                there += [(block.key(place), block.digest(place)) for place in places]
            found = usage.summary(connection, 7, usage.bits_by_block(unnoted))
        wanted = b"".join(key + digest for key, digest in sorted(there))
        assert found == (len(there), sha256(wanted).digest())
