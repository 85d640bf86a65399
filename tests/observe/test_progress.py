"""Progress: bars at a terminal on long work, silence in pipes and where it is switched off."""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import redirect_stderr
from typing import Any

import pytest

import flowchain as fc
from flowchain.testing import FakeModel

ROWS = [{"text": f"row {number}"} for number in range(20)]


class Terminal(io.StringIO):
    """Says of itself that it is one."""

    def isatty(self) -> bool:
        return True


def chain() -> fc.Chain[Any]:
    return fc.Chain(fc.Summarize(text=fc.Input("text", str), model=FakeModel()))


def written(stream: io.StringIO, **settings: Any) -> str:
    with redirect_stderr(stream):
        assert chain().batch(ROWS, **settings) == [row["text"] for row in ROWS]
        assert chain().run(text="one", **settings) == "one"
    return stream.getvalue()


@pytest.mark.parametrize("progress", [None, False])
def test_nothing_is_written_into_a_pipe(progress: bool | None) -> None:
    assert written(io.StringIO(), progress=progress) == ""


def test_short_work_is_not_worth_a_bar() -> None:
    assert written(Terminal()) == ""


def test_progress_can_be_switched_off_at_a_terminal() -> None:
    assert written(Terminal(), progress=False) == ""


def test_progress_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")  # on a terminal that can't move its cursor, rich draws no bars
    shown = written(Terminal(), progress=True)
    assert "rows" in shown
    assert "requests" in shown


def test_a_failing_run_takes_its_bar_away() -> None:
    failing = fc.Chain(fc.Summarize(text="a", model=FakeModel(fails=lambda request: ValueError("no"))))
    stream = Terminal()
    with redirect_stderr(stream), pytest.raises(fc.NodeError):
        failing.run(progress=True)
    # The cursor that rich hides is shown again.
    assert stream.getvalue().rfind("\x1b[?25h") >= stream.getvalue().rfind("\x1b[?25l")


def test_bars_are_not_loaded_where_none_is_drawn() -> None:
    code = (
        "import sys, flowchain as fc\n"
        "fc.Chain(fc.Summarize(text='One. Two.')).batch([{}] * 3)\n"
        "assert 'rich' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
