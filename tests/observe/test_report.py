"""A run as a page: other people's texts stay texts, and the page stays small, whatever the run held."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowchain as fc
from flowchain.observe.trace import Run
from flowchain.records import SummaryReply
from flowchain.testing import FakeModel
from tests.browser import Browser, started
from tests.payloads import PAYLOADS

TEXT = fc.Input("text", str)
TEXTS = fc.Input("texts", list[str])
KNOWN = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "pre", "table", "tr", "th", "td", "div"}
KNOWN |= {"details", "summary"}
MOST_BYTES = 20 * 2**20


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def apart_from_notes(tags: Iterable[str]) -> list[str]:
    """Notes on control characters are paragraphs below a heading; all else is the same for every text."""
    return [tag for tag in tags if tag not in ("h2", "p")]


@pytest.fixture(autouse=True)
def _control_characters_are_expected() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fc.TextWarning)
        yield


def page_of(run: Run[Any], folder: Path) -> str:
    run.save_html(folder / "run.html")
    return (folder / "run.html").read_text("utf-8")


def run_of(text: str, reply: str) -> Run[Any]:
    """A document goes in, another text comes back, and a node and a chain carry a third kind of name."""
    model = FakeModel(summarize=lambda request: SummaryReply(text=reply))
    each = fc.Each(TEXTS, lambda item: fc.Summarize(text=item, focus=text, on_empty_output="accept", model=model))
    return fc.Chain(fc.Join(texts=each), name=text).trace(texts=[text, text])


@given(text=st.text(), reply=st.text() | st.sampled_from(PAYLOADS))
def test_no_text_adds_an_element_to_the_page(text: str, reply: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("page")
    found = Elements(page_of(run_of(f"a{text}", reply), folder)).found
    plain = Elements(page_of(run_of("a", "b"), folder)).found
    assert apart_from_notes(tag for tag, _ in found) == apart_from_notes(tag for tag, _ in plain)
    for tag, attributes in found:
        assert tag in KNOWN
        assert {name for name, _ in attributes} <= {"lang", "charset", "http-equiv", "content", "class", "style"}
        assert all(re.fullmatch(r"width:[\d.]+%", value or "") for name, value in attributes if name == "style")


def test_texts_without_a_utf8_form_are_written_as_escapes(tmp_path: Path) -> None:
    @fc.node
    def same(text: str) -> str:
        return text

    run = fc.Chain(same(text=TEXT), name="x\ud800").trace(text="a\ud800\0\x1b[31m\u202eb\nc\td")
    page = page_of(run, tmp_path)
    assert "a\\ud800\\x00\\x1b[31m\\u202eb\nc\td" in page


def test_what_looks_like_a_secret_is_not_on_the_page(tmp_path: Path) -> None:
    key = "sk-" + "Ab3" * 12
    page = page_of(run_of(f"the key is {key}", "x" * 1_980 + f" {key}"), tmp_path)
    assert "Ab3" not in page
    assert "[secret]" in page


def test_a_page_of_ten_thousand_long_texts_stays_below_its_bound(tmp_path: Path) -> None:
    r"""
    texts ═ each of 10,000 × 1 MB: cut where shown, and written piece by piece
    """
    document = "<&\"'中" * 200_000
    model = FakeModel(summarize=lambda request: SummaryReply(text=document))
    each = fc.Each(TEXTS, lambda text: fc.Summarize(text=text, model=model))
    run = fc.Chain(each).trace(texts=[document])
    values = {name: [document] * 10_000 for name in run.values}
    run = dataclasses.replace(run, value=[document] * 10_000, values=values, requests=run.requests * 10_000)
    run.save_html(tmp_path / "run.html")
    assert (tmp_path / "run.html").stat().st_size < MOST_BYTES
    page = (tmp_path / "run.html").read_text("utf-8")
    assert page.endswith("</body></html>\n")
    assert re.search(r"… [89],\d\d\d more", page)


def test_a_page_of_many_nodes_says_how_many_more_there_are(tmp_path: Path) -> None:
    node: Any = TEXT
    for _ in range(2_500):
        node = fc.Join(texts=[node])
    page = page_of(fc.Chain(node).trace(text="a"), tmp_path)
    assert "… 500 more" in page
    assert {tag for tag, _ in Elements(page).found} <= KNOWN


QUESTION = "[window.hit || 0, document.body.innerText, [...document.querySelectorAll('*')].map(e => e.localName)]"


def expect_text_alone(browser: Browser, page: Path, plain: Path, told: str) -> None:
    seen, wanted = browser.visit(page, QUESTION), browser.visit(plain, QUESTION)
    assert (seen.dialogs, seen.requests, seen.messages) == ([], [], []), told
    hit, text, elements = seen.value
    assert not hit, told
    assert apart_from_notes(elements) == apart_from_notes(wanted.value[2]), told
    assert "evil.example" in text or "evil.example" not in told


@pytest.mark.browser
def test_a_browser_sees_forty_payloads_as_text(tmp_path: Path) -> None:
    """No dialog, no request, no script; and the browser would have noticed, as a page without our care shows."""
    assert len(PAYLOADS) >= 40
    careless = tmp_path / "careless.html"
    careless.write_text(f"<title>x</title>{PAYLOADS[0]}{PAYLOADS[6]}", "utf-8")
    model = FakeModel(summarize=lambda request: SummaryReply(text=request.text))
    each = fc.Each(TEXTS, lambda item: fc.Summarize(text=item, model=model))
    fc.Chain(each, name="".join(PAYLOADS)).trace(texts=list(PAYLOADS)).save_html(tmp_path / "run.html")
    fc.Chain(each).trace(texts=["a"] * len(PAYLOADS)).save_html(tmp_path / "plain.html")
    with started(tmp_path / "profile") as browser:
        noticed = browser.visit(careless, QUESTION)
        assert (noticed.dialogs, noticed.requests, noticed.value[0]) == (["1"], ["http://evil.example/pixel.png"], 1)
        expect_text_alone(browser, tmp_path / "run.html", tmp_path / "plain.html", "evil.example")


@pytest.mark.browser
@pytest.mark.slow
def test_a_browser_sees_each_payload_by_itself_as_text(tmp_path: Path) -> None:
    run_of("a", "b").save_html(tmp_path / "plain.html")
    with started(tmp_path / "profile") as browser:
        for payload in PAYLOADS:
            run_of(f"a{payload}", payload).save_html(tmp_path / "run.html")
            expect_text_alone(browser, tmp_path / "run.html", tmp_path / "plain.html", payload)


def test_a_page_says_why_each_loop_ended(tmp_path: Path) -> None:
    @fc.node
    def cut(text: str) -> str:
        return text[:2]

    loop = fc.Repeat(TEXT, lambda text: cut(text=text), max_steps=3, name="loop")
    page = page_of(fc.Chain(loop).trace(text="abcdef"), tmp_path)
    assert "<h2>Loops</h2><p>loop: max_steps after 3 steps</p>" in page
