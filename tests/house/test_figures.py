"""What pages show was measured: their tables and pictures come from the figures on file."""

from __future__ import annotations

import json
from types import ModuleType

import pytest

from tests.benchmarks import beyond_the_window, picture

SHOWN = pytest.mark.parametrize("shown", [picture, beyond_the_window])


@SHOWN
def test_a_page_shows_the_measured_figures(shown: ModuleType) -> None:
    page = shown.PAGE.read_text("utf-8")
    assert page == shown.shown_on(page, json.loads(shown.FIGURES.read_text("utf-8")))


@SHOWN
def test_a_picture_is_drawn_from_the_measured_figures(shown: ModuleType) -> None:
    assert shown.PICTURE.read_text("utf-8") == shown.draw(json.loads(shown.FIGURES.read_text("utf-8")))
