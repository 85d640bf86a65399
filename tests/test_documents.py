"""Files become texts, or say why not."""

from __future__ import annotations

import sys
from pathlib import Path

import docx
import pytest

import flowchain as fc


def test_text_is_read_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes("\ufeffärger\r\n".encode())
    assert fc.read_document(tmp_path / "a.md").text == "ärger\r\n"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<title>t</title><p>One</p><style>p{}</style><p>Two &amp; three", "One\n\nTwo & three"),
        ("<p>Ada <b>Love</b>lace\n  wrote\tit.</p><!-- no --><script>no</script>", "Ada Lovelace wrote it."),
        ("<div><h1>Title</h1>loose<p>in</p>again</div>", "Title\n\nloose\n\nin\n\nagain"),
        ("<table><tr><td>a<td>b</tr><tr><td>c</table>", "a b\n\nc"),
        ("line<br>break<pre>x = 1\ny = 2\n</pre>", "line\nbreak\n\nx = 1\ny = 2"),
        ("1&nbsp;000", "1\xa0000"),
    ],
)
def test_html_gives_what_is_seen(tmp_path: Path, html: str, text: str) -> None:
    (tmp_path / "a.html").write_text(html, "utf-8")
    assert fc.read_document(tmp_path / "a.html").text == text


def pdf(*pages: str) -> bytes:
    """Write a PDF with a line of text on each page, as its standard's first example does."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, text in enumerate(pages):
        drawn = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET"
        font = "/Resources << /Font << /F1 3 0 R >> >>"
        page = f"/Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * number} 0 R"
        objects += [f"<< {page} {font} >>", f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream"]
    written = "%PDF-1.4\n"
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(written))
        written += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    end = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(written)}\n%%EOF\n"
    return f"{written}xref\n0 {size}\n0000000000 65535 f \n{table}{end}".encode()


def test_pdf_gives_the_place_of_every_page(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("Ada wrote it.", "", "It ran."))
    document = fc.read_document(tmp_path / "a.pdf")
    assert [document.text[start:end] for start, end in document.pages] == ["Ada wrote it.", "", "It ran."]
    assert document.page(document.text.index("ran")) == 3


@pytest.mark.parametrize(("name", "library"), [("a.html", "bs4"), ("a.pdf", "pypdf"), ("a.docx", "docx")])
def test_a_reader_that_is_not_installed_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    (tmp_path / name).write_bytes(b"text")
    with pytest.raises(fc.MissingExtraError, match=r'pip install "flowchain\[documents\]"'):
        fc.read_document(tmp_path / name)


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
        ("a.pdf", pdf("", ""), "run it through OCR"),
        ("a.md", "Größe".encode("utf-16"), "offset 0 is not UTF-8"),
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


def test_a_name_with_a_line_break_stays_on_its_line(tmp_path: Path) -> None:
    odd = tmp_path / "a\n2026-01-01 all is well.txt"
    odd.write_bytes(b"\xff")
    for path, message in ((odd, "not UTF-8"), (odd.with_suffix(".xyz"), "no reader"), (odd / "b.txt", "no such file")):
        with pytest.raises(fc.InputError, match=message) as caught:
            fc.read_document(path)
        assert "\n" not in str(caught.value)
