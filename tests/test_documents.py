"""Files become texts, or say why not."""

from __future__ import annotations

from pathlib import Path

import docx
import pytest

import flowchain as fc


def test_text_is_read_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes("\ufeffärger\r\n".encode())
    assert fc.read_document(tmp_path / "a.md").text == "ärger\r\n"


def test_html_gives_what_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<title>t</title><p>One</p><style>p{}</style><p>Two &amp; three", "utf-8")
    assert fc.read_document(tmp_path / "a.html").text == "One\nTwo & three"


def test_word_gives_paragraphs_and_tables_in_order(tmp_path: Path) -> None:
    document = docx.Document()
    document.add_paragraph("One")
    document.add_table(1, 2).rows[0].cells[1].text = "cell"
    document.add_paragraph("Two")
    document.save(str(tmp_path / "a.docx"))
    assert fc.read_document(tmp_path / "a.docx").text == "One\n\n\tcell\n\nTwo"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"ok \xff", "offset 3 is not UTF-8"),
        ("a.txt", b" \n", "no text in it"),
        ("a.pdf", b"nonsense", "can't be read"),
        ("a.docx", b"nonsense", "can't be read"),
        ("a.exe", b"x", "no reader for '.exe'"),
    ],
)
def test_what_can_not_be_read_says_why(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(fc.InputError, match=message):
        fc.read_document(tmp_path / name)
    with pytest.raises(fc.InputError, match="no such file"):
        fc.read_document(tmp_path / "missing.txt")
