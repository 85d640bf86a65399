"""What every node is: frozen, compared by identity, and no value that could be used."""

from __future__ import annotations

import copy
import math
import operator
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.nodes.names import LONGEST_NAME

TEXT = fc.Input("text", str)
TEXTS = fc.Input("texts", list[str])
SUMMARY = fc.Summarize(text=TEXT)
ANSWER = fc.Answer(question=TEXT, context=TEXT)


@pytest.mark.parametrize("node", [TEXT, TEXTS, SUMMARY, ANSWER, fc.Each(TEXTS, lambda text: fc.Summarize(text=text))])
@pytest.mark.parametrize(
    ("misuse", "hint"),
    [
        (bool, "Choose"),
        (operator.not_, "Choose"),
        (lambda ref: ref and 1, "Choose"),
        (str, "PromptTemplate"),
        (lambda ref: f"{ref}", "PromptTemplate"),
        (lambda ref: f"{ref:>10}", "PromptTemplate"),
        (lambda ref: "%s" % ref, "PromptTemplate"),  # noqa: UP031  (the operator is what is tried)
        ("{}".format, "PromptTemplate"),
        (list, "Each"),
        (lambda ref: [*ref], "Each"),
        (lambda ref: [item for item in ref], "Each"),  # noqa: C416  (iterating is what is tried)
        (len, "@fc.node"),
        (lambda ref: ref[0], "@fc.node"),
        (lambda ref: ref["key"], "@fc.node"),
        (lambda ref: ref[1:], "@fc.node"),
        (lambda ref: "a" in ref, "@fc.node"),
        (lambda ref: ref + "!", "Join"),
        (lambda ref: "!" + ref, "Join"),
        (lambda ref: ref * 2, "@fc.node"),
        (lambda ref: ref < "a", "@fc.node"),
        (lambda ref: ref >= 3, "@fc.node"),
    ],
)
def test_a_reference_is_no_value(node: Any, misuse: Callable[[Any], Any], hint: str) -> None:
    with pytest.raises(fc.ChainError, match="does not exist yet") as caught:
        misuse(node)
    assert hint in str(caught.value)
    assert caught.value.node
    assert caught.value.fix in str(caught.value)


def test_a_reference_has_no_attributes_of_its_value() -> None:
    with pytest.raises(AttributeError, match=r"reference to a AnswerSpan.*'score'.*\{value\.score\}"):
        ANSWER.score  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match=r"reference to a str.*'upper'.*@fc\.node"):
        TEXT.upper  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(TEXT, "upper")
    assert not hasattr(TEXT, "__array__")


def test_misuse_inside_a_body_is_told_where_it_stands() -> None:
    with pytest.raises(fc.ChainError, match="'item' is a reference to a str"):
        fc.Each(TEXTS, lambda text: fc.Summarize(text=f"Read: {text}"))


def test_nodes_are_frozen() -> None:
    node = fc.Summarize(text="a")
    with pytest.raises(fc.ChainError, match=r"node\.with_\(max_tokens=…\)"):
        node.max_tokens = 3  # type: ignore[misc]
    with pytest.raises(fc.ChainError, match="frozen"):
        del node.text
    with pytest.raises(fc.ChainError, match="frozen"):
        node.other = 3  # type: ignore[attr-defined]
    assert node.max_tokens == 200


@pytest.mark.parametrize(
    "node",
    [
        TEXT,
        SUMMARY,
        fc.PromptTemplate("{a}", values={"a": TEXT}),
        fc.Join(texts=[TEXT, "b"]),
        fc.Split(text=TEXT, separator=","),
        fc.Each(TEXTS, lambda text: fc.Summarize(text=text)),
        fc.Repeat(TEXT, lambda text: fc.Summarize(text=text), max_steps=3),
        fc.Choose(TEXT, {"a": "x"}, default="y"),
        fc.Fallback(SUMMARY, "none"),
        fc.Generate(prompt=TEXT, stop=["a", "b"]),
        fc.FewShot(examples=["a"], query=TEXT),
    ],
)
def test_with_changes_what_it_names_and_nothing_else(node: fc.Node[Any]) -> None:
    changed = node.with_(name="other")
    assert changed is not node
    assert changed.name == "other"
    assert changed.value_type == node.value_type
    assert changed.edges == node.edges
    assert {field: changed.__dict__[field] for field in changed.__dict__ if field != "name"} == {
        field: node.__dict__[field] for field in node.__dict__ if field != "name"
    }


def test_with_judges_as_the_first_declaration_did() -> None:
    with pytest.raises(fc.ChainError, match="Did you mean 'max_tokens'"):
        SUMMARY.with_(max_token=3)
    with pytest.raises(fc.ChainError, match=r"got: 0"):
        SUMMARY.with_(max_tokens=0)
    with pytest.raises(fc.ChainError, match=r"list\[str\]"):
        SUMMARY.with_(text=TEXTS)


def test_nodes_compare_and_hash_by_identity() -> None:
    one, two = fc.Summarize(text="a"), fc.Summarize(text="a")
    assert one != two
    assert one == one
    assert len({one, two, one}) == 2
    assert copy.copy(one) is one
    assert copy.deepcopy([one])[0] is one


def test_a_shared_node_stays_one_and_equal_ones_stay_two() -> None:
    shared = fc.Split(text=TEXT, separator=",", name="shared")
    assert len(fc.Chain(fc.Join(texts=fc.Each(shared, lambda part: fc.Join(texts=[part, part])))).graph) == 4
    one, two = fc.Join(texts=[TEXT]), fc.Join(texts=[TEXT])
    assert len(fc.Chain(fc.Join(texts=[one, two, one])).graph) == 4


def test_completion_shows_what_a_node_is_for() -> None:
    shown = {name for name in dir(SUMMARY) if not name.startswith("_")}
    assert {"text", "max_tokens", "name", "with_", "value_type"} <= shown
    assert shown.isdisjoint({"model_dump", "model_fields", "dict", "json", "copy"})


def test_a_repr_says_what_was_given_and_how_much_more_there_is() -> None:
    assert repr(fc.Each(TEXTS, lambda text: fc.Summarize(text=text))) == "Each(items=<texts>, body=<summarize>)"
    assert repr(fc.Summarize(text="a", name="b")) == "Summarize(name='b', text='a')"
    many = fc.Join(texts=[str(number) for number in range(10_000)])
    assert repr(many) == "Join(texts=['0', '1', '2', '3', … 9,996 more])"
    wide = fc.Choose(TEXT, {str(number): "x" * 10_000 for number in range(10_000)})
    assert "… 9,996 more" in repr(wide)
    assert len(repr(wide)) < 2_000


def test_a_repr_names_nodes_instead_of_nesting_them() -> None:
    node: Any = TEXT
    for _ in range(60):
        node = fc.Join(texts=[node, node])
    assert len(repr(node)) < 200


def test_all_that_is_wrong_with_a_node_is_told_at_once() -> None:
    with pytest.raises(fc.ChainError) as caught:
        fc.Summarize(text=TEXTS, max_tokens=0, fokus="x", name="note")  # type: ignore[call-arg, arg-type]
    problems = {problem.field: problem for problem in caught.value.problems}
    assert problems.keys() == {"text", "max_tokens", "fokus"}
    assert all(problem.node == "note" for problem in problems.values())
    assert all(problem.got and problem.wanted and problem.fix for problem in problems.values())
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.problems == caught.value.problems
    assert str(again) == str(caught.value)


def _loud(text: str) -> str:
    return text.upper()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: fc.Summarize(), r"summarize\.text.*got: nothing"),
        (lambda: fc.Summarize(txt="a"), r"Did you mean 'text'"),
        (lambda: fc.Summarize(text=TEXTS), r"list\[str\] \(texts\).*wanted: str.*Join\(texts=texts\).*Each\(texts"),
        (lambda: fc.Summarize(text=ANSWER), r"AnswerSpan.*\{value\.text\}"),
        (lambda: fc.Summarize(text=fc.Input("maybe", str | None)), r"may be None.*default=.*@fc\.node"),
        (lambda: fc.Answer(question=TEXT), r"answer\.context.*got: nothing.*\(text would fit\)"),
        (lambda: fc.Answer(context=SUMMARY), r"answer\.question.*\(summarize, text would fit\)"),
        (lambda: fc.Answer(context=TEXTS), r"answer\.question.*a literal or a node\."),
        (lambda: fc.Summarize(text=fc.Input("n", int)), r"got: int.*nothing is coerced"),
        (lambda: fc.Join(texts=TEXT), r"one str, not a list of them; use Split"),
        (lambda: fc.Join(texts=[TEXT, fc.Input("n", int)]), r"join\.texts\[1\].*int"),
        (lambda: fc.Summarize(text=b"a"), r"got: b'a'.*wanted: str"),
        (lambda: fc.Summarize(text=None), r"got: None"),
        (lambda: fc.Summarize(text=math.nan), r"got: nan"),
        (lambda: fc.Summarize(text=["a"]), r"summarize\.text .*Join\(texts=\[…\]\)"),
        (lambda: fc.Summarize(text=fc.node(_loud)), r"summarize\.text.*my_node\(text=…\)"),
        (lambda: fc.Summarize(text=fc.Chain(TEXT)), r"summarize\.text.*chain\(text=…\)"),
        (lambda: fc.Join(texts=["a", fc.Chain(TEXT)]), r"join\.texts\[1\].*chain\(text=…\)"),
        (lambda: fc.Join(texts="a"), r"join\.texts .*texts=\[…\], a list"),
        (lambda: fc.Classify(text=TEXT, labels="a, b"), r"classify\.labels .*labels=\[…\], a list"),
        (
            lambda: fc.FewShot(query=TEXT, examples=["a", ("b", "c")]),
            r"few_shot\.examples\[1\].*\('b', 'c'\).*One text",
        ),
        (lambda: fc.PromptTemplate("{a}{b}", values={"a": 1, "b": None}), r"prompt\.values\.b .*got: None"),
        (
            lambda: fc.Chat(messages=[{"role": "user", "content": TEXT}]),
            r"messages\[0\]\.content.*by itself or in a list",
        ),
        (lambda: fc.Chat(messages=[{"role": "me", "content": "a"}]), r"chat\.messages\[0\]\.role.*'me'.*'user'"),
    ],
)
def test_a_wrong_wire_is_refused_on_its_line(build: Any, message: str) -> None:
    with pytest.raises(fc.ChainError, match=f"(?s){message}"):
        build()


def test_any_is_let_through_and_checked_on_the_value() -> None:
    chain = fc.Chain(fc.Join(texts=[fc.Input("loose", Any)]))
    assert chain.run(loose="text") == "text"


@given(st.text(max_size=LONGEST_NAME + 20))
def test_a_name_is_letters_digits_and_a_few_signs(name: str) -> None:
    """The rule, said another way: every character is a word character, a dash or a space, and there is a letter."""
    is_good = 0 < len(name) <= LONGEST_NAME and bool(name.strip())
    is_good = is_good and all(sign in "-_ " or sign.isalnum() for sign in name)
    for build in (lambda: fc.Summarize(text="a", name=name), lambda: fc.Input(name, str)):
        if is_good and name not in {"self"}:
            assert build().name == name
        elif not is_good:
            with pytest.raises(fc.ChainError):
                build()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "1 to 128"),
        (" ", "1 to 128"),
        ("a" * 129, "1 to 128"),
        ("a.b", r"U\+002E"),
        ("a/b", r"U\+002F"),
        ("a:b", r"U\+003A"),
        ("a\0", r"U\+0000"),
        ("a\n", r"U\+000A"),
        ("a\u202eb", r"U\+202E"),
        ("a\u2066b", r"U\+2066"),
        ("a\ud800", r"U\+D800"),
    ],
)
def test_a_bad_name_is_told_with_its_character(name: str, told: str) -> None:
    with pytest.raises(fc.ChainError, match=told):
        fc.Summarize(text="a", name=name)
    with pytest.raises(fc.ChainError, match=told):
        fc.Input(name, str)


FIRST_USE = """
import sys, threading
sys.setswitchinterval(1e-6)
import flowchain as fc
found, together = [], threading.Barrier(8)

def first_use():
    together.wait()
    try:
        text = fc.Input("text", str)
        fc.Generate(prompt=fc.PromptTemplate("{a}", values={"a": text}), max_tokens=9)
        fc.Summarize(text=text, max_tokens=0)
    except fc.ChainError as error:
        found.append("max_tokens" in str(error))

threads = [threading.Thread(target=first_use) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(found == [True] * 8)
"""


def test_threads_that_meet_at_a_first_use_get_the_same_rules() -> None:
    """Classes are built when they are first used."""
    done = subprocess.run([sys.executable, "-c", FIRST_USE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
