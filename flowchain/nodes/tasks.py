"""Declarations of what models do: one node a task, with the field's own words for its settings.

``model=`` names who does it: an id or folder of a transformers model, ``"openai:name"``, or a model object. Where it
is left out, the chain's model for that task is taken (``models={"summarize": …}``), else the embedded extractive one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Generic, Literal

from pydantic import AfterValidator, BaseModel, Field, SkipValidation
from typing_extensions import TypeVar

from flowchain.errors import Problem
from flowchain.nodes.labels import LONGEST_LABEL, MOST_LABELS, label_problem
from flowchain.nodes.ref import Node, Ref
from flowchain.nodes.schema import schema_problem
from flowchain.nodes.types import describe
from flowchain.records import AnswerSpan, Classification, Entity, Message, OnEmptyOutput, OnLength, Task
from flowchain.retry import Retry

T_co = TypeVar("T_co", covariant=True)
Reply_co = TypeVar("Reply_co", covariant=True, default=str)

MaxTokens = Annotated[int, Field(ge=1, le=1_000_000)]
Temperature = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Instruction = Annotated[str, Field(pattern=r"\S")]
Probability = Annotated[float, Field(gt=0, le=1)]
Texts = Annotated[Sequence[str | Ref[str]], AfterValidator(tuple)]
OnEmpty = Literal["error", "skip", "pass"]
Messages = Annotated[Sequence[Message | Ref[Message]], AfterValidator(tuple)]
Overflow = Literal["error", "split", "summarize", "tail"]

MOST_STOPS = 64
LONGEST_STOP = 256


class TaskNode(Node[T_co], Generic[T_co]):
    """Base of the nodes that ask a model."""

    task: ClassVar[Task]

    model: Any = None
    """Who does it: an id, a folder, or a model object; None: the chain's model for this task."""
    retry: Retry | None = None
    """After which failures it is asked again; None: as the run's ``retry`` says."""


class Summarize(TaskNode[str]):
    """Shorten a text, whatever its length; nothing is cut off silently.

    >>> import flowchain as fc
    >>> chain = fc.Chain(fc.Summarize(text=fc.Input("text", str), max_tokens=3))
    >>> chain.run(text="Ada wrote it. Nobody knew that for a very long time.")
    'Ada wrote it.'
    """

    kind: ClassVar[str] = "summarize"
    task: ClassVar[Task] = "summarize"

    text: str | Ref[str]
    """What to read. Longer than the model's window is fine: it is read in pieces."""
    focus: str | Ref[str] | None = None
    """A question or topic the summary should serve; ahead of an `Answer`, always give its question."""
    instruction: Instruction | None = None
    """What the model is told of the text, or of each of its pieces; None: flowchain's own words, or those that the
    checkpoint was trained with. It goes to the model as it stands, and takes its part of the window."""
    combine_instruction: Instruction | None = None
    """The same where it reads the summaries of pieces instead of the text; None: as ``instruction`` says."""
    max_tokens: MaxTokens = 200
    """Upper bound of the summary, in the model's own tokens."""
    on_empty: OnEmpty = "error"
    """A text without words: ``error`` refuses it; without asking a model, ``skip`` gives ``""``, ``pass`` the text."""
    on_empty_output: OnEmptyOutput = "retry"
    """A summary without words: as `Generate` says; of a long text, each piece's."""
    on_length: OnLength = "accept"
    """A summary that its limit cut off: as `Generate` says; of a long text, each piece's."""


class Answer(TaskNode[AnswerSpan]):
    """Answer a question from one or several texts, and show where the answer stands.

    >>> import flowchain as fc
    >>> chain = fc.Chain(fc.Answer(question="Who wrote it?", context=fc.Input("text", str)))
    >>> span = chain.run(text="The program was long. Ada Lovelace wrote it in 1843.")
    >>> span.text, span.evidence
    ('Ada Lovelace', 'Ada Lovelace wrote it in 1843.')
    """

    kind: ClassVar[str] = "answer"
    task: ClassVar[Task] = "answer"

    question: str | Ref[str]
    context: str | Ref[str] | Texts | Ref[Sequence[str]]
    """The text or texts to find it in; longer than the model's window is fine."""
    allow_empty: bool = False
    """May the answer be ``""`` where the texts seem to hold none?"""
    max_tokens: MaxTokens = 64
    """Longest answer of a generative model, in its tokens; extractive readers quote a span."""
    on_empty: OnEmpty = "error"
    """Texts without words: ``error`` refuses them; ``skip`` and ``pass`` read the others, and give the empty answer
    without asking a model where there are none."""
    on_empty_output: OnEmptyOutput = "retry"
    """An answer, or a note on a piece, without words: as `Generate` says. With ``allow_empty`` it is an answer."""
    on_length: OnLength = "accept"
    """An answer, or a note on a piece, that ``max_tokens`` cut off: as `Generate` says."""


class Classify(TaskNode[Classification]):
    """Say which label fits a text; zero-shot with any labels, or with those a model was trained for.

    >>> import flowchain as fc
    >>> fc.Classify(text="I will see the world", labels=["travel", "cooking"]).labels
    ('travel', 'cooking')
    """

    kind: ClassVar[str] = "classify"
    task: ClassVar[Task] = "classify"

    text: str | Ref[str]
    labels: Texts | Ref[Sequence[str]] | None = None
    """At least two, different after case and spaces are folded; None: the labels the model was trained for."""
    multi_label: bool = False
    """Score every label on its own, instead of sharing 1 among all."""
    hypothesis_template: str = "This example is {}."
    """How a label becomes a statement that the text may entail (Yin et al. 2019)."""
    overflow: Overflow = "error"
    """A text beyond the window: refuse it; ``"split"``: score each piece and combine the scores (the mean, weighted by
    tokens; with ``multi_label`` the highest); ``"summarize"``: score its summary; ``"tail"``: drop its beginning."""
    max_labels: Annotated[int, Field(ge=1)] = MOST_LABELS
    """More are refused: a model scores each of them for every text."""
    max_label_chars: Annotated[int, Field(ge=1)] = LONGEST_LABEL
    """Longer labels are refused: they tend to be texts that came where a name was due."""

    def _rule_problems(self) -> list[Problem]:
        problems = []
        if self.hypothesis_template.count("{}") != 1:
            fix = "Write {} once, where the label goes."
            problems.append(self._problem("hypothesis_template", self.hypothesis_template, "a text with {}", fix))
        if isinstance(self.labels, tuple):
            literal = [label for label in self.labels if isinstance(label, str)]
            finding = label_problem(
                literal,
                is_complete=len(literal) == len(self.labels),
                is_multi=self.multi_label,
                max_labels=self.max_labels,
                max_label_chars=self.max_label_chars,
            )
            if finding:
                problems.append(self._problem("labels", *finding))
        return problems


class Sampled(TaskNode[T_co], Generic[T_co]):
    """What generating nodes share: how tokens are chosen and where the text ends."""

    stop: str | Annotated[Sequence[str], AfterValidator(tuple)] = ()
    """Texts that end the reply; they are trimmed from it."""
    max_tokens: MaxTokens = 256
    """Longest reply, in the model's tokens."""
    on_empty_output: OnEmptyOutput = "retry"
    """A reply without words: ``retry`` asks once more, with another seed, and then fails; ``error`` fails at once;
    ``accept`` takes it. A greedy reply of a model that repeats itself isn't asked for again. Only what was accepted is
    kept in a store. Of no effect with ``output_type``, which no empty reply fits."""
    on_length: OnLength = "accept"
    """A reply that ``max_tokens`` cut off: taken, with its ``finish_reason`` in the trace; ``error`` fails, and it is
    kept in no store. Of no effect with ``output_type``, which judges the reply."""
    temperature: Temperature = 0.0
    """0: the likeliest token each time. Above: sampled, and repeatable through ``seed``."""
    top_k: Annotated[int, Field(ge=0)] = 0
    top_p: Probability = 1.0
    num_beams: Annotated[int, Field(ge=1, le=64)] = 1
    seed: int | None = None
    """None: derived from the run's seed, which is drawn and recorded where none is given."""

    @property
    def stops(self) -> tuple[str, ...]:
        """``stop`` as a tuple."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    def _rule_problems(self) -> list[Problem]:
        problems = []
        if "" in self.stops:
            fix = "An empty stop would end every text at once; leave it out."
            problems.append(self._problem("stop", "''", "a text", fix))
        if len(self.stops) > MOST_STOPS:
            got, wanted = f"{len(self.stops):,} stops", f"at most {MOST_STOPS}"
            fix = "Stop at what separates the texts; one or two are enough."
            problems.append(self._problem("stop", got, wanted, fix))
        longest = max(map(len, self.stops), default=0)
        if longest > LONGEST_STOP:
            fix = "No reply would come to say it; stop at what separates the texts."
            problems.append(self._problem("stop", f"a stop of {longest:,} characters", f"at most {LONGEST_STOP}", fix))
        sampling = [("temperature", self.temperature, 0.0), ("top_k", self.top_k, 0), ("top_p", self.top_p, 1.0)]
        chosen = [f"{name}={value}" for name, value, neutral in sampling if value != neutral]
        if self.num_beams > 1 and chosen:
            got = f"num_beams={self.num_beams} with {', '.join(chosen)}"
            fix = "Beam search follows the likeliest texts: set num_beams=1 for sampling, or leave the others out."
            problems.append(self._problem("num_beams", got, "one of the two", fix))
        return problems


class Generate(Sampled[Reply_co], Generic[Reply_co]):
    """Continue a prompt; with ``output_type``, give a pydantic object of that type.

    >>> import flowchain as fc
    >>> fc.Generate(prompt="Once upon a time", stop="###", max_tokens=40).stops
    ('###',)
    """

    kind: ClassVar[str] = "generate"
    task: ClassVar[Task] = "generate"

    prompt: str | Ref[str]
    output_type: Annotated[type[Reply_co] | None, SkipValidation] = None
    """A pydantic model class: the reply is validated against it, and asked for again where it does not fit."""
    overflow: Overflow = "error"
    """A prompt beyond the window: refuse it; ``"split"``: ask about each piece of its longest text, and then with the
    replies in that text's place; ``"summarize"``: put a summary in its place; ``"tail"``: drop its beginning."""
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """How often to ask where a reply does not fit ``output_type``."""

    @property
    def value_type(self) -> Any:
        return str if self.output_type is None else self.output_type

    def _rule_problems(self) -> list[Problem]:
        problems = super()._rule_problems()
        kind = self.output_type
        if kind is not None and not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            fix = "Declare a pydantic model with the fields you want."
            problems.append(self._problem("output_type", describe(kind), "a pydantic model class", fix))
        elif kind is not None:
            finding = schema_problem(kind)
            if finding:
                problems.append(self._problem("output_type", *finding))
        return problems


class Chat(Sampled[str]):
    """Reply to a conversation, through the model's own chat template.

    >>> import flowchain as fc
    >>> chat = fc.Chat(messages=[fc.Message(role="user", content="Hello")], max_tokens=40)
    >>> chat.messages[0].content
    'Hello'
    """

    kind: ClassVar[str] = "chat"
    task: ClassVar[Task] = "chat"

    messages: Messages | Ref[Sequence[Message]] | str | Ref[str]
    """The conversation; a plain text is one user message."""
    system: str | Ref[str] | None = None
    """An instruction ahead of the conversation."""
    overflow: Overflow = "error"
    """A conversation beyond the window: refuse it; ``"tail"``: drop its oldest messages; ``"summarize"``: put their
    summary at the head of the first that stays; ``"split"``: answer the longest message piece by piece, and then from
    the answers. ``system`` always stays."""

    def _rule_problems(self) -> list[Problem]:
        problems = super()._rule_problems()
        if self.messages == ():
            fix = 'Give it something to reply to: messages=[Message(role="user", content=…)].'
            problems.append(self._problem("messages", "no messages", "at least one", fix))
        return problems


class Translate(TaskNode[str]):
    """Translate a text; languages by the codes of the model (``en``, ``de``; ``eng_Latn`` for NLLB).

    >>> import flowchain as fc
    >>> fc.Translate(text="Hello", source="en", target="de", model="Helsinki-NLP/opus-mt-en-de").target
    'de'
    """

    kind: ClassVar[str] = "translate"
    task: ClassVar[Task] = "translate"

    text: str | Ref[str]
    source: Annotated[str, Field(min_length=1)]
    target: Annotated[str, Field(min_length=1)]
    max_tokens: MaxTokens = 512
    """Longest translation of one piece, in the model's tokens; a text beyond the window is read in pieces, and a piece
    whose translation was cut off again in halves: none is ever taken cut."""
    on_empty_output: OnEmptyOutput = "retry"
    """A translation without words: as `Generate` says; of a long text, each piece's."""


class Extract(TaskNode[list[Entity]]):
    """Find the named entities of a text; long texts are read in overlapping windows.

    >>> import flowchain as fc
    >>> fc.Extract(text="Ada lived in London", model="dslim/bert-base-NER").aggregation
    'simple'
    """

    kind: ClassVar[str] = "extract"
    task: ClassVar[Task] = "extract"

    text: str | Ref[str]
    aggregation: Literal["simple", "first", "average", "max"] = "simple"
    """How tokens become entities; the last three decide by whole words."""


class Embed(TaskNode[list[float]]):
    """Turn a text into a vector.

    >>> import flowchain as fc
    >>> fc.Embed(text="Hello", model="sentence-transformers/all-MiniLM-L6-v2").pooling
    'mean'
    """

    kind: ClassVar[str] = "embed"
    task: ClassVar[Task] = "embed"

    text: str | Ref[str]
    pooling: Literal["mean", "cls", "last"] = "mean"
    normalize: bool = True
    """Scale to length 1, so that a dot product is the cosine."""


def begins_line(text: str, mark: str) -> bool:
    r"""Does a line of the text begin with the mark?

    >>> begins_line("one\n### two", "###"), begins_line("one ### two", "###")
    (True, False)
    """
    return text.startswith(mark) or f"\n{mark}" in text


class FewShot(Sampled[str]):
    r"""Show a model examples and let it write the next one, which ends where an example ends.

    Separator, stop strings and trimming are one contract: the prompt sets every example apart by ``separator``, and
    the same separator stops the reply and is cut from it. So no literal example may hold it. In examples that come
    while running, and in the query, it may stand within a line; a text with a line that begins with it fails the node.

    >>> import flowchain as fc
    >>> node = fc.FewShot(instruction="Write a tweet.", examples=["key: rain\ntweet: Wet."], query="key: sun\ntweet:")
    >>> node.stops
    ('\n###',)
    """

    kind: ClassVar[str] = "few_shot"
    task: ClassVar[Task] = "generate"

    instruction: str | Ref[str] = ""
    examples: Texts | Ref[Sequence[str]]
    query: str | Ref[str]
    separator: str = "###"

    @property
    def stops(self) -> tuple[str, ...]:
        """The separator on a line of its own, and the stops given beside it."""
        return (f"\n{self.separator}", *super().stops)

    def _rule_problems(self) -> list[Problem]:
        problems = super()._rule_problems()
        if not self.separator.strip():
            fix = "Choose a mark that no example contains, such as ###."
            problems.append(self._problem("separator", self.separator, "a visible mark", fix))
        elif isinstance(self.examples, tuple):
            for example in self.examples:
                if isinstance(example, str) and self.separator in example:
                    fix = f"The reply would end at {self.separator!r} inside an example; choose another separator."
                    problems.append(self._problem("examples", example, f"no {self.separator!r} inside", fix))
        if isinstance(self.query, str) and begins_line(self.query, self.separator):
            fix = "The query would end there for the model; choose another separator."
            problems.append(self._problem("query", self.query, f"no line that begins with {self.separator!r}", fix))
        return problems
