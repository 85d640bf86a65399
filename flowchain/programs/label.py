"""How a text is classified, searched for entities, and turned into a vector."""

from __future__ import annotations

from collections.abc import Sequence

from flowchain.errors import InputError
from flowchain.nodes.tasks import label_problem
from flowchain.programs.ask import Program, Site, ask
from flowchain.programs.reading import refuse_empty
from flowchain.records import Classification, ClassifyRequest, EmbedRequest, Entity, ExtractRequest


def classify(
    site: Site,
    *,
    text: str,
    labels: Sequence[str] | None,
    multi_label: bool,
    hypothesis_template: str,
) -> Program[Classification]:
    """Score the labels for a text."""
    refuse_empty(site, "text", text)
    if labels is not None:
        finding = label_problem(labels, is_complete=True, is_multi=multi_label)
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
    request = ClassifyRequest(
        text=text,
        labels=tuple(labels or ()),
        multi_label=multi_label,
        hypothesis_template=hypothesis_template,
    )
    reply = yield from ask(request)
    label, score = reply.scores[0]
    return Classification(label=label, score=score, scores=dict(reply.scores))


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
