"""What mypy and pyright see of a chain: checked by `make types`, never run.

`assert_type` says what is inferred. A line with an ignore is a wrong wiring that both must refuse: where one of them
lets it pass, its ignore is unused, and that is an error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

from pydantic import BaseModel

import flowchain as fc
from flowchain.engine.async_values import AsyncValues
from flowchain.nodes.function import FunctionNode


class Topic(BaseModel):
    label: str


@fc.node
def shout(text: str) -> str:
    return text.upper()


@fc.node
def count_words(text: str) -> int:
    return len(text.split())


@fc.node
async def fetch(name: str) -> bytes:
    return name.encode()


@fc.node
def lines(text: str) -> Iterator[str]:
    yield from text.splitlines()


@fc.node
async def ticks(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


@fc.node(cache=True, version=2)
async def slow(text: str) -> int:
    return len(text)


@fc.node(cache=True)
def double(n: int) -> int:
    return 2 * n


@fc.node
def is_large(n: int) -> bool:
    return n > 100


documents = fc.Input("documents", list[str])
question = fc.Input("question", str)
number = fc.Input("number", int)
flag = fc.Input("flag", bool)
counts = fc.Input("counts", list[int])
notes = fc.Each(documents, lambda text: fc.Summarize(text=text, focus=question, max_tokens=200))
answer = fc.Answer(question=question, context=notes)
chain = fc.Chain(answer)

# ── what is inferred ─────────────────────────────────────────────────────────────────────────────────────────────

assert_type(documents, fc.Input[list[str]])
assert_type(notes, fc.Each[str])
assert_type(slow(text=question), FunctionNode[int])
assert_type(double(n=number), FunctionNode[int])
assert_type(chain, fc.Chain[fc.AnswerSpan])
assert_type(chain.run(documents=["…"], question="Who?"), fc.AnswerSpan)
assert_type(fc.Chain(notes).run(documents=["…"], question="Who?"), list[str])
assert_type(fc.Chain(fc.Summarize(text=question)).run(question="…"), str)
assert_type(fc.Chain(fc.Classify(text=question, labels=["a", "b"])).run(question="…"), fc.Classification)
assert_type(fc.Chain(fc.Split(text=question)).run(question="…"), list[str])
assert_type(fc.Chain(fc.Join(texts=notes)).run(question="…"), str)
assert_type(fc.Chain(fc.Extract(text=question)).run(question="…"), list[fc.Entity])
assert_type(fc.Chain(fc.Generate(prompt=question)).run(question="…"), str)
assert_type(fc.Chain(fc.Generate(prompt=question, output_type=Topic)).run(question="…"), Topic)
assert_type(fc.Chain(count_words(text=question)).run(question="…"), int)
assert_type(fc.Chain(fetch(name=question)).run(question="…"), bytes)
assert_type(fc.Chain(lines(text=question)).run(question="…"), list[str])
assert_type(fc.Chain(ticks(count=number)).run(number=3), list[int])
assert_type(fc.Chain(fc.Each(documents, lambda text: count_words(text=text))).run(documents=["…"]), list[int])
parts = fc.Each(documents, lambda text: fc.Split(text=text))
assert_type(parts, fc.Each[list[str]])
assert_type(fc.Each(parts, lambda texts: fc.Join(texts=texts)), fc.Each[str])

loop = fc.Repeat(number, lambda n: double(n=n), max_steps=5, until=lambda n: is_large(n=n))
assert_type(fc.Chain(loop).run(number=1), int)
story = fc.Repeat(question, lambda past: fc.Generate(prompt=past), max_steps=5, append=True, keep=100)
assert_type(fc.Chain(story).run(question="…"), str)
assert_type(fc.Chain(fc.Choose(question, {"a": shout(text=question), "b": question})).run(question="…"), str)
assert_type(fc.Chain(fc.Choose(flag, {True: number, False: double(n=number)})).run(flag=True, number=1), int)
assert_type(fc.Chain(fc.Choose(question, {"a": 1, "b": 2}, default=3)).run(question="…"), int)
assert_type(fc.Chain(fc.Fallback(fc.Summarize(text=question), shout(text=question))).run(question="…"), str)
assert_type(fc.Chain(fc.Choose(question, {"a": fc.Summarize(text=question)}, default="none")).run(question="…"), str)
assert_type(fc.Chain(fc.Fallback(number, 3, accept=lambda n: is_large(n=n))).run(number=1), int)
assert_type(fc.Chain(fc.Translate(text=question, source="en", target="de")).run(question="…"), str)
assert_type(fc.Chain(fc.Chat(messages=question)).run(question="…"), str)
assert_type(fc.Chain(fc.Embed(text=question)).run(question="…"), list[float])
assert_type(fc.Chain(fc.FewShot(examples=documents, query=question)).run(question="…"), str)
assert_type(chain(question="…"), fc.Ref[fc.AnswerSpan])
assert_type(chain.batch([{"question": "…"}]), list[fc.AnswerSpan])
assert_type(chain.batch([{"question": "…"}], on_error="keep"), list[fc.AnswerSpan | fc.Failure])
assert_type(chain.trace(question="…").value, fc.AnswerSpan)
assert_type(answer.with_(allow_empty=True), fc.Answer)
assert_type(shout.function("…"), Any)


async def awaited() -> None:
    assert_type(await chain.arun(question="…"), fc.AnswerSpan)
    assert_type(chain.abatch([{"question": "…"}]), AsyncValues[fc.AnswerSpan])
    assert_type(await chain.abatch([{"question": "…"}], on_error="keep"), list[fc.AnswerSpan | fc.Failure])
    async for span in chain.abatch([{"question": "…"}]):
        assert_type(span, fc.AnswerSpan)


# ── what is right, and must stay so ──────────────────────────────────────────────────────────────────────────────

fc.Join(texts=[shout(text=question), "and", question])
fc.Answer(question="Who?", context=["one", question])
fc.Answer(question=question, context=documents)
fc.PromptTemplate("{question} {topic.label}", values={"question": question, "topic": fc.Input("topic", Topic)})
fc.Summarize(text=fc.Summarize(text=question))

# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────

fc.Summarize(text=documents)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
fc.Summarize(text=answer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
fc.Summarize(text=notes)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
fc.Summarize(text=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
fc.Summarize(text=question, max_tokens="many")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
fc.Summarize(txet=question)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
fc.Summarize(text=question, max_length=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
fc.Generate(prompt=question, max_length=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
fc.Summarize()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
fc.Answer(question=documents, context=notes)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
fc.Answer(question=question, context=number)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
fc.Join(texts=[number])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
fc.Each(counts, lambda count: fc.Summarize(text=count))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
fc.Each(number, lambda item: shout(text=item))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
fc.Each(documents, lambda text: 3)  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
fc.Summarize(text=chain(question=question))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
fc.Chain(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
fc.Each("text", 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
fc.Each(documents, shout)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
fc.Repeat(question, lambda text: shout(text=text))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
fc.Repeat(number, lambda n: double(n=n), max_steps="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
fc.Translate(text=question, source="en")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
fc.Fallback(number, number, accept=3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
fc.PromptTemplate("{a}", values={"a": ["x"]})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
shout("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
f"{question + 'x'}"  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
answer.score  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
