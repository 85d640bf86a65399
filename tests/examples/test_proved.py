"""Every call of the examples whose texts have bounds that fit is proved; none is refused; the page shows them all."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from tests.benchmarks.proved import EXAMPLES, PAGE, left_open, reports, shown_on  # noqa: E402
from tests.examples.test_examples import PROMISED, WITH_SERVER, WITHOUT_MODEL  # noqa: E402

MADE_AS_IT_RUNS = {"fine_tuning"}
"""Its model is there only once it has been taught."""


def test_a_call_whose_texts_are_bounded_is_proved() -> None:
    torch.set_num_threads(1)
    found = dict(reports())
    assert set(EXAMPLES) == set(PROMISED) - WITHOUT_MODEL - WITH_SERVER - MADE_AS_IT_RUNS
    for name, report in found.items():
        assert report.calls, name
        for call in report.calls:
            assert call.verdict == "proved" or left_open(call.reason), (name, call)
    page = PAGE.read_text("utf-8")
    assert page == shown_on(page, found)
