"""From a file to its text: plain text, Markdown, HTML, PDF and Word, with the place of every page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from flowchain.errors import InputError, MissingExtraError, escape

if TYPE_CHECKING:
    from bs4.element import Tag


class Document(BaseModel):
    """A text, where its pages stand in it, and the file it came from.

    >>> Document(text="One.\\n\\nTwo.", pages=((0, 4), (6, 10)), source="two.pdf").page(6)
    2
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    text: str
    pages: tuple[tuple[int, int], ...]
    """Start and end characters of every page; files without pages have one."""
    source: str
    """The path, as given."""

    def page(self, offset: int) -> int:
        """Give the number, from 1, of the page that holds the character at ``offset``."""
        return max(1, sum(start <= offset for start, _ in self.pages))


def read_document(path: str | PathLike[str]) -> Document:
    """Read a file by the ending of its name: .txt, .md, .html, .htm, .pdf or .docx.

    Raises:
        InputError: no such file, an unknown ending, bytes that are not UTF-8 (with their offset), a file that is
            damaged, or one without any text.
        MissingExtraError: HTML, PDF and Word need ``flowchain[documents]``.

    >>> read_document("report.xyz")
    Traceback (most recent call last):
    ...
    flowchain.errors.InputError: report.xyz: no reader for '.xyz'; there are .docx, .htm, .html, .md, .pdf, .txt
    """
    file, told = Path(path), escape(str(path))
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        known = ", ".join(sorted(_READERS))
        raise InputError(f"{told}: no reader for {file.suffix!r}; there are {known}", got=file.suffix, wanted=known)
    if not file.is_file():
        raise InputError(f"{told}: there is no such file", got=str(path), wanted="a file")
    try:
        text, pages = _joined(reader(file))
    except ImportError as error:
        raise MissingExtraError.of("documents", f"to read {file.suffix} files") from error
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{told}: the file can't be read: {type(error).__name__}: {error}") from error
    if not text.strip():
        fix = "A scanned PDF holds pictures of text: run it through OCR first."
        raise InputError(f"{told}: there is no text in it. {fix}", got="no text", wanted="text", fix=fix)
    return Document(text=text, pages=pages, source=str(path))


def _joined(parts: Iterable[str]) -> tuple[str, tuple[tuple[int, int], ...]]:
    texts: list[str] = []
    pages: list[tuple[int, int]] = []
    at = 0
    for part in parts:
        texts.append(part)
        pages.append((at, at + len(part)))
        at += len(part) + len(_BETWEEN)
    return _BETWEEN.join(texts), tuple(pages)


_BETWEEN = "\n\n"
# Unicode's own marks of a line and of a paragraph.
_LINE, _BLOCK = "\u2028", "\u2029"
# HTML: what is never shown, what stands around an element's text, and blanks (a no-break space is none).
_HIDDEN = frozenset({"script", "style", "template", "noscript", "head", "title"})
_BLOCKS = """address article aside blockquote body caption dd details div dl dt fieldset figcaption figure footer form
h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre section summary table tr ul""".split()
_AROUND = {**dict.fromkeys(_BLOCKS, _BLOCK), "br": _LINE, "td": " ", "th": " "}
_BLANKS = re.compile("[ \t\n\r\f]+")


def _decoded(file: Path) -> str:
    data = file.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        fix = "Convert it to UTF-8; no other encoding is guessed."
        told = f"{escape(str(file))}: the byte at offset {error.start:,} is not UTF-8. {fix}"
        raise InputError(told, fix=fix) from error


def _plain(file: Path) -> list[str]:
    return [_decoded(file)]


def _html(file: Path) -> list[str]:
    from bs4 import BeautifulSoup

    # Line ends of the source are blanks; what ends a line or a paragraph has marks of its own.
    text = "".join(_seen(BeautifulSoup(_decoded(file), "html.parser")))
    blocks = (_BLANKS.sub(" ", block) for block in text.split(_BLOCK))
    lines = ("\n".join(line.strip(" ") for line in block.split(_LINE)).strip() for block in blocks)
    return [_BETWEEN.join(line for line in lines if line)]


def _seen(root: Tag) -> Iterator[str]:
    """Give the texts that a browser would show; a loop, since pages nest as deep as their authors forget to close."""
    from bs4.element import NavigableString, Tag

    stack: list[tuple[Any, bool]] = [(root, False)]
    while stack:
        element, is_kept = stack.pop()
        if isinstance(element, Tag):
            name = element.name
            if name in _HIDDEN:
                continue
            around = _AROUND.get(name, "")
            is_kept = is_kept or name == "pre"
            yield around
            if element.contents:
                stack.append((around, False))
                stack.extend((child, is_kept) for child in reversed(element.contents))
        elif type(element) in (str, NavigableString):  # comments and the like are classes of their own
            yield element.replace("\n", _LINE) if is_kept else element


def _pdf(file: Path) -> list[str]:
    from pypdf import PdfReader

    return [page.extract_text() for page in PdfReader(file).pages]


def _docx(file: Path) -> list[str]:
    import docx
    from docx.table import Table

    document = docx.Document(str(file))
    blocks = []
    for block in document.iter_inner_content():
        if isinstance(block, Table):
            blocks += ["\t".join(cell.text for cell in row.cells) for row in block.rows]
        else:
            blocks.append(block.text)
    return ["\n\n".join(block for block in blocks if block.strip())]


_READERS: dict[str, Callable[[Path], list[str]]] = {
    ".txt": _plain,
    ".md": _plain,
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
    ".docx": _docx,
}
