"""What runs draw is theirs alone, in whatever process."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from flowchain.engine.drawing import new_run_id, new_seed

FORKED = r"""
import os
from flowchain.engine.drawing import new_run_id, new_seed
new_seed()
parent = os.getpid()
child = os.fork()
os.write(1, f"{new_run_id()} {new_seed()}\n".encode())
if os.getpid() == parent:
    os.waitpid(child, 0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_process_draws_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=True)
    first, second = (line.split() for line in done.stdout.splitlines())
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_the_users_own_chance_is_neither_asked_nor_disturbed() -> None:
    random.seed(7)
    drawn = [random.random(), new_seed(), random.random()]
    random.seed(7)
    again = [random.random(), new_seed(), random.random()]
    assert (drawn[0], drawn[2]) == (again[0], again[2])
    assert drawn[1] != again[1]
    assert len({new_run_id() for _ in range(1_000)}) == 1_000
