"""F22 · A key given to a model, in every place where keys turn up, is in no file, message or key of the store."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from flowchain import cli
from flowchain.errors import StoreError, shown
from flowchain.protocols import Asked
from flowchain.records import GenerateRequest, TextReply
from flowchain.store.functions import call_address
from flowchain.store.store import Store

CANARY = "sk-canary0123456789abcdef"
PASSWORD = "canary0123456789"


class Account(BaseModel):
    name: str
    key: SecretStr


def test_a_canary_is_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    path = tmp_path / "replies.flow"
    account = Account(name="mine", key=SecretStr(CANARY))
    seen = [repr(account)]
    with Store(path) as store:
        run = store.open_run(
            name=f"with {CANARY}",
            chain=json.dumps({"nodes": {"answer": {"header": f"Authorization: Bearer {CANARY}"}}}),
            inputs={"account": account, "key": CANARY, "url": f"https://me:{PASSWORD}@host/v1"},
            settings={"api_key": CANARY, "base_url": f"https://me:{PASSWORD}@host/v1", "account": account},
        )
        for number, fingerprint in enumerate((f"m at https://me:{PASSWORD}@host", f"m with Bearer {CANARY}")):
            asked = Asked(GenerateRequest(prompt=f"Use {CANARY} {'x' * 9_000 * number}", max_tokens=5), fingerprint)
            run.record([(asked, TextReply(text="no", finish_reason="eos"))])
        try:
            raise ValueError(f"401 for https://me:{PASSWORD}@host with header Authorization: Bearer {CANARY}")
        except ValueError as exc:
            run.fail(exc, node="answer")
        for arguments in ({"account": account}, {"key": SecretStr(CANARY)}, {"deep": [{"key": SecretStr(CANARY)}]}):
            with pytest.raises(StoreError, match="secret") as caught:
                run.record_values([(call_address("f", "1", "0", arguments), "1")])
            seen += [str(caught.value), repr(caught.value.__dict__)]
        run.close("done", json.dumps(CANARY))
        exported = io.StringIO()
        store.export(run.id, exported)
        missing = Asked(GenerateRequest(prompt=f"Use {CANARY} again", max_tokens=5), f"m with Bearer {CANARY}")
        with pytest.raises(StoreError) as caught:
            raise store.replay().missing(missing)
        seen += [exported.getvalue(), str(caught.value), repr(store), shown(store.runs())]
        files = [file.read_bytes() for file in tmp_path.iterdir()]
    for command in (["runs", str(path)], ["show", str(path), run.id], ["verify", str(path)]):
        assert cli.main(command) == 0
    output = capsys.readouterr()
    files += [file.read_bytes() for file in tmp_path.iterdir()]
    for text in [*seen, output.out, output.err, *(file.decode("latin-1") for file in files)]:
        for secret in (CANARY, PASSWORD):
            assert secret not in text
    assert b"[secret]" in b"".join(files)
