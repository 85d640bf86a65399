"""How do entries share a row? A block holds what one commit brought of one kind, model and schema: one row to write.

    body = keys (32 bytes each) · digests (32 each) · lengths of asked and value (4 each) · asked, value, asked, value …
    digest = SHA-256(lengths, key, kind, model, schema, asked, value)

A row an entry took SQLite twice as long. An entry has a number for as long as the file lives: its block's, and its
place within. So what is removed leaves a hole, of zeros. An entry is believed only if its digest fits, and only whole:
a flipped bit, a torn page, an entry or block swapped for another, all change the digest or the key.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate
from operator import add
from typing import Any, NamedTuple, Protocol, TypeAlias

from flowchain.store.key import KEY_BYTES

MOST_ENTRIES = 63
"""Of a block: what a run used of it is an integer of SQLite's, a bit each."""
MOST_BYTES = 32 * 1024
"""Of a block, but for its last entry: who wants one entry reads all of its block."""
PLACE_BITS = 6
"""The lowest of an entry's number say where in its block it stands."""
PLACE = 2**PLACE_BITS - 1
_DIGEST_BYTES = 32
_LENGTHS = struct.Struct("<2I")  # of an entry's texts
_DIRECTORY_BYTES = KEY_BYTES + _DIGEST_BYTES + _LENGTHS.size  # an entry; the texts come after it
_new = tuple.__new__  # a named tuple's own way to be made takes twice as long
HOLE = bytes(KEY_BYTES)
"""The key, and the digest, of an entry that was removed."""
Head: TypeAlias = tuple[str, str, str]
"""Kind, model and schema: what the entries of a block have in common."""
HEAD_COLUMNS = "seq, kind, model, schema, entries"
"""Of a row, in the order that `read_alone` takes."""
COLUMNS = f"{HEAD_COLUMNS}, body"
"""Of a row, in the order that `opened` takes."""


class Readable(Protocol):
    """A body that stays in its file."""

    def __len__(self) -> int: ...

    def seek(self, offset: int, /) -> object:
        """Go to a byte, or to the end; an error behind it."""
        ...

    def read(self, length: int, /) -> bytes:
        """Give so many bytes from there, or as many as there are."""
        ...


class Written(NamedTuple):
    """Entries of one head on their way into blocks: a column of each part, since a body holds one behind the other."""

    keys: Sequence[bytes]
    digests: Sequence[bytes]
    asked: Sequence[bytes]
    values: Sequence[bytes]

    def at(self, places: Sequence[int]) -> Written:
        """Give those at places."""
        return Written(*([column[place] for place in places] for column in self))

    def between(self, start: int, end: int) -> Written:
        """Give those from one place to another."""
        return _new(Written, [column[start:end] for column in self])


class Entry(NamedTuple):
    """A piece of finished work whose digest fits."""

    number: int
    key: bytes
    kind: str
    model: str
    schema: str
    asked: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """A row whose lengths fit one another."""

    seq: int
    head: Head
    size: int
    """Of places, the holes among them."""
    ends: list[int]
    """Where in the body each text ends, the head before the first."""
    body: bytes

    def key(self, place: int) -> bytes:
        """Give an entry's key; zeros for a hole."""
        return self.body[place * KEY_BYTES : (place + 1) * KEY_BYTES]

    def digest(self, place: int) -> bytes:
        """Give the digest that an entry should have; zeros for a hole."""
        start = self.size * KEY_BYTES + place * _DIGEST_BYTES
        return self.body[start : start + _DIGEST_BYTES]

    def keys(self) -> list[bytes]:
        """Give all keys, zeros for holes."""
        return [self.body[at : at + KEY_BYTES] for at in range(0, self.size * KEY_BYTES, KEY_BYTES)]

    def digests(self) -> list[bytes]:
        """Give all digests, zeros for holes."""
        start = self.size * KEY_BYTES
        return [
            self.body[at : at + _DIGEST_BYTES] for at in range(start, start + self.size * _DIGEST_BYTES, _DIGEST_BYTES)
        ]

    def entry(self, place: int) -> Entry | None:
        """Give an entry; None where its digest does not fit, or where there is none."""
        return self.entries([place])[0]

    def entries(self, places: Iterable[int]) -> list[Entry | None]:
        """Give the entries at places, as `entry` does."""
        body, ends, (kind, model, schema) = self.body, self.ends, self.head
        try:
            begun = _heads.get(self.head) or _begun(self.head)
        except (TypeError, AttributeError, UnicodeError):  # other types than were written
            return [None for _ in places]
        found: list[Entry | None] = []
        for place in places:
            if place >= self.size:
                found.append(None)
                continue
            key = body[place * KEY_BYTES : (place + 1) * KEY_BYTES]
            start, middle, end = ends[2 * place : 2 * place + 3]
            asked, value = body[start:middle], body[middle:end]
            is_sound = _digest(begun, key, asked, value) == self.digest(place)
            number = self.seq << PLACE_BITS | place
            found.append(_new(Entry, (number, key, kind, model, schema, asked, value)) if is_sound else None)
        return found

    def is_hole(self, place: int) -> bool:
        """Was there never an entry, or is it removed?"""
        return place >= self.size or self.key(place) == HOLE == self.digest(place)

    def places(self) -> Iterator[int]:
        """Give the places that are no holes."""
        return (place for place in range(self.size) if not self.is_hole(place))

    def without(self, places: Collection[int]) -> tuple[int, bytes]:
        """Give how many places the block has, and its body, with holes instead of entries."""
        texts = [(b"", b"") if place in places else self._texts(place) for place in range(self.size)]
        rest = Written(
            [HOLE if place in places else key for place, key in enumerate(self.keys())],
            [HOLE if place in places else digest for place, digest in enumerate(self.digests())],
            [one for one, _ in texts],
            [value for _, value in texts],
        )
        return self.size, body_of(rest)

    def _texts(self, place: int) -> tuple[bytes, bytes]:
        start, middle, end = self.ends[2 * place : 2 * place + 3]
        return self.body[start:middle], self.body[middle:end]


def opened(row: Sequence[Any]) -> Block | None:
    """Read a row; None where it is damaged as a whole. Of a file nothing is sure, not even the types."""
    seq, kind, model, schema, count, body = row
    if type(count) is not int or type(body) is not bytes or not 0 <= count <= MOST_ENTRIES:
        return None
    head = count * (KEY_BYTES + _DIGEST_BYTES)
    start = count * _DIRECTORY_BYTES
    if len(body) < start:
        return None
    lengths = struct.unpack_from(f"<{2 * count}I", body, head)
    ends = list(accumulate(lengths, initial=start))
    if ends[-1] != len(body):
        return None
    return Block(seq, (kind, model, schema), count, ends, body)


def read_alone(row: Sequence[Any], place: int, body: Readable) -> Entry | None:
    """Read one entry of a body that is not read as a whole; None where its digest does not fit."""
    seq, kind, model, schema, count = row
    if type(count) is not int or not place < count <= MOST_ENTRIES:
        return None
    start = count * _DIRECTORY_BYTES
    body.seek(0)
    directory = body.read(start)
    if len(directory) < start:
        return None
    lengths = struct.unpack_from(f"<{2 * count}I", directory, count * (KEY_BYTES + _DIGEST_BYTES))
    if start + sum(lengths) != len(body):
        return None
    body.seek(start + sum(lengths[: 2 * place]))
    middle, rest = lengths[2 * place : 2 * place + 2]
    text = body.read(middle + rest)
    asked, value = text[:middle], text[middle:]
    key = directory[place * KEY_BYTES : (place + 1) * KEY_BYTES]
    at = count * KEY_BYTES + place * _DIGEST_BYTES
    if digest_of(key, (kind, model, schema), asked, value) != directory[at : at + _DIGEST_BYTES]:
        return None
    return _new(Entry, (numbered(seq, place), key, kind, model, schema, asked, value))


def keys_in(count: object, body: object) -> list[bytes]:
    """Give the keys of a body, or of its beginning, by place; none where it is damaged."""
    if type(count) is not int or type(body) is not bytes or not 0 <= count * KEY_BYTES <= len(body):
        return []
    return [body[at : at + KEY_BYTES] for at in range(0, count * KEY_BYTES, KEY_BYTES)]


def body_of(entries: Written) -> bytes:
    """Write entries one after the other."""
    keys, digests, asked, values = entries
    if len(keys) == 1:  # as frequent as all others together
        (key,), (digest,), (one,), (content,) = entries
        return b"".join((key, digest, _LENGTHS.pack(len(one), len(content)), one, content))
    texts = [b""] * (2 * len(keys))
    texts[::2], texts[1::2] = asked, values
    return b"".join((*keys, *digests, struct.pack(f"<{len(texts)}I", *map(len, texts)), *texts))


def parts(entries: Written) -> list[Written]:
    """Cut entries into those of one block each."""
    count = len(entries[0])  # an index: by name it takes thrice as long
    if count < 2:
        return [entries] if count else []
    ends = list(accumulate(map(add, map(len, entries.asked), map(len, entries.values))))
    found: list[Written] = []
    start = before = 0
    while start < count:
        # The last entry of a block is the one that reaches the bound.
        end = min(bisect_left(ends, before + MOST_BYTES, start) + 1, start + MOST_ENTRIES, count)
        found.append(entries.between(start, end))
        start, before = end, ends[end - 1]
    return found


def numbered(seq: int, place: int) -> int:
    """Give an entry's number.

    >>> numbered(3, 5), located(numbered(3, 5))
    (197, (3, 5))
    """
    return seq << PLACE_BITS | place


def located(number: int) -> tuple[int, int]:
    """Give the block of an entry, and its place there."""
    return number >> PLACE_BITS, number & PLACE


def bits_of(places: Collection[int]) -> int:
    """Write places of one block as an integer, a bit each.

    >>> bits_of([0, 3]), places_in(9)
    (9, [0, 3])
    """
    return sum(1 << place for place in set(places))


def places_in(bits: int) -> list[int]:
    """Read what `bits_of` wrote."""
    return [place for place in range(MOST_ENTRIES) if bits >> place & 1]


def sealed(head: Head, keys: Sequence[bytes], asked: Sequence[bytes], values: Sequence[bytes]) -> Written:
    """Give entries with the digests that they must have."""
    begun = _heads.get(head) or _begun(head)
    digests = [_digest(begun, key, one, value) for key, one, value in zip(keys, asked, values, strict=True)]
    return _new(Written, (keys, digests, asked, values))


def digest_of(key: bytes, head: Head, asked: bytes, value: bytes) -> bytes:
    """Give the digest that an entry must have."""
    try:
        return _digest(_heads.get(head) or _begun(head), key, asked, value)
    except (TypeError, AttributeError, UnicodeError):
        return b""  # a damaged row may hold other types than were written; this fits no digest


def _digest(begun: tuple[bytes, bytes], key: bytes, asked: bytes, value: bytes) -> bytes:
    return sha256(b"".join((begun[0], b"%d " % len(asked), key, begun[1], asked, value))).digest()


_heads: dict[Head, tuple[bytes, bytes]] = {}
_MOST_HEADS = 256


def _begun(head: Head) -> tuple[bytes, bytes]:
    """Give what is hashed for a head: its length, and its text."""
    if len(_heads) >= _MOST_HEADS:
        _heads.clear()
    kind, model, schema = head
    text = f"{kind}\0{model}\0{schema}".encode()
    begun = _heads[head] = b"%d " % len(text), text
    return begun
