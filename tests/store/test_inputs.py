"""Where two runs' inputs first differ: found from what was kept, against looking at the inputs themselves."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowchain.store.inputs import described, first_difference

VALUE = st.one_of(st.text(max_size=3), st.integers(0, 3), st.none(), st.lists(st.integers(0, 2), max_size=2))
ROW = st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUE, min_size=1).map(lambda row: dict(sorted(row.items())))
ROWS = st.lists(ROW, max_size=6)
DOCUMENTS = st.lists(st.text(max_size=2), max_size=5)


def told(old: Any, new: Any) -> str | None:
    """Compare as a resumed run does: of the old inputs only what was kept is there."""
    found = first_difference(
        json.loads(json.dumps(described({"given": old}))), described({"given": new}), {"given": new}
    )
    return None if found is None else found.field


@given(ROWS, ROWS)
def test_the_first_row_and_the_first_input_of_it_that_differ_are_named(old: Any, new: Any) -> None:
    wanted = None
    for index in range(max(len(old), len(new))):
        if index >= min(len(old), len(new)):
            wanted = f"given[{index}]"
            break
        keys = [key for key in "abc" if old[index].get(key, ...) != new[index].get(key, ...)]
        if keys:
            wanted = f"given[{index}][{keys[0]!r}]"
            break
    assert told(old, new) == wanted


@given(DOCUMENTS, DOCUMENTS)
def test_the_first_document_that_differs_is_named(old: list[str], new: list[str]) -> None:
    wanted = next(
        (index for index in range(max(len(old), len(new))) if old[index : index + 1] != new[index : index + 1]), None
    )
    assert told(old, new) == (None if wanted is None else f"given[{wanted}]")


def test_the_order_of_a_rows_inputs_counts_and_has_no_place() -> None:
    assert told([{"a": 1, "b": 2}], [{"b": 2, "a": 1}]) == "given"


def test_behind_the_last_mark_the_input_itself_is_named(monkeypatch: Any) -> None:
    monkeypatch.setattr("flowchain.store.inputs._MOST_MARKED", 2)
    assert told(["a", "b", "c"], ["a", "b", "d"]) == "given"
    assert told(["a", "b", "c"], ["a", "c", "c"]) == "given[1]"


def test_what_was_a_list_and_is_none_differs_as_a_whole() -> None:
    assert told(["a"], "b") == told("a", ["b"]) == told("a", "b") == "given"
    assert told([{"a": 1}], ["a"]) == "given[0]"
    assert told([{"a": 1}, 5], [{"a": 1}, 6]) == told([5, {"a": 1}], [5, {"a": 2}]) == "given[1]"


def test_a_run_without_marks_names_the_input() -> None:
    kept = described({"rows": ["a"]})
    del kept["rows"]["marks"]
    found = first_difference(kept, described({"rows": ["b"]}), {"rows": ["b"]})
    assert found == ("rows", "['a']", "['b']")
