"""Which labels did a model name? Exactly those it was given, or it is an error: a label is never guessed."""

from __future__ import annotations

from flowchain.errors import ModelError, shown
from flowchain.records import ClassifyReply, ClassifyRequest, TextReply


def needs_labels(name: str, request: ClassifyRequest) -> None:
    """Refuse a request without labels.

    Raises:
        ModelError: a model behind a server was trained for none.
    """
    if not request.labels:
        fix = 'Write Classify(labels=["…", "…"]).'
        raise ModelError(
            f"model {name!r} has no labels of its own. {fix}", field="labels", got="()", wanted="a label", fix=fix
        )


def chosen(name: str, request: ClassifyRequest, reply: TextReply) -> ClassifyReply:
    """Read labels from a reply: 1 for each that it names, 0 for the others, in the order of the request.

    Raises:
        ModelError: it names what is no label, none, or several where one was asked for.

    >>> request = ClassifyRequest(text="It rains.", labels=("sport", "weather"))
    >>> chosen("m", request, TextReply(text="- Weather.", finish_reason="eos")).scores
    (('weather', 1.0), ('sport', 0.0))
    """
    # Labels that marks or case alone tell apart are read to the letter: else one would be taken for the other.
    bare = _bare if len({_bare(label) for label in request.labels}) == len(request.labels) else str.strip
    by_word = {bare(label): label for label in request.labels}
    words = [bare(line) for line in reply.text.splitlines() if bare(line)]
    named = {by_word[word] for word in words if word in by_word}
    if not all(word in by_word for word in words) or not (named or request.multi_label):
        raise _unlike(name, request, reply)
    if len(named) > 1 and not request.multi_label:
        raise _unlike(name, request, reply)
    scores = [(label, float(label in named)) for label in request.labels]
    return ClassifyReply(
        scores=tuple(sorted(scores, key=lambda pair: -pair[1])),
        prompt_tokens=reply.prompt_tokens,
        reply_tokens=reply.reply_tokens,
    )


def _bare(text: str) -> str:
    return text.strip().removeprefix("-").strip(" \t.\"'*`").casefold()


def _unlike(name: str, request: ClassifyRequest, reply: TextReply) -> ModelError:
    wanted = ("some of " if request.multi_label else "one of ") + ", ".join(map(repr, request.labels))
    return ModelError(
        f"model {name!r} was asked to name {shown(wanted)} and wrote {shown(reply.text)}",
        field="labels",
        got=shown(reply.text),
        wanted=shown(wanted),
        fix="Use plainer labels, or a model that was trained to classify.",
    )
