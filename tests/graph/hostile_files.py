"""A hundred chain files that nobody should be harmed by, each with what has to be said of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import flowchain as fc

File = dict[str, Any]


def qa() -> fc.Chain[fc.AnswerSpan]:
    documents, question = fc.Input("documents", list[str]), fc.Input("question", str)
    notes = fc.Each(documents, lambda text: fc.Summarize(text=text, focus=question, max_tokens=200))
    return fc.Chain(fc.Answer(question=question, context=notes))


GOOD = qa().to_json()
"""The nodes: 0 question, 1 documents, 2 item, 3 summarize, 4 each, 5 answer."""


def edited(change: Callable[[File], object]) -> str:
    chain = json.loads(GOOD)
    change(chain)
    return json.dumps(chain)


def with_field(number: int, **fields: Any) -> str:
    return edited(lambda chain: chain["nodes"][number]["fields"].update(fields))


def without_field(number: int, field: str) -> str:
    return edited(lambda chain: chain["nodes"][number]["fields"].pop(field))


def with_entry(entry: Any) -> str:
    return edited(lambda chain: chain["nodes"].insert(0, entry))


def of(*nodes: tuple[str, File]) -> str:
    entries = [{"kind": kind, "fields": fields} for kind, fields in nodes]
    return json.dumps({"format": 1, "name": "x", "output": len(nodes) - 1, "nodes": entries})


def text_input(**fields: Any) -> tuple[str, File]:
    return "input", {"name": "a", "type": {"type": "str"}, **fields}


STOP, WAIT = ["stop_after_attempt", 2], ["wait_fixed", 1]


def retrying(**rules: Any) -> str:
    given = {"stop": STOP, "wait": WAIT, "retry": ["retry_if_exception", "is_transient"], **rules}
    return with_field(3, retry={"retry": given})


def nested(depth: int) -> Any:
    rule: Any = STOP
    for _ in range(depth):
        rule = ["|", rule, STOP]
    return rule


def typed(name: Any) -> str:
    return of(("input", {"name": "a", "type": {"type": name}}))


REF: Any = {"ref": 0}
LABELS = [f"'abcd{number}'" for number in range(150)]

HOSTILE: dict[str, tuple[str | bytes, str]] = {
    # ── not JSON, or JSON that no parser should take ──
    "nothing": ("", "not JSON"),
    "only blanks": (" \n\t ", "not JSON"),
    "an open brace": ("{", "not JSON.*line 1, column 2"),
    "an open string": ('{"format', "not JSON"),
    "a comment": ('{"format":1, // one\n', "not JSON.*line 1"),
    "single quotes": ("{'format': 1}", "not JSON.*line 1, column 2"),
    "a trailing comma": (GOOD[:-1] + ",}", "not JSON"),
    "trailing garbage": (GOOD + "x", "not JSON.*line 1, column"),
    "a second document": (GOOD + "\n" + GOOD, "not JSON.*line 2, column 1"),
    "a NUL behind it": (GOOD + "\0", "not JSON"),
    "a control in a string": (GOOD.replace("question", "ques\x01tion"), "not JSON: Invalid control"),
    "an unknown escape": (GOOD.replace("question", "\\question"), "not JSON"),
    "YAML": ("format: 1\nnodes:\n- kind: input\n", "not JSON.*line 1, column 1"),
    "a pickle": (b"\x80\x04\x95\x1c\x00", "not UTF-8.*byte 0"),
    "UTF-16 with its mark": (GOOD.encode("utf-16"), "not UTF-8.*byte 0"),
    "UTF-16 without": (GOOD.encode("utf-16-le"), "not JSON"),
    "UTF-32": (GOOD.encode("utf-32"), "not UTF-8"),
    "Latin-1": (GOOD.replace("question", "fräge").encode("latin-1"), "not UTF-8.*byte"),
    "half a character": (GOOD.encode() + b"\xe4\xb8", "not UTF-8"),
    "two marks": ("\ufeff\ufeff" + GOOD, "not JSON"),
    "deep lists": ("[" * 100_000, "more than 64 deep.*line 1, column 65"),
    "deep objects": ('{"a":' * 5_000 + "1" + "}" * 5_000, "more than 64 deep"),
    "deep on many lines": ("[\n" * 5_000, "more than 64 deep.*line 65, column 1"),
    "brackets in the shadow of a string": ('"' + '\\"' * 100_000, "not JSON"),
    "65 levels in a default": (of(text_input(default=json.loads("[" * 65 + "]" * 65))), "more than 64 deep"),
    "a key twice": (GOOD.replace('"format":1', '"format":1,\n"format":1'), "'format' stands twice.*line 1.*line 2"),
    "a key twice by escapes": (
        GOOD.replace('"format":1', '"format":1,"\\u0066ormat":1'),
        "'format' stands twice.*line",
    ),
    "a field twice": (GOOD.replace('"max_tokens":200', '"max_tokens":200,"max_tokens":9'), "'max_tokens' stands twice"),
    "NaN": (GOOD.replace("200", "NaN"), "NaN.*line 1, column"),
    "Infinity": (GOOD.replace("200", "Infinity"), "Infinity.*line 1, column"),
    "-Infinity": (GOOD.replace("200", "-Infinity"), "Infinity.*line 1, column"),
    "1e400": (GOOD.replace("200", "1e400"), "too large.*line 1, column"),
    "-1e400": (GOOD.replace("200", "-1e400"), "too large.*line 1, column"),
    "a float of 5,000 digits": (GOOD.replace("200", "0." + "1" * 5_000), "too large or too long.*line 1, column"),
    "an int of 5,000 digits": (GOOD.replace("200", "9" * 5_000), "digits.*line 1, column"),
    "a number with a leading zero": (GOOD.replace("200", "0200"), "not JSON"),
    "hexadecimal": (GOOD.replace("200", "0xC8"), "not JSON"),
    # ── not a chain ──
    "null": ("null", "an object, not None"),
    "a number": ("3", "an object, not 3"),
    "a list": ("[]", "an object, not"),
    "a text": ('"chain"', "an object, not"),
    "no format": (edited(lambda c: c.pop("format")), "format 'none'; this release reads 1"),
    "an older format": (edited(lambda c: c.update(format=0)), "format 0; this release reads 1.*to_json"),
    "a newer format": (edited(lambda c: c.update(format=2)), "format 2; this release reads 1.*release that wrote it"),
    "a format of text": (edited(lambda c: c.update(format="1")), "format '1'"),
    "a format of true": (edited(lambda c: c.update(format=True)), "format True"),
    "no nodes": (edited(lambda c: c.pop("nodes")), "lacks \\['nodes'\\]"),
    "an empty list of nodes": (edited(lambda c: c.update(nodes=[])), "at least one node"),
    "nodes as an object": (edited(lambda c: c.update(nodes={})), "at least one node"),
    "no name": (edited(lambda c: c.update(name="")), "name is a text"),
    "a name of number": (edited(lambda c: c.update(name=3)), "name is a text, not 3"),
    "an unknown key": (edited(lambda c: c.update(plugins=["os"])), "unknown \\['plugins'\\]"),
    "an output out of range": (edited(lambda c: c.update(output=99)), "99 is no earlier node.*output"),
    "an output below zero": (edited(lambda c: c.update(output=-1)), "-1 is no earlier node"),
    "an output of true": (edited(lambda c: c.update(output=True)), "True is no earlier node"),
    "an output inside a body": (
        edited(lambda c: c.update(output=3, nodes=c["nodes"][:4])),
        "outside its body|not need",
    ),
    "a node nobody reads": (with_entry({"kind": "input", "fields": {"name": "b", "type": {"type": "str"}}}), "nodes"),
    # ── entries ──
    "an entry of null": (with_entry(None), "nodes\\[0\\] is None"),
    "an entry without fields": (with_entry({"kind": "join"}), "a kind and fields"),
    "an entry with more": (with_entry({"kind": "join", "fields": {}, "id": 3}), "unknown \\['id'\\]"),
    "a misspelt kind": (GOOD.replace('"summarize"', '"sumarize"'), "did you mean 'summarize'.*known are.*my_node"),
    "a kind of list": (with_entry({"kind": ["join"], "fields": {}}), "unknown kind"),
    "a class": (with_entry({"class": "os.system"}), "from_json\\(text, nodes="),
    "a python object": (with_entry({"py/object": "os.system"}), "from_json\\(text, nodes="),
    "a module path as a kind": (with_entry({"kind": "os:system", "fields": {}}), "unknown kind 'os:system'"),
    "fields as a list": (with_entry({"kind": "join", "fields": []}), "fields are an object"),
    "a misspelt field": (GOOD.replace("max_tokens", "max_token"), "did you mean 'max_tokens'"),
    "a dunder field": (with_field(3, __class__="os"), "no field '__class__'"),
    "a private field": (with_field(3, _edges=[]), "no field '_edges'"),
    "a missing field": (without_field(3, "text"), "nodes\\[3\\]"),
    "a field of the wrong kind": (with_field(3, max_tokens="9"), "max_tokens.*got: '9'.*nodes\\[3\\]"),
    "a field out of range": (with_field(3, max_tokens=0), "max_tokens.*got: 0"),
    "a bool for a number": (with_field(3, max_tokens=True), "max_tokens.*got: True"),
    "a wrong edge": (with_field(3, text={"ref": 1}), "summarize.text.*list\\[str\\].*wanted: str"),
    "an unknown tag": (with_field(3, text={"eval": "1+1"}), "a ref, pairs, a tuple or a message"),
    "two tags": (with_field(3, text={"ref": 0, "tuple": []}), "a ref, pairs, a tuple or a message"),
    "a broken message": (of(("chat", {"messages": [{"message": ["root", "x"]}]})), "not a message"),
    "a message of one part": (of(("chat", {"messages": [{"message": ["user"]}]})), "a ref, pairs, a tuple"),
    "a pair of one": (of(("prompt", {"template": "", "values": {"pairs": [["a"]]}})), "a pair is a list"),
    "a pair of lists": (of(("prompt", {"template": "", "values": {"pairs": [[[], "a"]]}})), "a pair is a list"),
    "a pair twice": (of(("prompt", {"template": "{a}", "values": {"pairs": [["a", ""], ["a", ""]]}})), "twice"),
    # ── references ──
    "a node that reads itself": (with_field(3, text={"ref": 3}), "a cycle: nodes\\[3\\] → nodes\\[3\\].*Repeat"),
    "a cycle of two": (
        of(("join", {"name": "one", "texts": [{"ref": 1}]}), ("join", {"name": "two", "texts": [{"ref": 0}]})),
        "a cycle: one → two → one.*Repeat\\(max_steps",
    ),
    "a long cycle": (
        of(*[("join", {"texts": [{"ref": (number + 1) % 99}]}) for number in range(99)]),
        "a cycle: nodes\\[0\\] → nodes\\[98\\] → .* more … → nodes\\[0\\]",
    ),
    "a reference ahead": (of(("join", {"texts": [{"ref": 1}]}), text_input()), "1 is no earlier node.*after those"),
    "a reference of text": (with_field(3, text={"ref": "0"}), "'0' is no earlier node"),
    "a reference below zero": (with_field(3, text={"ref": -1}), "-1 is no earlier node"),
    "a reference of a huge number": (with_field(3, text={"ref": 10**200}), "no earlier node"),
    "a reference of a fraction": (with_field(3, text={"ref": 0.0}), "no earlier node"),
    # ── bodies ──
    "a body that is no node": (with_field(4, body=5), "nodes\\[4\\].fields.body"),
    "a body of text": (with_field(4, body="x"), "nodes\\[4\\].fields.body"),
    "an item that is no item": (with_field(4, item={"ref": 0}), "nodes\\[4\\].fields.item"),
    "no item": (with_field(4, item=None), "nodes\\[4\\]"),
    # ── what a file may not ask for ──
    "a model": (with_field(3, model="org/x"), 'asks for the model.*allow=\\["models"\\]'),
    "a model of a folder": (with_field(3, model="../../etc"), 'allow=\\["models"\\]'),
    "a model of a server": (with_field(3, model="openai:gpt"), 'allow=\\["models"\\]'),
    "a model object": (with_field(3, model={"tuple": ["os", "system"]}), "a model is named by a text"),
    "code of a checkpoint": (with_field(3, trust_remote_code=True), "said in code"),
    "unsafe": (with_field(3, unsafe=True), "said in code"),
    "a cache folder": (with_field(3, cache_dir="/tmp"), "said in code"),
    "a server": (with_field(3, base_url="http://evil"), "said in code"),
    "a key of the environment": (with_field(3, api_key_env="AWS_SECRET_ACCESS_KEY"), "said in code"),
    "weights": (with_field(3, weights="x.bin"), "said in code"),
    "a retry of a number": (with_field(3, retry=3), "not a retry.*stop, wait, retry.*nodes\\[3\\].fields.retry"),
    "a retry of two rules": (with_field(3, retry={"retry": {"stop": STOP, "wait": WAIT}}), "not a retry"),
    "a retry by a lambda": (retrying(retry="lambda error: True"), "no rule for retry; known are retry_if_exception"),
    "a retry by a class": (retrying(wait=["os.system", "true"]), "no rule for wait; known are wait_fixed"),
    "a retry by a stop as a wait": (retrying(wait=STOP), "no rule for wait"),
    "a retry that never ends": (retrying(stop=["stop_after_attempt", 10**9]), "1000000000 .*1 to 100"),
    "a retry of a bool": (retrying(stop=["stop_after_attempt", True]), "True .*1 to 100"),
    "a retry of too many numbers": (retrying(wait=["wait_fixed", 1, 2]), "wait_fixed takes other numbers"),
    "a retry of lists": (retrying(wait=["wait_fixed", [1]]), "seconds"),
    "a retry of huge numbers": (retrying(wait=["wait_fixed", 10**200]), "above 3,600"),
    "a retry of rules in rules": (retrying(stop=nested(9)), "no rule for stop"),
    "an unknown function": (
        of(("function", {"function": {"function": "eval"}, "arguments": {"pairs": []}})),
        "my_node",
    ),
    "a lambda": (of(("function", {"function": "lambda: 1", "arguments": {"pairs": []}})), "unknown function"),
    "an imported function": (of(("function", {"function": {"function": "os.system"}, "arguments": {}})), "my_node"),
    # ── types ──
    "a type by path": (typed("os.system"), "not a known type"),
    "a type that calls": (typed("__import__('os')"), "not a known type"),
    "a type that chooses": (typed("str if 1 else int"), "not a known type"),
    "a type that computes": (typed("[str][0]"), "not a known type"),
    "a type too long": (typed("str|" * 1_000 + "str"), "too long"),
    "a type too deep": (typed("list[" * 90 + "str" + "]" * 90), "not a known type"),
    "a type of minuses": (typed("-" * 1_900 + "1"), "not a (known )?type"),
    "a type of brackets": (typed("(" * 1_900), "not a type"),
    "a type of number": (typed(3), "not a type"),
    # ── templates and settings ──
    "a template with attributes": (
        of(("prompt", {"template": "{x.__class__}", "values": {"pairs": [["x", ""]]}})),
        "dunder",
    ),
    "a template with a format": (
        of(("prompt", {"template": "{x:>400000000}", "values": {"pairs": [["x", ""]]}})),
        "format specs",
    ),
    "a loop without end": (
        of(
            text_input(),
            ("item", {"type": {"type": "str"}}),
            ("repeat", {"start": REF, "item": {"ref": 1}, "body": {"ref": 1}}),
        ),
        "max_steps",
    ),
    "an empty stop": (of(("generate", {"prompt": "a", "stop": [""]})), "empty stop"),
    "a name with a bidi mark": (of(text_input(), ("join", {"texts": [REF], "name": "a\u202eb"})), "U\\+202E"),
    "two inputs of a name": (
        of(text_input(), text_input(), ("join", {"texts": [REF, {"ref": 1}]})),
        "used twice is one object",
    ),
}

# Small files whose parts multiply: each took minutes or gigabytes where every part was looked at or described.
LARGE: dict[str, Callable[[], tuple[str, str]]] = {
    "fifty thousand keys": lambda: ("{" + ",".join(f'"k{n}":1' for n in range(50_000)) + "}", "format 'none'"),
    "a key twice among many": lambda: (
        "{" + ",".join(f'"k{n}":1' for n in range(50_000)) + ',"k1":2}',
        "'k1' stands twice",
    ),
    "numbers for texts": lambda: (of(("join", {"texts": [1] * 100_000})), "1 is not a text"),
    "texts for messages": lambda: (of(("chat", {"messages": [""] * 100_000})), "not a message"),
    "a default of wrong items": lambda: (
        of(("input", {"name": "a", "type": {"type": "list[str]"}, "default": [1] * 100_000})),
        "a.default",
    ),
    "a default against a wide union": lambda: (
        of(
            (
                "input",
                {
                    "name": "a",
                    "type": {"type": f"list[{'|'.join(f'Literal[{n}]' for n in range(80))}]"},
                    "default": [-1] * 20_000,
                },
            )
        ),
        "a.default",
    ),
    "a mapping of wrong values": lambda: (
        of(
            (
                "input",
                {
                    "name": "a",
                    "type": {"type": "dict[str, str]"},
                    "default": {"pairs": [[f"k{n}", 1] for n in range(60_000)]},
                },
            )
        ),
        "a.default",
    ),
    "placeholders against values": lambda: (
        of(
            (
                "prompt",
                {
                    "template": "".join(f"{{a{n}}}" for n in range(20_000)),
                    "values": {"pairs": [[f"b{n}", "x"] for n in range(20_000)]},
                },
            )
        ),
        "50 problems",
    ),
    "cases against labels": lambda: (
        of(
            ("input", {"name": "a", "type": {"type": f"Literal[{','.join(LABELS)}]"}}),
            ("choose", {"on": REF, "cases": {"pairs": [[f"abcde{n}", "x"] for n in range(20_000)]}}),
        ),
        "choose.cases",
    ),
    "a hundred wide types": lambda: (
        of(
            *(
                ("input", {"name": f"a{t}", "type": {"type": "|".join(f"Literal['{t}-{n}']" for n in range(90))}})
                for t in range(100)
            )
        ),
        "does not need",
    ),
}
