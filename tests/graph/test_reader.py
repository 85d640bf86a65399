"""Reading chain files: hostile ones end in one kind of error with its place, and touch nothing but themselves."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.graph.strict_json import place_of
from tests.graph.hostile_files import GOOD, HOSTILE, LARGE, of, qa, text_input

MOST_MEMORY = 64 * 2**20


def load(document: Any) -> fc.Chain[Any]:
    return fc.Chain.from_json(document)


@pytest.mark.parametrize("name", ["nodes", "types", "allow"])
@pytest.mark.parametrize("given_there", [str, 3, "models"])
def test_what_is_passed_beside_a_file_is_a_list(name: str, given_there: Any) -> None:
    arguments: dict[str, Any] = {name: given_there}
    with pytest.raises(fc.ChainError, match=rf"from_json\.{name}.*Write {name}=\[…\]".replace(".*", "(?s:.*)")):
        fc.Chain.from_json("{}", **arguments)


def test_there_are_a_hundred_of_them() -> None:
    assert len(HOSTILE) >= 100


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused_with_its_place(case: str) -> None:
    document, message = HOSTILE[case]
    with pytest.raises(fc.ChainFileError, match=f"(?s){message}") as caught:
        load(document)
    assert len(str(caught.value)) < 2_000
    assert str(caught.value).isprintable() or "\n" in str(caught.value)


@pytest.mark.parametrize("case", LARGE)
def test_parts_that_multiply_are_refused_in_little_memory(case: str) -> None:
    document, message = LARGE[case]()
    assert len(document) <= 2**20
    tracemalloc.start()
    try:
        with pytest.raises(fc.ChainFileError, match=f"(?s){message}") as caught:
            load(document)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MOST_MEMORY
    assert len(str(caught.value)) < 40_000


PIECES = (
    *('"', "{", "}", "[", "]", ",", ":", "0", "-1", "1e999", "null", "true", '{"ref":0}', '{"ref":2}', '{"ref":9}'),
    *('"str"', "\\", "\ud800", "\0", '{"pairs":[]}', '{"tuple":[]}', "[[[[", "9" * 400, '"__class__"', "\u202e"),
)


def mangled(draw: random.Random, text: str) -> str | bytes:
    """A file with one to three changes: a token for another, a stretch left out, doubled or moved; or its bytes."""
    for _ in range(draw.randint(1, 3)):
        at, end = sorted((draw.randrange(len(text) + 1), draw.randrange(len(text) + 1)))
        way = draw.randrange(5)
        if way < 3:
            text = text[:at] + draw.choice(PIECES) + text[at + draw.choice((0, 1, 1, 8)) :]
        elif way == 3:
            text = text[:at] + text[end:] if draw.random() < 0.5 else text[:end] + text[at:]
        else:
            text = text[:at] + text[end:] + text[at:end]
    if draw.random() < 0.1:
        data = bytearray(text.encode("utf-8", "surrogatepass"))
        for _ in range(3):
            data[draw.randrange(len(data))] = draw.randrange(256)
        return bytes(data)
    return text


def structures(draw: random.Random) -> str:
    """A file that is JSON, with a value somewhere in it replaced by another part of the file."""
    chain = json.loads(GOOD)
    places: list[tuple[Any, Any]] = []
    stack: list[Any] = [chain]
    while stack:
        part = stack.pop()
        keys = list(part) if isinstance(part, dict) else range(len(part))
        for key in keys:
            places.append((part, key))
            if isinstance(part[key], (dict, list)):
                stack.append(part[key])
    (part, key), (other, place) = draw.choice(places), draw.choice(places)
    odd: list[Any] = [None, True, -1, 1.5, "", [], {}, {"ref": 3}, "\ud800", "x" * 300]
    part[key] = json.loads(json.dumps(other[place])) if draw.random() < 0.5 else draw.choice(odd)
    return json.dumps(chain)


def refused_of(count: int, seed: int) -> int:
    """Of so many mangled files, how many are refused; what is not has to come back as it was read."""
    draw = random.Random(seed)
    refused = 0
    for _ in range(count):
        document = structures(draw) if draw.random() < 0.3 else mangled(draw, GOOD)
        try:
            written = load(document).to_json()
        except fc.ChainFileError:
            refused += 1
        else:
            assert load(written).to_json() == written
    return refused


def test_only_one_kind_of_error_comes_of_a_thousand_mangled_files() -> None:
    assert refused_of(1_000, seed=7) > 850


@pytest.mark.slow
def test_only_one_kind_of_error_comes_of_twenty_thousand_mangled_files() -> None:
    assert refused_of(20_000, seed=11) > 17_000


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
        max_leaves=12,
    ),
    st.sampled_from(["kind", "fields", "entry", "nodes", "file", "output", "format", "name", "text", "item", "body"]),
)
def test_any_value_in_any_place_is_read_or_refused(value: Any, place: str) -> None:
    chain = json.loads(GOOD)
    if place in ("kind", "fields"):
        chain["nodes"][3][place] = value
    elif place in ("text", "item", "body"):
        chain["nodes"][4 if place != "text" else 3]["fields"][place] = value
    elif place == "entry":
        chain["nodes"][3] = value
    elif place == "file":
        chain = value
    else:
        chain[place] = value
    try:
        load(json.dumps(chain))
    except fc.ChainFileError:
        pass


@pytest.mark.parametrize("document", [None, 3, b"".join, {"format": 1}, ["x"]])
def test_what_is_no_file_is_refused(document: Any) -> None:
    with pytest.raises(fc.ChainFileError, match="a text or bytes"):
        load(document)


def test_a_path_is_no_file_but_says_how_to_read_it(tmp_path: Any) -> None:
    with pytest.raises(fc.ChainFileError, match=r"path\.read_bytes\(\)"):
        load(tmp_path / "chain.json")


TOUCHES = """
import sys
import flowchain as fc
text = {text!r}
fc.Chain.from_json(text).run(a="x")
seen = []
sys.addaudithook(lambda event, given: seen.append((event, given)) if event in
    ("open", "import", "exec", "os.listdir", "subprocess.Popen", "socket.connect", "socket.getaddrinfo") else None)
for template in ("../../etc/passwd", "file:///etc/passwd", "https://example.org/x", "{{% include '/etc/passwd' %}}"):
    chain = fc.Chain.from_json(text.replace("TEMPLATE", template))
    assert chain.run(a="x") == template, chain.run(a="x")
assert not seen, seen
"""


def test_paths_and_addresses_in_a_file_are_text() -> None:
    """Nothing is opened, imported, executed or asked for while a file is read, whatever stands in it."""
    text = of(text_input(), ("join", {"texts": ["TEMPLATE"], "separator": ""}), ("choose", {"on": {"ref": 0}, "cases": {
        "pairs": [["x", {"ref": 1}]]}, "default": "", "has_default": True}))  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", TOUCHES.format(text=text)], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr[-2_000:]


def test_a_file_beyond_the_bound_is_not_parsed_unless_code_says_so() -> None:
    text = fc.Input("a", str)
    node: Any = text
    for _ in range(7_000):
        node = fc.Join(texts=[node], separator="-" * 100)
    written = fc.Chain(node).to_json()
    assert len(written) > 2**20
    with pytest.raises(fc.ChainFileError, match=r"at most 1,048,576 are read.*most_bytes=…") as caught:
        load(written)
    assert caught.value.fix is not None
    assert fc.Chain.from_json(written, most_bytes=len(written)).to_json() == written
    with pytest.raises(fc.ChainFileError, match="at most 1,048,576 are read"):
        load("[" * (2**20 + 1))


@pytest.mark.parametrize("most_bytes", [0, -1, 1.5, True, None, "1"])
def test_a_bound_is_a_number_of_bytes(most_bytes: Any) -> None:
    with pytest.raises(fc.ChainError, match=r"from_json\.most_bytes"):
        fc.Chain.from_json(GOOD, most_bytes=most_bytes)


def test_the_bound_counts_bytes_not_characters() -> None:
    written = fc.Chain(fc.Join(texts=["中" * 100])).to_json()
    size = len(written.encode())
    assert fc.Chain.from_json(written, most_bytes=size)
    with pytest.raises(fc.ChainFileError, match=f"{size:,} bytes"):
        fc.Chain.from_json(written, most_bytes=size - 1)


def test_marks_and_line_ends_of_other_systems_are_fine() -> None:
    text = "\ufeff" + json.dumps(json.loads(GOOD), indent=1).replace("\n", "\r\n")
    assert load(text).to_json() == GOOD
    assert load(text.encode()).name == "answer_1"


def test_a_file_is_read_into_one_graph() -> None:
    """The graph that was looked at is the one that runs: it is not built a second time."""
    chain = load(GOOD)
    assert list(chain.nodes) == list(qa().nodes)
    span = chain.run(documents=["Ada Lovelace wrote it."], question="Who wrote it?")
    assert span.text == "Ada Lovelace"


def test_what_is_allowed_and_named_in_code_is_named_rightly() -> None:
    @fc.node
    def shout(text: str) -> str:
        return text

    for wrong, message in (
        ({"nodes": [len]}, "Decorate the function"),
        ({"nodes": [shout, fc.node(name="shout")(len)]}, "two called shout"),
        ({"allow": ["everything"]}, "from_json.allow.*'models'"),
    ):
        with pytest.raises(fc.ChainError, match=message):
            fc.Chain.from_json(GOOD, **wrong)  # type: ignore[arg-type]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc_", min_size=1), inner, max_size=4),
    max_leaves=20,
)


def paths(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every part of a value, with its path as errors write it."""
    yield path, value
    if isinstance(value, list):
        for number, part in enumerate(value):
            yield from paths(part, f"{path}[{number}]")
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from paths(part, f"{path}.{key}" if path else key)


@given(JSON, st.sampled_from([None, 0, 2]), st.sampled_from(["", "\n\n "]))
def test_a_path_is_found_on_its_line(value: Any, indent: int | None, before: str) -> None:
    document = before + json.dumps(value, indent=indent)
    for path, part in paths(value):
        line, column = (int(word.split()[1]) for word in place_of(document, path).split(", "))
        rest = document.split("\n", line - 1)[line - 1][column - 1 :]
        assert json.JSONDecoder().raw_decode(rest)[0] == part


def test_a_written_file_is_refused_with_path_and_line() -> None:
    document = json.dumps(json.loads(GOOD), indent=1).replace('"max_tokens": 200', '"max_tokens": 0')
    line = [number for number, text in enumerate(document.split("\n"), 1) if text == "  {"][3]
    for text in (document, "\ufeff" + document.replace("\n", "\r\n"), document.encode()):
        with pytest.raises(fc.ChainFileError, match=r"max_tokens.*got: 0") as caught:
            load(text)
        assert caught.value.position == f"nodes[3], line {line}, column 3"
        assert str(caught.value).count("nodes[3]") == 1
    with pytest.raises(fc.ChainFileError) as caught:
        load(GOOD.replace('"max_tokens":200', '"max_tokens":0'))
    assert caught.value.position == "nodes[3]"


def test_a_place_within_tagged_values_is_followed() -> None:
    chain = ("prompt", {"template": "{a}", "values": {"pairs": [["a", "one"], ["a", "two"]]}})
    document = json.dumps(json.loads(of(chain)), indent=1)
    line = 1 + document[: document.index('"two"')].count("\n") - 2
    with pytest.raises(fc.ChainFileError, match=rf"stands twice .*values\[1\], line {line}, column"):
        load(document)
