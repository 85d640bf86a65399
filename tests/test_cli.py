"""The command line: every command against a real store, with texts that would like to be more than text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowchain import cli
from flowchain.protocols import Asked
from flowchain.records import GenerateRequest, TextReply
from flowchain.store.store import Store

Recorded = tuple[str, str, str]
Capture = pytest.CaptureFixture[str]
HOSTILE = "\x1b[2J\u202e[bold red]:smile:[/bold red]"


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    path = tmp_path / "replies.flow"
    with Store(path, clock=lambda: 1e9) as store:
        ids = []
        for word in ("one", "two"):
            run = store.open_run(
                name=f"chain {HOSTILE}", chain=json.dumps({"nodes": {word: 1}}), inputs={"text": HOSTILE}
            )
            asked = Asked(GenerateRequest(prompt=f"{word} {HOSTILE}", max_tokens=5), "model")
            run.record([(asked, TextReply(text=f"reply {word} {HOSTILE}", finish_reason="eos"))])
            run.fail(ValueError(f"failure {HOSTILE}"), node="node")
            run.close("done", f'"{word}"')
            ids.append(run.id)
    return str(path), ids[0], ids[1]


def shown(capsys: Capture) -> str:
    out = capsys.readouterr().out
    assert "\x1b[2J" not in out
    assert "\u202e" not in out
    return out


def test_runs(recorded: Recorded, capsys: Capture) -> None:
    path, first, second = recorded
    assert cli.main(["runs", path]) == 0
    out = shown(capsys)
    assert out.index(first) < out.index(second)
    assert "2001-09-09" in out
    assert "[bold" in out


def test_show(recorded: Recorded, capsys: Capture) -> None:
    path, first, _ = recorded
    assert cli.main(["show", path, first[:5]]) == 0
    out = shown(capsys)
    assert "ValueError" in out
    assert "two" not in out


def test_show_json(recorded: Recorded, capsys: Capture) -> None:
    path, first, _ = recorded
    assert cli.main(["show", path, first, "--json"]) == 0
    lines = [json.loads(line) for line in shown(capsys).splitlines()]
    assert [line["record"] for line in lines] == ["run", "work", "failure"]
    assert lines[1]["asked"]["prompt"] == f"one {HOSTILE}"


def test_diff(recorded: Recorded, capsys: Capture) -> None:
    path, first, second = recorded
    assert cli.main(["diff", path, first, second]) == 0
    out = shown(capsys)
    assert "one, two" in out
    assert "differs" in out


def test_prune_and_verify(recorded: Recorded, capsys: Capture) -> None:
    path, first, _ = recorded
    assert cli.main(["prune", path, "--keep-runs", "1"]) == 0
    assert "removed 1 runs, 1 entries, 0 texts" in shown(capsys)
    assert cli.main(["verify", path]) == 0
    assert "1 entries, 1 runs: sound" in shown(capsys)
    assert cli.main(["runs", path]) == 0
    assert first not in capsys.readouterr().out


def test_a_damaged_store_is_told_by_the_exit_status(recorded: Recorded, capsys: Capture) -> None:
    path, _, _ = recorded
    data = Path(path).read_bytes()
    Path(path).write_bytes(data.replace(b"reply one", b"reply 0ne"))
    assert cli.main(["verify", path]) == 1
    assert "entry 64: its digest does not fit" in shown(capsys)


@pytest.mark.parametrize(
    "command", [["runs"], ["verify"], ["prune", "--keep-runs", "1"], ["show", "x"], ["diff", "x", "y"]]
)
def test_what_is_no_store_is_said_in_one_line(tmp_path: Path, capsys: Capture, command: list[str]) -> None:
    path = tmp_path / "diary.txt"
    path.write_text("Dear diary, " * 100)
    assert cli.main([command[0], str(path), *command[1:]]) == 1
    error = capsys.readouterr().err
    assert error.startswith("flowchain: store")
    assert "not a database" in error
    assert path.read_text().startswith("Dear diary")


def test_wrong_usage_is_told_by_the_exit_status(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["nothing"])
    assert caught.value.code == 2
    capsys.readouterr()
