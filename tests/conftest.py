"""What all tests share: how hypothesis draws, and where measured data may lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Shared machines stall for seconds: a deadline would measure them and not us. Derandomized, a checkout passes or fails
# for everyone alike; new examples are looked for by the long profile, as `make faults` does.
settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    max_examples=60,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("long", settings.get_profile("suite"), derandomize=False, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Keep doctest collection, which takes every file, to the files that hold tests: others import heavy libraries."""
    is_other = collection_path.suffix == ".py" and not collection_path.name.startswith(("test_", "conftest"))
    return True if is_other else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of measured data sets: too large and differently licensed, so not part of the repository."""
    named = os.environ.get("FLOWCHAIN_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no measured data at {folder}: name their folder in FLOWCHAIN_DATA")
    return folder
