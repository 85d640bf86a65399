"""What a run draws for itself: a name, and a seed where none was given."""

from __future__ import annotations

import os
import random

from flowchain.programs.ask import DrawnSeed

# Not the system's source of chance, which costs a short run more than its work does, and not the module's, which is
# the user's to seed and to draw from.
_chance = random.Random()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_chance.seed)  # a child would draw what its parent draws


def new_run_id() -> str:
    """Give 16 hexadecimal digits that no other run has.

    >>> len(new_run_id()), new_run_id() != new_run_id()
    (16, True)
    """
    return f"{_chance.getrandbits(64):016x}"


def new_seed() -> DrawnSeed:
    """Give a seed of 32 bits."""
    return DrawnSeed(_chance.getrandbits(32))
