"""A chain: a declaration, checked and run. Each verb here composes the floors below it and decides nothing itself."""

from __future__ import annotations

import itertools
import math
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, contextmanager
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from flowchain.engine.settings import SETTING_NAMES, Settings
from flowchain.errors import ChainError, InputError, Problem, shown
from flowchain.nodes.ref import Node, Ref
from flowchain.records import Failure, Preview

if TYPE_CHECKING:
    import networkx

    from flowchain.engine.async_values import AsyncValues
    from flowchain.engine.executor import Executor
    from flowchain.events import Event
    from flowchain.graph.build import Scope
    from flowchain.graph.report import Report
    from flowchain.nodes.tasks import TaskNode
    from flowchain.nodes.text import Split
    from flowchain.observe.trace import Run
    from flowchain.protocols import Model

T_co = TypeVar("T_co", covariant=True)
OnError = Literal["raise", "keep"]
_Rows = Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]]

_DEFAULTS = Settings()
_NOT_QUICK: Any = object()


class Chain(Generic[T_co]):
    """What computes a node's value from inputs; immutable, and safe to run from many threads at once.

    Args:
        output: the node whose value is wanted; all it needs is found through its references.
        name: what to call the chain in messages; default: the output's name.
        settings: defaults of all running calls.

    Raises:
        ChainError: two nodes of one name, two inputs of one name, or a body's item used outside its body.

    >>> import flowchain as fc
    >>> text = fc.Input("text", str)
    >>> chain = fc.Chain(fc.PromptTemplate("Dear {who}", values={"who": text}))
    >>> chain.run(text="Ada")
    'Dear Ada'
    >>> chain.batch([{"text": "Ada"}, {"text": "Grace"}])
    ['Dear Ada', 'Dear Grace']
    """

    def __init__(self, output: Ref[T_co], *, name: str | None = None, settings: Settings = _DEFAULTS) -> None:
        if not isinstance(output, Node):
            fix = "Pass the node whose value you want; that of another chain is its output."
            raise ChainError.of([Problem("chain", "output", shown(output), "a node", fix)])
        if not issubclass(type(settings), Settings):
            fix = "Write settings=Settings(seed=…)."
            raise ChainError.of([Problem("chain", "settings", shown(settings), "Settings", fix)])
        from flowchain.graph.build import build

        self._stand_on(build(output), name, settings)

    def _stand_on(self, scope: Scope, name: str | None, settings: Settings) -> None:
        self._scope = scope
        self._settings = settings
        self.name: str = name or scope.names[scope.output]
        self._executor: Executor | None = None
        self._quick: Callable[[dict[str, Any]], Any] | None = None
        self._passed_with: tuple[dict[str, Any], float] | None = None  # models and timeout of a check without findings

    def __call__(self, **inputs: Any) -> Ref[T_co]:
        """Use the chain as a node of another: what it gives for these literals and references in place of its inputs.

        Its nodes become part of the other chain, named below its own name (``notes_1/summarize_1``). Of its settings,
        models and retries go with its nodes; all others are the running chain's.

        Raises:
            ChainError: inputs missing, unknown or of a wrong type, all at once.

        >>> import flowchain as fc
        >>> who = fc.Input("who", str)
        >>> greet = fc.Chain(fc.PromptTemplate("Dear {who}", values={"who": who}), name="greet")
        >>> both = fc.Chain(fc.Join(texts=[greet(who=fc.Input("first", str)), greet(who="all")], separator="; "))
        >>> both.run(first="Ada"), list(both.nodes)
        ('Dear Ada; Dear all', ['first', 'greet_1/prompt_1', 'greet_2/prompt_1', 'join_1'])
        """
        from flowchain.graph.inline import inline

        return inline(self._scope, self.name, inputs, self._settings.added_to)

    # ── what it is ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def output(self) -> Node[Any]:
        """The node whose value the chain gives."""
        return self._scope.output

    @property
    def nodes(self) -> dict[str, Node[Any]]:
        """Every declaration by its full name, those inside bodies included."""
        return {inner.full_name(node): node for inner, node in self._scope.walk()}

    @property
    def inputs(self) -> dict[str, Any]:
        """The type of every input by name."""
        from flowchain.nodes.text import Input

        return {node.name: node.type for _, node in self._scope.walk() if isinstance(node, Input)}

    @property
    def graph(self) -> networkx.DiGraph[str]:
        """The chain as a networkx graph: node names with their ``declaration``, edges with the ``field``."""
        from flowchain.graph.build import digraph

        return digraph(self._scope)

    @property
    def models(self) -> dict[str, Model]:
        """The model of every node that asks one."""
        executor = self._prepared()
        return {step.name: model for step, model in executor.models(self._settings).items()}

    def check(self, models: Mapping[str, Any] | None = None, *, strict: bool = False) -> Report:
        """Find everything that is wrong, before weights are loaded or anything is sent.

        Args:
            models: models by node name or task, as in the running calls.
            strict: count warnings as problems.

        Raises:
            ChainError: listing every problem.
        """
        return self._report(self._settings.changed({"models": models} if models is not None else {}), strict)

    def _report(self, settings: Settings, strict: bool) -> Report:
        from flowchain.graph.check import check
        from flowchain.programs.proof import Verdicts

        def model_of(node: TaskNode[Any] | Split, name: str) -> Model:
            # Where none is asked for, the chain is not compiled to be checked.
            return self._prepared().model_of(node, name, settings)

        fit_of = Verdicts(self._scope, model_of).of
        return check(self._scope, self.name, model_of, fit_of, is_strict=strict, timeout=settings.timeout)

    # ── running it ───────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, **inputs: Any) -> T_co:
        """Give the value for these inputs; settings (see `Settings`) may stand beside them.

        Works inside a running event loop too, as in a notebook.

        Raises:
            InputError: inputs missing, unknown or of a wrong type, all at once.
            ChainError: what ``check`` would find.
            NodeError: a node failed; the cause is kept.
        """
        if self._quick is not None and (value := self._quick(inputs)) is not _NOT_QUICK:
            return value  # type: ignore[no-any-return]
        given, settings = self._split(inputs)
        executor = self._checked(settings)
        if executor.plan.is_plain and settings.store is None:  # over before a display could be drawn
            return executor.run(given, settings)  # type: ignore[no-any-return]
        with self._shown(settings, given) as watched:
            return executor.run(given, watched)  # type: ignore[no-any-return]

    async def arun(self, **inputs: Any) -> T_co:
        """Do what ``run`` does, on the running event loop."""
        given, settings = self._split(inputs)
        executor = self._checked(settings)
        with self._shown(settings, given) as watched:
            return await executor.arun(given, watched)  # type: ignore[no-any-return]

    # A list is an iterable, too, and gives a list instead of an iterator: that is the meaning of these overloads.
    @overload
    def batch(  # pyright: ignore[reportOverlappingOverload]
        self, rows: Sequence[Mapping[str, Any]], *, on_error: Literal["raise"] = ..., **settings: Any
    ) -> list[T_co]: ...
    @overload
    def batch(  # pyright: ignore[reportOverlappingOverload]
        self, rows: Sequence[Mapping[str, Any]], *, on_error: Literal["keep"], **settings: Any
    ) -> list[T_co | Failure]: ...
    @overload
    def batch(
        self, rows: Iterable[Mapping[str, Any]], *, on_error: Literal["raise"] = ..., **settings: Any
    ) -> Iterator[T_co]: ...
    @overload
    def batch(
        self, rows: Iterable[Mapping[str, Any]], *, on_error: Literal["keep"], **settings: Any
    ) -> Iterator[T_co | Failure]: ...
    def batch(self, rows: Any, *, on_error: OnError = "raise", **settings: Any) -> Any:
        """Run many rows; what waits for one model goes as one batch, whichever row it came from.

        A list gives a list. Any other iterable gives an iterator, which reads a bounded number of rows ahead, so that
        rows may come from a generator that does not fit in memory, or never ends.

        Args:
            rows: mappings of input names to values.
            on_error: ``raise`` the first row's error, or ``keep`` a `Failure` in the place of each failed row.
            settings: see `Settings`.
        """
        self._check_batch(rows, on_error, Iterable)
        found = self._settings.changed(settings)
        chunks = self._chunks(rows, on_error, found)
        values = (value for chunk in chunks for value in chunk)
        return list(itertools.chain.from_iterable(chunks)) if isinstance(rows, Sequence) else values

    def _chunks(self, rows: Any, on_error: OnError, settings: Settings) -> Iterator[list[Any]]:
        executor = self._checked(settings)
        with self._shown(settings, _known(rows)) as watched:
            yield from executor.batch(rows, watched, on_error)

    @overload
    def abatch(self, rows: _Rows, *, on_error: Literal["raise"] = ..., **settings: Any) -> AsyncValues[T_co]: ...
    @overload
    def abatch(self, rows: _Rows, *, on_error: Literal["keep"], **settings: Any) -> AsyncValues[T_co | Failure]: ...
    def abatch(self, rows: Any, *, on_error: OnError = "raise", **settings: Any) -> Any:
        """Do what ``batch`` does, on the running event loop: await it for a list, or take values by ``async for``."""
        from flowchain.engine.async_values import AsyncValues

        self._check_batch(rows, on_error, (Iterable, AsyncIterable))
        return AsyncValues(self._values(rows, on_error, self._settings.changed(settings)))

    async def _values(self, rows: Any, on_error: OnError, settings: Settings) -> AsyncGenerator[Any, None]:
        executor = self._checked(settings)
        with self._shown(settings, _known(rows)) as watched:
            async with aclosing(executor.abatch(rows, watched, on_error)) as values:
                async for value in values:
                    yield value

    def stream(self, **inputs: Any) -> Iterator[Event]:
        """Run, and give the run's events as they happen, pieces of text included; the last but one has the value."""
        given, settings = self._split(inputs)
        executor = self._checked(settings)
        with self._shown(settings, given) as watched:
            yield from executor.stream(given, watched)

    async def astream(self, **inputs: Any) -> AsyncGenerator[Event, None]:
        """Do what ``stream`` does, on the running event loop."""
        given, settings = self._split(inputs)
        executor = self._checked(settings)
        with self._shown(settings, given) as watched:
            async with aclosing(executor.astream(given, watched)) as events:
                async for event in events:
                    yield event

    def trace(self, **inputs: Any) -> Run[T_co]:
        """Run, and keep what happened: every node's value, every request with its reply, times and tokens."""
        from flowchain.observe.edit import traced

        given, settings = self._split(inputs)
        return traced(self.name, self._checked(settings), given, settings, self._shown)

    def prompts(self, **inputs: Any) -> list[Preview]:
        """Give the requests that ``run`` would send for these inputs: text and tokens, without asking a model.

        What depends on a reply, or on an input that is not given, is a hole, ``⟨summarize_1, at most 200 tokens⟩``, and
        the preview is marked as not exact. Of a `Fallback` the first way is shown whose prompts can be made and fit.

        Raises:
            NodeError: what a run would fail with before any reply, such as a request beyond its model's window.

        >>> import flowchain as fc
        >>> topic = fc.Input("topic", str)
        >>> prompt = fc.PromptTemplate("Briefly: {topic}", values={"topic": topic})
        >>> [preview] = fc.Chain(fc.Summarize(text=prompt)).prompts(topic="rain")
        >>> preview.text, preview.tokens, preview.is_exact
        ('Briefly: rain', 2, True)
        """
        given, settings = self._split(inputs)
        return self._checked(settings).prompts(given, settings)

    # ── written down and drawn ───────────────────────────────────────────────────────────────────────────────────

    def to_json(self) -> str:
        """Write the chain as JSON: nodes by number, references by number; functions and models by name.

        Raises:
            ChainError: a field holds what JSON can't (a model object, a type outside the known ones).
        """
        from flowchain.graph.document import dump

        return dump(self._scope, self.name)

    @staticmethod
    def from_json(
        text: str | bytes,
        *,
        nodes: Sequence[Any] = (),
        types: Sequence[type] = (),
        allow: Sequence[str] = (),
        most_bytes: int = 2**20,
    ) -> Chain[Any]:
        """Read a chain; nothing is imported or evaluated, and no path in it is opened.

        Args:
            text: what ``to_json`` wrote, as text or as UTF-8 bytes.
            nodes: the ``@fc.node`` functions the chain may use, found by their names.
            types: pydantic models and other classes it may name as types.
            allow: what else the file may do: ``"models"``: name models; ``"limits"``: raise what is bounded in files.
            most_bytes: the largest file that is parsed at all, in bytes of UTF-8; 1 MiB is some 18,000 nodes.

        Raises:
            ChainFileError: what is wrong and where.
        """
        from flowchain.graph.reader import load

        chain: Chain[Any] = Chain.__new__(Chain)
        chain._stand_on(*load(text, nodes=nodes, types=types, allow=allow, most_bytes=most_bytes), _DEFAULTS)
        return chain

    def to_mermaid(self) -> str:
        """Draw the chain as a mermaid flowchart, bodies as subgraphs."""
        from flowchain.graph.draw import mermaid

        return mermaid(self._scope)

    def _repr_html_(self) -> str:
        from flowchain.graph.draw import svg

        return svg(self._scope, self.name)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_(), "text/vnd.mermaid": self.to_mermaid()}

    def __repr__(self) -> str:
        from flowchain.graph.draw import summary

        return summary(self._scope, self.name)

    def __copy__(self) -> Chain[T_co]:
        return self

    def __deepcopy__(self, memo: Any) -> Chain[T_co]:
        return self  # immutable all the way down

    def __reduce__(self) -> tuple[Any, ...]:
        from flowchain.graph.flat import flatten

        return _rebuild, (flatten(self._scope), self.name, self._settings)

    # ── composing ────────────────────────────────────────────────────────────────────────────────────────────────

    def _split(self, given: dict[str, Any]) -> tuple[dict[str, Any], Settings]:
        settings = {name: given[name] for name in given if name in SETTING_NAMES}
        inputs = {name: value for name, value in given.items() if name not in settings} if settings else given
        return inputs, self._settings.changed(settings)

    def _check_batch(self, rows: object, on_error: str, wanted: Any) -> None:
        if isinstance(rows, Mapping) or not isinstance(rows, wanted):
            fix = "Give a list of rows, or any iterable of them; for a single row, write run(…)."
            raise InputError(f"rows: got {shown(rows)}, wanted mappings of input names to values. {fix}", fix=fix)
        if on_error not in ("raise", "keep"):
            fix = "'raise' ends with the first failed row; 'keep' puts a Failure in its place."
            raise ChainError.of([Problem(self.name, "on_error", shown(on_error), "'raise' or 'keep'", fix)])

    def _prepared(self) -> Executor:
        if self._executor is None:
            from flowchain.engine.executor import Executor
            from flowchain.engine.plan import compile_plan

            executor = Executor(compile_plan(self._scope), self.name)
            own = self._settings
            is_quiet = not own.observers and own.store is None and own.timeout is None and not own.progress
            self._quick = executor.quick(_NOT_QUICK) if is_quiet else None
            self._executor = executor
        return self._executor

    def _checked(self, settings: Settings) -> Executor:
        """Give the executor; where models are asked, first see that they can do what is asked of them."""
        executor = self._prepared()
        if not executor.plan.is_plain:
            from flowchain.engine.choosing import choice_key

            key, limit = choice_key(settings), math.inf if settings.timeout is None else settings.timeout
            passed = self._passed_with
            if key is None or passed is None or key != passed[0] or limit < passed[1]:
                self._report(settings, strict=False)
                self._passed_with = None if key is None else (key, limit)
        return executor

    def _shown(self, settings: Settings, inputs: Mapping[str, Any]) -> AbstractContextManager[Settings]:
        """Give the settings with a progress display among the observers, and a store that notes the run."""
        from flowchain.observe.progress import watching

        return watching(settings) if settings.store is None else self._recorded(settings, inputs)

    @contextmanager
    def _recorded(self, settings: Settings, inputs: Mapping[str, Any]) -> Generator[Settings, None, None]:
        from flowchain.graph.outline import outline
        from flowchain.observe.progress import watching
        from flowchain.store.recording import recording

        executor = self._prepared()
        models = {step.name: model for step, model in executor.models(settings).items()}
        with (
            recording(settings.store, self.name, outline(self._scope), inputs, executor.cached, models) as store,
            watching(settings.changed({"store": store})) as watched,
        ):
            yield watched


def _known(rows: object) -> Mapping[str, Any]:
    """The rows of a batch as its inputs, where they can be looked at without using them up."""
    return {"rows": rows} if isinstance(rows, Sequence) else {}


def _rebuild(flat: Any, name: str, settings: Settings) -> Chain[Any]:
    from flowchain.graph.flat import unflatten

    return Chain(unflatten(flat), name=name, settings=settings)
