"""How long does `import flowchain` take, against `import pydantic` with a module of 25 classes beside it?

Any library of 25 pydantic models pays what the second costs; the goal is 1.6 times that at most. Fresh interpreters,
the two taken in turn, with bytecode present; each times its own import, so that its start doesn't count.

    python tests/benchmarks/import_time.py [rounds]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

GOAL = 1.6
CLASSES = 25
TIMED = "import time; start = time.perf_counter(); import {modules}; print(time.perf_counter() - start)"

HEAD = """from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict
"""
ONE_CLASS = '''

class Record{number}(BaseModel):
    """A record like a node's: frozen, strict about its fields, five of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    items: Sequence[str] | str = ()
    count: int = {number}
    label: Literal["first", "second"] = "first"
    note: str | None = None
'''


def write_module(folder: Path) -> None:
    """Write the module that stands for any library of 25 models."""
    body = "".join(ONE_CLASS.format(number=number) for number in range(CLASSES))
    (folder / "twenty_five.py").write_text(HEAD + body, "utf-8")


def seconds(modules: str, folder: Path) -> float:
    """Time one import in a fresh interpreter."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPATH"] = os.pathsep.join([str(folder), str(Path(__file__).resolve().parents[2])])
    command = [sys.executable, "-c", TIMED.format(modules=modules)]
    return float(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)


def main(rounds: int) -> None:
    """Print the medians and their ratio."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_module(folder)
        taken: dict[str, list[float]] = {"pydantic, twenty_five": [], "flowchain": []}
        for round_number in range(rounds + 1):
            for modules, times in taken.items():
                spent = seconds(modules, folder)
                if round_number:  # the first round writes the bytecode
                    times.append(spent)
    base, own = (statistics.median(times) for times in taken.values())
    print(f"import pydantic + {CLASSES} classes   {base * 1e3:7.1f} ms")
    print(f"import flowchain               {own * 1e3:7.1f} ms")
    print(f"ratio                          {own / base:7.2f}     (goal: at most {GOAL})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
