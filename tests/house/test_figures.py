"""What the page on performance shows is what was measured: its table and its picture come from the figures on file."""

from __future__ import annotations

import json

from tests.benchmarks.peers import FIGURES
from tests.benchmarks.picture import PAGE, PICTURE, draw, shown_on


def test_the_page_shows_the_measured_figures() -> None:
    page = PAGE.read_text("utf-8")
    assert page == shown_on(page, json.loads(FIGURES.read_text("utf-8")))


def test_the_picture_is_drawn_from_the_measured_figures() -> None:
    assert PICTURE.read_text("utf-8") == draw(json.loads(FIGURES.read_text("utf-8")))
