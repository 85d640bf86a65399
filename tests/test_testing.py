"""What users test their own chains with."""

from __future__ import annotations

import pytest

from flowchain.testing import FakeModel


def test_a_misspelt_task_is_refused_instead_of_never_asked() -> None:
    with pytest.raises(TypeError, match=r"no task 'sumarize'; tasks are .*summarize"):
        FakeModel(sumarize=lambda request: "short")
