"""What the page on performance shows is what was measured: its table and its picture come from the figures on file."""

from __future__ import annotations

import json

from tests.benchmarks.peers import FIGURES, origin, table
from tests.benchmarks.picture import PICTURE, draw


def test_the_page_shows_the_measured_figures() -> None:
    figures, page = json.loads(FIGURES.read_text("utf-8")), FIGURES.with_name("performance.md").read_text("utf-8")
    assert table(figures) in page
    assert origin(figures) in " ".join(page.split())


def test_the_picture_is_drawn_from_the_measured_figures() -> None:
    assert PICTURE.read_text("utf-8") == draw(json.loads(FIGURES.read_text("utf-8")))
