"""A reply of a type is read whole or refused: no key and no number is passed over."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from flowchain.programs.typed import NotValid, read


class Anything(BaseModel):
    value: Any
    number: float = 0.0


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(json_values)
def test_what_json_can_say_is_read_as_python_reads_it(value: Any) -> None:
    reply = json.dumps({"value": value})
    assert read(Anything, reply).value == json.loads(reply)["value"]


@given(json_values, st.text())
def test_a_key_that_stands_twice_at_any_depth_is_refused(value: Any, key: str) -> None:
    name, inner = json.dumps(key), json.dumps(value)
    reply = f'{{"value": [{{"deep": {{{name}: {inner}, {name}: {inner}}}}}]}}'
    with pytest.raises(NotValid, match="stands twice"):
        read(Anything, reply)


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("reply", ['{{"value": null, "number": {}}}', '{{"value": [{}]}}'])
def test_a_number_beyond_all_numbers_is_refused(number: str, reply: str) -> None:
    with pytest.raises(NotValid):
        read(Anything, reply.format(number))


def test_a_refusal_names_the_field_and_is_short() -> None:
    with pytest.raises(NotValid, match=r"^number: Input should be a valid number"):
        read(Anything, '{"value": 1, "number": "one"}')
    with pytest.raises(NotValid) as caught:
        read(Anything, '{"value": 1, "number": {"a": ' + "[" * 5_000)
    assert len(str(caught.value)) <= 500
