"""How a text is classified, searched for entities, and turned into a vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flowchain.errors import InputError
from flowchain.nodes.labels import label_problem
from flowchain.programs.ask import Program, Site, ask, ask_all
from flowchain.programs.overflow import tail
from flowchain.programs.reading import refuse_empty
from flowchain.programs.room import framed_room
from flowchain.programs.summarize import summarize
from flowchain.records import Classification, ClassifyReply, ClassifyRequest, EmbedRequest, Entity, ExtractRequest


def classify(
    site: Site,
    *,
    text: str,
    labels: Sequence[str] | None,
    multi_label: bool,
    hypothesis_template: str,
    overflow: str,
    max_labels: int,
    max_label_chars: int,
) -> Program[Classification]:
    """Score the labels for a text.

    Beyond the window, with ``overflow="split"``, each piece is scored and the scores are combined: of labels of which
    one is right, the mean, weighted by the pieces' tokens; with ``multi_label``, the highest of any piece, since a
    label that fits a part fits.
    """
    refuse_empty(site, "text", text)
    if labels is not None:
        finding = label_problem(
            labels,
            is_complete=True,
            is_multi=multi_label,
            max_labels=max_labels,
            max_label_chars=max_label_chars,
        )
        if finding:
            got, wanted, fix = finding
            raise InputError(
                f"{site.node}.labels: got {got}, wanted {wanted}. {fix}",
                node=site.node,
                field="labels",
                got=got,
                wanted=wanted,
                fix=fix,
            )

    def request(part: str) -> ClassifyRequest:
        return ClassifyRequest(
            text=part,
            labels=tuple(labels or ()),
            multi_label=multi_label,
            hypothesis_template=hypothesis_template,
        )

    room = None if overflow == "error" else framed_room(site.model, request)
    if room is None or room.holds(text):
        reply = yield from ask(request(text))
        return _classification(dict(reply.scores))
    if overflow == "tail":
        reply = yield from ask(request(tail(site, text, room)))
        return _classification(dict(reply.scores))
    if overflow == "summarize":
        summary = yield from summarize(site, text=text, focus=None, max_tokens=room.tokens // 2, on_empty="skip")
        reply = yield from ask(request(summary))
        return _classification(dict(reply.scores))
    pieces = room.pieces(text)
    replies = yield from ask_all([request(piece) for piece in pieces])
    return _classification(_combined(replies, [room.count(piece) for piece in pieces], is_multi=multi_label))


def _combined(replies: Sequence[ClassifyReply], weights: Sequence[int], *, is_multi: bool) -> dict[str, float]:
    scores = [dict(reply.scores) for reply in replies]
    if is_multi:
        return {label: max(found[label] for found in scores) for label in scores[0]}
    total = sum(weights)
    return {
        label: sum(weight * found[label] for weight, found in zip(weights, scores, strict=True)) / total
        for label in scores[0]
    }


def _classification(scores: Mapping[str, float]) -> Classification:
    ranked = dict(sorted(scores.items(), key=lambda entry: -entry[1]))
    label = next(iter(ranked))
    return Classification(label=label, score=ranked[label], scores=ranked)


def extract(site: Site, *, text: str, aggregation: str) -> Program[list[Entity]]:
    """Find the entities of a text."""
    refuse_empty(site, "text", text)
    reply = yield from ask(ExtractRequest(text=text, aggregation=aggregation))  # type: ignore[arg-type]
    return list(reply.entities)


def embed(site: Site, *, text: str, pooling: str, normalize: bool) -> Program[list[float]]:
    """Turn a text into a vector."""
    refuse_empty(site, "text", text)
    reply = yield from ask(EmbedRequest(text=text, pooling=pooling, normalize=normalize))  # type: ignore[arg-type]
    return list(reply.vector)
