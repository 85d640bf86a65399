"""F22 · A server's key, and where it may go."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

import flowchain as fc
from flowchain.events import TextPiece
from tests.models.openai.asking import model_at
from tests.models.openai.loopback import Answer, Call, event, refused, said, serving, streamed

TEXT = fc.Input("text", str)
ONCE = fc.Retry(stop=fc.stop_after_attempt(1))


# ── F22 · the key ────────────────────────────────────────────────────────────────────────────────────────────────────


CANARY = "canary/0123456789+abcdef"  # like no known form of key, so that only knowing it can hide it


def echoing(call: Call) -> Answer:
    """Says the key wherever a server can say something."""
    key = call.headers["authorization"]
    return {
        "refused": refused(401, f"bad key {key}"),
        "busy": refused(500, f"bad key {key}"),
        "long": said(b"x" * 190 + key.encode() + b"x" * 9_000, 400),
        "redirect": Answer(status=302, headers={"location": f"https://evil.example/{key}"}),
        "html": Answer([f"<p>{key}</p>".encode()], kind="text/html"),
        "json": said({"choices": key}),
        "stream error": Answer([event({"error": {"message": key}})], kind="text/event-stream"),
        "cut": streamed(f"the key is {key}", reason=None),
        "other model": streamed("a", model=f"m {key}"),
        "reset": Answer(is_silent=True),
    }.get(call.prompt, streamed("fine"))


def test_a_key_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("CANARY_KEY", CANARY)
    caplog.set_level("INFO")
    prompts = (
        "refused",
        "busy",
        "long",
        "redirect",
        "html",
        "json",
        "stream error",
        "cut",
        "other model",
        "reset",
        "a",
    )
    seen: list[str] = []
    for settings in ({"api_key": CANARY}, {"api_key_env": "CANARY_KEY"}):
        with serving(echoing) as server, fc.Store(tmp_path / "replies.flow") as store:
            model = model_at(server, **settings)
            chain = fc.Chain(fc.Generate(prompt=TEXT, model=model, retry=ONCE))
            events: list[Any] = []
            rows = [{"text": prompt} for prompt in prompts]
            for value in chain.batch(rows, on_error="keep", store=store, observers=(events.append,)):
                error = value.error if isinstance(value, fc.Failure) else None
                while error is not None:
                    seen += [str(error), repr(error), repr(error.__dict__), repr(pickle.dumps(error))]
                    error = error.__cause__ or error.__context__  # type: ignore[assignment]
            run = chain.trace(text="a", store=store)
            run.save_html(tmp_path / "run.html")
            seen += [repr(model), model.fingerprint, repr(run), repr(chain.check()), repr(chain)]
            # What a model writes is a reply, to be passed on as it is, even where it is a key.
            seen += [repr(event) for event in events if not isinstance(event, TextPiece)]
            seen += [repr(vars(model)), repr(model._profile)]
            assert server.calls[0].headers["authorization"] == f"Bearer {CANARY}"
    assert len(seen) > 4 * len(prompts)
    assert not [text for text in [*seen, caplog.text] if CANARY in text or CANARY[:12] in text]
    assert CANARY.encode() not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert "CANARY_KEY" in os.environ
    assert "CANARY_KEY" in repr(pickle.dumps(model))


def test_row_67_a_chain_file_names_neither_address_nor_key() -> None:
    chain = fc.Chain(fc.Generate(prompt=TEXT))
    file = json.loads(chain.to_json())
    for name in ("base_url", "api_key", "api_key_env"):
        written = json.loads(json.dumps(file))
        for node in written["nodes"]:
            if "prompt" in node["fields"]:
                node["fields"][name] = "http://evil"
        with pytest.raises(fc.ChainFileError, match="said in code"):
            fc.Chain.from_json(json.dumps(written), allow=["models"])
