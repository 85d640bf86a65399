"""Declarative chains of language-model work: typed nodes, checked before a model is loaded, run in full batches.

import flowchain as fc

documents = fc.Input("documents", list[str])
question = fc.Input("question", str)
notes = fc.Each(documents, lambda text: fc.Summarize(text=text, focus=question, max_tokens=200))
chain = fc.Chain(fc.Answer(question=question, context=notes))
span = chain.run(documents=texts, question="Who may raise StopIteration?")
"""

from flowchain.chain import Chain
from flowchain.documents import Document, read_document
from flowchain.engine.async_values import AsyncValues
from flowchain.engine.prompt_changes import PromptDifference, diff
from flowchain.engine.settings import Settings
from flowchain.engine.signals import sigterm_as_interrupt
from flowchain.errors import (
    ChainError,
    ChainFileError,
    FlowchainError,
    InputError,
    MissingExtraError,
    ModelError,
    NodeError,
    Problem,
    ServerError,
    StoreError,
    TextWarning,
)
from flowchain.events import Event
from flowchain.graph.report import Report
from flowchain.models.extractive import ExtractiveModel
from flowchain.models.openai import OpenAIModel
from flowchain.models.transformers import TransformersModel
from flowchain.nodes.control import Choose, Each, Fallback, Repeat
from flowchain.nodes.function import node
from flowchain.nodes.ref import Node, Ref
from flowchain.nodes.tasks import (
    Answer,
    Chat,
    Classify,
    Embed,
    Extract,
    FewShot,
    Generate,
    Summarize,
    Translate,
)
from flowchain.nodes.text import Input, Join, PromptTemplate, Split
from flowchain.observe.difference import Difference
from flowchain.observe.trace import Exchange, Run
from flowchain.protocols import Model, Window
from flowchain.records import AnswerSpan, Classification, Entity, Failure, Message, Preview, Source
from flowchain.retry import (
    Retry,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_exponential_jitter,
    wait_fixed,
    wait_while_answering,
)
from flowchain.store.store import Store
from flowchain.windows.coverage import Coverage

__all__ = [
    "Answer",
    "AnswerSpan",
    "AsyncValues",
    "Chain",
    "ChainError",
    "ChainFileError",
    "Chat",
    "Choose",
    "Classification",
    "Classify",
    "Coverage",
    "Difference",
    "Document",
    "Each",
    "Embed",
    "Entity",
    "Event",
    "Exchange",
    "Extract",
    "ExtractiveModel",
    "Failure",
    "Fallback",
    "FewShot",
    "FlowchainError",
    "Generate",
    "Input",
    "InputError",
    "Join",
    "Message",
    "MissingExtraError",
    "Model",
    "ModelError",
    "Node",
    "NodeError",
    "OpenAIModel",
    "Preview",
    "Problem",
    "PromptDifference",
    "PromptTemplate",
    "Ref",
    "Repeat",
    "Report",
    "Retry",
    "Run",
    "ServerError",
    "Settings",
    "Source",
    "Split",
    "Store",
    "StoreError",
    "Summarize",
    "TextWarning",
    "TransformersModel",
    "Translate",
    "Window",
    "diff",
    "node",
    "read_document",
    "retry_if_exception",
    "sigterm_as_interrupt",
    "stop_after_attempt",
    "stop_before_delay",
    "wait_exponential_jitter",
    "wait_fixed",
    "wait_while_answering",
]
